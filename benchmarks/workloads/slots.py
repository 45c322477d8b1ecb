"""Callbacks in slots, beside pools of processes that keep no order: empty ones and busy ones.

All slots and processes are started, and have run something, before the clock is.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.workloads.keyed import load
from benchmarks.workloads.spinning import spin

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Runtime


def nothing() -> None:
    """The empty callback of every peer."""


def where(seconds: float) -> tuple[int, int]:
    """Which process and interpreter this is, said after a while, so that others answer, too."""
    time.sleep(seconds)
    return os.getpid(), id(sys.modules)


def warm_up(submit: Callable[..., Any], count: int) -> None:
    """Submit until so many processes, or interpreters, have answered."""
    seen: set[tuple[int, int]] = set()
    while len(seen) < count:
        futures = [submit(number, where, 0.02) for number in range(2 * count)]
        seen |= {future.result() for future in futures}


def started(executor: str, workers: int) -> Runtime:
    """A runtime whose slots have all run something."""
    from colorsched import Runtime

    runtime = Runtime(executor=executor, workers=workers)
    if executor == "threads":
        runtime.color("warm").submit(nothing).result()
        return runtime
    warm_up(lambda number, fn, *args: runtime.color(("warm", number)).submit(fn, *args), workers)
    return runtime


def pool(workers: int) -> ProcessPoolExecutor:
    """A pool that was started as slots are: by ``spawn``, and has run something everywhere."""
    executor = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    warm_up(lambda _number, fn, *args: executor.submit(fn, *args), workers)
    return executor


def _answer(items: int, begin: float, cpu: float) -> dict[str, float]:
    """Also the processor time of this process, which neighbors on the machine disturb less."""
    seconds = time.perf_counter() - begin
    return {"count": items, "seconds": seconds, "parent": time.process_time() - cpu}


# -- empty callbacks ------------------------------------------------------------------------------


def empty_submit(
    *, items: int, keys: int, exponent: float, workers: int, executor: str = "processes"
) -> dict[str, float]:
    """``color(key).submit``: a future for each, in the order of its key."""
    names = load(items=items, keys=keys, exponent=exponent)
    with started(executor, workers) as runtime:
        color = runtime.color
        cpu, begin = time.process_time(), time.perf_counter()
        futures = [color(name).submit(nothing) for name in names]
        runtime.drain()
        answer = _answer(items, begin, cpu)
    if not all(future.done() for future in futures):
        raise RuntimeError("drained, and a future is not done")
    return answer


def empty_post(
    *, items: int, keys: int, exponent: float, workers: int, executor: str = "processes"
) -> dict[str, float]:
    """``color(key).post``: a handle for each, no future."""
    names = load(items=items, keys=keys, exponent=exponent)
    with started(executor, workers) as runtime:
        color = runtime.color
        cpu, begin = time.process_time(), time.perf_counter()
        for name in names:
            color(name).post(nothing)
        runtime.drain()
        return _answer(items, begin, cpu)


def pool_submit(*, items: int, keys: int, exponent: float, workers: int) -> dict[str, float]:
    """concurrent.futures' processes, one call each: no order, though each key is looked at."""
    names = load(items=items, keys=keys, exponent=exponent)
    with pool(workers) as executor:
        cpu, begin = time.process_time(), time.perf_counter()
        futures = [executor.submit(nothing) for _name in names]
        concurrent.futures.wait(futures)
        return _answer(items, begin, cpu)


def pool_submit_by_key(*, items: int, keys: int, exponent: float, workers: int) -> dict[str, float]:
    """A pool of one process for each worker, the key's hash choosing one: keeps the order."""
    names = load(items=items, keys=keys, exponent=exponent)
    pools = [pool(1) for _ in range(workers)]
    cpu, begin = time.process_time(), time.perf_counter()
    futures = [pools[hash(name) % workers].submit(nothing) for name in names]
    concurrent.futures.wait(futures)
    answer = _answer(items, begin, cpu)
    for executor in pools:
        executor.shutdown()
    return answer


def consume(_item: object) -> None:
    """The empty callback for ``map``, which gives an argument."""


def pool_map(
    *, items: int, keys: int, exponent: float, workers: int, chunksize: int
) -> dict[str, float]:
    """The same processes by ``map`` in chunks: all items must be there beforehand; no order."""
    names = load(items=items, keys=keys, exponent=exponent)
    with pool(workers) as executor:
        cpu, begin = time.process_time(), time.perf_counter()
        for _ in executor.map(consume, names, chunksize=chunksize):
            pass
        return _answer(items, begin, cpu)


# -- callbacks that compute -----------------------------------------------------------------------


def computing(
    *, callbacks: int, iterations: int, workers: int, colors: int, executor: str = "processes"
) -> dict[str, float]:
    """Callbacks of plain Python over many colors, posted by this thread."""
    with started(executor, workers) as runtime:
        handles = [runtime.color(("spin", number)) for number in range(colors)]
        cpu, begin = time.process_time(), time.perf_counter()
        for number in range(callbacks):
            handles[number % colors].post(spin, iterations)
        runtime.drain()
        return _answer(callbacks, begin, cpu)


def spin_often(share: int, iterations: int) -> None:
    """A process's whole share, in one call."""
    for _ in range(share):
        spin(iterations)


def plain_processes(*, callbacks: int, iterations: int, workers: int) -> dict[str, float]:
    """The machine's own limit: the same work split evenly, one call for each process."""
    share = callbacks // workers
    with pool(workers) as executor:
        cpu, begin = time.process_time(), time.perf_counter()
        futures = [executor.submit(spin_often, share, iterations) for _ in range(workers)]
        concurrent.futures.wait(futures)
        return _answer(share * workers, begin, cpu)
