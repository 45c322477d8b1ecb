"""Who goes on next: the strategies that choose among the colors that are ready.

A strategy sees the *options*, the colors that are ready and the callers that may go on, and
returns the place of one. Place 0 is always the plain choice: callers go on as soon as they may, and
colors take turns in the order in which they became ready. A strategy that always answers 0 is the
schedule that a single worker gives, so the places that differ from 0 tell what makes a schedule
special.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: A color that ran so often in a row, while others were ready, spins: it waits for one of them.
SPIN = 40


class Strategy(Protocol):
    """Chooses who goes on. One strategy serves one run."""

    def choose(self, options: Sequence[Any]) -> int:
        """The place of who goes on next. There are at least two options."""
        ...

    def interrupt(self, options: Sequence[Any]) -> int:
        """Whether who runs (place 0) is interrupted in favor of another option."""
        ...


class Fifo:
    """The plain schedule: everybody in the order in which they became ready."""

    def choose(self, options: Sequence[Any]) -> int:
        """Place 0."""
        return 0

    interrupt = choose


class RandomWalk:
    """Every option is as likely as the others, at every step.

    Who runs is interrupted with a chance that is drawn once, since a program that is interrupted
    everywhere is as special as one that never is.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random
        self._chance = (0.0, 0.1, 0.3, 0.6)[int(self._random() * 4)]

    def choose(self, options: Sequence[Any]) -> int:
        """Any place, all alike."""
        return int(self._random() * len(options))

    def interrupt(self, options: Sequence[Any]) -> int:
        """Place 0, but with the chance drawn any other."""
        if self._random() >= self._chance:
            return 0
        return 1 + int(self._random() * (len(options) - 1))


class Pct:
    """Probabilistic concurrency testing: the ready color of the highest random priority goes on.

    At ``depth - 1`` random steps of about ``length`` the one that runs falls below all others. A
    bug that needs ``d`` ordered steps is found with a chance of at least 1 / (n * k ** (d - 1)),
    for n colors and k steps (Burckhardt and others, ASPLOS 2010). A color that spins falls, too.
    """

    def __init__(self, seed: int, *, depth: int, length: int) -> None:
        self._random = random.Random(seed)
        self._priority: dict[Any, float] = {}
        self._changes = {int(self._random.random() * max(length, 1)) for _ in range(depth - 1)}
        self._at = -1
        self._last: Any = None
        self._row = 0

    def choose(self, options: Sequence[Any]) -> int:
        """The place of the highest priority."""
        priority = self._priority
        best = 0
        highest = -1.0e9
        for place, option in enumerate(options):
            rank = priority.get(option)
            if rank is None:
                rank = priority[option] = self._random.random()
            if rank > highest:
                highest = rank
                best = place
        self._at += 1
        chosen = options[best]
        if chosen is self._last:
            self._row += 1
        else:
            self._last, self._row = chosen, 0
        if self._at in self._changes or self._row > SPIN:
            self._row = 0
            priority[chosen] = -1.0 - self._at
            return max(range(len(options)), key=lambda place: priority[options[place]])
        return best

    interrupt = choose


class Deviations:
    """The plain schedule but for a few random places: most bugs need few (a delay-bounded search).

    ``length``: about how many choices a run has.
    """

    def __init__(self, seed: int, *, count: int, length: int) -> None:
        rolls = random.Random(seed)
        self._at = -1
        self._places = {int(rolls.random() * max(length, 1)): rolls.random() for _ in range(count)}

    def choose(self, options: Sequence[Any]) -> int:
        """Place 0, but for the places drawn."""
        self._at += 1
        roll = self._places.get(self._at)
        return 0 if roll is None else 1 + int(roll * (len(options) - 1))

    interrupt = choose


class Starve:
    """One color, drawn at random, goes on only when no other can; the others walk at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random
        self._skip = int(self._random() * 8)
        self._seen: list[Any] = []

    def choose(self, options: Sequence[Any]) -> int:
        """Any place but that of the starved color."""
        seen = self._seen
        if len(seen) <= self._skip:
            seen.extend(option for option in options if option not in seen)
        starved = seen[self._skip % len(seen)]
        place = int(self._random() * len(options))
        if options[place] is starved:
            place = (place + 1) % len(options)
        return place

    def interrupt(self, options: Sequence[Any]) -> int:
        """Never, but for the starved one."""
        if len(self._seen) > self._skip and options[0] is self._seen[self._skip]:
            return self.choose(options)
        return 0


class Recorded:
    """Makes the choices of an earlier run again, and plain ones where those end."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = choices
        self._at = -1
        self.strayed = False
        """A choice was of a place that was not there: the program took another path."""

    def choose(self, options: Sequence[Any]) -> int:
        """The recorded place."""
        self._at += 1
        if self._at >= len(self._choices):
            return 0
        choice = self._choices[self._at]
        if choice >= len(options):
            self.strayed = True
            return len(options) - 1
        return choice

    interrupt = choose

    def fault(self, options: Sequence[Any]) -> int:
        """Whether something goes wrong now, and what: the recorded place, too."""
        return self.choose(options)


STRATEGIES = ("portfolio", "random", "pct", "deviations", "fifo")


def check_strategy(name: str) -> None:
    """Refuse an unknown strategy.

    Raises:
        ValueError: there is none of this name.

    """
    if name not in STRATEGIES:
        raise ValueError(f"there is no strategy {name!r}; there are: {', '.join(STRATEGIES)}")


def strategies(name: str, seed: int, *, depth: int) -> Iterator[tuple[str, int]]:
    """An endless sequence of (kind, seed) pairs for :func:`make_strategy`; the first is plain.

    No strategy is the best everywhere: on five kernels, random found one 36 times in 1,000 and PCT
    498 times, on another 165 and 5. So the portfolio goes round. PCT comes first: on the corpus it
    is ahead in the first schedules.
    """
    check_strategy(name)
    kinds = {
        "portfolio": (
            "pct1", "pct2", "random", "pct3", "deviations1", "random", "starve", "deviations2",
        ),
        "random": ("random",),
        "pct": tuple(f"pct{d}" for d in range(1, depth + 1)),
        "deviations": tuple(f"deviations{d}" for d in range(1, depth + 1)),
        "fifo": ("fifo",),
    }[name]  # fmt: skip
    if name == "portfolio":
        kinds += tuple(f"pct{d}" for d in range(4, depth + 1))
    yield "fifo", seed
    number = 0
    while True:
        for kind in kinds:
            number += 1
            yield kind, seed * 1_000_003 + number


def make_strategy(kind: str, seed: int, *, length: int) -> Strategy:
    """The strategy of one run; ``length`` is about how many choices it will have."""
    if kind == "fifo":
        return Fifo()
    if kind == "random":
        return RandomWalk(seed)
    if kind == "starve":
        return Starve(seed)
    if kind.startswith("pct"):
        return Pct(seed, depth=int(kind[3:]), length=length)
    if kind.startswith("deviations"):
        return Deviations(seed, count=int(kind[len("deviations") :]), length=length)
    raise ValueError(f"there is no strategy {kind!r}")
