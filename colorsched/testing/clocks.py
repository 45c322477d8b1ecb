"""Which callback comes before which: happens-before with a clock per color, and the must order.

Two orders, for two questions about one run:

- :class:`HappensBefore`: could these two accesses have been concurrent? What one color did is in
  order, whatever ran where, so there is one vector clock per color, not per thread: that a worker
  ran two colors one after the other orders nothing.
- :class:`MustOrder`: could these two callbacks have run the other way around? Two callbacks of one
  color happen one before the other, but often only since one was posted a little earlier.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from colorsched.events import Observer
from colorsched.ports import here
from colorsched.testing.access import note_poster

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colorsched.events import Ticket, Told

#: What a clock says when it sends something: its index, its time, and what it knows of the others.
Snapshot = tuple[int, int, dict[int, int]]

#: Posted by nobody, these come from a timer, a descriptor or a signal: no code came before them.
SOURCES: Final = frozenset({"timer", "io"})


def inside(ticket: Ticket | None) -> Ticket | None:
    """The ticket of a callback; None for what counts as outside: no ticket, or one of ``main``."""
    return None if ticket is None or ticket.kind == "main" else ticket


class ColorClock:
    """How far one color is, and how far it knows the others to be.

    Its time goes up when it sends (posts, completes, releases), never when it receives. So all it
    did at one time was sent with the same snapshot, and who knows of that time knows everything
    the snapshot says: one comparison tells that there is nothing to learn.
    """

    __slots__ = ("index", "key", "known", "time", "told")

    def __init__(self, index: int, key: Hashable) -> None:
        self.index = index
        self.key = key
        self.time = 1
        self.known: dict[int, int] = {}
        """The times of others, by index. Never changed, only replaced: snapshots share it. It may
        hold an old time of its own, which nobody looks at."""
        self.told: Told | None = None
        """The accesses at this time that need not be told again."""

    def send(self) -> Snapshot:
        """All that came before now; what comes after is not in it."""
        time = self.time
        self.time = time + 1
        if self.told is not None:
            self.told.forget()
            self.told = None
        return (self.index, time, self.known)

    def join(self, snapshot: Snapshot) -> None:
        """From now on, all that is in the snapshot came before."""
        index, time, theirs = snapshot
        mine = self.known
        if index == self.index or mine.get(index, 0) >= time:
            return
        if not mine or mine is theirs:
            known = theirs.copy()
        else:
            known = mine.copy()
            for other, then in theirs.items():
                if then > known.get(other, 0):
                    known[other] = then
        known[index] = time
        self.known = known

    def knows(self, index: int, time: int) -> bool:
        """Whether what clock ``index`` did at ``time`` came before now."""
        return index == self.index or self.known.get(index, 0) >= time


class HappensBefore(Observer):
    """Keeps the clock of every color while a program runs.

    Ordered are: what a color does; a post and what was posted; the outcome of a future and who has
    seen it; setting a timer, reader or signal handler and its callbacks; a release of a lock and
    the next acquisition. A callback run by ``dispatch`` is a part of the one that dispatched it.
    All threads outside of the runtime share one clock: ordering too much there misses a race,
    ordering too little would report races that are none. The code of ``asyncio.to_thread`` counts
    as outside, too; it comes after who started it, and before who awaited it.

    Not seen is what else orders threads: the start and end of a ``threading.Thread``, events and
    queues, ``concurrent.futures.wait`` where nobody asks a future afterwards. Tell of it by
    ``released`` and ``acquired``, or hand things on by posts and futures.
    """

    def __init__(self) -> None:
        self._outside = ColorClock(0, None)
        self._clocks: dict[Hashable, ColorClock] = {}
        self._posts: dict[Ticket, Snapshot] = {}
        self._sent: WeakKeyDictionary[object, list[Snapshot]] = WeakKeyDictionary()
        """What futures, plans and locks hand on, while these live."""

    def clock_of(self, ticket: Ticket | None) -> ColorClock:
        """Return the clock of a callback's color; None, and ``main``, stand for the outside."""
        if ticket is None or ticket.kind == "main":
            return self._outside
        clock = self._clocks.get(ticket.key)
        if clock is None:
            clock = self._clocks[ticket.key] = ColorClock(len(self._clocks) + 1, ticket.key)
        return clock

    def posted(self, ticket: Ticket) -> None:
        """Remember what came before the post."""
        if type(ticket.fn) is not FunctionType:  # a function has a place of its own
            note_poster(ticket)
        by = ticket.by
        if by is not None or ticket.kind not in SOURCES:
            self._posts[ticket] = self.clock_of(by).send()

    def started(self, ticket: Ticket) -> None:
        """Let the color know what came before the post."""
        snapshot = self._posts.pop(ticket, None)
        if snapshot is not None:
            self.clock_of(ticket).join(snapshot)

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        """Let who dispatched it go on after it; anyone else learns nothing by an end."""
        if ticket.kind == "dispatch":
            self.clock_of(ticket.by).join(self.clock_of(ticket).send())

    def dropped(self, ticket: Ticket, why: str) -> None:
        """Forget what it will not need."""
        self._posts.pop(ticket, None)

    def planned(self, ticket: Ticket) -> None:
        """Remember what came before a timer, a reader or a signal handler was set."""
        note_poster(ticket)
        self._send(ticket, self.clock_of(ticket.by))

    def recalled(self, ticket: Ticket) -> None:
        """Let the callback know what came before it was planned."""
        self._receive(ticket)

    def completed(self, future: object) -> None:
        """Remember what came before the outcome."""
        self._send(future, self.clock_of(here.ticket))

    def joined(self, future: object) -> None:
        """Let the code that runs know what came before the outcome."""
        self._receive(future)

    def noticed(self, future: object) -> None:
        """As joined: who knows of the outcome comes after it."""
        self._receive(future)

    def released(self, lock: object) -> None:
        """Tell that the code that runs is about to release a lock, or to set an event.

        ``lock`` is anything that can be weakly referenced.
        """
        self._send(lock, self.clock_of(here.ticket))

    def acquired(self, lock: object) -> None:
        """Tell that the code that runs got a lock, or has seen that an event is set."""
        self._receive(lock)

    def settled(self) -> None:
        """Tell that all is quiet and that the outside knows it, as after ``Runtime.drain``."""
        for clock in self._clocks.values():
            self._outside.join(clock.send())

    def _send(self, thing: object, clock: ColorClock) -> None:
        # Who releases a lock knows what the one before handed on, so there is one snapshot; several
        # may set an event, and who waits for it comes after all of them.
        before = [one for one in self._sent.get(thing, ()) if not clock.knows(one[0], one[1])]
        self._sent[thing] = [*before, clock.send()]

    def _receive(self, thing: object) -> None:
        snapshots = self._sent.get(thing)
        if snapshots is not None:
            clock = self.clock_of(here.ticket)
            for snapshot in snapshots:
                clock.join(snapshot)


class _Step:
    """One callback in the must order; sets of callbacks are the bits of integers."""

    __slots__ = ("ahead", "bit", "issued", "past", "trail")

    def __init__(self, bit: int) -> None:
        self.bit = bit
        self.past = 0
        """What must come before its start."""
        self.trail = bit
        """What must come before whatever it does next."""
        self.issued = 0
        """What it and those of its trail have posted to queues."""
        self.ahead = 0
        """What its color's queue must give out before it."""


class MustOrder(Observer):
    """Of two callbacks of a run: must one come before the other in every schedule that has both?

    Give it to a single-threaded run that is to be explored; it costs some microseconds per
    callback and a bit per pair of callbacks.

    Why ``before`` is never too bold, one rule after the other. By induction over the run, what is
    in ``past`` of a callback must come before its start, and what is in ``trail`` before its next
    action:

    - *Post.* A callback starts after it was posted, and so after its poster's trail.
    - *Queue.* If of two posts to one queue the first must come before the second, the callbacks run
      in that order, as a queue is first in, first out; and what must come before the first one's
      end comes before the second one's start. That posts *happened* in some order says nothing: it
      is their posters that must be in order, up to the posts (they may stop between two of them).
      A color has two queues, for what is posted and for its asyncio loop, since a held color lets
      one wait and not the other. A coroutine's first step overtakes its loop's queue, so it is in
      neither; nor are timers and sources.
    - *Await.* A future's outcome is seen in the middle of a callback. It might have started before
      that outcome, and have waited or done something else; so what was joined comes before what
      it does next, not before its start. (When it did wait, the one that completed the future
      posted the step that goes on.) To have asked and ``noticed`` it says nothing: sooner, the
      answer would have been another.
    - *Dispatch.* The dispatched callback is a part of its dispatcher: it comes after that one's
      start and before what that one does next.
    - Not *succession in a color*, and not *locks*: another schedule may turn them round.
    """

    def __init__(self) -> None:
        self._outside = _Step(0)
        self._steps: dict[Ticket, _Step] = {}
        self._by_bit: list[_Step] = []
        self._queues: dict[tuple[Hashable, str], int] = {}
        self._sent: WeakKeyDictionary[object, tuple[int, int]] = WeakKeyDictionary()

    def before(self, first: Ticket, second: Ticket) -> bool:
        """Whether ``first`` must begin before ``second`` does; False where neither must."""
        return bool(self._step(first).bit & self._step(second).past)

    def before_next(self, other: Ticket, running: Ticket) -> bool:
        """Whether ``other`` must come before whatever ``running`` does next."""
        return bool(self._step(other).bit & self._step(running).trail)

    def _step(self, ticket: Ticket | None) -> _Step:
        if ticket is None or ticket.kind == "main":
            return self._outside
        step = self._steps.get(ticket)
        if step is None:
            step = self._steps[ticket] = _Step(1 << len(self._by_bit))
            self._by_bit.append(step)
        return step

    def posted(self, ticket: Ticket) -> None:
        """Take over the poster's trail, and what the queue must give out before."""
        by = ticket.by
        step = self._step(ticket)
        if by is None and ticket.kind in SOURCES:
            return
        poster = self._step(by)
        step.past |= poster.trail
        queue = _queue(ticket)
        if queue is not None:
            inside = self._queues.get(queue, 0)
            step.ahead = poster.issued & inside
            self._queues[queue] = inside | step.bit
            poster.issued |= step.bit
        step.issued |= poster.issued

    def started(self, ticket: Ticket) -> None:
        """Those ahead in the queue have run by now, so their trails are complete."""
        step = self._step(ticket)
        ahead = step.ahead
        while ahead:
            last = self._by_bit[ahead.bit_length() - 1]
            step.past |= last.trail
            step.issued |= last.issued
            ahead &= ~last.trail
        step.trail |= step.past

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        """Let who dispatched it go on after it."""
        if ticket.kind == "dispatch":
            step = self._step(ticket)
            self._follow(self._step(ticket.by), step.trail, step.issued)

    def planned(self, ticket: Ticket) -> None:
        """Remember what came before a timer, a reader or a signal handler was set."""
        self._send(ticket, self._step(ticket.by))

    def recalled(self, ticket: Ticket) -> None:
        """Begin after the plan: the callback has done nothing yet, so all of it comes after."""
        trail, issued = self._sent.get(ticket, (0, 0))
        step = self._step(here.ticket)
        step.past |= trail
        self._follow(step, trail, issued)

    def completed(self, future: object) -> None:
        """Remember what came before the outcome."""
        self._send(future, self._step(here.ticket))

    def joined(self, future: object) -> None:
        """Go on after what came before the outcome."""
        trail, issued = self._sent.get(future, (0, 0))
        self._follow(self._step(here.ticket), trail, issued)

    def settled(self) -> None:
        """Tell that all is quiet and that the outside knows it, as after ``Runtime.drain``."""
        everything = (1 << len(self._by_bit)) - 1
        self._follow(self._outside, everything, everything)

    def _send(self, thing: object, step: _Step) -> None:
        trail, issued = self._sent.get(thing, (0, 0))
        self._sent[thing] = (trail | step.trail, issued | step.issued)

    @staticmethod
    def _follow(step: _Step, trail: int, issued: int) -> None:
        step.trail |= trail
        step.issued |= issued


def _queue(ticket: Ticket) -> tuple[Hashable, str] | None:
    """Name the queue that a callback waits in, if what is posted there in order runs in order."""
    kind, by = ticket.kind, ticket.by
    if kind in {"post", "dispatch"}:
        return (ticket.key, "post")
    if kind == "loop" and by is not None and (by.kind == "loop" or by.key != ticket.key):
        return (ticket.key, "loop")
    return None
