"""The future of submitted work: awaited in colors, in plain asyncio loops, and cancelled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Color, current_color
from colorsched.aio.future import ColorFuture
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from aio_support import Everywhere
    from colorsched import Runtime


def fail() -> None:
    raise LookupError("work that fails")


def test_awaiting_the_work_of_another_color(rt: Runtime, everywhere: Everywhere) -> None:
    shared = rt.color("shared")
    counts: list[int] = []

    def count(i: int) -> tuple[int, Color | None]:
        counts.append(i)
        return i, current_color()

    async def main(i: int) -> None:
        mine = current_color()
        for _ in range(20):
            assert await shared.submit(count, i) == (i, shared)
            assert current_color() is mine
        with pytest.raises(LookupError, match="work that fails"):
            await shared.submit(fail)

    everywhere(main)
    assert sorted(counts) == [i for i in range(5) for _ in range(20)]


def test_awaiting_what_is_done_takes_no_turn(rt: Runtime) -> None:
    future = rt.color("a").submit(pow, 2, 3)
    concurrent.futures.wait([future])

    async def main() -> Any:
        return await future + await future

    coro = main()
    with pytest.raises(StopIteration) as end:
        coro.send(None)
    assert end.value.value == 16


def test_awaiting_in_a_loop_outside_the_runtime(rt: Runtime) -> None:
    color = rt.color("a")

    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    async def main() -> None:
        assert current_color() is None
        assert await color.submit(pow, 2, 3) == 8
        assert await color.submit(double, 2) == 4
        assert await color.spawn(double(3)) == 6
        assert await asyncio.gather(*(color.submit(pow, n, 2) for n in range(5))) == [
            n**2 for n in range(5)
        ]
        assert await asyncio.wait_for(color.submit(double, 4), PATIENCE_SECONDS) == 8
        assert await asyncio.wrap_future(color.submit(double, 5)) == 10
        assert await asyncio.shield(color.submit(double, 6)) == 12
        assert [await future for future in asyncio.as_completed([color.submit(double, 7)])] == [14]
        async with asyncio.TaskGroup() as group:

            async def ask() -> int:
                return await color.submit(double, 8)

            task = group.create_task(ask())
        assert task.result() == 16
        with pytest.raises(LookupError):
            await color.submit(fail)

    asyncio.run(main())


def test_awaiting_in_several_loops_at_once(rt: Runtime) -> None:
    with Gate("work") as gate:
        future = rt.color("a").submit(gate)

        async def wait() -> None:
            await future

        waiting = [rt.color(("waits", i)).spawn(wait()) for i in range(3)]

        async def outside() -> None:
            task = asyncio.ensure_future(future)
            await asyncio.sleep(0)
            gate.open()
            await task

        asyncio.run(outside())
        for other in waiting:
            other.result(PATIENCE_SECONDS)


def test_cancelling_the_waiter_cancels_work_not_started(rt: Runtime) -> None:
    busy = rt.color("busy")
    ran: list[int] = []
    with Gate("busy") as gate:
        busy.post(gate)
        gate.reached()

        async def main() -> None:
            future = busy.submit(ran.append, 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(future, 0.001)
            assert future.cancelled()

        asyncio.run(main())
        rt.color("other").spawn(main()).result(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == []


def test_cancelling_the_waiter_leaves_a_callback_that_runs_alone(rt: Runtime) -> None:
    with Gate("runs") as gate:
        future = rt.color("a").submit(gate)
        gate.reached()

        async def main() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(future, 0.001)

        asyncio.run(main())
        assert future.running()
    assert future.result(PATIENCE_SECONDS) is None


@pytest.mark.parametrize("how", ["spawn", "submit"])
def test_cancelling_the_waiter_cancels_a_coroutine_that_runs(rt: Runtime, how: str) -> None:
    color = rt.color("a")
    story: list[str] = []
    begun = Gate("begun").open()

    async def work() -> None:
        begun()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            story.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            story.append("cleaned up")

    future: Any = color.spawn(work()) if how == "spawn" else color.submit(work)
    begun.reached()

    async def main() -> None:
        task = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert future.cancelled()
    assert rt.drain(PATIENCE_SECONDS)
    assert story == ["cancelled", "cleaned up"]


def test_cancelling_the_future_raises_in_who_awaits_it(rt: Runtime) -> None:
    color, begun = rt.color("a"), Gate("begun").open()

    async def work() -> None:
        begun()
        await asyncio.Event().wait()

    future = color.spawn(work())
    begun.reached()

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await future

    waiting = rt.color("b").spawn(main())
    assert future.cancel()
    waiting.result(PATIENCE_SECONDS)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_a_coroutine_that_cancels_itself_is_cancelled(rt: Runtime) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    for future in (rt.spawn(work()), rt.submit(work)):
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(PATIENCE_SECONDS)
        assert future.cancelled()


def test_a_spawned_coroutine_cancelled_before_it_starts_never_starts(rt: Runtime) -> None:
    color = rt.color("a")
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    with Gate("busy") as gate:
        color.post(gate)
        gate.reached()
        assert color.spawn(work()).cancel()
        assert color.submit(work).cancel()
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == []


def test_blocking_on_a_coroutine_of_a_color_from_a_thread(rt: Runtime) -> None:
    async def work() -> str:
        await asyncio.sleep(0.001)
        return "done"

    color = rt.color("a")
    futures = [color.submit(work), color.spawn(work())]
    assert concurrent.futures.wait(futures, PATIENCE_SECONDS).not_done == set()
    assert [future.result() for future in futures] == ["done", "done"]
    assert [future.exception() for future in futures] == [None, None]
    assert list(color.map(pow, [1, 2], [3, 4])) == [1, 16]


def test_everybody_who_blocks_on_a_future_goes_on(rt: Runtime) -> None:
    gate = Gate()
    future = rt.color("a").submit(gate)
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(future.exception, PATIENCE_SECONDS) for _ in range(3)]
        gate.open()
        assert [one.result() for one in waiting] == [None] * 3


def test_a_future_that_was_waited_for_leaves_no_cycle(rt: Runtime) -> None:
    gc.collect()
    gc.disable()
    try:
        future = rt.color("a").submit(pow, 2, 3)
        assert future.result() == 8
        gone = weakref.ref(future), weakref.ref(future._condition)
        rt.drain()
        del future
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_a_pending_future_is_little_for_the_garbage_collector(rt: Runtime) -> None:
    # Itself, its attributes, its condition, and lists of waiters and of callbacks.
    color, waits = rt.color("a"), rt._scheduler.shared.waits
    assert rt.drain(PATIENCE_SECONDS)  # its threads have begun, and make nothing more
    before = len(gc.get_objects())
    futures: list[ColorFuture[None]] = [ColorFuture(color, waits) for _ in range(100)]
    assert len(gc.get_objects()) - before < 5.5 * len(futures)
