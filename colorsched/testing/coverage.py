"""Coverage of an exploration: how many orders of conflicting accesses it has seen, and which pairs.

Runs in which all conflicting accesses come in the same order belong to one *class*: nothing that
the program does with shared objects can tell them apart. What must come before what is worked out
only for the first run of each class, so that a run which adds nothing costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colorsched.events import Observer
from colorsched.ports import here
from colorsched.testing.clocks import inside
from colorsched.testing.pairs import End, PairCoverage, PairWatch

if TYPE_CHECKING:
    from colorsched.events import Ticket


class Coverage:
    """What the runs of an exploration have seen. Feed it with :class:`CoverageWatch`."""

    def __init__(self) -> None:
        self.pairs = PairCoverage()
        self._classes: set[int] = set()

    @property
    def classes(self) -> int:
        """How many orders of conflicting accesses there were."""
        return len(self._classes)

    def is_new(self, order: int) -> bool:
        """Count a run's order, given as its hash."""
        before = len(self._classes)
        self._classes.add(order)
        return len(self._classes) > before

    def __str__(self) -> str:
        noun = "class" if self.classes == 1 else "classes"
        return f"coverage: {self.classes} {noun}, {self.pairs}"


class CoverageWatch(Observer):
    """Writes down what happens in one run, and adds it to the coverage when it is ``over``."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._log: list[tuple[str, Any, tuple[Any, ...]]] = []
        self._accesses: list[tuple[Any, ...]] = []

    def posted(self, ticket: Ticket) -> None:
        """Write it down."""
        self._log.append(("posted", None, (ticket,)))

    def started(self, ticket: Ticket) -> None:
        """Write it down."""
        self._log.append(("started", None, (ticket,)))

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        """Write it down, if it says anything."""
        if ticket.kind == "dispatch":
            self._log.append(("ended", None, (ticket, error)))

    def planned(self, ticket: Ticket) -> None:
        """Write it down."""
        self._log.append(("planned", None, (ticket,)))

    def recalled(self, ticket: Ticket) -> None:
        """Write it down, and who was told."""
        self._log.append(("recalled", here.ticket, (ticket,)))

    def completed(self, future: object) -> None:
        """Write it down, and who did it."""
        self._log.append(("completed", here.ticket, (future,)))

    def joined(self, future: object) -> None:
        """Write it down, and who did it."""
        self._log.append(("joined", here.ticket, (future,)))

    def settled(self) -> None:
        """Write it down."""
        self._log.append(("settled", None, ()))

    def accessed(self, *access: Any) -> None:
        """Write it down."""
        self._log.append(("accessed", None, access))
        self._accesses.append(access)

    def over(self) -> None:
        """The run is at its end: count its class, and the pairs if that is a new one."""
        if not self._accesses or not self._coverage.is_new(self._order()):
            return
        watch = PairWatch(self._coverage.pairs)
        before = here.ticket
        try:
            for name, ticket, event in self._log:
                here.ticket = ticket
                getattr(watch, name)(*event)
        finally:
            here.ticket = before

    def _order(self) -> int:
        """A hash of the order of conflicting accesses; reads between two writes have none."""
        parts: dict[tuple[int, object], tuple[int, dict[End, int]]] = {}
        names: dict[tuple[int, object], str] = {}
        for ticket, target, part, write, name, site in self._accesses:
            if inside(ticket) is None:
                continue
            where = (id(target), part)
            names[where] = name
            so_far, reads = parts.get(where, (0, {}))
            end = End(ticket.key, site, write)
            if write:
                parts[where] = hash((so_far, frozenset(reads.items()), end)), {}
            else:
                reads[end] = reads.get(end, 0) + 1
                parts[where] = so_far, reads
        orders = [
            hash((names[where], where[1], so_far, frozenset(reads.items())))
            for where, (so_far, reads) in parts.items()
        ]
        return hash(tuple(sorted(orders)))
