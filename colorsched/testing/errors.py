"""What the testing kit raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.errors import ColorschedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class TestingError(ColorschedError):
    """The base of the kit's errors."""

    __test__ = False  # not a class of tests, though its name begins like one


class Stalled(TestingError, AssertionError):
    """Nothing can happen any more, and somebody still waits."""

    def __init__(self, waiting: Iterable[object]) -> None:
        self.waiting = tuple(map(str, waiting))
        super().__init__("nobody can go on, but: " + "; ".join(self.waiting))


class Livelock(TestingError, AssertionError):
    """A program did not come to rest within the steps allowed, even with fair turns."""

    def __init__(self, steps: int, colors: Sequence[str]) -> None:
        self.steps = steps
        self.colors = tuple(colors)
        super().__init__(
            f"no rest after {steps} steps, half of them fair; still ready: "
            f"{', '.join(colors) or 'nobody'}. If it needs more, give it more: most_steps=."
        )


class CannotSimulate(TestingError, RuntimeError):
    """The program asked for something that a simulation cannot do, or not repeat."""


class Blocked(CannotSimulate):
    """A callback waits for something real, and nobody else of the simulation runs meanwhile."""


class Aborted(BaseException):
    """Ends the callbacks that wait in a simulation that is over."""


class EndRun(BaseException):
    """Raised by a strategy: this run need not go on."""


class NeedsWatching(BaseException):
    """The program makes a promise, and nobody watches: begin again with somebody who does."""


class NeedsThreads(BaseException):
    """A callback blocks while ``main`` waits below it on the same stack; run them apart."""
