"""An `async def` that is submitted holds its color until it ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import colored, current_color
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from colorsched import Runtime


def test_nothing_else_of_the_color_runs_during_a_hold(rt: Runtime) -> None:
    color = rt.color("held")
    story: list[str] = []
    go: list[asyncio.Event] = []
    begun = Gate("begun").open()

    async def hold() -> None:
        go.append(asyncio.Event())
        story.append("begin")
        begun()
        await go[0].wait()
        await asyncio.sleep(0)
        story.append("end")

    holding = color.submit(hold)
    begun.reached()
    color.post(story.append, "posted")
    color.submit(story.append, "submitted")
    color.call_later(0, story.append, "timed")
    rt.submit(color.dispatch, story.append, "dispatched").result(PATIENCE_SECONDS)
    assert rt.color("other").submit(pow, 2, 2).result(PATIENCE_SECONDS) == 4
    assert story == ["begin"]
    color.loop.call_soon_threadsafe(go[0].set)
    holding.result(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    assert story[:4] == ["begin", "end", "posted", "submitted"]
    assert sorted(story[4:]) == ["dispatched", "timed"]


def test_tasks_that_were_there_before_go_on_during_a_hold(rt: Runtime) -> None:
    color = rt.color("held")
    story: list[str] = []

    async def main() -> None:
        before = asyncio.Event()
        done = asyncio.Event()

        async def answer() -> None:
            await before.wait()
            story.append("answered")
            done.set()

        async def hold() -> None:
            before.set()
            await done.wait()
            story.append("held to the end")

        task = asyncio.create_task(answer())
        holding = color.submit(hold)
        await task
        await holding

    color.spawn(main()).result(PATIENCE_SECONDS)
    assert story == ["answered", "held to the end"]


def test_a_thousand_queued_holds_run_one_after_the_other(rt: Runtime) -> None:
    color = rt.color("held")
    story: list[tuple[str, int]] = []

    async def hold(n: int) -> int:
        story.append(("begin", n))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        story.append(("end", n))
        return n

    def callback(n: int) -> int:
        story.append(("plain", n))
        return n

    futures = [color.submit(hold if n % 10 else callback, n) for n in range(1000)]
    assert [future.result(PATIENCE_SECONDS) for future in futures] == list(range(1000))
    assert story == list(
        chain.from_iterable(
            [("begin", n), ("end", n)] if n % 10 else [("plain", n)] for n in range(1000)
        )
    )


def test_each_callback_is_put_aside_once_however_long_the_queue(rt: Runtime) -> None:
    # Linear time, by counts: each hold ends its turn once, each await needs one more, and the
    # callbacks that wait are moved 64 at a turn, once.
    color = rt.color("held")
    count = 2000

    async def hold() -> None:
        await asyncio.sleep(0)

    with Gate("busy") as gate:
        color.post(gate)
        gate.reached()
        before = rt.stats().turns
        futures = [color.submit(hold) for _ in range(count)]
    concurrent.futures.wait(futures, PATIENCE_SECONDS)
    assert rt.stats().turns - before < 5 * count


def test_a_hold_that_fails_gives_its_color_back(rt: Runtime) -> None:
    color = rt.color("held")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("held and failed")

    failing = color.submit(fail)
    after = color.submit(pow, 2, 3)
    with pytest.raises(LookupError, match="held and failed"):
        failing.result(PATIENCE_SECONDS)
    assert after.result(PATIENCE_SECONDS) == 8


def test_cancelling_queued_and_running_holds(rt: Runtime) -> None:
    color = rt.color("held")
    story: list[str] = []
    begun = Gate("begun").open()

    async def hold(name: str) -> None:
        story.append(f"{name} begins")
        begun()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            story.append(f"{name} ends")

    first = color.submit(hold, "first")
    begun.reached()
    second = color.submit(hold, "second")
    after = color.submit(story.append, "after")
    assert second.cancel()
    assert first.cancel()
    after.result(PATIENCE_SECONDS)
    assert first.cancelled()
    assert story == ["first begins", "first ends", "after"]


def test_a_hold_begun_inside_dispatch(rt: Runtime) -> None:
    held = rt.color("held")
    story: list[str] = []

    @colored("held")
    async def hold(name: str) -> None:
        story.append(f"{name} begins in {current_color()!r}")
        await asyncio.sleep(0)
        story.append(f"{name} ends")

    def outer() -> None:
        # Idle, so this runs at once, inside this turn; what it submits is queued behind it.
        held.dispatch(inner)
        story.append("outer ends")

    def inner() -> None:
        futures.append(hold("one"))
        futures.append(hold("two"))
        story.append("inner ends")

    futures: list[Any] = []
    rt.color("outer").submit(outer).result(PATIENCE_SECONDS)
    for future in futures:
        future.result(PATIENCE_SECONDS)
    here = "<color 'held'>"
    assert [line for line in story if line != "outer ends"] == [
        "inner ends", f"one begins in {here}", "one ends", f"two begins in {here}", "two ends"
    ]  # fmt: skip


def test_colored_async_methods_are_in_order_for_each_object(rt: Runtime) -> None:
    class Account:
        def __init__(self, name: str) -> None:
            self.name = name
            self.balance = 0

        @colored(lambda self, _amount: self.name)
        async def deposit(self, amount: int) -> int:
            before = self.balance
            await asyncio.sleep(0)
            self.balance = before + amount
            return self.balance

    accounts = [Account(f"account {n}") for n in range(10)]

    async def main() -> None:
        await asyncio.gather(*(account.deposit(1) for _ in range(20) for account in accounts))

    rt.spawn(main()).result(PATIENCE_SECONDS)
    assert [account.balance for account in accounts] == [20] * 10


def test_what_returns_a_coroutine_holds_too(rt: Runtime) -> None:
    color = rt.color("held")
    story: list[str] = []

    async def hold(name: str) -> None:
        story.append(f"{name} begins")
        await asyncio.sleep(0)
        story.append(f"{name} ends")

    futures = [color.submit(functools.partial(hold, name)) for name in ("one", "two")]
    for future in futures:
        future.result(PATIENCE_SECONDS)
    assert story == ["one begins", "one ends", "two begins", "two ends"]


def test_a_generator_is_a_result_like_any_other(rt: Runtime) -> None:
    future = rt.color("red").submit(lambda: (number for number in range(3)))
    assert list(future.result(PATIENCE_SECONDS)) == [0, 1, 2]


def test_networks_and_timers_work_during_a_hold(rt: Runtime) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async def hold() -> bytes:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await asyncio.sleep(0.001)
            writer.write(b"held\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
        return line

    assert rt.color("held").submit(hold).result(PATIENCE_SECONDS) == b"held\n"
