"""Which responses may be stored (RFC 9111 3), and making the record of one that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from colorsched.web.directives import request_directives, response_directives
from colorsched.web.fields import format_date, parse_date
from colorsched.web.freshness import corrected_initial_age, explicit_lifetime
from colorsched.web.hops import end_to_end
from colorsched.web.messages import Response, get, serialize_head, without
from colorsched.web.stored import Stored
from colorsched.web.variants import secondary_key, varies_on_everything

if TYPE_CHECKING:
    from colorsched.web.directives import ResponseDirectives
    from colorsched.web.messages import Request

VARIANT_OVERHEAD: Final = 640
"""Bytes counted for a variant beside its text: the records, the tuples and the objects in them."""

FIELD_OVERHEAD: Final = 160
"""Bytes counted for a stored field beside its text: a pair and two bytes objects."""

# RFC 9110 15.1, less 206, which is never stored here: ranges are passed on.
_HEURISTICALLY_CACHEABLE: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
# Final codes of RFC 9110 and 7725 (451) whose caching asks for nothing beyond RFC 9111 (5.2.2.3).
_UNDERSTOOD: Final = frozenset(
    {200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 451}
    | set(range(400, 418))
    | {421, 422, 426}
    | set(range(500, 506))
)
# What a 304 repeats of the response it stands for (RFC 9110 15.4.5).
_IN_NOT_MODIFIED: Final = frozenset(
    {
        b"cache-control",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"last-modified",
        b"vary",
    }
)
_RECOMPUTED: Final = frozenset({b"age", b"content-length", b"date"})


@frozen
class Verdict:
    """Whether a response may be stored, and if not, the rule that forbids it, in a few words."""

    ok: bool
    reason: str


_STORABLE: Final = Verdict(ok=True, reason="storable")


def may_store(request: Request, response: Response) -> Verdict:
    """Whether a shared cache may store this response to this request (RFC 9111 3), and should.

    Careful where the RFC leaves the choice: a response with Set-Cookie is stored only if it says
    `public` or `s-maxage`, that is, if it speaks of shared caches. The RFC would store any fresh
    one (7.3), but an application that opens a session beside a plain `max-age` would give one
    visitor's session to the next. What could never be used again is not stored either.
    """
    asked = request_directives(request.fields)
    said = response_directives(response.fields)
    reason = (
        _unfit_exchange(request, response, said)
        or ("request no-store" if asked.no_store else None)  # 5.2.1.5
        or _forbidden(request, response, said)
        or _useless(response, said)
    )
    return _STORABLE if reason is None else Verdict(ok=False, reason=reason)


def _unfit_exchange(request: Request, response: Response, said: ResponseDirectives) -> str | None:
    if request.method != b"GET":
        return "method"  # HEAD has nothing to store; POST would need Content-Location (9110 9.3.3)
    if response.status < 200:
        return "interim status"
    if response.status == 206:
        return "partial content"
    if response.status == 304:
        return "not modified"  # freshens what is stored (4.3.4), is no response of its own
    if said.must_understand and response.status not in _UNDERSTOOD:
        return "must-understand"  # 5.2.2.3
    return None


def _forbidden(request: Request, response: Response, said: ResponseDirectives) -> str | None:
    if said.no_store and not said.must_understand:
        return "no-store"  # 5.2.2.5; must-understand, when understood, overrides it (5.2.2.3)
    if said.private:
        return "private"  # 5.2.2.7
    for_shared = said.public or said.s_maxage is not None
    if get(request.fields, b"authorization") is not None and not (
        for_shared or said.must_revalidate
    ):
        return "authorization"  # 3.5
    if get(response.fields, b"set-cookie") is not None and not for_shared:
        return "set-cookie"  # see may_store
    if varies_on_everything(response.fields):
        return "vary *"  # 4.1
    return None


def _useless(response: Response, said: ResponseDirectives) -> str | None:
    date = parse_date(get(response.fields, b"date"), now=0.0)
    lifetime = explicit_lifetime(response.fields, said, date=0.0 if date is None else date)
    if lifetime is None and not said.public and response.status not in _HEURISTICALLY_CACHEABLE:
        return "status without explicit freshness"  # 3, the last list
    reusable = (
        lifetime
        or said.stale_if_error
        or get(response.fields, b"etag")
        or get(response.fields, b"last-modified")
    )
    return None if reusable else "neither freshness nor validator"


def may_keep(request: Request, freshened: Stored) -> Verdict:
    """Whether what `freshen` made of a stored response may stay in store, as `may_store` says.

    The 304 may have brought no-store or private. Here HEAD counts as GET: the content is there.
    """
    return may_store(evolve(request, method=b"GET"), freshened.response)


def store_response(
    request: Request,
    response: Response,
    body: bytes,
    *,
    request_time: float,
    response_time: float,
) -> Stored:
    """The record of a complete response that `may_store` allowed (RFC 9111 3, 3.1).

    `body` is the whole content, without transfer coding. The times, in epoch seconds, are when
    the request was sent and when the response's head arrived (4.2.3).
    """
    fields = response.fields
    date = parse_date(get(fields, b"date"), now=response_time)
    said = response_directives(fields)
    initial_age = corrected_initial_age(
        fields, date=date, request_time=request_time, response_time=response_time
    )
    known_date = response_time if date is None else date  # RFC 9110 6.6.1
    lifetime = explicit_lifetime(fields, said, date=known_date) or 0.0
    born = response_time - initial_age
    # 204 never has one (RFC 9110 8.6); everything else needs it, for its end to be known.
    length = () if response.status == 204 else ((b"content-length", b"%d" % len(body)),)
    kept = without(end_to_end(fields), _RECOMPUTED)
    head = Response(
        response.status,
        response.reason,
        ((b"date", format_date(known_date)), *kept, *length),
    )
    text = serialize_head(head)
    repeated = tuple([pair for pair in head.fields if pair[0] in _IN_NOT_MODIFIED])
    text_304 = serialize_head(Response(304, b"Not Modified", repeated))
    vary = secondary_key(request, fields)
    last_modified = get(fields, b"last-modified")
    return Stored(
        response=head,
        body=body,
        head=text,
        head_304=text_304,
        vary=vary,
        request_time=request_time,
        response_time=response_time,
        date=known_date,
        born=born,
        initial_age=initial_age,
        lifetime=lifetime,
        fresh_until=float("-inf") if said.no_cache else born + lifetime,
        etag=get(fields, b"etag") or None,
        last_modified=parse_date(last_modified, now=response_time),
        no_cache=said.no_cache,
        must_revalidate=said.must_revalidate
        or said.proxy_revalidate
        or said.s_maxage is not None,  # 5.2.2.10
        stale_if_error=said.stale_if_error,
        size=VARIANT_OVERHEAD
        + FIELD_OVERHEAD * (len(head.fields) + len(vary))
        + 2 * len(text)  # once as text, once as pairs
        + len(text_304)
        + len(body)
        + sum(len(name) + len(value or b"") for name, value in vary),
    )
