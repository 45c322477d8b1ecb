"""Readiness of descriptors, posted to the colors that asked for it.

One callback of a descriptor and direction is under way at a time: from the moment it is posted
until it has run, readiness of it is not posted again. epoll's one-shot mode would do that at the
price of a system call for every event. Instead the descriptor stays armed, and only if the poller
reports it twice more while its callback is still under way is it disarmed, to be armed again when
the callback has run. With an unloaded color that never happens.

What a poll reports may be old by the time it is delivered: another worker may have run the
callback meanwhile, and read all there was. Therefore polls are numbered, and an event counts only
if its poll began after the descriptor's last callback ended. Nothing is missed by that: what is
still ready is reported by the next poll. So a reader may read from a blocking socket, as it may
in asyncio.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from colorsched.core.handle import Handle, InnerHandle, unawaited
from colorsched.errors import RuntimeShutdown
from colorsched.ports import FENCE, READ, WRITE, here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from colorsched.core.handle import Work
    from colorsched.core.queue import ColorQueue
    from colorsched.core.scheduler import Lane
    from colorsched.ports import Lock, Poller


class Interest:
    """One descriptor and direction, and the callback for it.

    Its one handle is posted again and again: starting it takes the context out (see
    ``core.handle``), posting puts it back. ``_idle`` has its one item while no callback is under
    way, and who takes that may post.
    """

    __slots__ = (
        "_context", "_fn", "_handle", "_idle", "_io", "_noted", "_removed", "_seen", "color",
        "disarmed", "fd", "mask",
    )  # fmt: skip

    def __init__(
        self,
        io: Io,
        color: ColorQueue,
        fd: int,
        mask: int,
        work: Work,
        *,
        inner: bool,
    ) -> None:
        self._io = io
        self.color = color
        self.fd = fd
        self.mask = mask
        fn, args, self._context = work
        self._fn: Callable[[], object] = partial(fn, *args) if args else fn
        self._handle = (InnerHandle if inner else Handle)((self._run, ()))
        self._idle: list[None] = [None]
        self._removed = False
        self._noted = False
        self._seen = io.polls
        """The newest poll that may have begun before the last callback ended."""
        self.disarmed = False

    def post(self, lane: Lane | None) -> None:
        """The descriptor is ready. Called by whoever polls, one at a time, with its lane.

        The color becomes ready in that lane without a look at who sleeps: ``deliver`` looks once
        for all.
        """
        # What an event costs is what a server is made of: ``_take`` and ``claim`` are written out.
        try:
            self._idle.pop()
        except IndexError:
            if not self._busy():
                return
        if self._seen >= self._io.polls:
            self._give_back()
            return
        self._noted = False
        handle = self._handle
        handle.append(self._context)
        color = self.color
        if handle.inner:
            color._queue.append(handle)
        else:
            try:
                color._inbox.append(handle)
            except RuntimeShutdown:
                self._io.remove(self.fd, self.mask)
                return
        if FENCE:
            color._token.reverse()
        if color._token:
            if lane is None:
                color._scheduler.wake(color)
                return
            try:
                color._token.pop()
            except IndexError:
                return
            lane.ready.append(color)

    def _busy(self) -> bool:
        """Ready again while the callback is under way. True if that has just ended."""
        # A worker that polls in the middle of a long lap sees that for what the lap has yet to
        # run, so the first time it is only noted.
        if not self._noted:
            self._noted = True
            return False
        # The callback first puts the item back and then looks at ``disarmed``; here it is the
        # other way round, with the list's own mutex between, so one of the two arms the
        # descriptor again.
        self._io.rearm(self, disarmed=True)
        if not self._take():
            return False
        self._io.rearm(self, disarmed=False)
        return True

    def _take(self) -> bool:
        try:
            self._idle.pop()
        except IndexError:
            return False
        return True

    def _give_back(self) -> None:
        self._idle.append(None)
        if self._removed:
            self.cancel()

    def _run(self) -> None:
        try:
            if not self._removed:
                result = self._fn()
                if result is not None:
                    unawaited(result, self._fn)
        finally:
            self._seen = self._io.polls
            self._idle.append(None)
            if self._removed:
                self.cancel()
            if self.disarmed:
                self._io.rearm(self, disarmed=False)

    def cancel(self) -> None:
        """No callback from now on, even if one is under way."""
        self._removed = True
        if self._take():
            self._handle.clear()  # it refers to us, and we to it
            self._fn = _nothing  # what it refers to may, by a traceback, refer to us

    def cancelled(self) -> bool:
        return self._removed


class Io:
    """Who wants to know of which descriptor. Thread-safe: one lock around each change."""

    def __init__(self, poller: Poller, lock: Lock) -> None:
        self._poller = poller
        self._lock = lock
        self._readers: dict[int, Interest] = {}
        self._writers: dict[int, Interest] = {}
        self.polls = 0
        """Counted up before each poll by whoever polls, one at a time."""

    def add(
        self,
        color: ColorQueue,
        fd: int,
        mask: int,
        work: Work,
        *,
        inner: bool,
    ) -> Interest:
        """Post ``work`` to ``color`` whenever ``fd`` is ready; replaces what stood there before.

        Raises what the poller raises for a descriptor it cannot watch (``OSError``).
        """
        interest = Interest(self, color, fd, mask, work, inner=inner)
        table = self._table(mask)
        with self._lock:
            before = table.get(fd)
            table[fd] = interest
            try:
                self._arm(fd)
            except BaseException:
                del table[fd]
                if before is not None:
                    before.cancel()
                raise
        if before is not None:
            before.cancel()
        return interest

    def remove(self, fd: int, mask: int) -> bool:
        """Forget a descriptor and direction. True if it was known."""
        with self._lock:
            interest = self._table(mask).pop(fd, None)
            if interest is None:
                return False
            interest.cancel()
            self._arm(fd, changed=True)
        return True

    def watched(self, fd: int) -> tuple[Interest | None, Interest | None]:
        """What waits for reading and for writing a descriptor."""
        return self._readers.get(fd), self._writers.get(fd)

    def rearm(self, interest: Interest, *, disarmed: bool) -> None:
        with self._lock:
            if interest.disarmed == disarmed or interest.cancelled():
                return
            interest.disarmed = disarmed
            self._arm(interest.fd, changed=True)

    def _table(self, mask: int) -> dict[int, Interest]:
        return self._readers if mask == READ else self._writers

    def _arm(self, fd: int, *, changed: bool = False) -> None:
        """Tell the poller what is wanted of ``fd`` now. Call with the lock held."""
        mask = 0
        for table in (self._readers, self._writers):
            interest = table.get(fd)
            if interest is not None and not interest.disarmed:
                mask |= interest.mask
        if not mask:
            # Not an empty mask: epoll would go on reporting hang-ups for it.
            self._poller.disarm(fd)
            return
        try:
            self._poller.arm(fd, mask)
        except OSError:
            if not changed:
                raise
            # Closed behind our back: nothing will be reported of it any more.
            self._poller.disarm(fd)

    def deliver(self, events: Iterable[tuple[int, int]]) -> None:
        """Post what the poller found. Called by whoever polls, one at a time."""
        readers, writers = self._readers, self._writers
        lane: Lane | None = here.lane
        for fd, mask in events:
            # Errors and hang-ups have bits of their own, and are for whoever listens.
            reader = readers.get(fd) if mask != WRITE else None
            writer = writers.get(fd) if mask != READ else None
            if reader is not None:
                reader.post(lane)
            if writer is not None:
                writer.post(lane)
            elif reader is None:
                self._nobody(fd)
        if lane is not None and len(lane.ready) > 1 and lane.scheduler.sleepers:
            lane.scheduler.wake_one()

    def _nobody(self, fd: int) -> None:
        with self._lock:
            self._arm(fd, changed=True)

    def remove_all(self) -> None:
        for table, mask in ((self._readers, READ), (self._writers, WRITE)):
            for fd in list(table):
                self.remove(fd, mask)

    def after_fork(self, lock: Lock) -> None:
        """In a forked child: forget all, without a word to the poller, which the parent shares."""
        self._lock = lock
        self._readers.clear()
        self._writers.clear()

    def __len__(self) -> int:
        return len(self._readers) + len(self._writers)


def _nothing() -> None:
    """What an interest calls that was removed."""
