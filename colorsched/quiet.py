"""Who waits until nothing is pending or running, and how they learn that it is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.sources.signals import Bell

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.aio.shared import Shared
    from colorsched.core.scheduler import Scheduler
    from colorsched.ports import Doors, Lock
    from colorsched.sources.hub import Hub


class Quiet:
    """Whether a runtime is quiet, and the bells of those who wait for that. Thread-safe.

    ``wait``: waits for a bell, at most so many seconds; what the main thread has to do meanwhile
    is its part.
    """

    def __init__(
        self,
        doors: Doors,
        scheduler: Scheduler,
        shared: Shared,
        hub: Hub,
        wait: Callable[[Bell, float | None], bool],
    ) -> None:
        self._doors = doors
        self._scheduler = scheduler
        self._shared = shared
        self._hub = hub
        self._wait = wait
        self._lock = doors.lock()
        self.bells: list[Bell] = []
        self._over = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is quiet. False if that takes more than ``timeout`` seconds."""
        bell = Bell(self._doors)
        with self._lock:
            self.bells.append(bell)
        try:
            self.rested()
            # Asked after the bell was hung up, since the end rings those it finds.
            return self._over or self._wait(bell, timeout)
        finally:
            with self._lock:
                self.bells.remove(bell)

    def rested(self) -> None:
        """Tell who waits, if it is quiet: called by a worker that has gone to sleep."""
        # Only who asked before the look: for who comes later the answer may be too old.
        asked = list(self.bells)
        if asked and self.holds():
            for bell in asked:
                bell.ring()

    def stir(self) -> None:
        """A timer was cancelled, in a finalizer perhaps, or in a signal handler: take no lock.

        A worker that polls comes out, goes to sleep again, and finds out whether it is quiet.
        """
        if self.bells:
            self._hub.poller.wake()

    def holds(self) -> bool:
        """Whether nothing is pending or running: no callback, no timer, no spawned coroutine."""
        return (
            not self._shared.live
            and not self._hub.timers.outstanding()
            and self._scheduler.is_quiet()
            # Asked again: a callback before the look may have started them.
            and not self._shared.live
            and not self._hub.timers.outstanding()
        )

    def end(self) -> None:
        """The runtime has ended: it is quiet for good."""
        self._over = True
        with self._lock:
            for bell in self.bells:
                bell.ring()

    def after_fork(self, lock: Lock) -> None:
        """In a forked child, where the old lock may be taken for ever, and nobody waits."""
        self._lock = lock
        self.bells = []
        self._over = True
