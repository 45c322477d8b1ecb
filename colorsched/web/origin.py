"""Connections to the origin: one color and one asyncio protocol each, kept alive in a pool.

A `Call` is one request to the origin. Its answer goes to a `Receiver` by callbacks in the
receiver's color, dispatched, so that they cost no queue hop when that color is idle.

Which calls use a pooled connection: those that may be repeated (idempotent, without a body), since
a server may close an idle connection at any moment, and the request that crosses this is lost.
They are repeated once on a new connection. All others open a new one, which joins the pool after.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from colorsched.web.http1 import Limits, MessageError, ResponseHead
from colorsched.web.reader import END, End, ResponseReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color, ColorFuture
    from colorsched.web.call import Call
    from colorsched.web.config import Origin, Timeouts

READ_SIZE: Final = 64 * 1024
WINDOW: Final = 512 * 1024
"""Bytes of a response on their way to its receiver at once, beyond which reading pauses."""
_TOO_SLOW: Final = "the origin took too long"


class Pool:
    """All connections to the one origin. Thread-safe: each step is one atomic operation."""

    def __init__(
        self,
        origin: Origin,
        *,
        color: Callable[[Any], Color],
        limits: Limits,
        timeouts: Timeouts,
        keep: int = 64,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`color` makes colors; at most about `keep` idle connections stay open.

        `context` is for https; the default verifies the origin's certificate.
        """
        self.origin: Final = origin
        self.limits: Final = limits
        self.timeouts: Final = timeouts
        self.context: Final = (context or ssl.create_default_context()) if origin.tls else None
        self._color = color
        self._keep = keep
        self._made = 0
        self._idle: dict[OriginConnection, None] = {}
        self._all: dict[OriginConnection, None] = {}
        self._closed = False

    def call(self, call: Call) -> None:
        """Send a request."""
        connection = self._take() if call.repeatable else None
        if connection is None:
            self._made += 1
            connection = OriginConnection(self, self._color(("origin", object())))
        call.connection = connection
        connection.color.dispatch(connection.start, call)

    def _take(self) -> OriginConnection | None:
        try:
            return self._idle.popitem()[0]  # the last one used: the likeliest to be alive
        except KeyError:
            return None

    def give_back(self, connection: OriginConnection) -> bool:
        """Keep an idle connection; False if there are enough: then it is to be closed."""
        if self._closed or len(self._idle) >= self._keep:
            return False
        self._idle[connection] = None
        return True

    def remember(self, connection: OriginConnection) -> None:
        """A connection is in use: watch over its deadline."""
        self._all[connection] = None

    def forget(self, connection: OriginConnection) -> None:
        """A connection is closed."""
        self._idle.pop(connection, None)
        self._all.pop(connection, None)

    def take_out(self, connection: OriginConnection) -> bool:
        """Take out this very connection; False if it is not idle, or somebody was faster."""
        return self._idle.pop(connection, self) is None

    def expire(self, now: float) -> None:
        """Tell those whose deadline has passed. `now` by the monotonic clock."""
        for connection in self._all.copy():
            if connection.deadline <= now:
                connection.color.post(connection.expired)

    def close(self) -> None:
        """Close all that is idle, and what becomes idle from now on."""
        self._closed = True
        for connection in self._all.copy():
            connection.color.post(connection.close_idle)

    def stats(self) -> dict[str, int]:
        """Connections open, idle, held up by slow clients, and made since the start."""
        return {
            "open": len(self._all),
            "idle": len(self._idle),
            "paused": sum(connection.paused for connection in self._all.copy()),
            "made": self._made,
        }


class OriginConnection(asyncio.BufferedProtocol):
    """One connection to the origin. All methods run in its color.

    It reads into a buffer of its own and copies: the pieces are then as large as what came. The
    256 KiB that asyncio would allocate for each read are freed on other threads, and free-threaded
    builds keep many of them.
    """

    def __init__(self, pool: Pool, color: Color) -> None:
        """Connects when its first call starts."""
        self.color: Final = color
        self.deadline = inf
        """When `expired` is to be called, by the monotonic clock. Others read it."""
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._reader = ResponseReader(pool.limits)
        self._buffer: memoryview | None = None
        self._call: Call | None = None
        self._used = False
        self._answered = False
        self._persistent = False
        self._sent = False
        self._full = False
        """Whether the origin takes no more of the request's body for now."""
        self._ahead = 0
        """Bytes of the response that were told to the receiver and not confirmed yet."""
        self.paused = False
        """Whether it reads nothing just now, as whoever gets the answer is slow. Others read it."""
        self._connecting: ColorFuture[None] | None = None

    def start(self, call: Call) -> None:
        """Send `call`, on the standing connection if there is one."""
        self._pool.remember(self)
        self._call = call
        self._answered = False
        self._sent = call.length == 0
        self.paused = False
        self._full = False
        self._ahead = 0
        if self._transport is None:
            self._connect()
        else:
            self._send_head()

    def pause(self, call: Call) -> None:
        """Stop reading."""
        if call is self._call and not self.paused:
            self.paused = True
            self._hold()

    def resume(self, call: Call) -> None:
        """Read on."""
        if call is self._call and self.paused:
            self.paused = False
            self._go_on()

    def taken(self, call: Call, size: int) -> None:
        """The receiver has handed on so many bytes."""
        if call is self._call:
            behind = self._ahead > WINDOW
            self._ahead -= size
            if behind and self._ahead <= WINDOW:
                self._go_on()

    def _hold(self) -> None:
        self.deadline = inf
        if self._transport is not None:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self.paused or self._ahead > WINDOW:
            return
        self._await_bytes()
        if self._transport is not None:
            self._transport.resume_reading()
        self._advance()

    def cancel(self, call: Call) -> None:
        """Drop the call, and with it the connection: the rest of its answer would be in the way."""
        if call is self._call:
            self._call = None
            self._drop()

    def send(self, call: Call, framed: bytes) -> None:
        """A piece of the request's body, framed."""
        if call is self._call and self._transport is not None:
            self._transport.write(framed)
            if self._full:
                self._await_bytes()
            else:
                self.deadline = inf  # it waits for the client, whose own time limit watches

    def caught_up(self, call: Call) -> None:
        """All of the body that was queued for us has been sent."""
        if call is self._call and self._transport is not None and not self._full:
            call.receiver.color.dispatch(call.receiver.origin_ready, call)

    def finish(self, call: Call, last: bytes) -> None:
        """The end of the request's body."""
        if call is self._call and self._transport is not None:
            self._sent = True
            self._await_bytes()
            if last:
                self._transport.write(last)

    def expired(self) -> None:
        """The deadline has passed, unless it moved meanwhile."""
        if time.monotonic() >= self.deadline:
            self._fail(504, _TOO_SLOW)

    def close_idle(self) -> None:
        """Close, unless a call is under way."""
        if self._call is None and self._pool.take_out(self):
            self._drop()

    # Connecting.

    def _connect(self) -> None:
        self._used = False
        self.deadline = time.monotonic() + self._pool.timeouts.connect
        self._connecting = self.color.spawn(self._open())

    async def _open(self) -> None:
        origin = self._pool.origin
        call = self._call
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self,
                origin.host,
                origin.port,
                ssl=self._pool.context,
                server_hostname=origin.host if origin.tls else None,
            )
        # Refused, unreachable, no such host, certificates; and names that can be no host's.
        except (OSError, UnicodeError) as error:
            if self._call is call:
                self._fail(502, f"no connection to the origin: {_words(error)}")

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._connecting = None
        self._transport = transport
        self._reader = ResponseReader(self._pool.limits)
        if self._call is None:
            self._drop()
            return
        if self.paused:
            transport.pause_reading()
        self._send_head()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(READ_SIZE))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of a response."""
        assert self._buffer is not None
        data = bytes(self._buffer[:nbytes])
        if self._call is None:
            # Nothing was asked: the origin says farewell (408), or talks out of turn.
            self._pool.take_out(self)
            self._drop()
            return
        self._await_bytes()
        self._reader.feed(data)
        self._advance()

    def eof_received(self) -> bool:
        """The origin sends no more; the transport closes itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._transport = None
        call = self._call
        if call is None:
            self._pool.forget(self)
            return
        whole = exc is None and self._reader.feed_eof()
        self.paused = False  # nothing more can come: what is here already goes out
        self._advance()
        if whole or self._call is not call:
            return
        if self._used and not self._answered and not self._reader.buffered and call.repeatable:
            self._connect()  # it was closed while it lay idle: once more, on a new one
        else:
            self._fail(502, "the origin closed the connection" if exc is None else _words(exc))

    def pause_writing(self) -> None:
        """The origin takes the request's body slowly."""
        self._full = True
        if self._call is not None:
            self._call.receiver.color.dispatch(self._call.receiver.origin_full, self._call)

    def resume_writing(self) -> None:
        """It has taken most of what waited."""
        self._full = False
        if not self._sent:
            self.deadline = inf
        if self._call is not None:
            self._call.receiver.color.dispatch(self._call.receiver.origin_ready, self._call)

    # The exchange.

    def _send_head(self) -> None:
        call, transport = self._call, self._transport
        assert call is not None
        assert transport is not None
        self._reader.expect(call.method)
        self._await_bytes()
        transport.write(call.head)
        if call.length != 0:
            self.deadline = inf  # the client's own time limit watches over its body
            call.receiver.color.dispatch(call.receiver.origin_ready, call)

    def _await_bytes(self) -> None:
        self.deadline = time.monotonic() + self._pool.timeouts.origin

    def _advance(self) -> None:
        """Hand on what has arrived."""
        call = self._call
        if call is None or self.paused:
            return
        events, error = self._pull_all()
        if events and events[-1] is END:
            # Free before it is told: whoever hears of the answer may ask again at once.
            self._settle()
        self._tell(call, events)
        if error is not None:
            self._fail(error.status, error.why)
        elif self._call is call and self._ahead > WINDOW:
            self._hold()

    def _tell(self, call: Call, events: list[ResponseHead | bytes | End]) -> None:
        color, receiver = call.receiver.color, call.receiver
        final = -1
        if len(events) > 1 and events[-1] is END and isinstance(events[-2], bytes):
            events.pop()
            final = len(events) - 1
        for at, event in enumerate(events):
            if isinstance(event, bytes):
                self._ahead += len(event)
                told = partial(receiver.origin_data, last=at == final)
                color.dispatch(told, call, event)
            elif not isinstance(event, ResponseHead):
                color.dispatch(receiver.origin_end, call)
            elif event.response.status >= 200:
                color.dispatch(receiver.origin_head, call, event)
            elif event.response.status != 100:  # the client's expectation was answered here
                color.dispatch(receiver.origin_interim, call, event)

    def _pull_all(self) -> tuple[list[ResponseHead | bytes | End], MessageError | None]:
        """What has arrived of this one response, and the error behind it if there is one."""
        events: list[ResponseHead | bytes | End] = []
        try:
            while (event := self._reader.pull()) is not None:
                if isinstance(event, ResponseHead):
                    if event.response.status == 101:
                        raise MessageError(502, "the origin switched protocols, unasked")
                    self._answered = event.response.status >= 200
                    self._persistent = event.persistent
                events.append(event)
                if event is END:
                    break
        except MessageError as error:
            return events, error
        return events, None

    def _settle(self) -> None:
        """The call is answered: back into the pool, or closed."""
        self._call = None
        self.deadline = inf
        self._used = True
        reusable = (
            self._persistent
            and self._sent
            and not self._reader.buffered
            and self._transport is not None
            and not self._transport.is_closing()
        )
        self._buffer = None  # idle connections keep none
        if not reusable or not self._pool.give_back(self):
            self._drop()

    def _fail(self, status: int, why: str) -> None:
        call, self._call = self._call, None
        self.deadline = inf
        self._drop()
        if call is not None:
            call.receiver.color.dispatch(call.receiver.origin_failed, call, status, why)

    def _drop(self) -> None:
        self.deadline = inf
        self._pool.forget(self)
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._transport is not None:
            self._transport.abort()


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
