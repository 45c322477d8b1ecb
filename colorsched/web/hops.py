"""Fields that concern one connection only, never stored or forwarded (RFC 9110 7.6.1, 9111 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colorsched.web.fields import field_names
from colorsched.web.messages import get_all, without

if TYPE_CHECKING:
    from colorsched.web.messages import Fields

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",  # trailers are not passed on, so neither is their announcement
        b"transfer-encoding",
        b"upgrade",
        # Between a client and the proxy it authenticates to (RFC 9111 3.1).
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
    }
)


# A message is not understood without these, so Connection may not name them (RFC 9110 7.6.1).
_ALWAYS_KEPT: Final = frozenset({b"content-length", b"host"})


def end_to_end(fields: Fields) -> Fields:
    """`fields` less the hop-by-hop ones and those that Connection names."""
    named = set(field_names(get_all(fields, b"connection"))) - _ALWAYS_KEPT
    return without(fields, HOP_BY_HOP.union(named) if named else HOP_BY_HOP)
