"""Executors with one lane that a test drives: it holds calls, and runs or breaks them when told."""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from colorsched import Runtime, slots
from colorsched.ports import Doors, LockParker
from colorsched.sources.poller import open_poller
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched.executors.slots.inside import Answer, Order


class Call:
    """A batch on its way: run it, in whole or in part, or break its lane."""

    def __init__(self, lane: DrivenLane, fn: Callable[..., Any], order: Order) -> None:
        self.lane = lane
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()
        self._fn = fn
        self.order = order

    @property
    def size(self) -> int:
        return len(self.order.calls)

    def answer(self, most: int | None = None) -> Answer:
        """Run the first callbacks of the batch; give their answer, without telling it."""
        answer: Answer = self._fn(self.order._replace(calls=self.order.calls[:most]))
        return answer

    def run(self, most: int | None = None) -> None:
        """Run, and tell."""
        self.future.set_result(self.answer(most))

    def fail(self, error: BaseException) -> None:
        """The engine cannot run this batch, and goes on."""
        self.future.set_exception(error)

    def lose(self, came: tuple[int, int] | None = None) -> None:
        """The lane is gone, after so many callbacks had ended, and were begun."""
        self.lane.progress = came
        self.lane.broken = True
        self.future.set_exception(BrokenExecutor("unplugged"))


class DrivenLane(Executor):
    """Holds what it is given until the test takes it."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Call] = SimpleQueue()
        self.progress: tuple[int, int] | None = None
        self.broken = False
        self.over = threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.broken:
            raise BrokenExecutor("unplugged")
        call = Call(self, fn, *args, **kwargs)
        self.calls.put(call)
        return call.future

    def next(self) -> Call:
        """Wait for the next batch."""
        return self.calls.get(timeout=PATIENCE_SECONDS)

    def came(self) -> tuple[int, int] | None:
        return self.progress

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
        self.over.set()


class Maker:
    """Makes lanes for one slot, fails as often as it is told, and keeps all that it has made."""

    def __init__(self, *, fails: int = 0, error: BaseException | None = None) -> None:
        self.made: SimpleQueue[DrivenLane] = SimpleQueue()
        self.fails = fails
        self.error = error or OSError("no room")
        self.first = True

    def __call__(self) -> DrivenLane:
        if not self.first and self.fails:
            self.fails -= 1
            raise self.error
        self.first = False
        lane = DrivenLane()
        self.made.put(lane)
        return lane

    def next(self) -> DrivenLane:
        """Wait for the next lane that it makes."""
        return self.made.get(timeout=PATIENCE_SECONDS)


class Pauses:
    """Doors whose pauses between attempts to replace a slot take no time, and are noted."""

    def __init__(self) -> None:
        self.seconds: list[float | None] = []
        noted = self.seconds

        class Parker(LockParker):
            __slots__ = ()

            def park(self, timeout: float | None) -> bool:
                if threading.current_thread().name == "colorsched-slot":
                    noted.append(timeout)
                    return False
                return super().park(timeout)

        self.doors = Doors(poller=open_poller, parker=Parker)


class Driven:
    """A runtime on driven lanes, with what tests look at."""

    def __init__(self, lanes: Any, **options: Any) -> None:
        self.pauses = Pauses()
        self.failures: list[BaseException] = []
        options.setdefault("exception_handler", self.failures.append)
        options.setdefault("travel", "reference")
        self.rt = Runtime(executor=slots(lanes), doors=self.pauses.doors, **options)
        self.entered: SimpleQueue[tuple[Any, bool]] = SimpleQueue()
        """Each color that has come to the lines, by its key, and whether it must wait there."""
        lines: Any = self.rt._slots.lines  # type: ignore[union-attr]  # it has slots
        enter = lines.enter

        def noted(color: Any, now: float) -> Any:
            slot = enter(color, now)
            self.entered.put((color.key, slot is None))
            return slot

        lines.enter = noted

    def comes(self, key: object, *, waits: bool) -> None:
        """Wait until a color has come to the lines: the next one that does."""
        assert self.entered.get(timeout=PATIENCE_SECONDS) == (key, waits)

    def quiet(self) -> None:
        assert self.rt.drain(PATIENCE_SECONDS), f"not quiet: {self.rt.stats()}"


@contextmanager
def driven(*lanes: Any, **options: Any) -> Iterator[Driven]:
    """Give a runtime on such lanes; shut it down in the end, which must not take for ever."""
    made = Driven(lanes, **options)
    try:
        yield made
        made.quiet()
    finally:
        made.rt.shutdown(wait=False, cancel_futures=True)
    thread = made.rt._ending._thread
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "the shutdown hangs"
