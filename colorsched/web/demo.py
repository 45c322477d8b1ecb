"""A demonstration origin: small pages whose caching, size and slowness the query chooses."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from colorsched.web.fields import format_date
from colorsched.web.messages import Response, get, serialize_head

if TYPE_CHECKING:
    from colorsched import Handle
    from colorsched.web.exchange import Exchange

PIECE: Final = 16 * 1024
_LARGEST: Final = 1 << 40
_LONGEST: Final = 3600.0
_HELP: Final = """\
This is colorsched's demonstration origin. Each answer is numbered, so that you see which are new.

  /                    this page, fresh for 60 seconds
  /bytes/N             N bytes, with an ETag
  /stream/N            N bytes, chunked
  /status/N            status N
  any of them with
    ?max-age=S         fresh for S seconds      ?delay=S       answered after S seconds
    ?cache-control=V   Cache-Control: V         ?vary=F        Vary: F
"""


class DemoOrigin:
    """Answers every request. Its only state is the number of requests; colors do not share it."""

    def __init__(self, *, delay: float = 0.0) -> None:
        """`delay` in seconds is added before each answer."""
        self._delay = delay
        self._counts: list[None] = []

    @property
    def requests(self) -> int:
        """How many requests came."""
        return len(self._counts)

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, in its connection's color."""
        self._counts.append(None)  # atomic on every build, unlike adding one
        if not exchange.uploaded:
            exchange.connection.upload_to(exchange, _Upload(self, exchange))
            return
        self.answer(exchange, 0)

    def answer(self, exchange: Exchange, uploaded: int) -> None:
        """The request is complete, with so many bytes of body: answer it when it is time."""
        path, _, query = exchange.request.target.decode("latin-1").partition("?")
        asked = parse_qs(query)
        page = _Page(exchange, path, {name: values[0] for name, values in asked.items()}, uploaded)
        delay = self._delay + min(_number(page.asked.get("delay", "0")), _LONGEST)
        if delay > 0:
            page.send_later(delay, self.requests)
        else:
            page.send(self.requests)


class _Upload:
    """Reads a request's body, and counts it."""

    def __init__(self, origin: DemoOrigin, exchange: Exchange) -> None:
        self._origin = origin
        self._exchange = exchange
        self._size = 0

    def body_data(self, data: bytes) -> None:
        self._size += len(data)

    def body_end(self) -> None:
        self._origin.answer(self._exchange, self._size)


class _Page:
    """One answer."""

    def __init__(self, exchange: Exchange, path: str, asked: dict[str, str], uploaded: int) -> None:
        self.asked = asked
        self._exchange = exchange
        self._path = path
        self._uploaded = uploaded
        self._left = 0
        self._paused = False
        self._sending = False
        self._timer: Handle | None = None

    def send_later(self, delay: float, number: int) -> None:
        self._timer = self._exchange.connection.color.call_later(delay, self.send, number)
        self._exchange.answerer = self

    def client_gone(self, _exchange: Exchange) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def send(self, number: int) -> None:
        kind, _, argument = self._path.strip("/").partition("/")
        size = min(int(_number(argument)), _LARGEST)
        exchange = self._exchange
        fields = [
            (b"date", format_date(time.time())),
            (b"server", b"colorsched-demo"),
            (b"cache-control", self._cache_control()),
            (b"x-request-number", b"%d" % number),
        ]
        if "vary" in self.asked:
            fields.append((b"vary", _token(self.asked["vary"])))
        if kind == "stream":
            fields.append((b"content-type", b"application/octet-stream"))
            self._stream(Response(200, b"OK", tuple(fields)), size, chunked=True)
            return
        if kind == "bytes":
            etag = b'"%d"' % size
            fields.append((b"etag", etag))
            if get(exchange.request.fields, b"if-none-match") == etag:
                head = serialize_head(Response(304, b"Not Modified", tuple(fields)))
                exchange.connection.respond(exchange, 304, head, b"", "-")
                return
            fields.append((b"content-type", b"application/octet-stream"))
            fields.append((b"content-length", b"%d" % size))
            self._stream(Response(200, b"OK", tuple(fields)), size, chunked=False)
            return
        status = size if kind == "status" and 200 <= size <= 599 else 200
        text = f"{_HELP}\nRequest number {number}"
        if exchange.request.method not in {b"GET", b"HEAD"}:
            text = f"{exchange.request.method.decode()}: {self._uploaded} bytes came"
        body = b"" if status in {204, 304} else f"{text}\n".encode("ascii")
        fields.append((b"content-type", b"text/plain; charset=us-ascii"))
        if body:
            fields.append((b"content-length", b"%d" % len(body)))
        head = serialize_head(Response(status, _phrase(status), tuple(fields)))
        exchange.connection.respond(exchange, status, head, body, "-")

    def _cache_control(self) -> bytes:
        if "cache-control" in self.asked:
            return _token(self.asked["cache-control"])
        return b"max-age=%d" % int(_number(self.asked.get("max-age", "60")))

    def _stream(self, response: Response, size: int, *, chunked: bool) -> None:
        connection = self._exchange.connection
        self._left = size
        connection.begin(self._exchange, response, None if chunked else size, "-")
        connection.flow_from(self._exchange, self)
        self._send_on()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._send_on()

    def taken(self, size: int) -> None:
        """It sends no piece before the one before was taken."""

    def _send_on(self) -> None:
        """Send until the client is slow; a piece at a time, so that others get their turn."""
        exchange = self._exchange
        if self._sending or self._paused or exchange.gone:
            return
        if exchange.without_body or not self._left:
            exchange.connection.end(exchange)
            return
        size = min(PIECE, self._left)
        self._left -= size
        self._sending = True
        exchange.connection.data(exchange, b"x" * size)
        self._sending = False
        if not self._paused:
            exchange.connection.color.post(self._send_on)


def _number(text: str) -> float:
    """A number from a query, 0 for what is none or below, at most 2**40."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return min(max(value, 0.0), float(_LARGEST)) if value == value else 0.0  # noqa: PLR0124 - not a number is not itself


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


def _token(text: str) -> bytes:
    return "".join(char for char in text if " " <= char <= "~").encode("ascii")
