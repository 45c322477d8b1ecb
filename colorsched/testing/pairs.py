"""Coverage of an exploration: which conflicting accesses were seen in both orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from colorsched.testing.clocks import MustOrder, inside

if TYPE_CHECKING:
    from colorsched.events import Ticket


class End(NamedTuple):
    """One side of a conflict, by what stays the same from run to run."""

    color: object
    site: object
    write: bool


class PairCoverage:
    """Which conflicting pairs of accesses were seen in which order, over all runs explored.

    A pair is two places in the code that touch one part of one name in two callbacks, at least one
    of them writing. Only pairs that could be the other way around count: none that must be as they
    are (``MustOrder``), and no place with itself in one color. Feed it with :class:`PairWatch`.

    >>> coverage = PairCoverage()
    >>> red, blue = End("red", "app.py:12", False), End("blue", "app.py:30", True)
    >>> coverage.saw("cart.total", red, blue)
    >>> str(coverage)
    '0 of 1 conflicting pairs seen both ways'
    >>> coverage.saw("cart.total", blue, red)
    >>> str(coverage)
    '1 of 1 conflicting pairs seen both ways'

    """

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, End, End], bool] = {}

    def saw(self, name: str, first: End, second: End) -> None:
        """Count one pair, seen in this order."""
        if first[:2] == second[:2]:
            return
        if (name, second, first) in self._pairs:
            self._pairs[name, second, first] = True
        else:
            self._pairs.setdefault((name, first, second), False)

    def merge(self, other: PairCoverage) -> None:
        """Add what another one has seen."""
        for (name, first, second), both in other._pairs.items():
            self.saw(name, first, second)
            if both:
                self.saw(name, second, first)

    @property
    def total(self) -> int:
        """How many pairs there are."""
        return len(self._pairs)

    @property
    def both_ways(self) -> int:
        """How many of them were seen in both orders."""
        return sum(self._pairs.values())

    def one_way(self) -> list[tuple[str, End, End]]:
        """The pairs seen in one order only: the name, the first end, the second."""
        return [pair for pair, both in self._pairs.items() if not both]

    def __str__(self) -> str:
        return f"{self.both_ways} of {self.total} conflicting pairs seen both ways"


class PairWatch(MustOrder):
    """The observer that feeds a :class:`PairCoverage` from one single-threaded run."""

    def __init__(self, coverage: PairCoverage) -> None:
        super().__init__()
        self.coverage = coverage
        self._last: dict[tuple[int, object], _Since] = {}

    def accessed(
        self,
        ticket: Ticket | None,
        target: object,
        part: object,
        write: int,
        name: str,
        site: object,
    ) -> None:
        """Count the pairs that an access makes with those since the last write."""
        ticket = inside(ticket)
        if ticket is None:
            return  # the outside is no callback that a schedule could move
        since = self._last.get((id(target), part))
        if since is None:
            since = self._last[id(target), part] = _Since(target)
        end = End(ticket.key, site, bool(write))
        others = (*since.writes, *since.reads) if write else since.writes
        for other, other_end in others:
            if other is not ticket and not self.before_next(other, ticket):
                self.coverage.saw(name, other_end, end)
        if write:
            since.begin(ticket)
            since.writes[ticket, end] = None
        else:
            since.reads[ticket, end] = None


class _Since:
    """What the last writing callback did to something, and the reads since; kept in order."""

    __slots__ = ("reads", "target", "writer", "writes")

    def __init__(self, target: object) -> None:
        self.target = target  # kept alive: it is known by its identity
        self.writer: Ticket | None = None
        self.writes: dict[tuple[Ticket, End], None] = {}
        self.reads: dict[tuple[Ticket, End], None] = {}

    def begin(self, writer: Ticket) -> None:
        """Forget what others did before; what the writer itself did stays."""
        if writer is not self.writer:
            self.writer = writer
            self.writes.clear()
            self.reads = {access: None for access in self.reads if access[0] is writer}
