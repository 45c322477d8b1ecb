"""May a stored response answer a request, and how (RFC 9111 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from colorsched.web.directives import NOTHING_ASKED, request_directives
from colorsched.web.fields import field_names
from colorsched.web.freshness import current_age, exact_age
from colorsched.web.status import Forward
from colorsched.web.validation import conditional_request, unconditional_request
from colorsched.web.variants import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colorsched.web.directives import RequestDirectives
    from colorsched.web.messages import Request
    from colorsched.web.stored import Stored

_ASKING: Final = frozenset({b"cache-control", b"pragma"})
# Conditions only the origin can judge (RFC 9111 4.3.2), ranges, and what says a body follows.
_PASSING: Final = frozenset(
    {
        b"range",
        b"if-range",
        b"if-match",
        b"if-unmodified-since",
        b"transfer-encoding",
        b"content-length",
        b"connection",
    }
)
_USUAL_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"te", b"upgrade", b"http2-settings"})


@frozen
class Fresh:
    """Answer with `stored`; it is `age` seconds old. It may be stale if the client allowed it."""

    stored: Stored
    age: int


@frozen
class Revalidate:
    """Send `request`; a 304 freshens `stored`, an error may fall back on it (RFC 5861)."""

    stored: Stored
    request: Request
    fwd: Forward


@frozen
class Miss:
    """Send `request`: nothing stored can answer."""

    request: Request
    fwd: Forward


@frozen
class GatewayTimeout:
    """Answer 504: the client wanted a cached response only, and there is none (5.2.1.7)."""

    fwd: Forward


Decision = Fresh | Revalidate | Miss | GatewayTimeout


def must_pass(request: Request) -> Forward | None:
    """Why this request goes to the origin without a look into the cache, or None if it need not.

    Methods other than GET and HEAD; ranges; preconditions that are the origin's alone to judge
    (If-Match, If-Unmodified-Since, If-Range); a request with a body; one whose Connection takes
    further fields out of what is forwarded, since the response would be stored as the answer to
    fields that the origin never saw. What the origin answers must not be stored.
    """
    if request.method not in {b"GET", b"HEAD"}:
        return Forward.METHOD
    for name, value in request.fields:
        if name in _PASSING and not _is_harmless(name, value):
            return Forward.BYPASS
    return None


def _is_harmless(name: bytes, value: bytes) -> bool:
    if name == b"connection":
        return _USUAL_OPTIONS.issuperset(field_names([value]))
    return name == b"content-length" and value == b"0"


def lookup(request: Request, variants: Sequence[Stored], now: float) -> Decision:
    """What to do about a GET or HEAD that `must_pass` let in, given what its key has stored.

    `now` in epoch seconds; `variants` may be empty. The requests in the answer carry the cache's
    own conditions instead of the client's, so that the response can be stored and answer all who
    wait for it; `serve` then judges each client's condition.
    """
    asked = NOTHING_ASKED
    for name, _ in request.fields:
        if name in _ASKING:
            asked = request_directives(request.fields)
            break
    stored = select(variants, request)
    if stored is None:
        fwd = Forward.VARY_MISS if variants else Forward.URI_MISS
        if asked.only_if_cached:
            return GatewayTimeout(fwd)
        return Miss(unconditional_request(request), fwd)
    if now < stored.fresh_until and asked is NOTHING_ASKED:
        age = now - stored.born
        return Fresh(stored, int(max(stored.initial_age, age)))
    if may_reuse(stored, asked, now):
        return Fresh(stored, current_age(stored, now))
    fwd = Forward.REQUEST if now < stored.fresh_until else Forward.STALE
    if asked.only_if_cached:
        return GatewayTimeout(fwd)
    return Revalidate(stored, conditional_request(request, stored), fwd)


def may_reuse(stored: Stored, asked: RequestDirectives, now: float) -> bool:
    """Whether `stored` may be used without validation under the request's directives (4, 4.2)."""
    if stored.no_cache or asked.no_cache:
        return False  # 5.2.2.4, 5.2.1.4
    age = exact_age(stored, now)
    if asked.max_age is not None and age > asked.max_age:
        return False  # 5.2.1.1
    left = stored.lifetime - age
    if asked.min_fresh is not None and left < asked.min_fresh:
        return False  # 5.2.1.3
    if left > 0:
        return True
    # Stale: only if the client accepts it and the origin does not forbid it (5.2.1.2, 4.2.4).
    return asked.max_stale is not None and not stored.must_revalidate and -left <= asked.max_stale


def may_serve_stale_on_error(request: Request, stored: Stored, now: float) -> bool:
    """Whether `stored`, stale, may answer instead of an error (RFC 5861 4).

    Errors are the statuses 500, 502, 503 and 504, and an origin that cannot be reached or does
    not answer in time. The response's stale-if-error or the request's allows it; no-cache and
    must-revalidate and their like forbid it (RFC 9111 4.2.4, 5.2.2.2).
    """
    if stored.no_cache or stored.must_revalidate:
        return False
    asked = request_directives(request.fields)
    staleness = exact_age(stored, now) - stored.lifetime
    return any(
        allowed is not None and staleness <= allowed
        for allowed in (stored.stale_if_error, asked.stale_if_error)
    )
