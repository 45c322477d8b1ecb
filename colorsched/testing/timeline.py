"""A run as a picture in text: a row for each color, a column for each step.

red   |#3 load |........|#5 save |
blue  |........|#4 bump |........|
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from colorsched.events import Observer
from colorsched.testing.callees import is_plumbing, short_name
from colorsched.testing.strategies import Recorded
from colorsched.testing.trace_names import Texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colorsched.events import Ticket

#: Widest picture, in characters; longer runs go on below.
WIDTH = 100

#: Only so many steps before the end are shown.
STEPS = 40


class Timeline(Observer):
    """Writes down which callback ran when, and where the schedule was not the plain one."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, int, str]] = []
        self._shown: list[tuple[str, int, str]] = []
        """Without what asyncio does between the steps of a program."""
        self._texts = Texts()

    def started(self, ticket: Ticket) -> None:
        """A step."""
        step = self.text_of(ticket.key), ticket.number, short_name(ticket.fn)
        self._steps.append(step)
        if not is_plumbing(ticket.fn):
            self._shown.append(step)

    def __len__(self) -> int:
        return len(self._steps)

    def text_of(self, key: Any) -> str:
        """A color's key, as it stands in the picture."""
        return key if isinstance(key, str) else self._texts.of(key)

    def label_after(self, color: str, count: int) -> str | None:
        """The first callback of a color after so many steps, such as ``red#5``."""
        for name, number, _ in self._steps[count:]:
            if name == color:
                return f"{name}#{number}"
        return None

    def difference(self, other: Timeline) -> str | None:
        """Where another run of the same schedule parts from this one; None: nowhere."""
        for place, (mine, its) in enumerate(zip_longest(self._steps, other._steps)):
            if mine != its:
                shown = ["nothing" if x is None else f"{x[0]}#{x[1]} {x[2]}" for x in (mine, its)]
                return f"step {place} was {shown[0]} in the one and {shown[1]} in the other"
        return None

    def draw(self) -> str:
        """The picture."""
        steps = self._shown[-STEPS:]
        if not steps:
            return "nothing ran"
        lines = []
        hidden = len(self._shown) - len(steps)
        if hidden:
            lines.append(f"... {hidden} steps before")
        rows = list(dict.fromkeys(color for color, _, _ in steps))
        margin = max(map(len, rows)) + 2
        for part in _parts(steps, WIDTH - margin):
            cells = [f"#{number} {name} " for _, number, name in part]
            for row in rows:
                shown = (
                    cell if color == row else "." * len(cell)
                    for cell, (color, _, _) in zip(cells, part, strict=True)
                )
                lines.append(f"{row:<{margin}}|{'|'.join(shown)}|")
            lines.append("")
        return "\n".join(lines).rstrip()


class Narrated(Recorded):
    """Makes recorded choices again, and notes which of them were not plain."""

    def __init__(self, choices: Sequence[int], timeline: Timeline) -> None:
        super().__init__(choices)
        self._timeline = timeline
        self._deviations: list[tuple[int, Any, Any]] = []
        self._faults: list[str] = []

    def choose(self, options: Sequence[Any]) -> int:
        """The recorded place."""
        place = super().choose(options)
        if place:
            self._deviations.append((len(self._timeline), options[place], options[0]))
        return place

    interrupt = choose

    def fault(self, options: Sequence[Any]) -> int:
        """The recorded place."""
        place = super().choose(options)
        if place:
            self._faults.append(str(options[place]))
        return place

    def tell(self) -> str:
        """The deviations in words: who went before whom, and what faults there were."""
        told = []
        for count, first, then in self._deviations:
            early = self._label(first, count)
            late = self._label(then, count)
            told.append(f"{early} before {late}")
        number = len(told)
        lines = ["the plain schedule: no deviation from FIFO"]
        if number:
            lines = [f"{number} deviation{'s' if number > 1 else ''} from FIFO: {'; '.join(told)}"]
        return "\n".join([*lines, *(f"fault: {fault}" for fault in self._faults)])

    def _label(self, option: Any, count: int) -> str:
        if not hasattr(option, "key"):
            option = option.color  # a caller: the callback, or main, that was stopped
            if option is None:
                return "what main does next"
        text = self._timeline.text_of(option.key)
        return self._timeline.label_after(text, count) or text


def _parts(steps: list[tuple[str, int, str]], width: int) -> list[list[tuple[str, int, str]]]:
    parts: list[list[tuple[str, int, str]]] = [[]]
    used = 0
    for step in steps:
        size = len(f"#{step[1]} {step[2]} ") + 1
        if used + size > width and parts[-1]:
            parts.append([])
            used = 0
        parts[-1].append(step)
        used += size
    return parts
