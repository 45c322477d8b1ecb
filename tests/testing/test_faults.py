"""Faults: each kind happens, is replayed, is taken out where it is not needed, and is told."""

from __future__ import annotations

import asyncio
import pickle
import warnings
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.errors import WorkerLost
from colorsched.testing import BadSchedule, NoFault, ScheduleFailed, explore, replay
from colorsched.testing.faults import Faults, InjectedFault

if TYPE_CHECKING:
    from collections.abc import Callable

    Main = Callable[[Any], Any]


def load(done: list[str]) -> str:
    done.append("load")
    return "loaded"


async def wait(done: list[str]) -> None:
    done.append("waits")
    await asyncio.sleep(1)
    done.append("waited")


def posts(rt: Any) -> Any:
    done: list[str] = []
    rt.color("red").post(load, done)
    rt.color("blue").post(len, "")

    def check() -> None:
        assert done == ["load"], done

    return check


def submits(rt: Any) -> Any:
    done: list[str] = []
    future = rt.color("red").submit(load, done)
    rt.color("blue").post(len, "")
    return future.result


def spawns(rt: Any) -> Any:
    done: list[str] = []
    future = rt.color("red").spawn(wait(done))
    rt.color("blue").post(len, "")
    return future.result


def failing(main: Main, faults: Faults, strategy: str = "portfolio") -> ScheduleFailed:
    with pytest.raises(ScheduleFailed) as caught:
        explore(main, schedules=80, faults=faults, strategy=strategy)
    failed = caught.value
    with pytest.raises(ScheduleFailed) as again:
        replay(failed.schedule, main, faults=faults)
    assert again.value.schedule == failed.schedule
    assert again.value.timeline == failed.timeline
    return failed


def told(failed: ScheduleFailed) -> list[str]:
    return [line for line in str(failed).splitlines() if line.startswith("fault: ")]


def test_no_faults_no_failures() -> None:
    for main in (posts, submits, spawns):
        explore(main, schedules=20)


def test_a_callback_is_cancelled() -> None:
    failed = failing(posts, Faults(cancel="load"))
    assert told(failed) == ["fault: cancelled red#1 load"]
    assert failed.switches == 1


def test_work_is_cancelled() -> None:
    failed = failing(submits, Faults(cancel=0.5))
    assert isinstance(failed.failure.error, CancelledError)
    assert len(told(failed)) == 1


def test_a_task_is_cancelled() -> None:
    failed = failing(spawns, Faults(cancel="wait"))
    assert isinstance(failed.failure.error, CancelledError)


def test_exceptions_at_chosen_places() -> None:
    failed = failing(submits, Faults(raise_at={"load": OSError}))
    assert isinstance(failed.failure.error, OSError)
    assert told(failed) == ["fault: OSError raised in red#1 load"]
    error = failing(submits, Faults(raise_at={"load": OSError(28, "full")})).failure.error
    assert isinstance(error, OSError)
    assert error.errno == 28
    assert isinstance(failing(submits, Faults(raise_at="load")).failure.error, InjectedFault)


def test_exceptions_at_awaits() -> None:
    def main(rt: Any) -> Any:
        seen: list[str] = []

        async def patient() -> None:
            try:
                await asyncio.sleep(1)
            except OSError:
                seen.append("in the await")

        rt.color("red").spawn(patient())
        rt.color("blue").post(len, "")

        def check() -> None:
            assert not seen, seen

        return check

    assert "in the await" in str(failing(main, Faults(raise_at={"patient": OSError})))


def test_an_injected_exception_that_nobody_sees_is_no_failure() -> None:
    def main(rt: Any) -> None:
        rt.color("red").post(load, [])
        rt.color("blue").submit(load, [])

    explore(main, schedules=50, faults=Faults(raise_at=0.5))


@pytest.mark.parametrize("expected", [[], ["load"]])
def test_a_worker_is_lost_before_or_after_the_work(expected: list[str]) -> None:
    def main(rt: Any) -> Any:
        done: list[str] = []
        future = rt.color("red").submit(load, done)
        rt.color("blue").post(len, "")

        def check() -> None:
            if isinstance(future.exception(), WorkerLost):
                assert done != expected, done

        return check

    failed = failing(main, Faults(lose_worker=0.5))
    when = "with its work done" if expected else "before it began"
    assert told(failed) == [f"fault: lost the worker of red#1 load, {when}"]


@pytest.mark.parametrize("start", ["submit", "spawn"])
def test_a_worker_of_a_coroutine_is_lost(start: str) -> None:
    def main(rt: Any) -> Any:
        red = rt.color("red")
        future = red.submit(wait, []) if start == "submit" else red.spawn(wait([]))
        rt.color("blue").post(len, "")
        return future.result

    error = failing(main, Faults(lose_worker="wait")).failure.error
    assert isinstance(error, WorkerLost)
    assert error.running == "wait in color 'red'"
    assert pickle.loads(pickle.dumps(error)).running == error.running


def timers(rt: Any) -> Any:
    order: list[str] = []
    rt.color("red").post(order.append, "work")
    rt.color("blue").call_later(30, order.append, "timer")

    def check() -> None:
        assert order == ["work", "timer"], order

    return check


def test_the_clock_jumps() -> None:
    explore(timers, schedules=40)
    failed = failing(timers, Faults(jump=0.5))
    assert any("the clock jumped by 60 s before" in line for line in told(failed))


def test_a_color_is_delayed() -> None:
    failed = failing(timers, Faults(delay=0.5))
    assert told(failed) == ["fault: delayed red#1 list.append by 60 s"]


def test_a_color_is_starved() -> None:
    def main(rt: Any) -> Any:
        order: list[str] = []
        for number in range(3):
            rt.color("red").post(order.append, f"red {number}")
        for number in range(6):
            rt.color("blue").post(order.append, f"blue {number}")

        def check() -> None:
            assert order[-1] != "red 2", order

        return check

    explore(main, schedules=3, strategy="fifo")
    failed = failing(main, Faults(starve=0.3), strategy="fifo")
    assert any(line.startswith("fault: starved red from red#") for line in told(failed))


def test_main_is_spared() -> None:
    async def main(rt: Any) -> None:
        await asyncio.sleep(1)
        rt.color("blue").post(len, "")
        await asyncio.sleep(1)

    faults = Faults(cancel=1.0, raise_at=1.0, lose_worker=1.0, delay=0.5, jump=0.5)
    explore(main, schedules=30, faults=faults)


def test_so_many_at_most() -> None:
    def main(rt: Any) -> Any:
        done: list[str] = []
        for number in range(6):
            rt.color(number).post(load, done)

        def check() -> None:
            assert len(done) >= 4

        return check

    explore(main, schedules=20, faults=Faults(cancel=1.0, most=2))
    failing(main, Faults(cancel=1.0, most=3))


def test_a_schedule_tells_its_faults() -> None:
    failed = failing(submits, Faults(raise_at={"load": OSError}, seconds=(2,)))
    assert failed.schedule.endswith("+raise_at=load:builtins.OSError;seconds=2;most=2")
    with pytest.raises(ScheduleFailed):
        replay(failed.schedule, submits)  # nothing more is needed
    with pytest.raises(BadSchedule, match="recorded with the faults raise_at"):
        replay(failed.schedule, submits, faults=Faults(cancel=0.1))
    with pytest.raises(BadSchedule, match="recorded with no faults"):
        replay("cs1:-/6/0=1", submits, faults=Faults(cancel=0.1))
    with pytest.raises(BadSchedule, match="no faults of the kind 'flood'"):
        replay("cs1:-/6/0=1+flood=*", submits)


def test_what_a_schedule_cannot_tell_must_be_given() -> None:
    faults = Faults(cancel=lambda ticket: ticket.key == "red")
    failed = failing(submits, faults)
    with pytest.raises(BadSchedule, match="give them"):
        replay(failed.schedule, submits)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(cancel=0.3),
        Faults(delay=("load", "wait"), jump=1, seconds=(0.5,), most=4),
        Faults(raise_at={0.5: OSError, ("load", "wait"): ValueError}),
        Faults(starve=1.0, lose_worker="load"),
    ],
)
def test_text_round_trip(faults: Faults) -> None:
    assert str(Faults.parse(str(faults))) == str(faults)
    assert faults.replayable


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({}, ValueError, "never happen"),
        ({"cancel": 1.5}, ValueError, "chance"),
        ({"cancel": 0.1, "rate": -1}, ValueError, "rate"),
        ({"cancel": 0.1, "most": 0}, ValueError, "most"),
        ({"cancel": 0.1, "seconds": ()}, ValueError, "seconds"),
        ({"delay": 0.1, "seconds": (0,)}, ValueError, "seconds"),
        ({"cancel": object()}, TypeError, "cancel takes"),
        ({"cancel": [1]}, TypeError, "cancel takes"),
        ({"raise_at": {"load": "no"}}, TypeError, "exceptions"),
        ({"raise_at": {"load": StopIteration}}, TypeError, "exceptions"),
    ],
)
def test_bad_faults(given: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Faults(**given)


# -- faults that find no place ------------------------------------------------------------------


def unmet(main: Main, faults: Faults, **options: Any) -> str:
    """What the warning of an exploration without a failure says."""
    with pytest.warns(NoFault) as caught:
        explore(main, faults=faults, **options)
    [warning] = caught
    return str(warning.message)


def works(rt: Any) -> None:
    rt.color("red").post(load, [])
    rt.color("blue").post(len, "")


def test_a_name_that_no_callback_has_is_told_with_the_nearest_ones() -> None:
    assert unmet(works, Faults(raise_at="laod")) == (
        "raise_at='laod': no callback or coroutine has that name; nearest are load"
    )
    assert unmet(works, Faults(cancel=["xyzzy", "len"], delay="other.load")) == (
        "cancel='xyzzy': no callback or coroutine has that name; there are len, load; "
        "delay='other.load': no callback or coroutine has that name; nearest are load"
    )


def test_a_fault_that_cannot_happen_where_it_is_asked_for_is_unmet() -> None:
    assert unmet(works, Faults(jump="load")) == (
        "jump='load': there was no place for it: it happens where a timer is set"
    )
    assert "it happens to what was submitted" in unmet(works, Faults(lose_worker={"load"}))


def test_what_found_a_place_in_one_schedule_is_not_unmet() -> None:
    def main(rt: Any) -> None:
        first: list[str] = []

        def decide() -> None:
            if first[0] == "blue":
                rt.color("green").post(load, [])

        rt.color("red").post(first.append, "red")
        rt.color("blue").post(first.append, "blue")
        rt.color("red").post(decide)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explore(main, faults=Faults(delay="load"), races=False)
    assert "has that name" in unmet(main, Faults(delay="load"), schedules=1, races=False)


def test_a_place_counts_though_no_more_faults_may_happen() -> None:
    def main(rt: Any) -> None:
        for _ in range(3):
            rt.color("red").post(len, "")
            rt.color("blue").post(len, "")
        rt.color("red").post(load, [])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        faults = Faults(delay=["len", "load"], rate=1.0, most=1)
        explore(main, faults=faults, schedules=1, strategy="random")
