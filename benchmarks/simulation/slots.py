"""Colors in one-lane slots: a parent sends batches of one color, and each slot has one under way.

The parent is an ordinary interpreter: what it does for each callback (post, pickle, future) it does
one after the other. Where a ready color waits, and which one a free slot gets, is a
:class:`Policy`; :class:`Lines` is the one described in the design.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from benchmarks.simulation.engine import Engine, Serial
from benchmarks.simulation.loads import Source
from benchmarks.simulation.outcome import Outcome

if TYPE_CHECKING:
    from benchmarks.simulation.costs import SlotCosts
    from benchmarks.simulation.engine import Thread
    from benchmarks.simulation.loads import Load


class Policy(Protocol):
    """Where ready colors wait, and which one a free slot runs next."""

    def add(self, color: int, slot: int) -> None:
        """A color is ready; it was last, or belongs, in this slot."""
        ...

    def take(self, slot: int) -> int | None:
        """The color that this free slot runs, or None."""
        ...


class Lines:
    """A line before each slot; a slot whose own is empty takes the color that waits longest."""

    def __init__(self, slots: int) -> None:
        self._lines: list[deque[tuple[int, int]]] = [deque() for _ in range(slots)]
        self._number = 0
        self._waiting: deque[tuple[int, int]] = deque()
        """All that ever came, oldest first, with the line; those taken are dropped when met."""

    def add(self, color: int, slot: int) -> None:
        """Stand in line."""
        self._number += 1
        self._lines[slot].append((self._number, color))
        self._waiting.append((self._number, slot))

    def take(self, slot: int) -> int | None:
        """The first of its own line, else the oldest of any."""
        if self._lines[slot]:
            return self._lines[slot].popleft()[1]
        while self._waiting:
            number, other = self._waiting.popleft()
            line = self._lines[other]
            if line and line[0][0] == number:
                return line.popleft()[1]
        return None


def callbacks_a_batch(costs: SlotCosts, seconds: float) -> int:
    """How many callbacks of one length a slot runs of a batch before its time is up."""
    each = seconds + costs.callback
    if each <= 0:
        return costs.most
    begun = int(costs.limit / each) + 1
    return min(costs.most, begun)


class SlotSimulation:
    """One load on so many slots, each on a processor of its own, and the parent on another."""

    def __init__(
        self,
        load: Load,
        costs: SlotCosts,
        *,
        slots: int,
        seed: int = 1,
        policy: type[Lines] = Lines,
    ) -> None:
        if load.source not in {Source.POSTERS, Source.CHAINS}:
            raise ValueError(f"slots take posters or chains, not {load.source.value}")
        self._load = load
        self._costs = costs
        self._slots = slots
        self._seed = seed
        self._engine = Engine(cores=slots + load.posters + 1)
        self._parent = Serial()
        self._policy: Policy = policy(slots)
        self._keys = load.keys(seed)
        self._pending = [0] * load.colors
        self._busy = [False] * load.colors
        """In line, or in a slot."""
        self._owned = [0.0] * load.colors
        self._worked = 0.0
        self._free: list[int] = []
        self._threads: list[Thread] = []
        self._most = callbacks_a_batch(costs, load.seconds)
        self._left = load.callbacks

    def run(self) -> Outcome:
        """Run to the last callback."""
        load, engine = self._load, self._engine
        self._threads = [self._serve(slot) for slot in range(self._slots)]
        if load.source is Source.CHAINS:
            for color in self._keys:
                self._post_one(color)
        else:
            for number in range(load.posters):
                engine.start(self._post(number))
        for thread in self._threads:
            engine.start(thread)
        engine.run()
        if self._left:
            raise RuntimeError(f"the model came to rest with {self._left} callbacks left")
        return Outcome(
            label=load.label,
            workers=self._slots,
            callbacks=load.callbacks,
            seconds=engine.now,
            busy={
                "parent": self._parent.busy / engine.now,
                "hottest color": max(self._owned) / engine.now,
                "slots": self._worked / engine.now / self._slots,
            },
        )

    def _home(self, color: int) -> int:
        return hash((self._seed, color)) % self._slots

    def _post(self, number: int) -> Thread:
        load = self._load
        for color in self._keys[number :: load.posters]:
            yield self._in_parent(self._costs.post)
            self._post_one(color)

    def _post_one(self, color: int) -> None:
        self._pending[color] += 1
        if not self._busy[color]:
            self._busy[color] = True
            self._line_up(color, self._home(color))

    def _line_up(self, color: int, slot: int) -> None:
        self._policy.add(color, slot)
        if self._free:
            free = slot if slot in self._free else self._free[0]
            self._free.remove(free)
            self._engine.wake(self._threads[free], 0.0)

    def _in_parent(self, seconds: float) -> float:
        """Something the parent does, once it has done what it was asked before."""
        return self._parent.wait(self._engine.now, seconds) + seconds

    def _serve(self, slot: int) -> Thread:
        """What happens to one slot's batches, in the parent and in the slot."""
        costs, load, pending = self._costs, self._load, self._pending
        while True:
            color = self._policy.take(slot)
            if color is None:
                self._free.append(slot)
                yield None
                continue
            begun = self._engine.now
            count = min(pending[color], self._most)
            pending[color] -= count
            yield self._in_parent(costs.batch / 2 + count * costs.send)
            work = count * (load.seconds + costs.callback)
            self._worked += work
            yield costs.trip + work
            yield self._in_parent(costs.batch / 2 + count * costs.receive)
            self._owned[color] += self._engine.now - begun
            self._left -= count
            if not self._left:
                self._engine.stopped = True
            if pending[color]:
                self._line_up(color, slot)
            else:
                self._busy[color] = False
