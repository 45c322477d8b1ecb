"""What single steps of a runtime cost, for the model in ``benchmarks.simulation``.

Each is measured alone: threads post while the worker is kept from running, the worker runs while
nobody posts, the scheduler's own steps are called on lanes without threads. The runs that the model
is later compared with do all of it at once.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from itertools import repeat
from typing import TYPE_CHECKING

from benchmarks.workloads.spinning import spin

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.core.scheduler import Lane, Scheduler

FEW, MANY = 8, 256
"""Numbers of lanes; the difference of two measurements gives the cost of one more lane."""


def per_call(function: Callable[[], object], *, calls: int, tries: int = 5) -> float:
    """Seconds a call: the quickest of some tries, since neighbors only slow."""
    best = float("inf")
    for _ in range(tries):
        begin = time.perf_counter()
        for _ in repeat(None, calls):
            function()
        best = min(best, time.perf_counter() - begin)
    return best / calls


def filled(*, colors: int, each: int, posters: int = 1) -> dict[str, float]:
    """Fill colors while the one worker waits in a callback, then let it run what is there."""
    from colorsched import Runtime

    gate, entered = threading.Event(), threading.Event()
    begun: list[float] = []
    start = threading.Barrier(posters, action=lambda: begun.append(time.perf_counter()))
    count = colors * each * posters

    def keep() -> None:
        entered.set()
        gate.wait()

    with Runtime(workers=1, max_workers=1) as runtime:
        runtime.post(keep)
        entered.wait()

        def fill(poster: int) -> None:
            handles = [runtime.color((poster, number)) for number in range(colors)]
            start.wait()
            for _ in range(each):
                for handle in handles:
                    handle.post(spin, 0)

        threads = [threading.Thread(target=fill, args=(number,)) for number in range(posters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = time.perf_counter()
        gate.set()
        runtime.drain()
        seconds = time.perf_counter() - now
    return {"count": count, "seconds": seconds, "posting": (now - begun[0]) / (colors * each)}


def wakes(*, times: int) -> dict[str, float]:
    """From a post to a sleeping worker until its callback runs, and what it costs the poster."""
    from colorsched import Runtime

    late: list[float] = []
    posting: list[float] = []
    ran = threading.Event()

    def note(begin: float) -> None:
        late.append(time.perf_counter() - begin)
        ran.set()

    with Runtime(workers=2, max_workers=2) as runtime:
        color = runtime.color("sleeper")
        for _ in range(times):
            time.sleep(0.002)  # until all workers sleep again
            ran.clear()
            begin = time.perf_counter()
            color.post(note, begin)
            posting.append(time.perf_counter() - begin)
            ran.wait()
    return {
        "count": times,
        "seconds": sum(late),
        "wake": statistics.median(late),
        "post": statistics.median(posting),
    }


def _nobody() -> None:
    """Wakes no thread."""


def _lanes(count: int) -> tuple[Scheduler, list[Lane]]:
    """A scheduler with lanes that no thread works in."""
    from colorsched.core.queue import ColorQueue
    from colorsched.core.scheduler import Scheduler
    from colorsched.ports import Doors
    from colorsched.sources.poller import open_poller

    def failed(error: BaseException) -> None:
        raise error

    scheduler = Scheduler(Doors(poller=open_poller), ColorQueue, failed)
    return scheduler, [scheduler.add_lane(_nobody, spare=False) for _ in range(count)]


def _steps(count: int) -> dict[str, float]:
    """The scheduler's steps among so many lanes, seconds each."""
    from colorsched.core.policy import STEAL_MOST, lagging, next_lap
    from colorsched.core.queue import ColorQueue

    scheduler, lanes = _lanes(count)
    first, second = lanes[:2]
    calls = 200_000 // count

    def sleep_and_wake() -> None:
        scheduler.fall_asleep(first, polls=False)
        scheduler.wake_up(first)

    def wake_up_only() -> None:
        with scheduler.lock:
            first.asleep = True
            scheduler.sleepers.append(first)
        scheduler.wake_up(first)

    def choose() -> None:
        with scheduler.lock:
            scheduler.sleepers.append(first)
        scheduler.wake_one()
        scheduler.waking = False

    found = {
        "lap": per_call(
            lambda: (next_lap(first, scheduler.lanes), lagging(first, scheduler.lanes)),
            calls=calls,
        ),
        "seek": per_call(lambda: scheduler.steal(first), calls=calls),
        "sleep": per_call(sleep_and_wake, calls=calls),
        "leave": per_call(wake_up_only, calls=calls),
        "choose": per_call(choose, calls=calls),
    }
    colors = [ColorQueue("stolen", scheduler)] * (2 * STEAL_MOST)

    def refill() -> None:
        first.ready.clear()
        second.ready.clear()
        second.ready.extend(colors)

    def refill_and_steal() -> None:
        refill()
        scheduler.steal(first)

    both, alone = (per_call(function, calls=calls) for function in (refill_and_steal, refill))
    found["steal"] = max(0.0, both - alone) / STEAL_MOST
    return found


def steps() -> dict[str, float]:
    """What the scheduler does between turns: the fixed part, and the part for each lane."""
    from colorsched.ports import relax

    few, many = _steps(FEW), _steps(MANY)
    per_lane = {name: max(0.0, (many[name] - few[name]) / (MANY - FEW)) for name in few}
    fixed = {name: max(0.0, few[name] - FEW * per_lane[name]) for name in few}
    return {
        "count": 1,
        "seconds": sum(many.values()),
        "lap": fixed["lap"],
        "look": per_lane["lap"],
        "seek": per_lane["seek"],
        "steal": few["steal"],
        "lock": max(fixed["leave"], fixed["choose"]) / 2,  # each takes the lock twice
        "lock_look": per_lane["leave"],
        "doze": max(0.0, per_lane["sleep"] - per_lane["leave"]),
        "spin": per_call(lambda: relax([].__len__), calls=200),
    }


def handoff(*, times: int) -> dict[str, float]:
    """Two threads hand two locks back and forth: seconds from one's release to the other's run.

    With the GIL that is what it costs to hand over the interpreter, too.
    """
    here, there = threading.Lock(), threading.Lock()
    here.acquire()

    def answer() -> None:
        for _ in repeat(None, times):
            here.acquire()
            there.release()

    there.acquire()
    thread = threading.Thread(target=answer)
    thread.start()
    begin = time.perf_counter()
    for _ in repeat(None, times):
        here.release()
        there.acquire()
    seconds = time.perf_counter() - begin
    thread.join()
    return {
        "count": 2 * times,
        "seconds": seconds,
        "interval": sys.getswitchinterval(),
    }


def one_object(*, times: int, threads: int) -> dict[str, float]:
    """Threads that count the references to one object up and down; another thread made it."""
    shared = object()

    def touch() -> None:
        for _ in repeat(shared, times):
            pass

    workers = [threading.Thread(target=touch) for _ in range(threads)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"count": times * threads, "seconds": time.perf_counter() - begin}


def descriptors(*, count: int) -> dict[str, float]:
    """One look at so many ready descriptors, and a post for each: the poller's work alone."""
    from colorsched.core.queue import ColorQueue
    from colorsched.ports import READ, Doors, here
    from colorsched.sources.hub import Hub
    from colorsched.sources.poller import open_poller

    scheduler, (lane, *_) = _lanes(1)

    hub = Hub(Doors(poller=open_poller))
    empty = per_call(hub.look, calls=1_000)
    pipes = [os.pipe() for _ in range(count)]
    for reader, writer in pipes:
        color = ColorQueue(reader, scheduler)
        hub.io.add(color, reader, READ, (int, (), None), inner=False)  # type: ignore[arg-type]  # its context is not entered here
        os.write(writer, b"x")
    here.lane = lane
    try:
        begin = time.perf_counter()
        hub.deliver(hub.look())
        seconds = time.perf_counter() - begin
        posted = len(lane.ready)
    finally:
        here.lane = None
        hub.close()
        for pipe in pipes:
            for descriptor in pipe:
                os.close(descriptor)
    return {"count": posted, "seconds": seconds, "look": empty}
