"""Message heads of HTTP/1.1, parsed by httptools inside a strict grammar (RFC 9112 2 to 6).

httptools (llhttp) reads the head. It cannot be paused, cannot be told that the answer to HEAD has
no body, and tolerates a few things that have been used to smuggle requests. So a whole head is cut
out and must match RFC 9112's grammar before the parser sees it, and the framing of the body is
decided here, by the rules of RFC 9112 6.3. Pure functions of bytes: any thread may call them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httptools
from attrs import frozen

from colorsched.web.messages import Fields, Request, Response, get, get_all

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIELD: Final = _TOKEN + rb":[\t -~\x80-\xff]*\r\n"
# A target has no "#" (RFC 9112 3.2) and no byte above 7E; else it is opaque here.
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-\"$-~]+) HTTP/([0-9](?:\.[0-9])?)\r\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] [1-9][0-9][0-9](?: [\t -~\x80-\xff]*)?\r\n")
_FIELD_LINE: Final = re.compile(_FIELD)
_FIELD_LINES: Final = re.compile(rb"(?:" + _FIELD + rb")*+\r\n")
_AUTHORITY: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::[0-9]*)?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE)
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")

UNTIL_CLOSE: Final = -1
"""As a body's length: it ends where the connection does (RFC 9112 6.3, item 8)."""


def is_authority(text: bytes) -> bool:
    """Whether `text` is a host with or without a port, as a Host field has it (RFC 9110 7.2)."""
    return _AUTHORITY.fullmatch(text) is not None


class MessageError(Exception):
    """A message that breaks the protocol, or asks for what is not offered.

    `status` is what to answer a request with; the connection cannot be used any further.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status: Final = status
        self.why: Final = why


@frozen
class Limits:
    """Bounds in bytes on what a client or an origin may send before it is refused."""

    request_line: int = 8 * 1024
    fields: int = 32 * 1024
    body: int = 64 * 1024 * 1024


@frozen(eq=False)
class RequestHead:
    """A request head with what follows from it for the connection."""

    request: Request
    """With all its fields, the hop-by-hop ones too."""
    length: int | None
    """Bytes of body that follow; None: chunked."""
    persistent: bool
    """Whether the client lets the connection be used again (RFC 9112 9.3)."""
    expects_continue: bool
    """Whether the client waits for 100 (Continue) before it sends the body (RFC 9110 10.1.1)."""


@frozen(eq=False)
class ResponseHead:
    """A response head with what follows from it for the connection."""

    response: Response
    """With all its fields, the hop-by-hop ones too."""
    length: int | None
    """Bytes of body that follow; None: chunked; `UNTIL_CLOSE`: to the end of the connection."""
    persistent: bool


class _Sink:
    """What httptools calls while it parses one head."""

    __slots__ = ("complete", "fields", "status", "url")

    def __init__(self) -> None:
        self.url = b""
        self.status = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_status(self, status: bytes) -> None:
        self.status += status

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def check_partial(text: bytes | bytearray, start: int) -> None:
    """Refuse what no head may contain, while it is still incomplete: `text` from `start` on.

    Bare LF, bare CR and NUL (RFC 9112 2.2); they would otherwise wait for the time limit.
    """
    if _BARE.search(text, start):
        raise MessageError(400, "a head has CRLF line ends and no NUL (RFC 9112 2.2)")


def parse_request_head(raw: bytes) -> RequestHead:
    """The request head in `raw`, which ends with its empty line and has nothing behind it.

    Raises MessageError: 400 for bad syntax or framing, 501 for a method or transfer coding that
    is not implemented, 505 for another major version.
    """
    line = _REQUEST_LINE.match(raw)
    if line is None:
        raise MessageError(400, "the request line is malformed (RFC 9112 3)")
    method, target, spoken = line.groups()
    if spoken not in {b"1.1", b"1.0"}:
        raise MessageError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here (RFC 9112 2.3)")
    if not _FIELD_LINES.fullmatch(raw, line.end()):
        raise MessageError(400, "a header field line is malformed (RFC 9112 5)")
    if method == b"CONNECT":
        raise MessageError(501, "CONNECT is not offered: this is a reverse proxy")
    sink = _Sink()
    try:
        httptools.HttpRequestParser(sink).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # the head is complete; the upgrade is declined by ignoring it (RFC 9110 7.8)
    except httptools.HttpParserInvalidMethodError:
        raise MessageError(501, "the method is not known here (RFC 9110 9.1)") from None
    except httptools.HttpParserError as error:
        raise MessageError(_blame(sink.fields), f"the head is malformed: {error}") from None
    if not sink.complete:
        raise MessageError(400, "the head is malformed")
    version = (1, int(spoken[2:]))
    fields = tuple(sink.fields)
    authority, target = _destination(method, target, fields, version)
    length = _request_length(fields, version)
    return RequestHead(
        request=Request(
            method=method, target=target, authority=authority, fields=fields, version=version
        ),
        length=length,
        persistent=_persistent(fields, version),
        expects_continue=version >= (1, 1)
        and length != 0
        and (get(fields, b"expect") or b"").lower() == b"100-continue",
    )


def parse_response_head(raw: bytes, *, method: bytes) -> ResponseHead:
    """The response head in `raw`, which ends with its empty line, to a request of `method`.

    Raises MessageError with status 502.
    """
    line = _STATUS_LINE.match(raw)
    if line is None or not _FIELD_LINES.fullmatch(raw, line.end()):
        raise MessageError(502, "the origin's response head is malformed (RFC 9112 4)")
    sink = _Sink()
    try:
        httptools.HttpResponseParser(sink).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise MessageError(502, f"the origin's response head is malformed: {error}") from None
    fields = tuple(sink.fields)
    version = (1, int(raw[7:8]))
    status = int(raw[9:12])
    length = _response_length(fields, version, status=status, method=method)
    return ResponseHead(
        response=Response(status=status, reason=sink.status.strip(), fields=fields),
        length=length,
        persistent=length != UNTIL_CLOSE and _persistent(fields, version),
    )


def check_trailer(line: bytes) -> None:
    """Refuse a trailer line (with its CRLF) that is no field line (RFC 9112 7.1.2)."""
    if not _FIELD_LINE.fullmatch(line):
        raise MessageError(400, "a trailer field line is malformed (RFC 9112 7.1.2)")


def connection_options(fields: Fields) -> set[bytes]:
    """The members of Connection, lower-cased (RFC 9110 7.6.1)."""
    return set(_members(get_all(fields, b"connection")))


def _members(values: Iterable[bytes]) -> list[bytes]:
    return [
        member
        for value in values
        for part in value.lower().split(b",")
        if (member := part.strip(b" \t"))
    ]


def _persistent(fields: Fields, version: tuple[int, int]) -> bool:
    """Whether the connection outlives this message (RFC 9112 9.3)."""
    options = connection_options(fields)
    if b"close" in options:
        return False
    return version >= (1, 1) or b"keep-alive" in options


def _blame(fields: list[tuple[bytes, bytes]]) -> int:
    """The status for a head that llhttp refused: what it refuses is syntax or framing."""
    codings = _members(value for name, value in fields if name == b"transfer-encoding")
    unknown = codings[-1:] == [b"chunked"] and b"chunked" not in codings[:-1] and codings[:-1]
    return 501 if unknown and not any(name == b"content-length" for name, _ in fields) else 400


def _destination(
    method: bytes, target: bytes, fields: Fields, version: tuple[int, int]
) -> tuple[bytes, bytes]:
    """(authority, target in origin or asterisk form): RFC 9112 3.2, RFC 9110 7.2."""
    hosts = get_all(fields, b"host")
    if len(hosts) > 1 or (not hosts and version >= (1, 1)):
        raise MessageError(400, "an HTTP/1.1 request has exactly one Host (RFC 9112 3.2)")
    authority = hosts[0] if hosts else b""
    if not is_authority(authority):
        raise MessageError(400, "the Host field is malformed (RFC 9110 7.2)")
    if target.startswith(b"/"):
        return authority, target
    if target == b"*":
        if method != b"OPTIONS":
            raise MessageError(400, "only OPTIONS has the target * (RFC 9112 3.2.4)")
        return authority, target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise MessageError(400, "the request target is malformed (RFC 9112 3.2)")
    # An absolute target's authority replaces Host (RFC 9112 3.2.2). User information is refused:
    # its use here is to deceive (RFC 9110 4.2.4).
    authority, rest = absolute.groups()
    if not is_authority(authority):
        raise MessageError(400, "the request target's authority is malformed (RFC 9112 3.2.2)")
    if not rest and method == b"OPTIONS":
        return authority, b"*"
    return authority, rest if rest.startswith(b"/") else b"/" + rest


def _request_length(fields: Fields, version: tuple[int, int]) -> int | None:
    """The length of a request's body, None for chunked (RFC 9112 6.1 to 6.3)."""
    codings = get_all(fields, b"transfer-encoding")
    lengths = get_all(fields, b"content-length")
    if not codings:
        return _content_length(lengths, status=400) if lengths else 0
    if lengths:
        raise MessageError(
            400, "both Transfer-Encoding and Content-Length: refused (RFC 9112 6.3, 11.2)"
        )
    if version < (1, 1):
        raise MessageError(400, "Transfer-Encoding in an HTTP/1.0 request (RFC 9112 6.1)")
    members = _members(codings)
    if members[-1:] != [b"chunked"] or b"chunked" in members[:-1]:
        raise MessageError(400, "chunked is the last transfer coding, once (RFC 9112 6.3)")
    if members[:-1]:
        raise MessageError(501, "the only transfer coding known here is chunked (RFC 9112 6.1)")
    return None


def _response_length(
    fields: Fields, version: tuple[int, int], *, status: int, method: bytes
) -> int | None:
    """The length of a response's body (RFC 9112 6.3); 502 for what cannot be trusted."""
    codings = get_all(fields, b"transfer-encoding")
    lengths = get_all(fields, b"content-length")
    if codings and lengths:
        raise MessageError(502, "the origin sent both Transfer-Encoding and Content-Length")
    declared = _content_length(lengths, status=502) if lengths else UNTIL_CLOSE
    if method == b"HEAD" or status < 200 or status in {204, 304}:
        return 0
    if not codings:
        return declared
    if version < (1, 1) or _members(codings) != [b"chunked"]:
        raise MessageError(502, "the origin sent a transfer coding that is not known here")
    return None


def _content_length(values: list[bytes], *, status: int) -> int:
    """The one Content-Length; repeated ones are refused even if equal (RFC 9112 6.3)."""
    value = values[0]
    if len(values) > 1 or not value.isdigit() or len(value) > 18:
        raise MessageError(status, "Content-Length is one decimal number (RFC 9110 8.6)")
    return int(value)
