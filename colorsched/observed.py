"""Colors that tell an observer what happens: what ``Runtime(observer=...)`` is made of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, TypeVarTuple

from colorsched.aio.future import ColorFuture
from colorsched.aio.loop import ColorLoop
from colorsched.color import Color
from colorsched.core.observed import (
    LINEAGE,
    ObservedAside,
    ObservedQueue,
    Planned,
    Watched,
    forget_beyond,
)
from colorsched.events import Ticket
from colorsched.ports import here

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator, Hashable, Iterable
    from concurrent.futures import Executor, Future

    from colorsched.core.scheduler import Lane, Scheduler
    from colorsched.core.waits import Node
    from colorsched.sources.timers import TimerHandle

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ObservedFuture(ColorFuture[T]):
    """A future that tells when it gets its outcome, and who has seen that."""

    def needs(self) -> Iterable[Node]:
        self._observer.looked(self)
        return super().needs()

    def done(self) -> bool:
        self._observer.looked(self)
        return self._notice(super().done())

    def cancelled(self) -> bool:
        self._observer.looked(self)
        return self._notice(super().cancelled())

    def running(self) -> bool:
        self._observer.looked(self)
        return super().running()

    def set_running_or_notify_cancel(self) -> bool:
        self._observer.looked(self)
        return super().set_running_or_notify_cancel()

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        self._observer.looked(self)

        def called(future: Future[T]) -> None:
            self._observer.noticed(self)  # perhaps who adds it calls it, at once
            fn(future)

        super().add_done_callback(called)

    def set_result(self, result: T) -> None:
        self._observer.completed(self)
        super().set_result(result)

    def set_exception(self, exception: BaseException | None) -> None:
        self._observer.completed(self)
        super().set_exception(exception)

    def cancel(self) -> bool:
        if super().done():
            self.done()  # too late: it gets no outcome from here, and this one learns that
        else:
            self._observer.completed(self)
        return super().cancel()

    def result(self, timeout: float | None = None) -> T:
        try:
            return super().result(timeout)
        finally:
            self._seen()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return super().exception(timeout)
        finally:
            self._seen()

    def __await__(self) -> Generator[Any, None, T]:
        try:
            return (yield from super().__await__())
        finally:
            self._seen()

    def _notice(self, over: bool) -> bool:  # noqa: FBT001 - what was seen
        if over:
            self._observer.noticed(self)
        return over

    def _seen(self) -> None:
        self._observer.looked(self)
        if super().done():
            self._observer.joined(self)

    @property
    def _observer(self) -> Any:
        return self.color._scheduler.shared.observer


class ObservedLoop(ColorLoop):
    """A loop that tells what its threads come after, and what comes after them."""

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        # Nothing may be put around what goes to another process: it is pickled.
        if executor is not None and not isinstance(executor, ThreadPoolExecutor):
            return super().run_in_executor(executor, func, *args)
        observer = self.shared.observer
        assert observer is not None
        number = next(self.shared.numbers)
        plan = Ticket(observer, number, self.color.key, func, "plan", here.ticket)
        observer.planned(plan)

        def call(*args: *Ts) -> T:
            observer.recalled(plan)
            try:
                return func(*args)
            finally:
                observer.completed(plan)

        future = super().run_in_executor(executor, call, *args)
        if future.done():
            observer.joined(plan)  # as quick as that: who awaits it will not even stop
        else:
            # The first of its callbacks, so before that of whoever awaits it.
            future.add_done_callback(lambda _: observer.joined(plan))
        return future


class ObservedColor(Color):
    """A color of a runtime that has an observer."""

    __slots__ = ()
    future_type = ObservedFuture
    lineage: ClassVar[int] = LINEAGE
    """How far back tickets know who posted whom."""

    def __init__(self, key: Hashable, scheduler: Scheduler) -> None:
        super().__init__(key, scheduler)
        shared = self._shared
        assert shared.observer is not None
        queue = ObservedQueue(key, shared.observer, shared.numbers, self.lineage)
        if self._inbox is self._queue:
            self._inbox = queue
        self._queue = queue

    def _run_inside(self, lane: Lane, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        shared = self._shared
        observer = shared.observer
        assert observer is not None
        number = next(shared.numbers)
        ticket = Watched(observer, number, self.key, fn, "dispatch", here.ticket)
        ticket.call = fn
        observer.posted(ticket)
        super()._run_inside(lane, ticket, args)

    def make_aside(self) -> None:
        if self._aside is None:
            assert isinstance(self._queue, ObservedQueue)
            self._aside = ObservedAside(self._queue)

    def _plan(self, fn: Callable[..., object]) -> Callable[..., object]:
        shared = self._shared
        observer = shared.observer
        assert observer is not None
        plan = Ticket(observer, next(shared.numbers), self.key, fn, "plan", here.ticket)
        forget_beyond(plan, self.lineage)
        observer.planned(plan)
        return Planned(plan, fn)

    def call_at(self, when: float, fn: Callable[..., object], /, *args: Any) -> TimerHandle:
        return super().call_at(when, self._plan(fn), *args)

    def _watch(self, fd: Any, mask: int, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        super()._watch(fd, mask, self._plan(fn), args)

    def add_signal_handler(self, signum: int, fn: Callable[..., object], /, *args: Any) -> None:
        super().add_signal_handler(signum, self._plan(fn), *args)
