"""What waits to run in a slot: handles in a color's queue, and jobs, which left it for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, SupportsIndex

from attrs import Factory, define, field, frozen

from colorsched.core.handle import CLAIM, Handle, HandOver
from colorsched.errors import RuntimeShutdown
from colorsched.events import Ticket, name_of
from colorsched.executors.slots.inside import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future
    from contextvars import Context

    from colorsched.core.queue import ColorQueue
    from colorsched.core.slots import Slot
    from colorsched.errors import WorkerLost


def _positive(_record: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Retry: {attribute.name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"Retry: {attribute.name} must be at least 1, not {value}")


def _callable(_record: object, attribute: Any, value: object) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"Retry: {attribute.name} must be callable, not {value!r}")


@frozen
class Retry:
    """Run again what was lost with its slot, in the order of its color.

    Without it a callback runs at most once: if its slot dies while it runs, its future raises
    ``WorkerLost``. With it the callback runs again in another slot, at once, and the later ones of
    its color wait. So it may run in part and then as a whole, or twice: it must not matter.
    Exceptions are no losses, and never retried.

    Args:
        times: how often it is begun anew. A callback whose slot dies each time is given up then.
        dead_letter: called with a ``DeadLetter`` for each that was given up, in its color, in the
            parent process, before the next callback of the color runs. Its future raises
            ``WorkerLost`` in any case.

    >>> Retry(2).times
    2

    """

    times: int = field(default=3, validator=_positive)
    dead_letter: Callable[[DeadLetter], object] | None = field(default=None, validator=_callable)


def checked_retry(retry: object) -> Retry | None:
    """What was given as ``retry=``.

    Raises:
        TypeError: it is no ``Retry``.

    """
    if retry is not None and not isinstance(retry, Retry):
        raise TypeError(f"retry must be a Retry, as retry=Retry(3), not {retry!r}")
    return retry


@frozen
class DeadLetter:
    """A callback that was given up, since its slot died each time that it ran."""

    key: Hashable
    """Of its color."""
    fn: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    attempts: int
    """How often it was begun, as far as is known: 0 if no slot could begin it."""
    error: WorkerLost


class SlotHandle(Handle):
    """A callback that is to run in a slot: a list of function, (future, call, retry), context.

    A worker that meets it in its color's queue finds that it cannot be claimed for a thread: the
    color is handed over. Until its batch is made it can be cancelled like any other.
    """

    __slots__ = ()

    def pop(self, index: SupportsIndex = -1, /) -> NoReturn:
        """Hand the color over; see ``core.turn``. Not for what was cancelled, which needs no slot.

        Raises:
            IndexError: it was cancelled.

        """
        if len(self) <= CLAIM:
            raise IndexError
        raise HandOver(self)

    def claim(self) -> list[Job]:
        """Take the work: one job, or none if it was cancelled."""
        try:
            context = list.pop(self, CLAIM)
        except IndexError:
            return []
        fn, (future, call, retry) = self
        if future is not None and not future.set_running_or_notify_cancel():
            if isinstance(fn, Ticket):
                fn.observer.dropped(fn, "cancelled")
            return []
        return [Job(fn, future, call, retry, context)]

    def _dropped(self, args: tuple[Any, ...]) -> None:
        future = args[0]
        if future is not None and future.cancel():
            future.set_running_or_notify_cancel()  # those in concurrent.futures.wait() wait for it


class Again(SlotHandle):
    """Jobs that were in a batch and were not run, at the head of their color's queue."""

    __slots__ = ()
    inner: ClassVar[bool] = True
    """They had been started, as far as anybody knows: a shutdown does not drop them."""

    def claim(self) -> list[Job]:
        """Take them all."""
        try:
            jobs: list[Job] = list.pop(self, CLAIM)
        except IndexError:
            return []
        return jobs

    def _drop(self, why: str) -> bool:
        jobs = self.claim()
        for job in jobs:
            if job.future is not None:
                error = RuntimeShutdown(f"the runtime is over before {job.name} could run: {why}")
                job.future.set_exception(error)
        self.clear()
        return bool(jobs)


#: The answer of a slot that did not answer.
NOTHING = Answer(b"", [], [], {}, bound=False)


@define(eq=False)
class Job:
    """A callback on its way through slots."""

    fn: Callable[..., object] | Ticket
    """What was posted, or its ticket if the runtime is observed."""
    future: Future[Any] | None
    call: Any
    """Packed."""
    retry: Retry | None
    context: Context
    losses: int = 0
    """How often a slot died while it ran."""
    starts: int = 0
    """How many slots in a row have died before they began anything of its batch."""

    @property
    def name(self) -> str:
        """What people call it."""
        return name_of(self.fn.fn if isinstance(self.fn, Ticket) else self.fn)


@define(eq=False)
class Batch:
    """Jobs of one color that were sent to a slot together."""

    color: ColorQueue
    slot: Slot
    jobs: list[Job]
    sent: int
    """When, in nanoseconds of the runtime's clock; and when the answer came."""
    arrived: int = 0
    forget: list[int] = Factory(list)
    """The colors whose state its slot is to drop first."""
    answer: Answer = NOTHING
    lost: str | None = None
    """How the slot was lost, if it was."""
    came: tuple[int, int] | None = None
    """Of a lost batch: how many jobs had ended, and how many were begun, if that is known."""
    failed: BaseException | None = None
    """What the engine failed of, although it goes on."""

    def lead(self) -> int:
        """How far the slot's clock is ahead of the runtime's, as far as that shows.

        On one machine they are one clock. On another, what happened there must lie between sending
        and answer; it is put in the middle, as if both ways took equally long.
        """
        if not self.answer.times:
            return 0
        began, ended = self.answer.times[0], self.answer.times[-1]
        if self.sent <= began and ended <= self.arrived:
            return 0
        return (began + ended - self.sent - self.arrived) // 2
