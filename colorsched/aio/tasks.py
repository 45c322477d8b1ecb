"""Coroutines in a color: spawned ones interleave at their awaits, held ones keep the color."""

from __future__ import annotations

import asyncio
import inspect
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from colorsched.aio.future import PART_OF, Part
from colorsched.core.handle import EndTurn, Handle

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from colorsched.aio.future import ColorFuture
    from colorsched.aio.loop import ColorLoop


class JobHandle(Handle):
    """The handle of work that has a future; dropping one cancels the other."""

    __slots__ = ()

    def subject(self) -> Callable[..., object]:
        """What was submitted or spawned."""
        fn: Callable[..., object] = self[1][1]
        return fn

    def _dropped(self, args: tuple[Any, ...]) -> None:
        if args[0].cancel():
            args[0].set_running_or_notify_cancel()  # those in concurrent.futures.wait() wait for it
        if asyncio.iscoroutine(args[1]):
            args[1].close()


def run_job(
    future: ColorFuture[Any],
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    loop_of: Callable[[], ColorLoop],
    context: Context,
) -> None:
    """The callback of ``submit``. If ``fn`` gives a coroutine, that holds the color to its end."""
    if is_async(fn):
        # Not marked as running: it can be cancelled to its end.
        if future.cancelled():
            future.set_running_or_notify_cancel()
            return
        try:
            coro = fn(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - wrong arguments: for who called
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            del future
            return
        start_holding(future, coro, loop_of, context)
        return
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - belongs to who waits for the future, whatever it is
        future.set_exception(error)
        # As concurrent.futures does: the traceback refers to this frame, the frame to the future.
        del future
        return
    # To asyncio a generator is a coroutine, before CPython 3.12.
    if asyncio.iscoroutine(result) and not isinstance(result, GeneratorType):
        start_holding(future, result, loop_of, context)
    else:
        future.set_result(result)


def is_async(fn: Callable[..., object]) -> bool:
    """Whether ``fn`` is an ``async def``, by the cheapest test; a partial of one is not seen."""
    code = getattr(fn, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)


def start_holding(
    future: ColorFuture[Any],
    coro: Coroutine[Any, Any, Any],
    loop_of: Callable[[], ColorLoop],
    context: Context,
) -> None:
    """Let ``coro`` hold the color whose turn this is. Ends the turn: the next goes around it."""
    loop = loop_of()
    color = loop.color
    part = Part(color)
    context = context.copy()
    context.run(PART_OF.set, part)
    color.make_aside()
    color._hold = part

    start_task(future, coro, loop, context, part)
    raise EndTurn


def start_spawned(
    future: ColorFuture[Any],
    coro: Coroutine[Any, Any, Any],
    loop_of: Callable[[], ColorLoop],
    context: Context,
) -> None:
    """The callback of ``spawn``."""
    if future.cancelled():
        future.set_running_or_notify_cancel()
        coro.close()
        return
    part = future._spawned = Part(future.color)
    context = context.copy()
    context.run(PART_OF.set, part)
    start_task(future, coro, loop_of(), context, part)


def start_task(
    future: ColorFuture[Any],
    coro: Coroutine[Any, Any, Any],
    loop: ColorLoop,
    context: Context,
    part: Part,
) -> None:
    """Make a task whose outcome goes to ``future``; cancelling that cancels the task.

    The future stays pending while the task runs, as with ``run_coroutine_threadsafe``: a running
    future could not be cancelled.
    """
    try:
        task = loop.start_task(coro, context)
    except BaseException as error:  # noqa: BLE001 - a task factory failed; who waits is to know
        coro.close()
        part.end()
        if future.running() or future.set_running_or_notify_cancel():
            future.set_exception(error)
        return
    loop.shared.live.add(task)
    bond = Bond(future, task, part)
    task.add_done_callback(bond.settle)
    future.add_done_callback(bond.pass_on)


class Bond:
    """What ties a future and its task together, until the task ends.

    They are untied then: a future keeps its callbacks, and a task its context, whose activity may
    be that future. Nothing of theirs is to wait for the garbage collector.
    """

    __slots__ = ("_future", "_part", "_task")

    def __init__(self, future: ColorFuture[Any], task: asyncio.Task[Any], part: Part) -> None:
        self._future: ColorFuture[Any] | None = future
        self._task: asyncio.Task[Any] | None = task
        self._part = part

    def settle(self, task: asyncio.Task[Any]) -> None:
        """The task is done."""
        future = self._future
        assert future is not None
        loop: ColorLoop = task.get_loop()  # type: ignore[assignment]  # it was made in one
        loop.shared.live.discard(task)
        self._future = self._task = None
        self._part.end()
        if task.cancelled():
            if future.cancel():
                future.set_running_or_notify_cancel()
            else:
                future.set_exception(asyncio.CancelledError())  # a lambda's coroutine: see run_job
        elif not future.running() and not future.set_running_or_notify_cancel():
            task.exception()  # cancelled meanwhile, so nobody will ask: mark it as seen
        else:
            error = task.exception()
            if error is None:
                future.set_result(task.result())
            else:
                future.set_exception(error)

    def pass_on(self, future: concurrent.futures.Future[Any]) -> None:
        """The future is done. Called on whatever thread that was."""
        task = self._task
        if future.cancelled() and task is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)
