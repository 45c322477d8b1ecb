"""A client socket's transport, straight over a color's readers and writers.

It offers what asyncio's transports offer, as far as the server uses it, at a third of their cost in
time and memory: a connection that is idle has no event loop, no buffers and no queue. What it
calls is an `asyncio.Protocol` in all but the base class. Use it in its color only.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colorsched import Color

READ_SIZE: Final = 64 * 1024
HIGH_WATER: Final = 64 * 1024
"""Bytes waiting to be sent above which the protocol is told to pause."""
LOW_WATER: Final = 16 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: close() then drops what was not sent, and resets."""


class SocketProtocol(Protocol):
    """What the transport calls, as in `asyncio.Protocol`."""

    def data_received(self, data: bytes) -> None:
        """Bytes came."""

    def eof_received(self) -> None:
        """The peer sends no more."""

    def connection_lost(self, error: OSError | None) -> None:
        """The last call: the socket is closed."""

    def pause_writing(self) -> None:
        """More than `HIGH_WATER` bytes wait to be sent."""

    def resume_writing(self) -> None:
        """Fewer than `LOW_WATER` bytes wait again."""


class SocketTransport:
    """A connected, non-blocking socket; calls its protocol until `connection_lost`."""

    __slots__ = (
        "_closing", "_color", "_fd", "_finishing", "_pending", "_protocol", "_reading", "_sock",
        "paused", "progress", "waiting",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, color: Color, protocol: SocketProtocol) -> None:
        """`sock` belongs to the transport from now on. Reads at once."""
        self._sock: socket.socket | None = sock
        self._fd = sock.fileno()
        self._color = color
        self._protocol = protocol
        self._pending: deque[memoryview | bytes] | None = None
        self.waiting = 0
        """Bytes that wait to be sent."""
        self.progress = 0
        """Grows whenever the peer takes some of what waited."""
        self.paused = False
        """Whether the protocol was told to pause, and not to resume yet."""
        self._closing = False
        self._finishing = False
        self._reading = True
        color.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        """Send `data`, at once as far as the socket takes it."""
        sock = self._sock
        if sock is None or self._closing or not data:
            return
        if self._pending is not None:
            self._keep(data)
            return
        try:
            sent = sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._fail(error)
            return
        if sent != len(data):
            self._keep(memoryview(data)[sent:])

    def write_parts(self, parts: Sequence[bytes]) -> None:
        """Send several pieces in one go."""
        sock = self._sock
        if sock is None or self._closing:
            return
        sent = 0
        if self._pending is None:
            try:
                sent = sock.sendmsg(parts)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._fail(error)
                return
        for part in parts:
            if sent >= len(part):
                sent -= len(part)
            else:
                self._keep(memoryview(part)[sent:])
                sent = 0

    def pause_reading(self) -> None:
        """Call no `data_received` until `resume_reading`."""
        if self._reading:
            self._reading = False
            self._color.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reading and self._sock is not None and not self._closing:
            self._reading = True
            self._color.add_reader(self._fd, self._readable)

    def finish_writing(self) -> None:
        """Send what waits, then the end of the stream, and go on reading. Write nothing after."""
        self._finishing = True
        if self._pending is None:
            self._shutdown()

    def close(self) -> None:
        """Send what waits, then close."""
        if self._sock is None or self._closing:
            return
        self._closing = True
        self.pause_reading()
        if self._pending is None:
            self._lose(None)

    def abort(self) -> None:
        """Reset the connection; what waits is dropped, by the system too."""
        if self._sock is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._fail(None)

    def _shutdown(self) -> None:
        if self._sock is None:
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail(error)

    def _readable(self) -> None:
        sock = self._sock
        if sock is None or not self._reading:
            return
        try:
            data = sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self.pause_reading()
            self._protocol.eof_received()

    def _keep(self, data: memoryview | bytes) -> None:
        if self._pending is None:
            self._pending = deque()
            self._color.add_writer(self._fd, self._writable)
        self._pending.append(data)
        self.waiting += len(data)
        if self.waiting > HIGH_WATER and not self.paused:
            self.paused = True
            self._protocol.pause_writing()

    def _writable(self) -> None:
        sock, pending = self._sock, self._pending
        if sock is None or pending is None:
            return
        try:
            # As much as one call takes; 64 pieces are far below what the system allows.
            sent = sock.sendmsg([pending[at] for at in range(min(64, len(pending)))])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        self.waiting -= sent
        self.progress += sent
        while sent:
            piece = pending.popleft()
            if len(piece) > sent:
                pending.appendleft(memoryview(piece)[sent:])
                break
            sent -= len(piece)
        if not pending:
            self._pending = None
            self._color.remove_writer(self._fd)
            if self._closing:
                self._lose(None)
                return
            if self._finishing:
                self._shutdown()
        if self.paused and self.waiting < LOW_WATER:
            self.paused = False
            self._protocol.resume_writing()

    def _fail(self, error: OSError | None) -> None:
        if self._sock is None:
            return
        self._closing = True
        self.pause_reading()
        if self._pending is not None:
            self._pending = None
            self._color.remove_writer(self._fd)
        self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        sock = self._sock
        if sock is None:
            return
        self._sock = None
        sock.close()
        # Posted, not called: whoever wrote is never told of the loss in the middle of its work.
        self._color.post(self._protocol.connection_lost, error)
