"""Async generators that are dropped unfinished are closed in the loop that iterated them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

from aio_support import until
from colorsched import Color, Runtime, current_color
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aio_support import Everywhere

    Closed = list[tuple[str, Color | None, asyncio.AbstractEventLoop]]


async def numbers(name: str, closed: Closed) -> AsyncGenerator[int, None]:
    """Count; on being closed, tell where, after an await."""
    try:
        for n in range(1000):
            yield n
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)
        closed.append((name, current_color(), asyncio.get_running_loop()))


def test_dropped_ones_are_closed_in_their_own_color(everywhere: Everywhere) -> None:
    async def main(i: int) -> None:
        closed: Closed = []

        async def first_three() -> int:
            async for n in numbers(f"of {i}", closed):
                if n == 2:
                    return n
            raise AssertionError

        assert await first_three() == 2
        gc.collect()
        await until(lambda: closed)
        assert closed == [(f"of {i}", current_color(), asyncio.get_running_loop())]

    everywhere(main)


def test_one_dropped_by_another_thread_is_closed_in_its_own_color(rt: Runtime) -> None:
    color = rt.color("mine")
    closed: Closed = []
    kept = [numbers("far away", closed)]

    async def begin() -> int:
        return await anext(kept[0])

    def drop() -> None:
        kept.clear()
        gc.collect()

    async def wait() -> None:
        await until(lambda: closed)

    assert color.spawn(begin()).result(PATIENCE_SECONDS) == 0
    loop = color.loop  # the same one still: the generator keeps it
    rt.color("other").submit(drop).result(PATIENCE_SECONDS)
    color.spawn(wait()).result(PATIENCE_SECONDS)
    assert closed == [("far away", color, loop)]


def test_a_generator_keeps_its_loop_until_it_is_closed() -> None:
    with Runtime(workers=1) as rt:
        closed: Closed = []
        kept = [numbers("kept", closed)]

        async def begin() -> weakref.ref[asyncio.AbstractEventLoop]:
            assert await anext(kept[0]) == 0
            return weakref.ref(asyncio.get_running_loop())

        loop = rt.color("used once").spawn(begin()).result(PATIENCE_SECONDS)
        assert rt.drain(PATIENCE_SECONDS)
        gc.collect()
        assert loop() is not None
        kept.clear()
        while not closed:
            rt.submit(int).result(PATIENCE_SECONDS)
        assert [name for name, _, _ in closed] == ["kept"]
        closed.clear()
        assert rt.drain(PATIENCE_SECONDS)
        for n in range(64):  # the runtime itself keeps some colors that were used just now
            rt.color(n).submit(int).result(PATIENCE_SECONDS)
        assert rt.drain(PATIENCE_SECONDS)
        gc.collect()
        assert loop() is None


def test_a_loop_that_is_kept_late_does_not_replace_the_one_made_meanwhile(rt: Runtime) -> None:
    color = rt.color("a")
    closed: Closed = []
    kept = [numbers("kept", closed)]

    async def begin() -> asyncio.AbstractEventLoop:
        assert await anext(kept[0]) == 0
        return asyncio.get_running_loop()

    first = color.spawn(begin()).result(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    # As the garbage collector does it: first the weak reference goes, a moment later the loop is
    # asked whether it may; and another thread needs the loop in between.
    color._loop = None
    second = color.loop
    first.__del__()  # type: ignore[attr-defined]  # a loop of ours has it
    assert color.loop is second
    kept.clear()
    while not closed:
        rt.submit(int).result(PATIENCE_SECONDS)


def test_the_end_of_the_runtime_closes_what_is_left() -> None:
    closed: Closed = []
    kept = [numbers(str(i), closed) for i in range(5)]

    async def begin(i: int) -> int:
        return await anext(kept[i])

    with Runtime(workers=2) as rt:
        colors = [rt.color(i) for i in range(5)]
        for i, color in enumerate(colors):
            assert color.spawn(begin(i)).result(PATIENCE_SECONDS) == 0
    assert sorted((name, color) for name, color, _ in closed) == [
        (str(i), color) for i, color in enumerate(colors)
    ]


def test_one_that_ends_by_itself_leaves_nothing(rt: Runtime) -> None:
    async def short() -> AsyncGenerator[int, None]:
        yield 1

    async def main() -> None:
        for _ in range(500):
            assert [n async for n in short()] == [1]

    rt.spawn(main()).result(PATIENCE_SECONDS)
    gc.collect()
    assert len(rt._shared.generators._loops) <= 200
