"""Timers: a sorted list of what to post when."""

from __future__ import annotations

from collections import deque
from itertools import count
from math import inf, isnan
from typing import TYPE_CHECKING

from sortedcontainers import SortedList

from colorsched.core.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.core.handle import Work
    from colorsched.core.queue import ColorQueue
    from colorsched.errors import RuntimeShutdown
    from colorsched.ports import Lock

    Entry = tuple[float, int, "TimerHandle"]


class TimerHandle(Handle):
    """A callback to be posted at a time. Cancelling takes it out of the list, O(log n)."""

    # Not the entry in the list: that refers to the handle, and the two would be a cycle.
    __slots__ = ("_order", "_timers", "_when", "color")
    _order: int
    _timers: Timers
    _when: float
    color: ColorQueue

    def when(self) -> float:
        """The time it is due, on the runtime's clock (``Runtime.time``), in seconds."""
        return self._when

    def _drop(self, why: str) -> bool:
        if not super()._drop(why):
            return False
        self._timers.discard(self)
        return True


class InnerTimerHandle(TimerHandle):
    """A timer of a color's own asyncio loop. It is not waited for by ``drain``."""

    __slots__ = ()
    inner = True


class Timers:
    """All timers of a runtime. Thread-safe: one lock around a sorted list.

    The garbage collector may run a finalizer in the middle of a change of the list, and that may
    cancel a timer, or start one. The lock is reentrant, so it gets in; ``_changing`` tells it to
    leave its wish in ``_added`` or ``_gone``, which who makes the change looks at when it is done.
    Cancelling never waits for the lock: what it could not take out, the next one does.

    ``changed`` is called, without the lock, when a timer was added that is due before the time
    the poller waits for.
    """

    def __init__(self, lock: Lock, changed: Callable[[], None]) -> None:
        self._lock = lock
        self._changed = changed
        self._entries: SortedList[Entry] = SortedList()
        self._added: deque[Entry] = deque()
        self._gone: deque[Entry] = deque()
        self._changing = False
        self._order = count()
        self._outer = 0
        self._first = inf
        """When the first one is due; looked at without the lock."""
        self._closed: RuntimeShutdown | None = None
        self._wait_until = -inf
        self.cancelled: Callable[[], None] = _nothing
        """Called when a timer that was waited for is not any more. Must take no lock."""

    def add(self, color: ColorQueue, when: float, work: Work, *, inner: bool) -> TimerHandle:
        """Post ``work`` to ``color`` at ``when``.

        Raises:
            TypeError: ``when`` is not a number. ValueError: it is not-a-number.
            RuntimeShutdown: the users' timers were dropped for good.

        """
        if isnan(when):
            raise ValueError("the time of a timer must be a number, not nan")
        when = float(when)
        handle = (InnerTimerHandle if inner else TimerHandle)(work)
        handle.color = color
        handle._timers = self
        handle._when = when
        with self._lock:
            if self._closed is not None and not inner:
                raise type(self._closed)(*self._closed.args)
            handle._order = next(self._order)
            self._outer += not inner
            self._added.append((when, handle._order, handle))
            self._settle()
            wake = when < self._wait_until
        if wake:
            self._changed()
        return handle

    def discard(self, handle: TimerHandle) -> None:
        """Take a cancelled timer out, if it is still there."""
        self._gone.append((handle._when, handle._order, handle))
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()
        if not handle.inner:
            self.cancelled()

    def _settle(self) -> None:
        """Make the changes that are wished for. Call with the lock held."""
        if self._changing:
            return
        self._changing = True
        try:
            while self._added or self._gone:
                if self._added:
                    self._entries.add(self._added.popleft())
                    continue
                entry = self._gone.popleft()
                try:
                    self._entries.remove(entry)
                except ValueError:
                    continue  # due already
                self._outer -= not entry[2].inner
            self._first = self._entries[0][0] if self._entries else inf
        finally:
            self._changing = False

    def due(self, now: float) -> list[TimerHandle]:
        """Take out the timers whose time has come, in order of time, then of their making."""
        if self._first > now:  # a look without the lock: what it misses, the next one sees
            return []
        entries = self._entries
        with self._lock:
            self._settle()
            self._changing = True
            try:
                end = entries.bisect_right((now, inf))  # type: ignore[arg-type]  # shorter than an entry, compared before its end
                found = [handle for _, _, handle in entries[:end]]
                del entries[:end]
            finally:
                self._changing = False
            self._outer -= sum(not handle.inner for handle in found)
            self._first = -inf  # until it is settled
            self._settle()
        return found

    def wait_until(self, *, waiting: bool) -> float | None:
        """The time of the next timer, or None.

        ``waiting``: a poller will wait for it from now on, and is to be told of an earlier one.
        """
        with self._lock:
            self._settle()
            self._wait_until = self._first if waiting else -inf
            return self._first if self._entries else None

    def outstanding(self) -> int:
        """Timers that users made and that are not yet due.

        With the lock, always: one that was cancelled may be on its way out just now. Whoever takes
        it out does not tell anybody, and who asks here may be the last who asks.
        """
        with self._lock:
            self._settle()
            return self._outer

    def __len__(self) -> int:
        return len(self._entries)

    def close(self, error: RuntimeShutdown) -> None:
        """Drop the users' timers, and refuse new ones with ``error``."""
        with self._lock:
            self._closed = error
        self.drop("shut down", inner=False)

    def after_fork(self, error: RuntimeShutdown, lock: Lock) -> None:
        """In a forked child: forget all timers, they are the parent's."""
        self._lock = lock
        self._closed = error
        self._entries = SortedList()
        self._added.clear()
        self._gone.clear()
        self._changing = False
        self._first = inf
        self._outer = 0
        self._wait_until = -inf

    def drop(self, why: str, *, inner: bool) -> None:
        """Drop the users' timers, or those of the asyncio loops; their handles say why."""
        with self._lock:
            self._settle()
            found = [handle for _, _, handle in self._entries if handle.inner == inner]
        for handle in found:
            handle._drop(why)


def _nothing() -> None:
    """Nobody waits."""
