"""Parsers of the field values a cache reads. They never raise: what is malformed yields None or [].

All take and return plain bytes and numbers, hold no state, and may be called from any thread.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Directive = tuple[bytes, bytes | None]
"""A cache directive: its lower-cased name, and its argument, unquoted, or None (RFC 9111 5.2)."""

MAX_DELTA: Final = 2**31
"""What any larger number of seconds is taken for (RFC 9111 1.2.2)."""

_FIFTY_YEARS: Final = 50 * 365.2425 * 86400
_MAX_DIGITS: Final = 10  # more digits than MAX_DELTA has: never converted, so never slow
_DIGITS: Final = re.compile(rb"[0-9]+\Z")
# RFC 9110 5.6.4, lenient at the end: a string that is never closed runs to the end of the value.
_QUOTED: Final = rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
_MEMBER: Final = re.compile(rb"(?:[^,\"]|" + _QUOTED + rb")+", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_ETAG: Final = re.compile(rb'[ \t,]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|\Z)')

_DAY_NAMES: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTH_NAMES: Final = (b"", *b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())  # from 1
_WEEKDAY: Final = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH: Final = rb"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME: Final = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES: Final = tuple(
    re.compile(form + rb"\Z", re.IGNORECASE)
    for form in (
        # IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        _WEEKDAY + rb", (?P<day>\d\d) " + _MONTH + rb" (?P<year>\d{4}) " + _TIME + rb" GMT",
        # RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
        rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>\d\d)-"
        + (_MONTH + rb"-(?P<year>\d\d) " + _TIME + rb" GMT"),
        # asctime: Sun Nov  6 08:49:37 1994
        _WEEKDAY + b" " + _MONTH + rb" (?P<day>\d\d| \d) " + _TIME + rb" (?P<year>\d{4})",
    )
)


def split_list(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, stripped, empty ones left out (RFC 9110 5.6.1).

    A comma inside a quoted string does not separate.
    """
    parts = value.split(b",") if b'"' not in value else _MEMBER.findall(value)
    return [part for one in parts if (part := one.strip(b" \t"))]


def parse_directives(values: Iterable[bytes]) -> list[Directive]:
    """The directives of all Cache-Control values, in order, duplicates kept (RFC 9111 5.2).

    An argument may be a token or a quoted string, whichever form the directive defines. White
    space around the equals sign is not allowed there and makes the name or argument one that
    means nothing, except that it is not dropped: `max-age =5` is a directive `max-age ` nobody
    knows.
    """
    found: list[Directive] = []
    for value in values:
        for member in split_list(value):
            name, equals, argument = member.partition(b"=")
            found.append((name.lower(), _unquoted(argument) if equals else None))
    return found


def _unquoted(argument: bytes) -> bytes:
    if not argument.startswith(b'"'):
        return argument
    inner = argument[1:-1] if argument.endswith(b'"') else argument[1:]
    return _ESCAPE.sub(rb"\1", inner) if b"\\" in inner else inner


def parse_delta(value: bytes | None) -> int | None:
    """A number of seconds, at most `MAX_DELTA`; None if it is not digits only (RFC 9111 1.2.2)."""
    if value is None or not _DIGITS.match(value):
        return None
    digits = value.lstrip(b"0")
    return MAX_DELTA if len(digits) > _MAX_DIGITS else min(int(digits or b"0"), MAX_DELTA)


def parse_date(value: bytes | None, *, now: float) -> float | None:
    """Epoch seconds of an HTTP date in any of its three forms, or None (RFC 9110 5.6.7).

    Strict but for case: another zone, missing parts or single digits are no date, since an
    Expires that is not understood must count as past (RFC 9111 5.3). The day's name is not
    compared with the date. A two-digit year that would lie more than 50 years after `now` (epoch
    seconds) is in the past.
    """
    match = _match_date(value)
    if match is None:
        return None
    year, month = int(match["year"]), _MONTH_NAMES.index(match["month"].capitalize())
    if len(match["year"]) > 2:
        return _moment(year, month, match)
    year += time.gmtime(now).tm_year // 100 * 100
    moment = _moment(year, month, match)
    if moment is not None and moment > now + _FIFTY_YEARS:
        moment = _moment(year - 100, month, match)
    return moment


def _match_date(value: bytes | None) -> re.Match[bytes] | None:
    if value is not None:
        for form in _DATES:
            match = form.match(value)
            if match is not None:
                return match
    return None


def _moment(year: int, month: int, match: re.Match[bytes]) -> float | None:
    """Epoch seconds, or None if no calendar has that day or no clock that time."""
    day, hour = int(match["day"]), int(match["hour"])
    minute, second = int(match["minute"]), int(match["second"])
    if not (year > 0 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    if not (hour < 24 and minute < 60 and second <= 60):  # 60 is a leap second
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))


def format_date(moment: float) -> bytes:
    """Epoch seconds as an IMF-fixdate (RFC 9110 5.6.7), whatever the locale."""
    when = time.gmtime(moment)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _DAY_NAMES[when.tm_wday],
        when.tm_mday,
        _MONTH_NAMES[when.tm_mon],
        when.tm_year,
        when.tm_hour,
        when.tm_min,
        when.tm_sec,
    )


def parse_etags(value: bytes) -> list[bytes]:
    """The entity tags of a list, weak marks kept; [] as soon as one is malformed (RFC 9110 8.8.3).

    `*` is no entity tag: callers look for it first.
    """
    tags: list[bytes] = []
    position = 0
    end = len(value.rstrip(b" \t,"))
    while position < end:
        match = _ETAG.match(value, position)
        if match is None:
            return []
        tags.append(match[1])
        position = match.end()
    return tags


def weakly_equal(one: bytes, other: bytes) -> bool:
    """Whether two entity tags are the same but for their weak marks (RFC 9110 8.8.3.2)."""
    return one.removeprefix(b"W/") == other.removeprefix(b"W/")


def is_weak(etag: bytes) -> bool:
    """Whether an entity tag is a weak validator (RFC 9110 8.8.3)."""
    return etag.startswith(b"W/")


def field_names(values: Iterable[bytes]) -> list[bytes]:
    """The field names in Vary, Connection and their like: lower-cased, in order, each once."""
    names: dict[bytes, None] = {}
    for value in values:
        for name in split_list(value):
            names[name.lower()] = None
    return list(names)
