"""Simulated time: threads as generators on a heap, with processors or an interpreter lock.

A heap of our own rather than simpy: measured on bare timeouts of 256 processes it makes 2.8 million
events a second to simpy's 1.3, and this is all that the model needs of either.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator
from typing import TypeAlias

Thread: TypeAlias = Generator["float | None", None, None]
"""Yields the seconds of processor time that its next step takes; less than zero to sleep so long;
None to sleep until woken."""

Asking: TypeAlias = Generator["float | None", None, bool]
"""A part of a thread that finds something out."""

GIVE_WAY = -1e-9
"""The shortest sleep: whoever waits for the interpreter lock has it first."""


class Engine:
    """Runs threads in simulated time on ``cores`` processors.

    When more threads run than there are processors, each step takes longer by that ratio. With
    ``crowding``, a step takes so many times longer while a second thread runs: processors that are
    two threads of one core, or that neighbors use, give less than two.
    """

    def __init__(self, *, cores: int, crowding: float = 1.0) -> None:
        self.now = 0.0
        self.running = 0
        """Threads that are not asleep."""
        self.stopped = False
        self.crowded = 0.0
        """Seconds that steps took longer for want of processors."""
        self._cores = cores
        self._crowding = crowding
        self._heap: list[tuple[float, int, Thread, bool]] = []
        """When, whose turn among those of one time, who, and whether it sleeps till then."""
        self._number = 0

    def start(self, thread: Thread) -> None:
        """Let a new thread run from now on."""
        self.wake(thread, 0.0)

    def wake(self, thread: Thread, after: float) -> None:
        """Let a thread that yielded None go on, ``after`` so many seconds."""
        self._push(thread, after, asleep=True)

    def run(self) -> None:
        """Run until some thread sets ``stopped``, or none is left that could go on."""
        heap = self._heap
        begin = self._begin
        while heap and not self.stopped:
            self.now, _, thread, asleep = heapq.heappop(heap)
            if asleep:
                self.running += 1
            seconds = next(thread, None)
            if seconds is not None and seconds >= 0:
                begin(thread, seconds)
            else:
                self.running -= 1
                self._rest(thread)
                if seconds is not None:
                    self.wake(thread, -seconds)

    def _begin(self, thread: Thread, seconds: float) -> None:
        if self.running > 1:
            slowed = seconds * max(self._crowding, self.running / self._cores)
            self.crowded += slowed - seconds
            seconds = slowed
        self._push(thread, seconds, asleep=False)

    def _rest(self, thread: Thread) -> None:
        """A thread sleeps or has ended."""

    def _push(self, thread: Thread, after: float, *, asleep: bool) -> None:
        self._number += 1
        heapq.heappush(self._heap, (self.now + after, self._number, thread, asleep))


class LockedEngine(Engine):
    """Threads of one interpreter with a GIL: one of them runs, and is asked to stop in time."""

    def __init__(self, *, interval: float, switch: float) -> None:
        super().__init__(cores=1)
        self._interval = interval
        self._switch = switch
        self._holder: Thread | None = None
        self._waiting: deque[tuple[Thread, float, float]] = deque()
        """Who waits for the lock, for how long a step, and since when."""
        self._switched = 0.0
        self.held = 0.0
        """Seconds in which some thread had the lock."""

    def _begin(self, thread: Thread, seconds: float) -> None:
        if self._holder is None:
            self._hold(thread, seconds)
        elif self._holder is not thread:
            self._waiting.append((thread, seconds, self.now))
        elif self._waiting and self._asked():
            self._waiting.append((thread, seconds, self.now))
            self._next()
        else:
            self._hold(thread, seconds)

    def _asked(self) -> bool:
        """Whether the one that waits longest has asked the holder to stop."""
        return self.now - max(self._waiting[0][2], self._switched) >= self._interval

    def _rest(self, thread: Thread) -> None:
        if self._holder is thread:
            self._holder = None
            if self._waiting:
                self._next()

    def _next(self) -> None:
        thread, step, _ = self._waiting.popleft()
        self._switched = self.now  # who waits on asks the new holder, an interval from now
        self._hold(thread, step + self._switch)

    def _hold(self, thread: Thread, seconds: float) -> None:
        self._holder = thread
        self.held += seconds
        self._push(thread, seconds, asleep=False)


class Serial:
    """A resource that one thread has at a time, in the order of asking: a lock, a cache line."""

    def __init__(self) -> None:
        self._free = 0.0
        self.busy = 0.0

    def wait(self, now: float, hold: float) -> float:
        """Ask for it for ``hold`` seconds: how long until it is had."""
        waited = max(0.0, self._free - now)
        self._free = now + waited + hold
        self.busy += hold
        return waited
