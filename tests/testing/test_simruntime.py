"""``SimRuntime`` has the API of ``Runtime``, runs programs unchanged, and repeats them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched import Runtime, colored
from colorsched.errors import RuntimeShutdown
from colorsched.testing import SimRuntime, Stalled
from colorsched.testing.strategies import Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

YEAR = 365.0 * 24 * 3600


@pytest.fixture
def sim() -> Iterator[SimRuntime]:
    with SimRuntime(seed=1) as runtime:
        yield runtime


def test_it_has_the_methods_of_a_runtime_and_the_same_signatures() -> None:
    for name, method in vars(Runtime).items():
        if callable(method) and not name.startswith("_"):
            theirs = inspect.signature(getattr(SimRuntime, name))
            assert theirs == inspect.signature(method), name
    options = inspect.signature(SimRuntime).parameters
    assert set(inspect.signature(Runtime).parameters) - set(options) == {"doors"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"executor": "process"}, ValueError, "executor='process': there are 'threads', 'proc"),
        ({"executor": "processes", "retry": 3}, TypeError, "retry must be a Retry"),
        ({"observer": 3}, TypeError, "observer must be"),
    ],
)
def test_it_refuses_what_a_runtime_refuses(
    options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        SimRuntime(**options)


def test_callbacks_of_a_color_run_in_order_and_those_of_others_between() -> None:
    orders = set()
    for seed in range(20):
        log: list[tuple[str, int]] = []
        with SimRuntime(seed=seed) as rt:
            for i in range(3):
                for name in "ab":
                    rt.color(name).post(log.append, (name, i))
        assert [i for name, i in log if name == "a"] == [0, 1, 2]
        assert [i for name, i in log if name == "b"] == [0, 1, 2]
        orders.add(tuple(log))
    assert len(orders) > 5


def test_asyncio_in_virtual_time(sim: SimRuntime) -> None:
    async def play() -> list[Any]:
        loop = asyncio.get_running_loop()
        seen: list[Any] = []
        await asyncio.sleep(YEAR)
        seen.append(loop.time())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.Event().wait()
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(2))
            reader = group.create_task(queue.get())
            await queue.put(7)
        seen.append(reader.result())
        lock = asyncio.Lock()
        async with lock:
            seen.append(await asyncio.to_thread(lambda: 8))
        seen.append(await asyncio.gather(asyncio.sleep(1, "a"), asyncio.sleep(3, "b")))
        seen.append(loop.time() - YEAR)
        return seen

    assert sim.color("a").spawn(play()).result() == [YEAR, 7, 8, ["a", "b"], 7.0]


def test_holds_and_colored_functions(sim: SimRuntime) -> None:
    log: list[str] = []

    @colored("account")
    async def transfer(name: str) -> None:
        log.append(name + " begins")
        await asyncio.sleep(1)
        log.append(name + " ends")

    first, second = transfer("one"), transfer("two")
    first.result(), second.result()
    assert log == ["one begins", "one ends", "two begins", "two ends"]


def test_timers_of_one_color_that_are_due_at_once_keep_their_order(sim: SimRuntime) -> None:
    log: list[int] = []
    color = sim.color("a")
    for i in (3, 1, 2):
        color.call_later(5, log.append, i)
    color.call_later(1, log.append, 0)
    gone = color.call_later(2, log.append, 99)
    assert gone.cancel()
    sim.drain()
    assert (log, sim.time()) == ([0, 3, 1, 2], 5.0)


def test_cancelling_and_contexts(sim: SimRuntime) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    future = sim.spawn(asyncio.sleep(9))
    sim.drain(timeout=1)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result()
    handle = sim.post(pytest.fail)
    assert handle.cancel()
    assert handle.reason == "cancelled"
    assert sim.submit(variable.get).result() == "mine"


def test_exceptions_reach_their_handler_or_future() -> None:
    seen: list[BaseException] = []
    with SimRuntime(seed=1, exception_handler=seen.append) as rt:
        rt.post(lambda: 1 / 0)
        future = rt.submit(dict[str, int]().popitem)
        with pytest.raises(KeyError):
            future.result()
    assert [type(error) for error in seen] == [ZeroDivisionError]
    assert rt.failures == seen


@pytest.mark.parametrize("apart", [True, False])
def test_generators_are_closed_where_they_were_begun(*, apart: bool) -> None:
    closed: list[float] = []
    hooks = sys.get_asyncgen_hooks()
    kept: list[Any] = []
    with SimRuntime(seed=1, apart=apart) as rt:

        async def numbers() -> Any:
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(1)
                closed.append(rt.time())

        async def main() -> None:
            async for _ in numbers():
                break
            await asyncio.sleep(5)
            rest = numbers()
            await anext(rest)
            kept.append(rest)

        rt.spawn(main())
    assert closed == [1.0, 6.0]
    assert sys.get_asyncgen_hooks() == hooks


def test_shutdown_in_all_its_forms() -> None:
    log: list[float] = []

    async def work(rt: SimRuntime) -> None:
        try:
            await asyncio.sleep(99)
        finally:
            await asyncio.sleep(1)
            log.append(rt.time())

    rt = SimRuntime(seed=1)
    future = rt.color("a").spawn(work(rt))
    assert rt.drain(timeout=1) is False
    dropped = rt.color("b").post(pytest.fail)
    timer = rt.color("b").call_later(5, pytest.fail)
    rt.shutdown(cancel_futures=True)
    assert (dropped.reason, timer.cancelled(), future.cancelled(), log) == (
        "shut down", True, True, [2.0],
    )  # fmt: skip
    with pytest.raises(RuntimeShutdown):
        rt.post(print)
    assert rt.drain()
    rt.shutdown()
    rt.settle()

    inside = SimRuntime(seed=1)
    inside.post(lambda: inside.shutdown(wait=False))
    inside.settle()
    with pytest.raises(RuntimeShutdown):
        inside.post(print)
    inside.shutdown()


def test_an_exception_that_leaves_the_block_drops_the_rest() -> None:
    with pytest.raises(KeyboardInterrupt), SimRuntime(seed=1) as rt:  # noqa: PT012 - the block is what is tested
        rt.post(pytest.fail)
        raise KeyboardInterrupt


def test_discarded_it_takes_no_more_work() -> None:
    rt = SimRuntime(seed=1)
    rt.spawn(asyncio.sleep(1))
    rt.settle()
    rt.discard()
    rt.discard()
    with pytest.raises(RuntimeShutdown, match="discarded"):
        rt.post(print)


def test_signals_and_descriptors(sim: SimRuntime) -> None:
    log: list[Any] = []
    before = signal.getsignal(signal.SIGUSR1)
    sim.add_signal_handler(signal.SIGUSR1, log.append, "signal")
    sim.send_signal(signal.SIGUSR1)
    sim.settle()
    assert log == ["signal"]
    assert signal.getsignal(signal.SIGUSR1) is before
    with pytest.raises(ValueError, match="no signal"):
        sim.send_signal(12345)
    one, other = socket.socketpair()
    with one, other:
        sim.add_reader(one, lambda: log.append(one.recv(9)))
        other.send(b"hi")
        sim.drain()
        assert sim.remove_reader(one)
    assert log == ["signal", b"hi"]


def test_stats_and_steps(sim: SimRuntime) -> None:
    sim.color("a").post(int)
    sim.call_later(9, int)
    stats = sim.stats()
    assert stats.timers == 1
    assert stats.workers == 1
    sim.drain()
    assert (sim.steps, sim.stats().pending, sim.stats().timers) == (2, 0, 0)


# -- the same again --------------------------------------------------------------------------------

ACTIONS = st.recursive(
    st.tuples(st.sampled_from("abc"), st.just(())),
    lambda inner: st.tuples(
        st.sampled_from("abc"), st.lists(inner, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


def play(rt: SimRuntime, program: Any) -> tuple[Any, ...]:
    """Each action posts its children to their colors, some of them later, or as coroutines."""
    log: list[Any] = []

    async def wait(children: Any) -> None:
        await asyncio.sleep(len(children))
        post(children)

    def act(name: str, children: Any) -> None:
        log.append((name, len(children), rt.time()))
        if len(children) == 2:
            rt.color(name).spawn(wait(children))
        else:
            post(children)

    def post(children: Any) -> None:
        for name, further in children:
            rt.color(name).post(act, name, further)

    with rt:
        post(program)
    return (tuple(log), rt.choices, rt.steps)


@given(st.lists(ACTIONS, min_size=1, max_size=4), st.integers(0, 1000))
def test_the_same_seed_gives_the_same_run_and_its_choices_do_too(program: Any, seed: int) -> None:
    run = play(SimRuntime(seed=seed), program)
    assert play(SimRuntime(seed=seed), program) == run
    recorded = Recorded(run[1])
    assert play(SimRuntime(strategy=recorded), program) == run
    assert not recorded.strayed


SCRIPT = """
from colorsched.testing import SimRuntime
log = []
with SimRuntime(seed=7) as rt:
    for name in ("red", "green", "blue") * 4:
        rt.color(name).post(log.append, name)
print(log)
"""


def test_hashes_of_keys_make_no_difference() -> None:
    answers = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in "123"
    }
    assert len(answers) == 1


def test_many_runs_leave_nothing() -> None:
    def run() -> None:
        rt = SimRuntime(seed=3, apart=False)
        for i in range(6):
            rt.color(i % 3).post(int)
        rt.color("loop").spawn(asyncio.sleep(1))
        rt.settle()
        rt.discard()

    for _ in range(20):
        run()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(300):
        run()
    gc.collect()
    assert len(gc.get_objects()) - before < 300


def test_who_is_thrown_out_at_the_end_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def blocks(rt: SimRuntime) -> None:
        never: Any = rt.color("b").submit(asyncio.Event().wait)
        never.result()

    for apart in (True, False):
        rt = SimRuntime(apart=apart)
        rt.color("a").spawn(blocks(rt))
        with contextlib.nullcontext() if apart else pytest.raises(Stalled):
            rt.settle()
        rt.discard()
        del rt
        gc.collect()
    assert "never retrieved" not in caplog.text
