"""Colors in one-lane slots: one parent with the GIL sends batches of one color to processes.

Which slot runs which color is decided by the real ``colorsched.core.slots.Lines``, how large a
batch is by its ``next_size`` and numbers. Modeled is the rest: the parent's threads, which share
the GIL (posters, the one worker, and for each slot one that waits for its answers), and how long
each step takes.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from attrs import Factory, define

from benchmarks.simulation.engine import GIVE_WAY, LockedEngine
from benchmarks.simulation.loads import Source
from benchmarks.simulation.outcome import Outcome
from colorsched.core.policy import POSTED_AHEAD, stable_hash
from colorsched.core.slots import BATCH_FIRST, BATCH_SECONDS, Lines, next_size

if TYPE_CHECKING:
    from collections.abc import Hashable

    from benchmarks.simulation.costs import SlotCosts
    from benchmarks.simulation.engine import Thread
    from benchmarks.simulation.loads import Load
    from colorsched.core.slots import Slot


@define(eq=False)
class Color:
    """One color, as ``Lines`` asks of it (``colorsched.core.slots.Placed``), and what it has."""

    key: Hashable
    home: int
    slot: Slot | None = None
    number: int = 0
    live: bool = False
    size: int = BATCH_FIRST
    pending: int = 0
    """Callbacks that wait in the parent."""
    sent: int = 0
    """Of these, how many are in a batch ..."""
    done: int = 0
    """... and have run there. They count as waiting until the batch is settled."""
    ran: int = 0
    idle: bool = True
    owned: float = 0.0
    """Seconds in batches."""


@define(eq=False)
class Lane:
    """The thread of the parent that sends a slot its batches and waits for the answers."""

    slot: Slot
    color: Color | None = None
    """Whose batch is to be sent."""
    begun: float = 0.0
    """When the slot's last batch was sent ..."""
    held: float = 0.0
    """... and for how long the GIL had been held by then."""
    asleep: bool = False
    thread: Thread | None = None


class Parent(LockedEngine):
    """The parent's threads; its processor is one of those that the slots use, too."""

    def __init__(self, costs: SlotCosts, *, slots: int, cores: int, crowding: float) -> None:
        super().__init__(interval=costs.interval, switch=costs.switch)
        self._processors = cores
        self._slowed = crowding
        self._alone = slots < cores and crowding == 1.0
        """Everybody has a processor: nobody need be counted."""
        self._ends = [0.0] * slots
        """When each slot has done its batch."""

    def compute(self, slot: Slot, until: float) -> None:
        """A slot computes until then."""
        self._ends[slot.index] = until

    def slowed_slot(self, since: float, held: float) -> float:
        """How many times longer one more slot computes, if the parent does as much as of late.

        ``since``: a moment of late; ``held``: for how long the GIL had been held by then.
        """
        share = min(1.0, (self.held - held) / (self.now - since)) if self.now > since else 1.0
        return share * self._ratio(beside=1) + (1 - share) * self._ratio(beside=0)

    def _ratio(self, *, beside: int) -> float:
        """So many times longer takes a step beside others, and the slots that compute now."""
        if self._alone:
            return 1.0
        now = self.now
        running = 1 + beside + sum(end > now for end in self._ends)
        return max(self._slowed, running / self._processors) if running > 1 else 1.0

    def _hold(self, thread: Thread, seconds: float) -> None:
        super()._hold(thread, seconds * self._ratio(beside=0))


def callbacks_a_batch(seconds: float) -> int:
    """How many callbacks of one length a slot runs of a batch until its time is over."""
    return max(1, math.ceil(BATCH_SECONDS / seconds)) if seconds > 0 else 2**31


@define
class _Worker:
    """The worker of the parent."""

    ready: deque[Color] = Factory(deque)
    asleep: bool = False
    thread: Thread | None = None


class SlotSimulation:
    """One load on so many slots.

    Of posters, or with all callbacks of each color there from the start (``Source.CHAINS``; that
    callbacks in slots post is not modeled).
    """

    def __init__(
        self,
        load: Load,
        costs: SlotCosts,
        *,
        slots: int,
        cores: int | None = None,
        crowding: float = 1.0,
        seed: int = 1,
    ) -> None:
        """``cores``: by default there is one for each slot, and one for the parent."""
        if load.source not in {Source.POSTERS, Source.CHAINS}:
            raise ValueError(f"slots take posters or chains, not {load.source.value}")
        self._load = load
        self._costs = costs
        self._engine = Parent(costs, slots=slots, cores=cores or slots + 1, crowding=crowding)
        self._lines = Lines(slots)
        self._lanes = [Lane(slot) for slot in self._lines.slots]
        self._worker = _Worker()
        self._keys = load.keys(seed)
        self.colors = [
            Color(key=number, home=stable_hash((seed, number))) for number in range(load.colors)
        ]
        self._worked = 0.0
        self._left = load.callbacks
        self.batches = 0

    def run(self) -> Outcome:
        """Run to the last callback."""
        load, engine = self._load, self._engine
        for lane in self._lanes:
            lane.thread = self._carry(lane)
            engine.start(lane.thread)
        if load.source is Source.CHAINS:
            for key in self._keys:
                self._put(self.colors[key])
        else:
            for number in range(load.posters):
                engine.start(self._post(number))
        self._worker.thread = self._work()
        engine.start(self._worker.thread)
        engine.run()
        if self._left:
            raise RuntimeError(f"the model came to rest with {self._left} callbacks left")
        return Outcome(
            label=load.label,
            workers=len(self._lanes),
            callbacks=load.callbacks,
            seconds=engine.now,
            busy={
                "parent": engine.held / engine.now,
                "hottest color": max(color.owned for color in self.colors) / engine.now,
                "slots": self._worked / engine.now / len(self._lanes),
            },
        )

    # -- posting ------------------------------------------------------------------------------

    def _put(self, color: Color) -> bool:
        """One callback more. Whether the color has become ready by it."""
        color.pending += 1
        if not color.idle:
            return False
        color.idle = False
        self._worker.ready.append(color)
        return True

    def _post(self, number: int) -> Thread:
        costs, colors, ready = self._costs, self.colors, self._worker.ready
        for key in self._keys[number :: self._load.posters]:
            yield costs.post
            if self._put(colors[key]):
                gives_way = not len(ready) % POSTED_AHEAD
                yield costs.ready + self._wake_worker()
                if gives_way:
                    yield -costs.relax or GIVE_WAY

    def _wake_worker(self) -> float:
        """What it costs the caller."""
        worker = self._worker
        if not worker.asleep:
            return 0.0
        worker.asleep = False
        assert worker.thread is not None
        self._engine.wake(worker.thread, self._costs.unpark + self._costs.wake)
        return self._costs.unpark

    # -- the worker ---------------------------------------------------------------------------

    def _work(self) -> Thread:
        """Settle batches, and hand colors over."""
        costs, worker, engine = self._costs, self._worker, self._engine
        while True:
            if not worker.ready:
                yield -costs.relax or GIVE_WAY
                if not worker.ready:
                    worker.asleep = True
                    yield None
                continue
            color = worker.ready.popleft()
            if color.sent:
                yield costs.settle + color.done * costs.settle_each
                self._settle(color)
                if not self._left:
                    engine.stopped = True
            if not color.pending:
                color.idle = True
                continue
            slot, looks = self._enter(color)
            yield costs.hand_over + looks
            if slot is not None:
                yield from self._send(slot, color)

    def _settle(self, color: Color) -> None:
        color.size = next_size(color.size, sent=color.sent, done=color.done)
        color.pending -= color.done
        color.ran += color.done
        self._left -= color.done
        color.sent = color.done = 0
        color.live = bool(color.pending)

    def _enter(self, color: Color) -> tuple[Slot | None, float]:
        """The slot that runs a color now, if there is one, and what it took to find out."""
        lines = self._lines
        slot = lines.enter(color, self._engine.now)
        count = len(lines.slots) if slot is None else slot.index + 1
        return slot, count * self._costs.enter_look

    def _leave(self, slot: Slot) -> tuple[Color | None, float]:
        """Which color a slot is to run next, if any, and what it took to find out."""
        lines = self._lines
        steals = lines.waiting > 0 and not slot.line
        color = lines.leave(slot, self._engine.now)
        assert color is None or isinstance(color, Color)
        return color, len(lines.slots) * self._costs.steal_look if steals else 0.0

    # -- a slot -------------------------------------------------------------------------------

    def _send(self, slot: Slot, color: Color) -> Thread:
        """Make a batch and give it to the thread of its slot: the worker does, or that thread."""
        costs = self._costs
        color.sent = min(color.pending, color.size)
        self.batches += 1
        yield costs.send + color.sent * costs.send_each
        lane = self._lanes[slot.index]
        lane.color = color
        if lane.asleep:
            lane.asleep = False
            assert lane.thread is not None
            self._engine.wake(lane.thread, costs.unpark + costs.wake)
            yield costs.unpark

    def _carry(self, lane: Lane) -> Thread:
        """Send batches and take answers. What reads and writes lets go of the GIL each time."""
        costs, engine, worker = self._costs, self._engine, self._worker
        part = costs.carry / 4  # to write, to read twice, and what is done with the answer
        while True:
            color = lane.color
            if color is None:
                lane.asleep = True
                yield None
                continue
            lane.color = None
            yield part
            work = self._run(color, engine.slowed_slot(lane.begun, lane.held))
            lane.begun, lane.held = engine.now, engine.held
            until = lane.begun + costs.trip + work
            engine.compute(lane.slot, until)
            yield GIVE_WAY
            yield part
            yield min(GIVE_WAY, engine.now - until)
            yield part
            yield GIVE_WAY
            yield part + color.sent * costs.carry_each
            color.owned += engine.now - lane.begun
            found, looks = self._leave(lane.slot)
            worker.ready.append(color)
            yield looks + self._wake_worker()
            if found is not None:
                yield from self._send(lane.slot, found)

    def _run(self, color: Color, slowed: float) -> float:
        """Run a batch, until its time is over: the seconds that it takes."""
        each = slowed * (self._load.seconds + self._costs.callback)
        color.done = min(color.sent, callbacks_a_batch(each))
        self._worked += color.done * each
        return color.done * each
