"""A color as users hold it: post and submit, timers, descriptors, signals, coroutines."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, TypeVar, overload

from colorsched.aio.future import ColorFuture
from colorsched.aio.loop import ColorLoop, descriptor
from colorsched.aio.tasks import JobHandle, run_job, start_spawned
from colorsched.core.queue import ColorQueue
from colorsched.errors import NoSlots
from colorsched.ports import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from colorsched.aio.shared import Shared
    from colorsched.core.handle import Handle
    from colorsched.executors.slots.jobs import Retry
    from colorsched.sources.timers import TimerHandle

T = TypeVar("T")
P = ParamSpec("P")

Where = Literal["thread", "slot"]
"""Where a callback runs: on a thread of this process, or in a slot."""


class Place(Executor):
    """A color, as where plain callbacks run: what ``Color.on`` returns."""

    __slots__ = ()

    if TYPE_CHECKING:

        def post(self, fn: Callable[..., object], /, *args: Any) -> Handle:
            """As ``Color.post``."""

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ColorFuture[Any]:
            """As ``Color.submit``."""

        def dispatch(self, fn: Callable[..., object], /, *args: Any) -> Handle | None:
            """As ``Color.dispatch``."""


class Color(ColorQueue, Place):
    """A promise of order: callbacks posted to one color run one at a time, in the order posted.

    ``Runtime.color(key)`` gives the one live color of a key. A color is a
    ``concurrent.futures.Executor`` too, so ``loop.run_in_executor(color, fn)`` and ``color.map``
    work; it ends with its runtime, not by its own ``shutdown``. All methods are thread-safe, and
    raise ``RuntimeShutdown`` when the runtime takes no more work.

    >>> from colorsched import Runtime
    >>> with Runtime() as rt:
    ...     account = rt.color("account:42")
    ...     account.submit(pow, 2, 10).result()
    1024

    """

    __slots__ = ()
    future_type: ClassVar[type[ColorFuture[Any]]] = ColorFuture
    """What ``submit`` and ``spawn`` return."""

    @property
    def travels(self) -> str:
        """How plain callbacks travel to where they run; empty: they stay here."""
        return ""

    @property
    def _shared(self) -> Shared:
        shared: Shared = self._scheduler.shared
        return shared

    @overload
    def submit(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> ColorFuture[T]: ...
    @overload
    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> ColorFuture[T]: ...
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ColorFuture[Any]:
        """Run ``fn(*args, **kwargs)`` in this color; its outcome goes to the future returned.

        If ``fn`` is an ``async def`` (or returns a coroutine) the color is held until that ends,
        and the future gets its outcome. What ``fn`` raises, ``SystemExit`` and
        ``KeyboardInterrupt`` among it, goes to the future alone.
        """
        future: ColorFuture[Any] = self.future_type(self, self._shared.waits)
        context = copy_context()
        work = (run_job, (future, fn, args, kwargs, self._get_loop, context), context)
        self.post_handle(JobHandle(work))
        return future

    def spawn(self, coro: Coroutine[Any, Any, T]) -> ColorFuture[T]:
        """Run a coroutine in this color, as an asyncio task of its loop.

        At its awaits other work of the color goes on (to hold the color instead, ``submit`` an
        ``async def``). Cancelling the future cancels the coroutine.

        Raises:
            TypeError: ``coro`` is not a coroutine.

        """
        if not asyncio.iscoroutine(coro):
            raise TypeError(
                f"spawn() takes a coroutine, got {coro!r}. "
                "Call the async function: color.spawn(fn(...)); for plain functions use submit(fn)."
            )
        future: ColorFuture[T] = self.future_type(self, self._shared.waits)
        context = copy_context()
        work = (start_spawned, (future, coro, self._get_loop, context), context)
        handle = JobHandle(work)
        try:
            self.post_handle(handle)
        except BaseException:
            # This closes the coroutine (or Python would complain that it was never awaited), but
            # not one that has begun: an interrupt may come as late as that.
            handle.cancel()
            raise
        return future

    def on(self, where: Where, *, retry: Retry | None = None) -> Place:
        """This color, for callbacks that are to run elsewhere than they would.

        In a runtime with slots (``Runtime(executor=...)``) plain callbacks run in slots, and
        coroutines, timers, descriptors and signals in this process. ``color.on("thread")`` has
        ``post``, ``submit``, ``map`` and ``dispatch`` for plain callbacks that are to run in this
        process, too: they share the color's order with the others. ``color.on("slot",
        retry=Retry())`` has them for callbacks that are run again if their slot is lost.

        Raises:
            NoSlots: ``"slot"``, and the runtime has none.
            ValueError: ``where`` is neither; or ``retry`` is given for a thread.
            TypeError: ``retry`` is no ``Retry``.

        """
        if where == "slot":
            raise NoSlots(
                "this runtime has no slots: make it with executor='processes', 'interpreters', "
                "'ray' or slots([...])"
            )
        if where != "thread":
            raise ValueError(f"where={where!r}: there are 'thread' and 'slot'")
        if retry is not None:
            raise ValueError("retry is for what is lost with its slot: on('slot', retry=...)")
        return self

    # -- timers -------------------------------------------------------------------------------

    def call_later(self, seconds: float, fn: Callable[..., object], /, *args: Any) -> TimerHandle:
        """Post ``fn(*args)`` after so many seconds; ``cancel()`` the handle to prevent it."""
        return self.call_at(self._shared.hub.clock() + seconds, fn, *args)

    def call_at(self, when: float, fn: Callable[..., object], /, *args: Any) -> TimerHandle:
        """Post ``fn(*args)`` at a time of the runtime's clock (``Runtime.time()``, in seconds).

        Raises:
            ValueError: ``when`` is not a number.

        """
        if when != when:  # noqa: PLR0124 - the test for not-a-number
            raise ValueError("the time of a timer must be a number, not nan")
        self._check_open()
        work = (fn, args, copy_context())
        return self._shared.hub.timers.add(self, when, work, inner=False)

    # -- descriptors and signals ----------------------------------------------------------------

    def add_reader(self, fd: Any, fn: Callable[..., object], /, *args: Any) -> None:
        """Post ``fn(*args)`` whenever ``fd`` (a number, or has ``fileno()``) can be read.

        It is posted again only after it has run. It replaces what was there for this descriptor,
        in whatever color.

        Raises:
            ValueError: ``fd`` is no descriptor.
            OSError: the platform cannot watch it (a plain file, or closed).

        """
        self._watch(fd, READ, fn, args)

    def add_writer(self, fd: Any, fn: Callable[..., object], /, *args: Any) -> None:
        """Post ``fn(*args)`` whenever ``fd`` can be written; otherwise as :meth:`add_reader`."""
        self._watch(fd, WRITE, fn, args)

    def remove_reader(self, fd: Any) -> bool:
        """Post no more for reading ``fd``. True if something was there to remove."""
        return self._shared.hub.io.remove(descriptor(fd), READ)

    def remove_writer(self, fd: Any) -> bool:
        """Post no more for writing ``fd``. True if something was there to remove."""
        return self._shared.hub.io.remove(descriptor(fd), WRITE)

    def _watch(self, fd: Any, mask: int, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._check_open()
        work = (fn, args, copy_context())
        self._shared.hub.io.add(self, descriptor(fd), mask, work, inner=False)

    def add_signal_handler(self, signum: int, fn: Callable[..., object], /, *args: Any) -> None:
        """Post ``fn(*args)`` whenever the process gets the signal; one handler a signal.

        Raises:
            ValueError: there is no such signal, or it cannot be caught.
            WrongThread: not called on the main thread, while that is not waiting in the runtime.

        """
        self._check_open()
        self._shared.hub.signals.add(self, signum, (fn, args, copy_context()), inner=False)

    def remove_signal_handler(self, signum: int) -> bool:
        """Put back what handled the signal before. True if it was handled here."""
        return self._shared.hub.signals.remove(signum)

    # -- the color as an event loop and as an executor --------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """This color as an asyncio event loop, made when it is first needed.

        Inside a callback of the color it is the running loop from then on. Use its methods inside
        the color only; ``call_soon_threadsafe`` from anywhere.
        """
        return self._get_loop()

    def _get_loop(self) -> ColorLoop:
        loop = self.running_loop()
        if loop is None:
            loop = self._shared.make_loop(self)
        return loop  # type: ignore[return-value]  # the only kind there is

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
        """Refuse: a color lives as long as its runtime, and costs nothing when unused.

        Raises:
            RuntimeError: always.

        """
        raise RuntimeError(
            "a color is not shut down on its own: drop it, or shut its runtime down "
            "(Runtime.shutdown); to wait for its work, wait for a future of it"
        )

    def __exit__(self, *exc: object) -> None:
        """A ``with`` block around a color ends nothing."""

    def _check_open(self) -> None:
        closed = self._scheduler.closed
        if closed is not None:
            closed.refuse()
