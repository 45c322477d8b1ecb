"""The search: against a brute-force check of all orders, on parts, and on large histories."""

from __future__ import annotations

import collections
import random
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import assume, event, given
from hypothesis import strategies as st

from colorsched.testing.history import Operation
from colorsched.testing.linearizability import (
    Model,
    by_key,
    linearizable,
)
from testing.objects import CELL, REGISTER, Cell, fails, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
