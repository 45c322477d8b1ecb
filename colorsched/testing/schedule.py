"""A schedule as text: the choices of one run, so that the run can be had again."""

from __future__ import annotations

import base64
import binascii
import importlib
import inspect
import zlib
from typing import TYPE_CHECKING, Any

from attrs import frozen

from colorsched.testing.errors import TestingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = "cs1"

#: Longer lists of choices are compressed.
LONGEST = 400

#: No run makes more choices than that; a text that says so is damaged.
MOST = 10_000_000


class BadSchedule(TestingError, ValueError):
    """A text that is no schedule, or one whose program cannot be found."""


@frozen
class Schedule:
    """Which program, and which choices.

    As text it reads ``cs1:module:function/24/5=1,9=2``: 24 choices, all of them plain but the
    fifth and the ninth (counted from 0). A program that cannot be imported by its name (a lambda,
    a function inside another) is ``-``. What faults there could be stands behind: ``+cancel=*``.

    >>> text = str(Schedule("shop:main", (0, 0, 1, 0, 2)))
    >>> text
    'cs1:shop:main/5/2=1,4=2'
    >>> Schedule.parse(text).choices
    (0, 0, 1, 0, 2)

    """

    program: str
    choices: tuple[int, ...]
    faults: str = ""
    """As of ``str(Faults(...))``; empty if there were none."""

    @classmethod
    def of(cls, main: Callable[..., Any], choices: Sequence[int], faults: str = "") -> Schedule:
        """The schedule of a run of ``main``."""
        return cls(_name(main), tuple(choices), faults)

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read a schedule.

        Raises:
            BadSchedule: the text is none.

        """
        version, _, rest = text.strip().partition(":")
        if version != VERSION:
            raise BadSchedule(
                f"a schedule begins with {VERSION}: and was printed by a run that failed; "
                f"this does not: {text[:60]!r}"
            )
        try:
            rest, plus, faults = rest.partition("+")
            if plus and not faults:
                raise ValueError(faults)
            program, length, deviations = rest.rsplit("/", 2)
            if deviations.startswith("~"):
                packed = base64.urlsafe_b64decode(deviations[1:])
                deviations = zlib.decompress(packed).decode()
            if _count(length) > MOST:
                raise ValueError(length)
            choices = [0] * _count(length)
            for deviation in filter(None, deviations.split(",")):
                place, _, choice = deviation.partition("=")
                choices[_count(place)] = _count(choice)
        except (ValueError, IndexError, binascii.Error, zlib.error):
            raise BadSchedule(
                f"this schedule is damaged; copy it whole, from {VERSION}: to the end of the line: "
                f"{text[:60]!r}"
            ) from None
        return cls(program, tuple(choices), faults)

    def main(self) -> Callable[..., Any]:
        """Import the program.

        Raises:
            BadSchedule: it has no name, or is not found under it.

        """
        module, _, name = self.program.partition(":")
        if not name:
            raise BadSchedule(
                "this schedule does not name its program, which is not at the top level of a "
                "module: give it: replay(schedule, main)"
            )
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise BadSchedule(
                f"the program {self.program} of this schedule is not found ({error}); run where it "
                "can be imported, or give it: replay(schedule, main)"
            ) from error
        return found  # type: ignore[no-any-return]  # whatever stands there; it is called next

    def __str__(self) -> str:
        text = ",".join(f"{place}={choice}" for place, choice in enumerate(self.choices) if choice)
        if len(text) > LONGEST:
            text = "~" + base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()
        faults = f"+{self.faults}" if self.faults else ""
        return f"{VERSION}:{self.program}/{len(self.choices)}/{text}{faults}"


def _count(text: str) -> int:
    """A number as we write it; ``int`` takes signs, spaces and underscores, too."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)


def _name(main: Callable[..., Any]) -> str:
    name = getattr(main, "__qualname__", "<")
    module = inspect.getmodule(main)
    if module is None or "<" in name or module.__name__ == "__main__":
        return "-"
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module.__name__}:{name}" if found is main else "-"
