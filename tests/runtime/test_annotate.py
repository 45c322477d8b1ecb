"""`@colored`: where and in which order the function runs, and what mistakes it tells of."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import threading
from collections.abc import AsyncIterator, Iterator  # noqa: TC003 - the test looks at signatures
from typing import Any, assert_type

import pytest

from colorsched import (
    Color,
    ColorFuture,
    NoRuntime,
    Runtime,
    colored,
    current_color,
    current_runtime,
)
from support import PATIENCE_SECONDS, Gate


def here() -> object:
    color = current_color()
    return None if color is None else color.key


@colored("constant")
def where(add: int = 0) -> tuple[object, int]:
    """Say where it runs."""
    return here(), add


@colored(lambda account, amount: account)  # noqa: ARG005 - gets what the function gets, by name too
def deposit(account: str, amount: int) -> tuple[object, str, int]:
    return here(), account, amount


@colored("constant")
async def nap(result: int) -> int:
    await asyncio.sleep(0)
    return result


class Account:
    def __init__(self, name: str) -> None:
        self.name = name

    @colored(lambda self, *_: self.name)
    def deposit(self, amount: int) -> tuple[object, str, int]:
        return here(), self.name, amount

    @classmethod
    @colored("class")
    def make(cls, name: str) -> tuple[object, str]:
        return here(), cls(name).name

    @staticmethod
    @colored("static")
    def double(number: int) -> tuple[object, int]:
        return here(), number * 2


def test_a_constant_color(rt: Runtime) -> None:
    with rt:
        future = where(add=1)
        assert_type(future, ColorFuture[tuple[object, int]])
        assert future.result(PATIENCE_SECONDS) == ("constant", 1)


def test_a_computed_color_sees_the_arguments_however_they_come(rt: Runtime) -> None:
    with rt:
        assert deposit("a", 1).result(PATIENCE_SECONDS) == ("a", "a", 1)
        assert deposit(amount=2, account="b").result(PATIENCE_SECONDS) == ("b", "b", 2)


def test_now_runs_it_plainly(rt: Runtime) -> None:
    assert where.now(3) == (None, 3)
    assert deposit.now("a", 1) == (None, "a", 1)
    assert Account("b").deposit.now(5) == (None, "b", 5)
    assert asyncio.run(nap.now(4)) == 4


def test_methods_class_methods_and_static_methods(rt: Runtime) -> None:
    with rt:
        account = Account("alice")
        assert account.deposit(5).result(PATIENCE_SECONDS) == ("alice", "alice", 5)
        assert Account.deposit(account, 6).result(PATIENCE_SECONDS) == ("alice", "alice", 6)
        assert Account.make("bob").result(PATIENCE_SECONDS) == ("class", "bob")
        assert account.make("bob").result(PATIENCE_SECONDS) == ("class", "bob")
        assert Account.double(4).result(PATIENCE_SECONDS) == ("static", 8)
        assert account.double(4).result(PATIENCE_SECONDS) == ("static", 8)


def test_a_coroutine_function_holds_its_color(rt: Runtime) -> None:
    order: list[str] = []
    begun = threading.Event()
    release: list[Any] = []

    @colored("held")
    async def hold(name: str) -> str:
        order.append(f"{name} begins")
        if name == "first":
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            release.append(lambda: loop.call_soon_threadsafe(future.set_result, None))
            begun.set()
            await future
        order.append(f"{name} ends")
        return name

    with rt:
        first = hold("first")
        assert_type(first, ColorFuture[str])
        second = hold("second")
        assert begun.wait(PATIENCE_SECONDS)
        rt.color("other").submit(int).result(PATIENCE_SECONDS)
        assert order == ["first begins"]
        release[0]()
        assert second.result(PATIENCE_SECONDS) == "second"
    assert order == ["first begins", "first ends", "second begins", "second ends"]


def test_its_future_is_awaited_in_a_coroutine(rt: Runtime) -> None:
    @colored("outer")
    async def outer() -> int:
        return await nap(2) + await nap(3)

    with rt:
        assert outer().result(PATIENCE_SECONDS) == 5


def test_calls_of_one_thread_run_in_order(rt: Runtime) -> None:
    ran: list[int] = []

    @colored("order")
    def note(number: int) -> None:
        ran.append(number)

    with rt, Gate() as gate:
        rt.color("order").post(gate)
        for number in range(50):
            note(number)
    assert ran == list(range(50))


def test_it_keeps_what_describes_the_function() -> None:
    assert where.__name__ == "where"
    assert where.__doc__ == "Say where it runs."
    assert where.__module__ == __name__
    assert where.__wrapped__ is where.now
    assert str(inspect.signature(where)) == "(add: 'int' = 0) -> 'tuple[object, int]'"
    assert "where" in repr(where)
    assert "Account.deposit" in repr(Account("a").deposit)


def test_it_is_pickled_by_name_as_functions_are() -> None:
    assert pickle.loads(pickle.dumps(where)) is where


def test_without_a_runtime_it_says_so() -> None:
    with pytest.raises(NoRuntime, match="with Runtime"):
        where()
    with pytest.raises(NoRuntime):
        current_runtime()


def test_a_key_that_cannot_be_a_color_is_refused_early() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        colored(["list"])  # type: ignore[arg-type]  # that is the test


def test_a_computed_key_that_cannot_be_one_is_the_callers_error(rt: Runtime) -> None:
    @colored(lambda key: key)
    def keyed(key: object) -> None:
        """Nothing to do."""

    with rt:
        with pytest.raises(TypeError, match="unhashable"):
            keyed([])
        keyed("fine").result(PATIENCE_SECONDS)


def test_a_key_function_that_raises_tells_the_caller(rt: Runtime) -> None:
    @colored(lambda order: order.account)
    def settle(order: object) -> None:
        """Nothing to do."""

    with rt, pytest.raises(AttributeError, match="account"):
        settle(object())
    assert rt.stats().pending == 0


def test_generators_are_refused() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for generator in (numbers, later):
        with pytest.raises(TypeError, match="is a generator"):
            colored("c")(generator)


@pytest.mark.parametrize("wrapper", [classmethod, staticmethod])
def test_the_wrong_order_of_decorators_is_refused(wrapper: Any) -> None:
    with pytest.raises(TypeError, match=f"goes under @{wrapper.__name__}"):
        colored("c")(wrapper(lambda: None))


def test_what_is_no_function_is_refused_and_so_is_a_missing_key() -> None:
    with pytest.raises(TypeError, match="decorates a function, not 5"):
        colored("c")(5)  # type: ignore[call-overload]  # that is the test

    @colored
    def bare(argument: int) -> None:
        """Decorated without a key: taken for a key function, as nothing tells them apart."""

    with pytest.raises(TypeError, match="with parentheses"):
        bare(5)  # type: ignore[call-overload]  # that is the test


def test_the_current_runtime_is_the_innermost_of_the_thread() -> None:
    with Runtime() as outer:
        assert current_runtime() is outer
        with Runtime() as inner:
            assert current_runtime() is inner
            with outer:
                assert current_runtime() is outer
            assert current_runtime() is inner
            # Leaving the outer's block has shut it down.
            assert outer.stats().workers == 0
            assert inner.submit(current_runtime).result(PATIENCE_SECONDS) is inner
        assert current_runtime() is outer


def test_a_threads_own_block_comes_before_those_of_others() -> None:
    entered, go = Gate(), Gate()
    found: list[Runtime] = []
    mine: list[Runtime] = []

    def other() -> None:
        found.append(current_runtime())  # no block of its own: the one entered last
        with Runtime() as runtime:
            mine.append(runtime)
            entered()
            go()
            found.append(current_runtime())

    with entered, go, Runtime() as first:
        thread = threading.Thread(target=other)
        thread.start()
        entered.reached()
        assert current_runtime() is first
        entered.open()
        with Runtime():
            go.reached().open()
            thread.join(PATIENCE_SECONDS)
    assert found == [first, *mine]


def test_a_callback_has_its_own_runtime_and_color(rt: Runtime) -> None:
    def look() -> tuple[Runtime, Color | None]:
        return current_runtime(), current_color()

    with Runtime() as other:
        assert rt.color("c").submit(look).result(PATIENCE_SECONDS) == (rt, rt.color("c"))
        assert other.submit(look).result(PATIENCE_SECONDS)[0] is other
    assert current_color() is None
