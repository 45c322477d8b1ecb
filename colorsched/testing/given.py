"""Schedules as Hypothesis data: one draw of a kind and a seed, not one for each decision."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from attrs import frozen
from hypothesis import strategies as st

from colorsched.testing.exploration import Exploration, NoChoice, explore
from colorsched.testing.simruntime import MOST_STEPS
from colorsched.testing.strategies import check_strategy

if TYPE_CHECKING:
    from colorsched.testing.program import Main

#: How many schedules one example runs: data that changes while it shrinks must not lose the bug.
TRIES = 12

#: Larger seeds find no more, and read worse.
LARGEST_SEED = 2**16 - 1


@frozen
class DrawnSchedule:
    """What ``schedules()`` draws: the plain schedule, or a few of one kind.

    Attributes:
        strategy: as of ``explore``; ``fifo`` is the plain schedule alone.
        seed: draws the others.
        depth: as of ``explore``.

    """

    strategy: str
    seed: int = 0
    depth: int = 3

    def run(self, main: Main, *, races: bool = True, most_steps: int = MOST_STEPS) -> Exploration:
        """Run a program, plainly first; it does the same whenever it is called.

        Args:
            main: as of ``explore``.
            races: as of ``explore``.
            most_steps: as of ``explore``.

        Raises:
            ScheduleFailed: it fails; the schedule is the smallest found.

        """
        with warnings.catch_warnings():
            # Small data often leave nothing to choose.
            warnings.simplefilter("ignore", NoChoice)
            return explore(
                main,
                schedules=1 if self.strategy == "fifo" else TRIES,
                seed=self.seed,
                strategy=self.strategy,
                depth=self.depth,
                races=races,
                most_steps=most_steps,
            )


def schedules(*, strategy: str = "portfolio", depth: int = 3) -> st.SearchStrategy[DrawnSchedule]:
    """Schedules, as data of a Hypothesis test; they shrink to the plain one, then to small seeds.

    Args:
        strategy: as of ``explore``.
        depth: as of ``explore``.

    Raises:
        ValueError: an argument is out of range.

    >>> from hypothesis import given
    >>> from hypothesis import strategies as st
    >>> @given(names=st.lists(st.text()), schedule=schedules())
    ... def test_nothing_is_lost(names, schedule):
    ...     def main(rt):
    ...         seen = []
    ...         for name in names:
    ...             rt.color(name).post(seen.append, name)
    ...
    ...         def check():
    ...             assert sorted(seen) == sorted(names)
    ...
    ...         return check
    ...
    ...     schedule.run(main)
    >>> test_nothing_is_lost()

    """
    check_strategy(strategy)
    if depth < 1:
        raise ValueError(f"depth must be at least 1, not {depth}")
    kinds = ("deviations", "random", "pct", "portfolio") if strategy == "portfolio" else (strategy,)
    plain = st.just(DrawnSchedule("fifo", depth=depth))
    if strategy == "fifo":
        return plain
    drawn = st.builds(
        DrawnSchedule, st.sampled_from(kinds), st.integers(0, LARGEST_SEED), st.just(depth)
    )
    return plain | drawn
