"""How long a response stays fresh and how old it is (RFC 9111 4.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from colorsched.web.fields import parse_date, parse_delta, split_list
from colorsched.web.messages import get_all

if TYPE_CHECKING:
    from colorsched.web.directives import ResponseDirectives
    from colorsched.web.messages import Fields
    from colorsched.web.stored import Stored


def explicit_lifetime(
    fields: Fields, directives: ResponseDirectives, *, date: float
) -> float | None:
    """The freshness lifetime in seconds for a shared cache, or None if none is stated (4.2.1).

    `s-maxage` wins over `max-age`, which wins over Expires. `date` is the Date value in epoch
    seconds, or the time of receipt where there is none. Heuristic freshness (4.2.2) is off.
    """
    if directives.s_maxage is not None:
        return float(directives.s_maxage)
    if directives.max_age is not None:
        return float(directives.max_age)
    expires = set(get_all(fields, b"expires"))
    if not expires:
        return None
    if len(expires) > 1:
        return 0.0  # they contradict each other: stale (4.2.1)
    moment = parse_date(expires.pop(), now=date)
    if moment is None:
        return 0.0  # an invalid date, "0" above all, is in the past (5.3)
    return max(0.0, moment - date)


def corrected_initial_age(
    fields: Fields, *, date: float | None, request_time: float, response_time: float
) -> float:
    """The age in seconds on arrival (4.2.3); the larger of what Date and what Age make it.

    Date has whole seconds, so the arrival is taken in whole seconds to compare with it: otherwise
    a response made and received in one second would count as up to a second old.
    The time from asking to receiving counts as age, since the response may have been made at its
    beginning. Age given more than once counts its first member; an invalid one is ignored (5.1).
    """
    apparent_age = 0.0 if date is None else max(0.0, math.floor(response_time) - date)
    ages = [member for value in get_all(fields, b"age") for member in split_list(value)]
    age_value = (parse_delta(ages[0]) if ages else None) or 0
    return max(apparent_age, age_value + max(0.0, response_time - request_time))


def exact_age(stored: Stored, now: float) -> float:
    """The age in seconds at `now` (4.2.3); never below what it was on arrival."""
    age = now - stored.born
    return max(stored.initial_age, age)


def current_age(stored: Stored, now: float) -> int:
    """The age in whole seconds at `now`: the value of the Age field (5.1)."""
    return int(exact_age(stored, now))


def time_to_live(stored: Stored, now: float) -> int:
    """Whole seconds of freshness left at `now`, negative when stale: `ttl` in Cache-Status."""
    return math.floor(stored.lifetime - exact_age(stored, now))
