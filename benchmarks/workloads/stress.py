"""Millions of callbacks from several threads, each checked: in order, alone, exactly once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from attrs import Factory, define

from benchmarks.workloads.keyed import load

if TYPE_CHECKING:
    from colorsched import Runtime

POSTERS = 3
COLORS = 5_000
WAVE = 20_000
"""Posted by each thread before all wait for the runtime to be drained: memory stays bounded."""
FORWARD = 8
"""Every so many callbacks of a color, one posts to another color, every second by dispatch."""
CANCEL = 16
"""Every so many posts, one is cancelled at once: it must run or say that it is cancelled."""


@define(eq=False)
class Cell:
    """What one color's callbacks know. Only they touch it: a runtime that keeps order keeps it."""

    number: int
    inside: bool = False
    ran: int = 0
    last: dict[object, int] = Factory(dict)
    """For each poster, the number of its last callback that ran here."""
    sent: dict[int, int] = Factory(dict)
    """For each color forwarded to, how many."""
    overlaps: int = 0
    out_of_order: int = 0
    twice: int = 0


@define(eq=False)
class Bench:
    """The runtime under stress and the cells of its colors."""

    runtime: Runtime
    cells: list[Cell]

    def check(self, cell: Cell, poster: object, number: int) -> None:
        """The callback: look for every violation, then sometimes forward to a neighbor."""
        if cell.inside:
            cell.overlaps += 1
        cell.inside = True
        last = cell.last.get(poster, -1)
        if number == last:
            cell.twice += 1
        elif number < last:
            cell.out_of_order += 1
        cell.last[poster] = number
        cell.ran += 1
        turn = cell.ran
        # Forwarded callbacks don't forward, or the load would feed itself. The flag stays up
        # meanwhile: a dispatch to this very color from inside would be an overlap.
        if turn % FORWARD == 0 and isinstance(poster, int):
            self.forward(cell, turn // FORWARD)
        cell.inside = False

    def forward(self, cell: Cell, turn: int) -> None:
        """Post or dispatch to one of four neighbors, as the poster that this color is."""
        target = (cell.number + 1 + turn % 4) % COLORS
        number = cell.sent.get(target, 0)
        cell.sent[target] = number + 1
        color = self.runtime.color(target)
        send = color.post if turn % 2 else color.dispatch
        send(self.check, self.cells[target], ("color", cell.number), number)


def assert_drained(runtime: Runtime) -> None:
    """Wait until nothing is pending; a minute is for ever here.

    Raises:
        RuntimeError: if something is pending still: a wake-up was lost.
    """
    if not runtime.drain(timeout=60):
        raise RuntimeError(f"not drained within a minute, a wake-up was lost: {runtime.stats()}")


def colorsched(*, callbacks: int, workers: int) -> dict[str, Any]:
    """Run `callbacks` and some more forwarded ones; count the violations of the contract."""
    from colorsched import Runtime

    waves = max(1, callbacks // POSTERS // WAVE)
    accepted = [0] * POSTERS
    failures: list[BaseException] = []
    with Runtime(workers=workers) as runtime:
        bench = Bench(runtime, [Cell(number) for number in range(COLORS)])
        targets = [
            int(name.partition(":")[2]) for name in load(items=WAVE, keys=COLORS, exponent=0.8)
        ]
        drained = threading.Barrier(POSTERS, action=lambda: assert_drained(runtime))

        def post(poster: int) -> None:
            try:
                number = 0
                for _ in range(waves):
                    for target in targets:
                        color = runtime.color(target)
                        handle = color.post(bench.check, bench.cells[target], poster, number)
                        number += 1
                        if number % CANCEL == 0:
                            handle.cancel()
                            accepted[poster] -= handle.cancelled()
                    drained.wait()
                accepted[poster] += number
            except BaseException as error:  # noqa: BLE001 - raised again by the main thread
                failures.append(error)
                drained.abort()

        threads = [threading.Thread(target=post, args=(poster,)) for poster in range(POSTERS)]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not failures:
            assert_drained(runtime)
        seconds = time.perf_counter() - begin
    if failures:
        raise failures[0]
    expected = sum(accepted) + sum(sum(cell.sent.values()) for cell in bench.cells)
    ran = sum(cell.ran for cell in bench.cells)
    return {
        "count": ran,
        "seconds": seconds,
        "overlaps": sum(cell.overlaps for cell in bench.cells),
        "out_of_order": sum(cell.out_of_order for cell in bench.cells),
        "twice": sum(cell.twice for cell in bench.cells) + max(0, ran - expected),
        "lost": max(0, expected - ran),
    }
