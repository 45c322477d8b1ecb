"""A client and an origin of raw sockets, so that tests see and send every byte themselves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Self

from attrs import define, field, frozen

PATIENCE_SECONDS = 30.0
"""How long a test waits for bytes before it fails; far beyond what any machine needs."""

Headers = dict[str, str]


@frozen
class Message:
    """A request or response that was read: its first line, its fields (the last wins), its body."""

    line: str
    headers: Headers
    body: bytes

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def cache(self) -> str:
        return self.headers.get("cache-status", "")


class Wire:
    """A connected socket, read as HTTP/1.1 messages."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE_SECONDS)
        self.sock = sock
        self._file = sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError(f"closed after {len(data)} of {size} bytes: {data[:200]!r}")
        return data

    def at_end(self) -> bool:
        """Wait for the peer's end of the stream: True, or False if bytes come."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def read_line(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(f"closed in a line: {line!r}")
        return line[:-2].decode("latin-1")

    def read_head(self) -> tuple[str, Headers]:
        line = self.read_line()
        headers: Headers = {}
        while text := self.read_line():
            name, _, value = text.partition(": ")
            headers[name.lower()] = value
        return line, headers

    def read_body(self, headers: Headers, *, to_end: bool) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            pieces = []
            while size := int(self.read_line(), 16):
                pieces.append(self.read(size))
                assert self.read(2) == b"\r\n"
            assert self.read_line() == ""
            return b"".join(pieces)
        if "content-length" in headers:
            return self.read(int(headers["content-length"]))
        return self._file.read() if to_end else b""


class Client(Wire):
    """A client of the server on `port`."""

    def __init__(self, port: int) -> None:
        super().__init__(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS))

    def ask(self, target: str, headers: Headers | None = None, *, method: str = "GET") -> None:
        """Send a request without a body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def answer(self, *, method: str = "GET") -> Message:
        """Read a response to a request of `method`."""
        line, headers = self.read_head()
        status = int(line.split(" ")[1])
        if method == "HEAD" or status in {204, 304} or status < 200:
            return Message(line, headers, b"")
        return Message(line, headers, self.read_body(headers, to_end=True))

    def get(self, target: str, headers: Headers | None = None, *, method: str = "GET") -> Message:
        """Ask, and read the answer."""
        self.ask(target, headers, method=method)
        return self.answer(method=method)


def get(port: int, target: str, headers: Headers | None = None, *, method: str = "GET") -> Message:
    """Ask on a connection of its own."""
    with Client(port) as client:
        return client.get(target, headers, method=method)


def response(body: bytes = b"", *lines: str, status: str = "200 OK") -> bytes:
    """A response with Content-Length and the given field lines."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode("latin-1") + body


Script = Callable[[Message], bytes | Iterable[bytes] | None]
"""What an origin answers: bytes, pieces of them, or None to hang up without a word."""


@define
class ScriptedOrigin:
    """An origin on threads of its own. `script` decides each answer, and may stand at a gate.

    A connection is kept unless the answer says `Connection: close` or has no length.
    """

    script: Script
    asked: list[Message] = field(factory=list)
    connections: int = 0
    _listener: socket.socket = field(init=False)
    _wires: list[Wire] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        threading.Thread(target=self._accept, name="origin", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Listen no more, and hang up."""
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close all connections, as if they had been idle for too long."""
        for wire in self._wires.copy():
            try:
                wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def targets(self) -> list[str]:
        return [message.target for message in self.asked]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            wire = Wire(sock)
            self._wires.append(wire)
            threading.Thread(target=self._serve, args=(wire,), name="origin", daemon=True).start()

    def _serve(self, wire: Wire) -> None:
        try:
            with wire:
                while self._serve_one(wire):
                    pass
        except (OSError, EOFError):
            pass  # the server hung up, which is its right
        finally:
            self._wires.remove(wire)

    def _serve_one(self, wire: Wire) -> bool:
        line, headers = wire.read_head()
        message = Message(line, headers, wire.read_body(headers, to_end=False))
        self.asked.append(message)
        said = self.script(message)
        if said is None:
            return False
        head = b""
        for piece in (said,) if isinstance(said, bytes) else said:
            head = head or piece
            wire.send(piece)
        head = head.partition(b"\r\n\r\n")[0].lower()
        framed = b"\r\ncontent-length:" in head or b"\r\ntransfer-encoding:" in head
        return (framed or message.method == "HEAD") and b"\r\nconnection: close" not in head
