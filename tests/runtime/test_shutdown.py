"""The end of a runtime: what still runs, what is dropped and says so, what is refused after."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import signal
import socket
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import ColorDeadlock, Runtime, RuntimeShutdown
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched import Handle


def threads_of_ours() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("colorsched")}


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A runtime that the test shuts down; afterwards none of its threads is left."""
    before = threads_of_ours()
    runtime = Runtime(workers=2)
    yield runtime
    runtime.shutdown(wait=False, cancel_futures=True)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(runtime.shutdown).result(PATIENCE_SECONDS)
    assert threads_of_ours() <= before


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_what_was_accepted_runs(runtime: Runtime) -> None:
    ran: list[int] = []
    with Gate() as gate:
        color = runtime.color("c")
        color.post(gate)
        for number in range(1000):
            color.post(ran.append, number)
        future = color.submit(len, ran)
        gate.reached()
        runtime.shutdown(wait=False)
        assert ran == []
    runtime.shutdown()
    assert ran == list(range(1000))
    assert future.result(0) == 1000


def test_waiting_for_it_means_that_all_threads_have_ended() -> None:
    before = threads_of_ours()
    runtime = Runtime(workers=3)
    for number in range(100):
        runtime.color(number).post(int)
    runtime.shutdown()
    assert threads_of_ours() == before
    assert runtime.stats().workers == 0


def test_threads_carry_the_name_of_the_package(runtime: Runtime) -> None:
    with Gate() as gate:
        for number in range(3):
            runtime.color(number).post(gate)
        name = runtime.color("n").submit(lambda: threading.current_thread().name)
        assert name.result(PATIENCE_SECONDS).startswith("colorsched-")
        kinds = {thread.name.split("-")[1] for thread in threads_of_ours()}
        assert {"worker", "monitor"} <= kinds <= {"worker", "spare", "monitor", "shutdown"}


def test_not_waiting_returns_while_a_callback_blocks(runtime: Runtime) -> None:
    with Gate() as gate:
        runtime.post(gate)
        gate.reached()
        runtime.shutdown(wait=False)
        assert runtime.stats().workers >= 1
    runtime.shutdown()
    assert runtime.stats().workers == 0


def test_cancel_futures_drops_what_has_not_started(runtime: Runtime) -> None:
    ran: list[str] = []
    with Gate() as gate:
        color = runtime.color("c")
        first = color.submit(gate)
        gate.reached()
        handle = color.post(ran.append, "posted")
        future = color.submit(ran.append, "submitted")
        coroutine = color.spawn(forever())
        timer = color.call_later(3600, ran.append, "timer")
        runtime.shutdown(wait=False, cancel_futures=True)
        assert handle.cancelled()
        assert handle.reason == "shut down"
        assert timer.reason == "shut down"
        assert future.cancelled()
        assert coroutine.cancelled()
    runtime.shutdown()
    assert first.result(0) is None
    assert ran == []
    assert concurrent.futures.wait([future, coroutine], 0).not_done == set()


@pytest.mark.parametrize("how", ["spinning", "waiting", "holding"])
def test_cancel_futures_cancels_coroutines_wherever_they_are(runtime: Runtime, how: str) -> None:
    cleaned: list[int] = []
    begun = threading.Semaphore(0)

    async def main(number: int) -> None:
        begun.release()
        try:
            if how == "spinning":
                while True:  # noqa: ASYNC110 - it is to be ready nearly always
                    await asyncio.sleep(0)
            await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(number)

    count = 20
    for number in range(count):
        color = runtime.color(number)
        if how == "holding":
            color.submit(main, number)
            color.post(int)  # waits for the hold's end
        else:
            color.spawn(main(number))
    for _ in range(count):
        assert begun.acquire(timeout=PATIENCE_SECONDS)
    runtime.shutdown(cancel_futures=True)
    assert sorted(cleaned) == list(range(count))


def test_cancel_futures_cancels_a_coroutine_that_is_just_starting(runtime: Runtime) -> None:
    # Its callback has started, so it is not dropped; its task is not made, so nobody knows it yet.
    with Gate() as gate:

        def start() -> Any:
            gate()
            return forever()

        future = runtime.color("c").submit(start)
        gate.reached()
        runtime.shutdown(wait=False, cancel_futures=True)
    runtime.shutdown()
    assert isinstance(future.exception(0), asyncio.CancelledError)


def test_dropping_while_workers_run_ends_no_worker(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []
    handles = [runtime.color(number % 10).post(ran.append, number) for number in range(20_000)]
    runtime.shutdown(cancel_futures=True)
    assert len(ran) + sum(handle.cancelled() for handle in handles) == 20_000
    assert caplog.records == []


def test_twice_from_two_threads(runtime: Runtime) -> None:
    with Gate() as gate, ThreadPoolExecutor(3) as pool:
        runtime.post(gate)
        gate.reached()
        ends = [pool.submit(runtime.shutdown) for _ in range(3)]
        runtime.shutdown(wait=False)
        assert not any(end.done() for end in ends)
        gate.open()
        for end in ends:
            assert end.result(PATIENCE_SECONDS) is None
    runtime.shutdown()
    runtime.shutdown(cancel_futures=True)


def test_inside_a_callback_it_cannot_wait_for_itself(runtime: Runtime) -> None:
    future = runtime.color("c").submit(runtime.shutdown)
    with pytest.raises(ColorDeadlock, match=r"shutdown\(\) waits for every callback"):
        future.result(PATIENCE_SECONDS)
    drain = runtime.color("c").submit(runtime.drain)
    with pytest.raises(ColorDeadlock, match=r"drain\(\) waits for every callback"):
        drain.result(PATIENCE_SECONDS)
    assert runtime.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8  # it is open still


def test_inside_a_callback_it_can_begin(runtime: Runtime) -> None:
    ran: list[int] = []

    def end() -> None:
        runtime.shutdown(wait=False)
        with pytest.raises(RuntimeShutdown):
            runtime.post(ran.append, 2)

    with Gate() as gate:
        color = runtime.color("c")
        color.post(gate)
        future = color.submit(end)
        color.post(ran.append, 1)
    assert future.result(PATIENCE_SECONDS) is None
    runtime.shutdown()
    assert ran == [1]


def test_a_coroutine_that_holds_runs_to_its_end_and_those_behind_it_too(runtime: Runtime) -> None:
    ran: list[str] = []
    begun = threading.Event()
    release: list[Callable[[], Any]] = []

    async def hold() -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        release.append(lambda: loop.call_soon_threadsafe(future.set_result, None))
        begun.set()
        await future
        ran.append("held")
        return "held"

    color = runtime.color("c")
    held = color.submit(hold)
    color.post(ran.append, "behind")
    assert begun.wait(PATIENCE_SECONDS)
    runtime.shutdown(wait=False)
    assert not held.done()
    release[0]()
    runtime.shutdown()
    assert held.result(0) == "held"
    assert ran == ["held", "behind"]


def test_background_tasks_are_cancelled_and_awaited(runtime: Runtime) -> None:
    steps: list[str] = []

    async def background() -> None:
        try:
            await forever()
        finally:
            steps.append("cancelled")
            await asyncio.sleep(0.01)  # a timer of the loop: the end waits for it
            steps.append("cleaned")

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        return task

    color = runtime.color("c")
    task = color.spawn(main()).result(PATIENCE_SECONDS)
    runtime.shutdown()
    assert steps == ["cancelled", "cleaned"]
    assert task.cancelled()


def test_async_generators_are_closed(runtime: Runtime) -> None:
    closed: list[str] = []

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def main() -> Any:
        numbers = generator()
        assert await anext(numbers) == 1
        return numbers, asyncio.get_running_loop()

    kept = runtime.color("c").spawn(main()).result(PATIENCE_SECONDS)
    runtime.shutdown()
    assert closed == ["closed"]
    del kept


def test_servers_timers_readers_and_signals_do_not_keep_it(runtime: Runtime) -> None:
    left, right = socket.socketpair()
    before = signal.getsignal(signal.SIGUSR1)

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(lambda *_: None, sock=listening)

    with left, right, socket.create_server(("127.0.0.1", 0)) as listening:
        server = runtime.color("server").spawn(serve()).result(PATIENCE_SECONDS)
        assert server.is_serving()
        runtime.color("reader").add_reader(left, int)
        runtime.add_signal_handler(signal.SIGUSR1, int)
        timer = runtime.call_later(3600, int)
        runtime.shutdown()
        assert timer.cancelled()
        assert signal.getsignal(signal.SIGUSR1) is before


async def nothing() -> None:
    """Nothing to do."""


DOORS: dict[str, Callable[[Any], object]] = {
    "post": lambda c: c.post(int),
    "submit": lambda c: c.submit(int),
    "submit async": lambda c: c.submit(nothing),
    "spawn": lambda c: c.spawn(nothing()),
    "dispatch": lambda c: c.dispatch(int),
    "call_later": lambda c: c.call_later(0, int),
    "call_at": lambda c: c.call_at(0, int),
    "add_reader": lambda c: c.add_reader(0, int),
    "add_writer": lambda c: c.add_writer(1, int),
    "add_signal_handler": lambda c: c.add_signal_handler(signal.SIGUSR1, int),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_is_closed_after_shutdown(runtime: Runtime, door: str) -> None:
    old = runtime.color("old")
    runtime.shutdown()
    for color in (runtime, old, runtime.color("old"), runtime.color("new")):
        with pytest.raises(RuntimeShutdown, match=r"shut down.*make a new Runtime"):
            DOORS[door](color)
    assert signal.getsignal(signal.SIGUSR1) is not None
    assert runtime.drain(0) is True
    assert runtime.remove_reader(0) is False
    assert runtime.remove_signal_handler(signal.SIGUSR1) is False
    assert runtime.stats().pending == 0


def test_map_after_shutdown(runtime: Runtime) -> None:
    runtime.shutdown()
    with pytest.raises(RuntimeShutdown):
        runtime.color("c").map(int, "12")


def test_each_refusal_is_an_error_of_its_own(runtime: Runtime) -> None:
    runtime.shutdown()
    raised: list[RuntimeShutdown] = []
    for _ in range(2):
        with pytest.raises(RuntimeShutdown) as caught:
            runtime.post(int)
        raised.append(caught.value)
    assert raised[0] is not raised[1]  # else their tracebacks would grow together


def test_post_and_shutdown_racing_lose_nothing() -> None:
    for _ in range(20):
        runtime = Runtime(workers=2)
        start = threading.Barrier(4)

        def post(
            number: int, runtime: Runtime = runtime, start: threading.Barrier = start
        ) -> tuple[list[Handle], list[int]]:
            ran: list[int] = []
            color = runtime.color(number)
            accepted: list[Handle] = []
            start.wait(PATIENCE_SECONDS)
            with contextlib.suppress(RuntimeShutdown):
                while True:
                    accepted.append(color.post(ran.append, len(accepted)))
            return accepted, ran

        with ThreadPoolExecutor(3) as pool:
            posters = [pool.submit(post, number) for number in range(3)]
            start.wait(PATIENCE_SECONDS)
            runtime.shutdown()
            for poster in posters:
                accepted, ran = poster.result(PATIENCE_SECONDS)
                # A poster that stood still in the middle of a post while the runtime came to its
                # end finds nobody left to run that one, and its handle says so.
                if accepted and accepted[-1].reason == "shut down":
                    accepted.pop()
                assert ran == list(range(len(accepted)))


def test_drain_and_shutdown_racing_both_return() -> None:
    for _ in range(50):
        runtime = Runtime(workers=2)
        runtime.post(int)
        with ThreadPoolExecutor(2) as pool:
            drains = [pool.submit(runtime.drain) for _ in range(2)]
            runtime.shutdown()
            assert all(drain.result(PATIENCE_SECONDS) for drain in drains)
        assert runtime.drain() is True


def test_a_runtime_that_was_shut_down_is_freed() -> None:
    runtime = Runtime()
    reference = weakref.ref(runtime)
    runtime.submit(int).result(PATIENCE_SECONDS)
    runtime.shutdown()
    del runtime
    gc.collect()
    assert reference() is None


def test_the_pool_for_blocking_calls_ends_too() -> None:
    async def main() -> int:
        return await asyncio.to_thread(pow, 2, 3)

    before = threads_of_ours()
    with Runtime() as runtime:
        assert runtime.spawn(main()).result(PATIENCE_SECONDS) == 8
        assert any(thread.name.startswith("colorsched-blocking") for thread in threads_of_ours())
    assert threads_of_ours() == before


def test_nothing_of_it_is_open_afterwards() -> None:
    with Runtime():
        """So that whatever is made once has been made."""
    gc.collect()  # else what other tests have left may be closed meanwhile
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        with Runtime(workers=2) as runtime:
            runtime.post(int)
    assert sorted(Path("/proc/self/fd").iterdir()) == before
