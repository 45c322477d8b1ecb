"""Colors as asyncio users write them: a queue and a task for each key, so that peers can run them.

What asyncio has no counterpart for does not fit: a callback that blocks on another's outcome fails.
"""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable


class Outcome(asyncio.Future[Any]):
    """The outcome of work in a color. Cancelled, it cancels the task that does the work."""

    task: asyncio.Task[Any] | None = None

    def result(self, _timeout: float | None = None) -> Any:
        """The outcome, if there is one already: a task can't block."""
        return super().result()

    def cancel(self, msg: Any = None) -> bool:
        """Cancel it, and its task."""
        if self.task is not None:
            return self.task.cancel(msg)
        return super().cancel(msg)

    def settle(self, value: Any = None, *, error: BaseException | None = None) -> None:
        """Set it, unless it was cancelled meanwhile."""
        if self.done():
            return
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)

    def take(self, task: asyncio.Task[Any]) -> None:
        """Get the task's outcome."""
        if task.cancelled():
            super().cancel()
        elif (error := task.exception()) is not None:
            self.settle(error=error)
        else:
            self.settle(task.result())


class Posted:
    """A callback that is still to come."""

    def __init__(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._fn: Callable[..., object] | None = fn
        self._args = args

    def run(self) -> None:
        """Its turn has come."""
        fn, self._fn = self._fn, None
        if fn is not None:
            fn(*self._args)

    def cancel(self) -> bool:
        """Do not run it; whether that was in time."""
        fn, self._fn = self._fn, None
        return fn is not None


class TaskColor:
    """A color: its callbacks run one after the other, in the order posted."""

    def __init__(self, colors: TaskColors) -> None:
        self._colors = colors
        self._queue: asyncio.Queue[Callable[[], Any]] = asyncio.Queue()
        colors.tasks.append(asyncio.create_task(self._work()))

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                waits = job()
                if waits is not None:
                    await waits
            except Exception as error:  # noqa: BLE001 - whatever the program raises is the finding
                self._colors.fail(error)
            self._colors.ended()

    def _put(self, job: Callable[[], Any]) -> None:
        self._colors.began()
        self._queue.put_nowait(job)

    def post(self, fn: Callable[..., object], *args: Any) -> Posted:
        """Run ``fn(*args)`` here."""
        posted = Posted(fn, args)
        self._put(posted.run)
        return posted

    def submit(self, fn: Callable[..., Any], *args: Any) -> Outcome:
        """Run it here and tell the outcome; a coroutine holds the color until it ends."""
        outcome = Outcome()

        def job() -> Any:
            if outcome.done():
                return None
            try:
                result = fn(*args)
            except Exception as error:  # noqa: BLE001 - it goes to who asks
                outcome.settle(error=error)
                return None
            if not inspect.iscoroutine(result):
                outcome.settle(result)
                return None
            return self._hold(result, outcome)

        self._put(job)
        return outcome

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Outcome:
        """Run the coroutine here, in turns with others at its awaits."""
        outcome = Outcome()

        begun = asyncio.Event()

        async def begin() -> Any:
            begun.set()
            return await coroutine

        def job() -> Any:
            if outcome.done():
                coroutine.close()
                return None
            self._colors.began()
            outcome.task = asyncio.create_task(begin())
            outcome.task.add_done_callback(end)
            return begun.wait()  # its first step comes in its turn

        def end(task: asyncio.Task[Any]) -> None:
            coroutine.close()  # if it was cancelled before it began
            begun.set()
            outcome.take(task)
            self._colors.ended()

        self._put(job)
        return outcome

    async def _hold(self, coroutine: Coroutine[Any, Any, Any], outcome: Outcome) -> None:
        outcome.task = task = asyncio.create_task(coroutine)
        await asyncio.wait([task])
        outcome.take(task)

    def call_at(self, when: float, fn: Callable[..., object], *args: Any) -> Timer:
        """Post it when it is due."""
        return Timer(self._colors, self, when, fn, args)


class Timer:
    """What a color will get when it is due."""

    def __init__(
        self,
        colors: TaskColors,
        color: TaskColor,
        when: float,
        fn: Callable[..., object],
        args: tuple[Any, ...],
    ) -> None:
        self._colors = colors
        self._colors.began()
        self._post = partial(color.post, fn, *args)
        self._handle = asyncio.get_running_loop().call_at(when, self._due)
        self._open = True

    def _due(self) -> None:
        self._open = False
        self._post()
        self._colors.ended()

    def cancel(self) -> None:
        """Do not post it, if it is not due yet."""
        if self._open:
            self._open = False
            self._handle.cancel()
            self._colors.ended()


class TaskColors:
    """As much of a runtime's API as the corpus needs, on the running asyncio loop."""

    def __init__(self) -> None:
        self._colors: dict[Hashable, TaskColor] = {}
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._error: BaseException | None = None
        self.tasks: list[asyncio.Task[Any]] = []

    def color(self, key: Hashable) -> TaskColor:
        """The color of that key."""
        if key not in self._colors:
            self._colors[key] = TaskColor(self)
        return self._colors[key]

    def time(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()

    def began(self) -> None:
        """One more piece of work is under way."""
        self._under_way += 1

    def ended(self) -> None:
        """One less."""
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()

    def fail(self, error: BaseException) -> None:
        """A callback failed: that ends the program."""
        self._error = error
        self._quiet.set()

    async def quiet(self, *, rest: float) -> None:
        """Wait until nothing is under way.

        Simulated time goes on when nothing else does, so a `rest` lets callbacks of futures run.

        Raises:
            Exception: what a callback raised.
        """
        while self._under_way and self._error is None:
            self._quiet.clear()
            await self._quiet.wait()
            await asyncio.sleep(rest)
        if self._error is not None:
            raise self._error


async def play(main: Callable[[Any], Any], *, rest: float = 1.0) -> None:
    """Run a program of colors to its end, `rest` seconds more, and call the check it returns."""
    rt = TaskColors()
    try:
        check = main(rt)
        if inspect.iscoroutine(check):
            check = await check
        await rt.quiet(rest=rest)
        if check is not None:
            check()
    finally:
        for task in rt.tasks:
            task.cancel()
