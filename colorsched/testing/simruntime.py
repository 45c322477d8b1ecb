"""``SimRuntime``: a runtime on simulated time, one thread, and a schedule that can be had again."""

from __future__ import annotations

import asyncio
import signal
import sys
import warnings
import weakref
from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from colorsched.aio.future import ColorFuture
from colorsched.aio.tasks import Bond, is_async
from colorsched.color import Color
from colorsched.ending import running_loops
from colorsched.errors import RuntimeShutdown
from colorsched.executors.slots.jobs import checked_retry
from colorsched.executors.slots.placing import check_executor
from colorsched.observed import ObservedColor, ObservedFuture
from colorsched.ports import Doors, here
from colorsched.runtime import Runtime
from colorsched.sources.poller import open_poller
from colorsched.sources.signals import Signals, Target, check_signal
from colorsched.testing.errors import Aborted, CannotSimulate
from colorsched.testing.network import Network
from colorsched.testing.simloop import SimLoop
from colorsched.testing.simulation import Simulation, VirtualClock
from colorsched.testing.strategies import Fifo, make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import TracebackType

    from colorsched.color import Where
    from colorsched.core.handle import Handle, Work
    from colorsched.core.queue import ColorQueue
    from colorsched.core.scheduler import Scheduler
    from colorsched.events import Observer
    from colorsched.executors.slots.engines import slots
    from colorsched.executors.slots.jobs import Retry
    from colorsched.ports import Poller
    from colorsched.testing.properties import Promises
    from colorsched.testing.strategies import Strategy

T = TypeVar("T")

#: So many steps end a run that does not come to rest.
MOST_STEPS = 20_000


class SimRuntime(Runtime):
    """A ``Runtime`` in which everything happens on simulated time, one callback after the other.

    It has the same API and runs the same programs: callbacks, coroutines, timers, asyncio. Nothing
    runs until somebody waits: ``drain``, a future's ``result``, the end of the ``with`` block. Then
    callbacks run one at a time, in an order drawn from ``seed``; the same seed, the same order.
    The clock (``time()``, and asyncio's) jumps to the next timer when nothing else can happen.

    Args:
        seed: draws the schedule. None: the plain one, in which everybody takes turns.
        workers: for programs that give it; what runs at once is up to the schedule.
        strategy: makes the choices instead of a seed (``colorsched.testing.strategies``).
        exception_handler: as of ``Runtime``.
        observer: as of ``Runtime``.
        executor, address, travel, retry: for programs that give them. All callbacks run in the
            simulation, those for slots too: in the order that they would have there, but nothing
            has to travel, and nothing is lost unless ``Faults`` say so.
        most_steps: so many callbacks without coming to rest are a livelock.
        apart: run main on a stack apart from those of callbacks; see ``testing.simulation``.
        network: what asyncio's connections are made of, and what goes wrong with them.

    ``failures`` has what posted callbacks raised; ``schedule`` the choices made so far.

    Not thread-safe: use it, as all that runs in it, from one thread.

    Raises:
        Stalled: while somebody waits for what cannot happen any more.
        Livelock: the program does not come to rest.

    >>> with SimRuntime() as rt:
    ...     for name in "abc":
    ...         handle = rt.color(name).call_later(3600, print, name)
    ...     rt.drain(), rt.time()
    a
    b
    c
    (True, 3600.0)

    """

    _simulation: Simulation

    def __init__(
        self,
        seed: int | None = None,
        *,
        workers: int | None = None,
        max_workers: int | None = None,
        strategy: Strategy | None = None,
        exception_handler: Callable[[BaseException], object] | None = None,
        observer: Observer | None = None,
        executor: str | slots = "threads",
        address: str | None = None,
        travel: str | None = None,
        retry: Retry | None = None,
        most_steps: int = MOST_STEPS,
        apart: bool = True,
        network: Network | None = None,
    ) -> None:
        check_executor(executor)
        checked_retry(retry)
        if strategy is None:
            strategy = Fifo() if seed is None else make_strategy("random", seed, length=0)
        self._options = (strategy, most_steps, apart)
        self._virtual = clock = VirtualClock()
        self.failures: list[BaseException] = []
        self.futures: list[SimFuture[Any]] = []
        """Those of submitted and spawned work, for who asks what became of them."""
        self.promises: Promises | None = None
        """Of a run that could be watched and is not, since nobody needs it so far."""
        doors = Doors(
            poller=LazyPoller,
            clock=clock.read,
            relax=_at_once,
            thread=self._thread,
        )
        super().__init__(
            workers,
            max_workers,
            exception_handler=exception_handler,
            observer=observer,
            doors=doors,
        )
        self._seed = seed
        self._network: Network | None = None
        if network is not None:
            network.attach(self, seed)
            self._network = network
        self._shared.loop_type = SimLoop
        self._hub.signals = SimSignals(self._hub.poller.wake)

    # -- what it is made of -----------------------------------------------------------------------

    def _thread(self, target: Callable[[], None], name: str) -> Any:
        return self._simulation.thread(target, name)

    def _color_type(self) -> type[Color]:
        return SimColor if self._shared.observer is None else ObservedSimColor

    def _make_workers(self, count: int, most: int) -> Any:
        strategy, most_steps, apart = self._options
        self._simulation = simulation = Simulation(
            self._scheduler,
            self._hub,
            self._virtual,
            strategy=strategy,
            most_steps=most_steps,
            apart=apart,
            count=count,
        )
        simulation.rested = self._quiet.rested
        simulation.began = self._shared.generators.install
        self._shared.set_pool(SimPool(self))  # type: ignore[arg-type]  # stands in for the pool of threads
        return simulation

    def _wait(self, bell: Any, timeout: float | None) -> bool:
        return self._simulation.wait(lambda: bell.rung, timeout, "quiet")

    def __enter__(self) -> SimRuntime:  # noqa: PYI034 - as of Runtime
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            self.discard()

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, Aborted):
            self.failures.append(error)
            super()._failed(error)

    def begin_again(self, why: BaseException) -> NoReturn:
        """End the run, from main or a callback, so that who began it begins again."""
        self._simulation.abort(why)
        raise why if here.lane is None else Aborted

    # -- for tests --------------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The network that asyncio's connections are made of, made when first asked for."""
        if self._network is None:
            network = Network()
            network.attach(self, self._seed)
            self._network = network
        return self._network

    @property
    def choices(self) -> Sequence[int]:
        """The choices made so far; ``Recorded(choices)`` makes them again."""
        return tuple(self._simulation.choices)

    @property
    def steps(self) -> int:
        """How many callbacks were taken to be run."""
        return self._simulation.steps

    def settle(self) -> None:
        """Let everything happen that can, timers and all, and return.

        Unlike ``drain`` it does not insist: who waits still is left to wait, perhaps for what
        comes next. A runtime that is not ended by its ``with`` block, or by ``shutdown``, is to be
        given back with ``discard`` then: it may have threads.

        Raises:
            Stalled: a callback waits in a call of the runtime, and main is not ``apart``.

        """
        self._refuse_inside("settle")
        self._simulation.settle()
        if self._shared.observer is not None:
            self._shared.observer.settled()

    def send_signal(self, signum: int) -> None:
        """Let the signal arrive: its handler in this runtime, if there is one, is posted.

        Raises:
            ValueError: there is no such signal.

        """
        if signum not in signal.valid_signals():
            raise ValueError(f"there is no signal {signum} on this platform")
        self._hub.signals.arrived.append(signum)
        self._hub.signals.deliver()

    def discard(self) -> None:
        """End the run as it stands: what has not happened will not."""
        self._refuse_inside("discard")
        if self._scheduler.closed is None:
            self._scheduler.close(
                RuntimeShutdown("this simulation was discarded, and takes no more work")
            )
        self._simulation.close()
        for loop in running_loops(self._scheduler):
            _forget_tasks(loop)


def _forget_tasks(loop: Any) -> None:
    """Close what a run has left unfinished, without a word about it."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own way to say that it is meant
        coro: Any = task.get_coro()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                coro.close()
            except BaseException:  # noqa: BLE001, S110 - its cleaning up fails, in a run that is over
                pass


class _Points:
    """What colors of a simulation do besides: where they are posted to, somebody else may go on.

    In main that is at every post. In a callback it is only before the second one to the same color:
    what others post to it may come in between. Elsewhere it makes no difference whether others go
    on before or after the callback.
    """

    _posted_by = -1
    """The step that has posted here last."""
    _scheduler: Scheduler

    def on(self, where: Where, *, retry: Retry | None = None) -> Any:
        """As of ``Color``; but there is one place only."""
        if where == "slot":
            checked_retry(retry)
            return self
        return super().on(where, retry=retry)  # type: ignore[misc]  # a mixin before Color

    def post(self, fn: Callable[..., object], /, *args: Any) -> Handle:
        if is_async(fn):
            raise TypeError(
                f"post() takes a plain function; the coroutine of {fn.__qualname__} would never "
                "run: submit() it, which holds the color, or spawn() its coroutine"
            )
        main = self._point()
        handle: Handle = super().post(fn, *args)  # type: ignore[misc]  # a mixin before Color
        if main is not None:
            main.point()
        return handle

    _post_here = post

    def post_handle(self, handle: Handle) -> None:
        main = self._point()
        super().post_handle(handle)  # type: ignore[misc]  # a mixin before Color
        if main is not None:
            main.point()

    def _point(self) -> Simulation | None:
        """The simulation, if main posts: then others may go on when it has posted."""
        simulation: Simulation = self._scheduler.runtime()._simulation
        lane = here.lane
        if lane is None:
            return simulation
        if lane.color is not None:
            if self._posted_by == simulation.running:
                simulation.point()
            self._posted_by = simulation.running
        return None


class SimFuture(ColorFuture[T]):
    """A future whose waiters let the simulation go on."""

    asked = False
    """Whether somebody wanted to know the outcome."""

    def __init__(self, color: ColorQueue, waits: Any) -> None:
        super().__init__(color, waits)
        runtime = color._scheduler.runtime()
        runtime.futures.append(self)
        self._waiters = Waiters(runtime._simulation)

    def _wait(self, timeout: float | None) -> float | None:
        simulation: Simulation = self.color._scheduler.runtime()._simulation
        simulation.wait(
            partial(Future.done, self), timeout, f"the result of work in {self.color.key!r}", self
        )
        return 0

    def result(self, timeout: float | None = None) -> T:
        self.asked = True
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.asked = True
        return super().exception(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        self.asked = True
        return super().__await__()

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        if not isinstance(getattr(fn, "__self__", None), Bond):
            self.asked = True
        super().add_done_callback(fn)


class Waiters(list[Any]):
    """Those of ``concurrent.futures.wait`` and its kin: they wait in the simulation, too."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = simulation

    def append(self, waiter: Any, /) -> None:
        if not isinstance(waiter.event, SimEvent):
            waiter.event = SimEvent(self._simulation)
        super().append(waiter)


class SimEvent:
    """As of ``threading``: who waits for it lets the simulation go on."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if self._is_set:
            return True
        what = "the first, or all, of some futures"
        return self._simulation.wait(self.is_set, timeout, what, self)


class ObservedSimFuture(SimFuture[T], ObservedFuture[T]):
    """The same, of a runtime that has an observer."""


class SimColor(_Points, Color):
    """A color of a simulation."""

    future_type = SimFuture


class ObservedSimColor(_Points, ObservedColor):
    """A color of a simulation that has an observer."""

    future_type = ObservedSimFuture

    def dispatch(self, fn: Callable[..., object], /, *args: Any) -> Handle | None:
        observer = self._shared.observer
        assert observer is not None
        observer.looked(self)  # whether it is idle decides what becomes of it
        return super().dispatch(fn, *args)

    lineage = sys.maxsize  # runs are short, and told whole


class SimPool(Executor):
    """What stands for the pool of threads: each call is a callback of a color of its own."""

    def __init__(self, runtime: SimRuntime) -> None:
        self._runtime = weakref.ref(runtime)
        self._count = 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        runtime = self._runtime()
        if runtime is None:
            raise CannotSimulate("the simulation that this pool of threads belongs to is gone")
        self._count += 1
        future: Future[T] = runtime.color(f"thread {self._count}").submit(fn, *args, **kwargs)
        return future


class SimSignals(Signals):
    """Signals that come from the test alone; the process's own handlers are left as they are."""

    def add(self, color: ColorQueue, signum: int, work: Work, *, inner: bool) -> None:
        """As of ``Signals``; no handler of the process is touched."""
        check_signal(signum)
        self._targets[signum] = Target(color, work, inner, None)

    def remove(self, signum: int) -> bool:
        """As of ``Signals``."""
        check_signal(signum)
        return self._targets.pop(signum, None) is not None


class LazyPoller:
    """Looks at real descriptors, made when the first is watched, and never waits for them."""

    def __init__(self) -> None:
        self._real: Poller | None = None

    def arm(self, fd: int, mask: int) -> None:
        """As of a real poller."""
        if self._real is None:
            self._real = open_poller()
        self._real.arm(fd, mask)

    def disarm(self, fd: int) -> None:
        """As of a real poller."""
        if self._real is not None:
            self._real.disarm(fd)

    def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        """What is ready now."""
        return () if self._real is None else self._real.wait(0)

    def wake(self) -> None:
        """Nobody sleeps."""

    def close(self) -> None:
        """Give the real one back."""
        if self._real is not None:
            self._real.close()


def _at_once(_is_over: Callable[[], object]) -> None:
    """Nobody else would run."""
