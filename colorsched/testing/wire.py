"""One end of a simulated connection: an asyncio transport whose bytes travel as callbacks."""

from __future__ import annotations

import asyncio
import errno
from asyncio import protocols, transports
from collections import deque
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colorsched.aio.loop import ColorLoop
    from colorsched.testing.network import Network

#: What travels besides bytes.
EOF, RESET = "end of file", "reset"


class Parcel:
    """What travels: some bytes, or ``EOF``, or ``RESET``."""

    __slots__ = ("arrived", "content")

    def __init__(self, content: bytes | str) -> None:
        self.content = content
        self.arrived = False


class SimTransport(transports._FlowControlMixin, asyncio.Transport):
    """One end of a connection that a :class:`~colorsched.testing.network.Network` made.

    What is written counts as buffered until the other end's protocol has it; beyond the limits
    (``set_write_buffer_limits``) the protocol is told to pause.
    """

    peer: SimTransport

    def __init__(
        self, loop: ColorLoop, network: Network, names: frozenset[Hashable], sockname: Any
    ) -> None:
        super().__init__({"sockname": sockname}, loop)
        self.loop = loop
        self.network = network
        self.names = names
        """What this end goes by in ``Network.partition``."""
        self.inbox: deque[Parcel] = deque()
        self._context = copy_context()
        self._protocol: Any = None
        self._unread = 0
        self._paused = False
        self._made = False
        self._eof_sent = False
        self._closing = False
        self._lost = False
        self.on_lost: Any = None
        """Called when the connection is lost."""

    def __repr__(self) -> str:
        ends = f"{self.get_extra_info('sockname')} - {self.get_extra_info('peername')}"
        return f"<SimTransport {ends}{' closing' if self._closing else ''}>"

    def start(self, protocol: asyncio.BaseProtocol) -> None:
        """Give it to a protocol, in the color: now bytes are delivered."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._made = True
        if self.inbox:
            self.loop.call_soon(self._deliver, context=self._context)

    # -- asyncio's transports ---------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As asyncio's."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """As asyncio's."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """As asyncio's."""
        return self._closing

    def is_reading(self) -> bool:
        """As asyncio's."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """As asyncio's."""
        self._paused = True

    def resume_reading(self) -> None:
        """As asyncio's."""
        if self._paused and not self._closing:
            self._paused = False
            self.loop.call_soon(self._deliver, context=self._context)

    def get_write_buffer_size(self) -> int:
        """How many bytes the other end's protocol has not got yet."""
        return self._unread

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As asyncio's."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes, a bytearray or a memoryview, not {data!r}")
        if self._eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        content = bytes(data)
        if not content or self._closing:
            return
        self._unread += len(content)
        self.network.carry(self, content)
        self._maybe_pause_protocol()  # type: ignore[attr-defined]  # not in typeshed

    def can_write_eof(self) -> bool:
        """Half of the connection can be closed."""
        return True

    def write_eof(self) -> None:
        """As asyncio's."""
        if not self._closing and not self._eof_sent:
            self._eof_sent = True
            self.network.carry(self, EOF)

    def close(self) -> None:
        """As asyncio's: what was written still arrives."""
        if not self._closing:
            self.write_eof()
            self.lose(None)

    def abort(self) -> None:
        """As asyncio's: the other end sees a reset."""
        if not self._lost:
            self.network.carry(self, RESET)
            self.lose(None)

    # -- what happens to it -----------------------------------------------------------------------

    def arrive(self, parcel: Parcel) -> None:
        """A parcel is here: a callback of this end's color."""
        parcel.arrived = True
        self._deliver()

    def _deliver(self) -> None:
        inbox = self.inbox
        while self._made and inbox and inbox[0].arrived and not self._paused:
            content = inbox.popleft().content
            if isinstance(content, bytes):
                content = self.network.join(content, inbox)
                self.peer.consumed(len(content))
                if self._closing:
                    if not self.peer._lost:
                        self.network.carry(self, RESET)  # as a kernel does that nobody reads from
                    inbox.clear()
                    return
            elif self._closing:
                continue
            try:
                self._feed(content)
            except Exception as error:  # noqa: BLE001 - as of asyncio's transports, whatever it is
                self._fail(error)

    def _feed(self, content: bytes | str) -> None:
        protocol = self._protocol
        if content is RESET:
            self.lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        elif content is EOF:
            if not protocol.eof_received():
                self.close()
        elif isinstance(protocol, asyncio.BufferedProtocol):
            protocols._feed_data_to_buffered_proto(protocol, content)  # type: ignore[attr-defined]  # not in typeshed
        else:
            protocol.data_received(content)

    def _fail(self, error: Exception) -> None:
        message = "Fatal error: the protocol failed on what it received."
        self.loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )
        if not self._lost:
            self.network.carry(self, RESET)
            self.lose(error)

    def consumed(self, count: int) -> None:
        """The other end has got so many bytes."""
        self._unread -= count
        if self._protocol_paused:  # type: ignore[attr-defined]  # not in typeshed
            self.loop.call_soon(self._maybe_resume_protocol, context=self._context)  # type: ignore[attr-defined]  # not in typeshed

    def lose(self, error: Exception | None) -> None:
        """The connection is over at this end; its protocol is told in a callback of its own."""
        if self._lost:
            return
        self._closing = self._lost = True
        self.loop.call_soon(partial(self._tell_lost, error), context=self._context)

    def _tell_lost(self, error: Exception | None) -> None:
        self.network.ends.pop(self, None)
        try:
            if self._protocol is not None:
                self._protocol.connection_lost(error)
        finally:
            if self.on_lost is not None:
                self.on_lost(self)
