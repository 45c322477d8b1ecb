"""A color that speaks asyncio is cheap, and leaves nothing behind, without a garbage collector."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Leave all cleaning to reference counting."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def sleeps() -> None:
    await asyncio.sleep(0)


async def sleeps_long() -> None:
    await asyncio.sleep(0.001)


async def times_out() -> None:
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    except TimeoutError:
        return


async def groups() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(sleeps())
        group.create_task(sleeps())


async def fails() -> None:
    await asyncio.sleep(0)
    raise LookupError("failed")


async def queues() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    task = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put_nowait(1)
    await task


async def calls_a_thread() -> None:
    await asyncio.to_thread(int)


async def iterates() -> None:
    async def numbers() -> Any:
        yield 1
        yield 2

    async for _ in numbers():
        pass


WORK = [sleeps, sleeps_long, times_out, groups, fails, queues, calls_a_thread, iterates]


def rest(rt: Runtime) -> None:
    """Wait until the runtime is quiet, and use another color, so that nothing of the last stays.

    Without the GIL a thread frees what it made when it goes on, even if another dropped it: so all
    threads do something, those for blocking calls too.
    """
    assert rt.drain(PATIENCE_SECONDS)
    if rt._shared._pool is not None:
        rt._shared._pool.submit(int).result(PATIENCE_SECONDS)
    for n in range(64):
        rt.color(("other", n)).submit(int).result(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("how", ["spawn", "submit"])
def test_a_color_its_loop_and_its_tasks_go_by_reference_counting(
    work: Callable[[], Coroutine[Any, Any, None]], how: str
) -> None:
    with Runtime(workers=1, max_workers=1) as rt:
        watched: list[weakref.ref[Any]] = []

        async def main() -> None:
            watched.append(weakref.ref(asyncio.get_running_loop()))
            watched.append(weakref.ref(asyncio.current_task()))
            await work()

        def use() -> None:
            color = rt.color("used once")
            watched.append(weakref.ref(color))
            future = color.spawn(main()) if how == "spawn" else color.submit(main)
            future.exception(PATIENCE_SECONDS)
            watched.append(weakref.ref(future))

        use()
        rest(rt)
        assert [reference() for reference in watched] == [None] * 4


def test_a_connection_leaves_nothing() -> None:
    watched: list[weakref.ref[Any]] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async def visit(port: int) -> None:
        watched.append(weakref.ref(asyncio.get_running_loop()))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()
        await writer.wait_closed()

    with Runtime(workers=1, max_workers=1) as rt:
        server = rt.spawn(asyncio.start_server(echo, "127.0.0.1", 0)).result(PATIENCE_SECONDS)
        port = server.sockets[0].getsockname()[1]
        for n in range(10):
            rt.color(("client", n)).spawn(visit(port)).result(PATIENCE_SECONDS)
        rest(rt)
        # asyncio's own transports and protocols refer to each other until the collector runs.
        gc.collect()
        assert [reference() for reference in watched] == [None] * 10

        async def stop() -> None:
            server.close()
            await server.wait_closed()

        rt.spawn(stop()).result(PATIENCE_SECONDS)


def test_many_colors_that_spoke_asyncio_leave_the_memory_as_it_was() -> None:
    with Runtime(workers=1, max_workers=1) as rt:

        def use(n: int) -> None:
            futures = [rt.color(("used", n, i)).spawn(sleeps()) for i in range(100)]
            for future in futures:
                future.result(PATIENCE_SECONDS)

        for n in range(5):
            use(n)
        rest(rt)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for n in range(5, 15):
                use(n)
            rest(rt)
            left = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        # Some stays for a moment in the runtime's caches; a color that was left takes 1700 bytes.
        assert left < 1000 * 500, f"{left} bytes left of 1000 colors"


def test_what_a_color_with_a_loop_weighs() -> None:
    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    with Runtime(workers=1, max_workers=1) as rt:
        count = 1000
        colors = [rt.color(n) for n in range(count)]
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            loops = [color.loop for color in colors]
            weight = (tracemalloc.get_traced_memory()[0] - before) / count
        finally:
            tracemalloc.stop()
        assert len(loops) == count
        # About 200 bytes; a color itself takes 1.5 KB.
        assert weight < 600, f"a loop takes {weight:.0f} bytes on {sys.version}"
