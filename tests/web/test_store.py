"""The store: what it counts, its bound, its order of eviction, and messages that cross."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from colorsched.web.keys import cache_key
from colorsched.web.store import ENTRY_OVERHEAD, Entry, Policy, Table
from web.rule_support import request, stored

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIANT = stored("Cache-Control: max-age=60")
LEAST = ENTRY_OVERHEAD + 1
"""What an entry with a key of one byte and nothing in it would count."""


def entry(key: str, size: int = LEAST + 100) -> Entry:
    """An entry that counts exactly `size` bytes."""
    overhead = ENTRY_OVERHEAD + len(key)
    one = Entry(key=key.encode(), variants=(evolve(VARIANT, size=size - overhead),))
    assert one.size == size
    return one


def test_an_entry_counts_its_key_and_every_variant() -> None:
    other = stored("Cache-Control: max-age=60", "Vary: A", to=request("A: 1"), body=b"other")
    one = Entry(key=b"example.com/", variants=(VARIANT, other))
    assert one.size == ENTRY_OVERHEAD + len(b"example.com/") + VARIANT.size + other.size


@pytest.mark.parametrize(("extra_fields", "body"), [(0, 0), (8, 100), (30, 3000)])
def test_an_entry_counts_at_least_the_memory_it_takes(extra_fields: int, body: int) -> None:
    names = [f"X-{number}" for number in range(extra_fields)]
    table, counted = Table(), 0
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            lines = [f"{name}: {number}" for name in names]
            asked = request("A: 1", target=f"/{number}")
            one = stored("Cache-Control: max-age=9", "Vary: A", *lines, to=asked, body=bytes(body))
            kept = Entry(key=cache_key(asked), variants=(one,))
            table.put(kept)
            counted += kept.size
            del asked, lines, one, kept
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.5 * counted < taken <= counted


@pytest.mark.parametrize(
    ("capacity", "share", "says"),
    [(0, 0.5, "capacity"), (-1, 0.5, "capacity"), (9, 0, "share"), (9, 1.1, "share")],
)
def test_senseless_bounds_are_refused(capacity: int, share: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Policy(capacity=capacity, largest_share=share)


def test_bounds_at_their_limits_are_accepted() -> None:
    assert Policy(capacity=1, largest_share=1).largest == 1
    assert Policy(capacity=8000).largest == 1000


def test_an_entry_above_its_share_is_its_own_victim() -> None:
    policy = Policy(capacity=8000, largest_share=0.25)
    fits, too_large = entry("a", 2000), entry("b", 2001)
    assert policy.largest == 2000
    assert list(policy.insert(fits)) == []
    assert list(policy.insert(too_large)) == [too_large]
    stats = policy.stats()
    assert (stats.bytes, stats.entries, stats.refused, stats.evicted) == (2000, 1, 1, 0)


def test_a_refused_replacement_still_frees_what_it_replaces() -> None:
    policy = Policy(capacity=8000, largest_share=0.25)
    old, new = entry("a", 2000), entry("a", 2001)
    policy.insert(old)
    assert list(policy.insert(new, replaces=old)) == [new]
    assert policy.stats().bytes == 0


def test_without_hits_the_oldest_goes_first() -> None:
    policy = Policy(capacity=3000, largest_share=1)
    a, b, c, d = (entry(key, 1000) for key in "abcd")
    for one in (a, b, c):
        assert not policy.insert(one)
    assert list(policy.insert(d)) == [a]
    assert list(policy.insert(entry("e", 2000))) == [b, c]


def test_what_was_hit_survives_one_round_of_the_hand() -> None:
    policy = Policy(capacity=3000, largest_share=1)
    a, b, c = (entry(key, 1000) for key in "abc")
    for one in (a, b, c):
        policy.insert(one)
    a.visited = True
    d, e, f = (entry(key, 1000) for key in "def")
    assert list(policy.insert(d)) == [b]
    assert not a.visited
    # The hand goes on from where it is, towards the newest; past it, it starts at the oldest again.
    c.visited = True
    assert list(policy.insert(e)) == [d]
    assert not c.visited
    assert list(policy.insert(f)) == [a]
    assert list(policy.insert(entry("g", 1000))) == [c]


def test_when_all_were_hit_one_goes_all_the_same() -> None:
    policy = Policy(capacity=2000, largest_share=1)
    a, b = entry("a", 1000), entry("b", 1000)
    for one in (a, b):
        policy.insert(one)
        one.visited = True
    assert list(policy.insert(entry("c", 1000))) == [a]
    assert not b.visited


@pytest.mark.parametrize(("old_hit", "new_hit"), [(True, False), (False, True), (False, False)])
def test_a_replacement_keeps_the_mark_of_a_hit(*, old_hit: bool, new_hit: bool) -> None:
    policy = Policy(capacity=2000, largest_share=1)
    old, new, other = entry("a", 1000), entry("a", 1000), entry("b", 1000)
    policy.insert(old)
    old.visited, new.visited = old_hit, new_hit
    assert list(policy.insert(new, replaces=old)) == []
    policy.insert(other)
    assert list(policy.insert(entry("c", 1000))) == [other if old_hit or new_hit else new]
    stats = policy.stats()
    assert (stats.bytes, stats.entries, stats.evicted) == (2000, 2, 1)


def test_one_entry_is_counted_once() -> None:
    policy = Policy(capacity=2000, largest_share=1)
    one = entry("a", 500)
    policy.insert(one)
    with pytest.raises(ValueError, match="new Entry"):
        policy.insert(one)
    assert policy.stats().bytes == 500
    assert policy.remove(one)
    assert not policy.remove(one)
    assert policy.stats().bytes == 0


def test_the_table_drops_only_the_entry_it_is_told() -> None:
    table = Table()
    first, second = entry("a"), entry("a")
    assert table.put(first) is None
    assert table.put(second) is first
    assert not table.drop(first)
    assert table.find(b"a") is second
    assert table.drop(second)
    assert not table.drop(second)
    assert table.find(b"a") is None
    assert len(table) == 0


class NaiveSieve:
    """SIEVE as the paper's pseudo-code has it, over a plain list: the newest at index 0."""

    def __init__(self) -> None:
        self.order: list[Entry] = []
        self.visited: set[Entry] = set()
        self.hand: Entry | None = None

    def evict(self) -> Entry:
        index = len(self.order) - 1 if self.hand is None else self.order.index(self.hand)
        while self.order[index] in self.visited:
            self.visited.remove(self.order[index])
            index = index - 1 if index > 0 else len(self.order) - 1
        victim = self.order[index]
        self.forget(victim)
        self.hand = self.order[index - 1] if index > 0 else None
        return victim

    def forget(self, one: Entry) -> None:
        index = self.order.index(one)
        if self.hand is one:
            self.hand = self.order[index - 1] if index > 0 else None
        self.order.remove(one)
        self.visited.discard(one)


CAPACITY = 6 * LEAST


class StoreMachine(RuleBasedStateMachine):
    """Colors that work at any time: each key's messages and the policy's victims may wait.

    `to_policy` holds what key colors posted, in order; `to_keys` the drops that the policy posted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.policy = Policy(capacity=CAPACITY, largest_share=0.5)
        self.naive = NaiveSieve()
        self.to_policy: list[tuple[str, Entry, Entry | None]] = []
        self.to_keys: list[Entry] = []

    keys = st.sampled_from("abcdefgh")

    @rule(key=keys, size=st.integers(min_value=LEAST, max_value=4 * LEAST))
    def store(self, key: str, size: int) -> None:
        new = entry(key, size)
        self.to_policy.append(("insert", new, self.table.put(new)))

    @rule(key=keys)
    def hit(self, key: str) -> None:
        found = self.table.find(key.encode())
        if found is not None:
            found.visited = True
            if found.live:
                self.naive.visited.add(found)

    @rule(key=keys)
    def invalidate(self, key: str) -> None:
        found = self.table.find(key.encode())
        if found is not None:
            assert self.table.drop(found)
            self.to_policy.append(("remove", found, None))

    @precondition(lambda self: self.to_policy)
    @rule()
    def policy_works(self) -> None:
        kind, one, previous = self.to_policy.pop(0)
        if kind == "remove":
            assert self.policy.remove(one) == (one in self.naive.order)
            if one in self.naive.order:
                self.naive.forget(one)
            return
        victims = self.policy.insert(one, replaces=previous)
        assert list(victims) == self.naive_insert(one, previous)
        self.to_keys.extend(victims)

    def naive_insert(self, one: Entry, previous: Entry | None) -> Sequence[Entry]:
        marked = one.visited
        if previous in self.naive.order and previous is not None:
            marked = marked or previous in self.naive.visited
            self.naive.forget(previous)
        if one.size > CAPACITY // 2:
            return [one]
        victims = []
        while sum(each.size for each in self.naive.order) + one.size > CAPACITY:
            victims.append(self.naive.evict())
        self.naive.order.insert(0, one)
        if marked:
            self.naive.visited.add(one)
        return victims

    @precondition(lambda self: self.to_keys)
    @rule(data=st.data())
    def a_key_works(self, data: st.DataObject) -> None:
        """Each key is a color of its own, so victims of different keys are dropped in any order."""
        index = data.draw(st.integers(min_value=0, max_value=len(self.to_keys) - 1))
        self.table.drop(self.to_keys.pop(index))

    @invariant()
    def accounts_are_the_sum_of_the_living(self) -> None:
        stats = self.policy.stats()
        assert stats.bytes == sum(one.size for one in self.naive.order) <= CAPACITY
        assert stats.entries == len(self.naive.order)
        assert all(one.live for one in self.naive.order)

    @invariant()
    def when_all_is_quiet_the_table_holds_exactly_what_is_counted(self) -> None:
        if self.to_policy or self.to_keys:
            return
        living = {one.key: one for one in self.naive.order}
        assert len(living) == len(self.naive.order) == len(self.table)
        assert all(self.table.find(key) is one for key, one in living.items())

    def teardown(self) -> None:
        while self.to_policy:
            self.policy_works()
        while self.to_keys:
            self.table.drop(self.to_keys.pop())
        self.accounts_are_the_sum_of_the_living()
        self.when_all_is_quiet_the_table_holds_exactly_what_is_counted()


TestStoreMachine = StoreMachine.TestCase


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(min_value=0, max_value=30)), min_size=20, max_size=200
    )
)
def test_evictions_are_those_of_a_naive_sieve(operations: list[tuple[bool, int]]) -> None:
    policy, naive = Policy(capacity=10 * 1000, largest_share=1), NaiveSieve()
    living: dict[int, Entry] = {}
    for is_hit, key in operations:
        if key in living:
            if is_hit:
                living[key].visited = True
                naive.visited.add(living[key])
        else:
            new = entry(chr(ord("A") + key), 1000)
            expected = [naive.evict()] if len(naive.order) == 10 else []
            naive.order.insert(0, new)
            assert list(policy.insert(new)) == expected
            living = {known: one for known, one in living.items() if one not in expected}
            living[key] = new
