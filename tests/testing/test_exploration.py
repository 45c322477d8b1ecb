"""Exploring: what fails is found, made small, told and replayed; what does not is left in peace."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.testing import (
    Faults,
    NeverHeld,
    NoChoice,
    Nondeterministic,
    Promises,
    ScheduleFailed,
    Shared,
    always,
    explore,
    promise,
    replay,
    sometimes,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def ordered(rt: Any) -> Any:
    order: list[str] = []
    for name in ("red", "green", "blue"):
        rt.color(name).post(order.append, name)

    def check() -> None:
        assert order.index("red") < order.index("blue"), order

    return check


def fail(main: Any, **options: Any) -> ScheduleFailed:
    with pytest.raises(ScheduleFailed) as caught:
        explore(main, **options)
    return caught.value


def test_a_failure_is_small_and_told() -> None:
    failed = fail(ordered)
    assert failed.switches == 1
    assert failed.failure.kind == "assertion"
    assert isinstance(failed.__cause__, AssertionError)
    text = str(failed)
    assert failed.timeline in text
    assert f'replay("{failed.schedule}")' in text
    assert "1 deviation from FIFO: " in text
    assert "portfolio" not in text


def test_the_same_seed_finds_the_same() -> None:
    assert fail(ordered, seed=3).schedule == fail(ordered, seed=3).schedule


def test_replay_is_the_same_failure() -> None:
    failed = fail(ordered)
    with pytest.raises(ScheduleFailed) as caught:
        replay(failed.schedule)
    assert caught.value.schedule == failed.schedule
    assert caught.value.timeline == failed.timeline


def test_replay_of_another_program_is_noticed() -> None:
    def two(rt: Any) -> None:
        rt.color("a").post(len, "")
        rt.color("b").post(len, "")

    with pytest.raises(Nondeterministic, match="choices"):
        replay("cs1:-/9/8=1", two)
    assert replay("cs1:-/2/0=1", two).schedules == 1


def test_not_shrunk_if_not_asked_for() -> None:
    assert fail(ordered, strategy="random", shrink=False).switches >= 1


def test_twice_unmasks_what_the_schedule_does_not_decide() -> None:
    def by_luck(rt: Any) -> None:
        for name in random.sample(["red", "green", "blue"], 3):
            rt.color(name).post(len, "")

    def by_identity(rt: Any) -> None:
        runs.append([object() for _ in range(len(runs) + 1)])
        rt.color("red").post(len, "")
        rt.color(f"blue {len(runs)}").post(len, "")

    runs: list[list[object]] = []
    for main in (by_luck, by_identity):
        with pytest.raises(Nondeterministic, match=r"two runs: step|choose among"):
            explore(main, schedules=20, twice=True)
    explore(by_luck, schedules=20)
    with pytest.raises(ScheduleFailed):
        explore(ordered, twice=True)


def test_a_failure_that_does_not_come_again_is_no_schedule() -> None:
    runs: list[int] = []

    def once(rt: Any) -> None:
        runs.append(1)
        rt.color("a").post(len, "")
        rt.color("b").post(len, "")
        assert len(runs) != 2

    with pytest.raises(Nondeterministic, match="not when it is run again"):
        explore(once)


def test_no_choice_warns() -> None:
    with pytest.warns(NoChoice, match="nothing about its order"):
        explore(lambda _rt: None, schedules=3)


async def async_main(rt: Any) -> Any:
    order: list[int] = []
    await asyncio.gather(*(rt.color(n).submit(order.append, n) for n in (1, 2)))

    async def check() -> None:
        await asyncio.sleep(1)
        assert order == [1, 2]

    return check


def test_async_main_and_async_check() -> None:
    failed = fail(async_main)
    assert failed.failure.kind == "assertion"
    with pytest.raises(ScheduleFailed):
        replay(failed.schedule)


@pytest.mark.parametrize("where", ["main", "post", "submit", "async main"])
def test_exceptions_are_found_wherever_they_are(where: str) -> None:
    def main(rt: Any) -> None:
        rt.color("blue").post(len, "")
        if where == "main":
            raise KeyError(where)
        getattr(rt.color("red"), where)({}.__getitem__, where)

    async def amain(rt: Any) -> None:
        raise KeyError(where)

    assert isinstance(fail(amain if where == "async main" else main).failure.error, KeyError)


def test_coverage_is_told() -> None:
    def main(rt: Any) -> None:
        box = Shared(0, name="box")

        def one() -> None:
            box.set(1)

        def two() -> None:
            box.set(2)

        rt.color("green").post(lambda: rt.color("red").post(one))
        rt.color("blue").post(lambda: rt.color("red").post(two))

    found = explore(main, schedules=40)
    assert found.coverage is not None
    assert found.coverage.classes >= 2
    assert "classes, " in str(found)
    racy = fail(lambda rt: _race(rt, Shared(0, name="box")))
    assert racy.failure.kind == "race"
    assert "coverage: 1 class, " in str(racy)


def _race(rt: Any, box: Shared[int]) -> None:
    rt.color("red").post(box.set, 1)
    rt.color("blue").post(box.set, 2)


def test_no_coverage_without_races_looked_for() -> None:
    found = explore(async_main_ok, schedules=5, races=False)
    assert found.coverage is None
    assert "classes" not in str(found)


async def async_main_ok(rt: Any) -> None:
    await asyncio.gather(*(rt.color(n).submit(len, "") for n in (1, 2)))


def test_leftover_tasks_are_buried_in_silence() -> None:
    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)

    def main(rt: Any) -> None:
        rt.color("red").spawn(forever())
        rt.color("blue").post(len, "")

    assert fail(main).failure.kind == "stall"
    gc.collect()


def test_runs_leave_nothing() -> None:
    runtimes: list[weakref.ref[Any]] = []

    def main(rt: Any) -> None:
        runtimes.append(weakref.ref(rt))
        rt.color("red").submit(len, "").add_done_callback(lambda _: None)
        rt.color("blue").spawn(asyncio.sleep(1))

    explore(main, schedules=300)
    gc.collect()
    assert not [ref for ref in runtimes if ref() is not None]
    assert not [x for x in threading.enumerate() if x.name == "colorsched-simulation"]


@pytest.mark.parametrize("options", [{"schedules": 0}, {"depth": 0}, {"strategy": "luck"}])
def test_bad_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|no strategy"):
        explore(ordered, **options)


def test_what_is_left_over_from_run_to_run_is_told() -> None:
    left: list[str] = []

    def main(rt: Any) -> Any:
        rt.color("a").post(left.append, "a")
        rt.color("b").post(left.append, "b")

        def check() -> None:
            assert len(left) == 2

        return check

    with pytest.raises(Nondeterministic, match="Make in main all that the program changes"):
        explore(main)


def test_an_async_function_is_not_posted() -> None:
    async def work() -> None: ...

    with pytest.raises(ScheduleFailed, match=r"submit\(\) it"):
        explore(lambda rt: rt.color("a").post(work))


def test_a_program_that_exits_fails() -> None:
    with pytest.raises(ScheduleFailed, match=r"SystemExit\(3\)"):
        explore(lambda rt: rt.color("a").post(sys.exit, 3))


def test_a_check_that_says_no_fails() -> None:
    with pytest.raises(ScheduleFailed, match="the check returned False"):
        explore(lambda _rt: lambda: False)
    with pytest.raises(ScheduleFailed, match="return check, without calling it"):
        explore(lambda _rt: True)


async def never_awaited(rt: Any) -> None: ...


@pytest.mark.parametrize(
    ("main", "options", "message"),
    [
        (None, {}, "a function that takes a runtime, not None"),
        (lambda: None, {}, "one argument, the runtime"),
        (len, {"schedules": "5"}, "schedules must be a whole number"),
        (len, {"depth": 2.5}, "depth must be a whole number"),
        (len, {"properties": [len]}, "a property is made by"),
        (len, {"properties": always(bool)}, "takes several"),
        (len, {"faults": {"cancel": 1}}, "faults must be Faults"),
        (len, {"expect": "label"}, "expect takes several labels"),
    ],
)
def test_wrong_arguments_are_named(main: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        explore(main, **options)


def test_a_coroutine_is_no_program() -> None:
    with pytest.raises(TypeError, match="without calling it"):
        explore(never_awaited(None))  # type: ignore[arg-type]  # the mistake in question


def test_replay_takes_the_schedule_first() -> None:
    with pytest.raises(TypeError, match="the text cs1"):
        replay(len, "cs1:-/0/")  # type: ignore[arg-type]  # the mistake in question


def test_properties_are_to_be_given_again() -> None:
    def main(rt: Any) -> None:
        seen.clear()
        rt.color("a").post(seen.append, 1)

    seen: list[int] = []
    with pytest.raises(ScheduleFailed, match=r"properties=\[\.\.\.\]\)"):
        explore(main, properties=[always(lambda: not seen)])


# -- without looking for races ------------------------------------------------------------------


def _observers(main: Callable[[Any], Any], **options: Any) -> set[type]:
    """The types of the observers that main's runtimes had."""
    found: set[type] = set()

    def looks(rt: Any) -> Any:
        found.add(type(rt._shared.observer))
        return main(rt)

    explore(looks, schedules=5, **options)
    return found


def two_posts(rt: Any) -> None:
    rt.color("red").post(int)
    rt.color("blue").post(int)


def test_a_run_in_which_nobody_is_interested_is_not_observed() -> None:
    assert _observers(two_posts, races=False) == {type(None)}
    assert _observers(two_posts) == {Promises}
    assert _observers(two_posts, races=False, properties=[always(lambda: True)]) == {Promises}
    assert _observers(two_posts, races=False, faults=Faults(cancel=0.1)) == {Promises}


def promises_in_main(rt: Any) -> None:
    two_posts(rt)
    promise(always(lambda: True))


def promises_in_a_callback(rt: Any) -> None:
    two_posts(rt)
    rt.color("red").post(promise, always(lambda: True))


def promises_in_a_coroutine(rt: Any) -> None:
    async def run() -> None:
        await rt.color("blue").submit(int)
        promise(always(lambda: True))

    two_posts(rt)
    rt.color("red").submit(run).result()


@pytest.mark.parametrize(
    "main", [promises_in_main, promises_in_a_callback, promises_in_a_coroutine]
)
def test_a_promise_lets_it_begin_again_observed(main: Callable[[Any], Any]) -> None:
    assert _observers(main, races=False) == {type(None), Promises}


def test_a_broken_promise_is_found_without_looking_for_races() -> None:
    seen: list[int] = []

    def main(rt: Any) -> None:
        seen.clear()
        promise(always(lambda: seen != [2, 1], name="order"))
        rt.color("red").post(seen.append, 1)
        rt.color("blue").post(seen.append, 2)

    with pytest.raises(ScheduleFailed, match="order") as caught:
        explore(main, races=False)
    with pytest.raises(ScheduleFailed, match="order"):
        replay(caught.value.schedule, main, races=False)


def test_sometimes_needs_nobody_to_watch() -> None:
    def main(rt: Any) -> None:
        rt.color("red").post(sometimes, "here")
        rt.color("red").post(sometimes, "nowhere", False)
        two_posts(rt)

    with pytest.raises(NeverHeld) as caught:
        explore(main, races=False)
    assert caught.value.labels == ("nowhere",)


def test_what_fails_where_the_runtime_calls_it_is_explained() -> None:
    """It is raised in another line of the runtime when that is observed."""

    def main(rt: Any) -> None:
        rt.color("red").post(lambda _needed: None)
        rt.color("blue").post(int)

    with pytest.raises(ScheduleFailed, match="_needed"):
        explore(main, races=False)


# -- where it failed ----------------------------------------------------------------------------


def _told_place(main: Any) -> str:
    return str(fail(main, schedules=20)).splitlines()[1]


def test_a_failed_check_is_told_with_its_line() -> None:
    def main(rt: Any) -> Any:
        two_posts(rt)

        def check() -> None:
            assert rt is None

        return check

    place = _told_place(main)
    assert place.startswith(f"  at {__file__}:")
    assert place.endswith("main.<locals>.check: assert rt is None")


def test_what_a_callback_raises_is_told_with_the_line_that_raises() -> None:
    def divide() -> float:
        return 1 / 0

    def main(rt: Any) -> None:
        two_posts(rt)
        rt.color("red").post(partial(divide))

    assert _told_place(main).endswith("divide: return 1 / 0")


def test_what_has_no_line_of_the_program_is_told_without() -> None:
    def main(rt: Any) -> None:
        two_posts(rt)
        rt.color("red").post(int, "x")

    assert _told_place(main) == ""
