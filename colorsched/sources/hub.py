"""All sources of one runtime behind the two calls of whoever polls: wait, and deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.errors import RuntimeShutdown
from colorsched.sources.io import Io
from colorsched.sources.signals import Signals
from colorsched.sources.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from colorsched.ports import Doors, Lock, Poller

#: Longest wait for a timer, in seconds: a clock that goes wrong is noticed within the hour.
LONGEST_WAIT = 3600.0


class _NoPoller:
    """The poller of a forked child, for a worker that forked and is to end there."""

    def arm(self, _fd: int, _mask: int) -> None: ...
    def disarm(self, _fd: int) -> None: ...
    def wait(self, _timeout: float | None) -> Sequence[tuple[int, int]]:
        return ()

    def wake(self) -> None: ...
    def close(self) -> None: ...


class Hub:
    """Descriptors, timers and signals. One thread at a time polls; see ``executors``."""

    def __init__(self, doors: Doors) -> None:
        self.poller: Poller = doors.poller()
        self.clock: Callable[[], float] = doors.clock
        self.io = Io(self.poller, doors.lock())
        self.timers = Timers(doors.lock(), self.poller.wake)
        self.signals = Signals(self.poller.wake)

    def wait(self) -> Sequence[tuple[int, int]]:
        """Wait until a descriptor is ready, a timer is due or somebody wakes the poller."""
        first = self.timers.wait_until(waiting=True)
        self.io.polls += 1
        try:
            if first is None:
                return self.poller.wait(None)
            return self.poller.wait(min(max(first - self.clock(), 0.0), LONGEST_WAIT))
        finally:
            self.timers.wait_until(waiting=False)

    def look(self) -> Sequence[tuple[int, int]]:
        """What is ready now, without waiting."""
        self.io.polls += 1
        return self.poller.wait(0)

    def deliver(self, events: Sequence[tuple[int, int]]) -> bool:
        """Post what ``wait`` or ``look`` found and the timers that are due. True if any was."""
        if events:
            self.io.deliver(events)
        if self.signals.arrived:
            self.signals.deliver()
        due = self.timers.due(self.clock()) if self.timers else ()
        for handle in due:
            if handle.inner:
                handle.color.post_inner(handle)
            else:
                try:
                    handle.color.post_handle(handle)
                except RuntimeShutdown:
                    handle._drop("shut down")
        return bool(events or due)

    def close(self) -> None:
        """Give back the signals and the poller. Call when no worker is left."""
        if self.signals.remove_all():
            self.poller.close()
        # Else a handler stays that may wake the poller: its descriptor must not come to be another.

    def after_fork(self, error: RuntimeShutdown, lock: Callable[[], Lock]) -> None:
        """In a forked child: no lock can be trusted, and the poller is shared with the parent."""
        self.signals.after_fork()
        self.io.after_fork(lock())
        self.timers.after_fork(error, lock())
        self.poller.close()
        self.poller = _NoPoller()
