"""Coroutines, tasks and asyncio's primitives do in a color what they do in any loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aio_support import until
from colorsched import Color, ColorFuture, Runtime, current_color, run
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from aio_support import Everywhere


def test_each_color_is_a_loop_of_its_own(rt: Runtime, everywhere: Everywhere) -> None:
    async def main(_: int) -> tuple[asyncio.AbstractEventLoop, Color | None]:
        await asyncio.sleep(0)
        return asyncio.get_running_loop(), current_color()

    seen = everywhere(main)
    assert len({id(loop) for loop, _ in seen}) == len(seen)
    for loop, color in seen:
        assert color is not None
        assert color.loop is loop
        assert loop.is_running()
        assert not loop.is_closed()


def test_callbacks_of_a_color_see_its_loop_once_it_has_one(rt: Runtime) -> None:
    color = rt.color("late")

    def look() -> asyncio.AbstractEventLoop | None:
        return asyncio._get_running_loop()

    assert color.submit(look).result(PATIENCE_SECONDS) is None
    loop = color.loop
    assert color.submit(look).result(PATIENCE_SECONDS) is loop
    assert rt.color("other").submit(look).result(PATIENCE_SECONDS) is None
    assert asyncio._get_running_loop() is None


def test_a_loop_made_in_the_middle_of_a_turn_runs_in_the_rest_of_it(rt: Runtime) -> None:
    color = rt.color("busy")

    async def ask() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with Gate("busy") as gate:
        color.post(gate)
        gate.reached()
        loop = color.loop  # on this thread, while a worker is in the middle of a turn
        spawned = asyncio.run_coroutine_threadsafe(ask(), loop)
        looked = color.submit(asyncio._get_running_loop)
    assert spawned.result(PATIENCE_SECONDS) is loop
    assert looked.result(PATIENCE_SECONDS) is loop


def test_sleep_wait_for_and_timeout(everywhere: Everywhere) -> None:
    async def main(i: int) -> list[str]:
        seen = [await asyncio.sleep(0, f"slept {i}"), await asyncio.sleep(0.001, "and long")]
        never = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(never, 0.001)
        assert never.cancelled()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        async with asyncio.timeout(PATIENCE_SECONDS):
            seen.append(await asyncio.wait_for(asyncio.sleep(0, "in time"), PATIENCE_SECONDS))
        return seen

    assert everywhere(main) == [[f"slept {i}", "and long", "in time"] for i in range(5)]


def test_task_group_and_gather(everywhere: Everywhere) -> None:
    async def square(n: int) -> int:
        await asyncio.sleep(0)
        return n * n

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("one of the group")

    async def main(i: int) -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(square(i + n)) for n in range(10)]
        by_gather = await asyncio.gather(*(square(i + n) for n in range(10)))
        assert [task.result() for task in tasks] == by_gather
        hanging: asyncio.Task[Any] | None = None
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group is what raises
            async with asyncio.TaskGroup() as group:
                hanging = group.create_task(asyncio.Event().wait())
                group.create_task(fail())
        assert isinstance(caught.value.exceptions[0], LookupError)
        assert hanging is not None
        assert hanging.cancelled()
        return by_gather

    assert everywhere(main) == [[(i + n) ** 2 for n in range(10)] for i in range(5)]


def test_queue_lock_event_semaphore_condition_barrier(everywhere: Everywhere) -> None:
    async def main(i: int) -> list[str]:
        story: list[str] = []
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        lock = asyncio.Lock()
        ready = asyncio.Event()
        two = asyncio.Semaphore(2)
        condition = asyncio.Condition()
        barrier = asyncio.Barrier(3)
        inside = 0

        async def produce() -> None:
            await ready.wait()
            for n in range(5):
                await queue.put(n)
            await queue.put(-1)

        async def consume() -> None:
            while (n := await queue.get()) >= 0:
                async with lock:
                    story.append(f"got {n}")
                queue.task_done()
            queue.task_done()

        async def crowd() -> None:
            nonlocal inside
            async with two:
                inside += 1
                assert inside <= 2
                await asyncio.sleep(0)
                inside -= 1
            await barrier.wait()

        async def wait_for_five() -> None:
            async with condition:
                await condition.wait_for(lambda: len(story) == 5)
                story.append("five")

        async with asyncio.TaskGroup() as group:
            for job in (produce(), consume(), crowd(), crowd(), crowd(), wait_for_five()):
                group.create_task(job)
            ready.set()
            await queue.join()
            await until(lambda: len(story) == 5)
            async with condition:
                condition.notify_all()
        return story

    assert everywhere(main) == [[*(f"got {n}" for n in range(5)), "five"]] * 5


def test_call_soon_keeps_order_and_context(everywhere: Everywhere) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def main(i: int) -> list[Any]:
        loop = asyncio.get_running_loop()
        story: list[Any] = []
        done = asyncio.Event()

        def note(n: int) -> None:
            story.append((n, variable.get()))

        variable.set(f"main {i}")
        other = contextvars.copy_context()
        other.run(variable.set, "other")
        loop.call_soon(note, 0)
        loop.call_soon(note, 1, context=other)
        dropped = loop.call_soon(note, 2)
        loop.call_soon_threadsafe(note, 3)
        variable.set("later")
        loop.call_later(0.001, done.set)
        late = loop.call_at(loop.time() + 3600, note, 4)
        assert late.when() > loop.time()
        dropped.cancel()
        late.cancel()
        assert dropped.cancelled()
        assert late.cancelled()
        await done.wait()
        return story

    assert everywhere(main) == [
        [(0, f"main {i}"), (1, "other"), (3, f"main {i}")] for i in range(5)
    ]


def test_tasks_have_names_contexts_and_are_known(everywhere: Everywhere) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def main(i: int) -> None:
        me = asyncio.current_task()
        assert me is not None
        assert asyncio.all_tasks() == {me}
        context = contextvars.copy_context()
        context.run(variable.set, f"of {i}")

        async def child() -> str:
            task = asyncio.current_task()
            assert task is not None
            assert asyncio.all_tasks() == {me, task}
            return f"{task.get_name()} {variable.get()}"

        loop = asyncio.get_running_loop()
        task = loop.create_task(child(), name=f"child {i}", context=context)
        assert await task == f"child {i} of {i}"
        assert variable.get() == "unset"
        assert asyncio.current_task() is me

    everywhere(main)


def test_a_spawned_coroutine_sees_the_context_of_its_spawner(rt: Runtime) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def main() -> str:
        await asyncio.sleep(0)
        before = variable.get()
        variable.set("changed inside")
        return before

    variable.set("spawner's")
    assert rt.spawn(main()).result(PATIENCE_SECONDS) == "spawner's"
    assert variable.get() == "spawner's"


if sys.version_info >= (3, 12):

    def test_eager_tasks(everywhere: Everywhere) -> None:
        async def at_once(n: int) -> int:
            task = asyncio.current_task()
            assert task is not None
            return n

        async def main(i: int) -> int:
            me = asyncio.current_task()
            loop = asyncio.get_running_loop()
            loop.set_task_factory(asyncio.eager_task_factory)
            task = asyncio.create_task(at_once(i))
            assert task.done()
            assert asyncio.current_task() is me
            slow = asyncio.create_task(asyncio.sleep(0, i))
            assert not slow.done()
            return await task + await slow

        assert everywhere(main) == [2 * i for i in range(5)]


def test_task_factory(rt: Runtime) -> None:
    made = []

    def factory(loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(getattr(coro, "__name__", None))
        return asyncio.Task(coro, loop=loop, **options)

    async def child() -> str:
        return "made"

    async def main() -> str:
        asyncio.get_running_loop().set_task_factory(factory)
        return await asyncio.create_task(child())

    assert rt.spawn(main()).result(PATIENCE_SECONDS) == "made"
    assert made == ["child"]


def test_what_nobody_retrieves_reaches_the_loops_exception_handler(rt: Runtime) -> None:
    reports: list[dict[str, Any]] = []
    color = rt.color("careless")

    async def fail() -> None:
        raise LookupError("lost")

    def raise_it() -> None:
        raise ArithmeticError("in a callback")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, report: reports.append(report))
        task = loop.create_task(fail())
        await until(task.done)
        del task
        gc.collect()
        loop.call_soon(raise_it)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    color.spawn(main()).result(PATIENCE_SECONDS)
    assert [type(report["exception"]) for report in reports] == [LookupError, ArithmeticError]
    assert reports[0]["message"] == "Task exception was never retrieved"


def test_what_nobody_retrieves_is_logged_by_asyncio(
    rt: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise LookupError("lost")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await until(task.done)

    gc.collect()  # what other tests have left is not told here
    caplog.clear()
    rt.spawn(main()).result(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    gc.collect()
    assert [record.name for record in caplog.records] == ["asyncio"]
    assert "Task exception was never retrieved" in caplog.text


def test_an_exit_in_a_task_goes_to_who_awaits_it(rt: Runtime) -> None:
    async def leave() -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    with pytest.raises(SystemExit):
        rt.spawn(leave()).result(PATIENCE_SECONDS)
    assert rt.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8


def test_debug_mode_checks_callbacks_and_reports_slow_ones(
    rt: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    async def coroutine_function() -> None:
        """Never called."""

    def slow() -> None:
        """As slow as a bound of zero seconds makes it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        assert loop.get_debug()
        with pytest.raises(TypeError, match="coroutines cannot be used with call_soon"):
            loop.call_soon(coroutine_function)
        with pytest.raises(TypeError, match="callable object was expected by call_at"):
            loop.call_later(0, "no function")  # type: ignore[arg-type]  # that is the point
        loop.slow_callback_duration = 0.0
        loop.call_soon(slow)
        await asyncio.sleep(0)
        loop.slow_callback_duration = PATIENCE_SECONDS
        loop.call_later(0, slow)
        await asyncio.sleep(0)
        loop.set_debug(False)

    with caplog.at_level(logging.WARNING, "asyncio"):
        rt.color("debugged").spawn(main()).result(PATIENCE_SECONDS)
    assert "slow" in caplog.text
    assert "<color 'debugged'> took" in caplog.text


def test_debug_mode_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    assert run(main())
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "")
    assert run(main()) is sys.flags.dev_mode


def test_a_loop_of_a_color_is_not_the_users_to_run(rt: Runtime) -> None:
    loop = rt.color("mine").loop

    async def nothing() -> None:
        """Never run."""

    for attempt in (
        loop.run_forever,
        loop.stop,
        loop.close,
        lambda: loop.run_until_complete(nothing()),
    ):
        with pytest.raises(RuntimeError, match=r"its runtime runs it.*spawn\(\)"):
            attempt()


def test_a_loop_is_closed_when_its_runtime_is_over() -> None:
    with Runtime(workers=1) as rt:
        loop = rt.color("short").loop
        assert not loop.is_closed()
    assert loop.is_closed()
    assert not loop.is_running()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.call_soon(print)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.call_soon_threadsafe(print)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.call_later(1, print)


def test_mixing_loops_up_is_refused_by_asyncio(rt: Runtime) -> None:
    a, b = rt.color("a"), rt.color("b")
    lock = asyncio.Lock()
    held, go = Gate("held"), asyncio.Event()

    async def hold() -> None:
        async with lock:
            waiter = asyncio.ensure_future(lock.acquire())  # binds the lock to this loop
            await asyncio.sleep(0)
            waiter.cancel()
            a.loop.call_soon(held)
            await go.wait()

    async def ask() -> None:
        await lock.acquire()

    async def await_foreign(future: asyncio.Future[None]) -> None:
        await future

    holding = a.spawn(hold())
    with held:
        held.reached()
        with pytest.raises(RuntimeError, match="bound to a different event loop"):
            b.spawn(ask()).result(PATIENCE_SECONDS)
        foreign = a.loop.create_future()
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            b.spawn(await_foreign(foreign)).result(PATIENCE_SECONDS)
    a.loop.call_soon_threadsafe(go.set)
    holding.result(PATIENCE_SECONDS)


def test_run_coroutine_threadsafe_reaches_a_color(rt: Runtime) -> None:
    color = rt.color("reached")

    async def main() -> tuple[int, Color | None]:
        return await asyncio.sleep(0, 5), current_color()

    future = asyncio.run_coroutine_threadsafe(main(), color.loop)
    assert future.result(PATIENCE_SECONDS) == (5, color)


def test_spawn_takes_a_coroutine_only(rt: Runtime) -> None:
    async def main() -> None:
        """Never called."""

    with pytest.raises(TypeError, match=r"spawn\(\) takes a coroutine.*Call the async function"):
        rt.spawn(main)  # type: ignore[arg-type]  # that is the point


def test_spawned_coroutines_of_a_color_interleave_in_its_order(rt: Runtime) -> None:
    color = rt.color("interleaved")
    story: list[str] = []

    async def walk(name: str) -> None:
        for step in range(3):
            story.append(f"{name}{step}")
            await asyncio.sleep(0)

    def start() -> list[ColorFuture[None]]:
        return [color.spawn(walk(name)) for name in "ab"]

    for future in color.submit(start).result(PATIENCE_SECONDS):
        future.result(PATIENCE_SECONDS)
    assert story == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_background_tasks_are_cancelled_when_the_runtime_ends() -> None:
    story: list[str] = []
    started = Gate("started")

    async def background() -> None:
        try:
            started.open()
            started()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            story.append("cleaned up")

    async def main() -> None:
        kept.append(asyncio.create_task(background()))

    kept: list[asyncio.Task[None]] = []
    with Runtime(workers=2) as rt:
        rt.color("background").spawn(main()).result(PATIENCE_SECONDS)
        started.reached()
    assert kept[0].cancelled()
    assert story == ["cleaned up"]
