"""The admin listener: `/-/stats` tells what the server did and holds, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from colorsched.web import framing
from colorsched.web.fields import format_date

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.web.exchange import Exchange

Answer = tuple[bytes, bytes]


class Admin:
    """Answers GET and HEAD of `/-/stats`. Put its listener where only you can reach it."""

    def __init__(
        self, gather: Callable[[Callable[[dict[str, Any]], None]], None], clock: Callable[[], float]
    ) -> None:
        """`gather(done)` calls `done(figures)`, in whatever color."""
        self._gather = gather
        self._clock = clock

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, in its connection's color."""
        request, connection = exchange.request, exchange.connection
        if request.target.partition(b"?")[0] != b"/-/stats":
            self._plain(exchange, 404, "the one page here is /-/stats")
            return
        if request.method not in {b"GET", b"HEAD"}:
            self._plain(exchange, 405, "read it with GET", b"allow: GET, HEAD\r\n")
            return

        def done(figures: dict[str, Any]) -> None:
            body = json.dumps(figures, indent=2).encode("ascii") + b"\n"
            head = (
                b"HTTP/1.1 200 OK\r\ndate: %b\r\ncontent-type: application/json\r\n"
                b"cache-control: no-store\r\ncontent-length: %d\r\n"
                % (format_date(self._clock()), len(body))
            )
            connection.color.dispatch(connection.respond, exchange, 200, head, body, "-")

        self._gather(done)

    def _plain(self, exchange: Exchange, status: int, why: str, extra: bytes = b"") -> None:
        head, body = framing.plain(status, why, now=self._clock(), extra=extra)
        exchange.connection.respond(exchange, status, head, body, "-")
