"""Incremental readers of one connection's requests or responses: feed bytes, pull events.

Nothing is read ahead of what is pulled, so whoever pulls decides how much is in flight: a client
that pipelines is served one request at a time, and a body flows as fast as its receiver takes it.
A reader belongs to one connection; it knows no sockets and no clocks.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from colorsched.web.http1 import (
    UNTIL_CLOSE,
    Limits,
    MessageError,
    RequestHead,
    ResponseHead,
    check_partial,
    check_trailer,
    parse_request_head,
    parse_response_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?\r\n")
_MAX_CHUNK_LINE: Final = 4096
_COMPACT_ABOVE: Final = 64 * 1024


class End(Enum):
    """The event after a message's last byte."""

    END = "end"


END: Final = End.END


class Buffer:
    """Bytes received and not taken yet. Whole pieces pass through it without a copy."""

    __slots__ = ("_data", "_seen", "_start")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._start = 0
        self._seen = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def append(self, data: bytes) -> None:
        """Put `data` behind what is there."""
        if self._start == len(self._data):
            self._data, self._start, self._seen = data, 0, 0
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        elif self._start > _COMPACT_ABOVE:
            del self._data[: self._start]
            self._seen -= self._start
            self._start = 0
        self._data += data

    def take(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are."""
        end = min(self._start + count, len(self._data))
        piece = bytes(self._data[self._start : end])
        self._start = end
        return piece

    def take_through(self, mark: bytes) -> bytes | None:
        """The bytes up to and with `mark`, or None until it is there; resumes where it looked."""
        at = self._data.find(mark, max(self._start, self._seen - len(mark) + 1))
        if at < 0:
            return None
        return self.take(at + len(mark) - self._start)

    def skip_empty_lines(self) -> None:
        """Drop the line ends that it begins with."""
        while self._data.startswith(b"\r\n", self._start):
            self._start += 2

    def check_partial(self) -> None:
        """Refuse what no line may contain, in what was not looked at yet."""
        check_partial(self._data, max(self._start, self._seen - 1))
        self._seen = len(self._data)

    def has_line(self) -> bool:
        """Whether a whole line is there."""
        return self._data.find(b"\r\n", self._start) >= 0


class _Body:
    """A body of known length, chunked, or up to the end of the connection."""

    __slots__ = ("_in_chunk", "_left", "_limit", "_take", "_trailer", "ended", "until_close")

    def __init__(self, length: int | None, *, trailer: int, limit: int) -> None:
        """`trailer` and `limit` bound the trailer section and the whole body, in bytes."""
        self._limit = limit
        self._left = 0 if length is None else length
        self._in_chunk = False
        self._trailer = trailer
        self.ended = False
        self.until_close = length == UNTIL_CLOSE
        self._take: Callable[[Buffer], bytes | None] = self._take_counted
        if length is None:
            self._take = self._take_chunked
        elif self.until_close:
            self._take = self._take_all
        elif length > limit:
            self._refuse_size()
        else:
            self.ended = length == 0

    def take(self, buffer: Buffer) -> bytes | None:
        """The next piece, or None: look at `ended`, or wait for more bytes."""
        return self._take(buffer)

    def _take_all(self, buffer: Buffer) -> bytes | None:
        return buffer.take(len(buffer)) or None

    def _take_counted(self, buffer: Buffer) -> bytes | None:
        piece = buffer.take(self._left)
        self._left -= len(piece)
        self.ended = self._left == 0
        return piece or None

    def _take_chunked(self, buffer: Buffer) -> bytes | None:
        """RFC 9112 7.1. Extensions are ignored (7.1.1), trailers discarded (6.5.1 of RFC 9110)."""
        while True:
            if self._left:
                piece = buffer.take(self._left)
                self._left -= len(piece)
                return piece or None
            if self._in_chunk:
                if len(buffer) < 2:
                    return None
                if buffer.take(2) != b"\r\n":
                    raise MessageError(400, "a chunk is longer than it says (RFC 9112 7.1)")
                self._in_chunk = False
            line = self._take_line(buffer, _MAX_CHUNK_LINE)
            if line is None:
                return None
            size = _CHUNK_LINE.fullmatch(line)
            if size is None:
                raise MessageError(400, "a chunk's size is malformed (RFC 9112 7.1)")
            self._left = int(size[1], 16)
            if self._left == 0:
                self._take = self._take_trailer
                return self._take_trailer(buffer)
            self._in_chunk = True
            self._limit -= self._left
            if self._limit < 0:
                self._refuse_size()

    def _take_trailer(self, buffer: Buffer) -> bytes | None:
        while not self.ended:
            line = self._take_line(buffer, self._trailer)
            if line is None:
                break
            if line == b"\r\n":
                self.ended = True
                break
            check_trailer(line)
            self._trailer -= len(line)
        return None

    def _take_line(self, buffer: Buffer, limit: int) -> bytes | None:
        line = buffer.take_through(b"\r\n")
        if line is None:
            buffer.check_partial()
        if len(buffer if line is None else line) > limit:
            raise MessageError(400, "a chunk's line is too long")
        return line

    def _refuse_size(self) -> None:
        raise MessageError(413, "the body is larger than is accepted")


class RequestReader:
    """A client's side of a connection (RFC 9112). After MessageError it must not be used again."""

    __slots__ = ("_body", "_buffer", "_limits")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = Buffer()
        self._body: _Body | None = None

    def feed(self, data: bytes) -> None:
        """Hand over what arrived."""
        self._buffer.append(data)

    @property
    def buffered(self) -> int:
        """Bytes fed and not pulled yet."""
        return len(self._buffer)

    @property
    def between_messages(self) -> bool:
        """Whether no message has begun: nothing is buffered, and no body is unfinished."""
        return self._body is None and not self._buffer

    def pull(self) -> RequestHead | bytes | End | None:
        """The next event: a head, pieces of its body, END; None until more is fed.

        Raises MessageError, with the status to answer.
        """
        body = self._body
        if body is None:
            return self._pull_head()
        piece = None if body.ended else body.take(self._buffer)
        if piece is None and body.ended:
            self._body = None
            return END
        return piece

    def _pull_head(self) -> RequestHead | None:
        buffer = self._buffer
        buffer.skip_empty_lines()  # RFC 9112 2.2
        raw = buffer.take_through(b"\r\n\r\n")
        limits = self._limits
        if raw is None:
            buffer.check_partial()
            if len(buffer) > limits.request_line:
                if not buffer.has_line():
                    raise MessageError(414, "the request line is too long")
                if len(buffer) > limits.request_line + limits.fields:
                    raise MessageError(431, "the header fields are too large")
            return None
        line = raw.find(b"\r\n")
        if line > limits.request_line:
            raise MessageError(414, "the request line is too long")
        if len(raw) - line > limits.fields:
            raise MessageError(431, "the header fields are too large")
        head = parse_request_head(raw)
        self._body = _Body(head.length, trailer=limits.fields, limit=limits.body)
        return head


class ResponseReader:
    """An origin's side of a connection. `expect` each response before its bytes are pulled."""

    __slots__ = ("_body", "_buffer", "_limits", "_method")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = Buffer()
        self._body: _Body | None = None
        self._method = b""

    def expect(self, method: bytes) -> None:
        """The next head answers a request of `method`, which decides whether it has a body."""
        self._method = method

    def feed(self, data: bytes) -> None:
        """Hand over what arrived."""
        self._buffer.append(data)

    @property
    def buffered(self) -> int:
        """Bytes fed and not pulled yet."""
        return len(self._buffer)

    def feed_eof(self) -> bool:
        """The connection ended; returns whether that was the proper end of the current body."""
        body = self._body
        if body is None or not body.until_close:
            return False
        body.ended = True
        return True

    def pull(self) -> ResponseHead | bytes | End | None:
        """The next event: interim heads (1xx), the head, pieces of its body, END; or None.

        Raises MessageError with status 502.
        """
        try:
            return self._pull()
        except MessageError as error:
            raise MessageError(502, f"the origin's response is malformed: {error.why}") from None

    def _pull(self) -> ResponseHead | bytes | End | None:
        body = self._body
        if body is None:
            return self._pull_head()
        piece = None if body.ended else body.take(self._buffer)
        if piece is None and body.ended:
            self._body = None
            return END
        return piece

    def _pull_head(self) -> ResponseHead | None:
        buffer = self._buffer
        raw = buffer.take_through(b"\r\n\r\n")
        limit = self._limits.fields
        if raw is None:
            buffer.check_partial()
        if len(buffer if raw is None else raw) > limit:
            raise MessageError(502, "the head is too large")
        if raw is None:
            return None
        head = parse_response_head(raw, method=self._method)
        if head.response.status >= 200:
            self._body = _Body(head.length, trailer=limit, limit=_NO_LIMIT)
        return head


_NO_LIMIT: Final = 1 << 62
