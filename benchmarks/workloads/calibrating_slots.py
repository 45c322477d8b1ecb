"""What the steps of slots cost, for the model in ``benchmarks.simulation``, each alone.

What the parent does for batches of a real process, posted beforehand; the way to the process and
back, with a batch that is made beforehand; the lines, without either.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from attrs import define

from benchmarks.workloads.calibrating import FEW, MANY, per_call
from benchmarks.workloads.slots import nothing
from benchmarks.workloads.spinning import spin

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colorsched.core.slots import Slot
    from colorsched.executors.slots.inside import Order


def filled(*, colors: int, each: int) -> dict[str, float]:
    """One process runs what was posted while the one worker waited in a callback.

    ``worker`` and ``lane`` are the processor time of the parent's two threads from then on.
    """
    from colorsched import Runtime

    gate, entered = threading.Event(), threading.Event()
    count = colors * each

    def keep() -> None:
        entered.set()
        gate.wait()

    with Runtime(executor="processes", workers=1, max_workers=1) as runtime:
        handles = [runtime.color(("filled", number)) for number in range(colors)]
        runtime.color("first").submit(nothing).result()  # the process has started
        runtime.color("gate").on("thread").post(keep)
        entered.wait()
        begin = time.perf_counter()
        for _ in range(each):
            for handle in handles:
                handle.post(spin, 0)
        posting = time.perf_counter() - begin
        batches = runtime.stats().batches
        worker, lane = Clock("colorsched-worker"), Clock("colorsched-slot")
        begin = time.perf_counter()
        gate.set()
        runtime.drain()
        seconds = time.perf_counter() - begin
        return {
            "count": count,
            "seconds": seconds,
            "posting": posting / count,
            "batches": runtime.stats().batches - batches,
            "worker": worker.spent() / count,
            "lane": lane.spent() / count,
        }


class Clock:
    """Processor time of the one thread whose name begins so, from now on."""

    def __init__(self, name: str) -> None:
        (ident,) = [
            thread.ident for thread in threading.enumerate() if thread.name.startswith(name)
        ]
        assert ident is not None
        self._clock = time.pthread_getcpuclockid(ident)
        self._begin = time.clock_gettime(self._clock)

    def spent(self) -> float:
        """Seconds since then."""
        return time.clock_gettime(self._clock) - self._begin


def _order(batch: int) -> Order:
    from colorsched.core.slots import BATCH_BYTES, BATCH_SECONDS
    from colorsched.executors.slots.inside import Order
    from colorsched.executors.slots.travel import pack_call, travel_by

    travel = travel_by("pickle")
    calls = [pack_call(travel, spin, (0,), {}) for _ in range(batch)]
    return Order(
        place="here", number=1, key=travel.pack("key"), calls=calls, forget=[],
        default=travel.pack(None), travel=travel.name, seconds=BATCH_SECONDS, size=BATCH_BYTES,
    )  # fmt: skip


def lane(*, batch: int, batches: int) -> dict[str, float]:
    """One batch after the other through a lane, each sent as the answer before it comes.

    ``there`` and ``all`` are the processor time of the lane's thread: to send, and altogether.
    """
    from colorsched.executors.slots.inside import run_batch
    from colorsched.executors.slots.processes import ProcessLane

    process = ProcessLane()
    process.submit(run_batch, _order(batch)).result()
    ended = threading.Event()
    left = batches
    spent: list[float] = []
    order = _order(batch)

    def send(_before: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            ended.set()
            return
        begin = time.thread_time()
        future = process.submit(run_batch, order)
        spent.append(time.thread_time() - begin)
        future.add_done_callback(send)

    clock = Clock("colorsched-slot")
    begin = time.perf_counter()
    process.submit(run_batch, order).add_done_callback(send)
    ended.wait()
    seconds = time.perf_counter() - begin
    spent_in_all = clock.spent()
    process.shutdown()
    return {
        "count": batches,
        "seconds": seconds,
        "there": sum(spent) / len(spent),
        "all": spent_in_all / batches,
    }


@define(eq=False)
class _Color:
    """As ``Lines`` asks of it."""

    key: Hashable
    home: int
    slot: Slot | None = None
    number: int = 0
    live: bool = False


def _looks(count: int) -> dict[str, float]:
    from colorsched.core.slots import Lines

    lines = Lines(count)
    last = lines.slots[-1]
    colors = [_Color(number, number) for number in range(count)]
    for color in colors:
        lines.enter(color, 0.0)
    first = colors[0]

    def enter() -> None:
        """All are busy: into a line, and out."""
        lines.enter(first, 0.0)
        lines.slots[0].line.clear()
        lines.waiting = 0

    def steal() -> None:
        lines.enter(first, 0.0)
        lines.leave(last, 0.0)
        first.slot = lines.slots[0]

    calls = 200_000 // count
    found = {"enter": per_call(enter, calls=calls), "steal": per_call(steal, calls=calls)}
    return {"enter": found["enter"], "steal": found["steal"] - found["enter"]}


def looks() -> dict[str, float]:
    """What one more slot costs a color that comes, and a slot that steals."""
    few, many = _looks(FEW), _looks(MANY)
    each = {name: max(0.0, (many[name] - few[name]) / (MANY - FEW)) for name in few}
    return {"count": 1, "seconds": sum(many.values()), **each}
