"""The stage itself: its search, its clock, its failures, and what they say."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from colorsched import Runtime
from colorsched.errors import ColorschedError
from colorsched.testing.stage import (
    Again,
    Exhaustively,
    Randomly,
    ScheduleError,
    Stage,
    UnknownScheduleError,
    explore,
    sample,
)

if TYPE_CHECKING:
    from colorsched.testing.stage import Policy


def race(policy: Policy) -> list[str]:
    """Two actors of two steps each; the order in which they took them."""
    stage = Stage(policy)
    order: list[str] = []

    def act(name: str) -> None:
        for _ in range(2):
            stage.step(name)
            order.append(name)

    def main() -> None:
        other = stage.start(partial(act, "b"), "b")
        act("a")
        other.join()

    stage.run(main)
    return order


def test_exhaustive_search_sees_every_order_once_its_departures_suffice() -> None:
    seen: list[str] = []
    found = explore(lambda policy: seen.append("".join(race(policy))), departures=8)
    assert set(seen) == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}
    assert found.verdict == "proved"
    assert found.schedules == len(seen)


def test_no_limit_sees_the_same_as_a_limit_that_suffices() -> None:
    assert explore(race, departures=None) == explore(race, departures=8)


def test_what_was_not_looked_at_is_said() -> None:
    assert explore(race, departures=1).verdict == "bounded"
    assert explore(race, departures=1).exhaustive
    assert str(explore(race, departures=8, most=2)) == "truncated by 2 schedules"
    assert not explore(race, departures=8, most=2).exhaustive
    assert str(sample(race, range(5))) == "sampled by 10 schedules"
    assert not sample(race, range(5)).exhaustive


def test_a_search_that_ends_just_at_its_limit_is_not_truncated() -> None:
    count = explore(race, departures=None).schedules
    assert explore(race, departures=None, most=count).verdict == "proved"


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="departures must be at least 0"):
        explore(race, departures=-1)
    with pytest.raises(ValueError, match="most must be at least 1"):
        explore(race, most=0)


def test_a_run_is_replayed_by_its_choices() -> None:
    plain = race(Again([]))
    assert plain == race(Again([]))
    assert race(Again([1] * 20)) != plain


def test_the_same_choices_are_the_same_steps() -> None:
    """Also where it is a matter of who lets go of a color last, and of when it dies of that."""

    def steps(seed: int) -> list[str]:
        told: list[str] = []

        class Told(Stage):
            def step(self, what: str) -> None:
                told.append(what)
                super().step(what)

        stage = Told(Randomly(seed))

        def main() -> None:
            rt = Runtime(workers=2, doors=stage.doors())
            rt.color(1).post(int)
            other = stage.start(rt.shutdown, "other")
            rt.shutdown()
            other.join()

        stage.run(main)
        return told

    for seed in range(20):
        assert steps(seed) == steps(seed)


def test_who_goes_on_after_another_ones_end_finds_it_gone() -> None:
    stage = Stage(Again([]))
    kept = threading.local()
    order: list[str] = []

    class Left:
        def __del__(self) -> None:
            for _ in range(1000):  # whoever could go on meanwhile would
                if order:
                    break
                time.sleep(0)
            order.append("the thread let go")

    def leave() -> None:
        kept.it = Left()

    def main() -> None:
        stage.start(leave, "other").join()
        order.append("main went on")

    stage.run(main)
    assert order == ["the thread let go", "main went on"]


def test_a_thread_that_waits_for_its_turn_is_asleep_whatever_the_system_says() -> None:
    stage = Stage(Again([]))
    asleep = stage.doors().is_asleep
    seen: list[bool] = []
    stage.run(lambda: seen.append(asleep(threading.get_native_id())))
    assert seen == [True]


class Impatient:
    """The end of a run, for which patience is over whenever main has taken a step."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.go = threading.Semaphore(0)
        self.went = threading.Semaphore(0)
        self.end = threading.Semaphore(0)

    def release(self) -> None:
        self.end.release()

    def acquire(self, timeout: float) -> bool:
        if not self.steps:
            return self.end.acquire(timeout=timeout)
        self.steps -= 1
        self.go.release()
        self.went.acquire()
        return False


def test_a_run_may_take_its_time_as_long_as_it_goes_on() -> None:
    stage = Stage(Again([]))
    stage._end = end = Impatient(steps=3)  # type: ignore[assignment]

    def main() -> None:
        for _ in range(3):
            end.go.acquire()
            stage.step("goes on")
            end.went.release()

    stage.run(main)


def test_who_blocks_outside_of_the_doors_is_told_of() -> None:
    stage = Stage(Again([]))
    stage._end = end = Impatient(steps=3)  # type: ignore[assignment]
    over = threading.Event()

    def main() -> None:
        stage.step("the last one")
        end.went.release(3)
        over.wait()

    with pytest.raises(ScheduleError, match=r"(?s)outside of the doors.*main: the last one"):
        stage.run(main)
    over.set()


def test_deadlock_is_told_with_who_waits_for_what() -> None:
    stage = Stage(Again([]))

    def main() -> None:
        doors = stage.doors()
        one, two = doors.lock(), doors.lock()
        both = doors.parker()

        def other() -> None:
            with two:
                both.unpark()
                one.acquire()

        with one:
            stage.start(other, "other")
            both.park(None)
            two.acquire()

    with pytest.raises(
        ScheduleError, match=r"(?s)everybody waits for ever.*other waits for a lock"
    ):
        stage.run(main)


def test_the_clock_goes_on_only_when_nobody_can() -> None:
    stage = Stage(Again([]))
    woken: list[tuple[bool, float]] = []

    def main() -> None:
        start = stage.now
        parker = stage.doors().parker()
        woken.append((parker.park(2.5), stage.now - start))
        stage.start(parker.unpark, "waker")
        woken.append((parker.park(2.5), stage.now - start))

    stage.run(main)
    assert woken == [(False, 2.5), (True, 2.5)]


def test_an_error_in_an_actor_is_the_cause_of_the_failure() -> None:
    stage = Stage(Again([]))

    def main() -> None:
        raise ValueError("planted")

    with pytest.raises(ScheduleError, match="planted") as caught:
        stage.run(main)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_failure_is_replayed_by_its_choices() -> None:
    def failing(policy: Policy) -> None:
        stage = Stage(policy)
        order: list[str] = []

        def act(name: str) -> None:
            for _ in range(2):
                stage.step(name)
                order.append(name)

        def main() -> None:
            other = stage.start(partial(act, "b"), "b")
            act("a")
            other.join()
            assert "".join(order) != "abba", "abba"

        stage.run(main)

    with pytest.raises(ScheduleError, match="abba") as caught:
        explore(failing, departures=None)
    with pytest.raises(ScheduleError, match="abba") as again:
        failing(Again(caught.value.choices))
    assert again.value.choices == caught.value.choices


@pytest.mark.parametrize("choices", [[7], [-1]])
def test_choices_of_another_scenario_are_refused(choices: list[int]) -> None:
    with pytest.raises(ScheduleError, match="belong to another scenario") as caught:
        race(Again(choices))
    assert isinstance(caught.value.__cause__, UnknownScheduleError)
    assert isinstance(caught.value.__cause__, ColorschedError)


def test_a_stage_ends_when_the_policy_fails_as_an_actor_ends() -> None:
    class Fails:
        def choose(self, able: object, *, preempts: bool) -> int:
            if preempts:
                return 0
            raise ZeroDivisionError

    stage = Stage(Fails())

    def main() -> None:
        for name in "ab":
            stage.start(lambda: stage.step("acts"), name)

    with pytest.raises(ScheduleError, match="the policy failed"):
        stage.run(main)


def test_running_in_circles_is_found() -> None:
    stage = Stage(Exhaustively(0))

    def main() -> None:
        while True:
            stage.step("goes round")

    with pytest.raises(ScheduleError, match="somebody runs in circles"):
        stage.run(main)
