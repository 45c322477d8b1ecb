"""A burst over many keys: find the key's order, post one item to it; a key's items run in turn.

Every peer looks the key up for each item and creates what it needs for a key when it first sees it,
inside the measured time.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.arithmetic import zipf_indices

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20031
LOGGER = logging.getLogger(__name__)


def load(*, items: int, keys: int, exponent: float) -> list[str]:
    """The items' keys: Zipf with the exponent given; exponent 0 draws all keys alike."""
    names = [f"account:{number}" for number in range(keys)]
    drawn = zipf_indices(count=items, keys=keys, exponent=exponent, seed=SEED)
    return [names[number] for number in drawn]


def counting(items: int, finish: Callable[[], None]) -> Callable[[str], None]:
    """The callback of every peer but bocpy: count, say when all have run. Safe on all threads."""
    ran: list[None] = []

    def work(_key: str) -> None:
        ran.append(None)
        if len(ran) == items:
            finish()

    return work


def queue_per_key(*, items: int, keys: int, exponent: float) -> dict[str, float]:
    """A queue and a task of asyncio for each key, as asyncio's own pages show it.

    What a color does, these do: the queue carries callbacks, any function with its arguments; one
    that raises does not end the key's task; `task_done` and `join` tell when all is done.
    """

    async def main() -> float:
        names = load(items=items, keys=keys, exponent=exponent)
        work = counting(items, lambda: None)
        queues: dict[str, asyncio.Queue[tuple[Callable[..., None], tuple[str, ...]]]] = {}
        tasks: list[asyncio.Task[None]] = []

        async def consume(
            queue: asyncio.Queue[tuple[Callable[..., None], tuple[str, ...]]],
        ) -> None:
            while True:
                function, arguments = await queue.get()
                try:
                    function(*arguments)
                except Exception:
                    LOGGER.exception("a callback failed")
                queue.task_done()

        begin = time.perf_counter()
        for name in names:
            queue = queues.get(name)
            if queue is None:
                queue = queues[name] = asyncio.Queue()
                tasks.append(asyncio.create_task(consume(queue)))
            queue.put_nowait((work, (name,)))
        for queue in queues.values():
            await queue.join()
        seconds = time.perf_counter() - begin
        await _end(tasks)
        return seconds

    return {"count": items, "seconds": asyncio.run(main())}


def queue_per_key_bare(*, items: int, keys: int, exponent: float) -> dict[str, float]:
    """The least: one function wired into the tasks, bare items, no care for exceptions, no join."""

    async def main() -> float:
        names = load(items=items, keys=keys, exponent=exponent)
        done = asyncio.Event()
        work = counting(items, done.set)
        queues: dict[str, asyncio.Queue[str]] = {}
        tasks: list[asyncio.Task[None]] = []

        async def consume(queue: asyncio.Queue[str]) -> None:
            while True:
                work(await queue.get())

        begin = time.perf_counter()
        for name in names:
            queue = queues.get(name)
            if queue is None:
                queue = queues[name] = asyncio.Queue()
                tasks.append(asyncio.create_task(consume(queue)))
            queue.put_nowait(name)
        await done.wait()
        seconds = time.perf_counter() - begin
        await _end(tasks)
        return seconds

    return {"count": items, "seconds": asyncio.run(main())}


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def lock_per_key(*, items: int, keys: int, exponent: float) -> dict[str, float]:
    """asyncio: a task for each item, and a lock for each key."""

    async def main() -> float:
        names = load(items=items, keys=keys, exponent=exponent)
        done = asyncio.Event()
        work = counting(items, done.set)
        locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        tasks: set[asyncio.Task[None]] = set()

        async def handle(name: str) -> None:
            async with locks[name]:
                work(name)

        begin = time.perf_counter()
        for name in names:
            task = asyncio.create_task(handle(name))
            tasks.add(task)  # asyncio keeps only weak references to tasks
            task.add_done_callback(tasks.discard)
        await done.wait()
        return time.perf_counter() - begin

    return {"count": items, "seconds": asyncio.run(main())}


def striped_executors(*, items: int, keys: int, exponent: float, stripes: int) -> dict[str, float]:
    """A fixed number of single-thread executors, the key's hash choosing one."""
    names = load(items=items, keys=keys, exponent=exponent)
    done = threading.Event()
    work = counting(items, done.set)
    executors = [ThreadPoolExecutor(1) for _ in range(stripes)]
    begin = time.perf_counter()
    for name in names:
        executors[hash(name) % stripes].submit(work, name)
    done.wait()
    seconds = time.perf_counter() - begin
    for executor in executors:
        executor.shutdown()
    return {"count": items, "seconds": seconds}


def _behavior(_resource: Any, _name: str) -> None:
    """The callback of bocpy, in another interpreter: no shared counter, `quiesce` tells the end."""


def bocpy(*, items: int, keys: int, exponent: float, workers: int = 1) -> dict[str, float]:
    """Behaviors of one resource: a cown for each key, scheduled by the quicker way, `whencall`."""
    module = importlib.import_module("bocpy")
    names = load(items=items, keys=keys, exponent=exponent)
    module.start(worker_count=workers)
    resources: dict[str, Any] = {}
    schedule = functools.partial(module.whencall, _behavior)
    begin = time.perf_counter()
    for name in names:
        resource = resources.get(name)
        if resource is None:
            resource = resources[name] = module.Cown(None)
        schedule([resource], [name])
    module.quiesce()
    seconds = time.perf_counter() - begin
    resources.clear()
    module.wait()
    return {"count": items, "seconds": seconds}


def colorsched(*, items: int, keys: int, exponent: float, workers: int = 1) -> dict[str, float]:
    """``runtime.color(key).post(…)`` for each item, from this thread."""
    from colorsched import Runtime

    names = load(items=items, keys=keys, exponent=exponent)
    done = threading.Event()
    work = counting(items, done.set)
    with Runtime(workers=workers) as runtime:
        color = runtime.color
        begin = time.perf_counter()
        for name in names:
            color(name).post(work, name)
        done.wait()
        seconds = time.perf_counter() - begin
    return {"count": items, "seconds": seconds}


def colorsched_inside(
    *, items: int, keys: int, exponent: float, workers: int = 1
) -> dict[str, float]:
    """The same, posted by a callback, as the asyncio peers post from their loop's own thread."""
    from colorsched import Runtime

    names = load(items=items, keys=keys, exponent=exponent)
    done = threading.Event()
    work = counting(items, done.set)
    with Runtime(workers=workers) as runtime:

        def burst() -> None:
            color = runtime.color
            for name in names:
                color(name).post(work, name)

        begin = time.perf_counter()
        runtime.post(burst)
        done.wait()
        seconds = time.perf_counter() - begin
    return {"count": items, "seconds": seconds}
