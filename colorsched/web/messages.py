"""HTTP message heads as immutable records, and the few helpers that read and rewrite their fields.

Field names are lower-cased and values stripped when a record is made (`normalized` does it), so
everything above compares plain bytes. Bodies travel apart from heads. All of it is immutable or
pure: any thread may use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Fields = tuple[tuple[bytes, bytes], ...]
"""(name, value) pairs: names lower-cased, in order of arrival, values stripped (RFC 9110 5.5)."""


@frozen
class Request:
    """A request head (RFC 9110 6).

    `target` is the request target in origin form, as received; `authority` the Host field, or the
    authority of an absolute target; `version` a pair like (1, 1).
    """

    method: bytes
    target: bytes
    authority: bytes
    fields: Fields = ()
    version: tuple[int, int] = (1, 1)

    def with_fields(self, fields: Fields) -> Request:
        """This request with other fields."""
        return evolve(self, fields=fields)


@frozen
class Response:
    """A response head (RFC 9110 15); its body travels apart."""

    status: int
    reason: bytes
    fields: Fields = ()

    def with_fields(self, fields: Fields) -> Response:
        """This response with other fields."""
        return evolve(self, fields=fields)


def normalized(pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Raw (name, value) pairs as `Fields`: names lower-cased, optional white space stripped."""
    return tuple([(name.lower(), value.strip(b" \t")) for name, value in pairs])


def get(fields: Fields, name: bytes) -> bytes | None:
    """The first value of `name` (lower-case), or None. For fields that appear once."""
    for key, value in fields:
        if key == name:
            return value
    return None


def get_all(fields: Fields, name: bytes) -> list[bytes]:
    """Every value of `name` (lower-case), in order of arrival."""
    return [value for key, value in fields if key == name]


def combined(fields: Fields, name: bytes) -> bytes | None:
    """All values of `name` joined by a comma and a space (RFC 9110 5.2), or None without any."""
    values = [value for key, value in fields if key == name]
    if not values:
        return None
    return values[0] if len(values) == 1 else b", ".join(values)


def without(fields: Fields, names: Collection[bytes]) -> Fields:
    """`fields` less every field whose name is in `names` (lower-case; a set is best)."""
    return tuple([pair for pair in fields if pair[0] not in names])


def serialize_fields(fields: Fields) -> bytes:
    """The field lines, each ended by CRLF, without the empty line that ends a head (RFC 9112 5)."""
    return b"".join([b"%b: %b\r\n" % pair for pair in fields])


def serialize_head(response: Response) -> bytes:
    """Status line and field lines as HTTP/1.1 text, without the empty line that ends the head.

    The caller may append more field lines; it ends the head with CRLF (RFC 9112 4).
    """
    return b"HTTP/1.1 %d %b\r\n%b" % (
        response.status,
        response.reason,
        serialize_fields(response.fields),
    )
