"""The lines that colors wait in for slots: invariants over any sequence, and scenes with names."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from colorsched.core.policy import stable_hash
from colorsched.core.slots import (
    BATCH_FIRST,
    BATCH_MOST,
    LOOK_AT,
    PATIENCE,
    Lines,
    Slot,
    next_size,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colorsched.core.slots import Placed

KEYS = "abcdefgh"


@define(eq=False)
class Tint:
    """A color, as the lines see it."""

    key: Hashable
    home: int
    slot: Slot | None = None
    number: int = 0
    live: bool = False


def place_of(lines: Lines, color: Tint) -> Slot | None:
    """Where a color has state, as far as the lines know."""
    place = lines._places.get(color.key)
    return None if place is None else place[0]


def tint(key: str) -> Tint:
    return Tint(key, stable_hash(key))


@define
class World:
    """Lines, a clock, and what is where as far as the lines were told."""

    lines: Lines
    now: float = 0.0
    runs: dict[Slot, Tint] = Factory(dict)
    """What each slot runs; one that is being replaced is in ``replaced``."""
    replaced: set[Slot] = Factory(set)
    waits: dict[Tint, int] = Factory(dict)
    """Who waits, and when it came, as a number."""
    bound: dict[Tint, tuple[Slot, float]] = Factory(dict)
    """Who waits for its own slot, and since when: never, if it was not idle before."""
    entered: int = 0

    def starts(self, slot: Slot, color: Placed) -> None:
        assert isinstance(color, Tint)
        assert slot in self.lines.slots, "a slot that is gone runs something"
        assert slot not in self.runs, "a slot has two colors"
        assert slot not in self.replaced, "a slot that is being replaced runs something"
        assert color not in self.runs.values(), "a color runs in two slots"
        self.waits.pop(color, None)
        home, since = self.bound.pop(color, (slot, 0.0))
        assert home is slot or self.now - since >= PATIENCE, "it moves too early"
        self.runs[slot] = color
        assert color.slot is slot
        assert color.number > 0

    def enter(self, color: Tint) -> None:
        slot = self.lines.enter(color, self.now)
        if slot is None:
            self.entered += 1
            home = place_of(self.lines, color)
            if home is not None:
                self.bound[color] = home, float("inf") if color.live else self.now
            self.waits[color] = self.entered
        else:
            self.starts(slot, color)

    def next_of(self, slot: Slot) -> None:
        color = self.lines.leave(slot, self.now)
        if color is not None:
            self.starts(slot, color)


class LinesMachine(RuleBasedStateMachine):
    """Any sequence of what the manager does to its lines."""

    @initialize(slots=st.integers(1, 4))
    def make(self, slots: int) -> None:
        self.world = World(Lines(slots))
        self.colors = {key: tint(key) for key in KEYS}
        self.bound: dict[Hashable, tuple[Slot, int]] = {}
        """What the lines have been told of state in slots: by color, where, and its number."""
        self.numbers: dict[int, Hashable] = {}

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, unique=True), reborn=st.booleans())
    def enter(self, keys: list[str], reborn: bool) -> None:  # noqa: FBT001 - drawn
        for key in keys:
            self._enter(key, reborn=reborn)

    def _enter(self, key: str, *, reborn: bool) -> None:
        world = self.world
        color = self.colors[key]
        if color in world.runs.values() or color in world.waits:
            return
        if reborn:  # its object died, and its key came again
            color = self.colors[key] = tint(key)
        place = self.bound.get(key)
        idle = [slot for slot in world.lines.slots if not slot.busy]
        world.enter(color)
        self._note_moves()
        if place is not None:
            home, number = place
            if home in idle:
                assert world.runs.get(home) is color, "a bound color does not go to its free slot"
            else:
                assert color in world.waits, "a bound color leaves its slot at once"
            assert color.number == number, "a bound color has another number"
        else:
            assert (color in world.waits) == (not idle), "somebody unbound waits beside a free slot"

    def _end(self, slot: Slot, *, bound: bool, live: bool) -> Tint:
        color = self.world.runs.pop(slot)
        color.live = live
        self.world.lines.remember(color, bound=bound)
        self.bound.pop(color.key, None)
        if bound:
            self.bound[color.key] = slot, color.number
        return color

    @precondition(lambda self: self.world.runs)
    @rule(data=st.data(), bound=st.booleans(), live=st.booleans(), sent=st.booleans())
    def answer(self, data: st.DataObject, bound: bool, live: bool, sent: bool) -> None:  # noqa: FBT001 - drawn
        world = self.world
        slot = data.draw(st.sampled_from(sorted(world.runs, key=lambda slot: slot.index)))
        self._end(slot, bound=bound, live=live)
        first = slot.line[0].color if slot.line else None
        if sent:
            slot.forget.clear()  # it went along with the batch
        world.next_of(slot)
        self._note_moves()
        if first is not None:
            assert world.runs[slot] is first, "the first in the line is not the next"

    @precondition(lambda self: self.world.runs)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        world = self.world
        slot = data.draw(st.sampled_from(sorted(world.runs, key=lambda slot: slot.index)))
        color = world.runs.pop(slot)
        color.live = False
        world.lines.lost(slot)
        world.replaced.add(slot)
        self.bound = {key: place for key, place in self.bound.items() if place[0] is not slot}
        assert not slot.forget
        assert slot.life > 0
        world.bound = {who: place for who, place in world.bound.items() if place[0] is not slot}
        for other, mover in world.lines.impatient(world.now):
            world.starts(other, mover)
        self._note_moves()

    @precondition(lambda self: self.world.replaced)
    @rule(data=st.data(), works=st.booleans())
    def replace(self, data: st.DataObject, works: bool) -> None:  # noqa: FBT001 - drawn
        world = self.world
        slot = data.draw(st.sampled_from(sorted(world.replaced, key=lambda slot: slot.index)))
        world.replaced.remove(slot)
        if works:
            world.next_of(slot)
            self._note_moves()
            return
        there = [waiting.color for waiting in slot.line]
        last = len(world.lines.slots) == 1
        colors = world.lines.remove(slot)
        assert slot.gone != last
        if last:
            assert colors == []
            world.next_of(slot)
            return
        assert colors == there, "who waited for a slot that is gone is not told, in order"
        assert slot not in world.lines.slots
        for color in colors:
            assert isinstance(color, Tint)
            del world.waits[color]
            world.bound.pop(color, None)
            world.enter(color)
        self._note_moves()

    @rule(seconds=st.sampled_from([0.0, PATIENCE / 2, PATIENCE]))
    def look(self, seconds: float) -> None:
        world = self.world
        world.now += seconds
        waited = {waiting.color: waiting for slot in world.lines.slots for waiting in slot.line}
        for slot, color in world.lines.impatient(world.now):
            assert waited[color].may_move(world.now), "a bound color moves too early"
            world.starts(slot, color)
        self._note_moves()
        if any(not slot.busy for slot in world.lines.slots):
            left = [w for slot in world.lines.slots for w in slot.line]
            assert not any(w.may_move(world.now) for w in left), "who may move waits still"

    def _note_moves(self) -> None:
        """A color that runs elsewhere than where its state is has its number forgotten there."""
        for slot, color in self.world.runs.items():
            place = self.bound.get(color.key)
            if place is not None and place[0] is not slot:
                home, number = self.bound.pop(color.key)
                assert number in home.forget, "nobody is told to forget the state of who moved"

    # -- what holds always --------------------------------------------------------------------

    @invariant()
    def everybody_is_somewhere_once(self) -> None:
        world = self.world
        in_lines = [w.color for slot in world.lines.slots for w in slot.line]
        assert len(in_lines) == len(set(map(id, in_lines))) == world.lines.waiting
        assert set(map(id, in_lines)) == set(map(id, world.waits))
        busy = {slot for slot in world.lines.slots if slot.busy}
        assert busy == set(world.runs) | world.replaced

    @invariant()
    def nobody_unbound_waits_beside_a_free_slot(self) -> None:
        world = self.world
        free = [slot for slot in world.lines.slots if not slot.busy]
        waiting = [w for slot in world.lines.slots for w in slot.line]
        assert not (free and any(not w.bound for w in waiting))
        assert world.lines.restless() == bool(free and waiting)
        assert not any(slot.line for slot in free), "somebody waits in the line of a free slot"

    @invariant()
    def lines_are_in_order(self) -> None:
        waits: Any = self.world.waits
        for slot in self.world.lines.slots:
            came = [waits[waiting.color] for waiting in slot.line]
            assert all(first < second for first, second in pairwise(came))

    @invariant()
    def bound_ones_are_counted_and_wait_at_home(self) -> None:
        assert len(self.world.lines._places) == len(self.bound)
        for slot in self.world.lines.slots:
            for waiting in slot.line:
                place = self.bound.get(waiting.color.key)
                if waiting.bound and place is not None:
                    assert place[0] is slot

    @invariant()
    def numbers_are_of_one_key(self) -> None:
        for color in self.world.runs.values():
            assert self.numbers.setdefault(color.number, color.key) == color.key


TestLines = LinesMachine.TestCase


# -- scenes ----------------------------------------------------------------------------------------


def busy_lines(count: int) -> tuple[Lines, list[Tint]]:
    """Lines of which each slot runs a color; these, by the slots' order."""
    lines = Lines(count)
    colors = [Tint(f"first {n}", n) for n in range(count)]
    for slot, color in zip(lines.slots, colors, strict=True):
        assert lines.enter(color, 0.0) is slot
    return lines, colors


def test_a_color_goes_to_its_home_then_to_where_it_was() -> None:
    lines = Lines(3)
    color = Tint("key", 7)
    assert lines.enter(color, 0.0) is lines.slots[1]
    lines.remember(color, bound=False)
    assert lines.leave(lines.slots[1], 0.0) is None
    color.home = 2
    assert lines.enter(color, 0.0) is lines.slots[1]


def test_a_slow_color_holds_up_nobody() -> None:
    """Who waits for a slot that does not answer is taken by the next one that does."""
    lines, _ = busy_lines(2)
    waits = Tint("waits", 0)
    assert lines.enter(waits, 0.0) is None
    assert list(lines.slots[0].line)
    assert lines.leave(lines.slots[1], 0.0) is waits


def test_the_one_that_waits_longest_in_the_longest_line_is_taken() -> None:
    lines, _ = busy_lines(3)
    ones = [Tint("one", 0)]
    twos = [Tint("two", 1), Tint("three", 1)]
    for color in (*ones, *twos):
        assert lines.enter(color, 0.0) is None
    assert lines.leave(lines.slots[2], 0.0) is twos[0]


def bind(lines: Lines, color: Tint, slot: Slot) -> None:
    color.slot = slot
    assert lines.enter(color, 0.0) is slot
    lines.remember(color, bound=True)
    assert lines.leave(slot, 0.0) is None


def test_a_bound_color_waits_for_its_slot_for_a_while() -> None:
    lines = Lines(2)
    color, other = Tint("bound", 0), Tint("slow", 0)
    bind(lines, color, lines.slots[0])
    assert lines.enter(other, 1.0) is lines.slots[0]
    assert lines.enter(color, 1.0) is None
    assert lines.restless()
    assert list(lines.impatient(1.0 + PATIENCE / 2)) == []
    assert lines.slots[0].forget == []
    assert list(lines.impatient(1.0 + PATIENCE)) == [(lines.slots[1], color)]
    assert lines.slots[0].forget == [color.number]
    assert len(lines._places) == 0


def test_a_bound_color_that_was_not_idle_does_not_move() -> None:
    lines = Lines(2)
    color = Tint("bound", 0)
    bind(lines, color, lines.slots[0])
    color.live = True
    assert lines.enter(Tint("slow", 0), 1.0) is lines.slots[0]
    assert lines.enter(color, 1.0) is None
    assert list(lines.impatient(1e9)) == []
    assert lines.leave(lines.slots[0], 1e9) is color


def test_an_idle_slot_looks_past_those_who_may_not_move() -> None:
    """But not for ever: at so many of a line."""
    lines, _ = busy_lines(2)
    color = Tint("free", 0)
    for number in range(LOOK_AT):
        bound = Tint(number, 0)
        lines._places[bound.key] = lines.slots[0], number + 1
        assert lines.enter(bound, 0.0) is None
    assert lines.enter(color, 0.0) is None
    assert lines.leave(lines.slots[1], 0.0) is None
    lines.slots[0].line.popleft()
    lines.waiting -= 1
    assert [found for _, found in lines.impatient(0.0)] == [color]


def test_a_color_that_died_finds_its_state_by_its_key() -> None:
    lines = Lines(2)
    color = Tint("key", 0)
    bind(lines, color, lines.slots[1])
    again = Tint("key", 0)
    assert lines.enter(again, 0.0) is lines.slots[1]
    assert again.number == color.number


def test_state_that_was_cleared_binds_nobody() -> None:
    lines = Lines(2)
    color = Tint("key", 0)
    bind(lines, color, lines.slots[1])
    assert lines.enter(color, 0.0) is lines.slots[1]
    lines.remember(color, bound=False)
    assert len(lines._places) == 0


def test_what_is_lost_with_a_slot_binds_nobody() -> None:
    lines = Lines(2)
    color, moved = Tint("key", 0), Tint("moved", 0)
    bind(lines, color, lines.slots[0])
    lines.slots[0].forget.append(moved.number)
    lines.slots[0].busy = True
    lines.lost(lines.slots[0])
    assert len(lines._places) == 0
    assert lines.slots[0].forget == []
    assert lines.enter(color, 0.0) is lines.slots[1]


def test_who_waits_for_a_slot_that_is_lost_has_nothing_to_wait_for() -> None:
    lines = Lines(2)
    color = Tint("key", 0)
    bind(lines, color, lines.slots[0])
    color.live = True
    assert lines.enter(Tint("slow", 0), 1.0) is lines.slots[0]
    assert lines.enter(color, 1.0) is None
    lines.lost(lines.slots[0])
    assert list(lines.impatient(1.0)) == [(lines.slots[1], color)]
    assert lines.slots[0].forget == []


def test_who_waits_for_a_slot_that_is_gone_goes_elsewhere() -> None:
    lines, (_, second) = busy_lines(2)
    waits = [Tint("one", 0), Tint("two", 0)]
    for color in waits:
        lines.enter(color, 0.0)
    gone = lines.slots[0]
    lines.lost(gone)
    assert lines.remove(gone) == waits
    assert lines.waiting == 0
    assert gone not in lines.slots
    for color in waits:
        assert lines.enter(color, 0.0) is None
    lines.remember(second, bound=False)
    assert lines.leave(lines.slots[0], 0.0) is waits[0]


def test_a_color_of_a_slot_that_is_gone_has_a_home_again() -> None:
    lines = Lines(2)
    color = Tint("key", 0)
    gone = lines.enter(color, 0.0)
    assert gone is lines.slots[0]
    lines.lost(gone)
    lines.remove(gone)
    assert lines.enter(color, 0.0) is lines.slots[0]
    assert color.slot is not gone


def test_the_last_slot_stays() -> None:
    lines, _ = busy_lines(1)
    waits = Tint("waits", 0)
    lines.enter(waits, 0.0)
    lines.lost(lines.slots[0])
    assert lines.remove(lines.slots[0]) == []
    assert lines.leave(lines.slots[0], 0.0) is waits


# -- sizes and hashes ------------------------------------------------------------------------------


@given(size=st.integers(1, BATCH_MOST), sent=st.integers(1, BATCH_MOST), data=st.data())
def test_sizes_stay_in_bounds(size: int, sent: int, data: st.DataObject) -> None:
    sent = min(sent, size)
    done = data.draw(st.integers(0, sent))
    after = next_size(size, sent=sent, done=done)
    assert 1 <= after <= BATCH_MOST
    if done < sent:
        assert after == max(done, 1), "as many as its slot had time for"
    elif sent < size:
        assert after == size, "nothing was learned"
    else:
        assert after == min(2 * size, BATCH_MOST)


def test_a_first_batch_may_grow_and_shrink() -> None:
    assert next_size(BATCH_FIRST, sent=BATCH_FIRST, done=BATCH_FIRST) == 2 * BATCH_FIRST
    assert next_size(BATCH_FIRST, sent=BATCH_FIRST, done=0) == 1


KEY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda parts: st.tuples(parts, parts) | st.tuples(parts),
    max_leaves=5,
)


@given(left=KEY, right=KEY)
def test_equal_keys_have_equal_hashes(left: Hashable, right: Hashable) -> None:
    assert isinstance(stable_hash(left), int)
    if left == right:
        assert stable_hash(left) == stable_hash(right)


def test_numbers_that_are_equal_have_equal_hashes() -> None:
    assert stable_hash((1, True, 0.0)) == stable_hash((1.0, 1, -0.0))


def test_equal_keys_of_other_classes_have_equal_hashes() -> None:
    class Name(str):
        __slots__ = ()

    class Pair(tuple[int, int]):
        __slots__ = ()

    assert stable_hash(Name("key")) == stable_hash("key")
    assert stable_hash(Pair((1, 2))) == stable_hash((1, 2))


def test_hashes_are_the_same_in_another_process() -> None:
    keys = ("text", b"bytes", "\ud800", 5, -1, 2.5, None, ("a", (b"b", 3)), "", ())
    program = f"""
from colorsched.core.policy import stable_hash
for key in {keys!r}:
    print(stable_hash(key))
"""
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [int(line) for line in done.stdout.split()] == [stable_hash(key) for key in keys]
