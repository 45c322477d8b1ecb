"""Callbacks that tell what they saw, by their results.

They can be imported wherever slots are. What they see is their color's dictionary where they run
(``colorsched.local``): it numbers those that have run there, so its numbers tell their order, and
whether two of them overlapped; and it is a new one if the color has moved. Of two in different
places the clock tells, on one machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from socket import gethostname

from attrs import frozen

from colorsched.current import local

#: How often who waits in another process looks whether it may go on.
LOOK_SECONDS = 0.001


@frozen
class Seen:
    """What a callback has seen."""

    number: int
    place: tuple[int, float]
    """Where it ran, as one life of its color's dictionary."""
    turn: int
    """How many of its color had run there before."""
    alone: bool
    """Whether no other one of its color was under way there."""
    machine: str
    """Whose clock says when it ran."""
    began: float
    ended: float


def witness(number: int, fails: bool = False, seconds: float = 0.0) -> Seen:  # noqa: FBT001, FBT002 - executors pass positional arguments on
    """Tell what is to be seen."""
    began = time.monotonic()
    state = local()
    alone = not state.get("inside", False)
    state["inside"] = True
    place = state.setdefault("place", (os.getpid(), time.monotonic()))
    turn = state.setdefault("turns", 0)
    state["turns"] = turn + 1
    while time.monotonic() < began + seconds:
        pass
    state["inside"] = False
    if fails:
        raise ReportedError(number)
    alone = alone and state["turns"] == turn + 1
    return Seen(number, place, turn, alone, gethostname(), began, time.monotonic())


def leave_no_state(number: int) -> int:
    """Use a color once, and leave nothing."""
    local().clear()
    return number


def leave() -> None:
    """Ask the process to exit."""
    raise SystemExit("planted by the conformance suite")


def wait_for(path: str, patience: float) -> bool:
    """Wait until a file is there: what any two processes of one machine share."""
    until = time.monotonic() + patience
    while not Path(path).exists():
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_SECONDS)
    return True


class ReportedError(Exception):
    """What a witness raises if it is to fail."""
