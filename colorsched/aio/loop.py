"""A color as an asyncio event loop.

The loop has no selector, thread or queue of its own: its callbacks are callbacks of the color,
its timers and descriptors those of the runtime. Everything else (transports, servers, TLS,
subprocesses, streams) is asyncio's own code, inherited. Its base class's constructor is not run:
it would open a selector and a socket pair, and costs more than a connection's whole life should.
What it would set stands in the class, or is made at first use (``_LAZY``).
"""

from __future__ import annotations

import asyncio
import selectors
import weakref
from asyncio import format_helpers
from asyncio.log import logger
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from colorsched.aio.future import current_waiter
from colorsched.core.handle import InnerHandle
from colorsched.core.queue import ColorQueue
from colorsched.ports import FENCE, READ, WRITE, here

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

    from colorsched.aio.shared import Shared
    from colorsched.core.handle import Work
    from colorsched.sources.io import Interest, Io

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def _make_watcher() -> Any:
    """What tells the end of child processes from CPython 3.14 on; before, a policy has it."""
    unix: Any = asyncio.unix_events
    return unix._PidfdChildWatcher() if unix.can_use_pidfd() else unix._ThreadedChildWatcher()


#: What the base classes keep in an instance, made when it is first asked for.
_LAZY: dict[str, Callable[[], Any]] = {
    "_asyncgens": weakref.WeakSet,
    "_transports": weakref.WeakValueDictionary,
    "_signal_handlers": dict,
    "_unix_server_sockets": dict,
    "_internal_fds": int,
    "_ready": deque,
    "_scheduled": list,
    "_watcher": _make_watcher,
}


class _Closed:
    """The queue of a loop whose runtime is over."""

    def append(self, handle: object) -> None:
        raise RuntimeError("Event loop is closed")


_CLOSED: Any = _Closed()


class ColorLoop(asyncio.SelectorEventLoop):
    """The asyncio loop of one color. Made by ``Color.loop``, never by hand.

    Inside the color it is the running loop, and asyncio's promises hold: one thing at a time, on
    its own. From elsewhere use ``call_soon_threadsafe``, or better the color's ``post`` and
    ``spawn``. It cannot be stopped, closed or run: the runtime runs it as long as that lives.
    """

    _closed = False
    _stopping = False
    _thread_id: int | None = None
    _timer_cancelled_count = 0
    _clock_resolution = 1e-9
    _exception_handler = None
    _debug = False
    _current_handle = None
    _task_factory = None
    _coroutine_origin_tracking_enabled = False
    _coroutine_origin_tracking_saved_depth = None
    _asyncgens_shutdown_called = False
    _executor_shutdown_called = False
    slow_callback_duration = 0.1

    def __init__(
        self, color: ColorQueue, shared: Shared
    ) -> None:  # the base's is left out; see above
        self.color = color
        self.shared = shared
        self._queue = color._queue
        self._token = color._token
        self.time = shared.hub.clock  # type: ignore[method-assign]  # saves a call for each timer
        color._loop = weakref.ref(self)
        if shared.debug:
            self._debug = True
        lane = here.lane
        if lane is not None and lane.color is color:
            lane.enter_loop(self)
        else:
            self._join_turn()

    def _join_turn(self) -> None:
        """Made on another thread: a turn of the color that is under way enters the loop, too.

        Whatever is posted from now on comes after this, and finds the loop running.
        """
        color = self.color
        if FENCE:
            color._token.reverse()
        if not color._token:
            color.post_inner(InnerHandle((_enter, (color,), copy_context())))

    def __getattr__(self, name: str) -> Any:
        make = _LAZY.get(name)
        if make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = make()
        setattr(self, name, value)
        return value

    def __del__(self) -> None:
        """Nobody uses the loop any more. It lives on while generators are left to be closed in it.

        Otherwise there is nothing to close; the base class would complain that nobody did.
        """
        if "_asyncgens" in vars(self) and self._asyncgens and not self._closed:
            self.shared.generators.keep(self)

    def __repr__(self) -> str:
        return f"<ColorLoop of {self.color!r}>"

    # -- callbacks ----------------------------------------------------------------------------

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Any:  # a handle, as far as its users can tell
        """As asyncio's; and safe from any thread, as ``call_soon_threadsafe`` is."""
        work: Work = (callback, args, copy_context() if context is None else context)
        if self._debug:
            work = self._watched("call_soon", work)
        handle = InnerHandle(work)
        self._queue.append(handle)
        if FENCE:
            self._token.reverse()
        if self._token:
            self.color._scheduler.wake(self.color)
        return handle

    call_soon_threadsafe = call_soon

    def start_task(self, coro: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Make a task whose first step is what the color runs next. Call inside the color only.

        A task asks the loop for its first step with ``call_soon``, which would put it behind what
        was posted after the coroutine; but that is to run in its place, as everything posted is.
        """
        if self._task_factory is not None:
            return self.create_task(coro, context=context)  # an eager one begins at once
        self.call_soon = self._call_next  # type: ignore[method-assign, assignment]  # found first, by C code too
        try:
            return self.create_task(coro, context=context)
        finally:
            vars(self).pop("call_soon", None)

    def _call_next(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> InnerHandle:
        vars(self).pop("call_soon", None)  # this once
        color = self.color
        lane = here.lane
        if lane is None or lane.color is not color:  # another thread, just now
            return self.call_soon(callback, *args, context=context)  # type: ignore[no-any-return]  # a handle
        # The color is owned by the turn this is called in, and posters only append.
        waiting = color._aside if color._hold is None and color._aside else self._queue
        handle = InnerHandle((callback, args, copy_context() if context is None else context))
        waiting.appendleft(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        if delay is None:
            raise TypeError("delay must not be None")
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()
        work: Work = (callback, args, copy_context() if context is None else context)
        if self._debug:
            work = self._watched("call_at", work)
        return self.shared.hub.timers.add(self.color, when, work, inner=True)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As asyncio's; and awaiting work of a color raises ``ColorDeadlock`` here too."""
        if not isinstance(executor, ColorQueue) or current_waiter() is None:
            return super().run_in_executor(executor, func, *args)
        self._check_closed()
        future = executor.submit(func, *args)
        task: asyncio.Task[T] = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(lambda task: task.cancelled() and future.cancel())
        return task

    # -- debug mode ---------------------------------------------------------------------------

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's signature
        """Check callbacks as they come, and say in asyncio's log which ones were slow."""
        self._debug = enabled

    def _watched(self, method: str, work: Work) -> Work:
        callback, args, context = work
        self._check_callback(callback, method)
        return self._time, (callback, args), context

    def _time(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        start = self.time()
        try:
            callback(*args)
        finally:
            seconds = self.time() - start
            if seconds >= self.slow_callback_duration:
                name = format_helpers._format_callback_source(callback, args)
                logger.warning("Executing %s in %r took %.3f seconds", name, self.color, seconds)
            # CPython 3.12 keeps this frame as long as that of a coroutine that failed below it.
            del callback, args

    # -- descriptors --------------------------------------------------------------------------

    def _add_reader(
        self, fd: Any, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Interest:
        return self._watch(fd, READ, callback, args, context)

    def _add_writer(
        self, fd: Any, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Interest:
        return self._watch(fd, WRITE, callback, args, context)

    def _watch(
        self,
        fd: Any,
        mask: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> Interest:
        self._check_closed()
        work = (callback, args, copy_context() if context is None else context)
        return self.shared.hub.io.add(self.color, descriptor(fd), mask, work, inner=True)

    def _remove_reader(self, fd: Any) -> bool:
        return self.shared.hub.io.remove(descriptor(fd), READ)

    def _remove_writer(self, fd: Any) -> bool:
        return self.shared.hub.io.remove(descriptor(fd), WRITE)

    @property
    def _selector(self) -> SelectorView | None:
        return None if self._closed else SelectorView(self.shared.hub.io)

    # -- signals ------------------------------------------------------------------------------

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        self._check_callback(callback, "add_signal_handler")
        self._check_signal(sig)
        self._check_closed()
        work = (callback, args, copy_context())
        try:
            self.shared.hub.signals.add(self.color, sig, work, inner=True)
        except ValueError as error:
            raise RuntimeError(str(error)) from error  # as asyncio's loop does

    def remove_signal_handler(self, sig: int) -> bool:
        return self.shared.hub.signals.remove(sig)

    # -- the loop's life, which is the runtime's ----------------------------------------------

    def is_running(self) -> bool:
        return not self._closed

    def _refuse(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"the loop of {self.color!r} cannot be {what}: its runtime runs it. "
            "Use spawn() to run a coroutine, Runtime.shutdown() to end."
        )

    def run_forever(self) -> None:
        raise self._refuse("run")

    def run_until_complete(self, future: Any) -> Any:
        if asyncio.iscoroutine(future):
            future.close()
        raise self._refuse("run")

    def stop(self) -> None:
        raise self._refuse("stopped")

    def close(self) -> None:
        raise self._refuse("closed")

    def end(self) -> None:
        """The runtime is over: from now on the loop is a closed one."""
        self._closed = True
        self._queue = _CLOSED

    # -- the runtime's pool for blocking calls, shared by all its loops -------------------------

    @property
    def _default_executor(self) -> Any:
        return self.shared.pool()

    @_default_executor.setter
    def _default_executor(self, executor: Any) -> None:
        self.shared.set_pool(executor)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's signature
        """Nothing: the pool is shared, and ends with the runtime."""


def _enter(color: ColorQueue) -> None:
    """A callback of the color: go on with its loop as the running one."""
    here.lane.enter_loop(color.running_loop())


class SelectorView:
    """What asyncio's transports ask of a loop's selector, for their ``repr``: who watches what."""

    def __init__(self, io: Io) -> None:
        self._io = io

    def get_key(self, file: Any) -> selectors.SelectorKey:
        """As a selector's: the key of a descriptor, or ``KeyError``."""
        fd = descriptor(file)
        reader, writer = self._io.watched(fd)
        events = (selectors.EVENT_READ if reader else 0) | (selectors.EVENT_WRITE if writer else 0)
        if not events:
            raise KeyError(f"{file!r} is not watched")
        return selectors.SelectorKey(file, fd, events, (reader, writer))


def descriptor(fd: Any) -> int:
    """The descriptor's number, of a number or of anything with ``fileno()``.

    Raises:
        ValueError: it is neither, or negative (a closed socket's).

    """
    if isinstance(fd, int) and not isinstance(fd, bool):
        number = fd
    else:
        try:
            number = int(fd.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fd!r}") from None
    if not 0 <= number < 2**31:  # a C int
        raise ValueError(f"Invalid file descriptor: {number}")
    return number
