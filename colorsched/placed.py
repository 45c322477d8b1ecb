"""Colors of a runtime with slots: plain callbacks run there, all else in the parent process."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from colorsched.color import Color, Place
from colorsched.core.policy import stable_hash
from colorsched.core.slots import BATCH_FIRST
from colorsched.errors import CannotTravel
from colorsched.events import name_of
from colorsched.executors.slots.jobs import SlotHandle, checked_retry
from colorsched.executors.slots.travel import is_coroutine_function, pack_call
from colorsched.observed import ObservedColor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from colorsched.aio.future import ColorFuture
    from colorsched.color import Color as Base
    from colorsched.color import Where
    from colorsched.core.handle import Handle
    from colorsched.core.scheduler import Scheduler
    from colorsched.core.slots import Slot
    from colorsched.executors.slots.jobs import Retry

else:
    Base = object  # the mixin stands before Color: see the classes at the end


#: The classes at the end have those of the mixin: of two bases only one may.
_NO_SLOTS: tuple[str, ...] = ()


class _InSlots(Base):
    """What colors of a runtime with slots do otherwise."""

    __slots__ = _NO_SLOTS

    slot: Slot | None
    number: int
    live: bool
    size: int
    """How many callbacks its next batch may have."""

    def __init__(self, key: Hashable, scheduler: Scheduler) -> None:
        super().__init__(key, scheduler)
        self.home = stable_hash(key)
        self.slot = None
        self.number = 0
        self.live = False
        self.size = BATCH_FIRST

    def post(self, fn: Callable[..., object], /, *args: Any) -> Handle:
        """Run ``fn(*args)`` in this color, in a slot; otherwise as of ``Color``.

        Raises:
            CannotTravel: the function, or an argument, cannot be sent there.

        """
        return self._post_to_slot(fn, args, None)

    # What is in another process cannot run inside the caller's turn.
    dispatch = post

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ColorFuture[Any]:
        """Run it in this color, in a slot; an ``async def`` in the parent process.

        Raises:
            CannotTravel: as of ``post``. A result that cannot be sent back is told by the future.

        """
        if is_coroutine_function(fn):
            future: ColorFuture[Any] = super().submit(fn, *args, **kwargs)
            return future
        return self._submit_to_slot(fn, args, kwargs, None)

    def on(self, where: Where, *, retry: Retry | None = None) -> Any:
        """This color, for what is to run on a thread of this process, or in a slot."""
        if where == "thread":
            if checked_retry(retry) is not None:
                raise ValueError("retry is for what is lost with its slot: on('slot', retry=...)")
            return OnThread(self)
        if where == "slot":
            return OnSlot(self, checked_retry(retry))
        raise ValueError(f"where={where!r}: there are 'thread' and 'slot'")

    def _post_to_slot(
        self, fn: Callable[..., object], args: tuple[Any, ...], retry: Retry | None
    ) -> Handle:
        if is_coroutine_function(fn):
            raise CannotTravel(
                f"post() takes a plain function; the coroutine of {name_of(fn)} would never run: "
                "submit() it, which holds the color, or spawn() its coroutine"
            )
        slots = self._slots
        context = copy_context()
        call = pack_call(slots.settler.travel, fn, args, {}, context)
        handle = SlotHandle((fn, (None, call, retry or slots.retry), context))
        self.post_handle(handle)
        return handle

    def _submit_to_slot(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        retry: Retry | None,
    ) -> ColorFuture[Any]:
        slots = self._slots
        context = copy_context()
        call = pack_call(slots.settler.travel, fn, args, kwargs, context)
        future: ColorFuture[Any] = self.future_type(self, self._shared.waits)
        self.post_handle(SlotHandle((fn, (future, call, retry or slots.retry), context)))
        return future

    def post_packed(self, call: Any, name: str) -> None:
        """Post what a callback in a slot has posted."""
        work = (Named(name), (None, call, self._slots.retry), copy_context())
        self.post_handle(SlotHandle(work))

    @property
    def travels(self) -> str:
        """How plain callbacks travel to their slots."""
        name: str = self._slots.settler.travel.name
        return name

    @property
    def _slots(self) -> Any:
        return self._scheduler.slots


class Named:
    """What stands for a function that was posted in a slot: its name."""

    def __init__(self, name: str) -> None:
        self.__qualname__ = name

    def __call__(self) -> None:
        """Never: it is called in a slot, as itself."""

    def __repr__(self) -> str:
        return self.__qualname__


class SlotColor(_InSlots, Color):
    """A color whose plain callbacks run in slots."""

    __slots__ = ("live", "number", "size", "slot")


class ObservedSlotColor(_InSlots, ObservedColor):
    """The same, of a runtime that has an observer."""

    __slots__ = ("live", "number", "size", "slot")


class OnThread(Place):
    """A color of a runtime with slots, for callbacks that are to run in the parent process.

    They share its order: at most one callback of a color runs, wherever that is.
    """

    def __init__(self, color: Any) -> None:
        self.color = color

    def post(self, fn: Callable[..., object], /, *args: Any) -> Handle:
        """As ``Color.post``."""
        handle: Handle = self.color._post_here(fn, *args)
        return handle

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ColorFuture[Any]:
        """As ``Color.submit``."""
        return Color.submit(self.color, fn, *args, **kwargs)

    def dispatch(self, fn: Callable[..., object], /, *args: Any) -> Handle | None:
        """As ``Color.dispatch``."""
        return Color.dispatch(self.color, fn, *args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
        """As ``Color.shutdown``: it raises."""
        self.color.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, *exc: object) -> None:
        """A ``with`` block around a color ends nothing."""


class OnSlot(OnThread):
    """A color, for callbacks that are to run in a slot: again, should they be lost with it."""

    def __init__(self, color: Any, retry: Retry | None) -> None:
        super().__init__(color)
        self._retry = retry

    def post(self, fn: Callable[..., object], /, *args: Any) -> Handle:
        """As ``Color.post``."""
        handle: Handle = self.color._post_to_slot(fn, args, self._retry)
        return handle

    dispatch = post

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ColorFuture[Any]:
        """As ``Color.submit``, of plain functions."""
        if is_coroutine_function(fn):
            raise CannotTravel(
                f"{name_of(fn)} is an async function: coroutines stay in the parent process. "
                "Submit it to the color itself; in it, await what a slot is to compute."
            )
        future: ColorFuture[Any] = self.color._submit_to_slot(fn, args, kwargs, self._retry)
        return future
