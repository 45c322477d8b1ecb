"""The cache's rules in one place: everything the server asks of them, as pure decisions.

Every function takes the moment as an argument (`now`, epoch seconds) and reads no clock; none
holds state, so any thread may call any of them. The order of a request:

    must_pass(request)                     -> why it bypasses the cache, storing nothing, or None
    cache_key(request)                     -> the key; its color does the rest
    lookup(request, variants, now)         -> Fresh | Revalidate | Miss | GatewayTimeout
    serve(request, stored, now)            -> head and body for the wire
    after the origin answered:
      304 to Revalidate                    -> freshen, then may_keep, serve
      5xx or no answer                     -> may_serve_stale_on_error, serve
      anything else                        -> may_store, store_response, serve
      to an unsafe method                  -> invalidated_keys

RFC 9111 unless another is named. Heuristic freshness (4.2.2) is off. Reuse across variants by
validating several entity tags at once (4.3.1, last paragraph) is not done.
"""

from __future__ import annotations

from colorsched.web.freshness import current_age, time_to_live
from colorsched.web.hops import end_to_end
from colorsched.web.keys import cache_key, invalidated_keys
from colorsched.web.reuse import (
    Decision,
    Fresh,
    GatewayTimeout,
    Miss,
    Revalidate,
    lookup,
    may_serve_stale_on_error,
    must_pass,
)
from colorsched.web.storing import Verdict, may_keep, may_store, store_response
from colorsched.web.validation import Served, freshen, freshen_by_head, serve
from colorsched.web.variants import matches, with_variant

__all__ = [
    "Decision",
    "Fresh",
    "GatewayTimeout",
    "Miss",
    "Revalidate",
    "Served",
    "Verdict",
    "cache_key",
    "current_age",
    "end_to_end",
    "freshen",
    "freshen_by_head",
    "invalidated_keys",
    "lookup",
    "matches",
    "may_keep",
    "may_serve_stale_on_error",
    "may_store",
    "must_pass",
    "serve",
    "store_response",
    "time_to_live",
    "with_variant",
]
