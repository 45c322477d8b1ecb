"""Timers: a heartbeat, a timeout that is cancelled, one that is not.

The callbacks share a list without a lock: all are of one color.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched import Runtime

if TYPE_CHECKING:
    from colorsched import Color

BEATS = 3


class Session:
    """A client's session, in a color of its own; ended when it was silent for too long."""

    def __init__(self, color: Color, patience: float) -> None:
        self.color = color
        self.patience = patience
        self.events: list[str] = []
        self.deadline = color.call_later(patience, self.end)

    def heard(self, number: int) -> None:
        """In the session's color: a sign of life, so the deadline moves."""
        self.events.append(f"beat {number}")
        self.deadline.cancel()
        self.deadline = self.color.call_later(self.patience, self.end)

    def end(self) -> None:
        """In the session's color: nothing was heard for `patience` seconds."""
        self.events.append("ended")


def main() -> None:
    """Let a few heartbeats arrive, then none."""
    with Runtime() as rt:
        color = rt.color("session:7")
        session = Session(color, patience=0.5)
        start = rt.time()
        for number in range(1, BEATS + 1):
            color.call_at(start + 0.02 * number, session.heard, number)
        never = color.call_later(3600, print, "an hour later")
        print("cancelled:", never.cancel(), never.cancelled())
    # Leaving the block waits for timers too: for the last deadline, but not for what was cancelled.
    print(*session.events, sep=", ")


if __name__ == "__main__":
    main()
