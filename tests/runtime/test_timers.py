"""Timers: due in order, cancelled for good, at any time a float can say."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime, RuntimeShutdown
from colorsched.sources.timers import Timers

if TYPE_CHECKING:
    from colorsched.sources.timers import TimerHandle
from support import PATIENCE_SECONDS, Gate

COUNT = 100_000


def test_a_hundred_thousand_timers_half_of_them_cancelled(rt: Runtime) -> None:
    order = random.Random(1)
    color = rt.color("timers")
    ran: list[tuple[float, int]] = []
    now = rt.time()
    far = now + 3600  # not due before all are made
    handles: list[TimerHandle] = []
    for number in range(COUNT):
        when = far + order.randrange(1000)
        handles.append(color.call_at(when, ran.append, (when, number)))
    assert rt.stats().timers == COUNT
    kept = handles[::2]
    for handle in handles[1::2]:
        assert handle.cancel()
        assert not handle.cancel()
    assert rt.stats().timers == COUNT // 2
    assert rt.drain(timeout=0) is False
    # Time passes at once: the runtime's clock is a door.
    clock = rt._hub.clock
    rt._hub.clock = lambda: clock() + 10_000
    rt.call_later(-10_000, int)  # wakes the poller
    assert rt.drain(PATIENCE_SECONDS)
    assert len(ran) == len(kept)
    assert ran == sorted(ran)  # by time, and those of one time in the order made
    assert {number for _, number in ran} == set(range(0, COUNT, 2))
    assert rt.stats().timers == 0
    assert len(rt._hub.timers) == 0
    assert not rt._hub.timers._entries
    assert not any(handle.cancel() for handle in kept)


def test_a_timer_leaves_nothing_and_needs_no_collector(rt: Runtime) -> None:
    class Payload:
        pass

    def look(payload: Payload) -> None:
        """Take the payload and let it go."""

    done, dropped = Payload(), Payload()
    references = [weakref.ref(done), weakref.ref(dropped)]
    gc.disable()
    try:
        rt.call_later(0, look, done)
        rt.call_later(3600, look, dropped).cancel()
        del done, dropped
        assert rt.drain(PATIENCE_SECONDS)
        rt.submit(int).result(PATIENCE_SECONDS)  # a turn later even the worker has let go
        rt.submit(int).result(PATIENCE_SECONDS)
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


def test_timers_of_one_time_run_in_the_order_made(rt: Runtime) -> None:
    ran: list[int] = []
    when = rt.time() - 1
    with Gate() as gate:
        color = rt.color("same")
        color.post(gate)
        for number in range(100):
            color.call_at(when, ran.append, number)
        gate.reached()
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == list(range(100))


def test_an_earlier_timer_overtakes_one_that_is_waited_for(rt: Runtime) -> None:
    ran = threading.Event()
    late = rt.call_later(3600, int)
    assert rt.drain(timeout=0) is False
    rt.call_later(0.001, ran.set)
    assert ran.wait(PATIENCE_SECONDS)
    late.cancel()


def test_no_timer_runs_before_its_time(rt: Runtime) -> None:
    seen: list[tuple[float, float]] = []
    for number in range(50):
        when = rt.time() + number / 2000
        rt.call_at(when, lambda when: seen.append((when, rt.time())), when)
    assert rt.drain(PATIENCE_SECONDS)
    assert len(seen) == 50
    assert all(now >= when for when, now in seen)
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(seen))


@pytest.mark.parametrize("seconds", [0, -1, -1e300, float("-inf"), False, Fraction(-1, 3)])
def test_the_past_is_now(rt: Runtime, seconds: Any) -> None:
    ran = threading.Event()
    rt.call_later(seconds, ran.set)
    assert ran.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("seconds", [1e9, 1e300, float("inf"), 10**15])
def test_the_far_future_overflows_nothing(rt: Runtime, seconds: float) -> None:
    handle = rt.call_later(seconds, int)
    reached = threading.Event()
    rt.call_later(0.001, reached.set)  # so the poller has waited with the far one in its list
    assert reached.wait(PATIENCE_SECONDS)
    assert handle.when() >= 1e9
    assert handle.cancel()
    assert rt.drain(PATIENCE_SECONDS)


def test_what_is_no_number_is_refused_and_harms_no_other_timer(rt: Runtime) -> None:
    ran = threading.Event()
    with pytest.raises(ValueError, match="must be a number, not nan"):
        rt.call_later(float("nan"), int)
    with pytest.raises(ValueError, match="must be a number, not nan"):
        rt.call_at(float("nan"), int)
    wrongs: list[Any] = ["soon", None, [], 1j]
    for wrong in wrongs:
        with pytest.raises(TypeError):
            rt.call_at(wrong, int)
        with pytest.raises(TypeError):
            rt.call_later(wrong, int)
    assert rt.stats().timers == 0
    rt.call_at(Decimal(0), ran.set)  # type: ignore[arg-type]  # a number all the same
    assert ran.wait(PATIENCE_SECONDS)


def test_when_says_when(rt: Runtime) -> None:
    before = rt.time()
    handle = rt.call_later(100, int)
    assert before + 100 <= handle.when() <= rt.time() + 100
    assert rt.call_at(5.5, int).when() == 5.5
    handle.cancel()
    assert handle.when() >= before + 100


def test_a_timer_runs_in_its_color_with_the_context_it_was_made_in(rt: Runtime) -> None:
    name: ContextVar[str] = ContextVar("name", default="none")
    seen: list[str] = []
    token = name.set("made")
    rt.color("c").call_later(0, lambda: seen.append(name.get()))
    name.reset(token)
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == ["made"]


def test_a_due_timer_can_be_cancelled_while_its_color_is_busy(rt: Runtime) -> None:
    color = rt.color("busy")
    ran: list[str] = []
    with Gate() as gate:
        color.post(gate)
        gate.reached()
        timer = color.call_later(0, ran.append, "timer")
        rt.color("witness").submit(int).result(PATIENCE_SECONDS)
        while rt.stats().timers:  # until it is due and posted
            rt.color("witness").submit(int).result(PATIENCE_SECONDS)
        assert timer.cancel()
        assert timer.cancelled()
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == []


def test_drain_waits_for_timers_and_for_the_last_one_cancelled(rt: Runtime) -> None:
    timer = rt.call_later(3600, int)
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(rt.drain, PATIENCE_SECONDS)
        while not rt._quiet.bells:
            pass
        timer.cancel()
        assert drained.result(PATIENCE_SECONDS)


def test_a_timer_may_cancel_another_that_is_due_too(rt: Runtime) -> None:
    color = rt.color("c")
    ran: list[str] = []
    second: list[TimerHandle] = []
    with Gate() as gate:
        color.post(gate)
        gate.reached()
        color.call_at(0, lambda: ran.append(f"first {second[0].cancel()}"))
        second.append(color.call_at(0, ran.append, "second"))
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == ["first True"]


def test_many_threads_make_and_cancel_timers_while_they_fall_due(rt: Runtime) -> None:
    ran: list[int] = []
    color = rt.color("c")

    def work(seed: int) -> int:
        dice = random.Random(seed)
        cancelled = 0
        for _ in range(500):
            handle = color.call_later(dice.random() / 500, ran.append, 1)
            if dice.random() < 0.5:
                cancelled += handle.cancel()
        return cancelled

    with ThreadPoolExecutor(4) as pool:
        cancelled = sum(pool.map(work, range(4)))
    assert rt.drain(PATIENCE_SECONDS)
    assert len(ran) + cancelled == 2000
    assert rt.stats().timers == 0


def test_shutdown_drops_timers_and_their_handles_say_so() -> None:
    runtime = Runtime()
    ran: list[int] = []
    handle = runtime.call_later(3600, ran.append, 1)
    runtime.shutdown()
    assert handle.cancelled()
    assert handle.reason == "shut down"
    assert not handle.cancel()
    assert ran == []
    with pytest.raises(RuntimeShutdown):
        runtime.call_later(0, int)
    # Even for a thread that had already looked whether the runtime was open.
    with pytest.raises(RuntimeShutdown):
        runtime._hub.timers.add(runtime.color("c"), 0.0, (int, (), None), inner=False)  # type: ignore[arg-type]  # never run


def test_a_timer_that_is_just_taken_out_is_not_outstanding() -> None:
    """A poller that goes to sleep takes it out; another worker asks last whether all is quiet."""
    asked = threading.Event()

    class Lock:
        """Tells when the one who asks comes to it."""

        def __init__(self) -> None:
            self._lock = threading.RLock()

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - a lock's own signature
            return self._lock.acquire(blocking, timeout)

        def release(self) -> None:
            self._lock.release()

        def __enter__(self) -> bool:
            if threading.current_thread().name == "asks":
                asked.set()
            return self._lock.__enter__()

        def __exit__(self, *error: object) -> None:
            self._lock.release()

    def ask() -> None:
        found.append(timers.outstanding())
        asked.set()

    lock, gate, found = Lock(), Gate(), list[int]()
    timers = Timers(lock, lambda: None)
    color: Any = None
    handle = timers.add(color, 1.0, (int, (), copy_context()), inner=False)
    entries: Any = timers._entries
    remove = entries.remove

    def remove_slowly(entry: object) -> None:
        gate()
        remove(entry)

    entries.remove = remove_slowly
    polls = threading.Thread(target=lambda: timers.wait_until(waiting=True))
    asks = threading.Thread(target=ask, name="asks")
    with gate:
        with lock:  # so that it is left for the poller
            away = threading.Thread(target=handle.cancel)
            away.start()
            away.join()
        polls.start()
        gate.reached()
        asks.start()
        assert asked.wait(PATIENCE_SECONDS)
    asks.join()
    polls.join()
    assert found == [0]
