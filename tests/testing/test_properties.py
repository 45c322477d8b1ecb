"""Properties of whole runs: kept, broken, and told with the step that broke them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.testing import ScheduleFailed, Shared, SimRuntime, explore
from colorsched.testing.exploration import NeverHeld
from colorsched.testing.history import History
from colorsched.testing.models import Model
from colorsched.testing.oracles import Deadlocked
from colorsched.testing.orders import happens_before, linearized, never_overlap
from colorsched.testing.properties import (
    NeedsObserver,
    Promises,
    Property,
    PropertyBroken,
    always,
    eventually,
    promise,
    sometimes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Main = Callable[[Any], Any]


def broken(main: Main, *properties: Property, schedules: int = 60) -> PropertyBroken:
    with pytest.raises(ScheduleFailed) as caught:
        explore(main, schedules=schedules, properties=properties)
    error = caught.value.failure.error
    assert caught.value.failure.kind == "property"
    assert isinstance(error, PropertyBroken)
    return error


def transfer(*, in_one_step: bool) -> Main:
    def main(rt: Any) -> None:
        account = {"red": 50, "blue": 50}
        promise(always(lambda: sum(account.values()) == 100, name="total"))

        def deposit() -> None:
            account["blue"] += 10

        def withdraw() -> None:
            account["red"] -= 10
            if in_one_step:
                deposit()
            else:
                rt.color("blue").post(deposit)

        rt.color("red").post(withdraw)
        rt.color("blue").post(len, "")

    return main


def test_always_is_checked_after_every_step() -> None:
    error = broken(transfer(in_one_step=False))
    assert error.after is not None
    assert error.after.startswith("red#")
    assert error.after.endswith(" withdraw")
    assert str(error) == f"total: does not hold after {error.after}"


def test_always_holds() -> None:
    explore(transfer(in_one_step=True), schedules=20)


def test_always_may_say_more_by_raising() -> None:
    def predicate() -> None:
        raise KeyError("lost")

    error = broken(lambda rt: rt.color("a").post(len, ""), always(predicate))
    assert "KeyError: 'lost'" in str(error)
    assert isinstance(error.__cause__, KeyError)


def test_always_is_checked_at_the_end_though_nothing_ran() -> None:
    assert broken(lambda _rt: None, always(lambda: False)).after is None


def test_a_dispatched_callback_is_no_step_of_its_own() -> None:
    def main(rt: Any) -> None:
        state = [0]
        promise(always(lambda: state[0] == 0))

        def outer() -> None:
            state[0] = 1
            rt.color("blue").dispatch(len, "")
            state[0] = 0

        rt.color("red").post(outer)
        rt.color("green").post(len, "")

    explore(main, schedules=20)


def test_what_a_predicate_reads_is_no_access() -> None:
    def main(rt: Any) -> None:
        box = Shared(0, name="box")
        promise(always(lambda: box.get() >= 0))
        rt.color("red").post(box.set, 1)
        rt.color("blue").post(len, "")

    explore(main, schedules=20)


def later(rt: Any, seconds: float, done: list[int]) -> None:
    rt.color("red").call_later(seconds, done.append, 1)
    rt.color("blue").call_later(seconds * 2, len, "")
    rt.color("green").call_later(seconds * 2, len, "")


@pytest.mark.parametrize(("seconds", "kept"), [(4.0, "kept"), (5.0, "kept"), (6.0, "")])
def test_eventually_counts_virtual_seconds(seconds: float, kept: str) -> None:
    def main(rt: Any) -> None:
        done: list[int] = []
        promise(eventually(lambda: done, within=5))
        later(rt, seconds, done)

    if kept:
        explore(main, schedules=5)
    else:
        assert "within 5 s" in str(broken(main))


def test_eventually_counts_from_where_it_is_promised() -> None:
    def main(rt: Any) -> None:
        done: list[int] = []

        def order() -> None:
            promise(eventually(lambda: done, within=5))
            later(rt, 4, done)

        rt.color("red").call_later(100, order)

    explore(main, schedules=5)


def test_eventually_counts_steps() -> None:
    def main(rt: Any) -> None:
        done: list[int] = []
        promise(eventually(lambda: done, steps=2))
        rt.color("red").post(len, "")
        rt.color("red").post(done.append, 1)
        rt.color("blue").post(len, "")

    error = broken(main)
    assert "within 2 steps" in str(error)


def test_eventually_never() -> None:
    error = broken(lambda rt: later(rt, 1, []), eventually(lambda: False))
    assert "by the end of the run" in str(error)


@pytest.mark.parametrize("limit", [{"within": 0}, {"steps": -1}, {"within": float("nan")}])
def test_limits_are_positive(limit: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="positive"):
        eventually(lambda: True, **limit)


async def load() -> None:
    await asyncio.sleep(1)


async def save() -> None:
    await asyncio.sleep(1)


async def both() -> None:
    await load()
    await save()


def test_coroutines_overlap_while_they_are_suspended() -> None:
    def main(rt: Any) -> None:
        rt.color("red").spawn(load())
        rt.color("blue").spawn(save())

    error = broken(main, never_overlap(load, save))
    assert error.name == "never_overlap(load, save)"
    assert "runs while" in str(error)
    broken(main, never_overlap("red", "blue"))


def test_awaited_coroutines_are_seen() -> None:
    def main(rt: Any) -> None:
        rt.color("red").spawn(both())
        rt.color("blue").spawn(both())

    broken(main, never_overlap(load))
    broken(main, never_overlap(save))


def test_what_comes_one_after_the_other_does_not_overlap() -> None:
    def main(rt: Any) -> None:
        rt.color("red").spawn(both())
        rt.color("blue").post(len, "")

    explore(main, schedules=20, properties=[never_overlap(load, save), never_overlap("red")])


def test_one_alone_must_not_overlap_itself() -> None:
    def main(rt: Any) -> None:
        rt.color("red").spawn(load())
        rt.color("red").spawn(load())
        rt.color("blue").post(len, "")

    broken(main, never_overlap("red"))
    explore(main, schedules=10, properties=[never_overlap("red", "green", save)])


def test_held_colors_keep_others_out() -> None:
    def main(rt: Any) -> None:
        rt.color("red").submit(load)
        rt.color("red").submit(load)
        rt.color("blue").post(len, "")

    explore(main, schedules=20, properties=[never_overlap(load)])


def first() -> None: ...
def then() -> None: ...


def test_chance_is_no_order() -> None:
    def main(rt: Any) -> None:
        rt.color("red").post(first)
        rt.color("blue").post(then)

    error = broken(main, happens_before(first, then), schedules=1)
    assert "no post, await or color orders it" in str(error)


def test_posts_order() -> None:
    def main(rt: Any) -> None:
        def start() -> None:
            first()
            rt.color("blue").post(then)

        def relay() -> None:
            rt.color("green").post(start)

        rt.color("red").post(first)
        rt.color("red").post(relay)
        rt.color("blue").post(len, "")

    explore(main, schedules=40, properties=[happens_before(first, then)])


def test_awaits_order_and_late_runs_do_not() -> None:
    async def main(rt: Any) -> None:
        await rt.color("red").submit(first)
        await rt.color("blue").submit(then)

    async def late(rt: Any) -> None:
        await main(rt)
        await rt.color("red").submit(first)

    explore(main, schedules=5, properties=[happens_before(first, then)])
    assert "has begun" in str(broken(late, happens_before(first, then)))


def test_happens_before_takes_functions() -> None:
    with pytest.raises(TypeError, match="functions"):
        happens_before("first", then)  # type: ignore[arg-type]  # that is the test


def two(rt: Any) -> None:
    rt.color("red").post(len, "")
    rt.color("blue").post(len, "")


def test_what_sometimes_held_is_reported() -> None:
    def main(rt: Any) -> Any:
        order: list[str] = []
        rt.color("red").post(order.append, "red")
        rt.color("blue").post(order.append, "blue")
        return lambda: sometimes("blue first", order[0] == "blue")

    assert explore(main, schedules=30).reached == ("blue first",)
    with pytest.raises(NeverHeld, match="'blue first'") as caught:
        explore(main, schedules=1)
    assert caught.value.labels == ("blue first",)


def test_labels_that_are_expected_and_not_reached() -> None:
    with pytest.raises(NeverHeld, match="'full'"):
        explore(two, schedules=3, expect=["full"])
    with pytest.raises(TypeError, match="several"):
        explore(two, schedules=3, expect="full")


def test_sometimes_outside_of_runs_does_nothing() -> None:
    sometimes("nowhere")
    with SimRuntime():
        sometimes("unwatched")
    with pytest.raises(TypeError, match="label"):
        sometimes(True)  # type: ignore[arg-type]  # that is the test


def test_promises_beside_a_runtime_of_ones_own() -> None:
    state = [0]
    with (
        pytest.raises(PropertyBroken, match="small"),
        Promises(always(lambda: state[0] < 2, name="small")) as promises,
        SimRuntime(observer=promises) as rt,
    ):
        rt.color("red").post(state.__setitem__, 0, 2)
    with pytest.raises(NeedsObserver, match="nobody watches"), SimRuntime() as rt:
        promise(always(lambda: True))


def test_state_is_new_in_each_run() -> None:
    seen = eventually(lambda: True, steps=1)
    explore(two, schedules=5, properties=[seen, always(lambda: True)])


def test_histories_are_checked_at_the_end() -> None:
    class Register:
        value = 0

        def read(self) -> int:
            return self.value

        def write(self, value: int) -> None:
            self.value = value

    def main(rt: Any) -> None:
        history = History()
        promise(linearized(history, Model.from_sequential(Register)))
        register = Register()
        with history.operation("write", 1) as op:
            register.write(1)
        with history.operation("read") as op:
            op.result = 0
        two(rt)

    with pytest.raises(ScheduleFailed, match="read"):
        explore(main, schedules=2)


def test_a_circle_of_locks_is_named() -> None:
    def main(rt: Any) -> None:
        locks: list[asyncio.Lock] = []

        async def grab(one: int, other: int) -> None:
            while len(locks) < 2:
                locks.append(asyncio.Lock())
            async with locks[one]:
                await asyncio.sleep(1)
                async with locks[other]:
                    pass

        rt.color("red").spawn(grab(0, 1))
        rt.color("red").spawn(grab(1, 0))
        rt.color("blue").post(len, "")

    with pytest.raises(ScheduleFailed) as caught:
        explore(main, schedules=5)
    failure = caught.value.failure
    assert failure.kind == "deadlock"
    assert isinstance(failure.error, Deadlocked)
    assert len(failure.error.cycle) == 3
    assert all("grab in 'red' waits at line" in text for text in failure.error.cycle)


def test_a_wait_without_a_circle_is_a_stall() -> None:
    def main(rt: Any) -> None:
        async def forever() -> None:
            await asyncio.Event().wait()

        rt.color("red").spawn(forever())
        rt.color("blue").post(len, "")

    with pytest.raises(ScheduleFailed, match="forever in 'red' waits at line") as caught:
        explore(main, schedules=5)
    assert caught.value.failure.kind == "stall"
