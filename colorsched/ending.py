"""The end of a runtime: coroutines cancelled, generators closed, threads ended, in this order."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from colorsched.core.handle import InnerHandle
from colorsched.core.scheduler import drop_all
from colorsched.errors import RuntimeShutdown
from colorsched.sources.signals import Bell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from colorsched.aio.shared import Shared
    from colorsched.core.scheduler import Scheduler
    from colorsched.executors.slots.manager import Slots
    from colorsched.executors.threads import Workers
    from colorsched.ports import Doors, Lock
    from colorsched.quiet import Quiet
    from colorsched.sources.hub import Hub

log = logging.getLogger("colorsched")


class Ending:
    """Ends a runtime, once. Thread-safe.

    ``wait``: waits for a bell, as for ``Quiet``. ``over``: called when all has ended.
    """

    def __init__(
        self,
        doors: Doors,
        scheduler: Scheduler,
        shared: Shared,
        hub: Hub,
        *,
        slots: Slots | None,
        workers: Workers,
        quiet: Quiet,
        wait: Callable[[Bell, float | None], bool],
        over: Callable[[], None],
    ) -> None:
        self._doors = doors
        self._scheduler = scheduler
        self._shared = shared
        self._hub = hub
        self._slots = slots
        self._workers = workers
        self._quiet = quiet
        self._wait = wait
        self._over = over
        self._lock = doors.lock()
        self._ended = Bell(doors)
        self._thread: Any = None
        """Ends the runtime, once that has begun."""
        self._cancelled: set[asyncio.Task[Any]] = set()
        """Tasks that the end has cancelled, until they have ended."""

    # -- from outside -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Take no more work, and see to it that all ends. Harmless when it has begun."""
        error = RuntimeShutdown(
            "the runtime is shut down and takes no more work: post before shutdown() or the end "
            "of the with block, or make a new Runtime"
        )
        with self._lock:
            first = self._scheduler.closed is None
            if first:
                self._scheduler.close(error)
        if first:
            self._hub.timers.close(error)
        if threading.current_thread() is threading.main_thread():
            self._hub.signals.remove_all()
        if first:
            # On a thread of its own, so that it can be waited for or not.
            self._thread = self._doors.thread(self._end, "colorsched-shutdown")

    def wait(self) -> None:
        """Wait until all has ended."""
        self._wait(self._ended, None)
        if self._thread is not None:
            self._thread.join()

    def cancel_all(self) -> None:
        """Drop what has not started, and cancel what has, or is about to."""
        for color in self._scheduler.registry.alive():
            drop_all(color, "shut down")
        self._cancel_coming()
        self._cancel_live()

    def cancel_coroutines(self) -> None:
        """Cancel all coroutines, those in the background too, and wait for their end."""
        tasks = {*self._shared.live.copy(), *self._background()}
        self._cancel_coming()
        self._wait(self._cancel(tasks), None)

    def abandon(self) -> None:
        """At the interpreter's exit, where no thread can be started any more: just end."""
        if self._thread is None:
            self._say_what_is_lost()
        elif self._ended.wait(0.1, lambda: None):
            return
        self._scheduler.close(RuntimeShutdown("the interpreter is exiting"))
        self._workers.end()
        if self._slots is not None:
            self._slots.end(wait=False)
        for thread in self._workers.threads:
            thread.join(timeout=0.1)  # one that is stuck in a callback is a daemon, and dies

    def _say_what_is_lost(self) -> None:
        left = sum(color.pending() for color in self._scheduler.registry.alive())
        if left:
            log.warning(
                "a Runtime was not shut down, so callbacks that had not started are dropped (%d): "
                "use it in a with block, or call shutdown()",
                left,
            )

    def after_fork(self, lock: Lock) -> None:
        """In a forked child: nothing of ours is there to be ended."""
        self._lock = lock
        self._ended = Bell(self._doors)
        self._ended.ring()

    # -- coroutines -------------------------------------------------------------------------------

    def _cancel_coming(self) -> None:
        """Cancel coroutines that are about to start, too: look again after what is queued."""
        for color in self._scheduler.registry.alive():
            if not color.is_idle():
                color.post_inner(InnerHandle((self._cancel_live, (), copy_context())))

    def _cancel_live(self) -> None:
        self._cancel(self._shared.live.copy())

    def _cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> Bell:
        """Cancel asyncio tasks, each in its color. The bell rings when all have ended.

        Each is cancelled once: a second cancel would break into the cleaning up after the first.
        """
        ended = Bell(self._doors)
        left = set(tasks)
        with self._lock:
            new = left.difference(self._cancelled)
            self._cancelled.update(new)

        def cancel(task: asyncio.Task[Any]) -> None:
            task.add_done_callback(gone)
            if task in new:
                task.cancel()

        def gone(task: asyncio.Task[Any]) -> None:
            self._cancelled.discard(task)
            left.discard(task)
            if not left:
                ended.ring()

        if not left:
            ended.ring()
        for task in left.copy():
            task.get_loop().call_soon_threadsafe(cancel, task)
        return ended

    def _background(self) -> list[asyncio.Task[Any]]:
        return [
            task
            for loop in running_loops(self._scheduler)
            for task in asyncio.all_tasks(loop)
            if not task.done()
        ]

    def _close_generators(self, loop: Any) -> None:
        if "_asyncgens" not in vars(loop):
            return
        closed = Bell(self._doors)
        done = asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop)
        done.add_done_callback(lambda _: closed.ring())
        self._wait(closed, None)
        done.result()

    # -- all of it --------------------------------------------------------------------------------

    def _end(self) -> None:
        try:
            self._wind_up()
        finally:
            self._over()
            self._ended.ring()
            self._quiet.end()

    def _wind_up(self) -> None:
        self._quiet.wait()
        self._wait(self._cancel(self._background()), None)
        self._quiet.wait()
        for loop in running_loops(self._scheduler):
            self._close_generators(loop)
        self._quiet.wait()
        self._hub.io.remove_all()
        self._hub.timers.drop("shut down", inner=True)
        self._workers.end()
        self._workers.join()
        self._scheduler.stop()
        if self._slots is not None:
            self._slots.end()
        self._shared.end_pool()
        for loop in running_loops(self._scheduler):
            loop.end()
        self._hub.close()


def running_loops(scheduler: Scheduler) -> list[Any]:
    """The asyncio loops of the colors that are alive."""
    loops = (color.running_loop() for color in scheduler.registry.alive())
    return [loop for loop in loops if loop is not None]
