"""A request that bypasses the cache: streamed to the origin and back, in the connection's color."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colorsched.web import framing, rules
from colorsched.web.call import Call
from colorsched.web.status import Forward, cache_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color
    from colorsched.web.cache import Cache
    from colorsched.web.exchange import Exchange
    from colorsched.web.http1 import ResponseHead
    from colorsched.web.messages import Request, Response

    Afterwards = Callable[[Request, Response, float, float], None]
    """Told of the request, a 200 to it, and when each was (epoch seconds)."""


class Passing:
    """One exchange between a client and the origin. Both directions flow at the receiver's pace."""

    __slots__ = ("_afterwards", "_asked_at", "_cache", "_call", "_exchange", "_fwd", "color")

    def __init__(
        self,
        cache: Cache,
        exchange: Exchange,
        fwd: Forward,
        *,
        afterwards: Afterwards | None = None,
    ) -> None:
        """`fwd` says in Cache-Status why it is not answered from the store."""
        self.color: Final[Color] = exchange.connection.color
        self._cache = cache
        self._exchange = exchange
        self._fwd = fwd
        self._afterwards = afterwards
        self._call: Call | None = None
        self._asked_at = 0.0

    def start(self) -> None:
        """Ask the origin."""
        exchange, cache = self._exchange, self._cache
        if exchange.gone:
            return
        self._asked_at = cache.clock()
        head = framing.request_head(
            exchange.request,
            length=exchange.head.length,
            client=exchange.connection.peer,
            host=cache.settings.host,
            fallback=cache.pool.origin.authority,
        )
        self._call = call = Call(self, exchange.request.method, head, exchange.head.length)
        exchange.answerer = self
        cache.pool.call(call)
        exchange.connection.flow_from(exchange, call)

    def client_gone(self, _exchange: Exchange) -> None:
        """Nobody wants the answer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    # The request's body.

    def body_data(self, data: bytes) -> None:
        """A piece of it came from the client."""
        if self._call is not None:
            self._call.send(data)

    def body_end(self) -> None:
        """It is complete."""
        if self._call is not None:
            self._call.finish()

    def origin_ready(self, call: Call) -> None:
        """The origin takes the body."""
        if call is self._call:
            self._exchange.connection.upload_to(self._exchange, self)

    def origin_full(self, call: Call) -> None:
        """The origin takes no more of the body for now."""
        if call is self._call:
            self._exchange.connection.upload_to(self._exchange, None)

    # The response.

    def origin_interim(self, call: Call, head: ResponseHead) -> None:
        """Early hints and the like (RFC 9110 15.2)."""
        if call is self._call:
            raw = framing.interim_head(head.response)
            self._exchange.connection.interim(self._exchange, raw)

    def origin_head(self, call: Call, head: ResponseHead) -> None:
        """The response begins."""
        if call is not self._call:
            return
        exchange, cache, response = self._exchange, self._cache, head.response
        now = cache.clock()
        # First, so that whoever asks after this answer does not get what it made outdated.
        for key in rules.invalidated_keys(exchange.request, response):
            cache.invalidate(key)
        if self._afterwards is not None and response.status == 200:
            self._afterwards(exchange.request, response, self._asked_at, now)
        fields = framing.forwarded_fields(response, length=head.length, now=now)
        if cache.settings.cache_status:
            status = cache_status(framing.NAME, fwd=self._fwd, fwd_status=response.status)
            fields = (*fields, (b"cache-status", status))
        exchange.connection.begin(
            exchange, response.with_fields(fields), head.length, self._fwd.value
        )

    def origin_data(self, call: Call, data: bytes, *, last: bool) -> None:
        """A piece of the response's body."""
        if call is self._call:
            self._exchange.connection.data(self._exchange, data)
            if last:
                self.origin_end(call)

    def origin_end(self, call: Call) -> None:
        """The response is complete."""
        if call is self._call:
            self._call = None
            self._exchange.connection.end(self._exchange)

    def origin_failed(self, call: Call, status: int, why: str) -> None:
        """There is no response, or no whole one."""
        if call is not self._call:
            return
        self._call = None
        exchange = self._exchange
        if exchange.answered:
            exchange.connection.cut(exchange)
        else:
            self._cache.refuse(exchange, status, why, self._fwd)
