"""Secondary keys: which stored variant answers a request (RFC 9111 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colorsched.web.fields import field_names, split_list
from colorsched.web.messages import combined, get_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colorsched.web.messages import Fields, Request
    from colorsched.web.stored import Stored

# Lists whose members ignore case and the white space between them (RFC 9110 12.5, 8.4.1, 12.5.4).
_LISTS: Final = frozenset({b"accept-charset", b"accept-encoding", b"accept-language"})

SecondaryKey = tuple[tuple[bytes, bytes | None], ...]


def varies_on_everything(fields: Fields) -> bool:
    """Whether a response's Vary has a member `*`: no later request ever matches (4.1)."""
    return b"*" in field_names(get_all(fields, b"vary"))


def secondary_key(request: Request, response_fields: Fields) -> SecondaryKey:
    """Each field the response's Vary names, with the request's value of it or None.

    Lines of one field are combined and white space at the ends is stripped, and the rest kept as
    it came. Names are sorted, so that their order in Vary is no matter.
    """
    names = field_names(get_all(response_fields, b"vary"))
    return tuple([(name, combined(request.fields, name)) for name in sorted(names)])


def matches(stored: Stored, request: Request) -> bool:
    """Whether every field that the stored response varies on is as it was (4.1)."""
    return all(
        value == (other := combined(request.fields, name))
        or (name in _LISTS and _listed(value) == _listed(other))
        for name, value in stored.vary
    )


def _listed(value: bytes | None) -> list[bytes] | None:
    return None if value is None else split_list(value.lower())


def select(variants: Sequence[Stored], request: Request) -> Stored | None:
    """The matching variant with the latest Date, the newer in store on a tie (4.1)."""
    best: Stored | None = None
    for stored in variants:
        if (not stored.vary or matches(stored, request)) and (
            best is None or stored.date > best.date
        ):
            best = stored
    return best


def with_variant(
    variants: Sequence[Stored], stored: Stored, *, replaces: Stored | None = None, limit: int = 32
) -> tuple[Stored, ...]:
    """`variants` with `stored` in front, less what it supersedes, and at most `limit` of them.

    Superseded are `replaces` (what a 304 freshened, by identity) and any variant of the same
    secondary key. Past the limit the oldest go, so that a client that varies a field at will
    cannot make one entry grow without end.
    """
    kept = [one for one in variants if one is not replaces and one.vary != stored.vary]
    return (stored, *kept[: limit - 1])
