"""One asyncio protocol on every kind of loop: a server for wrk to load, and the caches' origin.

Run as ``python -m benchmarks.protocol_server --on asyncio``. It says ``listening PORT`` and
serves until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib
import itertools
import socket
import sys
import threading
from typing import TYPE_CHECKING, cast

from benchmarks.workloads.spinning import spin

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color, Runtime

BODY = b"x" * 1023 + b"\n"
RESPONSE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/plain\r\n"
    b"Cache-Control: public, max-age=3600\r\n"
    b"Content-Length: 1024\r\n\r\n" + BODY
)
BACKLOG = 1024


class Answering(asyncio.Protocol):
    """Answers each request head with the same kibibyte, after a fixed amount of Python."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.waiting = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every complete head; keep the rest."""
        self.waiting += data
        while b"\r\n\r\n" in self.waiting:
            _, _, self.waiting = self.waiting.partition(b"\r\n\r\n")
            self.request()

    def request(self) -> None:
        """Do one request's work and answer it."""
        if self.iterations:
            spin(self.iterations)
        self.answer()

    def answer(self) -> None:
        """Write the response; the peer may be gone by now."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(RESPONSE)


class Hopping(Answering):
    """Asks a key's color before it answers: by dispatch or by post."""

    def __init__(self, runtime: Runtime, here: Color, way: str) -> None:
        super().__init__(0)
        self.runtime = runtime
        self.here = here
        self.way = way

    def request(self) -> None:
        """One lookup in the key's color; the answer comes back here."""
        key = self.runtime.color(("key", "/"))
        if self.way == "post":
            key.post(self.here.post, self.answer)
            return
        found: list[bool] = []
        key.dispatch(found.append, True)
        if found:
            self.answer()
        else:  # the key is busy: be answered after what it does
            key.post(self.here.post, self.answer)


def listen() -> socket.socket:
    """A listening socket on a free loopback port."""
    # The protocol is named: asyncio sets TCP_NODELAY only on sockets that say that they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def say(listener: socket.socket) -> None:
    """Tell the parent where to connect."""
    sys.stdout.write(f"listening {listener.getsockname()[1]}\n")
    sys.stdout.flush()


def on_loop(loop: asyncio.AbstractEventLoop, *, iterations: int) -> None:
    """The way of asyncio, on asyncio's loop or another one."""
    listener = listen()
    asyncio.set_event_loop(loop)
    factory = functools.partial(Answering, iterations)
    loop.run_until_complete(loop.create_server(factory, sock=listener, backlog=BACKLOG))
    say(listener)
    loop.run_forever()


def in_one_color(*, workers: int, iterations: int) -> None:
    """The same lines, unchanged, inside one color."""
    from colorsched import Runtime

    listener = listen()

    async def serve() -> None:
        factory = functools.partial(Answering, iterations)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, sock=listener, backlog=BACKLOG)
        say(listener)
        await server.serve_forever()

    with Runtime(workers=workers) as runtime:
        runtime.color("server").spawn(serve()).result()


def in_colors(*, workers: int, iterations: int, hop: str) -> None:
    """Each connection in a color of its own, so that workers share them."""
    from colorsched import Runtime

    listener = listen()
    numbers = itertools.count()

    async def attach(make: Callable[[], asyncio.Protocol], connection: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(make, connection)

    with Runtime(workers=workers) as runtime:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    return
                connection.setblocking(False)
                color = runtime.color(("connection", next(numbers)))
                make: Callable[[], asyncio.Protocol]
                if hop == "none":
                    make = functools.partial(Answering, iterations)
                else:
                    make = functools.partial(Hopping, runtime, color, hop)
                color.spawn(attach(make, connection))

        runtime.color("listener").add_reader(listener.fileno(), accept)
        say(listener)
        threading.Event().wait()


def main(arguments: list[str] | None = None) -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(prog="benchmarks.protocol_server", description=__doc__)
    parser.add_argument(
        "--on", choices=["asyncio", "uvloop", "one-color", "colors"], default="asyncio"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=0, help="of the spinning loop, a request")
    parser.add_argument("--hop", choices=["none", "dispatch", "post"], default="none")
    chosen = parser.parse_args(arguments)
    if chosen.on == "asyncio":
        on_loop(asyncio.new_event_loop(), iterations=chosen.iterations)
    elif chosen.on == "uvloop":
        loop = importlib.import_module("uvloop").new_event_loop()
        on_loop(loop, iterations=chosen.iterations)
    elif chosen.on == "one-color":
        in_one_color(workers=chosen.workers, iterations=chosen.iterations)
    else:
        in_colors(workers=chosen.workers, iterations=chosen.iterations, hop=chosen.hop)


if __name__ == "__main__":
    main()
