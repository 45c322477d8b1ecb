"""Traces: what a runtime did, as a stream of events, kept in memory or in a file.

Which order a trace has
-----------------------
All threads append to one deque, and an append is atomic on every build. An observer is called
synchronously, so what a thread does after a call comes after that call's append; and what another
thread does because of it (it takes the callback from the queue, it gets the color) comes later
still. Hence: if one event happened before another, it stands before it. So ``posted`` stands before
``started``, the ``ended`` of one callback before the ``started`` of the color's next, and of two
posts of one thread the first one first. The other way round it says less: two events of threads
that knew nothing of each other stand in either order. The clock plays no part in it; it may even
run backwards from one event to the next, by what passes between reading it and the append. (A deque
for each thread would spare free-threaded builds some contention, but the order would have to come
from the clock, where two events of one tick have one time.)
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

from colorsched.events import Observer
from colorsched.ports import here
from colorsched.testing.trace_format import Event, FileSink, Trace, TraceError, merge, read_trace
from colorsched.testing.trace_names import Texts, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from colorsched.events import Ran, Ticket

__all__ = ["Event", "Recorder", "Sink", "Trace", "TraceError", "merge", "read_trace", "recorded"]

#: Events that a recorder with a sink lets gather before it hands them on ...
BATCH = 1024

#: ... and so many batches, when who appends must wait for who hands on.
BATCHES_AHEAD = 8


#: In the place of a key where there is none; None itself may be one.
_NONE: Any = object()


class Sink(Protocol):
    """Where a recorder sends its events."""

    def write(self, events: list[Event], /) -> None:
        """Take the next events, in order. Called on any thread, but by one at a time."""
        ...

    def close(self, *, complete: bool) -> None:
        """Nothing more comes; ``complete``: the recording ended in order."""
        ...


class _Thread(threading.local):
    """What the calling thread is to one recorder."""

    def __init__(self, register: Callable[[], int]) -> None:
        self.drains = False
        self.number = register()


class Recorder(Observer):
    """Records what a runtime does. Give it to ``Runtime(observer=...)``; iterate it for the events.

    Without a path all events stay in memory. With one they go to a file, to be read by
    ``read_trace``; then a few thousand of them are in memory at most, and iterating gives those.

    An event costs half a microsecond where it happens, written to a file 3.5, most of which is paid
    by the one in a thousand that hands the others on (CPython 3.11, one machine, once). Only that
    one takes a lock.

    Close it after the runtime has been shut down, best by ``with``. What has not run by then counts
    as lost (``colorsched.testing.conforms``); what happens later is not recorded.

    Args:
        to: a path, or a sink of your own; by default memory.
        origin: the name of this process, should traces be merged.
        clock: gives the time in nanoseconds. For simulated time:
            ``lambda: round(rt.time() * 1e9)``.
        batch: how many events gather before the sink gets them.

    Raises:
        OSError: the file cannot be written. At ``close``: it could not be written to the end.
        ValueError: ``batch`` is less than 1.

    >>> from colorsched import Runtime
    >>> with Recorder() as recorder, Runtime(observer=recorder) as rt:
    ...     handle = rt.color("red").post(int)
    >>> [(event.what, event.color) for event in recorder if event.ticket]
    [('posted', "'red'"), ('started', "'red'"), ('ended', "'red'")]

    """

    def __init__(
        self,
        to: str | PathLike[str] | Sink | None = None,
        *,
        origin: str = "",
        clock: Callable[[], int] = time.monotonic_ns,
        batch: int = BATCH,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch!r}")
        self._sink = FileSink(to, origin) if isinstance(to, str | PathLike) else to
        self._origin = origin
        self._clock = clock
        self._batch = sys.maxsize if to is None else batch
        self._events: deque[tuple[Any, ...]] = deque()
        self._append = self._events.append
        self._texts = Texts()
        self._draining = threading.Lock()
        self._naming = threading.Lock()
        self._count = 0
        self._closed = False
        self._complete = False
        self._error: Exception | None = None
        self._slots: dict[int, int] = {}
        self._thread = _Thread(self._register)

    # -- what the runtime tells; keys are made text when they are read ------------------------

    def posted(self, ticket: Ticket) -> None:
        """See ``Observer``, here and below."""
        self._post("posted", ticket)

    def planned(self, ticket: Ticket) -> None:  # noqa: D102 - see posted
        self._post("planned", ticket)

    def started(self, ticket: Ticket) -> None:  # noqa: D102 - see posted
        self._tell("started", ticket, None)

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:  # noqa: D102 - see posted
        self._tell("ended", ticket, None if error is None else type(error).__qualname__)

    def ran(self, ticket: Ticket, ran: Ran, error: BaseException | None) -> None:
        """Put what ran in a slot into this trace: at its times, on a thread named after the slot.

        It is told when the answer is there, before anybody can know of it: so the order is that of
        the trace, although the times are earlier.
        """
        thread = self._slots.get(ran.slot) or self._name(f"slot {ran.slot}", ran.slot)
        failed = None if error is None else type(error).__qualname__
        rest = (thread, None, None, _NONE, None)
        self._append(("started", ticket.number, ticket.key, ran.began, *rest, None))
        self._append(("ended", ticket.number, ticket.key, ran.ended, *rest, failed))
        if len(self._events) >= self._batch:
            self._drain()

    def dropped(self, ticket: Ticket, why: str) -> None:  # noqa: D102 - see posted
        self._tell("dropped", ticket, why)

    def recalled(self, ticket: Ticket) -> None:  # noqa: D102 - see posted
        self._tell("recalled", ticket, None)

    def completed(self, future: object) -> None:  # noqa: D102 - see posted
        self._tell("completed", here.ticket, f"{id(future):x}")

    def joined(self, future: object) -> None:  # noqa: D102 - see posted
        self._tell("joined", here.ticket, f"{id(future):x}")

    def _post(self, what: str, ticket: Ticket) -> None:
        by = ticket.by
        fn = ticket.fn
        name = getattr(fn, "__qualname__", None) or name_of(fn)
        number, poster = (None, _NONE) if by is None else (by.number, by.key)
        thread = self._thread.number  # first: it may have to be announced
        event = (what, ticket.number, ticket.key, self._clock(), thread)
        self._append((*event, ticket.kind, number, poster, name, None))
        if len(self._events) >= self._batch:
            self._drain()

    def _tell(self, what: str, ticket: Ticket | None, detail: str | None) -> None:
        number, key = (None, _NONE) if ticket is None else (ticket.number, ticket.key)
        thread = self._thread.number
        self._append((what, number, key, self._clock(), thread, None, None, _NONE, None, detail))
        if len(self._events) >= self._batch:
            self._drain()

    def _register(self) -> int:
        """Give the calling thread its number."""
        return self._name(threading.current_thread().name, None)

    def _name(self, name: str, slot: int | None) -> int:
        """Give a thread, or a slot, a number, and tell its name."""
        with self._naming:
            self._count = number = self._count + 1
            if slot is not None:
                number = self._slots.setdefault(slot, number)
        event = ("thread", None, _NONE, self._clock(), number)
        self._append((*event, None, None, _NONE, None, name))
        return number

    # -- handing on ---------------------------------------------------------------------------

    def _drain(self) -> None:
        """Hand on what has gathered, unless somebody does; wait for him if he does not keep up."""
        if self._thread.drains:
            return  # a finalizer that runs here and now was told of
        wait = len(self._events) >= self._batch * BATCHES_AHEAD
        if self._draining.acquire(blocking=wait):
            try:
                self._hand_on()
            finally:
                self._draining.release()

    def _hand_on(self) -> None:
        """Hand on all there is now. Call with the lock held."""
        events = self._events
        if self._closed or self._sink is None:
            return
        self._thread.drains = True
        try:
            batch = [self._read(events.popleft()) for _ in range(len(events))]
            if self._error is None:
                self._sink.write(batch)
        except Exception as error:  # noqa: BLE001 - not the runtime's business; close() raises it
            self._error = error
        finally:
            self._thread.drains = False

    def _read(self, raw: tuple[Any, ...]) -> Event:
        what, ticket, key, time_ns, thread, kind, by, poster, name, detail = raw
        color = None if key is _NONE else self._texts.of(key)
        poster = None if poster is _NONE else self._texts.of(poster)
        return Event(
            what, ticket, color, time_ns, thread, kind, by, poster, name, detail, self._origin
        )

    def __iter__(self) -> Iterator[Event]:
        """The events that are in memory now, oldest first."""
        with self._draining:
            events = [self._read(raw) for raw in tuple(self._events)]
        yield from events
        if self._complete:
            yield Event("end", origin=self._origin)

    def __len__(self) -> int:
        return len(self._events)

    def close(self, *, complete: bool = True) -> None:
        """Record nothing more. ``complete=False``: the runtime goes on, so nothing is lost yet.

        Calling it again is harmless.

        Raises:
            OSError: not all could be written (or whatever else the sink raised).

        """
        with self._draining:
            if self._closed:
                return
            self._hand_on()
            self._closed = True
            self._complete = complete
            self._append = _forget
            error = self._error
            if self._sink is not None:
                self._sink.close(complete=complete and error is None)
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Close it; as incomplete after an interrupt or an exit, when work may go on."""
        self.close(complete=kind is None or issubclass(kind, Exception))


def recorded(
    path: str | PathLike[str], *, origin: str = "", clock: Callable[[], int] = time.monotonic_ns
) -> Recorder:
    """A recorder that writes to a file; for a ``with`` block around the runtime's.

    >>> import tempfile
    >>> from colorsched import Runtime
    >>> path = tempfile.mktemp()
    >>> with recorded(path) as recorder, Runtime(observer=recorder) as rt:
    ...     handle = rt.post(int)
    >>> [event.what for event in read_trace(path)]
    ['thread', 'posted', 'thread', 'started', 'ended', 'end']

    """
    return Recorder(path, origin=origin, clock=clock)


def _forget(_event: tuple[Any, ...]) -> None:
    """What a closed recorder does with events."""
