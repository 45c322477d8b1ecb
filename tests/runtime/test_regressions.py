"""Bugs that were found by reading, each with what showed it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import signal
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

import colorsched
from colorsched import Runtime
from colorsched.ports import Doors, LockParker
from colorsched.sources.poller import EpollPoller
from support import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TIMEOUT = 30


def test_a_context_in_use_elsewhere_ends_no_worker() -> None:
    told: list[BaseException] = []
    with Runtime(workers=2, exception_handler=told.append) as rt, Gate() as gate:
        context = contextvars.copy_context()
        one, other = rt.color("one"), rt.color("other")
        one.loop.call_soon_threadsafe(gate, context=context)
        gate.reached()
        other.loop.call_soon_threadsafe(print, context=context)
        assert other.submit(pow, 2, 3).result(TIMEOUT) == 8
        gate.open()
        assert [rt.color(n).submit(pow, n, 2).result(TIMEOUT) for n in range(8)]
    assert [type(error) for error in told] == [RuntimeError]


def test_a_hold_that_ended_keeps_nobody_waiting(rt: Runtime) -> None:
    """A task that it left behind still waits for b; but a is free, so b may wait for a."""
    a, b = rt.color("a"), rt.color("b")
    left: list[asyncio.Task[int]] = []

    async def hold() -> None:
        async def wait_for_b() -> int:
            return await b.submit(pow, 2, 2)

        left.append(asyncio.create_task(wait_for_b()))
        await asyncio.sleep(0)

    async def ask_a() -> int:
        return await a.submit(pow, 3, 2)

    with Gate() as gate:
        b.post(gate)
        gate.reached()
        a.submit(hold).result(TIMEOUT)
        asked = b.submit(ask_a)
        gate.open()
        assert asked.result(TIMEOUT) == 9


def test_run_cancels_coroutines_that_have_not_begun() -> None:
    begun: list[str] = []

    async def endless() -> None:
        begun.append("it")
        await asyncio.get_running_loop().create_future()

    with Gate() as gate:

        async def main() -> str:
            color = colorsched.current_runtime().color("busy")
            color.post(gate)
            await asyncio.to_thread(gate.reached)
            color.spawn(endless())
            asyncio.get_running_loop().call_soon(gate.open)
            return "done"

        assert colorsched.run(main()) == "done"


def test_what_a_coroutine_set_going_keeps_none_of_its_result(rt: Runtime) -> None:
    class Result:
        pass

    ticker = rt.color("ticker")
    results: list[weakref.ref[Result]] = []

    async def start() -> Result:
        # A callback that is posted from here, and waits, carries this coroutine's context.
        ticker.call_later(3600, print)
        result = Result()
        results.append(weakref.ref(result))
        return result

    rt.color("short").spawn(start()).result(TIMEOUT)
    gc.collect()
    rt.submit(int).result(TIMEOUT)
    assert results[0]() is None
    for _, _, handle in list(rt._hub.timers._entries):
        handle.cancel()


def test_a_worker_survives_a_failure_of_its_own(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lap = rt._workers._lap
    failures = iter([MemoryError("once")])

    def fail_once(lane: object) -> None:
        for failure in failures:
            raise failure
        lap(lane)  # type: ignore[arg-type]  # a lane it is

    monkeypatch.setattr(rt._workers, "_lap", fail_once)
    assert rt.submit(pow, 2, 4).result(TIMEOUT) == 16
    assert rt.drain(TIMEOUT)  # the other worker may have run it, while the first one told
    assert "MemoryError" in caplog.text


def test_runtimes_that_handle_one_signal_may_end_in_any_order() -> None:
    heard: list[str] = []

    def add(runtime: Runtime, name: str) -> None:
        runtime.color("signals").add_signal_handler(signal.SIGUSR2, heard.append, name)

    before: Callable[..., object] | int | None = signal.getsignal(signal.SIGUSR2)
    first, second = Runtime(workers=1), Runtime(workers=1)
    add(first, "first")
    add(second, "second")
    first.shutdown()
    assert signal.getsignal(signal.SIGUSR2) == second._hub.signals._handle
    second.shutdown()
    assert signal.getsignal(signal.SIGUSR2) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_finalizer_posts_while_its_worker_goes_to_sleep_is_run(workers: int) -> None:
    """It runs on that thread, after the last look at what is ready: nobody else would be woken."""
    finalizers: list[Callable[[], object]] = []

    def collect() -> None:
        if threading.current_thread().name.startswith("colorsched-worker") and finalizers:
            finalizers.pop()()

    class Parking(LockParker):
        __slots__ = ()

        def park(self, timeout: float | None) -> bool:
            if workers > 1:
                collect()
            return super().park(timeout)

    class Polling(EpollPoller):
        def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
            if workers == 1 and timeout != 0:
                collect()
            return super().wait(timeout)

    with Runtime(workers=workers, doors=Doors(poller=Polling, parker=Parking)) as runtime:
        posted = Gate()
        finalizers.append(lambda: runtime.color("late").post(posted))
        runtime.post(int)  # wakes a worker, which then goes to sleep again
        try:
            with posted:
                posted.reached()
        finally:
            runtime.post(int)  # should the worker sleep on, its runtime could not end
