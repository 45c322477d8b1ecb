"""Circles of waits are found as they close: through holds, blocked callbacks, coroutines."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from colorsched import ColorDeadlock

if TYPE_CHECKING:
    from colorsched import Runtime

TIMEOUT = 30


async def leaf() -> int:
    return 1


def test_a_blocked_callback_stalls_the_coroutines_of_its_color(rt: Runtime) -> None:
    color = rt.color("a")
    started = threading.Event()

    async def waits_for_ever() -> None:
        started.set()
        await asyncio.get_running_loop().create_future()

    spawned = color.spawn(waits_for_ever())
    assert started.wait(TIMEOUT)
    with pytest.raises(ColorDeadlock, match="'a' -> 'a'"):
        color.submit(spawned.result).result(TIMEOUT)
    spawned.cancel()


def test_a_circle_may_go_through_a_spawned_coroutine(rt: Runtime) -> None:
    a, b = rt.color("a"), rt.color("b")

    async def in_b() -> int:
        return await a.submit(leaf)

    async def holding() -> int:
        return await b.spawn(in_b())

    with pytest.raises(ColorDeadlock) as caught:
        a.submit(holding).result(TIMEOUT)
    # It begins with whichever wait came last.
    assert caught.value.cycle in {("b", "a", "b"), ("a", "b", "a")}


def test_a_spawned_coroutine_under_way_needs_no_holder(rt: Runtime) -> None:
    """No false alarm: A's holder waits for a coroutine of B, B's holder for work of A."""
    a, b = rt.color("a"), rt.color("b")
    spawned, a_held, b_held = threading.Event(), threading.Event(), threading.Event()
    signal: list[asyncio.Future[int]] = []

    async def free() -> int:
        signal.append(asyncio.get_running_loop().create_future())
        spawned.set()
        return await signal[0]

    free_result = b.spawn(free())
    assert spawned.wait(TIMEOUT)

    async def hold_a() -> int:
        a_held.set()
        return await free_result

    async def hold_b() -> int:
        b_held.set()
        return await a.submit(leaf)

    result_a = a.submit(hold_a)
    assert a_held.wait(TIMEOUT)
    result_b = b.submit(hold_b)
    assert b_held.wait(TIMEOUT)
    b.loop.call_soon_threadsafe(signal[0].set_result, 7)
    assert (result_a.result(TIMEOUT), result_b.result(TIMEOUT)) == (7, 1)
