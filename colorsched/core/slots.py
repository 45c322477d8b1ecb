"""Which slot runs which color: lines of waiting colors, preference, stealing. No threads or clocks.

A slot runs one batch at a time and has none queued, so who waits can always be taken elsewhere:
ready colors stand in lines here, a line for each slot. A color that is *bound* has state in its
slot (``colorsched.local``), and goes elsewhere only if that costs it little: when it was idle
before, and has waited for a while, beside a slot that has nothing to do. All others go wherever
somebody is free; nobody can tell.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from attrs import Factory, define, evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

#: So many seconds a bound color waits for its own slot while another one has nothing to do.
PATIENCE = 0.02

#: So many of those who wait in a line does an idle slot look at, for one that may move.
LOOK_AT = 64

#: A batch ends after so many callbacks ...
BATCH_MOST = 512

#: ... or after the first one that ends so many seconds after the batch began, inside the slot ...
BATCH_SECONDS = 0.005

#: ... or as soon as its callbacks, or their outcomes, are so many bytes.
BATCH_BYTES = 2**20

#: The size of a color's first batch. How long its callbacks take is not known yet, and those that
#: find no time in their slot have travelled in vain.
BATCH_FIRST = 16


def next_size(size: int, *, sent: int, done: int) -> int:
    """How many callbacks a color's next batch may have, after one of which ``done`` were run."""
    if done < sent:
        return max(1, done)
    return min(2 * size, BATCH_MOST) if sent == size else size


class Placed(Protocol):
    """What is asked of a color here."""

    key: Hashable
    home: int
    """A stable hash of the key."""
    slot: Slot | None
    """Where it ran last."""
    number: int
    """What it is called in slots, and 0 before it has been in one."""
    live: bool
    """It had more to run when its last batch ended."""


@frozen(eq=False)
class Waiting:
    """A color in a line."""

    color: Placed
    bound: bool
    since: float
    """When it came, if it was idle before, else never (infinity)."""

    def may_move(self, now: float) -> bool:
        """Whether another slot may have it."""
        return not self.bound or now - self.since >= PATIENCE


@define(eq=False)
class Slot:
    """One slot as the lines see it."""

    index: int
    line: deque[Waiting] = Factory(deque)
    busy: bool = False
    """It runs a batch, or is being replaced."""
    forget: list[int] = Factory(list)
    """The numbers of colors that have moved: their state is to be dropped in the slot."""
    life: int = 0
    """How often it was lost."""
    gone: bool = False
    """It is lost, and cannot be replaced."""


class Lines:
    """Slots and the colors that wait for them. Not thread-safe: its user has a lock.

    Colors are owned by whoever enters them, and then by their place here, until they come out.
    """

    def __init__(self, count: int) -> None:
        self.slots = tuple(Slot(index) for index in range(count))
        self._places: dict[Hashable, tuple[Slot, int]] = {}
        """Of each bound color: where its state is, and its number there. It may have died since."""
        self._numbers = 0
        self.waiting = 0

    # -- going in and out -------------------------------------------------------------------------

    def enter(self, color: Placed, now: float) -> Slot | None:
        """A color has something to run. The slot to run it now; None: it waits in a line."""
        slot, bound = self._preferred(color)
        if slot.busy and not bound:
            slot = next((other for other in self.slots if not other.busy), slot)
        if slot.busy:
            since = float("inf") if color.live else now
            slot.line.append(Waiting(color, bound, since))
            self.waiting += 1
            return None
        slot.busy = True
        self._put(color, slot)
        return slot

    def leave(self, slot: Slot, now: float) -> Placed | None:
        """A slot has ended its batch, or is there again. What it is to run next, if anything."""
        color = self._first(slot) or self._steal(slot, now)
        slot.busy = color is not None
        if color is not None:
            self._put(color, slot)
        return color

    def impatient(self, now: float) -> Iterator[tuple[Slot, Placed]]:
        """Colors that may move by now, and the idle slots that are to run them."""
        for slot in self.slots:
            if not slot.busy:
                color = self._steal(slot, now)
                if color is None:
                    return
                slot.busy = True
                self._put(color, slot)
                yield slot, color

    def restless(self) -> bool:
        """Whether somebody waits although a slot has nothing to do: look again in a while."""
        return self.waiting > 0 and not all(slot.busy for slot in self.slots)

    def _first(self, slot: Slot) -> Placed | None:
        if not slot.line:
            return None
        self.waiting -= 1
        return slot.line.popleft().color

    def _steal(self, thief: Slot, now: float) -> Placed | None:
        """Who waits longest, of those who may move, in one of the longest lines."""
        if not self.waiting:
            return None
        for slot in sorted(self.slots, key=lambda slot: -len(slot.line)):
            for place, waiting in enumerate(slot.line):
                if place == LOOK_AT:
                    break
                if waiting.may_move(now):
                    del slot.line[place]
                    self.waiting -= 1
                    return waiting.color
        return None

    # -- where colors were ------------------------------------------------------------------------

    def _preferred(self, color: Placed) -> tuple[Slot, bool]:
        """The slot that a color would go to, and whether it is bound to it."""
        place = self._places.get(color.key)
        if place is not None:
            color.number = place[1]
            return place[0], True
        slot = color.slot
        if slot is None or slot.gone:
            slot = self.slots[color.home % len(self.slots)]
        return slot, False

    def _put(self, color: Placed, slot: Slot) -> None:
        place = self._places.get(color.key)
        if place is not None and place[0] is not slot:
            place[0].forget.append(place[1])
            del self._places[color.key]
        if not color.number:
            self._numbers += 1
            color.number = self._numbers
        color.slot = slot

    def remember(self, color: Placed, *, bound: bool) -> None:
        """After its batch: whether the color has left state in its slot."""
        if bound and color.slot is not None:
            self._places[color.key] = color.slot, color.number
        else:
            self._places.pop(color.key, None)

    def unsure(self, color: Placed, forgets: list[int]) -> None:
        """After a batch with no answer: what its color has in its slot is dropped before the next.

        Else it might find old state there, when it has been elsewhere meanwhile. ``forgets``: what
        the batch was to drop, and perhaps has not.
        """
        assert color.slot is not None
        color.slot.forget += [*forgets, color.number]
        self._places.pop(color.key, None)

    def lost(self, slot: Slot) -> None:
        """What was in a slot is gone: who waits for it may go elsewhere, see ``impatient``."""
        slot.life += 1
        slot.line = deque(evolve(waiting, bound=False) for waiting in slot.line)
        slot.forget.clear()
        for key in [key for key, (where, _) in self._places.items() if where is slot]:
            del self._places[key]

    def remove(self, slot: Slot) -> list[Placed]:
        """Do without a lost slot that cannot be replaced. Returns who waited for it, to enter anew.

        The last one stays: whoever goes there learns what happened.
        """
        if len(self.slots) == 1:
            return []
        slot.gone = slot.busy = True
        self.slots = tuple(other for other in self.slots if other is not slot)
        colors = [waiting.color for waiting in slot.line]
        self.waiting -= len(colors)
        slot.line.clear()
        return colors
