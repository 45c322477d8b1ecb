"""What colors leave in memory: the resident size before and after many were used once."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any


def resident_bytes() -> int:
    """This process's resident size, from /proc."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _nothing() -> None:
    """An empty callback."""


def colorsched(*, colors: int, wave: int, workers: int) -> dict[str, Any]:
    """`colors` distinct colors, one callback each, in waves; the resident size after each tenth.

    "start" is read before the first wave; "first_wave" after it, when the allocator holds what a
    wave needs.
    """
    from colorsched import Runtime

    with Runtime(workers=workers) as runtime:
        gc.collect()
        start = resident_bytes()
        sizes: list[int] = []
        begin = time.perf_counter()
        tenth = max(1, colors // wave // 10)
        first = 0
        for number in range(colors // wave):
            for key in range(number * wave, (number + 1) * wave):
                runtime.color(key).post(_nothing)
            runtime.drain()
            if number == 0:
                first = resident_bytes()
            if (number + 1) % tenth == 0:
                sizes.append(resident_bytes())
        seconds = time.perf_counter() - begin
        gc.collect()
        end = resident_bytes()
        alive = runtime.stats().colors
    return {
        "count": colors,
        "seconds": seconds,
        "start": start,
        "first_wave": first,
        "tenths": sizes,
        "end": end,
        "alive": alive,
    }


def queue_per_key(*, colors: int) -> dict[str, Any]:
    """A queue and a task of asyncio for each key, used once: they stay until taken away."""

    async def main() -> tuple[int, int, float]:
        queues: dict[int, asyncio.Queue[int]] = {}
        tasks: list[asyncio.Task[None]] = []

        async def consume(queue: asyncio.Queue[int]) -> None:
            while True:
                await queue.get()

        gc.collect()
        start = resident_bytes()
        begin = time.perf_counter()
        for key in range(colors):
            queue: asyncio.Queue[int] = asyncio.Queue()
            queues[key] = queue
            tasks.append(asyncio.create_task(consume(queue)))
            queue.put_nowait(key)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seconds = time.perf_counter() - begin
        gc.collect()
        end = resident_bytes()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return start, end, seconds

    start, end, seconds = asyncio.run(main())
    return {"count": colors, "seconds": seconds, "start": start, "end": end}


def lock_per_key(*, colors: int) -> dict[str, Any]:
    """A lock of asyncio for each key in a dictionary, used once."""

    async def main() -> tuple[int, int, float]:
        locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        gc.collect()
        start = resident_bytes()
        begin = time.perf_counter()
        for key in range(colors):
            async with locks[key]:
                pass
        seconds = time.perf_counter() - begin
        gc.collect()
        return start, resident_bytes(), seconds

    start, end, seconds = asyncio.run(main())
    return {"count": colors, "seconds": seconds, "start": start, "end": end}
