"""The vocabulary of what a runtime reports about itself."""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


@frozen(kw_only=True)
class Stats:
    """What a runtime looks like at one moment; every field is a count.

    ``turns``, ``steals`` and ``parks`` only grow; the others are levels. The levels are read one
    after the other while workers go on, so they are exact only when the runtime is quiet.
    """

    workers: int
    """Worker threads alive, spares among them."""
    spares: int
    """Worker threads beyond the configured number, let in because others were stuck."""
    colors: int
    """Colors alive: with work, or with a handle that somebody holds."""
    ready: int
    """Colors that wait for a worker."""
    pending: int
    """Callbacks posted and not yet started, timers not included."""
    timers: int
    """Timers not yet due."""
    turns: int
    """Turns begun."""
    steals: int
    """Colors taken from another worker's ready queue."""
    slots: int
    """Slots that there are; 0 if callbacks run on threads alone."""
    batches: int
    """Batches sent to slots."""
    lost: int
    """Slots lost, and replaced if they could be."""
    parks: int
    """Times a worker found nothing to do and went to sleep or to poll."""


@frozen
class Ran:
    """Where and when a callback ran in a slot."""

    slot: int
    """The slot's number."""
    began: int
    """Nanoseconds of the runtime's clock. Where the slot has another one, it was translated."""
    ended: int


def name_of(fn: Callable[..., Any]) -> str:
    """What people call a function."""
    while isinstance(fn, partial):
        fn = fn.func
    try:
        return getattr(fn, "__qualname__", None) or repr(fn)
    except Exception:  # noqa: BLE001 - what cannot be shown is named all the same
        return object.__repr__(fn)


class Ticket:
    """One posted callback, as an observer sees it. Made only where a runtime has an observer.

    ``data`` belongs to the observer.
    """

    __slots__ = (
        "__weakref__",
        "by",
        "data",
        "fn",
        "generation",
        "key",
        "kind",
        "number",
        "observer",
        "plan",
        "site",
    )

    def __init__(
        self,
        observer: Observer,
        number: int,
        key: Hashable,
        fn: Callable[..., object],
        kind: str,
        by: Ticket | None,
    ) -> None:
        self.observer = observer
        self.number = number
        """Unique in its runtime, in the order of posting."""
        self.key = key
        """The key of its color."""
        self.fn = fn
        self.kind = kind
        """``post`` (or submit, or spawn), ``loop`` (of the color's own asyncio loop), ``timer``
        (it is due), ``io`` (a descriptor or a signal), ``dispatch`` (runs at once, inside ``by``),
        ``plan`` (a timer, a reader or a signal handler was set; see ``Observer.planned``)."""
        self.by = by
        """The callback that posted it. None: a source, or a thread outside of the runtime; and in
        real runs, after some generations, whoever it was."""
        self.generation: int = (0 if by is None else by.generation) + (kind != "dispatch")
        """How many posts and plans led to it."""
        self.plan: Ticket | None = None
        """Of the callback of a timer, reader or signal handler, once it runs: how that was set."""
        self.site: Any = None
        """Where it was posted, if an observer wants to know (``testing.access.note_poster``)."""
        self.data: Any = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.number} {name_of(self.fn)} in {self.key!r}>"


class Told:
    """Accesses that an observer knows of, and need not be told again for now.

    An observer hands it out (``Observer.accessed``), who reports accesses adds to it and looks in
    it, and the observer empties it for good when to be told again would say something new.
    Only the callback that it was handed out to may go by it: who lets one begin puts ``NOTHING``
    into ``told`` first, as a context may have served another one.
    """

    __slots__ = ("reads", "writes")

    def __init__(self) -> None:
        self.reads: set[tuple[int, object]] = set()
        """The identity of each thing read, and the part of it."""
        self.writes: set[tuple[int, object]] = set()

    def forget(self) -> None:
        """Nothing in it holds any more."""
        self.reads.clear()
        self.writes.clear()


NOTHING: Final = Told()
"""What has been told where there is nobody to tell. It stays empty."""

#: What the callback that runs has told. Not a part of ``here``: to look there takes three times as
#: long, and this is looked at for every access.
told: Final[ContextVar[Told]] = ContextVar("told", default=NOTHING)


ADDS: Final = 2
"""In the place of ``write``: a write that commutes with others of its kind, and nothing else."""


class Observer:
    """Is told what a runtime does: give one to ``Runtime(observer=...)``. Override what you need.

    Every method is called synchronously on the thread that does the thing, so it must be quick and
    thread-safe, must not raise, and must not call the runtime. Without an observer none of this
    costs anything.

    >>> from colorsched import Runtime
    >>> class Count(Observer):
    ...     started_ = 0
    ...
    ...     def started(self, ticket):
    ...         self.started_ += 1
    >>> count = Count()
    >>> with Runtime(observer=count) as rt:
    ...     handles = [rt.color("a").post(int) for _ in range(3)]
    >>> count.started_
    3

    """

    def posted(self, ticket: Ticket) -> None:
        """A callback is about to be put into its color's queue."""

    def started(self, ticket: Ticket) -> None:
        """It runs now, in its color."""

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        """It has run, and raised ``error`` (which goes on to whom it belongs) or nothing."""

    def ran(self, ticket: Ticket, ran: Ran, error: BaseException | None) -> None:
        """It has run in a slot, as ``ran`` says; in the parent process that is known only now.

        By default it is told as if it had run here and now: ``started``, then ``ended``.
        """
        self.started(ticket)
        self.ended(ticket, error)

    def dropped(self, ticket: Ticket, why: str) -> None:
        """It will never run: ``cancelled`` or ``shut down``; or it was ``lost`` with its slot."""

    def planned(self, ticket: Ticket) -> None:
        """A timer, a reader or a signal handler was set; its callbacks will be posted later.

        Or a thread of a pool (``asyncio.to_thread``) is to call a function, outside of all colors.
        """

    def recalled(self, ticket: Ticket) -> None:
        """The callback that runs, or the call in a thread of a pool, is what ``ticket`` planned."""

    def looked(self, thing: object) -> None:
        """The code that runs asks how far something is.

        A future: whether it has its outcome; a ticket: whether it has started, and so is too late
        to cancel.
        """

    def noticed(self, future: object) -> None:
        """It asked, and learned that a future has its outcome; it would have gone on without."""

    def completed(self, future: object) -> None:
        """The future of submitted work is about to get its outcome, from the code that runs.

        In the place of the future of a call in a thread of a pool stands the ticket of its plan.
        """

    def joined(self, future: object) -> None:
        """The code that runs has seen a future's outcome, and waited for it if need be."""

    def settled(self) -> None:
        """All is quiet, and the code outside that calls knows it: ``drain`` has returned."""

    def accessed(
        self,
        ticket: Ticket,
        target: object,
        part: object,
        write: int,
        name: str,
        site: object,
    ) -> Told | None:
        """A callback read or wrote ``part`` of a shared object (``colorsched.testing.Shared``).

        ``write`` is False, True, or ``ADDS``.

        To return a ``Told`` is to say: not the same access again, until that is emptied. Then
        ``silenced`` is not told of it either.
        """
        return None

    def silenced(self, ticket: Ticket, reason: str, site: object) -> None:
        """An access was left out, for a reason (``colorsched.testing.benign``)."""
