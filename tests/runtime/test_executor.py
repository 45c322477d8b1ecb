"""A color is a concurrent.futures.Executor, and its futures are those of concurrent.futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from concurrent.futures import FIRST_COMPLETED, Executor, as_completed
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import ColorDeadlock, ColorFuture, current_color
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from colorsched import Runtime


def test_it_is_one(rt: Runtime) -> None:
    color = rt.color("c")
    assert isinstance(color, Executor)
    future = color.submit(divmod, 7, 3)
    assert isinstance(future, ColorFuture)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(PATIENCE_SECONDS) == (2, 1)


def test_submit_passes_keywords_and_its_context(rt: Runtime) -> None:
    name: ContextVar[str] = ContextVar("name", default="none")

    def work(*args: int, **kwargs: int) -> Any:
        return args, kwargs, name.get(), current_color()

    color = rt.color("c")
    token = name.set("submitted")
    future = color.submit(work, 1, fn=2, self=3)
    name.reset(token)
    assert future.result(PATIENCE_SECONDS) == ((1,), {"fn": 2, "self": 3}, "submitted", color)


def test_map_keeps_the_order_and_runs_one_at_a_time(rt: Runtime) -> None:
    lock = threading.Lock()

    def work(a: int, b: int) -> int:
        assert lock.acquire(blocking=False)
        lock.release()
        return a * b

    assert list(rt.color("c").map(work, range(100), range(100))) == [n * n for n in range(100)]


def test_map_raises_in_place_and_times_out(rt: Runtime) -> None:
    color = rt.color("c")
    results = color.map(lambda n: 1 // n, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    with Gate() as gate:
        color.post(gate)
        gate.reached()
        with pytest.raises(TimeoutError):
            next(color.map(pow, [1], [1], timeout=0.001))


def test_asyncio_runs_functions_in_it(rt: Runtime) -> None:
    color = rt.color("c")

    def look(number: int) -> Any:
        return number, current_color()

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(color, look, n) for n in range(5)]
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == [(n, color) for n in range(5)]


def test_a_plain_asyncio_loop_awaits_its_futures(rt: Runtime) -> None:
    async def main() -> int:
        return await rt.color("c").submit(pow, 2, 5)

    assert asyncio.run(main()) == 32


def test_a_with_block_ends_nothing(rt: Runtime) -> None:
    with rt.color("c") as color:
        assert color.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8
    assert color.submit(pow, 2, 4).result(PATIENCE_SECONDS) == 16


def test_it_refuses_to_be_shut_down_alone(rt: Runtime) -> None:
    color = rt.color("c")
    with pytest.raises(RuntimeError, match=r"Runtime\.shutdown"):
        color.shutdown()
    with pytest.raises(RuntimeError, match=r"Runtime\.shutdown"):
        color.shutdown(wait=False, cancel_futures=True)
    assert color.submit(int).result(PATIENCE_SECONDS) == 0


def test_wait_and_as_completed(rt: Runtime) -> None:
    with Gate() as gate:
        late = rt.color("late").submit(gate)
        early = rt.color("early").submit(pow, 2, 3)
        done, left = concurrent.futures.wait(
            [late, early], PATIENCE_SECONDS, return_when=FIRST_COMPLETED
        )
        assert (done, left) == ({early}, {late})
        iterator = as_completed([early, late], PATIENCE_SECONDS)
        assert next(iterator) is early
        gate.open()
        assert next(iterator) is late


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("what", ["queued", "spawned", "holding", "not begun"])
def test_those_who_wait_hear_of_cancellation(rt: Runtime, what: str) -> None:
    color = rt.color("c")
    begun = threading.Event()

    async def begin() -> None:
        begun.set()
        await forever()

    future: concurrent.futures.Future[Any]
    with Gate() as gate:
        if what in {"queued", "not begun"}:
            color.post(gate)
            gate.reached()
        if what == "queued":
            future = color.submit(int)
        elif what == "holding":
            future = color.submit(begin)
            assert begun.wait(PATIENCE_SECONDS)
        else:
            future = color.spawn(begin())
            if what == "spawned":
                assert begun.wait(PATIENCE_SECONDS)
        assert future.cancel()
    assert concurrent.futures.wait([future], PATIENCE_SECONDS).done == {future}
    assert list(as_completed([future], PATIENCE_SECONDS)) == [future]
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    assert color.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8  # it lets the color go


def test_cancelling_a_running_coroutine_runs_its_cleanup(rt: Runtime) -> None:
    steps: list[str] = []
    begun, cleaned = threading.Event(), threading.Event()

    async def main() -> None:
        try:
            begun.set()
            await forever()
        except asyncio.CancelledError:
            steps.append("cancelled")
            await asyncio.sleep(0)
            steps.append("cleaned")
            cleaned.set()
            raise

    future = rt.color("c").spawn(main())
    assert begun.wait(PATIENCE_SECONDS)
    assert future.cancel()
    assert cleaned.wait(PATIENCE_SECONDS)
    assert steps == ["cancelled", "cleaned"]


def test_a_running_function_cannot_be_cancelled(rt: Runtime) -> None:
    with Gate() as gate:
        future = rt.submit(gate)
        gate.reached()
        assert future.running()
        assert not future.cancel()
    assert future.result(PATIENCE_SECONDS) is None
    assert not future.cancel()


def test_a_posted_callback_is_cancelled_until_it_starts(rt: Runtime) -> None:
    ran: list[int] = []
    with Gate() as gate:
        started = rt.post(gate)
        gate.reached()
        handles = [rt.post(ran.append, n) for n in range(10)]
        assert not started.cancel()
        assert all(handle.cancel() for handle in handles[::2])
        assert not any(handle.cancel() for handle in handles[::2])
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == [1, 3, 5, 7, 9]
    assert [handle.cancelled() for handle in handles] == [True, False] * 5
    assert not any(handle.cancel() for handle in handles)
    assert (handles[0].reason, handles[1].reason) == ("cancelled", None)


def test_done_callbacks_run_in_the_color(rt: Runtime) -> None:
    seen: list[Any] = []
    called = threading.Event()

    def done(future: concurrent.futures.Future[int]) -> None:
        seen.append((future.result(), current_color()))
        called.set()

    color = rt.color("c")
    with Gate() as gate:
        color.post(gate)
        color.submit(pow, 2, 3).add_done_callback(done)
    assert called.wait(PATIENCE_SECONDS)
    assert seen == [(8, color)]


def test_waiting_for_ones_own_color_is_refused(rt: Runtime) -> None:
    color = rt.color("own")

    def wait() -> Any:
        return color.submit(int).result()

    with pytest.raises(ColorDeadlock, match="'own' -> 'own'"):
        color.submit(wait).result(PATIENCE_SECONDS)
