"""A load of the model on a real runtime: the same colors in the same order."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.simulation.loads import Load, Source
from benchmarks.workloads.slots import warm_up
from benchmarks.workloads.spinning import spin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(*, load: Mapping[str, Any], iterations: int, workers: int, seed: int) -> dict[str, float]:
    """Run a load of posters or hops; no spares, so that the workers are those that were asked for.

    ``iterations`` of plain work take the place of the load's seconds.
    """
    from colorsched import Runtime

    chosen = Load(**{**load, "source": Source(load["source"])})
    keys = chosen.keys(seed)
    with Runtime(workers=workers, max_workers=workers) as runtime:
        # By tuples, since a number's hash is the number: that would place colors too evenly.
        handles = [runtime.color((seed, number)) for number in range(chosen.colors)]
        posts = [handle.post for handle in handles]
        if chosen.source is Source.POSTERS:
            begin = _posted(posts, keys, chosen.posters, iterations)
        else:
            begin = _hopped(posts, keys, chosen.tokens, iterations)
        runtime.drain()
        seconds = time.perf_counter() - begin
        steals = runtime.stats().steals
    return {"count": chosen.callbacks, "seconds": seconds, "steals": steals}


def run_slots(
    *, load: Mapping[str, Any], iterations: int, slots: int, seed: int
) -> dict[str, float]:
    """Run a load of posters in processes, all of which have run something before."""
    from colorsched import Runtime

    chosen = Load(**{**load, "source": Source(load["source"])})
    keys = chosen.keys(seed)
    with Runtime(executor="processes", workers=slots, max_workers=1) as runtime:
        warm_up(lambda number, fn, *args: runtime.color(number).submit(fn, *args), slots)
        handles = [runtime.color((seed, number)) for number in range(chosen.colors)]
        posts = [handle.post for handle in handles]
        runtime.drain()
        batches = runtime.stats().batches
        begin = _posted(posts, keys, chosen.posters, iterations)
        runtime.drain()
        seconds = time.perf_counter() - begin
        batches = runtime.stats().batches - batches
    return {"count": chosen.callbacks, "seconds": seconds, "batches": batches}


def _posted(posts: Sequence[Any], keys: Sequence[int], posters: int, iterations: int) -> float:
    begun: list[float] = []
    start = threading.Barrier(posters, action=lambda: begun.append(time.perf_counter()))

    def post(own: Sequence[int]) -> None:
        start.wait()
        for key in own:
            posts[key](spin, iterations)

    threads = [
        threading.Thread(target=post, args=(keys[number::posters],)) for number in range(posters)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return begun[0]


def _hopped(posts: Sequence[Any], keys: Sequence[int], tokens: int, iterations: int) -> float:
    def hop(way: Sequence[int], number: int) -> None:
        spin(iterations)
        if number < len(way):
            posts[way[number]](hop, way, number + 1)

    begin = time.perf_counter()
    for token in range(tokens):
        way = keys[token::tokens]
        if way:
            posts[way[0]](hop, way, 1)
    return begin
