"""What a history records: order, outcomes, what is pending, from threads, callbacks, coroutines."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from colorsched import Runtime, colored, current_color
from colorsched.testing.history import History, Operation

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 30


class Account:
    def __init__(self) -> None:
        self.total = 0

    def deposit(self, amount: int) -> int:
        if amount < 0:
            raise ValueError(amount)
        self.total += amount
        return self.total


def double(number: int) -> int:
    return 2 * number


def positions(history: History) -> list[tuple[str, int, int | None]]:
    return [(op.name, op.invoked, op.returned) for op in history]


class TestCalls:
    def test_a_block_is_an_operation(self) -> None:
        history = History()
        with history.operation("deposit", "anna", 5, key="anna", currency="SEK") as op:
            op.result = 7
        (operation,) = history
        assert (operation.name, operation.args, operation.key) == ("deposit", ("anna", 5), "anna")
        assert operation.kwargs == {"currency": "SEK"}
        assert (operation.result, operation.error) == (7, None)
        assert (operation.invoked, operation.returned) == (0, 1)
        assert not operation.pending
        assert operation.thread == threading.current_thread().name
        assert operation.color is None

    def test_nothing_is_invoked_before_the_block_begins(self) -> None:
        history = History()
        later = history.operation("later")
        with history.operation("first"):
            pass
        with later:
            pass
        assert positions(history) == [("first", 0, 1), ("later", 2, 3)]

    def test_an_error_leaves_the_block_and_is_the_outcome(self) -> None:
        history = History()
        error = KeyError("x")
        with pytest.raises(KeyError), history.operation("pop"):
            raise error
        (operation,) = history
        assert operation.error is error
        assert not operation.pending

    def test_calls_overlap(self) -> None:
        history = History()
        one, two, three = (history.invoke(name) for name in ("one", "two", "three"))
        two.returned(2)
        one.raised(ValueError())
        assert positions(history) == [("one", 0, 4), ("two", 1, 3), ("three", 2, None)]
        three.returned(3)
        assert [op.result for op in history] == [None, 2, 3]

    def test_what_has_no_response_is_pending(self) -> None:
        history = History()
        history.invoke("write", 1)
        (operation,) = history
        assert operation.pending
        assert operation.returned is None
        assert str(operation) == "write(1) pending"
        assert repr(history) == "<History of 1 operations, 1 pending>"

    @pytest.mark.parametrize("error", [CancelledError(), asyncio.CancelledError(), SystemExit()])
    def test_whether_a_cancelled_call_took_effect_is_not_known(self, error: BaseException) -> None:
        history = History()
        with pytest.raises(type(error)), history.operation("write"):
            raise error
        history.invoke("write").raised(error)
        assert [op.pending for op in history] == [True, True]

    def test_the_user_says_what_else_is_not_known(self) -> None:
        history = History(unsure=(TimeoutError, ConnectionError))
        for error in (TimeoutError(), ConnectionResetError(), KeyError()):
            history.invoke("write").raised(error)
        assert [op.pending for op in history] == [True, True, False]

    def test_an_outcome_said_inside_the_block_counts(self) -> None:
        history = History()
        with history.operation("write") as op:
            op.returned(1)
            op.result = 2
        assert [op.result for op in history] == [1]

    def test_one_outcome_for_each_invocation(self) -> None:
        history = History()
        call = history.invoke("write")
        call.returned(1)
        with pytest.raises(RuntimeError, match="write has its outcome already"):
            call.raised(ValueError())
        with pytest.raises(RuntimeError, match="write has its outcome already"):
            call.follow(Future())
        with pytest.raises(RuntimeError, match="write was invoked already"), call:
            pass
        with pytest.raises(RuntimeError, match="read was not invoked yet"):
            history.operation("read").returned(1)
        assert positions(history) == [("write", 0, 1)]

    def test_a_snapshot_does_not_change(self) -> None:
        history = History()
        call = history.invoke("write")
        before = history.operations()
        call.returned(None)
        assert [op.pending for op in before] == [True]
        assert [op.pending for op in history] == [False]


class TestFollow:
    def test_the_call_ends_with_the_future(self, caplog: pytest.LogCaptureFixture) -> None:
        history = History()
        futures: list[Future[int]] = [Future() for _ in range(3)]
        for number, future in enumerate(futures):
            assert history.invoke("ask", number).follow(future) is future
        futures[1].set_result(5)
        futures[0].set_exception(KeyError())
        assert futures[2].cancel()
        assert positions(history) == [("ask", 0, 4), ("ask", 1, 3), ("ask", 2, None)]
        failed, answered, _ = history
        assert isinstance(failed.error, KeyError)
        assert answered.result == 5
        assert not caplog.records  # where futures report what a callback of theirs raised

    def test_the_block_leaves_the_outcome_to_the_future(self) -> None:
        history, future = History(), Future[int]()
        with history.operation("ask") as op:
            op.follow(future)
        assert [op.pending for op in history] == [True]
        future.set_result(1)
        assert [op.result for op in history] == [1]


class TestRecord:
    def test_a_bound_method(self) -> None:
        history, account = History(), Account()
        deposit = history.record(account.deposit, key=lambda amount: amount % 2)
        assert deposit(5) == 5
        assert deposit(amount=2) == 7
        with pytest.raises(ValueError, match="-1"):
            deposit(-1)
        assert [str(op) for op in history] == [
            "deposit(5) -> 5",
            "deposit(amount=2) -> 7",
            "deposit(-1) raised ValueError(-1)",
        ]
        assert [op.key for op in history] == [1, 0, 1]

    def test_a_decorator_with_options(self) -> None:
        history = History()

        @history.record(name="put", key=lambda *args: args[0])
        def store(key: str, value: int) -> int:
            return value

        assert store.__name__ == "store"
        assert store("a", 1) == 1
        assert [(op.name, op.args, op.key) for op in history] == [("put", ("a", 1), "a")]

    def test_a_plain_decorator(self) -> None:
        history = History()

        @history.record
        def store(value: int) -> int:
            return value

        assert store(1) == 1
        assert [str(op) for op in history] == ["store(1) -> 1"]

    def test_a_coroutine_function_is_recorded_as_long_as_it_runs(self) -> None:
        history = History()
        order: list[bool] = []

        @history.record
        async def fetch(number: int) -> int:
            await asyncio.sleep(0)
            order.append(next(iter(history)).pending)
            return number

        async def main() -> None:
            assert list(await asyncio.gather(fetch(1), fetch(2))) == [1, 2]

        asyncio.run(main())
        assert order[0]
        assert [op.result for op in history] == [1, 2]
        assert [op.invoked for op in history] == [0, 1]

    def test_what_has_no_name_needs_one(self) -> None:
        history = History()
        with pytest.raises(TypeError, match=r"has no name: say record\(\.\.\., name="):
            history.record(partial(double, 1))
        assert history.record(partial(double, 1), name="double")() == 2


class TestColors:
    def test_the_color_is_recorded(self, rt: Runtime) -> None:
        history = History()
        record = history.record(double)
        rt.color("red").submit(record, 1).result(TIMEOUT)
        rt.color("blue").submit(record, 2).result(TIMEOUT)
        record(3)
        assert [(op.color, op.result) for op in history] == [("red", 2), ("blue", 4), (None, 6)]

    def test_a_colored_function_ends_when_its_future_is_done(self, rt: Runtime) -> None:
        history = History()
        gate = threading.Event()

        @colored(key="red")
        def slow(number: int) -> object:
            assert gate.wait(TIMEOUT)
            color = current_color()
            return None if color is None else (color.key, number)

        record = history.record(slow)
        with rt:
            future = record(1)
            assert [op.pending for op in history] == [True]
            gate.set()
            assert future.result(TIMEOUT) == ("red", 1)
            assert rt.drain(timeout=TIMEOUT)
        assert [(op.name, op.result) for op in history] == [("slow", ("red", 1))]


class TestThreads:
    def test_nothing_is_lost_or_out_of_order(self) -> None:
        """Each thread's own events are in its order, and positions are those of one sequence."""
        history, threads, each = History(), 4, 500
        barrier = threading.Barrier(threads)

        def client(number: int) -> None:
            barrier.wait()
            for turn in range(each):
                with history.operation("turn", number, turn) as op:
                    op.result = (number, turn)

        run_all([partial(client, number) for number in range(threads)])
        operations = history.operations()
        assert len(operations) == threads * each
        assert all(op.result == op.args for op in operations)
        taken = [at for op in operations for at in (op.invoked, op.returned) if at is not None]
        assert sorted(taken) == list(range(2 * threads * each))
        for number in range(threads):
            mine = [op for op in operations if op.args[0] == number]
            assert [op.args[1] for op in mine] == list(range(each))
            for earlier, later in pairwise(mine):
                assert earlier.returned is not None
                assert earlier.returned < later.invoked

    def test_what_was_over_comes_before_what_another_thread_began_then(self) -> None:
        history, over = History(), threading.Event()

        def first() -> None:
            with history.operation("first"):
                pass
            over.set()

        def second() -> None:
            assert over.wait(TIMEOUT)
            with history.operation("second"):
                pass

        run_all([second, first])
        assert positions(history) == [("first", 0, 1), ("second", 2, 3)]


def run_all(clients: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=client) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


class TestOperation:
    def test_it_responds_after_its_invocation(self) -> None:
        with pytest.raises(ValueError, match="read returned at 3, not after its invocation at 3"):
            Operation("read", invoked=3, returned=3)

    def test_what_agrees(self) -> None:
        assert Operation("read", result=1, invoked=0, returned=1).agrees(1)
        assert not Operation("read", result=1, invoked=0, returned=1).agrees(2)
        assert Operation("read", invoked=0).agrees(2)
        assert not Operation("read", error=KeyError(), invoked=0, returned=1).agrees(None)

    def test_it_is_shown_shortened(self) -> None:
        operation = Operation("put", ("x" * 500,), result=list(range(100)), invoked=0, returned=1)
        assert len(str(operation)) < 150
