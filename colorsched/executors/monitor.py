"""The monitor: sees workers that are stuck in a turn, and lets others in for them.

It ticks only while some worker is awake. A worker whose thread is found asleep in the same turn at
a few ticks in a row is counted out until it comes back. Without the GIL, one that computes, or
waits for a processor, is counted out much later: a spare would take the processor from it. (With
the GIL, who computes while the monitor looks has let go of it: a spare can run.) When nobody is
left who could run the colors that wait, or poll, spare workers take over; when those return, spares
make way (``Workers._round``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from colorsched.core.policy import spares_wanted
from colorsched.ports import GIL_AT_IMPORT

if TYPE_CHECKING:
    from colorsched.core.scheduler import Lane, Scheduler
    from colorsched.ports import Doors

#: Seconds between two looks.
TICK = 0.005

#: Looks in a row at which a worker is found in the same turn before it is counted out: one whose
#: thread sleeps (with the GIL it may be waiting for that, so a look more), and one that does not.
LOOKS_ASLEEP = 3 if GIL_AT_IMPORT else 2
LOOKS_RUNNING = LOOKS_ASLEEP if GIL_AT_IMPORT else 20

#: It stops ticking when all workers were asleep at this many looks in a row.
QUIET_TICKS = 40


class Crew(Protocol):
    """What the monitor needs of the workers."""

    count: int
    most: int

    def add_spare(self) -> None: ...
    def is_led(self) -> bool: ...


class Monitor:
    """One thread beside the workers, started when a worker first wakes."""

    def __init__(self, doors: Doors, scheduler: Scheduler, crew: Crew) -> None:
        self._doors = doors
        self._scheduler = scheduler
        self._crew = crew
        self._parker = doors.parker()
        self._started = False
        self._ending = False
        self._quiet = 0
        self._seen: dict[Lane, tuple[int, int]] = {}
        """The turn in which each busy worker was last seen, and at how many looks in a row."""
        self.resting = True
        self.thread: Any = None

    def wake(self) -> None:
        """A worker is awake: tick from now on. Cheap, and only called while ``resting``."""
        with self._scheduler.lock:
            if not self.resting or self._ending:
                return
            self.resting = False
            first, self._started = not self._started, True
        if first:
            self.thread = self._doors.thread(self._run, "colorsched-monitor")
        else:
            self._parker.unpark()

    def end(self) -> None:
        with self._scheduler.lock:
            self._ending = True
        self._parker.unpark()

    def _run(self) -> None:
        while not self._ending:
            self._parker.park(None if self.resting else TICK)
            if not self._ending:
                self.look()

    def look(self) -> None:
        """One tick."""
        scheduler = self._scheduler
        with scheduler.lock:
            if scheduler.all_asleep():
                self._quiet += 1
                # Set with the lock, under which a worker leaves the sleepers before it looks
                # at ``resting``: one of us two sees the other.
                self.resting = self._quiet > QUIET_TICKS
                self._seen.clear()
                return
        self._quiet = 0
        lanes = scheduler.lanes
        seen, self._seen = self._seen, {}
        for lane in lanes:
            if lane.color is not None:
                turn = lane.turns
                before, looks = seen.get(lane, (turn, 0))
                looks = looks + 1 if before == turn else 1
                self._seen[lane] = (turn, looks)
                if looks >= LOOKS_RUNNING or (
                    looks >= LOOKS_ASLEEP and self._doors.is_asleep(lane.thread)
                ):
                    scheduler.count_out(lane, turn)
        ready = sum(len(lane.ready) for lane in lanes)
        if scheduler.sleepers:
            # Somebody is at leisure. See that the sources are polled, and, should a worker have
            # been stuck before it could wake another, that the ready are run.
            if ready or not self._crew.is_led():
                scheduler.wake_one()
            return
        with scheduler.lock:  # who comes back between these two would be in neither
            running = scheduler.running()
            stuck = sum(lane.stuck for lane in lanes)
        most = self._crew.most
        for _ in range(spares_wanted(running=running, stuck=stuck, ready=ready, most=most)):
            self._crew.add_spare()
