"""Who waits, and where: callers that are stopped, the threads that drive meanwhile, the end."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent import futures
from typing import Any

import pytest

from colorsched.errors import ColorDeadlock
from colorsched.testing import Livelock, SimRuntime, Stalled
from colorsched.testing.errors import NeedsThreads
from colorsched.testing.simruntime import SimFuture

SEEDS = range(25)


def helpers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "colorsched-simulation"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    assert not helpers()


@pytest.mark.parametrize("seed", SEEDS)
def test_waits_nest_and_cross(seed: int) -> None:
    with SimRuntime(seed=seed) as rt:
        a, b, c, d, e = map(rt.color, "abcde")

        def wait_for_b() -> int:
            return b.submit(lambda: d.submit(lambda: 1).result() + 1).result()

        def wait_for_c() -> int:
            work = c.submit(lambda: 10)
            e.submit(int).result()
            return work.result()

        assert [a.submit(wait_for_b).result(), d.submit(wait_for_c).result()] == [2, 10]
        both = a.submit(wait_for_b), d.submit(wait_for_c)
        assert [work.result() for work in both] == [2, 10]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_who_waits_goes_on_while_the_second_waits(seed: int) -> None:
    log: list[Any] = []
    with SimRuntime(seed=seed) as rt:
        slow = rt.color("slow")

        def first() -> None:
            rt.color("quick").submit(int).result()
            log.append("first")
            slow.post(opened.set_result, None)

        opened: SimFuture[None] = SimFuture(slow, rt._shared.waits)

        def second() -> None:
            opened.result()
            log.append("second")

        rt.color("b").post(second)
        rt.color("a").post(first)
        rt.drain()
    assert log == ["first", "second"]


def test_without_a_stack_of_its_own_main_cannot_wait_below_a_callback_that_blocks() -> None:
    def block(rt: SimRuntime) -> Any:
        return rt.color("a").submit(lambda: rt.color("b").submit(lambda: 3).result())

    rt = SimRuntime(seed=1, apart=False)
    with pytest.raises(NeedsThreads):
        block(rt).result()
    rt.discard()
    settled = SimRuntime(seed=1, apart=False)
    work = block(settled)
    settled.settle()
    assert work.result() == 3
    settled.discard()


@pytest.mark.parametrize("seed", SEEDS)
def test_at_the_end_those_who_were_stopped_leave_one_by_one(seed: int) -> None:
    rt = SimRuntime(seed=seed)
    inside: list[str] = []

    def block(name: str) -> None:
        never = rt.color(("never", name)).spawn(_for_ever())
        try:
            never.result()
        finally:
            inside.append(name)
            time.sleep(0)  # lets another thread in, were there one
            inside.append(name)

    for name in "abc":
        rt.color(name).post(block, name)
    rt.settle()
    rt.discard()
    assert inside[::2] == inside[1::2]
    assert sorted(inside[::2]) == ["a", "b", "c"]


async def _for_ever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("apart", [True, False])
def test_stalled_and_livelock_end_the_run(*, apart: bool) -> None:
    with pytest.raises(Stalled, match="main"), SimRuntime(seed=1, apart=apart) as rt:
        rt.spawn(_for_ever()).result()

    def again() -> None:
        runtime.post(again)

    with (
        pytest.raises(Livelock, match="DEFAULT"),
        SimRuntime(seed=1, apart=apart, most_steps=50) as runtime,
    ):
        runtime.post(again)


def test_the_second_half_before_a_livelock_is_fair() -> None:
    class Unfair:
        def choose(self, options: Any) -> int:
            return next(
                (n for n, option in enumerate(options) if getattr(option, "key", "") == "spins"), 0
            )

        interrupt = choose

    flags: list[bool] = []
    with SimRuntime(strategy=Unfair(), most_steps=60) as rt:
        spins = rt.color("spins")

        def spin() -> None:
            if not flags:
                spins.post(spin)

        spins.post(spin)
        rt.color("sets").post(flags.append, True)
        rt.drain()
        assert 60 < rt.steps < 120


@pytest.mark.parametrize("what", ["settle", "discard", "drain", "shutdown"])
def test_what_would_wait_for_itself_is_refused_inside(what: str) -> None:
    with SimRuntime(seed=1) as rt, pytest.raises(ColorDeadlock, match=what):
        rt.submit(getattr(rt, what)).result()


def test_waiting_with_a_timeout_takes_virtual_time() -> None:
    with SimRuntime(seed=1) as rt:
        never = rt.color("never").spawn(_for_ever())

        def inside() -> float:
            with pytest.raises(TimeoutError):
                never.result(timeout=3)
            return rt.time()

        assert rt.color("a").submit(inside).result() == 3
        with pytest.raises(TimeoutError):
            never.result(timeout=4)
        assert rt.drain(timeout=5) is False
        assert rt.time() == 12
        some: list[futures.Future[Any]] = [never, rt.submit(abs, 1)]
        done, pending = futures.wait(some, timeout=1)
        assert (len(done), len(pending), rt.time()) == (1, 1, 13)
        never.cancel()


def test_futures_as_they_complete() -> None:
    with SimRuntime(seed=1) as rt:

        def inside() -> list[int]:
            work = [rt.color(i).submit(pow, i, 2) for i in range(3)]
            return sorted(one.result() for one in futures.as_completed(work))

        assert rt.color("a").submit(inside).result() == [0, 1, 4]
        assert list(rt.color("b").map(abs, [-1, -2])) == [1, 2]
