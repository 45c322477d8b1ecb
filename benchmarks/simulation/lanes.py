"""Colors, lanes and sleepers: the state of ``core.scheduler``, with what each step costs.

What is decided, and by which numbers, is imported from ``colorsched.core.policy``, so the model
follows when that changes. What is modeled is the rest: who meets whom, and when.
"""

from __future__ import annotations

from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from attrs import Factory, define

from benchmarks.simulation.engine import Serial
from colorsched.core.policy import (
    LAPS_AHEAD,
    POSTED_AHEAD,
    STRETCHES,
    TURN_SECONDS,
    lagging,
    next_lap,
    steal_count,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.simulation.costs import Costs
    from benchmarks.simulation.engine import Engine, Thread
    from colorsched.core.scheduler import Lane as RealLane


FEW = 16
"""So many lanes with ready colors are quicker looked at than all lanes."""


def callbacks_a_turn(seconds: float) -> int:
    """How many callbacks of one length a turn runs: up to the first look at the clock too late."""
    counts = list(accumulate(map(len, STRETCHES)))
    return next((count for count in counts if count * seconds >= TURN_SECONDS), counts[-1])


@define(eq=False, slots=True)
class Lane:
    """One worker's, and where its seconds went."""

    index: int
    ready: deque[int] = Factory(deque)
    lap: int = 0
    polled: float = 0.0
    found: bool = False
    parked: bool = False
    """Its thread sleeps: it must be woken. A worker may be among the sleepers and not yet be."""
    leads: bool = False
    thread: Thread | None = None
    work: float = 0.0
    """In callbacks' own code."""
    turns: float = 0.0
    """In the scheduler's code around them."""
    sharing: float = 0.0
    """For memory that other threads write too."""
    search: float = 0.0
    """Looking over the other lanes, at the begin of a lap or for something to steal."""
    locked: float = 0.0
    """Having the scheduler's lock, or waiting for it."""
    sleep: float = 0.0
    """Falling asleep and waking others."""
    polling: float = 0.0
    """Looking at descriptors and posting what came."""


class Lanes:
    """The lanes of one runtime, its colors, and who sleeps.

    Methods that take time return the seconds; the caller's thread spends them.
    """

    def __init__(
        self, engine: Engine, costs: Costs, *, workers: int, pending: Sequence[int], seed: int
    ) -> None:
        self.engine = engine
        self.costs = costs
        self.lanes = [Lane(index) for index in range(workers)]
        self._stocked: dict[int, Lane] = {}
        """The lanes with ready colors, by index. Only the model's: to look at 256 lanes a million
        times would take it hours. What that costs the real ones is in ``Costs``."""
        self.pending = list(pending)
        """Callbacks that wait, for each color."""
        self.idle = [True] * len(self.pending)
        self.sleepers: list[Lane] = []
        self.waking = False
        self.led = False
        """Some worker is at the descriptors."""
        self.lock = Serial()
        self.line = Serial()
        self.steals = 0
        self.wakes = 0
        self._seed = seed
        self._foremost = self.lanes[0]
        self._lowest = 0
        """No lane is in an earlier lap than this."""

    # -- the ready queues ---------------------------------------------------------------------

    def put(self, lane: Lane, color: int) -> None:
        """A color becomes the last of a lane."""
        if not lane.ready:
            self._stocked[lane.index] = lane
        lane.ready.append(color)

    def take(self, lane: Lane) -> int:
        """Take the first color of a lane that has one."""
        color = lane.ready.popleft()
        if not lane.ready:
            del self._stocked[lane.index]
        return color

    def any_ready(self) -> bool:
        """Whether some color is ready in some lane."""
        return bool(self._stocked)

    # -- posting ------------------------------------------------------------------------------

    def home(self, color: int) -> Lane:
        """Where posters from outside put a color: by the hash of its key."""
        return self.lanes[hash((self._seed, color)) % len(self.lanes)]

    def ready_at_home(self, color: int) -> None:
        """A color is ready before anybody runs."""
        self.idle[color] = False
        self.put(self.home(color), color)

    def ready_from_outside(self, color: int) -> tuple[float, bool]:
        """Put a color among the ready of its home. The seconds, and whether to give way."""
        home = self.home(color)
        self.put(home, color)
        seconds = self.costs.ready
        if self.sleepers:
            seconds += self.wake_one()
        return seconds, not len(home.ready) % POSTED_AHEAD

    def ready_inside(self, lane: Lane, color: int) -> None:
        """A callback that ``lane`` runs has made a color ready."""
        self.put(lane, color)
        if self.sleepers and len(lane.ready) > 1:
            lane.sleep += self.wake_one()

    # -- memory -------------------------------------------------------------------------------

    def share(self, count: int, each: float) -> float:
        """Extra seconds for so many callbacks or posts, while other threads run."""
        if self.engine.running < 2:
            return 0.0
        hold = min(self.costs.line, each)
        return self.line.wait(self.engine.now, count * hold) + count * each

    # -- waking and sleeping ------------------------------------------------------------------

    def wake_one(self) -> float:
        """Wake a sleeping worker, unless one is on its way already."""
        if self.waking or not self.sleepers:
            return 0.0
        seconds = self.take_lock(self.costs.lock)
        lane = self.sleepers.pop()
        self.waking = True
        self.wakes += 1
        if lane.parked:
            self._unpark(lane, seconds + self.costs.unpark + self.costs.wake)
        return seconds + self.costs.unpark

    def _unpark(self, lane: Lane, after: float) -> None:
        lane.parked = False
        assert lane.thread is not None
        self.engine.wake(lane.thread, after)

    def answer(self, lane: Lane) -> None:
        """The one that waits at the descriptors is woken by one of them."""
        self._unpark(lane, self.costs.wake)

    def take_lock(self, hold: float) -> float:
        """Have the scheduler's lock for a while: the seconds with the wait for it."""
        waited = self.lock.wait(self.engine.now, hold)
        return hold + waited + (self.costs.handoff if waited else 0.0)

    def enter_sleepers(self, lane: Lane, *, polls: bool) -> float:
        """Be one whom others may wake. The last look over all lanes is the caller's."""
        self.sleepers.insert(0 if polls else len(self.sleepers), lane)
        return self.take_lock(self.costs.lock) + self.costs.doze * len(self.lanes)

    def leave_sleepers(self, lane: Lane) -> float:
        """Be awake: because one was chosen, which then is over, or by oneself."""
        if lane in self.sleepers:
            self.sleepers.remove(lane)
        else:
            self.waking = False
        lane.lap = self._foremost.lap
        return self.take_lock(self.costs.lock + self.costs.lock_look * len(self.lanes))

    def pass_on(self, lane: Lane) -> float:
        """Who has just woken wakes the next one, if there is work for two."""
        if not self.sleepers:
            return 0.0
        if len(lane.ready) > 1 or len(self._stocked) > bool(lane.ready):
            return self.wake_one()
        return 0.0

    # -- laps and steals ----------------------------------------------------------------------

    def begin_lap(self, lane: Lane) -> list[Lane]:
        """Count the lap, and say which lanes must be helped first.

        The decisions are the real ones, over those lanes only that can matter: the foremost for
        the lap's number, and for the laggards those that have something ready.
        """
        lane.lap = next_lap(_real(lane), (_real(self._foremost),))
        if lane.lap > self._foremost.lap:
            self._foremost = lane
        if len(self._stocked) > FEW:
            if lane.lap - LAPS_AHEAD <= self._lowest:
                return []
            self._lowest = min(other.lap for other in self.lanes)
        stocked = cast("Iterable[RealLane]", self._stocked.values())
        return cast("list[Lane]", lagging(_real(lane), stocked))

    def next_victim(self, thief: Lane, looked: int) -> int:
        """How many lanes on from its own a thief that has ``looked`` at so many finds a color.

        The number of lanes if there is none in those it has not looked at.
        """
        count = len(self.lanes)
        first = thief.index + looked + 1
        if len(self._stocked) <= FEW:
            steps = min(((index - first) % count for index in self._stocked), default=count)
        else:
            lanes = self.lanes
            steps = next(i for i in range(count) if lanes[(first + i) % count].ready)
        return min(count, looked + 1 + steps)

    def steal(self, thief: Lane, distance: int) -> int:
        """Move ready colors from the lane so far on; how many."""
        victim = self.lanes[(thief.index + distance) % len(self.lanes)]
        taken = steal_count(len(victim.ready))
        for _ in range(taken):
            self.put(thief, self.take(victim))
        self.steals += taken
        return taken


def _real(lane: Lane) -> RealLane:
    """A lane as the policy's functions take it: they look at ``lap`` and ``ready`` only."""
    return cast("RealLane", lane)
