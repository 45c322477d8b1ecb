"""What the asyncio loops of all colors of one runtime share."""

from __future__ import annotations

import asyncio
import sys
import weakref
from asyncio import coroutines
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from colorsched.aio.loop import ColorLoop
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from colorsched.core.queue import ColorQueue
    from colorsched.core.waits import WaitGraph
    from colorsched.events import Observer
    from colorsched.ports import Lock
    from colorsched.sources.hub import Hub


class Shared:
    """Sources, the tasks that ``drain`` waits for, and the pool for blocking calls."""

    loop_type: type[ColorLoop] = ColorLoop
    """What loops are made of. A simulation has its own."""

    def __init__(
        self, hub: Hub, waits: WaitGraph, lock: Lock, observer: Observer | None = None
    ) -> None:
        self.hub = hub
        self.observer = observer
        self.numbers = count(1)
        """Of the tickets that the observer gets."""
        self.waits = waits
        self.live: set[asyncio.Task[Any]] = set()
        """Spawned and holding tasks: kept alive, and waited for, until they end."""
        self.generators = Generators()
        is_debug: Any = vars(coroutines)["_is_debug_mode"]  # not in typeshed
        self.debug: bool = is_debug()
        """Whether asyncio's debug mode is on from the start: ``-X dev``, ``PYTHONASYNCIODEBUG``."""
        self._lock = lock
        self._pool: ThreadPoolExecutor | None = None

    def make_loop(self, color: ColorQueue) -> ColorLoop:
        """The loop of a color that has none, or the one that another thread made meanwhile."""
        with self._lock:
            there = color.running_loop()
            if there is not None:
                return cast("ColorLoop", there)
            loop = self.loop_type(color, self)
            # Who ends the loops has stopped the scheduler before, and then had this lock (to end
            # the pool): either that is seen here, or the loop is seen there.
            if color._scheduler.stopped:
                loop.end()
            return loop

    def after_fork(self, lock: Callable[[], Lock]) -> None:
        """In a forked child, where the old locks may be taken for ever."""
        self._lock = lock()
        self.waits.after_fork(lock())

    def pool(self) -> ThreadPoolExecutor:
        """The pool of ``to_thread``, ``getaddrinfo`` and ``run_in_executor(None, ...)``."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(thread_name_prefix="colorsched-blocking")
            return self._pool

    def set_pool(self, pool: ThreadPoolExecutor) -> None:
        with self._lock:
            self._pool = pool

    def end_pool(self) -> None:
        """Wait for the pool's calls, as ``asyncio.run`` does, and end its threads."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


class Generators:
    """Which loop an async generator was first iterated in, so that it is closed there.

    Python calls a thread's hook when a generator is first iterated, and another, with the
    generator alone, when it is dropped unfinished. A thread of ours serves many loops, so the way
    back is kept here, by identity: a weak reference to the generator is already dead when that
    hook runs. Entries of generators that ended by themselves are swept out when they abound.
    """

    def __init__(self) -> None:
        self._loops: dict[int, tuple[weakref.ref[Any], weakref.ref[ColorLoop]]] = {}
        self._sweep_at = 64
        self._kept: set[ColorLoop] = set()
        """Loops that nobody uses any more, but for generators that may have to be closed there."""

    def keep(self, loop: ColorLoop) -> None:
        """Keep a loop alive that was about to go, until its generators have ended."""
        self._kept.add(loop)
        # Whatever referred to it weakly may have let go of it already, and then another thread may
        # have needed the color's loop, and made a new one. No lock: a finalizer calls this.
        reference = weakref.ref(loop)
        if loop.color.running_loop() is None:
            loop.color._loop = cast("weakref.ref[asyncio.AbstractEventLoop]", reference)
        for generator in list(loop._asyncgens):
            self._loops[id(generator)] = (weakref.ref(generator), reference)

    def _let_go(self) -> None:
        for loop in list(self._kept):
            if not loop._asyncgens:
                self._kept.discard(loop)

    def install(self) -> None:
        """Set the calling thread's hooks."""
        sys.set_asyncgen_hooks(firstiter=self._first, finalizer=self._final)

    def _first(self, generator: AsyncGenerator[Any, Any]) -> None:
        loop = running_color_loop()
        if loop is None:
            return
        loop._asyncgens.add(generator)
        if len(self._loops) >= self._sweep_at:
            for key, (alive, _) in list(self._loops.items()):
                if alive() is None:
                    self._loops.pop(key, None)
            self._sweep_at = 2 * len(self._loops) + 64
            self._let_go()
        self._loops[id(generator)] = (weakref.ref(generator), weakref.ref(loop))

    def _final(self, generator: AsyncGenerator[Any, Any]) -> None:
        _, reference = self._loops.pop(id(generator), (None, None))
        loop = None if reference is None else reference()
        if loop is not None:
            # The color may have another loop by now. Tasks of this one could not run any more: from
            # CPython 3.14 on, only those of the running loop can.
            loop = cast("ColorLoop", loop.color.running_loop() or loop)
        if loop is not None and not loop._closed:
            close: Callable[..., object] = loop.create_task
            loop.call_soon(close, generator.aclose())
        if self._kept:
            self._let_go()


def running_color_loop() -> ColorLoop | None:
    """The loop of the color that runs on this thread, if it has one."""
    lane = here.lane
    if lane is None or lane.color is None:
        return None
    loop: ColorLoop | None = lane.color.running_loop()
    return loop
