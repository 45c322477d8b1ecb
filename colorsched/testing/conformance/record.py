"""What happened while a program ran, as plain events in the order in which they happened."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from attrs import Factory, define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What an event says:
#:
#: ``posting`` and ``posted``
#:     a callback is about to be started, and its start has returned; the detail of ``posting`` is
#:     how it was started, and its color's key
#: ``begin`` and ``end``
#:     of a callback, or of a whole coroutine; the detail of ``begin`` is what the callback saw of
#:     the message left for it in memory just before its posting
#: ``enter`` and ``leave``
#:     of each stretch of code that runs in one go; the detail of ``enter`` is the key of the color
#:     that ran it, as a tuple of one, or None where that cannot be told
#: ``raised``
#:     it is about to raise its error
#: ``cancel``
#:     somebody tried to cancel it; the detail is whether that worked
#: ``outcome``
#:     in the end; the detail is a pair: ``("handle", reason or None)`` or
#:     ``("future", "pending" | "cancelled" | "result" | "error")`` and, for the last two, as a
#:     third item the result, or what became of the error's number (see ``handled``)
#: ``handled``
#:     its error reached the exception handler
#: ``foreign``
#:     another error reached the exception handler; the detail is what it looks like
#: ``drained``
#:     all is said to be quiet (the detail: or not in time)
What = Literal[
    "posting", "posted", "begin", "end", "enter", "leave", "raised", "cancel", "outcome",
    "handled", "foreign", "drained",
]  # fmt: skip

#: The number of events that are about no callback.
NOBODY = -1


@frozen
class Event:
    """Something that happened. All of it is plain data, so it may come from another process."""

    what: What
    number: int
    """Of the callback."""
    detail: Any = None
    at: int = field(factory=time.monotonic_ns, eq=False)
    """When, in nanoseconds of the system's monotonic clock; to merge records by."""


@define
class Recorder:
    """All that happened, in order.

    Threads append to one list, so what happened before stands before. Events of other processes are
    put in by their time with ``merge``.
    """

    events: list[Event] = Factory(list)

    def note(self, what: What, number: int, detail: Any = None) -> None:
        """Record that something happened just now. Thread-safe."""
        self.events.append(Event(what, number, detail))

    def merge(self, events: Iterable[Event]) -> None:
        """Put in what was recorded elsewhere, by its time."""
        self.events.extend(events)
        self.events.sort(key=lambda event: event.at)
