"""`verify` finds every outcome, runs few schedules more than there are, and claims no more."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colorsched.testing import ScheduleFailed, Shared
from colorsched.testing.exploration import Explorer
from colorsched.testing.program import Program
from colorsched.testing.verification import Search, verify

if TYPE_CHECKING:
    from collections.abc import Callable

Tree = tuple[str, int, bool, list["Tree"]]
"""A callback: its color, the object it touches, whether it writes, and what it posts then."""

COLORS = "abc"


def trees(depth: int) -> st.SearchStrategy[Any]:
    children = st.lists(trees(depth - 1), max_size=2) if depth else st.just([])
    return st.tuples(st.sampled_from(COLORS), st.integers(0, 2), st.booleans(), children)


def play(forest: list[Tree], outcomes: set[Any]) -> Callable[[Any], Any]:
    """Make a program of trees; its outcome tells the order of all accesses that conflict."""

    def main(rt: Any) -> Callable[[], None]:
        objects = [Shared((), name=f"x{i}") for i in range(3)]
        seen: dict[Any, Any] = {}

        def run(tree: Tree, name: tuple[int, ...]) -> None:
            _, target, writes, children = tree
            seen[name] = objects[target].get()
            if writes:
                objects[target].set((*seen[name], name))
            post(children, name)

        def post(trees: list[Tree], name: tuple[int, ...]) -> None:
            for number, tree in enumerate(trees):
                rt.color(tree[0]).post(run, tree, (*name, number))

        post(forest, ())

        def check() -> None:
            outcomes.add((tuple(sorted(seen.items())), tuple(x.get() for x in objects)))

        return check

    return main


class TruncatedError(Exception):
    """There are more schedules than the budget has."""


def search(main: Callable[[Any], Any], *, reduces: bool, budget: int = 20_000) -> Search:
    found = Search(Explorer(Program(main=main)), everything=False, reduces=reduces)
    if found.run(budget).result == "truncated":
        raise TruncatedError
    return found


forests = st.lists(trees(2), min_size=1, max_size=3)


def size(forest: list[Tree]) -> int:
    return sum(1 + size(tree[3]) for tree in forest)


@settings(max_examples=200)
@given(forests.filter(lambda forest: 2 <= size(forest) <= 4))
def test_every_outcome_of_callbacks_is_found(forest: list[Tree]) -> None:
    every: set[Any] = set()
    plain = search(play(forest, every), reduces=False)
    found: set[Any] = set()
    reduced = search(play(forest, found), reduces=True)
    assert found == every
    assert reduced.runs <= plain.runs
    assert reduced.runs <= 3 * reduced.classes
    assert reduced.classes >= len(every)


@pytest.mark.slow
@settings(max_examples=100)
@given(forests.filter(lambda forest: 5 <= size(forest) <= 6))
def test_larger_programs_have_few_schedules_more_than_classes(forest: list[Tree]) -> None:
    found: set[Any] = set()
    reduced = search(play(forest, found), reduces=True)
    assert len(found) <= reduced.classes
    assert reduced.runs <= 3 * reduced.classes


# -- coroutines -------------------------------------------------------------------------------

Part = tuple[str, int]
"""What a coroutine does next: read or write an object, or await work of a color, or pause."""

parts = st.lists(
    st.tuples(st.sampled_from(("read", "write", "await", "pause")), st.integers(0, 1)),
    min_size=1,
    max_size=2,
)


def perform(scripts: list[tuple[str, list[Part]]], outcomes: set[Any]) -> Callable[[Any], Any]:
    """Make a program of coroutines, each in a color."""

    def main(rt: Any) -> Callable[[], None]:
        objects = [Shared((), name=f"x{i}") for i in range(2)]
        seen: dict[Any, Any] = {}

        def touch(name: Any, target: int) -> None:
            seen[name] = objects[target].get()
            objects[target].set((*seen[name], name))

        async def act(number: int, script: list[Part]) -> None:
            for step, (what, target) in enumerate(script):
                name = number, step
                if what == "read":
                    seen[name] = objects[target].get()
                elif what == "write":
                    touch(name, target)
                elif what == "await":
                    await rt.color(COLORS[target]).submit(touch, name, target)
                else:
                    await asyncio.sleep(0)

        for number, (color, script) in enumerate(scripts):
            rt.color(color).spawn(act(number, script))

        def check() -> None:
            outcomes.add((tuple(sorted(seen.items())), tuple(x.get() for x in objects)))

        return check

    return main


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("xyc"), parts), min_size=2, max_size=2))
def test_every_outcome_of_coroutines_is_found(scripts: list[tuple[str, list[Part]]]) -> None:
    every: set[Any] = set()
    try:
        search(perform(scripts, every), reduces=False, budget=1_000)
    except TruncatedError:
        return  # too many to try them all
    found: set[Any] = set()
    search(perform(scripts, found), reduces=True)
    assert found == every


# -- verdicts -----------------------------------------------------------------------------------


def fan_in(*, apart: bool) -> Callable[[Any], None]:
    """Three colors post twice each to one color."""

    def main(rt: Any) -> None:
        objects = [Shared(0, name=f"x{i}") for i in range(6)]
        total = rt.color("total")

        def bump(number: int) -> None:
            objects[number if apart else 0].update(lambda value: value + 1)

        def post(number: int) -> None:
            total.post(bump, number)
            total.post(bump, number + 1)

        for number in (0, 2, 4):
            rt.color(number).post(post, number)

    return main


def test_a_queue_is_no_object_only_what_its_callbacks_touch() -> None:
    verdict = verify(fan_in(apart=True))
    assert (verdict.result, verdict.schedules, verdict.classes) == ("proved", 1, 1)
    verdict = verify(fan_in(apart=False))
    assert (verdict.result, verdict.classes) == ("proved", 90)
    assert verdict.schedules <= 3 * 90


def test_a_failing_schedule_is_found_and_small() -> None:
    def main(rt: Any) -> Callable[[], None]:
        total = Shared(0, name="total")
        red, blue = rt.color("red"), rt.color("blue")

        def load() -> None:
            red.post(save, total.get())

        def save(value: int) -> None:
            total.set(value + 1)

        def bump() -> None:
            red.post(lambda: total.set(total.get() + 1))

        red.post(load)
        blue.post(bump)

        def check() -> None:
            assert total.get() == 2, total.get()

        return check

    with pytest.raises(ScheduleFailed) as failed:
        verify(main)
    assert failed.value.switches == 1
    assert failed.value.failure.kind == "assertion"


@pytest.mark.parametrize("way", ["handle", "future"])
def test_to_cancel_and_to_start_is_a_race(way: str) -> None:
    def main(rt: Any) -> Callable[[], None]:
        ran = Shared(0, name="ran")
        told = Shared(0, name="told")

        def start() -> None:
            post = rt.color("a").post if way == "handle" else rt.color("a").submit
            rt.color("b").post(cancel, post(ran.set, 1))

        def cancel(work: Any) -> None:
            work.cancel()
            told.set(1)

        rt.color("c").post(start)

        def check() -> None:
            assert ran.get() == 1

        return check

    with pytest.raises(ScheduleFailed) as failed:
        verify(main)
    assert failed.value.failure.kind == "assertion"


def test_a_race_is_a_failure_unless_it_is_not_looked_for() -> None:
    def main(rt: Any) -> None:
        box = Shared(0, name="box")
        rt.color("a").post(box.set, 1)
        rt.color("b").post(box.set, 2)

    with pytest.raises(ScheduleFailed, match="RACE box"):
        verify(main)
    verdict = verify(main, races=False)
    assert (verdict.result, verdict.schedules) == ("proved", 2)


def test_without_anything_shared_every_order_is_tried() -> None:
    orders = set()

    def main(rt: Any) -> Callable[[], None]:
        ran: list[str] = []
        for name in "abc":
            rt.color(name).post(ran.append, name)
        return lambda: orders.add("".join(ran))

    verdict = verify(main)
    assert len(orders) == 6
    assert verdict.result == "bounded"
    assert "no race would be" in str(verdict)
    assert "may share something" in verdict.assumes
    assert verify(main, races=False).result == "proved"
    orders.clear()
    assert verify(main, touches="seen").schedules == 1
    assert len(orders) == 1


def test_a_used_up_budget_is_said() -> None:
    verdict = verify(fan_in(apart=False), budget=5)
    assert verdict.result == "truncated"
    assert verdict.schedules == 5
    assert "budget of 5" in str(verdict)


def test_timers_and_dispatch_bound_what_is_claimed() -> None:
    def timers(rt: Any) -> None:
        box = Shared(0)
        rt.color("a").call_later(1, box.set, 1)

    def dispatches(rt: Any) -> None:
        box = Shared(0)
        rt.color("a").post(rt.color("b").dispatch, box.set, 1)

    assert verify(timers).result == "bounded"
    assert "timers" in str(verify(timers))
    assert verify(dispatches).result == "bounded"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"budget": 0}, "budget must be at least 1"), ({"touches": "all"}, "'seen', 'everything'")],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verify(fan_in(apart=True), **options)


# -- orders that once were missed -------------------------------------------------------------


def all_outcomes(main: Callable[[set[Any]], Callable[[Any], Any]]) -> tuple[set[Any], set[Any]]:
    """What comes out under every schedule, and under those that the reduction leaves."""
    every: set[Any] = set()
    found: set[Any] = set()
    search(main(every), reduces=False)
    search(main(found), reduces=True)
    return every, found


def test_a_cancelled_callback_might_have_started() -> None:
    def program(outcomes: set[Any]) -> Callable[[Any], Any]:
        def main(rt: Any) -> Callable[[], None]:
            handle = rt.color("a").post(int)
            cancelled = handle.cancel()
            return lambda: outcomes.add(cancelled)

        return main

    every, found = all_outcomes(program)
    assert found == every == {True, False}


def test_who_finds_an_outcome_might_have_waited_for_it() -> None:
    def program(outcomes: set[Any]) -> Callable[[Any], Any]:
        def main(rt: Any) -> Callable[[], None]:
            seen = []
            future = rt.color("a").submit(int)

            def ask() -> None:
                seen.append(future.done())
                future.result()

            rt.color("b").post(ask)
            return lambda: outcomes.add(tuple(seen))

        return main

    every, found = all_outcomes(program)
    assert found == every == {(True,), (False,)}


def test_who_sets_an_outcome_may_ask_for_it() -> None:
    def main(rt: Any) -> None:
        def outer() -> None:
            future = rt.color("b").submit(int)
            future.cancel()
            assert future.exception if future.cancelled() else future.result() == 0

        rt.color("a").post(outer)

    assert verify(main, touches="seen").result == "proved"


def test_work_behind_a_hold_might_have_come_before_it() -> None:
    def program(outcomes: set[Any]) -> Callable[[Any], Any]:
        def main(rt: Any) -> Callable[[], None]:
            box: Shared[tuple[str, ...]] = Shared((), name="box")

            def add(name: str) -> None:
                box.set((*box.get(), name))

            async def hold() -> None:
                add("hold")
                await asyncio.sleep(0)

            rt.color("a").post(rt.color("c").post, add, "post")
            rt.color("c").submit(hold)
            return lambda: outcomes.add(box.get())

        return main

    every, found = all_outcomes(program)
    assert found == every == {("hold", "post"), ("post", "hold")}


def test_what_a_loop_is_told_from_its_own_color_does_not_overtake() -> None:
    def program(outcomes: set[Any]) -> Callable[[Any], Any]:
        def main(rt: Any) -> Callable[[], None]:
            ended = Shared(0, name="ended")
            color = rt.color("c")

            async def wait() -> None:
                await color.submit(int)
                ended.set(1)

            color.spawn(wait())
            color.post(lambda: outcomes.add(ended.get()))
            return lambda: None

        return main

    every, found = all_outcomes(program)
    assert found == every == {0, 1}


@pytest.mark.parametrize(
    "what", ["timer", "timeout", "stats", "shutdown", "dispatch", "circle", "wait"]
)
def test_what_is_not_tried_in_every_order_bounds_what_is_claimed(what: str) -> None:
    def main(rt: Any) -> None:
        box = Shared(0, name="box")
        future = rt.color("a").submit(box.get)
        match what:
            case "timer":
                rt.color("b").call_later(1, int).cancel()
            case "timeout":
                future.result(5)
            case "stats":
                rt.stats()
            case "shutdown":
                rt.color("b").post(rt.shutdown, False)
            case "dispatch":
                rt.color("b").dispatch(int)  # from here it is posted, as to a color that is busy
            case "circle":
                color = rt.color("b")
                color.submit(lambda: color.submit(int).result()).exception()
            case _:
                concurrent.futures.wait([future])

    assert verify(main).result == "bounded"


def test_a_timer_may_come_after_a_cancelled_callback() -> None:
    def main(rt: Any) -> None:
        box = Shared(0, name="box")
        rt.color("a").call_later(0, box.get)
        rt.color("b").post(box.get).cancel()

    assert verify(main).result == "bounded"


def test_who_asks_whether_a_callback_was_cancelled_may_ask_early_or_late() -> None:
    answers = set()

    def main(rt: Any) -> Callable[[], None]:
        box = Shared(0, name="box")
        handle = rt.color("c").post(box.get)
        rt.color("b").post(handle.cancel)
        asked = []
        rt.color("d").post(lambda: asked.append((handle.cancelled(), handle.reason)))

        def check() -> None:
            answers.add((*asked, handle.reason))

        return check

    assert verify(main).result == "proved"
    early, late, never = (False, None), (True, "cancelled"), (False, None)
    assert answers == {(early, "cancelled"), (late, "cancelled"), (never, None)}
