"""Signals: delivered to their color, refused where Python cannot, restored in the end."""

from __future__ import annotations

import os
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Color, ColorFuture, Runtime, current_color
from colorsched.errors import WrongThread
from runtime.processes import ended, finish, started
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture(autouse=True)
def _handlers_come_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (USR1, USR2, signal.SIGINT)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_runs_its_callback_in_its_color(rt: Runtime) -> None:
    arrived = threading.Event()
    seen: list[Any] = []

    def handle(*args: int) -> None:
        color = current_color()
        seen.append((args, color.key if color else None))
        arrived.set()

    rt.color("signals").add_signal_handler(USR1, handle, 1, 2)
    signal.raise_signal(USR1)
    assert arrived.wait(PATIENCE_SECONDS)
    assert seen == [((1, 2), "signals")]
    assert rt.remove_signal_handler(USR1) is True
    assert rt.remove_signal_handler(USR1) is False


def test_the_last_handler_of_a_signal_counts_and_what_was_before_comes_back(rt: Runtime) -> None:
    heard: list[str] = []
    before = signal.signal(USR1, lambda *_: heard.append("plain"))
    try:
        second = threading.Event()
        rt.color("a").add_signal_handler(USR1, heard.append, "first")
        rt.color("b").add_signal_handler(USR1, second.set)
        signal.raise_signal(USR1)
        assert second.wait(PATIENCE_SECONDS)
        rt.remove_signal_handler(USR1)
        signal.raise_signal(USR1)
        assert heard == ["plain"]
    finally:
        signal.signal(USR1, before)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, 0, -1, 1000])
def test_what_cannot_be_caught_is_refused(rt: Runtime, number: int) -> None:
    with pytest.raises(ValueError, match=f"signal.*{int(number)}"):
        rt.add_signal_handler(number, int)


def test_what_is_no_signal_is_refused(rt: Runtime) -> None:
    with pytest.raises(TypeError, match="'SIGUSR1'"):
        rt.add_signal_handler("SIGUSR1", int)  # type: ignore[arg-type]  # that is the test


def while_main_waits(rt: Runtime, fn: Callable[..., Any], *args: Any) -> ColorFuture[Any]:
    """Call `fn` in a worker while the main thread drains."""

    def work() -> Any:
        while not rt._hub.signals.main._waiting:
            os.sched_yield()
        return fn(*args)

    future = rt.submit(work)
    assert rt.drain(PATIENCE_SECONDS)
    return future


def test_a_worker_may_install_while_the_main_thread_waits_in_the_runtime(rt: Runtime) -> None:
    arrived = threading.Event()
    while_main_waits(rt, rt.add_signal_handler, USR1, arrived.set).result()
    signal.raise_signal(USR1)
    assert arrived.wait(PATIENCE_SECONDS)
    assert while_main_waits(rt, rt.remove_signal_handler, USR1).result() is True


def test_elsewhere_the_error_says_what_to_do(rt: Runtime) -> None:
    # The main thread waits here, in result(), and not in the runtime.
    with pytest.raises(WrongThread, match=r"main thread.*drain"):
        rt.submit(rt.add_signal_handler, USR1, int).result(PATIENCE_SECONDS)
    with ThreadPoolExecutor(1) as pool, pytest.raises(WrongThread):
        pool.submit(rt.add_signal_handler, USR1, int).result(PATIENCE_SECONDS)


def test_what_a_refused_installation_raises_comes_to_the_worker(rt: Runtime) -> None:
    future = while_main_waits(rt, rt.add_signal_handler, signal.SIGKILL, int)
    assert isinstance(future.exception(), ValueError)


def test_a_storm_loses_no_wake_up(rt: Runtime) -> None:
    # Signals of one number that are pending together are one to the kernel; raise_signal waits
    # for the handler of each, so every one counts.
    count = 2000
    seen: list[int] = []
    done = threading.Event()

    def handle() -> None:
        seen.append(1)
        if len(seen) == count:
            done.set()

    rt.color("storm").add_signal_handler(USR1, handle)
    for _ in range(count):
        signal.raise_signal(USR1)
    assert done.wait(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    assert len(seen) == count
    rt.remove_signal_handler(USR1)


def test_two_signals_in_two_colors(rt: Runtime) -> None:
    one, two = threading.Event(), threading.Event()
    rt.color(1).add_signal_handler(USR1, one.set)
    rt.color(2).add_signal_handler(USR2, two.set)
    os.kill(os.getpid(), USR2)
    assert two.wait(PATIENCE_SECONDS)
    assert not one.is_set()
    os.kill(os.getpid(), USR1)
    assert one.wait(PATIENCE_SECONDS)
    rt.remove_signal_handler(USR1)
    rt.remove_signal_handler(USR2)


def test_a_signal_that_comes_as_the_runtime_ends_ends_no_worker(
    rt: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    color: Color = rt.color("c")
    rt.add_signal_handler(USR1, int)
    targets = dict(rt._hub.signals._targets)
    with ThreadPoolExecutor(1) as pool:
        hold = threading.Event()
        color.post(hold.wait, PATIENCE_SECONDS)
        pool.submit(rt.shutdown, wait=False).result(PATIENCE_SECONDS)
        signal.raise_signal(USR1)  # its handler stands still: only the main thread may remove it
        assert rt._hub.signals._targets == targets
        hold.set()
    rt.shutdown()  # here on the main thread: it comes back, even if the end was there before us
    assert caplog.records == []


def test_a_handler_that_could_not_be_restored_stays_harmless() -> None:
    done = finish("""
        import os, signal, threading
        from colorsched import Runtime
        rt = Runtime()
        rt.add_signal_handler(signal.SIGUSR1, print, "no")
        other = threading.Thread(target=rt.shutdown)
        other.start()
        other.join()
        pipes = [os.pipe() for _ in range(10)]  # on the numbers that the runtime has closed
        signal.raise_signal(signal.SIGUSR1)
        for reader, writer in pipes:
            os.close(writer)
            assert os.read(reader, 100) == b""
        print("untouched")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "untouched\n", "")


@pytest.mark.parametrize("wait", ["event.wait()", "rt.drain()", "lock.acquire()"])
def test_a_main_thread_that_waits_anywhere_hears_a_signal(wait: str) -> None:
    program = f"""
        import signal, threading
        from colorsched import Runtime
        rt = Runtime()
        event, lock, gate = threading.Event(), threading.Lock(), threading.Event()
        lock.acquire()
        def stop():
            if not gate.is_set():
                print("stopped", flush=True)
                event.set(); lock.release(); gate.set()
        rt.add_signal_handler(signal.SIGTERM, stop)
        rt.color("open").post(gate.wait)
        print("ready", flush=True)
        {wait}
        rt.drain()
        print("over", rt.stats().pending)
    """
    with started(program) as process:
        assert process.stdout is not None
        for _ in range(100):
            # Again and again: CPython itself misses one that comes just before it goes to sleep.
            process.send_signal(signal.SIGTERM)
            if select.select([process.stdout], [], [], 0.3)[0]:
                break
        else:
            pytest.fail("no signal was heard")
        status, out, err = ended(process)
    assert (status, out, err) == (0, "stopped\nover 0\n", "")
