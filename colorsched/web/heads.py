"""Request heads that were parsed before: a bounded memo keyed by the bytes themselves.

Clients repeat themselves to the byte. What parsing and preparing a head yields depends on its bytes
alone, so the result is kept; with it, the answer that a stored response gives to exactly this
request, as long as that cannot change (see `Ready`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, frozen

from colorsched.web import rules
from colorsched.web.http1 import Limits, RequestHead, parse_request_head
from colorsched.web.messages import get

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color
    from colorsched.web.status import Forward
    from colorsched.web.store import Entry

_END: Final = b"\r\n\r\n"
_LONGEST: Final = 2048


@frozen(eq=False)
class Ready:
    """What `rules.lookup` and `rules.serve` say of one request, ready to be written.

    It holds as long as the key's entry is this very object and `since <= now < until`, since
    neither freshness nor Age changes in between. Immutable: a connection may still have it in hand
    when the key's color has made a newer one.
    """

    entry: Callable[[], Entry | None]
    """A weak reference: the memo keeps no evicted body alive."""
    since: float
    until: float
    wire: bytes
    """Head and body, or only the head where `variant` is set."""
    variant: int
    """Which of the entry's variants has the body that goes behind `wire`; -1: none does."""
    status: int
    sent: int


@define(eq=False)
class Known:
    """A request head, and what follows from it. All but `ready` never changes."""

    head: RequestHead
    bypass: Forward | None
    """Why it is never looked up, or None."""
    key: bytes
    color: Color
    """The key's."""
    timeless: bool
    """Whether no directive of the request makes the decision depend on the moment."""
    ready: Ready | None = None
    """Replaced as a whole, in the key's color only."""


class Heads:
    """Makes `Known` of heads, and remembers those of short requests without a body."""

    def __init__(self, color: Callable[[Any], Color], limits: Limits, *, size: int = 1024) -> None:
        """`color` makes the color of ("key", key); at most `size` heads are remembered."""
        self._color = color
        self._size = size
        self._longest = min(_LONGEST, limits.request_line, limits.fields)
        self._known: dict[bytes, Known] = {}

    def find(self, data: bytes) -> Known | None:
        """What is known of `data`, if it is one whole request without a body.

        Raises MessageError if it is one whole head, but a malformed one.
        """
        known = self._known.get(data)
        if known is not None:
            return known
        if len(data) > self._longest or data.find(_END) != len(data) - len(_END):
            return None
        if data.startswith(b"\r\n"):
            return None
        head = parse_request_head(data)
        if head.length != 0:
            return None
        known = self.make(head)
        if len(self._known) >= self._size:
            self._known = {}  # all at once: those in use come back, and no order of use is kept
        self._known[data] = known
        return known

    def make(self, head: RequestHead) -> Known:
        """A head that is not remembered."""
        request = head.request
        key = rules.cache_key(request)
        return Known(
            head=head,
            bypass=rules.must_pass(request),
            key=key,
            color=self._color(("key", key)),
            timeless=get(request.fields, b"cache-control") is None
            and get(request.fields, b"pragma") is None,
        )
