"""The runtime: worker threads, colors, sources, and their common beginning and end."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from colorsched.aio.shared import Shared
from colorsched.color import Color
from colorsched.core.scheduler import Scheduler
from colorsched.core.waits import WaitGraph
from colorsched.ending import Ending, running_loops
from colorsched.errors import ColorDeadlock, ForkedRuntime
from colorsched.events import Observer, Stats
from colorsched.executors.slots.engines import usable_cores
from colorsched.executors.slots.manager import Slots
from colorsched.executors.slots.placing import placing_for
from colorsched.executors.slots.settle import Settler
from colorsched.executors.threads import Workers
from colorsched.failures import Failures
from colorsched.observed import ObservedColor, ObservedLoop
from colorsched.placed import ObservedSlotColor, SlotColor
from colorsched.ports import Doors, gil_enabled, here
from colorsched.quiet import Quiet
from colorsched.sources.hub import Hub
from colorsched.sources.poller import open_poller

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from types import TracebackType

    from colorsched.aio.future import ColorFuture
    from colorsched.core.handle import Handle
    from colorsched.executors.slots.engines import slots
    from colorsched.executors.slots.jobs import Retry
    from colorsched.executors.slots.placing import Placing
    from colorsched.sources.signals import Bell
    from colorsched.sources.timers import TimerHandle

T = TypeVar("T")
P = ParamSpec("P")

#: How many threads more than ``workers`` a runtime may have when callbacks block.
SPARES = 32


class _Default:
    """The key of the default color."""

    def __repr__(self) -> str:
        return "DEFAULT"

    def __reduce__(self) -> str:
        return "DEFAULT"


#: The key of the color that uncolored work runs in.
DEFAULT: Hashable = _Default()


class Runtime:
    r"""Runs colored callbacks on worker threads.

    Args:
        workers: how many colors run at once. Default: the usable cores on a free-threaded
            interpreter, one with the GIL (where more only get into each other's way). With slots:
            how many of them; by default the usable cores.
        max_workers: how many threads there may be when callbacks block; spare workers take over
            for those that are stuck. Default: ``workers`` + 32.
        exception_handler: called with what a ``post``\ ed callback raised, in its color. Default:
            it is logged with its traceback, to ``logging.getLogger("colorsched")``.
        observer: told of every callback, from its post to its end (``colorsched.events``).
        executor: where plain callbacks run. ``"threads"``, or in slots: ``"processes"``,
            ``"interpreters"`` (CPython 3.14 and later), ``"ray"``, or ``slots([...])`` of your own.
            Coroutines, timers, descriptors and signals stay on threads of this process.
        address: of a Ray cluster to join; without one a local cluster is started.
        travel: how callables, arguments and results go to slots: ``"pickle"``, ``"cloudpickle"``
            (which takes lambdas and closures; Ray's default), or, where slots are in this process,
            ``"reference"``.
        retry: of callbacks that are lost with their slot. None: they run at most once.
        doors: the effects it is built on; for tests (see ``colorsched.ports``).

    As a context manager it is the current runtime of its block, which ends by waiting for all that
    was accepted (``drain``) and shutting down; if an interrupt or an exit leaves the block, what
    has not started is dropped instead.

    All methods are thread-safe.

    Raises:
        TypeError: ``workers`` or ``max_workers`` is no whole number, the handler not callable, or
            the observer no ``Observer``.
        ValueError: ``workers`` or ``max_workers`` is out of range; there is no such executor, or an
            option that is not for it.
        NoSlots: the executor cannot be had on this interpreter.
        MissingExtra: it needs a package that is not installed.
        ClusterUnreachable: no Ray cluster answers at the address.

    >>> with Runtime() as rt:
    ...     for word in ("one", "two", "three"):
    ...         handle = rt.color("words").post(print, word)
    one
    two
    three

    """

    _quiet_type = Quiet

    def __init__(
        self,
        workers: int | None = None,
        max_workers: int | None = None,
        *,
        exception_handler: Callable[[BaseException], object] | None = None,
        observer: Observer | None = None,
        executor: str | slots = "threads",
        address: str | None = None,
        travel: str | None = None,
        retry: Retry | None = None,
        doors: Doors | None = None,
    ) -> None:
        wanted = None if workers is None else _whole("workers", workers)
        # With slots ``workers`` counts these, and the threads beside them are as many as fit.
        count = wanted if wanted is not None and executor == "threads" else default_workers()
        most = _whole("max_workers", max_workers) if max_workers is not None else count + SPARES
        if most < count:
            raise ValueError(
                f"max_workers={most} is less than workers={count}: it counts all threads, those "
                "of `workers` and the spares that take over while callbacks block"
            )
        if exception_handler is not None and not callable(exception_handler):
            raise TypeError(f"exception_handler must be callable, not {exception_handler!r}")
        if observer is not None and not isinstance(observer, Observer):
            raise TypeError(f"observer must be a colorsched.events.Observer, not {observer!r}")
        # Last, since it may join a cluster: that is not to be left over if an option is refused.
        placing = placing_for(executor, wanted, address=address, travel=travel, retry=retry)
        doors = Doors(poller=open_poller) if doors is None else doors
        self._doors = doors
        self._placing = placing
        self._failures = Failures(exception_handler)
        self._hub = Hub(doors)
        waits = WaitGraph(doors.lock())
        self._shared = Shared(self._hub, waits, doors.lock(), observer)
        if observer is not None:
            self._shared.loop_type = ObservedLoop
        self._scheduler = Scheduler(doors, self._color_type(), self._failed)
        self._scheduler.shared = self._shared
        self._scheduler.runtime = weakref.ref(self)
        self._slots: Slots | None = None
        if placing is not None:
            try:
                self._slots = self._make_slots(placing)
            except BaseException:
                self._hub.close()
                raise
            # To be called before what engines have registered when they were first used: they end
            # processes that run something still, and those are not to be replaced.
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)
        self._get = self._scheduler.registry.get
        self._forked = False
        self._default: Color = self._get(DEFAULT)
        self._quiet = self._quiet_type(doors, self._scheduler, self._shared, self._hub, self._wait)
        self._hub.timers.cancelled = self._quiet.stir
        self._workers = self._make_workers(count, most)
        self._ending = Ending(
            doors,
            self._scheduler,
            self._shared,
            self._hub,
            slots=self._slots,
            workers=self._workers,
            quiet=self._quiet,
            wait=self._wait,
            over=partial(_runtimes.discard, self),
        )
        self._workers.start()
        _runtimes.add(self)

    def _color_type(self) -> type[Color]:
        """What colors are made of. For subclasses, as are the two below."""
        if self._placing is not None:
            return SlotColor if self._shared.observer is None else ObservedSlotColor
        return Color if self._shared.observer is None else ObservedColor

    def _make_slots(self, placing: Placing) -> Slots:
        def post(key: Hashable, call: Any, name: str) -> None:
            color: Any = self.color(key)
            color.post_packed(call, name)

        settler = Settler(placing.travel, self._failed, post)
        return Slots(
            self._doors,
            self._scheduler,
            self._hub.timers,
            placing.engine,
            settler,
            retry=placing.retry,
            default=placing.travel.pack(DEFAULT),
        )

    def _make_workers(self, count: int, most: int) -> Workers:
        return Workers(
            self._doors,
            self._scheduler,
            self._hub,
            count=count,
            most=most,
            rested=self._quiet.rested,
            failed=self._failed,
            began=self._shared.generators.install,
        )

    # -- colors -------------------------------------------------------------------------------

    def color(self, key: Hashable) -> Color:
        """The color of a key (any hashable value), the same object as long as it is alive.

        Raises:
            TypeError: the key is not hashable.

        """
        return self._get(key)  # type: ignore[no-any-return]  # the registry makes Colors

    def post(self, fn: Callable[..., object], /, *args: Any) -> Handle:
        """Post to the default color; see ``Color.post``."""
        return self._default.post(fn, *args)

    @overload
    def submit(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> ColorFuture[T]: ...
    @overload
    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> ColorFuture[T]: ...
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ColorFuture[Any]:
        """Submit to the default color; see ``Color.submit``."""
        return self._default.submit(fn, *args, **kwargs)

    def dispatch(self, fn: Callable[..., object], /, *args: Any) -> Handle | None:
        """Dispatch to the default color; see ``Color.dispatch``."""
        return self._default.dispatch(fn, *args)

    def spawn(self, coro: Coroutine[Any, Any, T]) -> ColorFuture[T]:
        """Spawn in the default color; see ``Color.spawn``."""
        return self._default.spawn(coro)

    def call_later(self, seconds: float, fn: Callable[..., object], /, *args: Any) -> TimerHandle:
        """Start a timer in the default color; see ``Color.call_later``."""
        return self._default.call_later(seconds, fn, *args)

    def call_at(self, when: float, fn: Callable[..., object], /, *args: Any) -> TimerHandle:
        """Start a timer in the default color; see ``Color.call_at``."""
        return self._default.call_at(when, fn, *args)

    def add_reader(self, fd: Any, fn: Callable[..., object], /, *args: Any) -> None:
        """Watch a descriptor in the default color; see ``Color.add_reader``."""
        self._default.add_reader(fd, fn, *args)

    def remove_reader(self, fd: Any) -> bool:
        """See ``Color.remove_reader``."""
        return self._default.remove_reader(fd)

    def add_writer(self, fd: Any, fn: Callable[..., object], /, *args: Any) -> None:
        """Watch a descriptor in the default color; see ``Color.add_writer``."""
        self._default.add_writer(fd, fn, *args)

    def remove_writer(self, fd: Any) -> bool:
        """See ``Color.remove_writer``."""
        return self._default.remove_writer(fd)

    def add_signal_handler(self, signum: int, fn: Callable[..., object], /, *args: Any) -> None:
        """Handle a signal in the default color; see ``Color.add_signal_handler``."""
        self._default.add_signal_handler(signum, fn, *args)

    def remove_signal_handler(self, signum: int) -> bool:
        """See ``Color.remove_signal_handler``."""
        return self._default.remove_signal_handler(signum)

    def time(self) -> float:
        """The clock of ``call_at``, in seconds."""
        return self._doors.clock()

    def stats(self) -> Stats:
        """What the runtime looks like now."""
        scheduler = self._scheduler
        lanes = scheduler.lanes
        turns, steals, parks = scheduler.past
        return Stats(
            workers=len(lanes),
            spares=sum(lane.spare for lane in lanes),
            colors=len(scheduler.registry),
            ready=sum(len(lane.ready) for lane in lanes),
            pending=sum(color.pending() for color in scheduler.registry.alive()),
            timers=len(self._hub.timers),
            slots=0 if self._slots is None else len(self._slots.lines.slots),
            batches=0 if self._slots is None else self._slots.batches,
            lost=0 if self._slots is None else self._slots.lost,
            turns=turns + sum(lane.turns for lane in lanes),
            steals=steals + sum(lane.steals for lane in lanes),
            parks=parks + sum(lane.parks for lane in lanes),
        )

    # -- quiet ----------------------------------------------------------------------------------

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until nothing is pending or running: no callback, no timer, no spawned coroutine.

        Descriptors, signals and background asyncio tasks (those not started by ``spawn`` or by a
        colored call) are not waited for. True once it is so, False after ``timeout`` seconds.
        A runtime that has been shut down is quiet.

        Raises:
            ColorDeadlock: called inside a callback, which would wait for itself.

        """
        self._refuse_inside("drain")
        if self._forked:
            self._default._check_open()
        if not self._quiet.wait(timeout):
            return False
        if self._shared.observer is not None:
            self._shared.observer.settled()
        return True

    def _wait(self, bell: Bell, timeout: float | None) -> bool:
        return self._hub.signals.main.wait(bell, timeout)

    def _refuse_inside(self, what: str) -> None:
        lane = here.lane
        if lane is not None and lane.scheduler is self._scheduler and lane.color is not None:
            key = lane.color.key
        elif self._slots is not None and self._slots.is_inside():
            key = here.slot.color.key
        else:
            return
        raise ColorDeadlock(
            [key, key],
            f"{what}() waits for every callback to end, so it cannot be called inside one; "
            "call it from another thread.",
        )

    # -- the end --------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of concurrent.futures
        """Take no more work, let what was accepted run, and end the threads.

        Timers not yet due are dropped (their handles say ``cancelled()``), descriptors and signals
        are forgotten, spawned and holding coroutines run to their end, other asyncio tasks are
        cancelled and awaited. When the interpreter exits before that, what is left is dropped.

        Args:
            wait: return when all that has happened, rather than at once.
            cancel_futures: drop what has not started, and cancel the coroutines too.

        Calling it again is harmless; with ``wait`` it then waits for the end.

        Raises:
            ColorDeadlock: called inside a callback with ``wait``.

        """
        if self._forked:
            return
        if wait:
            self._refuse_inside("shutdown")
        self._ending.begin()
        if cancel_futures:
            self._ending.cancel_all()
        if wait:
            self._ending.wait()

    def __enter__(self) -> Runtime:  # noqa: PYI034 - a runtime is not subclassed
        enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self)
        if self._forked:
            return
        if error is None or isinstance(error, Exception):
            try:
                if self._scheduler.closed is None:
                    self.drain()
            except BaseException:
                self.shutdown(wait=False, cancel_futures=True)
                raise
            self.shutdown()
        else:
            self.shutdown(wait=False, cancel_futures=True)

    def __repr__(self) -> str:
        state = "shut down" if self._scheduler.closed is not None else "running"
        slots = "" if self._slots is None else f", {len(self._slots.lines.slots)} slots"
        return f"<Runtime {state}, {self._workers.count} workers{slots}>"

    # -- failures -------------------------------------------------------------------------------

    def _failed(self, error: BaseException) -> None:
        self._failures.tell(error)

    def _after_fork(self) -> None:
        """In a forked child: no thread of ours is alive, and any lock may be taken for ever."""
        self._forked = True
        error = ForkedRuntime(
            "this runtime belongs to the parent process; threads do not survive a fork. "
            "Make a new Runtime in the child, or start the child by spawning."
        )
        self._quiet.after_fork(self._doors.lock())
        self._ending.after_fork(self._doors.lock())
        self._shared.after_fork(self._doors.lock)
        self._scheduler.locals.after_fork(self._doors.lock())
        if self._slots is not None:
            self._slots.after_fork(self._doors.lock())
        self._scheduler.lock = self._doors.lock()
        self._scheduler.close(error)
        # If a callback forked, its worker goes on in the child: it is to find nothing, and end.
        self._workers.after_fork()
        for lane in self._scheduler.lanes:
            lane.ready.clear()
        for color in self._scheduler.registry.alive():
            color._queue.clear()
            color._aside = None
        for loop in running_loops(self._scheduler):
            loop.end()
        self._hub.after_fork(error, self._doors.lock)
        _runtimes.discard(self)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")
    return value


def default_workers() -> int:
    """Usable cores without the GIL, one with it."""
    if gil_enabled():
        return 1
    return usable_cores()


# The current runtime is the one global state there is: what a colored function runs on.
entered: list[Runtime] = []


class _EnteredHere(threading.local):
    """The runtimes whose blocks the calling thread has entered."""

    def __init__(self) -> None:
        self.stack: list[Runtime] = []


entered_here = _EnteredHere()


def enter(runtime: Runtime) -> None:
    """Make a runtime the current one, for the calling thread above all."""
    entered.append(runtime)
    entered_here.stack.append(runtime)


def leave(runtime: Runtime) -> None:
    """Undo the last ``enter`` of it."""
    for stack in (entered, entered_here.stack):
        for index in reversed(range(len(stack))):
            if stack[index] is runtime:
                del stack[index]
                break


_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    here.lane = None
    for runtime in list(_runtimes):
        runtime._after_fork()


def _at_exit() -> None:
    """Forgotten runtimes: end their threads before the interpreter takes itself apart."""
    for runtime in list(_runtimes):
        runtime._ending.abandon()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
