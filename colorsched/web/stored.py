"""A stored response: the record a cache keeps, with all that a hit needs worked out beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from colorsched.web.messages import Response


@frozen(eq=False)
class Stored:
    """One stored response (RFC 9111 3), made by `rules.store_response` or `rules.freshen`.

    Times are epoch seconds. Immutable: any thread may read it.
    """

    response: Response
    """The head as stored: final status, end-to-end fields only, with Date, without Age."""
    body: bytes = field(repr=False)
    head: bytes = field(repr=False)
    """`response` serialized, without Age and without the empty line that ends a head."""
    head_304: bytes = field(repr=False)
    """The same for a 304 that stands for it (RFC 9110 15.4.5)."""
    vary: tuple[tuple[bytes, bytes | None], ...]
    """The secondary key: each field that Vary names, with the request's value of it (4.1)."""
    request_time: float
    response_time: float
    date: float
    """The Date field's value, or `response_time` where it had no valid one."""
    born: float
    """`response_time` less the corrected initial age: the age at any moment is `now - born`."""
    initial_age: float
    """The corrected initial age in seconds (4.2.3); no later age is below it."""
    lifetime: float
    """The freshness lifetime in seconds (4.2.1); 0 where nothing explicit was said."""
    fresh_until: float
    """`born + lifetime`; minus infinity where every use needs validation (no-cache, 5.2.2.4)."""
    etag: bytes | None
    last_modified: float | None
    no_cache: bool
    must_revalidate: bool
    """Whether stale use is forbidden: must-revalidate, proxy-revalidate or s-maxage (4.2.4)."""
    stale_if_error: float | None
    """Seconds of staleness allowed on errors (RFC 5861 4), or None."""
    size: int
    """Bytes this variant counts in the store: heads, body, secondary key, a fixed overhead."""
