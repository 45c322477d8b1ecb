"""Work that takes time: plain Python counted in iterations, so that a slowed thread shows.

No spares are let in (``max_workers=workers``): on a busy machine a worker that got no processor for
a while would look stuck, and "one worker" would be two.
"""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def spin(iterations: int) -> int:
    """A fixed amount of pure Python work on small integers."""
    total = 0
    for number in range(iterations):
        total = (total * 31 + number) & 127
    return total


def calibrate() -> dict[str, float]:
    """How many iterations `spin` makes in a microsecond: the best of many tries."""
    tries = []
    for _ in range(200):
        begin = time.perf_counter()
        spin(10_000)
        tries.append(time.perf_counter() - begin)
    return {"count": 10_000, "seconds": min(tries), "per_microsecond": 10_000 / min(tries) / 1e6}


def pieces(count: int, iterations: int) -> float:
    """The median of so many short pieces of work."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        spin(iterations)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def crowded(*, processes: int, count: int, iterations: int) -> dict[str, float]:
    """How long a short piece takes while so many processes compute.

    Pieces are shorter than the time slices of neighbors on the machine, and the median is of those
    that none has interrupted: it tells what processors lose by each other.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(time.sleep, 0.1) for _ in range(processes)]:
            future.result()  # all have started
        found = [pool.submit(pieces, count, iterations) for _ in range(processes)]
        return {"count": 1, "seconds": max(future.result() for future in found)}


def plain_threads(*, callbacks: int, iterations: int, workers: int) -> dict[str, float]:
    """The limit: the same work with no scheduler at all, split evenly among threads."""
    share = callbacks // workers

    def run() -> None:
        for _ in range(share):
            spin(iterations)

    threads = [threading.Thread(target=run) for _ in range(workers)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"count": share * workers, "seconds": time.perf_counter() - begin}


def colorsched(*, callbacks: int, iterations: int, workers: int, colors: int) -> dict[str, float]:
    """Callbacks of that work over many colors, posted by this thread, which then waits."""
    from colorsched import Runtime

    with Runtime(workers=workers, max_workers=workers) as runtime:
        handles = [runtime.color(("spin", number)) for number in range(colors)]
        begin = time.perf_counter()
        for number in range(callbacks):
            handles[number % colors].post(spin, iterations)
        runtime.drain()
        seconds = time.perf_counter() - begin
    return {"count": callbacks, "seconds": seconds}


def _nothing() -> None:
    """An empty callback."""


def colorsched_two_posters(*, callbacks: int, workers: int, colors: int) -> dict[str, float]:
    """Empty callbacks posted by two threads at once, each to colors of its own."""
    from colorsched import Runtime

    posters = 2
    begun: list[float] = []
    # The clock starts in whichever thread opens the gate: this one may be scheduled late.
    gate = threading.Barrier(posters, action=lambda: begun.append(time.perf_counter()))
    with Runtime(workers=workers, max_workers=workers) as runtime:

        def post(poster: int) -> None:
            posts = [runtime.color((poster, number)).post for number in range(colors)]
            gate.wait()
            for number in range(callbacks // posters):
                posts[number % colors](_nothing)

        threads = [threading.Thread(target=post, args=(poster,)) for poster in range(posters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        runtime.drain()
        seconds = time.perf_counter() - begun[0]
    return {"count": callbacks, "seconds": seconds}
