"""The future of work in a color: for threads to wait on, and for coroutines to await."""

from __future__ import annotations

import asyncio
import concurrent.futures
from concurrent.futures._base import PENDING
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

from colorsched.aio.condition import LazyCondition
from colorsched.core.waits import Stalled
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from threading import Condition

    from colorsched.core.queue import ColorQueue
    from colorsched.core.waits import Node, WaitGraph

T = TypeVar("T")

ADVICE_BLOCK = (
    "Work of another color may be waited for; work of one's own runs only after this callback. "
    "Call the function itself (fn.now(...)), or continue in a callback: future.add_done_callback."
)
ADVICE_HOLD = (
    "Do not await, while holding a color, work that needs it: call the function itself "
    "(await fn.now(...)), or use spawn(), which does not hold its color."
)


class ColorFuture(concurrent.futures.Future[T]):
    """A ``concurrent.futures.Future`` that can also be awaited, in any asyncio loop.

    ``result()`` and ``await`` raise ``ColorDeadlock`` where they could never return: inside a
    callback, on work of the same color, or of a color that waits for the caller's.
    """

    def __init__(self, color: ColorQueue, waits: WaitGraph) -> None:
        # The base's constructor would make a whole condition: see ``LazyCondition``.
        self._condition = cast("Condition", LazyCondition())
        self._state = PENDING
        self._result = None
        self._exception = None
        self._waiters = []
        self._done_callbacks: list[Any] = []
        self.color = color
        self._waits = waits
        self._spawned: Part | None = None
        """The coroutine under way, if it does not hold its color."""

    def needs(self) -> Iterable[Node]:
        """What must go on for this work to be done; see ``core.waits``."""
        if super().done():
            return ()
        if self._spawned is not None:
            return (self._spawned, Stalled(self.color))
        holder = self.color._hold
        return (Stalled(self.color),) if holder is None else (holder, Stalled(self.color))

    def result(self, timeout: float | None = None) -> T:
        """The result, waited for at most ``timeout`` seconds (None: for ever).

        Raises:
            ColorDeadlock: the calling callback is what the work waits for.
            TimeoutError: it was not done in time.
            CancelledError: it was cancelled.

        """
        if not self.done():
            with self._blocking():
                return super().result(self._wait(timeout))
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception raised, or None; waits as :meth:`result` does, and raises the same."""
        if not self.done():
            with self._blocking():
                return super().exception(self._wait(timeout))
        return super().exception(timeout)

    def _wait(self, timeout: float | None) -> float | None:
        """How much of a timeout is left to be waited out by blocking. A simulation waits here."""
        return timeout

    @contextmanager
    def _blocking(self) -> Iterator[None]:
        """Enter who waits, if known: the calling callback's colors, its slot's, or a coroutine.

        That one waits for this thread: ``asyncio.to_thread`` hands its context on.
        """
        lane = here.lane
        waiters: list[Node] = []
        if lane is not None and lane.color is not None:
            waiters += [Stalled(color) for color in (lane.color, *lane.outer) if color is not None]
        elif self._is_in_slot():
            waiters.append(Stalled(self.color._scheduler.registry.get(here.slot.color.key)))
        else:
            part = current_waiter()
            waiters += [] if part is None else [part]
        entered: list[Node] = []
        try:
            for node in waiters:
                self._waits.enter(node, self, ADVICE_BLOCK)
                entered.append(node)
            yield
        finally:
            for node in entered:
                self._waits.leave(node, self)

    def _is_in_slot(self) -> bool:
        """Whether this runs in a slot of the runtime, which is a thread of this process then."""
        slots = self.color._scheduler.slots
        return slots is not None and slots.is_inside()

    def __await__(self) -> Generator[Any, None, T]:
        if self.done():
            if self.cancelled():
                raise asyncio.CancelledError  # as of asyncio's futures; ours has another class
            return super().result()
        waiter = current_waiter()
        if waiter is None:
            return (yield from asyncio.wrap_future(self).__await__())
        self._waits.enter(waiter, self, ADVICE_HOLD)
        try:
            return (yield from asyncio.wrap_future(self).__await__())
        finally:
            self._waits.leave(waiter, self)


class Part:
    """A coroutine that was spawned, or holds its color, as a node of the graph of waits.

    Contexts are copied by every post, so this lives as long as whatever the coroutine set going;
    when it ends, it lets go of everything.
    """

    __slots__ = ("_color",)

    def __init__(self, color: ColorQueue) -> None:
        self._color: ColorQueue | None = color

    @property
    def color(self) -> ColorQueue:
        """The color it runs in, while it does."""
        assert self._color is not None
        return self._color

    def end(self) -> None:
        """The coroutine has ended; it holds its color no more."""
        color, self._color = self._color, None
        if color is not None and color._hold is self:
            color._hold = None

    def is_in(self, color: ColorQueue | None) -> bool:
        """Whether it goes on still, in that color (None: in any)."""
        return self._color is not None and (color is None or self._color is color)


#: The coroutine that the running code is part of. Tasks that it starts inherit it: TaskGroup,
#: gather and the like wait for them.
PART_OF: ContextVar[Part | None] = ContextVar("colorsched.part", default=None)


def current_waiter() -> Part | None:
    """The node that waits if the running code awaits something; None if it keeps nobody waiting."""
    part = PART_OF.get()
    if part is None:
        return None
    lane = here.lane
    # Every post hands the context on, so this may be a callback of another color.
    return part if part.is_in(None if lane is None else lane.color) else None
