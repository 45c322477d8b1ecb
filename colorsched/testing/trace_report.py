"""What checking a trace gives: a summary, or an error that shows the events that led there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from colorsched.errors import ColorschedError

if TYPE_CHECKING:
    from colorsched.testing.trace_format import Event

#: Points of the contract.
SERIAL, FIFO, CAUSAL, LOST = 1, 2, 3, 6
POINTS = {SERIAL: "serial", FIFO: "first in, first out", CAUSAL: "causal", LOST: "nothing lost"}


class NotConforming(ColorschedError, AssertionError):
    """A trace breaks the ordering contract.

    ``point`` is the number of the broken point; ``color`` the color, as text; ``tickets`` are the
    callbacks' numbers; ``events`` what led there.
    """

    def __init__(
        self,
        point: int,
        story: str,
        color: str | None,
        tickets: tuple[int, ...],
        events: list[Event],
    ) -> None:
        self.point = point
        self.color = color
        self.tickets = tickets
        self.events = events
        super().__init__(f"point {point} ({POINTS[point]}): {story}\n{table(events)}")


@frozen(kw_only=True)
class Summary:
    """What a trace that conforms held. All are counts."""

    events: int = 0
    posted: int = 0
    ran: int = 0
    """Callbacks that ended, failed ones among them."""
    failed: int = 0
    dropped: int = 0
    pending: int = 0
    """Neither run nor dropped when the trace ended; none, if it is complete."""
    undecided: int = 0
    """Of the pending ones those overtaken: out of order, unless they were just cancelled."""
    most_pending: int = 0
    most_colors: int = 0
    """Colors that had callbacks pending or running at once."""
    threads: int = 0
    complete: bool = False
    """Whether it was closed in order. If not, nothing is said of what came after its last event."""

    def __str__(self) -> str:
        if self.complete:
            verdict = "conforms"
        else:
            verdict = f"conforms up to event {self.events}, where it breaks off"
        verdict += f": {self.posted} posted, {self.ran} ran ({self.failed} failed)"
        verdict += f", {self.dropped} dropped"
        if self.pending:
            verdict += f", {self.pending} pending ({self.undecided} of them overtaken)"
        most = f"at most {self.most_pending} pending and {self.most_colors} colors at once"
        return f"{verdict}; {most}; {self.threads} threads"


def whose(second: Event, first: Event) -> str:
    """Why the order of two posts is certain."""
    if second.poster is not None and second.poster == first.poster:
        return f"color {first.poster} had posted that one before"
    if second.poster is None and first.poster is None and second.thread == first.thread:
        return f"thread {first.thread} had posted that one before"
    return "that one was in the queue when it was posted"


def table(events: list[Event]) -> str:
    """Events as aligned text, one a line; times are since the first."""
    if not events:
        return ""
    begin = events[0].time_ns
    rows = [
        (
            f"{(event.time_ns - begin) / 1e6:.3f} ms",
            f"thread {event.thread}",
            event.what,
            "" if event.ticket is None else f"#{event.ticket}",
            event.color or "",
            " ".join(filter(None, (event.kind, event.name, event.detail, _by(event)))),
        )
        for event in events
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        time, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join((row[0].rjust(len(time)), *rest)).rstrip())
    return "\n".join(lines)


def _by(event: Event) -> str | None:
    return None if event.by is None else f"by #{event.by} in {event.poster}"
