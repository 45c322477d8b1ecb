"""Conditions: the cache's own towards the origin, the clients' towards the cache (RFC 9111 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from colorsched.web.fields import is_weak, parse_date, parse_etags, weakly_equal
from colorsched.web.hops import end_to_end
from colorsched.web.messages import Response, combined, get, without
from colorsched.web.storing import store_response

if TYPE_CHECKING:
    from colorsched.web.messages import Fields, Request
    from colorsched.web.stored import Stored

_CONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since"})
# Content-Length is never updated; the other two say how the stored bytes are to be read, which
# a response without content cannot change: the "stored response depends upon" them (3.2).
_OF_THE_CONTENT: Final = frozenset({b"content-encoding", b"content-length", b"content-range"})


@frozen
class Served:
    """A response ready for the wire: its head lacks only the empty line that ends it."""

    status: int
    head: bytes
    body: bytes


def unconditional_request(request: Request) -> Request:
    """`request` without the conditions a cache may judge itself: asks the origin for it all."""
    for name, _ in request.fields:
        if name in _CONDITIONS:
            return request.with_fields(without(request.fields, _CONDITIONS))
    return request


def conditional_request(request: Request, stored: Stored) -> Request:
    """`request` with conditions made of the stored validators, instead of the client's (4.3.1)."""
    fields = without(request.fields, _CONDITIONS)
    if stored.etag is not None:
        fields += ((b"if-none-match", stored.etag),)
    modified = get(stored.response.fields, b"last-modified")
    if modified is not None:
        fields += ((b"if-modified-since", modified),)
    return request.with_fields(fields)


def serve(request: Request, stored: Stored, now: float) -> Served:
    """The answer to a GET or HEAD from `stored`, fresh or not, with Age (RFC 9111 4, 5.1).

    304 where the client's condition says that it has it already; no body for HEAD.
    """
    age = now - stored.born
    line = b"age: %d\r\n" % (max(stored.initial_age, age))
    for name, _ in request.fields:
        if name in _CONDITIONS:
            if is_not_modified(request, stored):
                return Served(304, stored.head_304 + line, b"")
            break
    body = stored.body if request.method != b"HEAD" else b""
    return Served(stored.response.status, stored.head + line, body)


def is_not_modified(request: Request, stored: Stored) -> bool:
    """Whether the client's condition says that it has what is stored (RFC 9110 13.1.2, 13.1.3).

    If-None-Match, compared weakly, or else If-Modified-Since against Last-Modified, or Date where
    there is none (RFC 9111 4.3.2). Conditions apply to successful responses only (9110 13.2.1).
    """
    if not 200 <= stored.response.status < 300:
        return False
    wanted = combined(request.fields, b"if-none-match")
    if wanted is not None:
        etag = stored.etag
        if wanted in {b"*", etag}:  # as it is, even if it lacks the quotes
            return True
        return etag is not None and any(weakly_equal(etag, one) for one in parse_etags(wanted))
    since = parse_date(combined(request.fields, b"if-modified-since"), now=stored.response_time)
    modified = stored.date if stored.last_modified is None else stored.last_modified
    return since is not None and modified <= since


def freshen(
    request: Request,
    stored: Stored,
    response: Response,
    *,
    request_time: float,
    response_time: float,
) -> Stored | None:
    """`stored` with the fields of a 304 that answered its conditional request (4.3.4, 3.2).

    None if the 304 speaks of another representation, that is, if its validators are not those
    stored: then ask again without conditions. Ask `may_keep` before keeping the
    result: the 304 may have brought no-store. Times as for `store_response`.
    """
    if not _same_validators(stored, response.fields, now=response_time):
        return None
    new = without(end_to_end(response.fields), _OF_THE_CONTENT)
    replaced = {name for name, _ in new} | {b"date"}  # a 304 without Date is as old as its arrival
    merged = Response(
        stored.response.status,
        stored.response.reason,
        without(stored.response.fields, replaced) + new,
    )
    return store_response(
        request, merged, stored.body, request_time=request_time, response_time=response_time
    )


def _same_validators(stored: Stored, fields: Fields, *, now: float) -> bool:
    """Whether a 304 may be about `stored` (4.3.4): no validator it has may contradict.

    A 304 without any validator is accepted, as it answers a condition made of this one response;
    servers that leave them out are common, though RFC 9110 15.4.5 asks for ETag.
    """
    etag = get(fields, b"etag")
    if etag is not None:
        if stored.etag is None:
            return False
        if is_weak(etag):
            return weakly_equal(etag, stored.etag)
        return etag == stored.etag
    modified = parse_date(get(fields, b"last-modified"), now=now)
    return modified is None or modified == stored.last_modified


def freshen_by_head(
    request: Request,
    stored: Stored,
    response: Response,
    *,
    request_time: float,
    response_time: float,
) -> Stored | None:
    """`stored` with the fields of a 200 to HEAD that describes the same content (RFC 9111 4.3.5).

    None if a validator or the Content-Length differs: what is stored is outdated and should be
    dropped. Otherwise as `freshen`.
    """
    length = get(response.fields, b"content-length")
    if response.status != stored.response.status or (
        length is not None and length != get(stored.response.fields, b"content-length")
    ):
        return None
    return freshen(
        request, stored, response, request_time=request_time, response_time=response_time
    )
