"""A posted callback as its poster sees it: something that can be cancelled until it starts."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from colorsched.events import Ticket, name_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    #: A function, its arguments and the context to run it in: what a handle is made of.
    Work = tuple[Callable[..., object], tuple[Any, ...], Context]

#: Taking this item claims the handle's work, to start it or to cancel it.
CLAIM = 2


class Told(str):
    """Why an observed callback was dropped, with its ticket: who asks later is seen to ask."""

    __slots__ = ("ticket",)
    ticket: Ticket

    def __new__(cls, why: str, ticket: Ticket) -> Self:
        """A reason that reads like any other."""
        told = super().__new__(cls, why)
        told.ticket = ticket
        return told


class Handle(list[Any]):
    """A callback that was posted. ``cancel()`` it, ask whether it was ``cancelled()``.

    A handle is a list of three: function, arguments, context. To start the work and to cancel it
    are both to take the third (``pop(2)``), which fails when it is gone. That is atomic on every
    build, so exactly one of the two gets it, whatever the threads do, and neither needs a lock.
    (That it is a ``list`` is how it is made, not what it is for: one allocation, and one object
    for the garbage collector to look at, is what a post can afford. With a burst of 200,000
    pending, an object more for each costs more than all the rest of posting.)

    Thread-safe.
    """

    __slots__ = ("_why",)

    inner: ClassVar[bool] = False
    """Whether this belongs to the color's own asyncio loop, and so runs even under a hold."""

    def cancel(self) -> bool:
        """Keep the callback from running.

        True if that worked, False if it had been started, had run, or had been cancelled before.
        """
        return self._drop("cancelled")

    def cancelled(self) -> bool:
        """Whether the callback will never run: somebody cancelled it, or the runtime ended."""
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """Why the callback did not and will not run: ``"cancelled"``, ``"shut down"``, or None."""
        why = getattr(self, "_why", None)
        for ticket in (why.ticket,) if isinstance(why, Told) else self[:1]:
            if isinstance(ticket, Ticket):
                ticket.observer.looked(ticket)
        return why

    def subject(self) -> Callable[..., object]:
        """The function or coroutine that all this is about, for whoever shows it.

        Raises:
            IndexError: the handle is empty: cancelled.

        """
        fn: Callable[..., object] = self[0]
        return fn

    def _drop(self, why: str) -> bool:
        try:
            list.pop(self, CLAIM)
        except IndexError:
            for fn in self[:1]:  # none, if it was cancelled before; a handle is never false
                if isinstance(fn, Ticket):
                    fn.observer.looked(fn)
            return False
        fn, args = self
        self._why = Told(why, fn) if isinstance(fn, Ticket) else why
        self.clear()
        self._dropped(args)
        if isinstance(fn, Ticket):
            fn.observer.dropped(fn, why)
        return True

    def _dropped(self, args: tuple[Any, ...]) -> None:
        """For kinds of handles that must tell somebody that the work will not be done."""

    def __bool__(self) -> bool:
        return True

    __hash__ = object.__hash__  # type: ignore[assignment]  # list has none; two handles are two, whatever they carry

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __repr__(self) -> str:
        state = getattr(self, "_why", None)
        if state is None:
            try:
                state = f"pending {getattr(self[-3], '__qualname__', self[-3])!s}"
            except IndexError:
                state = "started"
        return f"<{type(self).__name__} {state}>"


class InnerHandle(Handle):
    """A callback of the color's own asyncio loop: runs even while a coroutine holds the color."""

    __slots__ = ()
    inner = True


class EndTurn(BaseException):
    """Raised by a callback of ours to end the turn it runs in. Never leaves ``core.turn``."""


class HandOver(BaseException):
    """Raised by a handle that a worker would claim: it is to run elsewhere, and so is its color.

    The turn ends, and the color is not released: whoever takes ``handle`` has it from then on (see
    ``executors.slots``). Never leaves ``core.turn``.
    """

    def __init__(self, handle: Handle) -> None:
        self.handle = handle


def unawaited(result: object, fn: Callable[..., object]) -> None:
    """Refuse a coroutine that a callback returned, as an ``async def`` does: it would never run.

    Raises:
        TypeError: the result is one.

    """
    if type(result) is CoroutineType:
        result.close()
        raise TypeError(
            f"{name_of(fn)} was posted as a plain function and returned a coroutine, which would "
            "never run: submit() it, which holds the color, or spawn() its coroutine"
        )


def tell(failed: Callable[[BaseException], None], error: BaseException, context: Context) -> None:
    """Hand over what a callback raised, in its context, so that its context variables are seen."""
    try:
        context.run(failed, error)
    except RuntimeError:
        # The context is in use elsewhere, which may be just what the callback failed of.
        failed(error)
