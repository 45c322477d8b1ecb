"""Schedules as data of Hypothesis: found, shrunk with the data, never flaky."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from colorsched.testing import ScheduleFailed
from colorsched.testing.given import DrawnSchedule, schedules

if TYPE_CHECKING:
    from collections.abc import Callable

COLORS = st.lists(st.sampled_from("abc"), max_size=8)


def in_order(names: list[str]) -> Callable[[Any], Any]:
    """Make a program that takes it that colors run in the order in which they are posted to."""

    def main(rt: Any) -> Any:
        seen: list[str] = []
        for name in names:
            rt.color(name).post(seen.append, name)

        def check() -> None:
            assert seen == names

        return check

    return main


def test_the_plain_schedule_is_the_simplest() -> None:
    assert find(schedules(), lambda _: True) == DrawnSchedule("fifo")
    assert find(schedules(), lambda drawn: drawn.strategy != "fifo") == DrawnSchedule("deviations")
    assert find(schedules(), lambda drawn: drawn.seed > 9).seed == 10


@pytest.mark.parametrize("number", range(10))
def test_data_and_schedule_shrink_together(number: int) -> None:
    last: list[tuple[list[str], DrawnSchedule]] = []

    @seed(number)
    @settings(database=None, max_examples=50, deadline=None, derandomize=False)
    @given(names=COLORS, schedule=schedules())
    def test(names: list[str], schedule: DrawnSchedule) -> None:
        last.append((names, schedule))
        schedule.run(in_order(names))

    with pytest.raises(ScheduleFailed) as caught:
        test()
    names, schedule = last[-1]
    # Three posts fail plainly (a, a, b runs as a, b, a), two need one to overtake the other.
    plain = schedule.strategy == "fifo"
    assert len(names) == (3 if plain else 2)
    assert caught.value.switches == (0 if plain else 1)


def test_a_failure_comes_back_from_the_database() -> None:
    ran: list[list[str]] = []

    @settings(database=InMemoryExampleDatabase(), deadline=None, derandomize=False)
    @given(names=COLORS, schedule=schedules())
    def test(names: list[str], schedule: DrawnSchedule) -> None:
        ran.append(names)
        schedule.run(in_order(names))

    with pytest.raises(ScheduleFailed) as caught:
        test()
    smallest = ran[-1]
    ran.clear()
    with pytest.raises(ScheduleFailed) as again:
        test()
    assert ran[0] == smallest
    assert str(again.value) == str(caught.value)


def test_a_correct_program_passes_under_all() -> None:
    @given(names=COLORS, schedule=schedules())
    def test(names: list[str], schedule: DrawnSchedule) -> None:
        def main(rt: Any) -> Any:
            seen: list[int] = []
            for number, _ in enumerate(names):
                rt.color("one").post(seen.append, number)

            def check() -> None:
                assert seen == [*range(len(names))]

            return check

        schedule.run(main)

    test()


@pytest.mark.parametrize("strategy", ["fifo", "random", "pct", "deviations"])
def test_strategies_by_name(strategy: str) -> None:
    @given(schedules(strategy=strategy))
    def test(schedule: DrawnSchedule) -> None:
        assert schedule.strategy in {"fifo", strategy}

    test()


def test_bad_arguments_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no strategy 'best'"):
        schedules(strategy="best")
    with pytest.raises(ValueError, match="depth must be at least 1, not 0"):
        schedules(depth=0)
