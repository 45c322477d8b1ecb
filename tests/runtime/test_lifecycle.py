"""A runtime from beginning to end: with blocks, `run`, Ctrl-C, the interpreter's exit."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from colorsched import (
    DEFAULT,
    Color,
    Runtime,
    RuntimeShutdown,
    current_color,
    current_runtime,
    run,
)
from runtime.processes import ended, finish, started
from support import PATIENCE_SECONDS, Gate

# -- with blocks -------------------------------------------------------------------------------


def test_leaving_the_block_waits_for_all_that_was_accepted() -> None:
    ran: list[str] = []

    async def coroutine() -> None:
        await asyncio.sleep(0)
        ran.append("coroutine")
        current_runtime().post(ran.append, "posted by it")

    with Runtime() as runtime:
        runtime.post(lambda: runtime.color("next").post(ran.append, "nested"))
        runtime.call_later(0.01, ran.append, "timer")
        runtime.color("c").spawn(coroutine())
    assert sorted(ran) == ["coroutine", "nested", "posted by it", "timer"]
    with pytest.raises(RuntimeShutdown):
        runtime.post(int)


def test_an_exception_leaves_the_block_as_it_is_and_work_still_runs() -> None:
    ran: list[int] = []
    with pytest.raises(ValueError, match="mine"), Runtime() as runtime:  # noqa: PT012 - the block
        for number in range(100):
            runtime.post(ran.append, number)
        raise ValueError("mine")
    assert ran == list(range(100))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_drops_what_has_not_started(kind: type[BaseException]) -> None:
    ran: list[str] = []
    gate = Gate()
    with gate:
        with pytest.raises(kind), Runtime() as runtime:  # noqa: PT012 - the block
            runtime.post(gate)
            handle = runtime.post(ran.append, "posted")
            future = runtime.submit(ran.append, "submitted")
            gate.reached()
            raise kind
        # Here already: it did not wait for the callback that blocks.
        assert handle.reason == "shut down"
        assert future.cancelled()
    runtime.shutdown()
    assert ran == []


def test_several_runtimes_at_once_are_strangers() -> None:
    with Runtime() as one, Runtime() as two, Gate() as gate:
        one.color("same").post(gate)
        gate.reached()
        assert two.color("same").submit(current_runtime).result(PATIENCE_SECONDS) is two
        assert one.color("same") is not two.color("same")
        assert two.drain(PATIENCE_SECONDS)
        assert one.drain(timeout=0) is False
        # A callback of one may wait for the other.
        both = two.color("b").submit(lambda: one.color("b").submit(pow, 2, 3).result())
        assert both.result(PATIENCE_SECONDS) == 8
        # And dispatch posts, since it is a stranger's turn.
        posted = two.submit(lambda: one.color("idle").dispatch(int))
        assert posted.result(PATIENCE_SECONDS) is not None


def test_a_runtime_may_live_in_a_callback_of_another() -> None:
    def nested() -> int:
        with Runtime() as inner:
            return inner.submit(int, 8).result(PATIENCE_SECONDS)

    with Runtime() as outer:
        assert outer.submit(nested).result(PATIENCE_SECONDS) == 8


def test_drain_says_whether_it_became_quiet(rt: Runtime) -> None:
    assert rt.drain() is True
    with Gate() as gate:
        rt.post(gate)
        gate.reached()
        assert rt.drain(0) is False
        assert rt.drain(0.001) is False
        assert rt.drain(-1) is False
    assert rt.drain() is True
    task = rt.color("c").spawn(asyncio.sleep(3600))
    assert rt.drain(0) is False
    task.cancel()
    assert rt.drain(PATIENCE_SECONDS) is True


def test_uncolored_work_runs_in_the_default_color(rt: Runtime) -> None:
    seen: list[Any] = []

    def look() -> None:
        color = current_color()
        seen.append(color.key if color else None)

    async def look_too() -> None:
        look()

    rt.post(look)
    rt.submit(look)
    rt.dispatch(look)
    rt.call_later(0, look)
    rt.spawn(look_too())
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == [DEFAULT] * 5
    assert current_color() is None


NAME: ContextVar[str] = ContextVar("name", default="none")


def test_every_way_of_posting_takes_its_context_along(rt: Runtime) -> None:
    seen: list[tuple[str, str]] = []

    def look(how: str) -> None:
        seen.append((how, NAME.get()))
        NAME.set("changed")  # for nobody else

    async def look_too(how: str) -> None:
        await asyncio.sleep(0)
        look(how)

    def dispatches() -> None:
        NAME.set("inside")
        rt.color("idle").dispatch(look, "dispatch")

    color = rt.color("c")
    token = NAME.set("posted")
    color.post(look, "post")
    color.submit(look, "submit")
    color.submit(look_too, "hold")
    color.spawn(look_too("spawn"))
    color.call_later(0, look, "timer")
    NAME.reset(token)
    rt.post(dispatches)
    assert rt.drain(PATIENCE_SECONDS)
    assert sorted(seen) == [
        ("dispatch", "inside"),
        ("hold", "posted"),
        ("post", "posted"),
        ("spawn", "posted"),
        ("submit", "posted"),
        ("timer", "posted"),
    ]
    assert NAME.get() == "none"


# -- run ---------------------------------------------------------------------------------------


def test_run_returns_the_result_in_the_default_color() -> None:
    async def main() -> tuple[Any, Any]:
        color = current_color()
        await asyncio.sleep(0)
        return color.key if color else None, current_runtime()

    key, runtime = run(main(), workers=2)
    assert key is DEFAULT
    assert runtime._workers.count == 2
    with pytest.raises(RuntimeShutdown):
        runtime.post(int)
    assert not [t for t in threading.enumerate() if t.name.startswith("colorsched")]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_run_raises_what_main_raises(kind: type[BaseException]) -> None:
    error = kind("no")

    async def main() -> None:
        raise error

    with pytest.raises(kind) as raised:
        run(main())
    assert raised.value is error


def test_run_refuses_what_is_no_coroutine_and_closes_what_it_cannot_run() -> None:
    async def main() -> None:
        """Nothing to do."""

    with pytest.raises(TypeError, match=r"run\(f\(\)\)"):
        run(main)  # type: ignore[arg-type]  # that is the test
    with pytest.raises(ValueError, match="workers"):
        run(main(), workers=0)  # a warning that it was never awaited would fail the test

    async def nested() -> None:
        run(main())

    with pytest.raises(RuntimeError, match="event loop runs"):
        run(nested())
    with pytest.raises(RuntimeError, match="event loop runs"):
        asyncio.run(nested())


def test_run_cancels_others_awaits_them_and_runs_what_was_posted() -> None:
    steps: list[str] = []
    begun: list[str] = []

    async def other(name: str) -> None:
        try:
            begun.append(name)
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            # It may need the runtime to clean up.
            await current_runtime().color("store").submit(steps.append, name)

    async def generator() -> Any:
        try:
            yield 1
        finally:
            steps.append("generator")

    kept: list[Any] = []

    async def main() -> str:
        runtime = current_runtime()
        kept.append(asyncio.create_task(other("task")))
        runtime.color("c").spawn(other("spawned"))
        runtime.color("d").submit(other, "holding")
        while len(begun) < 3:  # noqa: ASYNC110 - they begin in loops of their own
            await asyncio.sleep(0)
        numbers = generator()
        await anext(numbers)
        kept.append(numbers)
        runtime.color("p").post(steps.append, "posted")
        runtime.call_later(3600, steps.append, "timer")
        return "result"

    assert run(main()) == "result"
    assert sorted(steps) == ["generator", "holding", "posted", "spawned", "task"]


def test_run_cancels_each_task_once_so_that_it_can_clean_up() -> None:
    """It cancels what it finds and what is about to start; a held color was looked at for both."""
    cancels: list[int] = []

    async def slow(begun: asyncio.Event | None = None) -> None:
        try:
            if begun is not None:
                begun.set()
            await asyncio.sleep(3600)
        finally:
            for _ in range(1000):  # long enough for whoever else wants to cancel it
                await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            cancels.append(task.cancelling())

    async def main() -> None:
        runtime = current_runtime()
        holding = asyncio.Event()

        async def held() -> None:
            runtime.post(holding.set)
            await slow()

        runtime.color("held").submit(held)
        begun = asyncio.Event()
        runtime.spawn(slow(begun))
        await begun.wait()
        await holding.wait()

    run(main())
    assert cancels == [1, 1]


def test_an_interrupt_late_in_spawn_closes_no_coroutine_that_has_begun(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    story: list[str] = []
    wake = rt._scheduler.wake

    async def main() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            story.append("cancelled")
            raise

    def interrupted(color: Color) -> None:
        wake(color)
        if threading.current_thread() is threading.main_thread():
            assert begun.wait(PATIENCE_SECONDS)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rt._scheduler, "wake", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rt.color("c").spawn(main())
    [task] = rt._shared.live
    task.get_loop().call_soon_threadsafe(task.cancel)
    assert rt.drain(PATIENCE_SECONDS)
    assert story == ["cancelled"]


def test_run_hands_what_callbacks_raise_to_the_handler() -> None:
    errors: list[BaseException] = []

    def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        current_runtime().post(fail)

    run(main(), exception_handler=errors.append)
    assert [str(error) for error in errors] == ["no"]


def test_a_program_that_exits_in_main_has_that_status() -> None:
    done = finish("""
        import sys
        from colorsched import run
        async def main():
            sys.exit(7)
        run(main())
    """)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


# -- Ctrl-C ------------------------------------------------------------------------------------

# The program says that it is ready once its main thread waits in the runtime.
WAITING = """
import asyncio, os, signal, sys, threading
import colorsched
from colorsched import Runtime, current_runtime, run
gate = threading.Event()
def when_waiting(rt, blocks=True):
    while not rt._hub.signals.main._waiting:
        os.sched_yield()
    print("ready", flush=True)
    if blocks:
        gate.wait()
"""


def interrupted(program: str) -> tuple[int, str, str]:
    with started(WAITING + program) as process:
        process.send_signal(signal.SIGINT)
        return ended(process)


def test_ctrl_c_in_drain() -> None:
    assert interrupted("""
rt = Runtime()
rt.post(when_waiting, rt)
try:
    rt.drain()
except KeyboardInterrupt:
    print("interrupted")
rt.color("other").post(gate.set)
print(rt.drain())
rt.shutdown()
print("over")
""") == (0, "interrupted\nTrue\nover\n", "")


def test_ctrl_c_at_the_end_of_a_with_block() -> None:
    status, out, err = interrupted("""
try:
    with Runtime() as rt:
        rt.post(when_waiting, rt)
        dropped = rt.submit(print, "never")
except KeyboardInterrupt:
    print("interrupted", dropped.cancelled())
gate.set()
rt.shutdown()
print("over")
""")
    assert (status, out, err) == (0, "interrupted True\nover\n", "")


def test_ctrl_c_that_nobody_catches_ends_the_program_as_usual() -> None:
    status, out, err = interrupted("""
with Runtime() as rt:
    rt.post(when_waiting, rt)
""")
    assert status == -signal.SIGINT
    assert out == ""
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in err


def test_ctrl_c_in_run_cancels_main_awaits_it_and_is_raised() -> None:
    assert interrupted("""
async def main():
    rt = current_runtime()
    try:
        rt.color("c").post(when_waiting, rt, False)
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await rt.color("store").submit(print, "stored")
        print("cleaned", flush=True)
        raise
try:
    run(main())
except KeyboardInterrupt:
    print("interrupted")
""") == (0, "stored\ncleaned\ninterrupted\n", "")


def test_a_second_ctrl_c_in_run_does_not_wait() -> None:
    program = (
        WAITING
        + """
async def main():
    rt = current_runtime()
    try:
        rt.color("c").post(when_waiting, rt, False)
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("cleaning", flush=True)
        await asyncio.to_thread(gate.wait)
try:
    run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    gate.set()
"""
    )
    with started(program) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGINT)
        status, out, err = ended(process)
    assert (status, out, err) == (0, "interrupted\n", "")


# -- the interpreter's exit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "busy",
    [
        "pass",
        "rt.submit(int).result()",
        "rt.post(threading.Event().wait)",
        "rt.call_later(3600, int)",
        "rt.spawn(asyncio.sleep(3600)); rt.submit(int).result()",
        "rt.add_reader(os.pipe()[0], int)",
        "rt.post(threading.Event().wait); rt.shutdown(wait=False)",
        "rt.post(endless)",
        "rt.__enter__(); rt.color('again').post(again)",
    ],
)
def test_a_forgotten_runtime_does_not_keep_the_interpreter(busy: str) -> None:
    done = finish(f"""
        import asyncio, contextlib, os, threading
        from colorsched import Runtime, RuntimeShutdown
        rt = Runtime(workers=2)
        def endless():
            while True: pass
        def again():
            with contextlib.suppress(RuntimeShutdown):
                rt.color('again').post(again)
        {busy}
        print("end of program")
    """)
    assert (done.returncode, done.stdout) == (0, "end of program\n")
    # asyncio says of a task left behind that it was destroyed, and we of a callback that had not
    # started, if it had not; nothing else is to be said.
    assert done.stderr == "" or (
        ("spawn" in busy and done.stderr.startswith("Task was destroyed but it is pending!"))
        or ("post" in busy and done.stderr.startswith("a Runtime was not shut down"))
    )


def test_what_a_forgotten_runtime_had_not_run_is_told() -> None:
    done = finish("""
        import threading
        from colorsched import Runtime
        rt = Runtime(workers=1, max_workers=1)
        entered = threading.Event()
        rt.post(lambda: (entered.set(), threading.Event().wait()))
        entered.wait()
        for number in range(3):
            rt.color("a").post(print, number)
    """)
    assert done.stdout == ""
    assert done.stderr == (
        "a Runtime was not shut down, so callbacks that had not started are dropped (3): use it in "
        "a with block, or call shutdown()\n"
    )


def test_a_loop_that_is_first_asked_for_after_the_end_is_closed() -> None:
    with Runtime() as runtime:
        color = runtime.color("a")
    assert color.loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        color.loop.call_soon(print)


def test_the_status_of_a_program_with_a_forgotten_runtime_is_its_own() -> None:
    done = finish("""
        import sys
        from colorsched import Runtime
        rt = Runtime()
        sys.exit(3)
    """)
    assert (done.returncode, done.stderr) == (3, "")
