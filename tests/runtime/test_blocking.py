"""Callbacks may block: nobody else waits for them, and the spare workers they bring in go again."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import wait
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from colorsched import Runtime
from colorsched.executors import threads
from colorsched.ports import Doors, start_thread
from colorsched.sources.poller import open_poller

if TYPE_CHECKING:
    from collections.abc import Callable
from support import PATIENCE_SECONDS, Gate


@pytest.mark.parametrize("workers", [1, 2])
def test_blocked_colors_delay_no_color_timer_descriptor_or_coroutine(workers: int) -> None:
    reader, writer = os.pipe()
    read, timer = threading.Event(), threading.Event()

    async def coroutine() -> int:
        return 5

    with Runtime(workers=workers) as runtime:
        gates = [Gate(f"gate {number}") for number in range(5)]
        with ExitStack() as stack:
            for number, gate in enumerate(gates):
                stack.enter_context(gate)
                runtime.color(("blocked", number)).post(gate)
            for gate in gates:
                gate.reached()
            for number in range(20):
                assert runtime.color(number).submit(pow, number, 2).result(PATIENCE_SECONDS) == (
                    number**2
                )
            runtime.color("timer").call_later(0.001, timer.set)
            assert timer.wait(PATIENCE_SECONDS)

            def on_read() -> None:
                os.read(reader, 1)
                runtime.remove_reader(reader)
                read.set()

            runtime.color("reader").add_reader(reader, on_read)
            os.write(writer, b"x")
            assert read.wait(PATIENCE_SECONDS)
            assert runtime.color("spawned").spawn(coroutine()).result(PATIENCE_SECONDS) == 5
            assert runtime.stats().spares >= 5 - workers + 1
            assert runtime.drain(timeout=0) is False
    os.close(reader)
    os.close(writer)


def test_all_workers_blocked_and_nothing_ready_still_somebody_polls() -> None:
    with Runtime(workers=1) as runtime, Gate() as gate:
        timer = threading.Event()
        runtime.color("blocked").post(gate)
        gate.reached()
        runtime.color("timer").call_later(0.02, timer.set)
        assert timer.wait(PATIENCE_SECONDS)


def test_a_blocked_color_keeps_its_own_order(rt: Runtime) -> None:
    ran: list[int] = []
    color = rt.color("c")
    with Gate() as gate:
        color.post(gate)
        for number in range(100):
            color.post(ran.append, number)
        gate.reached()
        rt.color("other").submit(int).result(PATIENCE_SECONDS)
        assert ran == []
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == list(range(100))


@pytest.mark.parametrize("workers", [1, 2])
def test_twenty_sleepers_overlap_and_one_more_color_does_not_wait_for_them(workers: int) -> None:
    asleep: set[int] = set()
    morning = threading.Event()

    def sleep(number: int) -> None:
        asleep.add(number)
        while not morning.is_set():
            time.sleep(0.01)  # the blocking call itself; nothing depends on how long it takes

    with Runtime(workers=workers) as runtime:
        sleepers = [runtime.color(number).submit(sleep, number) for number in range(20)]
        try:
            runtime.color("21st").submit(int).result(PATIENCE_SECONDS)
            assert not any(sleeper.done() for sleeper in sleepers)
            while len(asleep) < 20:  # all of them at once
                runtime.color("21st").submit(int).result(PATIENCE_SECONDS)
        finally:
            morning.set()
        done, left = wait(sleepers, PATIENCE_SECONDS)
    assert (len(done), len(left)) == (20, 0)


def test_twenty_blocked_colors_are_inside_at_the_same_moment() -> None:
    meeting = threading.Barrier(20)
    with Runtime(workers=2) as runtime:
        futures = [
            runtime.color(number).submit(meeting.wait, PATIENCE_SECONDS) for number in range(20)
        ]
        assert sorted(future.result(PATIENCE_SECONDS) for future in futures) == list(range(20))


def test_there_are_never_more_threads_than_max_workers() -> None:
    with Runtime(workers=1, max_workers=3) as runtime:
        gates = [Gate(f"gate {number}") for number in range(5)]
        with ExitStack() as stack:
            for number, gate in enumerate(gates):
                stack.enter_context(gate)
                runtime.color(number).post(gate)
            reached = {gate for gate in gates if gate._reached.wait(0)}
            while len(reached) < 3:
                reached = {gate for gate in gates if gate._reached.wait(0.001)}
            ticks = threading.Semaphore(0)
            look = runtime._workers.monitor.look

            def watched() -> None:
                look()
                ticks.release()

            runtime._workers.monitor.look = watched  # type: ignore[method-assign]  # to see it tick
            for _ in range(5):
                assert ticks.acquire(timeout=PATIENCE_SECONDS)
            stats = runtime.stats()
            assert (stats.workers, stats.spares) == (3, 2)
            assert sum(gate._reached.is_set() for gate in gates) == 3
            reached.pop().open()  # one thread is free: the next color gets in
            while sum(gate._reached.is_set() for gate in gates) < 4:
                next(gate for gate in gates if not gate._reached.is_set())._reached.wait(0.001)
            assert runtime.stats().workers == 3


def test_with_no_spares_allowed_the_others_wait_and_nothing_is_lost() -> None:
    with Runtime(workers=1, max_workers=1) as runtime:
        with Gate() as gate:
            runtime.color("blocked").post(gate)
            waiting = runtime.color("waiting").submit(pow, 2, 3)
            gate.reached()
            assert not waiting.done()
            assert runtime.stats().spares == 0
        assert waiting.result(PATIENCE_SECONDS) == 8


def test_when_no_more_threads_are_to_be_had_those_there_are_go_on() -> None:
    refused = threading.Event()
    allowed = threading.Event()

    def start(target: Callable[[], None], name: str) -> threading.Thread:
        if "spare" in name and not allowed.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        return start_thread(target, name)

    with Runtime(workers=1, doors=Doors(poller=open_poller, thread=start)) as runtime:
        with Gate() as gate:
            runtime.color("blocked").post(gate)
            waiting = runtime.color("waiting").submit(pow, 2, 3)
            assert refused.wait(PATIENCE_SECONDS)
            assert not waiting.done()
            allowed.set()  # the monitor asks again
            assert waiting.result(PATIENCE_SECONDS) == 8
        assert runtime.drain(PATIENCE_SECONDS)


def test_spares_come_and_go_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SPARE_SECONDS", 0.01)
    ended: set[threading.Thread] = set()
    with Runtime(workers=1) as runtime:
        for _ in range(3):
            gates = [Gate(f"gate {number}") for number in range(4)]
            with ExitStack() as stack:
                for number, gate in enumerate(gates):
                    stack.enter_context(gate)
                    runtime.color(number).post(gate)
                for gate in gates:
                    gate.reached()
                assert runtime.stats().spares >= 3
                begun = set(runtime._workers.threads)
                assert begun.isdisjoint(ended)  # threads that have ended are not kept either
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (stats := runtime.stats()).workers > 1 and time.monotonic() < deadline:
                runtime.submit(int).result(PATIENCE_SECONDS)
            assert (stats.workers, stats.spares) == (1, 0)
            ended = {thread for thread in begun if "spare" in thread.name}
            for thread in ended:
                thread.join(PATIENCE_SECONDS)
        assert runtime.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8


def test_a_callback_that_waits_for_another_color_lets_it_run() -> None:
    with Runtime(workers=1) as runtime:

        def chain(depth: int) -> int:
            if depth == 0:
                return 0
            return 1 + runtime.color(depth).submit(chain, depth - 1).result(PATIENCE_SECONDS)

        assert runtime.submit(chain, 10).result(PATIENCE_SECONDS) == 10
