"""Known histories and their verdicts; what is said of those that fail; bad input."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from colorsched import ColorschedError
from colorsched.testing.history import History, Operation
from colorsched.testing.linearizability import (
    Model,
    Undecided,
    by_key,
    linearizable,
)
from testing.objects import CELL, COUNTER, QUEUE, REGISTER, Cell, Register, fails, history

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


@pytest.mark.parametrize("model", [REGISTER, CELL])
class TestRegister:
    def test_one_after_another(self, model: Model[Any]) -> None:
        linearizable(history(("write(1)", "|-|"), ("read() = 1", "    |-|")), model)

    def test_nothing_happened(self, model: Model[Any]) -> None:
        linearizable([], model)

    def test_a_stale_read(self, model: Model[Any]) -> None:
        error = fails(history(("write(1)", "|-|"), ("read() = 0", "    |-|")), model)
        assert [str(op) for op in error.prefix] == ["write(1) -> None"]
        assert [str(op) for op in error.stuck] == ["read() -> 0"]

    def test_overlapping_calls_may_take_effect_in_any_order(self, model: Model[Any]) -> None:
        for value in (1, 2):
            linearizable(
                history(
                    ("write(1)", "|-----|     "),
                    ("write(2)", "  |----|    "),
                    (f"read() = {value}", "         |-|"),
                ),
                model,
            )

    def test_reads_may_not_go_back(self, model: Model[Any]) -> None:
        """Two reads during one write: old then new is fine, new then old is not."""
        write = ("write(1)", "|-------------|")
        linearizable(history(write, ("read() = 0", " |-|"), ("read() = 1", "     |-|")), model)
        fails(history(write, ("read() = 1", " |-|"), ("read() = 0", "     |-|")), model)

    def test_a_value_nobody_wrote(self, model: Model[Any]) -> None:
        fails(history(("write(1)", "|---|"), ("read() = 7", "  |---|")), model)

    def test_compare_and_swap_is_won_once(self, model: Model[Any]) -> None:
        one = ("cas(0, 1) = True", "|----|  ")
        linearizable(history(one, ("cas(0, 2) = False", "  |----|")), model)
        fails(history(one, ("cas(0, 2) = True", "  |----|")), model)
        fails(
            history(one, ("cas(1, 2) = False", "       |-|"), ("read() = 1", "           |-|")),
            model,
        )

    def test_a_pending_write_may_have_taken_effect(self, model: Model[Any]) -> None:
        pending = ("write(1)", "|")
        linearizable(history(pending, ("read() = 1", "  |-|")), model)
        linearizable(history(pending, ("read() = 0", "  |-|")), model)
        linearizable(history(pending, ("read() = 0", "  |-|"), ("read() = 1", "      |-|")), model)

    def test_a_pending_write_takes_effect_once_at_most(self, model: Model[Any]) -> None:
        fails(
            history(
                ("write(1)", "|"),
                ("read() = 1", "  |-|        "),
                ("write(2)", "      |-|    "),
                ("read() = 1", "          |-|"),
            ),
            model,
        )

    def test_a_pending_write_does_not_come_before_its_invocation(self, model: Model[Any]) -> None:
        fails(history(("read() = 1", "|-|"), ("write(1)", "    |")), model)

    def test_a_pending_operation_may_have_any_result(self, model: Model[Any]) -> None:
        pending = ("cas(0, 1)", "|")
        linearizable(history(pending, ("read() = 1", "  |-|")), model)
        linearizable(history(pending, ("read() = 0", "  |-|")), model)
        linearizable(history(pending), model)

    def test_a_pending_operation_is_kept_for_when_it_is_needed(self, model: Model[Any]) -> None:
        """The search comes to the same point by ways that use up more of them, or others."""
        linearizable(
            history(
                ("cas(1, 2)", "|"),
                ("cas(0, 1)", " |"),
                ("read() = 2", "  |--|"),
                ("write(1)", "   |"),
            ),
            model,
        )
        linearizable(
            history(
                ("cas(0, 0) = False", "|---|"),
                ("cas(1, 1) = True", " |----|"),
                ("write(2)", "  |"),
                ("write(1)", "   |"),
                ("write(0)", "       |"),
                ("read() = 2", "        |--|"),
            ),
            model,
        )

    def test_what_touches_overlaps(self, model: Model[Any]) -> None:
        linearizable(history(("write(1)", "|-|"), ("read() = 0", "  |-|")), model)


class TestQueue:
    """Figure 1 of Herlihy and Wing, 1990."""

    def test_overlapping_enqueues_leave_in_either_order(self) -> None:
        linearizable(
            history(
                ("enq('x')", "|------|             "),
                ("enq('y')", "  |----------|       "),
                ("deq() = 'y'", "           |--|  "),
                ("deq() = 'x'", "                |-|"),
            ),
            QUEUE,
        )

    def test_first_in_must_come_first_out(self) -> None:
        error = fails(
            history(
                ("enq('x')", "|-|            "),
                ("enq('y')", "    |-----|    "),
                ("deq() = 'y'", "      |------|"),
            ),
            QUEUE,
        )
        assert [op.name for op in error.stuck] == ["deq"]

    def test_an_enqueue_under_way_may_be_seen(self) -> None:
        linearizable(history(("enq('x')", "|------|"), ("deq() = 'x'", "  |-|   ")), QUEUE)

    def test_an_item_is_dequeued_once(self) -> None:
        fails(
            history(
                ("enq('x')", "|---------|"),
                ("enq('y')", " |-|       "),
                ("deq() = 'y'", "      |----|"),
                ("deq() = 'y'", "       |----|"),
            ),
            QUEUE,
        )

    def test_an_error_is_an_outcome(self) -> None:
        empty = ("deq() ! IndexError", "|---|")
        linearizable(history(empty, ("enq(1)", "  |---|")), QUEUE)
        fails(history(empty, ("deq() = 1", "  |---|")), QUEUE)
        fails(history(("deq() ! KeyError", "|---|")), QUEUE)
        fails(history(("enq(1)", "|-|"), ("deq() ! IndexError", "    |-|")), QUEUE)


class TestOtherObjects:
    def test_a_counter_loses_an_update(self) -> None:
        first = ("increment() = 1", "|-----|  ")
        linearizable(history(first, ("increment() = 2", "   |----|")), COUNTER)
        fails(history(first, ("increment() = 1", "   |----|")), COUNTER)

    def test_a_set_as_it_is(self) -> None:
        """Built-in types are models too; their states are compared by value, not hashed."""
        model: Model[set[int]] = Model.from_sequential(set)
        added = ("add(1)", "|---|    ")
        linearizable(history(added, ("__contains__(1) = False", "  |---|")), model)
        linearizable(history(added, ("remove(1) ! KeyError", "  |---|")), model)
        fails(history(added, ("remove(1)", "  |---|"), ("remove(1)", "   |----|")), model)

    def test_states_are_compared_by_value(self) -> None:
        """Both orders of the first two must be tried: they do not lead to the same state."""
        model: Model[collections.deque[int]] = Model.from_sequential(collections.deque)
        appends = [("append(1)", "|---|"), ("append(2)", "  |---|")]
        for first, second in ((1, 2), (2, 1)):
            linearizable(
                history(
                    *appends,
                    (f"popleft() = {first}", "         |-|"),
                    (f"popleft() = {second}", "             |-|"),
                ),
                model,
            )

    def test_a_pending_operation_may_have_failed_and_left_its_traces(self) -> None:
        class Fragile(Cell):
            def spoil(self) -> None:
                self.value = 7
                raise ValueError

        model: Model[Fragile] = Model.from_sequential(Fragile)
        linearizable(history(("spoil()", "|"), ("read() = 7", "  |-|")), model)
        fails(history(("spoil()", "|-|"), ("read() = 7", "    |-|")), model)

    def test_what_is_not_determined(self) -> None:
        class Bag(Model[frozenset[int]]):
            def initial(self) -> frozenset[int]:
                return frozenset()

            def step(self, state: frozenset[int], operation: Operation) -> Iterator[frozenset[int]]:
                if operation.name == "add":
                    yield state | {operation.args[0]}
                else:  # drops one of them and does not say which
                    yield from (state - {item} for item in sorted(state))

            def describe(self, state: frozenset[int]) -> str:
                return f"bag of {sorted(state)}"

        adds = [("add(1)", "|-|"), ("add(2)", "    |-|"), ("drop()", "        |-|")]
        linearizable(history(*adds), Bag())
        linearizable(history(*adds, ("drop()", "            |-|")), Bag())
        drops = [("drop()", " " * start + "|-|") for start in (12, 16)]
        assert "bag of []" in str(fails(history(*adds, *drops), Bag()))


class Racy:
    """A counter whose increments lose each other where they overlap."""

    def __init__(self) -> None:
        self.value = 0

    def increment(self, meet: Callable[[], object]) -> int:
        seen = self.value
        meet()
        self.value = seen + 1
        return seen + 1


def test_a_race_of_threads_is_found() -> None:
    counter, told = Racy(), History()
    barrier = threading.Barrier(2)

    def client() -> None:
        with told.operation("increment") as op:
            op.result = counter.increment(barrier.wait)

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(op) for op in fails(told, COUNTER).stuck] == ["increment() -> 1"]


# ---- what is said


def test_the_report() -> None:
    operations = [
        evolve(op, key="a", color=color)
        for op, color in zip(
            history(
                ("write(1)", "|-|"),
                ("write(2)", "    |-----|"),
                ("read() = 1", "      |-------|"),
                ("read() = 2", "        |--|  "),
                ("write(3)", "         |  "),
                ("read() = 1", "                 |-|"),
                ("read() = 9", "                      |-|"),
            ),
            ["red", "red", "blue", "green", "white", "blue", "blue"],
            strict=True,
        )
    ]
    error = fails(operations, CELL, partition=by_key)
    assert str(error) == (
        "not linearizable: no order of 7 operations of 'a' explains what they answered\n"
        "\n"
        "  'red'    write(1) -> None  |-|\n"
        "  'red'    write(2) -> None      |-------|\n"
        "  'blue'   read() -> 1             |---------|\n"
        "  'green'  read() -> 2               |-----|\n"
        "  'white'  write(3) pending            |----------->\n"
        "> 'blue'   read() -> 1                         |-|\n"
        "  (1 more before or after)\n"
        "\n"
        "the longest order that fits has 4 of them:\n"
        "    1. write(1) -> None\n"
        "    2. read() -> 1\n"
        "    3. write(2) -> None\n"
        "    4. read() -> 2\n"
        "then the state is Cell(value=2)\n"
        "and what must come next does not fit:\n"
        "  > read() -> 1 (here it would have returned 2)"
    )
    assert error.partition == "a"
    assert error.operations == tuple(operations)


def test_the_smallest_part_that_fails_is_shown() -> None:
    bad = ("read() = 5", "|-|")
    small = [evolve(op, key="small") for op in history(bad)]
    large = [evolve(op, key="large") for op in history(bad, ("read() = 6", "    |-|"))]
    fine = [evolve(op, key="fine") for op in history(("read() = 0", "|-|"))]
    error = fails([*large, *fine, *small], REGISTER, partition=by_key)
    assert error.partition == "small"
    assert "1 operation of 'small'" in str(error)


def test_when_the_budget_runs_out_nothing_is_claimed() -> None:
    operations = [evolve(op, key="k") for op in history(*[("write(1)", "|-|")] * 4)]
    linearizable(operations, REGISTER, budget=4)
    with pytest.raises(Undecided, match=r"3 steps .* 4 operations of 'k'") as caught:
        linearizable(operations, REGISTER, partition=by_key, budget=3)
    assert not isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, ColorschedError)


def test_a_violation_is_an_assertion_of_ours() -> None:
    error = fails(history(("read() = 5", "|-|")), REGISTER)
    assert isinstance(error, AssertionError)
    assert isinstance(error, ColorschedError)


class TestBadInput:
    def test_no_budget(self) -> None:
        with pytest.raises(ValueError, match="budget must be at least 1 step, not 0"):
            linearizable([], REGISTER, budget=0)

    def test_no_key(self) -> None:
        with pytest.raises(ValueError, match=r"read\(\) has no key to partition by"):
            linearizable(history(("read() = 0", "|-|")), REGISTER, partition=by_key)

    def test_no_such_method(self) -> None:
        with pytest.raises(TypeError, match="Cell has no method 'pop'"):
            linearizable(history(("pop()", "|-|")), CELL)

    def test_states_that_are_not_hashable(self) -> None:
        class Unhashable(Register):
            def fingerprint(self, state: int) -> Hashable:
                return [state]  # type: ignore[return-value] # that is the mistake

        with pytest.raises(TypeError, match="states of Unhashable are not hashable"):
            linearizable([], Unhashable())

    def test_states_that_cannot_be_told_apart(self) -> None:
        class Odd:
            def __init__(self) -> None:
                self.lock = threading.Lock()

            def __deepcopy__(self, memo: object) -> Odd:
                return Odd()

            def read(self) -> int:
                return 1

        operations = history(("read() = 1", "|-|"))
        with pytest.raises(TypeError, match="can't be pickled"):
            linearizable(operations, Model.from_sequential(Odd))
        linearizable(operations, Model.from_sequential(Odd, fingerprint=lambda _: 0))
