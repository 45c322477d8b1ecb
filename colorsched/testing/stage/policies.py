"""Policies: who goes on at each point where a stage may change over."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from attrs import Factory, define, field

from colorsched.errors import ColorschedError

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnknownScheduleError(ColorschedError, ValueError):
    """Choices were to be replayed that this scenario does not offer: it has changed since."""


class Policy(Protocol):
    """Chooses who goes on. A stage asks whenever more than one actor could."""

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        """Choose.

        Args:
            able: the actors that can go on, by number; they are numbered as they started.
            preempts: the first one is the one that ran last, and to choose another takes its turn
                away. Otherwise that one could not go on anyway.

        Returns:
            The place of the chosen one in ``able``.

        """
        ...


@define
class Randomly:
    """Takes a turn away now and then, with some seeds often, with others rarely.

    The same seed does it at the same points.
    """

    seed: int
    _random: random.Random = field(init=False)
    _chance: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._chance = self._random.choice((0.02, 0.1, 0.3))

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        """Choose; see `Policy`."""
        if preempts:
            if self._random.random() >= self._chance:
                return 0
            return self._random.randrange(1, len(able))
        return self._random.randrange(len(able))


@define
class ByPriority:
    """The actor of the highest priority goes on.

    Priorities are random, and at a few random points the one that runs becomes the last of all. It
    finds what needs one thread to be very slow. (It is PCT: Burckhardt and others, ASPLOS 2010.)
    """

    seed: int
    _random: random.Random = field(init=False)
    _priority: dict[int, float] = Factory(dict)
    _changes: list[int] = field(init=False)
    _at: int = 0

    def __attrs_post_init__(self) -> None:
        self._random = rolls = random.Random(self.seed)
        length = 2 ** rolls.uniform(3, 9)
        self._changes = [int(rolls.random() * length) for _ in range(3)]

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        """Choose; see `Policy`."""
        priority = self._priority
        for actor in able:
            if actor not in priority:
                priority[actor] = self._random.random()
        self._at += 1
        if preempts and self._at in self._changes:
            priority[able[0]] = -float(self._at)
        return max(range(len(able)), key=lambda place: priority[able[place]])


@define
class Again:
    """Replays the choices of a run before, and lets everybody go on where they end.

    Raises, from ``choose``:
        UnknownScheduleError: there are not so many actors to choose from. A scenario must make the
            same steps whenever the same choices are made.

    """

    choices: Sequence[int]
    _at: int = 0

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        """Choose; see `Policy`."""
        at, self._at = self._at, self._at + 1
        choice = self.choices[at] if at < len(self.choices) else 0
        if not 0 <= choice < len(able):
            raise UnknownScheduleError(
                f"choice {at} is {choice!r}, but only {len(able)} actors can go on there: these "
                "choices belong to another scenario, or it has changed. Explore it anew."
            )
        return choice


@define
class _Branch:
    choice: int
    count: int


@define
class Exhaustively:
    """Every schedule with at most so many departures from the plain one, depth first.

    In the plain schedule everybody goes on until blocked, and then the first who can. Bugs of
    concurrency need few departures from it, mostly one or two. With None there is no limit: every
    schedule there is.
    """

    departures: int | None
    bounded: bool = False
    """Whether the limit has kept it from some schedule."""
    _path: list[_Branch] = Factory(list)
    _at: int = 0
    _spent: int = 0

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        """Choose; see `Policy`."""
        if self._at == len(self._path):
            free = self.departures is None or self._spent < self.departures
            self.bounded = self.bounded or not free
            self._path.append(_Branch(0, len(able) if free else 1))
        branch = self._path[self._at]
        self._at += 1
        self._spent += branch.choice > 0
        return branch.choice

    def advance(self) -> bool:
        """Go to the next schedule. False: there is none."""
        self._at = self._spent = 0
        while self._path and self._path[-1].choice + 1 >= self._path[-1].count:
            self._path.pop()
        if not self._path:
            return False
        self._path[-1].choice += 1
        return True
