"""What order costs: the same items on a pool that keeps none, and in colors."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.workloads.keyed import load
from benchmarks.workloads.spinning import spin

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


def _keys(*, items: int, keys: int, exponent: float) -> list[str]:
    """`keys` = 0 gives every item a key of its own."""
    if keys == 0:
        return [f"account:{number}" for number in range(items)]
    return load(items=items, keys=keys, exponent=exponent)


def unordered_futures(
    *, items: int, keys: int, exponent: float, workers: int, iterations: int
) -> dict[str, float]:
    """concurrent.futures' pool: no order, a future for each item."""
    names = _keys(items=items, keys=keys, exponent=exponent)
    with ThreadPoolExecutor(workers) as pool:
        begin = time.perf_counter()
        for _name in names:
            pool.submit(spin, iterations)
        pool.shutdown(wait=True)
        seconds = time.perf_counter() - begin
    return {"count": items, "seconds": seconds}


def unordered_bare(
    *, items: int, keys: int, exponent: float, workers: int, iterations: int
) -> dict[str, float]:
    """The barest pool: threads on one SimpleQueue. No order, handles, contexts or futures."""
    names = _keys(items=items, keys=keys, exponent=exponent)
    waiting: queue.SimpleQueue[tuple[Callable[[int], int], int] | None] = queue.SimpleQueue()

    def run() -> None:
        while (item := waiting.get()) is not None:
            item[0](item[1])

    threads = [threading.Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    begin = time.perf_counter()
    for _name in names:
        waiting.put((spin, iterations))
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    return {"count": items, "seconds": time.perf_counter() - begin}


def colors_post(
    *, items: int, keys: int, exponent: float, workers: int, iterations: int
) -> dict[str, float]:
    """``color(key).post``: order, handles, contexts."""
    from colorsched import Runtime

    names = _keys(items=items, keys=keys, exponent=exponent)
    with Runtime(workers=workers) as runtime:
        begin = time.perf_counter()
        for name in names:
            runtime.color(name).post(spin, iterations)
        runtime.drain()
        seconds = time.perf_counter() - begin
    return {"count": items, "seconds": seconds}


def colors_submit(
    *, items: int, keys: int, exponent: float, workers: int, iterations: int
) -> dict[str, float]:
    """``color(key).submit``: order, and a future for each item as concurrent.futures makes it."""
    from colorsched import Runtime

    names = _keys(items=items, keys=keys, exponent=exponent)
    with Runtime(workers=workers) as runtime:
        begin = time.perf_counter()
        for name in names:
            runtime.color(name).submit(spin, iterations)
        runtime.drain()
        seconds = time.perf_counter() - begin
    return {"count": items, "seconds": seconds}


def _hop_chain(*, callbacks: int, way: str) -> dict[str, float]:
    """A callback in one color calls into another, idle one, `callbacks` times."""
    from colorsched import Runtime

    done = threading.Event()
    with Runtime(workers=1) as runtime:
        here = runtime.color("connection")
        keys: list[Hashable] = [("key", number) for number in range(100)]
        others = [runtime.color(key) for key in keys]
        ran: list[None] = []

        def lookup() -> None:
            ran.append(None)

        def request(left: int) -> None:
            if way == "dispatch":
                others[left % 100].dispatch(lookup)
            elif way == "post":
                others[left % 100].post(lookup)
            else:
                lookup()
            if left:
                here.post(request, left - 1)
            else:
                done.set()

        begin = time.perf_counter()
        here.post(request, callbacks - 1)
        done.wait()
        runtime.drain()
        seconds = time.perf_counter() - begin
    if len(ran) != callbacks:
        raise RuntimeError(f"{callbacks} lookups were asked for, {len(ran)} ran")
    return {"count": callbacks, "seconds": seconds}


def hop_none(*, callbacks: int) -> dict[str, float]:
    return _hop_chain(callbacks=callbacks, way="call")


def hop_dispatch(*, callbacks: int) -> dict[str, float]:
    return _hop_chain(callbacks=callbacks, way="dispatch")


def hop_post(*, callbacks: int) -> dict[str, float]:
    return _hop_chain(callbacks=callbacks, way="post")
