"""The verdicts on histories: known ones, those that a brute-force check decides, large ones."""

from __future__ import annotations

import collections
import random
import threading
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import assume, event, given
from hypothesis import strategies as st

from colorsched import ColorschedError
from colorsched.testing.history import History, Operation
from colorsched.testing.linearizability import (
    Model,
    NotLinearizable,
    Undecided,
    by_key,
    linearizable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence


class Register(Model[int]):
    def initial(self) -> int:
        return 0

    def step(self, state: int, operation: Operation) -> Iterator[int]:
        match operation.name, operation.args:
            case "write", (value,):
                yield value
            case "read", ():
                if operation.agrees(state):
                    yield state
            case "cas", (old, new):
                if operation.agrees(state == old):
                    yield new if state == old else state


class Cell:
    """The register again, as a plain object."""

    def __init__(self) -> None:
        self.value = 0

    def write(self, value: int) -> None:
        self.value = value

    def read(self) -> int:
        return self.value

    def cas(self, old: int, new: int) -> bool:
        if self.value != old:
            return False
        self.value = new
        return True


class Counter:
    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> int:
        self.value += 1
        return self.value


class Queue:
    """The queue of Herlihy and Wing."""

    def __init__(self) -> None:
        self.items: list[object] = []

    def enq(self, item: object) -> None:
        self.items.append(item)

    def deq(self) -> object:
        return self.items.pop(0)  # IndexError if empty


REGISTER = Register()
CELL = Model.from_sequential(Cell)
QUEUE = Model.from_sequential(Queue)
COUNTER = Model.from_sequential(Counter)


def history(*lines: tuple[str, str]) -> list[Operation]:
    """Operations drawn as bars: ``("write(1)", " |---|  ")``; one that goes on has no end.

    The text is a call, ``= result`` or ``! Error`` after it.
    """
    return [operation(text, bar) for text, bar in lines]


ERRORS = {"IndexError": IndexError(), "KeyError": KeyError()}


def operation(text: str, bar: str) -> Operation:
    call, _, result = text.partition(" = ")
    call, _, error = call.partition(" ! ")
    name, _, args = call.rstrip(")").partition("(")
    first, last = bar.index("|"), bar.rindex("|")
    return Operation(
        name,
        tuple(eval(f"[{args}]")),
        result=eval(result) if result else None,
        error=ERRORS[error] if error else None,
        invoked=first,
        returned=None if last == first else last,
    )


def fails(
    operations: Iterable[Operation], model: Model[Any], **options: Callable[[Operation], Hashable]
) -> NotLinearizable:
    with pytest.raises(NotLinearizable) as caught:
        linearizable(operations, model, **options)  # type: ignore[arg-type] # partition= only
    return caught.value


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


# ---- against the definition itself


def obeys_time(order: Sequence[Operation]) -> bool:
    return all(
        later.returned is None or later.returned > earlier.invoked
        for number, earlier in enumerate(order)
        for later in order[number + 1 :]
    )


def brute_force(operations: Sequence[Operation], model: Model[Any]) -> bool:
    """Whether any subset with all that responded, in any order, explains the history."""
    for size in range(len(operations) + 1):
        for order in permutations(operations, size):
            if any(not op.pending and op not in order for op in operations):
                continue
            states = [model.initial()]
            for op in order:
                states = [new for state in states for new in model.step(state, op)]
            if states and obeys_time(order):
                return True
    return False


def verdict(operations: Iterable[Operation], model: Model[Any], **options: Any) -> bool:
    try:
        linearizable(operations, model, **options)
    except NotLinearizable:
        return False
    return True


VALUES = st.integers(0, 2)
OUTCOMES: dict[str, tuple[st.SearchStrategy[tuple[int, ...]], st.SearchStrategy[Any]]] = {
    "write": (st.tuples(VALUES), st.none()),
    "read": (st.tuples(), VALUES),
    "cas": (st.tuples(VALUES, VALUES), st.booleans()),
}


@st.composite
def small_histories(draw: st.DrawFn, *, keys: int = 1, most: int = 5) -> list[Operation]:
    """Overlapping operations on registers, with results that may fit or not."""
    count = draw(st.integers(1, most))
    positions = draw(st.permutations(range(2 * count)))
    operations = []
    for number in range(count):
        name = draw(st.sampled_from(sorted(OUTCOMES)))
        args, results = OUTCOMES[name]
        invoked, returned = sorted(positions[2 * number : 2 * number + 2])
        operations.append(
            Operation(
                name,
                draw(args),
                key=draw(st.integers(1, keys)),
                result=draw(results),
                invoked=invoked,
                returned=draw(st.sampled_from([returned, returned, returned, None])),
            )
        )
    return operations


@given(small_histories())
def test_the_verdict_is_that_of_trying_all_orders(operations: list[Operation]) -> None:
    expected = brute_force(operations, REGISTER)
    event("linearizable" if expected else "not linearizable")
    assert verdict(operations, REGISTER) == expected
    assert verdict(operations, CELL) == expected


def test_both_verdicts_occur_among_histories_drawn_at_random() -> None:
    """A fixed sample of the same kind: neither verdict is rare, so neither goes unchecked."""
    dice = random.Random(1)
    verdicts = collections.Counter[bool]()
    for _ in range(300):
        positions = dice.sample(range(8), 8)
        operations = []
        for number in range(4):
            invoked, returned = sorted(positions[2 * number : 2 * number + 2])
            reads = dice.random() < 0.5
            operations.append(
                Operation(
                    "read" if reads else "write",
                    () if reads else (dice.randrange(3),),
                    result=dice.randrange(3) if reads else None,
                    invoked=invoked,
                    returned=returned if dice.random() < 0.8 else None,
                )
            )
        expected = brute_force(operations, REGISTER)
        assert verdict(operations, REGISTER) == expected
        verdicts[expected] += 1
    assert min(verdicts[True], verdicts[False]) > 50


@given(small_histories(most=4))
def test_what_is_reported_is_so(operations: list[Operation]) -> None:
    """The prefix is an order that fits, leads to the state, and nothing that is due goes on it."""
    assume(not verdict(operations, REGISTER))
    error = fails(operations, REGISTER)
    state = REGISTER.initial()
    for op in error.prefix:
        (state,) = REGISTER.step(state, op)
    assert state == error.state
    assert obeys_time(error.prefix)
    assert error.stuck
    for op in error.stuck:
        assert op not in error.prefix
        assert obeys_time([*error.prefix, op])
        assert not list(REGISTER.step(state, op))


class Registers(Model[tuple[int, int]]):
    """Two registers as one object; the operation's key says which."""

    def initial(self) -> tuple[int, int]:
        return 0, 0

    def step(self, state: tuple[int, int], operation: Operation) -> Iterator[tuple[int, int]]:
        first, second = state
        if operation.key == 1:
            yield from ((new, second) for new in REGISTER.step(first, operation))
        else:
            yield from ((first, new) for new in REGISTER.step(second, operation))


@given(small_histories(keys=2, most=7))
def test_checking_key_by_key_gives_the_verdict_of_the_whole(operations: list[Operation]) -> None:
    assert verdict(operations, REGISTER, partition=by_key) == verdict(operations, Registers())


# ---- large ones


def overlapping(clients: int, each: int, *, seed: int, pending: float = 0.0) -> list[Operation]:
    """What many clients do to one cell, which takes effect at an instant inside each call."""
    dice = random.Random(seed)
    cell, at = Cell(), 0
    todo = [each] * clients
    under_way: dict[int, Operation] = {}
    effective: set[int] = set()
    finished: list[Operation] = []
    while any(todo) or under_way:
        client = dice.choice([c for c in range(clients) if todo[c] or c in under_way])
        at += 1
        if client not in under_way:
            todo[client] -= 1
            name = dice.choice(["write", "read", "cas"])
            args = tuple(dice.randrange(5) for _ in range({"write": 1, "read": 0, "cas": 2}[name]))
            under_way[client] = Operation(name, args, invoked=at, thread=f"client {client}")
        elif client not in effective:
            effective.add(client)
            op = under_way[client]
            under_way[client] = evolve(op, result=getattr(cell, op.name)(*op.args))
        else:
            effective.remove(client)
            op = under_way.pop(client)
            finished.append(op if dice.random() < pending else evolve(op, returned=at))
    return finished


@pytest.mark.parametrize("pending", [0.0, 0.02])
def test_many_operations_are_explained_within_few_steps(pending: float) -> None:
    for seed in range(3):
        operations = overlapping(10, 100, seed=seed, pending=pending)
        linearizable(operations, REGISTER, budget=200_000)


def test_among_many_operations_the_wrong_one_is_named() -> None:
    operations = overlapping(10, 100, seed=0)
    right = next(op for op in operations if op.name == "read" and op.invoked > 1500)
    wrong = evolve(right, result=7)
    error = fails([wrong if op is right else op for op in operations], REGISTER)
    assert wrong in error.stuck
    assert "  (984 more before or after)" in str(error)
    assert str(error).count("\n") < 50


def test_a_partition_makes_short_work_of_many_keys() -> None:
    operations = [evolve(op, key=key) for key in range(50) for op in overlapping(4, 5, seed=key)]
    linearizable(operations, REGISTER, partition=by_key, budget=50_000)


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
