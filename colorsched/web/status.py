"""The Cache-Status response field (RFC 9211), written as a structured field (RFC 9651).

The serializer is our own: the half we need (a token or string with parameters) is twenty lines,
while the maintained package for it parses and serializes all types through generic classes.
"""

from __future__ import annotations

import re
from enum import StrEnum

_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*\Z")
_MAX_INTEGER = 999_999_999_999_999


class Forward(StrEnum):
    """Why a request went to the origin: the values of the `fwd` parameter (RFC 9211 2.2)."""

    BYPASS = "bypass"
    """The cache was configured not to handle this request."""
    METHOD = "method"
    """The method's semantics require it to be forwarded."""
    URI_MISS = "uri-miss"
    """Nothing is stored for this URI."""
    VARY_MISS = "vary-miss"
    """Something is stored for this URI, but for other request fields (Vary)."""
    MISS = "miss"
    """Nothing stored could be used."""
    REQUEST = "request"
    """A fresh response was stored, but the request's directives did not allow its use."""
    STALE = "stale"
    """The stored response was stale."""
    PARTIAL = "partial"
    """Only a part of the representation was stored."""


def cache_status(
    name: str,
    *,
    hit: bool = False,
    fwd: Forward | None = None,
    fwd_status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    ttl: int | None = None,
    key: str | None = None,
    detail: str | None = None,
) -> bytes:
    """One member of a Cache-Status field: what the cache called `name` did (RFC 9211 2).

    `ttl` is the remaining freshness in seconds, negative when stale. `hit` and `fwd` exclude each
    other (2.1, 2.2), and the parameters about forwarding need `fwd`: ValueError says which rule
    was broken. Text outside printable ASCII is percent-encoded.
    """
    if hit and fwd is not None:
        raise ValueError("a Cache-Status member has `hit` or `fwd`, never both (RFC 9211 2.1)")
    if fwd is None and (fwd_status is not None or stored or collapsed):
        raise ValueError(
            "`fwd_status`, `stored`, `collapsed` are of a forwarded request: give `fwd`"
        )
    parameters: dict[str, str | None] = {
        "hit": _flag(hit),
        "fwd": None if fwd is None else fwd.value,
        "fwd-status": None if fwd_status is None else str(fwd_status),
        "stored": _flag(stored),
        "collapsed": _flag(collapsed),
        "ttl": None if ttl is None else str(max(-_MAX_INTEGER, min(_MAX_INTEGER, ttl))),
        "key": None if key is None else _string(key),
        "detail": None if detail is None else _item(detail),
    }
    given = [
        f"; {known}={value}" if value else f"; {known}"
        for known, value in parameters.items()
        if value is not None
    ]
    return (_item(name) + "".join(given)).encode("ascii")


def hit_format(name: str) -> bytes:
    """A hit's Cache-Status for `%` with the remaining freshness: made once, used on every hit.

    `hit_format("cache") % 60` equals `cache_status("cache", hit=True, ttl=60)`.
    """
    return _item(name).replace("%", "%%").encode("ascii") + b"; hit; ttl=%d"


def _flag(value: bool) -> str | None:  # noqa: FBT001 - the value to write, not an option
    """A true parameter is written as its name alone, a false one not at all (RFC 9651 4.1.1.2)."""
    return "" if value else None


def _item(text: str) -> str:
    """A token where the text is one, else a string (RFC 9651 4.1.6, 4.1.7)."""
    return text if _TOKEN.match(text) else _string(text)


def _string(text: str) -> str:
    """A structured-field string: printable ASCII only, quote and backslash escaped."""
    printable = "".join(
        char
        if " " <= char <= "~"
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in text
    )
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
