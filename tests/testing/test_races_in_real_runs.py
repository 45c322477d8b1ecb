"""The detector beside real runs: no alarm, in whatever way correct programs hand things on."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from colorsched import Runtime
from colorsched.core.observed import LINEAGE
from colorsched.testing import RaceDetector, Shared
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.events import Ticket

    Program = Callable[[Runtime, Shared[int]], object]


def races_in(program: Program) -> list[str]:
    """Run it on two workers until all is quiet."""
    detector = RaceDetector(lock=threading.RLock())
    with Runtime(workers=2, observer=detector) as rt:
        program(rt, Shared(0, "x"))
        assert rt.drain(PATIENCE_SECONDS)
    return [str(race) for race in detector.races]


def asks_whether_done(rt: Runtime, x: Shared[int]) -> None:
    future = rt.color("a").submit(x.set, 1)

    async def ask() -> None:
        while not future.done():  # noqa: ASYNC110 - to ask is what is tested
            await asyncio.sleep(0)
        x.set(2)

    rt.color("b").spawn(ask())


def asks_whether_cancelled(rt: Runtime, x: Shared[int]) -> None:
    go = threading.Event()
    rt.color("a").post(go.wait, PATIENCE_SECONDS)
    future = rt.color("a").submit(int)

    def cancel() -> None:
        x.set(1)
        future.cancel()

    async def ask() -> None:
        while not future.cancelled():  # noqa: ASYNC110 - to ask is what is tested
            await asyncio.sleep(0)
        x.set(2)
        go.set()

    rt.color("b").spawn(ask())
    rt.color("c").post(cancel)


def is_called_back_at_once(rt: Runtime, x: Shared[int]) -> None:
    done = threading.Event()
    future = rt.color("a").submit(x.set, 1)

    def late() -> None:
        done.wait(PATIENCE_SECONDS)  # the detector knows nothing of this event
        future.add_done_callback(lambda _: x.set(2))

    rt.color("b").post(late)
    future.result(PATIENCE_SECONDS)
    done.set()


def hands_on_by_a_thread_of_the_pool(rt: Runtime, x: Shared[int]) -> None:
    async def start() -> None:
        x.set(1)
        await asyncio.to_thread(rt.color("b").post, x.set, 2)

    rt.color("a").spawn(start())


def comes_back_from_a_thread_of_the_pool(rt: Runtime, x: Shared[int]) -> None:
    async def start() -> None:
        loop = asyncio.get_running_loop()
        fetch = lambda: rt.color("b").submit(x.set, 1).result(PATIENCE_SECONDS)  # noqa: E731 - a name for a line
        await loop.run_in_executor(None, fetch)
        x.set(2)

    rt.color("a").spawn(start())


ORDERED = [
    asks_whether_done,
    asks_whether_cancelled,
    is_called_back_at_once,
    hands_on_by_a_thread_of_the_pool,
    comes_back_from_a_thread_of_the_pool,
]


@pytest.mark.parametrize("program", ORDERED, ids=lambda program: program.__name__)
def test_no_alarm_where_the_program_orders(program: Program) -> None:
    assert races_in(program) == []


def test_who_only_failed_to_cancel_is_not_before_the_outcome() -> None:
    def program(rt: Runtime, x: Shared[int]) -> None:
        future = rt.color("a").submit(int)
        tried = threading.Event()

        def cancel_too_late() -> None:
            future.exception(PATIENCE_SECONDS)
            x.set(1)
            assert not future.cancel()
            tried.set()

        def see() -> None:
            tried.wait(PATIENCE_SECONDS)
            future.result(PATIENCE_SECONDS)
            x.set(2)

        rt.color("b").post(cancel_too_late)
        rt.color("c").post(see)

    assert len(races_in(program)) == 1


def test_a_timer_that_sets_the_next_one_for_ever_keeps_few_of_its_past() -> None:
    alive: weakref.WeakSet[Ticket] = weakref.WeakSet()
    most = 0

    class Counting(RaceDetector):
        def started(self, ticket: Ticket) -> None:
            nonlocal most
            alive.add(ticket)
            most = max(most, len(alive))
            super().started(ticket)

    left = iter(range(300))

    def again() -> None:
        if next(left, None) is not None:
            rt.color("a").call_later(0, again)

    with Runtime(workers=1, observer=Counting()) as rt:
        rt.color("a").post(again)
        assert rt.drain(PATIENCE_SECONDS)
    assert most <= 3 * LINEAGE
