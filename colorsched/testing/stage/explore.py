"""Many schedules of one scenario, and what they prove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from colorsched.testing.stage.policies import ByPriority, Exhaustively, Randomly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from colorsched.testing.stage.policies import Policy

#: What an exploration has shown: it holds in *every* schedule; in every one with so many
#: departures (*bounded*); in those of them that there was time for (*truncated*); in some drawn at
#: random (*sampled*).
Verdict = Literal["proved", "bounded", "truncated", "sampled"]


@frozen
class Exploration:
    """How many schedules were run without a failure, and what that shows."""

    schedules: int
    verdict: Verdict

    @property
    def exhaustive(self) -> bool:
        """Whether all the schedules were run that were asked for, not only some of them."""
        return self.verdict in ("proved", "bounded")

    def __str__(self) -> str:
        return f"{self.verdict} by {self.schedules} schedules"


def explore(
    scenario: Callable[[Policy], object],
    *,
    departures: int | None = 2,
    most: int = 100_000,
) -> Exploration:
    """Run a scenario under every schedule with at most so many departures from the plain one.

    Args:
        scenario: makes a `Stage` with the policy it is given, runs it to its end, and raises what
            it finds. With the same choices it must take the same steps.
        departures: see `Exhaustively`; None for every schedule there is.
        most: stop after so many; the verdict is *truncated* then.

    Raises:
        ScheduleError: what the scenario found, with the choices that lead there.
        ValueError: ``departures`` or ``most`` is out of range.

    >>> from colorsched.testing.stage import Stage, explore
    >>> def race(policy):
    ...     stage, seen = Stage(policy), []
    ...
    ...     def act(name):
    ...         stage.step(f"{name} is about to act")
    ...         seen.append(name)
    ...
    ...     def main():
    ...         other = stage.start(lambda: act("b"), "b")
    ...         act("a")
    ...         other.join()
    ...
    ...     stage.run(main)
    ...     outcomes.add(tuple(seen))
    >>> outcomes = set()
    >>> explore(race, departures=None).verdict
    'proved'
    >>> sorted(outcomes)
    [('a', 'b'), ('b', 'a')]

    """
    if departures is not None and departures < 0:
        raise ValueError(f"departures must be at least 0, or None for no limit, not {departures}")
    if most < 1:
        raise ValueError(f"most must be at least 1, not {most}")
    policy = Exhaustively(departures)
    count = 0
    while True:
        scenario(policy)
        count += 1
        if not policy.advance():
            return Exploration(count, "bounded" if policy.bounded else "proved")
        if count >= most:
            return Exploration(count, "truncated")


def sample(scenario: Callable[[Policy], object], seeds: Iterable[int]) -> Exploration:
    """Run a scenario under two random schedules for each seed: `Randomly` and `ByPriority`.

    Raises:
        ScheduleError: what the scenario found, with the choices that lead there.

    """
    count = 0
    for seed in seeds:
        scenario(Randomly(seed))
        scenario(ByPriority(seed))
        count += 2
    return Exploration(count, "sampled")
