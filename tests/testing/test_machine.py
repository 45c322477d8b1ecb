"""Machines whose rules are posted to colors: what they find, and how small it becomes."""

from __future__ import annotations

import re

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, run_state_machine_as_test

from colorsched.testing import Shared, Stalled
from colorsched.testing.machine import ColorStateMachine, Raced, rule

TELLERS = st.sampled_from(["ann", "bob", "cid"])


def by_teller(_machine: object, teller: str) -> str:
    return teller


def run(machine: type[ColorStateMachine], examples: int = 100) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, database=None, deadline=None)
    )


def steps(error: BaseException) -> list[str]:
    """The rules in the failing example, apart from settling."""
    called = re.findall(r"state\.(\w+)\(", "\n".join(error.__notes__))
    others = {"teardown", "settle_in_some_order", "nothing_is_lost"}
    return [name for name in called if name not in others]


class Bank(ColorStateMachine):
    """Pays in within the teller's own color, and books in the bank's."""

    def __init__(self) -> None:
        super().__init__()
        self.paid = self.balance = 0

    @rule(teller=TELLERS, color=by_teller)
    def pay_in(self, teller: str) -> None:
        self.paid += 1
        self.runtime.color("bank").post(self.book)

    def book(self) -> None:
        self.balance += 1

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.balance == self.paid


def test_a_correct_machine_passes_and_its_invariants_wait_for_rest() -> None:
    run(Bank)


def test_a_lost_update_is_found_and_shrinks_to_two_steps() -> None:
    class Lossy(Bank):
        @rule(teller=TELLERS, color=by_teller)
        def pay_in(self, teller: str) -> None:
            self.paid += 1
            before = self.balance
            self.runtime.color("bank").post(setattr, self, "balance", before + 1)

    with pytest.raises(AssertionError) as caught:
        run(Lossy)
    assert steps(caught.value) == ["pay_in", "pay_in"]


def test_an_order_that_is_not_plain_is_found() -> None:
    class Ordered(ColorStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.number = 0
            self.seen: list[int] = []

        @rule(teller=TELLERS, color=by_teller)
        def note(self, teller: str) -> None:
            self.seen.append(len(self.seen))
            self.runtime.color(teller).post(self.last, teller)
            self.late = teller

        def last(self, teller: str) -> None:
            assert self.late == teller or self.late >= teller

    with pytest.raises(AssertionError) as caught:
        run(Ordered)
    assert len(steps(caught.value)) <= 3


def test_races_between_posted_rules_are_found() -> None:
    class Racy(ColorStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.total = Shared(0, name="total")

        @rule(teller=TELLERS, color=by_teller)
        def add(self, teller: str) -> None:
            self.total.set(self.total.get() + 1)

    with pytest.raises(Raced, match="total") as caught:
        run(Racy)
    assert steps(caught.value) == ["add", "add"]


def test_bundles_hold_futures() -> None:
    class Futures(ColorStateMachine):
        made = Bundle("made")

        @rule(target=made, teller=TELLERS, color=by_teller)
        def make(self, teller: str) -> str:
            return teller

        @rule(future=made)
        def look(self, future: object) -> None:
            self.settle()
            assert future.result() in {"ann", "bob", "cid"}  # type: ignore[attr-defined]  # a ColorFuture

    run(Futures)


def test_a_coroutine_that_waits_for_ever_is_found_in_the_end() -> None:
    class Stuck(ColorStateMachine):
        @rule(color="red")
        async def wait(self) -> None:
            import asyncio

            await asyncio.Event().wait()

    with pytest.raises(Stalled, match="wait"):
        run(Stuck)


def test_what_a_rule_raises_is_raised() -> None:
    class Failing(ColorStateMachine):
        @rule(color="red")
        def fail(self) -> None:
            raise KeyError("lost")

    with pytest.raises(KeyError, match="lost") as caught:
        run(Failing)
    assert steps(caught.value) == ["fail"]


def test_an_order_that_only_a_drawn_seed_brings_is_found() -> None:
    class Hidden(ColorStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.opened = False

        @rule(color="red")
        def start(self) -> None:
            self.runtime.color("green").post(self.open)
            self.runtime.color("blue").post(self.use)

        def open(self) -> None:
            self.opened = True

        def use(self) -> None:
            assert self.opened

    with pytest.raises(AssertionError) as caught:
        run(Hidden)
    assert steps(caught.value) == ["start"]
