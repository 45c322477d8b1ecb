"""An observer that writes down accesses, and a ticket for the callback that makes them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field

from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Iterator


@define(eq=False)
class Ticket:
    """As much of a callback's ticket as an access looks at."""

    observer: Recorder
    key: str = "red"


@define(eq=False)
class Recorder:
    """What was accessed; ``seen`` as pairs of ``"r"`` or ``"w"`` and the part."""

    accesses: list[tuple[Any, Any, int, str, Any]] = field(factory=list)
    silences: list[tuple[str, str]] = field(factory=list)

    def accessed(
        self,
        ticket: object,
        target: object,
        part: object,
        write: int,
        name: str,
        site: object,
    ) -> None:
        self.accesses.append((target, part, write, name, site))

    def silenced(self, ticket: object, reason: str, site: Any) -> None:
        self.silences.append((reason, site.function))

    @property
    def seen(self) -> list[tuple[str, Any]]:
        return [("w" if write else "r", part) for _, part, write, _, _ in self.accesses]

    @contextmanager
    def watching(self, key: str = "red") -> Iterator[Ticket]:
        """Run the body as a callback of a color, with nothing recorded before."""
        self.accesses.clear()
        before, here.ticket = here.ticket, Ticket(self, key)
        try:
            yield here.ticket
        finally:
            here.ticket = before
