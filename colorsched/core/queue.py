"""A color's queue and the two operations on its ownership, claim and release.

A color is *idle* (its token lies in it), *ready* (in some worker's ready queue) or *owned* (a
worker runs a turn of it, or a callback dispatched to it). Only who took the token out, or was
handed the color by who did, may take callbacks from the queue.

Why no wake-up is lost, without a lock per post
-----------------------------------------------
A poster first appends to the queue and then tries to take the token. An owner that found the
queue empty first puts the token back and then looks at the queue once more. Suppose that a
callback was left behind: the poster found no token, and the owner's last look found no callback.
The poster looked for the token after its append, so the token came back only after that look, so
the owner's last look, later still, came after the append and saw the callback: a contradiction.
It needs that each of the two sees its own two steps, and the other's, in the order written. With
the GIL that is so. Without it, a read of one object may overtake a write to another; therefore
each side makes an empty, locked operation on the object it is about to look at (``FENCE``). Both
sides then pass through that object's own mutex, and of two passes one comes first: if the
owner's look came first, then its token lay ready before the poster passed the token's mutex.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from colorsched.core.handle import Handle, tell, unawaited
from colorsched.core.policy import DISPATCH_DEPTH
from colorsched.ports import FENCE, here

if TYPE_CHECKING:
    import weakref
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Hashable
    from typing import Protocol

    from colorsched.core.scheduler import Lane, Scheduler

    class Holder(Protocol):
        """A coroutine's ownership of its color."""

        @property
        def color(self) -> ColorQueue: ...

    class Inbox(Protocol):
        """Where posters append."""

        def append(self, handle: Handle, /) -> None: ...


class ColorQueue:
    """The FIFO of one color's callbacks, and its state.

    ``_inbox`` is where posters append: the queue itself, or, once the runtime is shut down, an
    object that refuses; so posting needs no check. ``_aside`` is None except around a hold: then
    it keeps the callbacks that wait for the hold's end, all older than those in ``_queue``.
    ``_loop`` is weak: the loop refers to its color, and whatever lives in the loop to the loop, so
    neither is left over when both are unused.
    """

    __slots__ = (
        "__weakref__", "_aside", "_hold", "_inbox", "_loop", "_queue", "_scheduler", "_token",
        "home", "key",
    )  # fmt: skip

    def __init__(self, key: Hashable, scheduler: Scheduler) -> None:
        # Colors come and go with their work, so this is on the hot path too.
        self.key = key
        self._scheduler = scheduler
        self._queue: deque[Handle] = scheduler.make_queue()
        self._inbox: Inbox = scheduler.closed or self._queue
        token = scheduler.make_token()
        token.append(1)
        self._token = token
        self._aside: deque[Handle] | None = None
        self._hold: Holder | None = None
        self._loop: weakref.ref[AbstractEventLoop] | None = None
        self.home = hash(key)

    def post(self, fn: Callable[..., object], /, *args: Any) -> Handle:
        """Run ``fn(*args)`` in this color, after what was posted before, and return at once.

        The callback sees the context variables as they are now. What it raises goes to the
        runtime's exception handler. Thread-safe.

        Raises:
            RuntimeShutdown: the runtime takes no more work.

        """
        handle = Handle((fn, args, copy_context()))
        self._inbox.append(handle)
        if FENCE:
            self._token.reverse()
        if self._token:
            try:
                self._token.pop()  # ``claim``, without the call: this is the hot path
            except IndexError:
                return handle
            self._scheduler.ready(self)
        return handle

    #: ``post``, for what is to run on a thread of this process: colors with slots replace ``post``.
    _post_here = post

    def post_handle(self, handle: Handle) -> None:
        """Post a handle made elsewhere (a timer, a descriptor, a future's work)."""
        self._inbox.append(handle)
        if FENCE:
            self._token.reverse()
        if self._token:
            self._scheduler.wake(self)

    def post_inner(self, handle: Handle) -> None:
        """Post for the color's own loop.

        It is taken even while the runtime shuts down, so that coroutines can end.
        """
        self._queue.append(handle)
        if FENCE:
            self._token.reverse()
        if self._token:
            self._scheduler.wake(self)

    def dispatch(self, fn: Callable[..., object], /, *args: Any) -> Handle | None:
        """Run ``fn(*args)`` in this color at once if that keeps the order, else post it.

        It runs at once, inside the caller's turn, when the caller is a callback of this runtime
        and the color is idle; the result is then None. Otherwise it is posted and the result is
        its handle. Either way what it raises goes to the runtime's exception handler, not to the
        caller. Thread-safe.

        Raises:
            RuntimeShutdown: the runtime takes no more work.

        """
        lane = here.lane
        if (
            lane is None
            or lane.scheduler is not self._scheduler
            or self._inbox is not self._queue
            or lane.depth >= DISPATCH_DEPTH
            or not self._token
            or not self.claim()
        ):
            return self._post_here(fn, *args)
        # The color is ours. A callback that was already appended must run first: its poster
        # found, or will find, no token, so we put the color among the ready in its stead.
        if self._queue or self._aside is not None:
            try:
                return self._post_here(fn, *args)
            finally:
                self._scheduler.ready(self)
        self._run_inside(lane, fn, args)
        return None

    def _run_inside(self, lane: Lane, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Run one callback of this color, which the caller has claimed, inside the lane's turn."""
        outer = lane.color
        lane.color = self
        lane.outer.append(outer)
        lane.depth += 1
        loop = self.running_loop()
        if loop is not lane.loop:
            lane.enter_loop(loop)
        context = copy_context()
        try:
            # As in ``core.turn``, by number: a hit in a cache has two or three.
            if not args:
                result = context.run(fn)
            elif len(args) == 1:
                result = context.run(fn, args[0])
            elif len(args) == 2:
                first, second = args
                result = context.run(fn, first, second)
            elif len(args) == 3:
                first, second, third = args
                result = context.run(fn, first, second, third)
            else:
                result = context.run(fn, *args)
            if result is not None:
                unawaited(result, fn)
        except BaseException as error:  # noqa: BLE001 - a callback's failure never reaches another color
            tell(self._scheduler.failed, error, context)
        finally:
            lane.depth -= 1
            lane.color = lane.outer.pop()
            loop = None if outer is None else outer.running_loop()
            if loop is not lane.loop:
                lane.enter_loop(loop)
            lane.recent.append(self)
            if self.release():
                self._scheduler.ready(self)

    def running_loop(self) -> AbstractEventLoop | None:
        """The color's asyncio loop, if it has one alive."""
        return None if self._loop is None else self._loop()

    def claim(self) -> bool:
        """Take the token: True makes the caller the color's only owner."""
        try:
            self._token.pop()
        except IndexError:
            return False
        return True

    def release(self) -> bool:
        """Give the color back. True if there is work left and the caller owns it again."""
        if self.runnable():
            return True
        self._token.append(1)
        if FENCE:
            self._queue.rotate(0)
        return self.runnable() and self.claim()

    def runnable(self) -> bool:
        """Whether a turn would find something to run (or, under a hold, to put aside)."""
        return bool(self._queue) or (bool(self._aside) and self._hold is None)

    def make_aside(self) -> None:
        """Make the place where callbacks wait for a hold's end, unless it is there."""
        if self._aside is None:
            self._aside = deque()

    def is_idle(self) -> bool:
        """Whether nothing is queued and nobody owns or holds the color."""
        return bool(self._token) and not self._queue and not self._aside and self._hold is None

    def pending(self) -> int:
        """Callbacks not yet started."""
        return len(self._queue) + len(self._aside or ())

    def __repr__(self) -> str:
        return f"<color {self.key!r}>"
