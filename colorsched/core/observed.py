"""The queue of an observed color: it tells the observer of every callback, from post to end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from colorsched.core.handle import EndTurn, unawaited
from colorsched.events import NOTHING, Ticket, told
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from colorsched.core.handle import Handle
    from colorsched.events import Observer

#: How many of those who posted one another are known at least (twice as many at most), so that who
#: posts itself for ever does not keep all its past.
LINEAGE: Final = 8


class Watched(Ticket):
    """A ticket in the place of its callback: to call it is to run that, and to tell."""

    __slots__ = ("call", "overtakes")

    call: Callable[..., object]
    """What to run: not always what the ticket shows, which is what the user posted."""
    overtakes: bool
    """It is put at the head of the queue, as the first step of a coroutine is."""

    def __call__(self, *args: Any) -> None:
        before = here.ticket
        here.ticket = self
        if told.get() is not NOTHING:  # who posted it told that, or another one in this context
            told.set(NOTHING)
        observer = self.observer
        observer.started(self)
        try:
            result = self.call(*args)
            if result is not None:
                unawaited(result, self.fn)
        except EndTurn:
            observer.ended(self, None)
            raise
        except BaseException as error:
            observer.ended(self, error)
            here.failed = self
            raise
        else:
            observer.ended(self, None)
        finally:
            here.ticket = before


class Planned:
    """In the place of a callback that a timer, a reader or a signal handler will post."""

    __slots__ = ("fn", "plan")

    def __init__(self, plan: Ticket, fn: Callable[..., object]) -> None:
        self.plan = plan
        self.fn = fn

    def __call__(self, *args: Any) -> None:
        plan, ticket = self.plan, here.ticket
        ticket.plan = plan
        ticket.generation = plan.generation
        plan.observer.recalled(plan)
        result = self.fn(*args)
        if result is not None:
            unawaited(result, self.fn)

    def __repr__(self) -> str:
        return repr(self.plan)


class ObservedAside(deque["Handle"]):
    """Where callbacks wait for a hold's end. They come from the queue, but for first steps."""

    __slots__ = ("_queue",)

    def __init__(self, queue: ObservedQueue) -> None:
        super().__init__()
        self._queue = queue

    def appendleft(self, handle: Handle, /) -> None:
        self._queue.announce(handle, overtakes=True)
        super().appendleft(handle)


class ObservedQueue(deque["Handle"]):
    """A color's queue. Whoever appends a handle posts it, and its callback gets a ticket."""

    __slots__ = ("key", "lineage", "numbers", "observer")

    def __init__(
        self, key: Hashable, observer: Observer, numbers: Iterator[int], lineage: int = LINEAGE
    ) -> None:
        super().__init__()
        self.key = key
        self.observer = observer
        self.numbers = numbers
        self.lineage = lineage

    def append(self, handle: Handle, /) -> None:
        self.announce(handle)
        super().append(handle)

    def appendleft(self, handle: Handle, /) -> None:
        self.announce(handle, overtakes=True)
        super().appendleft(handle)

    def announce(self, handle: Handle, *, overtakes: bool = False) -> None:
        """Put a ticket in the place of the handle's callback, and tell that it is posted."""
        try:
            call, fn = handle[0], handle.subject()
        except IndexError:
            return  # cancelled before it was posted, as timers are
        if isinstance(call, Watched):  # a descriptor's handle, posted again
            fn, call = call.fn, call.call
        by = here.ticket
        if by is None and here.lane is not None:
            kind = "timer" if hasattr(handle, "when") else "io"
        else:
            kind = "loop" if handle.inner else "post"
        ticket = Watched(self.observer, next(self.numbers), self.key, fn, kind, by)
        ticket.call = call
        ticket.overtakes = overtakes
        forget_beyond(ticket, self.lineage)
        self.observer.posted(ticket)
        try:
            handle[0] = ticket
        except IndexError:
            self.observer.dropped(ticket, "cancelled")  # just now, by another thread


def forget_beyond(ticket: Ticket, lineage: int) -> None:
    """Cut the line of those who led to a new ticket where it is too long, now and then."""
    if ticket.generation % lineage:
        return
    last: Ticket | None = ticket
    for _ in range(lineage):
        last = last and (last.by or last.plan)
    # What is dispatched may run still, as a part of who did it.
    while last is not None and (last.by is None or last.kind == "dispatch"):
        last = last.by or last.plan
    if last is not None:
        last.by = None
