"""Every exception colorsched raises on its own account."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ColorschedError(Exception):
    """The base of all errors below. Catch it to catch whatever colorsched itself refuses."""


class RuntimeShutdown(ColorschedError, RuntimeError):
    """Work was offered to a runtime that no longer takes any.

    Raised by ``post``, ``submit`` and their kin after ``shutdown`` began, and in a forked child.
    """


class ForkedRuntime(RuntimeShutdown):
    """A runtime was used in a child process that was forked from its own.

    Threads do not survive a fork: make a new ``Runtime`` in the child, or start the child with
    ``spawn``.
    """


class NoRuntime(ColorschedError, RuntimeError):
    """A colored function was called where no runtime is current."""


class ColorDeadlock(ColorschedError, RuntimeError):
    """A color would wait for itself, directly or around a circle of colors.

    ``cycle`` holds the colors' keys, the first one again at the end.
    """

    def __init__(self, cycle: Sequence[object], advice: str) -> None:
        self.cycle = tuple(cycle)
        path = " -> ".join(repr(key) for key in self.cycle)
        super().__init__(f"{path}: each waits for the next, so none can go on. {advice}")


class WorkerLost(ColorschedError, RuntimeError):
    """A worker ended in the middle of work, which may have been done in whole, in part, or not.

    ``running`` names the work that it ran when it ended, such as ``load in color 'red'``. What was
    lost is not run again by itself, unless its poster said so (``Retry``): only who asked for it
    knows whether that does harm.
    """

    def __init__(self, running: str, detail: str = "") -> None:
        self.running = running
        self.detail = detail
        super().__init__(
            detail
            or f"the worker that ran {running} was lost, and nobody knows how far it came. "
            "Run it again if that does no harm."
        )

    def __reduce__(self) -> tuple[type[WorkerLost], tuple[str, str]]:
        return type(self), (self.running, self.detail)


class CannotTravel(ColorschedError, TypeError):
    """A callable, an argument or a result cannot be sent to where it is to go.

    Raised at submission for callables and arguments; results and errors that cannot come back are
    told by the future.
    """


class NoSlots(ColorschedError, RuntimeError):
    """Work was meant for a slot, or for something that only a slot's callback has."""


class NotInSlots(ColorschedError, RuntimeError):
    """A callback in a slot asked for what there is only in the parent process."""


class WrongThread(ColorschedError, RuntimeError):
    """An operation was asked for on a thread where Python cannot do it."""


class MissingExtra(ColorschedError, ImportError):
    """What was asked for needs a package that is not installed; ``extra`` brings it."""

    def __init__(self, package: str, *, extra: str) -> None:
        self.extra = extra
        super().__init__(f'{package} is not installed: pip install "colorsched[{extra}]"')


class ClusterUnreachable(ColorschedError, ConnectionError):
    """No cluster answers at the address given, or none can be started here; the text says why."""


class InternalError(ColorschedError, AssertionError):
    """A broken invariant of colorsched itself: a bug of ours, never of the caller's."""
