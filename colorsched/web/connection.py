"""A client's connection: reads requests, one at a time and in order, and writes their answers.

It is a color. It knows HTTP/1.1 framing, limits and time limits, and hands each request to a
handler (the cache, the admin page, the demonstration origin), which answers it by `respond`, or by
`begin`, `data` and `end`. The next request is looked at when the answer before it is complete, so
pipelined requests are answered in order, and what they may occupy is bounded by what is read ahead.
"""

from __future__ import annotations

import time
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Final, Protocol

from colorsched.web import framing
from colorsched.web.exchange import Exchange
from colorsched.web.http1 import UNTIL_CLOSE, MessageError, RequestHead
from colorsched.web.messages import serialize_head
from colorsched.web.reader import RequestReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color
    from colorsched.web.exchange import Flow, Uploader
    from colorsched.web.heads import Known, Ready
    from colorsched.web.messages import Response
    from colorsched.web.site import Site
    from colorsched.web.transport import SocketTransport

_CLIENT_GONE: Final = 499
"""What the log says, as nginx's does, where a client went away before its answer began."""
READ_AHEAD: Final = 64 * 1024
"""Bytes kept unread of what a client sends ahead before its socket is left alone."""


class Handler(Protocol):
    """Who answers requests. Called in the connection's color."""

    def handle(self, exchange: Exchange) -> None:
        """Answer it, now or later."""


class ClientConnection:
    """One client, from its acceptance to its loss. Use it in its color only."""

    __slots__ = (
        "_busy", "_expire", "_in_advance", "_leaving", "_lingering", "_progress", "_reader",
        "_site", "_started", "_transport", "color", "deadline", "inside", "peer", "quick_answer",
    )  # fmt: skip

    def __init__(self, site: Site, color: Color, peer: str) -> None:
        self.color: Final = color
        self.peer: Final = peer
        self.deadline = inf
        """When `expired` is to be called, by the monotonic clock. Others read it."""
        self.inside = 0
        """The thread that is in a dispatch of ours, to tell that a caller is inside our turn."""
        self.quick_answer: bool | None = None
        self._site = site
        self._transport: SocketTransport | None = None
        self._reader: RequestReader | None = None
        self._busy: Exchange | Known | None = None
        self._started = 0.0
        self._expire: Callable[[ClientConnection], None] = ClientConnection._close
        self._progress = 0
        self._in_advance = False
        self._leaving = False
        self._lingering = False

    @property
    def buffered(self) -> int:
        """Bytes that the client sent ahead and that wait here. Any color."""
        reader = self._reader
        return 0 if reader is None else reader.buffered

    @property
    def unsent(self) -> int:
        """Bytes of answers that the client has not taken yet. Any color."""
        transport = self._transport
        return 0 if transport is None else transport.waiting

    def start(self, transport: SocketTransport) -> None:
        """The connection stands."""
        self._transport = transport
        self._await_request()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._lingering:
            return
        site, transport = self._site, self._transport
        assert transport is not None
        if (
            self._busy is None
            and not transport.paused
            and (self._reader is None or self._reader.between_messages)
        ):
            self._started = time.monotonic()
            try:
                known = site.heads.find(data)
            except MessageError as error:
                self._refuse(error)
                return
            if known is not None:
                self._take(known)
                return
        if self._reader is None:
            self._reader = RequestReader(site.limits)
        self._reader.feed(data)
        self._advance()

    def eof_received(self) -> None:
        """The client is gone, or has closed its half: both end the connection, as in nginx."""
        self._drop_exchange()
        self._close()

    def connection_lost(self, _error: OSError | None) -> None:
        """The socket is closed."""
        self._transport = None
        self.deadline = inf
        self._drop_exchange()
        self._site.gone(self)

    def pause_writing(self) -> None:
        """The client takes the answer slower than it comes."""
        self._watch_writing()
        if isinstance(self._busy, Exchange) and self._busy.flow is not None:
            self._busy.flow.pause()

    def resume_writing(self) -> None:
        """The client has taken most of what waited."""
        if self._lingering:
            return
        self.deadline = inf
        if isinstance(self._busy, Exchange) and self._busy.flow is not None:
            self._busy.flow.resume()
        elif self._busy is None:
            self._await_request()
            self._advance()

    # What the site calls.

    def expired(self) -> None:
        """The deadline has passed, unless it moved meanwhile."""
        if time.monotonic() >= self.deadline:
            self.deadline = inf
            self._expire(self)

    def leave(self) -> None:
        """The server stops: end after the answer under way, or at once if there is none."""
        self._leaving = True
        begun = self._reader is not None and not self._reader.between_messages
        if self._busy is None and not begun and not self._lingering:
            self._close()

    def abort(self) -> None:
        """Cut the connection."""
        self._drop_exchange()
        if self._transport is not None:
            self._transport.abort()

    # Requests.

    def _advance(self) -> None:
        """Take from the reader what can be taken now."""
        if self._in_advance:
            return
        self._in_advance = True
        try:
            while self._step():
                pass
        except MessageError as error:
            self._refuse(error)
        finally:
            self._in_advance = False
        if self._reader is not None and self._transport is not None and not self._lingering:
            if self._reader.buffered > READ_AHEAD:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _step(self) -> bool:
        """Handle one event of the reader; False if there is none, or it cannot be taken yet."""
        reader, busy = self._reader, self._busy
        if reader is None or self._transport is None or self._lingering:
            return False
        if isinstance(busy, Exchange):
            return not busy.uploaded and busy.uploader is not None and self._pull_body(busy, reader)
        if busy is not None:
            return False
        if self._transport.paused:
            return False  # the client takes no answers: it gets no more until it does
        event = reader.pull()
        if event is None:
            if not reader.between_messages and self._expire is not ClientConnection._refuse_slow:
                self._set_deadline(self._site.timeouts.head, ClientConnection._refuse_slow)
            return False
        if not isinstance(event, RequestHead):
            return True  # the end of a request without a body
        self._started = time.monotonic()
        self._take(self._site.heads.make(event))
        return True

    def _pull_body(self, exchange: Exchange, reader: RequestReader) -> bool:
        event = reader.pull()
        uploader = exchange.uploader
        assert uploader is not None
        if event is None:
            self._set_deadline(self._site.timeouts.body, ClientConnection._refuse_slow)
            return False
        self.deadline = inf
        if isinstance(event, bytes):
            uploader.body_data(event)
        else:
            exchange.uploaded = True
            uploader.body_end()
        return True

    def _take(self, known: Known) -> None:
        """Begin with a request."""
        self.deadline = inf
        self._busy = known
        site = self._site
        if site.quick is not None and known.ready is not None and not self._leaving:
            # `quick` answers at once if the key is idle, else it posts its answer to us.
            self.inside = get_ident()
            self.quick_answer = None
            posted = known.color.dispatch(site.quick, self, known)
            self.inside = 0
            if posted is not None or self.quick_answer:
                return
        self.take_slowly(known)

    def take_slowly(self, known: Known) -> None:
        """Hand the request that `_take` began with to the handler."""
        if self._busy is not known:
            return
        exchange = Exchange(self, known, self._started)
        exchange.uploaded = known.head.length == 0
        exchange.without_body = known.head.request.method == b"HEAD"
        self._busy = exchange
        try:
            self._site.handler.handle(exchange)
        except Exception:
            self.failed(exchange)
            raise

    def failed(self, exchange: Exchange) -> None:
        """Whoever worked at the answer broke off by a mistake of ours: the client gets an end."""
        if exchange is self._busy:
            self._refuse(MessageError(500, "the server made a mistake with this request"))

    def upload_to(self, exchange: Exchange, uploader: Uploader | None) -> None:
        """Send the request's body to `uploader` from now on; None: hold it back."""
        if exchange is not self._busy:
            return
        exchange.uploader = uploader
        if exchange.uploaded:
            return
        if uploader is None:
            self.deadline = inf
            return
        waits = exchange.head.expects_continue and not exchange.continued
        if waits and not exchange.answered and self._transport:
            # We answer the expectation ourselves, once the origin is there to take the body.
            exchange.continued = True
            self._transport.write(framing.CONTINUE)
        self._advance()

    # Answers.

    def quick(self, known: Known, ready: Ready, body: bytes | None) -> None:
        """Write `ready` and the `body` behind it. Inside a dispatch of `_take`, or in our color."""
        if self._busy is not known:
            return
        self._busy = None
        transport = self._transport
        assert transport is not None
        if body is None:
            transport.write(ready.wire)
        else:
            transport.write_parts((ready.wire, body))
        now = time.monotonic()
        site = self._site
        site.note_hit(self.peer, known, ready, now - self._started)
        if not known.head.persistent or self._leaving:
            self._close()
            return
        if transport.waiting:
            self._watch_writing()
        else:
            self.deadline = now + site.timeouts.idle
            self._expire = ClientConnection._close
        if self._reader is not None and not self._reader.between_messages:
            self._advance()

    def respond(
        self, exchange: Exchange, status: int, head: bytes, body: bytes, label: str
    ) -> None:
        """Answer with `head`, which lacks its empty line, and the whole `body`."""
        transport = self._transport
        if exchange is not self._busy or transport is None:
            return
        line = self._connection_line(exchange)
        exchange.status, exchange.label, exchange.answered = status, label, True
        if body and not exchange.without_body:
            exchange.sent += len(body)
            transport.write_parts((head + line + b"\r\n", body))
        else:
            transport.write(head + line + b"\r\n")
        self._finish(exchange)

    def interim(self, exchange: Exchange, head: bytes) -> None:
        """Pass on an interim response (1xx), whole, to a client that understands it."""
        if exchange is self._busy and self._transport and exchange.request.version >= (1, 1):
            self._transport.write(head)

    def begin(self, exchange: Exchange, response: Response, length: int | None, label: str) -> None:
        """Begin an answer whose body follows in pieces; `length` as in `ResponseHead`.

        Where the length is not known the body goes out chunked, or, to an HTTP/1.0 client, ends
        with the connection (RFC 9112 6.3).
        """
        if exchange is not self._busy or self._transport is None:
            return
        lines = serialize_head(response)
        exchange.length = length
        if length is None or length == UNTIL_CLOSE:
            if exchange.request.version >= (1, 1):
                lines += b"transfer-encoding: chunked\r\n"
                exchange.chunked = not exchange.without_body
            elif not exchange.without_body:
                self._leaving = True
        exchange.status, exchange.label, exchange.answered = response.status, label, True
        self._transport.write(lines + self._connection_line(exchange) + b"\r\n")

    def data(self, exchange: Exchange, data: bytes) -> None:
        """A piece of the answer's body."""
        if exchange is not self._busy or self._transport is None or exchange.without_body:
            return
        exchange.sent += len(data)
        if exchange.flow is not None:
            exchange.flow.taken(len(data))
        if exchange.chunked:
            self._transport.write_parts((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self._transport.write(data)
            if exchange.sent == exchange.length:
                self._finish(exchange)  # the client may go now: its answer counts as complete

    def end(self, exchange: Exchange) -> None:
        """The answer is complete."""
        if exchange is not self._busy or self._transport is None:
            return
        if exchange.chunked:
            self._transport.write(framing.LAST_CHUNK)
        self._finish(exchange)

    def cut(self, exchange: Exchange) -> None:
        """The answer cannot be completed: close, so that the client sees that it is not whole."""
        if exchange is self._busy:
            exchange.label += ";cut"
            self._account(exchange)
            self._busy = None
            self._close()

    def flow_from(self, exchange: Exchange, flow: Flow) -> None:
        """From now on hold up `flow` while the client is slow."""
        if exchange is self._busy and self._transport is not None:
            exchange.flow = flow
            if self._transport.paused:
                flow.pause()

    def _connection_line(self, exchange: Exchange) -> bytes:
        if self._leaving or not exchange.uploaded:
            return framing.CLOSE
        return framing.connection_line(
            persistent=exchange.head.persistent, version=exchange.request.version
        )

    def _finish(self, exchange: Exchange) -> None:
        """The answer is written: account for it, and go on or close."""
        self._account(exchange)
        self._busy = None
        if not exchange.uploaded:
            self._linger()
        elif self._leaving or not exchange.head.persistent:
            self._close()
        else:
            self._await_request()
            self._advance()

    def _account(self, exchange: Exchange) -> None:
        exchange.unlink()
        self._site.note(self.peer, exchange, time.monotonic() - exchange.started)

    # Ends.

    def _await_request(self) -> None:
        """Between requests: it may be idle for a time, or takes the answers that still wait."""
        if self._transport is not None and self._transport.waiting:
            self._watch_writing()
        else:
            self._set_deadline(self._site.timeouts.idle, ClientConnection._close)

    def _set_deadline(self, seconds: float, expire: Callable[[ClientConnection], None]) -> None:
        # A plain function, not a bound method: that would make a cycle of each connection.
        self.deadline = time.monotonic() + seconds
        self._expire = expire

    def _close(self) -> None:
        """Close when what waits has been taken. What the client sent behind it is not read."""
        self._reader = None
        if self._transport is not None:
            self._transport.close()
            if self._transport.waiting:
                self._watch_writing()

    def _watch_writing(self) -> None:
        """Cut the connection if the client takes nothing for the time allowed."""
        transport = self._transport
        if transport is not None:
            self._progress = transport.progress
            self._set_deadline(self._site.timeouts.write, ClientConnection._look_at_writing)

    def _look_at_writing(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if not transport.waiting:  # it took everything
            if self._lingering:
                transport.close()
            else:
                self._await_request()
        elif transport.progress == self._progress:
            self.abort()
        else:
            self._watch_writing()

    def _refuse_slow(self) -> None:
        self._refuse(MessageError(408, "the request took too long to arrive"))

    def _refuse(self, error: MessageError) -> None:
        """Answer a request that cannot be understood, and close."""
        busy, transport = self._busy, self._transport
        if transport is None:
            return
        if not (isinstance(busy, Exchange) and busy.answered):
            head, body = framing.plain(error.status, error.why, now=time.time())
            transport.write_parts((head + framing.CLOSE + b"\r\n", body))
            if isinstance(busy, Exchange):
                busy.status, busy.sent, busy.answered = error.status, len(body), True
            else:
                self._site.note_refusal(self.peer, error.status, len(body))
        self._drop_exchange("refused")
        self._linger()

    def _linger(self) -> None:
        """Close so that the client can read the answer: its rest is read and dropped for a while.

        Closing a socket with unread bytes resets the connection, and the client's system may then
        throw away the answer with it (RFC 9112 9.6).
        """
        transport = self._transport
        if transport is None or self._lingering:
            return
        self._lingering = True
        self._reader = None
        transport.finish_writing()
        transport.resume_reading()
        self._set_deadline(self._site.timeouts.linger, ClientConnection._end_linger)

    def _end_linger(self) -> None:
        """Close, but never by a reset: what the client has not read yet would be lost with it."""
        transport = self._transport
        if transport is None:
            return
        if transport.waiting:
            self._watch_writing()
        else:
            transport.close()

    def _drop_exchange(self, why: str = "gone") -> None:
        """The request under way is answered no further; `why` goes into the log."""
        busy, self._busy = self._busy, None
        if isinstance(busy, Exchange):
            busy.gone = True
            busy.label = why if busy.label == "-" else f"{busy.label};{why}"
            busy.status = busy.status or _CLIENT_GONE
            answerer = busy.answerer
            self._account(busy)
            if answerer is not None:
                answerer.client_gone(busy)
