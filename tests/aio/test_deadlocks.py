"""Work that waits for itself is refused with an error that shows the circle; nothing else is."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from aio_support import until
from colorsched import ColorDeadlock, colored
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from colorsched import Color, ColorFuture, Runtime


def refused(future: ColorFuture[Any]) -> ColorDeadlock:
    """Return the deadlock that a future ends with, in an exception group or not."""
    error = future.exception(PATIENCE_SECONDS)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ColorDeadlock), error
    return error


def is_circle(error: ColorDeadlock, keys: str) -> bool:
    """Whether it shows this circle. It begins with whichever wait came last: any may."""
    turned = [keys[n:] + keys[:n] for n in range(len(keys))]
    return error.cycle in [(*keys, keys[0]) for keys in turned]


async def plainly(future: ColorFuture[Any]) -> None:
    await future


async def by_gather(future: ColorFuture[Any]) -> None:
    await asyncio.gather(future, asyncio.sleep(0))


async def by_wait_for(future: ColorFuture[Any]) -> None:
    await asyncio.wait_for(future, PATIENCE_SECONDS)


async def by_task_group(future: ColorFuture[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(plainly(future))


async def by_shield(future: ColorFuture[Any]) -> None:
    await asyncio.shield(future)


async def by_wait(future: ColorFuture[Any]) -> None:
    (task,), _ = await asyncio.wait([asyncio.create_task(plainly(future))])
    task.result()


async def in_a_timeout(future: ColorFuture[Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await future


WAYS = [plainly, by_gather, by_wait_for, by_task_group, by_shield, by_wait, in_a_timeout]


@pytest.mark.parametrize("wait", WAYS)
def test_a_hold_that_awaits_its_own_color(
    rt: Runtime, wait: Callable[[ColorFuture[Any]], Awaitable[None]]
) -> None:
    color = rt.color("a")

    async def hold() -> None:
        await wait(color.submit(print, "never"))

    error = refused(color.submit(hold))
    assert error.cycle == ("a", "a")
    assert str(error).startswith("'a' -> 'a': each waits for the next")
    assert "fn.now" in str(error)


@pytest.mark.parametrize("length", [2, 3, 5])
@pytest.mark.parametrize("wait", WAYS)
def test_a_circle_of_holds(
    rt: Runtime, wait: Callable[[ColorFuture[Any]], Awaitable[None]], length: int
) -> None:
    colors = [rt.color(n) for n in range(length)]

    async def hold(n: int) -> Any:
        await wait(colors[n % length].submit(hold if n < length else print, n + 1))

    error = refused(colors[0].submit(hold, 1))
    # It begins with whichever wait came last: the waits through tasks begin a little later.
    assert error.cycle[0] == error.cycle[-1]
    first = colors.index(rt.color(error.cycle[0]))
    assert list(error.cycle[:-1]) == [(first + n) % length for n in range(length)]
    assert " -> ".join(map(repr, error.cycle)) in str(error)


def test_a_circle_that_closes_from_two_sides(rt: Runtime) -> None:
    a, b = rt.color("a"), rt.color("b")
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    async def hold(other: Color) -> None:
        both.wait()
        await other.submit(print, "never")

    ends = [a.submit(hold, b), b.submit(hold, a)]
    errors = [future.exception(PATIENCE_SECONDS) for future in ends]
    assert sum(isinstance(error, ColorDeadlock) for error in errors) >= 1
    assert {type(error) for error in errors} <= {ColorDeadlock, type(None)}


def test_a_recursive_colored_function(rt: Runtime) -> None:
    @colored("fib")
    async def fib(n: int) -> int:
        return n if n < 2 else await fib(n - 1) + await fib(n - 2)

    @colored("fib")
    async def fib_now(n: int) -> int:
        if n < 2:
            return n
        one: int = await fib_now.now(n - 1)
        two: int = await fib_now.now(n - 2)
        return one + two

    async def main() -> int:
        with pytest.raises(ColorDeadlock, match="'fib' -> 'fib'"):
            await fib(5)
        return await fib_now(10)

    assert rt.spawn(main()).result(PATIENCE_SECONDS) == 55


def test_blocking_on_ones_own_color_in_a_callback(rt: Runtime) -> None:
    color = rt.color("a")

    def callback() -> None:
        color.submit(print, "never").result()

    def other() -> None:
        color.submit(print, "never").exception()

    for work in (callback, other):
        error = refused(color.submit(work))
        assert error.cycle == ("a", "a")
        assert "add_done_callback" in str(error)


def test_a_circle_of_blocking_callbacks(rt: Runtime) -> None:
    a, b, c = (rt.color(name) for name in "abc")

    def one() -> None:
        b.submit(two).result()

    def two() -> None:
        c.submit(three).result()

    def three() -> None:
        a.submit(print, "never").result()

    error = refused(a.submit(one))
    assert is_circle(error, "abc")


def test_a_circle_of_a_hold_and_a_blocking_callback(rt: Runtime) -> None:
    a, b = rt.color("a"), rt.color("b")

    async def hold() -> None:
        await b.submit(block)

    def block() -> None:
        a.submit(print, "never").result()

    assert is_circle(refused(a.submit(hold)), "ab")


def test_a_circle_through_a_dispatch(rt: Runtime) -> None:
    a, b = rt.color("a"), rt.color("b")
    caught: list[ColorDeadlock] = []

    def outer() -> None:
        b.dispatch(inner)

    def inner() -> None:
        # Runs inside a's turn, so a waits too.
        with pytest.raises(ColorDeadlock) as error:
            a.submit(print, "never").result()
        caught.append(error.value)

    a.submit(outer).result(PATIENCE_SECONDS)
    assert caught[0].cycle == ("a", "a")


def test_run_in_executor_of_the_held_color(rt: Runtime) -> None:
    color = rt.color("a")

    async def hold() -> None:
        await asyncio.get_running_loop().run_in_executor(color, print, "never")

    assert refused(color.submit(hold)).cycle == ("a", "a")


def test_a_thread_that_the_holder_waits_for(rt: Runtime) -> None:
    color = rt.color("a")

    async def hold() -> None:
        await asyncio.to_thread(lambda: color.submit(print, "never").result())

    assert refused(color.submit(hold)).cycle == ("a", "a")


def test_the_refused_work_is_not_lost(rt: Runtime) -> None:
    color = rt.color("a")
    ran: list[int] = []

    async def hold() -> None:
        with pytest.raises(ColorDeadlock):
            await color.submit(ran.append, 1)
        assert ran == []

    color.submit(hold).result(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == [1]


# -- no false alarms -------------------------------------------------------------------------------


def test_a_diamond_is_no_circle(rt: Runtime) -> None:
    top, left, right, bottom = (rt.color(name) for name in "tlrb")

    async def leaf() -> int:
        await asyncio.sleep(0)
        return 1

    async def side() -> int:
        answer: int = await bottom.submit(leaf)
        return answer

    async def start() -> int:
        answers: tuple[int, ...] = await asyncio.gather(left.submit(side), right.submit(side))
        return sum(answers)

    for _ in range(20):
        assert top.submit(start).result(PATIENCE_SECONDS) == 2


def test_spawned_coroutines_may_await_their_own_color(rt: Runtime) -> None:
    color = rt.color("a")

    async def leaf() -> int:
        await asyncio.sleep(0)
        return 1

    async def main() -> Any:
        return await color.submit(leaf) + await color.spawn(leaf()) + await color.submit(pow, 1, 1)

    assert color.spawn(main()).result(PATIENCE_SECONDS) == 3


def test_a_hold_may_await_what_was_spawned_in_its_color_before(rt: Runtime) -> None:
    color = rt.color("a")

    async def leaf() -> int:
        begun()
        await asyncio.sleep(0.001)
        return 1

    async def hold(future: ColorFuture[int]) -> int:
        return await future

    begun = Gate("begun").open()
    future = color.spawn(leaf())
    begun.reached()
    assert color.submit(hold, future).result(PATIENCE_SECONDS) == 1


def test_work_that_is_done_may_be_asked_anywhere(rt: Runtime) -> None:
    color = rt.color("a")
    done = color.submit(pow, 2, 3)
    assert done.result(PATIENCE_SECONDS) == 8

    async def hold() -> Any:
        return await done + done.result()

    assert color.submit(hold).result(PATIENCE_SECONDS) == 16
    assert color.submit(done.result).result(PATIENCE_SECONDS) == 8


def test_waits_that_are_over_leave_no_edge(rt: Runtime) -> None:
    a, b = rt.color("a"), rt.color("b")

    async def there(other: Color) -> Any:
        return await other.submit(pow, 2, 2)

    def and_back(other: Color) -> Any:
        return other.submit(pow, 3, 2).result()

    for _ in range(50):
        assert a.submit(there, b).result(PATIENCE_SECONDS) == 4
        assert b.submit(there, a).result(PATIENCE_SECONDS) == 4
        assert a.submit(and_back, b).result(PATIENCE_SECONDS) == 9
        assert b.submit(and_back, a).result(PATIENCE_SECONDS) == 9
    assert not rt._shared.waits._edges


def test_a_callback_posted_by_a_holder_waits_for_itself_only(rt: Runtime) -> None:
    a, b, c = (rt.color(name) for name in "abc")
    answers: list[int] = []

    async def ask() -> None:
        # Not part of the hold in which it was posted, though it has that one's context.
        answers.append(await a.submit(pow, 2, 2))

    async def hold() -> None:
        c.post(lambda: asyncio.ensure_future(ask(), loop=c.loop))
        await b.submit(pow, 1, 1)

    a.submit(hold).result(PATIENCE_SECONDS)

    async def until_answered() -> None:
        await until(lambda: answers)

    c.spawn(until_answered()).result(PATIENCE_SECONDS)
    assert answers == [4]
