"""What traces consist of: events, in memory and as lines of a file; reading and merging them."""

from __future__ import annotations

import heapq
import json
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from colorsched.errors import ColorschedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike

#: Of the format of the files.
VERSION = 1


class TraceError(ColorschedError, ValueError):
    """A file is not a trace, or is damaged."""


class Event(NamedTuple):
    """One thing that happened.

    ``what`` is one of ``posted``, ``started``, ``ended``, ``dropped``, ``planned``, ``recalled``,
    ``completed``, ``joined`` (as the methods of ``colorsched.events.Observer``); ``thread``, which
    gives a thread's name before its first event; and ``end``, after the last event of a trace that
    was closed in order.
    """

    what: str
    ticket: int | None = None
    """The callback's number, unique in its origin; of ``completed``, ``joined``: who runs."""
    color: str | None = None
    """Its color's key as text."""
    time_ns: int = 0
    thread: int = 0
    """Threads are counted in the order of their first events: 1, 2, ..."""
    kind: str | None = None
    """As ``Ticket.kind``. This, ``by``, ``poster`` and ``name`` only of ``posted``, ``planned``."""
    by: int | None = None
    """The callback that posted it, if one did."""
    poster: str | None = None
    """That one's color."""
    name: str | None = None
    """The function's."""
    detail: str | None = None
    """``ended``: the type of the error. ``dropped``: why. ``thread``: its name. ``completed``,
    ``joined``: what tells the future from others alive."""
    origin: str = ""
    """The process, or whatever else, that the event comes from; see ``merge``."""


class FileSink:
    """Writes events to a file, as JSON lines: a head, the events, and an end if it ended well."""

    def __init__(self, path: str | PathLike[str], origin: str) -> None:
        self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed by close()
        head = {"colorsched": "trace", "version": VERSION, "origin": origin}
        self._file.write(json.dumps(head) + "\n")
        self._file.flush()

    def write(self, events: list[Event], /) -> None:
        """Write them, one a line."""
        self._file.write("".join([_encode(event) for event in events]))

    def close(self, *, complete: bool) -> None:
        """Close the file."""
        with self._file:
            if complete:
                self._file.write(_encode(Event("end")))


_FIELDS = Event._fields[:-1]


def _encode(event: Event) -> str:
    """One line: the fields that say something."""
    fields = {name: value for name, value in zip(_FIELDS, event, strict=False) if value is not None}
    return _to_json(fields) + "\n"


_to_json = json.JSONEncoder(separators=(",", ":")).encode


@frozen
class Trace:
    """A trace in a file. Iterating it reads the file anew, a line at a time."""

    path: Path
    origin: str

    def __iter__(self) -> Iterator[Event]:
        with self.path.open(encoding="utf-8") as file:
            file.readline()
            for number, line in enumerate(file, 2):
                if not line.endswith("\n"):
                    return  # the writer was cut off
                try:
                    yield Event(**json.loads(line), origin=self.origin)
                except (ValueError, TypeError) as error:
                    raise TraceError(
                        f"{self.path}, line {number}, is no event: {error}. The file is damaged; "
                        "what stands before can be read."
                    ) from error


def read_trace(path: str | PathLike[str]) -> Trace:
    """The trace that a recorder wrote, also one that is still being written, or was cut off.

    Raises:
        TraceError: the file is no trace, or one of a later version; while iterating: damaged.
        OSError: it cannot be read.

    """
    path = Path(path)
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline(4096)
    try:
        head = json.loads(line)
        kind, version, origin = head["colorsched"], head["version"], head["origin"]
    except (ValueError, TypeError, KeyError):
        kind = version = origin = None
    if kind != "trace":
        raise TraceError(f"{path} is not a trace: write one with Recorder({path.name!r})")
    if version != VERSION:
        raise TraceError(
            f"{path} is a trace of version {version!r}, this colorsched reads version {VERSION}: "
            "read it with the one that wrote it"
        )
    return Trace(path, origin)


def merge(*traces: Iterable[Event]) -> Iterator[Event]:
    """One stream of several, by time; each keeps its own order, whatever its clock says.

    Every trace needs an origin of its own, and all of them one clock: that of one machine.

    Raises:
        TraceError: two traces have the same origin.

    """
    owners: dict[str, int] = {}

    def owned(place: int, trace: Iterable[Event]) -> Iterator[Event]:
        for event in trace:
            if owners.setdefault(event.origin, place) != place:
                raise TraceError(
                    f"two of the traces have the origin {event.origin!r}: record each process with "
                    "Recorder(origin=...) of its own"
                )
            yield event

    # An event whose time is before that of its predecessor comes right after it, as does an end.
    streams = [owned(place, trace) for place, trace in enumerate(traces)]
    return heapq.merge(*streams, key=attrgetter("time_ns"))
