"""The ordering contract, checked event by event.

What is checked, by the points of ``docs/reference/contract.md``:

1. *Serial*: no callback of a color starts while another one of it runs.
2. *First in, first out*: whoever came into a color's queue first starts first. The moment of that
   lies between ``posted`` and the next event of the posting thread. So of two posts the first one
   was first for sure if the second's ``posted`` stands after that next event: always, if one poster
   made both; and also if one led to the other, by way of whatever other colors.
   Callbacks of a color's own asyncio loop, and timers and descriptors, of which some are the
   loop's, may overtake: they do while a coroutine holds the color. Nothing may overtake *them*.
3. *Causal*: nothing starts before it is posted.
6. *Nothing lost*: all that was posted has run or was dropped by the end, once; and in its color.

With one color that is also point 8, the same as serial. Not checked, since the events do not show
it: points 4, 5 and 7 (turns and threads), whether a coroutine holds its color, whether writes to
memory are seen. It supposes that finalizers and signal handlers post nothing while a post is on its
way to its queue.

What is kept: a record for each callback posted and not yet ended, one for each color that has any,
a number for each worker thread, and the last events, for the report. So memory is bounded by how
much is pending at once, not by the length of the trace.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from attrs import Factory, define, field

from colorsched.testing.trace_report import (
    CAUSAL,
    FIFO,
    LOST,
    SERIAL,
    NotConforming,
    Summary,
    whose,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.testing.trace_format import Event

#: Kinds of callbacks that overtake none; see above.
IN_ORDER = frozenset({"post", "dispatch"})

#: When a thread tells one of these, what it posted before is in its queue. The others may come from
#: a finalizer, which runs at any point, even between a post's event and the queue.
ARRIVED = frozenset({"posted", "started", "ended"})

#: The last events that are kept for the report of a violation, and how many of them it shows.
KEPT, TOLD = 256, 12


@define(eq=False)
class _Color:
    name: str | None
    waiting: dict[int, _Callback] = Factory(dict)
    """Posted and not started, in the order of their events, but for those overtaken."""
    overtaken: int = 0
    running: _Callback | None = None


@define(eq=False)
class _Callback:
    posted: Event
    at: int
    """The place of ``posted`` in the trace."""
    since: int
    """The place after which its posting began: where it was posted, or a little before."""
    color: _Color
    arrived: int | None = None
    """A place before which it was in its queue for sure."""
    started: Event | None = None
    overtaken_by: Event | None = None

    def __str__(self) -> str:
        return f"#{self.posted.ticket} {self.posted.name}"


@define(eq=False)
class _Origin:
    """What is pending in one process."""

    callbacks: dict[int | None, _Callback] = Factory(dict)
    colors: dict[str | None, _Color] = Factory(dict)
    posting: dict[int, _Callback] = Factory(dict)
    """By thread, what it posted last, if its arrival is not yet known."""
    workers: dict[int, int] = Factory(dict)
    """By thread that runs callbacks, the place of its last event."""
    highest: int = 0
    ended: bool = False


@define(eq=False)
class Conformance:
    """Checks events as they come. ``conforms`` does that for a whole trace."""

    summary: Summary = field(init=False, factory=Summary)
    """Of a trace that was checked to its end."""
    _origins: dict[str, _Origin] = field(init=False, factory=dict)
    _last: deque[Event] = field(init=False, factory=lambda: deque(maxlen=KEPT))
    _events: int = field(init=False, default=0)
    _posted: int = field(init=False, default=0)
    _ran: int = field(init=False, default=0)
    _failed: int = field(init=False, default=0)
    _dropped: int = field(init=False, default=0)
    _pending: int = field(init=False, default=0)
    _colors: int = field(init=False, default=0)
    _most_pending: int = field(init=False, default=0)
    _most_colors: int = field(init=False, default=0)
    _threads: int = field(init=False, default=0)
    _looks: dict[str, Callable[[Event, _Origin, int], None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._looks = {
            "posted": self._see_posted,
            "started": self._see_started,
            "ended": self._see_ended,
            "dropped": self._see_dropped,
            "thread": self._see_thread,
        }

    def see(self, event: Event) -> None:
        """Check the next event.

        Raises:
            NotConforming: the contract is broken.

        """
        origin = self._origins.get(event.origin)
        if origin is None:
            origin = self._origins[event.origin] = _Origin()
        what = event.what
        if what == "end":
            origin.ended = True
            return
        self._events = at = self._events + 1
        self._last.append(event)
        thread = event.thread
        if what in ARRIVED:
            arrived = origin.posting.pop(thread, None)
            if arrived is not None:
                arrived.arrived = at
        look = self._looks.get(what)
        if look is not None:
            look(event, origin, at)
        if thread in origin.workers:
            origin.workers[thread] = at

    def _see_posted(self, event: Event, origin: _Origin, at: int) -> None:
        number = event.ticket
        assert number is not None
        before = origin.callbacks.get(number)
        if before is not None:
            raise self._violation(LOST, f"#{number} was posted twice", event, before)
        color = origin.colors.get(event.color)
        if color is None:
            color = origin.colors[event.color] = _Color(event.color)
            self._colors += 1
            self._most_colors = max(self._most_colors, self._colors)
        # A dispatch tells when it is about to run, so others may have come after it had looked.
        since = origin.workers.get(event.thread, at) if event.kind == "dispatch" else at
        callback = _Callback(event, at, since, color)
        origin.callbacks[number] = color.waiting[number] = callback
        origin.posting[event.thread] = callback
        origin.highest = max(origin.highest, number)
        self._posted += 1
        self._pending += 1
        self._most_pending = max(self._most_pending, self._pending)

    def _see_started(self, event: Event, origin: _Origin, at: int) -> None:
        callback = origin.callbacks.get(event.ticket)
        if callback is None:
            raise self._unknown(event, origin)
        color = callback.color
        if callback.started is not None:
            raise self._violation(LOST, f"{callback} started twice", event, callback)
        if event.color != color.name:
            story = f"{callback} was posted to color {color.name} and started in {event.color}"
            raise self._violation(LOST, story, event, callback)
        if color.running is not None:
            story = f"{callback} started while {color.running} ran in color {color.name}"
            raise self._violation(SERIAL, story, event, color.running, callback)
        if callback.overtaken_by is not None:
            first = callback.overtaken_by
            story = (
                f"#{first.ticket} started before {callback} in color {color.name}, though "
                f"{whose(first, callback.posted)}"
            )
            raise self._violation(FIFO, story, event, callback, extra=first)
        callback.started = event
        if callback.posted.kind in IN_ORDER:
            self._overtake(callback)
        self._leave_queue(callback, origin)
        color.running = callback
        origin.workers[event.thread] = at

    def _overtake(self, second: _Callback) -> None:
        """Mark those that should have started before.

        That is no violation yet: they may have been cancelled, by a thread that has not told so.
        """
        waiting = second.color.waiting
        overtaken = []
        for first in waiting.values():
            if first is second or first.at > second.since:
                break
            if first.arrived is not None and first.arrived <= second.since:
                overtaken.append(first)
        for first in overtaken:
            # What says most of it: the post of the one that came too early.
            first.overtaken_by = second.posted
            del waiting[first.posted.ticket]  # type: ignore[arg-type]  # posted ones have numbers
            first.color.overtaken += 1

    def _see_ended(self, event: Event, origin: _Origin, at: int) -> None:
        callback = origin.callbacks.get(event.ticket)
        if callback is None:
            raise self._unknown(event, origin)
        if callback.started is None:
            story = f"{callback} ended, and its start is missing"
            raise self._violation(LOST, story, event, callback)
        callback.color.running = None
        self._forget(callback, origin)
        self._ran += 1
        self._failed += event.detail is not None

    def _see_dropped(self, event: Event, origin: _Origin, at: int) -> None:
        callback = origin.callbacks.get(event.ticket)
        if callback is None:
            raise self._unknown(event, origin)
        if callback.started is not None:
            story = f"{callback} was dropped ({event.detail}), though it had started"
            raise self._violation(LOST, story, event, callback)
        self._leave_queue(callback, origin)
        self._forget(callback, origin)
        self._dropped += 1

    def _see_thread(self, event: Event, origin: _Origin, at: int) -> None:
        self._threads += 1

    def _leave_queue(self, callback: _Callback, origin: _Origin) -> None:
        number = callback.posted.ticket
        assert number is not None
        if callback.overtaken_by is None:
            del callback.color.waiting[number]
        else:
            callback.color.overtaken -= 1
        if origin.posting.get(callback.posted.thread) is callback:
            del origin.posting[callback.posted.thread]

    def _forget(self, callback: _Callback, origin: _Origin) -> None:
        del origin.callbacks[callback.posted.ticket]
        self._pending -= 1
        color = callback.color
        if not color.waiting and not color.overtaken and color.running is None:
            del origin.colors[color.name]
            self._colors -= 1

    def _unknown(self, event: Event, origin: _Origin) -> NotConforming:
        """It started, ended or was dropped, and is not pending."""
        number = event.ticket
        assert number is not None
        if number > origin.highest:
            return self._violation(CAUSAL, f"#{number} {event.what} before it was posted", event)
        done = {"ended": "had ended", "dropped": "was dropped"}
        earlier = (e for e in reversed(self._last) if e is not event and e.ticket == number)
        why = next((done[e.what] for e in earlier if e.what in done), None)
        why = "was never posted, or ended long ago" if why is None else f"{why} before"
        return self._violation(LOST, f"#{number} {event.what}, though it {why}", event)

    def _violation(
        self, point: int, story: str, event: Event, *about: _Callback, extra: Event | None = None
    ) -> NotConforming:
        """The error, with what is known of the callbacks and the last events of their color."""
        tickets = tuple(dict.fromkeys(c.posted.ticket or 0 for c in about)) or (event.ticket or 0,)
        if extra is not None:
            tickets = (*tickets, extra.ticket or 0)
        recent = [
            e for e in self._last
            if e.origin == event.origin and (e.color == event.color or e.ticket in tickets)
        ]  # fmt: skip
        known = [e for c in about for e in (c.posted, c.started) if e is not None]
        if extra is not None:
            known.append(extra)
        shown = recent[-TOLD:]
        old = [e for e in dict.fromkeys(known) if not any(e is s for s in shown)]
        events = sorted(old, key=lambda e: e.time_ns) + shown
        return NotConforming(point, story, event.color, tickets, events)

    def finish(self, *, complete: bool | None = None) -> Summary:
        """Say that the trace is over. ``complete``: whether that is all; by default it tells.

        Raises:
            NotConforming: it is complete, and callbacks were lost.

        """
        origins = self._origins.values()
        if complete is None:
            complete = bool(origins) and all(origin.ended for origin in origins)
        left = [callback for origin in origins for callback in origin.callbacks.values()]
        if complete and left:
            callback = left[0]
            event = callback.started or callback.posted
            state = "never ended" if callback.started is not None else "never started"
            story = f"{callback} was posted to color {callback.color.name} and {state}"
            if callback.overtaken_by is not None:
                story += f" (#{callback.overtaken_by.ticket}, posted later, did)"
            if len(left) > 1:
                story += f", and so {len(left) - 1} more neither ran nor were dropped"
            raise self._violation(LOST, story, event, callback)
        self.summary = Summary(
            events=self._events,
            posted=self._posted,
            ran=self._ran,
            failed=self._failed,
            dropped=self._dropped,
            pending=len(left),
            undecided=sum(callback.overtaken_by is not None for callback in left),
            most_pending=self._most_pending,
            most_colors=self._most_colors,
            threads=self._threads,
            complete=complete,
        )
        return self.summary

    def kept(self) -> int:
        """How many records are kept now, besides the last events."""
        return sum(
            len(o.callbacks) + len(o.colors) + len(o.posting) + len(o.workers)
            for o in self._origins.values()
        )
