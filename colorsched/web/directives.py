"""The Cache-Control directives a shared cache acts on, read from a head once (RFC 9111 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from colorsched.web.fields import MAX_DELTA, parse_delta, parse_directives
from colorsched.web.messages import get_all

if TYPE_CHECKING:
    from colorsched.web.messages import Fields


@frozen
class RequestDirectives:
    """What a request asks of caches (RFC 9111 5.2.1). Numbers are seconds, None where absent."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    stale_if_error: int | None = None


NOTHING_ASKED: Final = RequestDirectives()
"""The directives of a request with neither Cache-Control nor Pragma."""


@frozen
class ResponseDirectives:
    """What a response allows a shared cache (RFC 9111 5.2.2). Numbers are seconds.

    A number that is present but malformed, or given twice with different values, is 0: stale
    (4.2.1). `private` and `no_cache` with field names count as without: more careful, and allowed
    (5.2.2.4, 5.2.2.7).
    """

    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    max_age: int | None = None
    s_maxage: int | None = None
    stale_if_error: int | None = None


def request_directives(fields: Fields) -> RequestDirectives:
    """Reads Cache-Control, or, only where there is none, Pragma: no-cache (RFC 9111 5.4).

    A malformed `max-age` or `min-fresh` is taken at its most careful, a malformed `max-stale` or
    `stale-if-error` as absent: the client is never given something staler than it asked for.
    """
    values = get_all(fields, b"cache-control")
    if not values:
        pragma = parse_directives(get_all(fields, b"pragma"))
        return RequestDirectives(no_cache=True) if (b"no-cache", None) in pragma else NOTHING_ASKED
    found = _by_name(values)
    # Without an argument, max-stale allows any staleness (5.2.1.2).
    any_staleness = None in found.get(b"max-stale", ())
    return RequestDirectives(
        no_cache=b"no-cache" in found,
        no_store=b"no-store" in found,
        only_if_cached=b"only-if-cached" in found,
        max_age=_seconds(found, b"max-age", malformed=0),
        min_fresh=_seconds(found, b"min-fresh", malformed=MAX_DELTA),
        max_stale=MAX_DELTA if any_staleness else _seconds(found, b"max-stale", malformed=None),
        stale_if_error=_seconds(found, b"stale-if-error", malformed=None),
    )


def response_directives(fields: Fields) -> ResponseDirectives:
    """Reads a response's Cache-Control."""
    found = _by_name(get_all(fields, b"cache-control"))
    return ResponseDirectives(
        no_store=b"no-store" in found,
        no_cache=b"no-cache" in found,
        private=b"private" in found,
        public=b"public" in found,
        must_revalidate=b"must-revalidate" in found,
        proxy_revalidate=b"proxy-revalidate" in found,
        must_understand=b"must-understand" in found,
        max_age=_seconds(found, b"max-age", malformed=0),
        s_maxage=_seconds(found, b"s-maxage", malformed=0),
        stale_if_error=_seconds(found, b"stale-if-error", malformed=None),
    )


def _by_name(values: list[bytes]) -> dict[bytes, list[bytes | None]]:
    """Each directive's arguments, in order of arrival."""
    found: dict[bytes, list[bytes | None]] = {}
    for name, argument in parse_directives(values):
        found.setdefault(name, []).append(argument)
    return found


def _seconds(
    found: dict[bytes, list[bytes | None]], name: bytes, *, malformed: int | None
) -> int | None:
    """The directive's number; `malformed` if it is none, or if it is given twice and differs."""
    arguments = found.get(name)
    if arguments is None:
        return None
    first = parse_delta(arguments[0])
    if first is None or any(parse_delta(other) != first for other in arguments[1:]):
        return malformed
    return first
