"""What goes on the wire: heads of forwarded requests and responses, chunks, short error answers.

Pure functions (RFC 9112, RFC 9110 7.6); nothing here knows connections.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from colorsched.web.fields import format_date
from colorsched.web.hops import end_to_end
from colorsched.web.http1 import UNTIL_CLOSE
from colorsched.web.keys import normalized_authority
from colorsched.web.messages import (
    Response,
    get,
    get_all,
    serialize_fields,
    serialize_head,
    without,
)

if TYPE_CHECKING:
    from colorsched.web.messages import Fields, Request

NAME: Final = "colorsched"
"""What this server calls itself in Via and Cache-Status."""

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE: Final = b"connection: close\r\n"
KEEP_ALIVE: Final = b"connection: keep-alive\r\n"

_FRAMING: Final = frozenset({b"content-length", b"expect", b"host", b"via"})
_WITH_CONTENT: Final = frozenset({b"POST", b"PUT", b"PATCH"})


def chunk(data: bytes) -> bytes:
    """`data`, which is not empty, as one chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def connection_line(*, persistent: bool, version: tuple[int, int]) -> bytes:
    """The Connection field a response needs for this client, or nothing (RFC 9112 9.3)."""
    if not persistent:
        return CLOSE
    return KEEP_ALIVE if version < (1, 1) else b""


def request_head(
    request: Request, *, length: int | None, client: str, host: bytes | None, fallback: bytes
) -> bytes:
    """The head of `request` as it goes to the origin, with its empty line.

    `length` frames the body (None: chunked). `client` is the peer's address for X-Forwarded-For.
    Host is `host`, or the client's as the key has it, or `fallback` where an old client sent none.
    Hop-by-hop fields are left out; Via is added (RFC 9110 7.6.3, as it must be), X-Forwarded-For
    is extended, X-Forwarded-Proto and -Host are kept if a proxy before this one has set them.
    """
    fields = without(end_to_end(request.fields), _FRAMING)
    authority = normalized_authority(request)
    lines = [
        b"%b %b HTTP/1.1\r\nhost: %b\r\n"
        % (request.method, request.target, host or authority or fallback)
    ]
    forwarded = b", ".join([*get_all(fields, b"x-forwarded-for"), client.encode("ascii")])
    lines.append(serialize_fields(without(fields, {b"x-forwarded-for"})))
    lines.append(b"x-forwarded-for: %b\r\n" % forwarded)
    if get(fields, b"x-forwarded-proto") is None:
        lines.append(b"x-forwarded-proto: http\r\n")
    if get(fields, b"x-forwarded-host") is None and authority:
        lines.append(b"x-forwarded-host: %b\r\n" % authority)
    via = [*get_all(request.fields, b"via"), b"%d.%d %b" % (*request.version, NAME.encode())]
    lines.append(b"via: %b\r\n" % b", ".join(via))
    if length is None:
        lines.append(b"transfer-encoding: chunked\r\n")
    elif length or request.method in _WITH_CONTENT:
        lines.append(b"content-length: %d\r\n" % length)
    lines.append(b"\r\n")
    return b"".join(lines)


def forwarded_fields(response: Response, *, length: int | None, now: float) -> Fields:
    """The fields of an origin's response as they go on to a client, less those of its framing.

    Date is added where the origin sent none (RFC 9110 6.6.1). Content-Length stays if it was the
    framing or describes what HEAD or 304 left out; with 204 it is forbidden (RFC 9110 8.6).
    """
    fields = end_to_end(response.fields)
    if length is None or length == UNTIL_CLOSE or response.status == 204:
        fields = without(fields, {b"content-length"})
    elif length and get(fields, b"content-length") is None:  # named by Connection, and needed
        fields += ((b"content-length", b"%d" % length),)
    if get(fields, b"date") is None:
        fields += ((b"date", format_date(now)),)
    return fields


def interim_head(response: Response) -> bytes:
    """An interim response (1xx) as it goes on to a client: end-to-end fields, and no framing."""
    fields = without(end_to_end(response.fields), {b"content-length"})
    return serialize_head(response.with_fields(fields)) + b"\r\n"


def plain(status: int, why: str, *, now: float, extra: bytes = b"") -> tuple[bytes, bytes]:
    """(head without its empty line, body): an answer of our own, in one line of text."""
    phrase = HTTPStatus(status).phrase
    body = f"{status} {phrase}: {why}\n".encode("ascii", "replace")
    head = (
        b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: text/plain; charset=us-ascii\r\n"
        b"content-length: %d\r\n%b"
        % (status, phrase.encode("ascii"), format_date(now), len(body), extra)
    )
    return head, body
