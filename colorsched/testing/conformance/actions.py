"""What a program of colored callbacks is; what one serial loop would make of it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from colorsched.runtime import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

#: How a callback or coroutine is started.
POST, SUBMIT, DISPATCH, TIMER, HOLD, SPAWN = "post", "submit", "dispatch", "timer", "hold", "spawn"

#: These run in the order in which they were posted.
IN_ORDER = (POST, SUBMIT, DISPATCH, HOLD)

#: These run to their end in one go.
CALLBACKS = (POST, SUBMIT, DISPATCH, TIMER)


@frozen
class Start:
    """Start something in a color. Coroutines have several parts, with awaits between them."""

    how: str
    color: int
    """The place of its key in the keys that the program is run with."""
    parts: tuple[tuple[Action, ...], ...] = ((),)
    seconds: float = 0.0


@frozen
class Cancel:
    """Cancel one of the things started so far."""

    which: int


@frozen
class Raise:
    """Fail here."""


Action = Start | Cancel | Raise


@frozen
class Program:
    """What to run: the actions of each poster."""

    scripts: tuple[tuple[Action, ...], ...]


def keys(colors: int) -> list[Hashable]:
    """Keys for so many colors; the first one is the default color."""
    return [DEFAULT, *(("color", number) for number in range(1, colors))]


def without_cancels(actions: Sequence[Action]) -> tuple[Action, ...]:
    """The same, with nothing cancelled."""
    return tuple(
        evolve(action, parts=tuple(map(without_cancels, action.parts)))
        if isinstance(action, Start)
        else action
        for action in actions
        if not isinstance(action, Cancel)
    )


def serially(actions: Sequence[Action]) -> list[int]:
    """The numbers of what runs, in order, when one loop runs everything that is posted.

    For programs of one color, without timers and coroutines, begun by one callback.
    """
    queue: list[tuple[int, Start]] = []
    started: list[int] = []
    gone: set[int] = set()
    order: list[int] = []
    numbers = count()
    todo: Sequence[Action] = actions
    while True:
        for action in todo:
            if isinstance(action, Start):
                number = next(numbers)
                started.append(number)
                queue.append((number, action))
            elif isinstance(action, Cancel) and started:
                number = started[action.which % len(started)]
                if number not in order:
                    gone.add(number)
        while queue and queue[0][0] in gone:
            queue.pop(0)
        if not queue:
            return order
        number, start = queue.pop(0)
        order.append(number)
        todo = start.parts[0]
