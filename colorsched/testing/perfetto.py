"""Traces as pictures: exported to the Trace Event Format, for ui.perfetto.dev or chrome://tracing.

A process stands for the threads: on each one the callbacks that it ran, with an arrow to each from
where it was posted, posts and drops as instants, and a counter of the callbacks that wait. Another
process stands for the colors, a track each; when there are many, those that come late share a few.

From the command line: ``python -m colorsched.testing.perfetto trace.jsonl picture.json``.

What is supposed of the viewers: complete events (``X``) of one track nest; an arrow (``s``, ``f``)
is tied to the slice that is open on its track at its time, so slices stand before arrows, and a
post by a thread that runs no callback is a slice, of a nanosecond. Times are made to grow from each
event of the trace to the next, by a nanosecond at least, so that what is cause and effect looks so.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from attrs import Factory, define, field

from colorsched.testing.trace import read_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from os import PathLike

    from colorsched.testing.trace import Event

#: Colors with tracks of their own.
COLORS = 200

#: The counter of waiting callbacks is written no more often than this.
COUNT_EVERY_NS = 10_000

#: Flows are numbered by origin and ticket.
ORIGIN_STRIDE = 2**40

_to_json = json.JSONEncoder(separators=(",", ":")).encode


def export(trace: Iterable[Event], path: str | PathLike[str], *, colors: int = COLORS) -> None:
    """Write a trace as JSON that ui.perfetto.dev opens.

    The trace is read once, and kept no longer than its callbacks are pending. One that breaks off
    is drawn up to there, running callbacks to the end.

    Args:
        trace: of ``read_trace``, a ``Recorder``, or ``merge``.
        path: the file to write.
        colors: how many colors of each origin get tracks of their own.

    Raises:
        OSError: the file cannot be written.
        ValueError: ``colors`` is negative.

    """
    if colors < 0:
        raise ValueError(f"colors must not be negative: {colors}")
    with Path(path).open("w", encoding="utf-8") as file, closing(_Writer(file, colors)) as writer:
        for event in trace:
            writer.see(event)


@define(eq=False)
class _Callback:
    posted: Event | None
    name: str
    start: int = 0
    thread: int = 0
    track: int = 0
    started: bool = False


@define(eq=False)
class _Origin:
    """One process of the trace, which is two in the picture."""

    place: int
    callbacks: dict[int | None, _Callback] = Factory(dict)
    tracks: dict[str | None, int] = Factory(dict)
    """Of the colors that have their own."""
    shared: list[_Callback | None] = Factory(list)
    """The tracks that other colors share, with what runs there now."""
    depth: dict[int, int] = Factory(dict)
    """By thread, how many callbacks it is in; threads in none are left out."""
    waiting: int = 0
    counted: int = -COUNT_EVERY_NS

    @property
    def threads(self) -> int:
        """The process of the threads."""
        return 2 * self.place + 1

    @property
    def colors(self) -> int:
        """The process of the colors."""
        return 2 * self.place + 2


@define(eq=False)
class _Writer:
    """Writes the events of the picture as those of the trace come."""

    _file: IO[str]
    _most: int
    _origins: dict[str, _Origin] = field(init=False, factory=dict)
    _begin: int | None = field(init=False, default=None)
    _now: int = field(init=False, default=-1)
    _comma: str = field(init=False, default="")
    _looks: dict[str, Callable[[Event, _Origin], None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._looks = {
            "thread": self._thread,
            "posted": self._posted,
            "started": self._started,
            "ended": self._ended,
            "dropped": self._dropped,
        }
        self._file.write('{"displayTimeUnit":"ns","traceEvents":[\n')

    def see(self, event: Event) -> None:
        look = self._looks.get(event.what)
        if look is None:
            return
        if self._begin is None:
            self._begin = event.time_ns
        self._now = max(event.time_ns - self._begin, self._now + 1)
        look(event, self._origins.get(event.origin) or self._meet(event.origin))

    def close(self) -> None:
        """End what runs still, and the file."""
        self._now += 1
        for origin in self._origins.values():
            for number, callback in origin.callbacks.items():
                if callback.started:
                    self._draw(origin, number, callback, {"unfinished": True})
            self._count(origin, always=True)
        self._file.write("\n]}\n")

    # -- what the trace tells ------------------------------------------------------------------

    def _meet(self, name: str) -> _Origin:
        origin = self._origins[name] = _Origin(len(self._origins))
        of = f" of {name}" if name else ""
        for process, title in ((origin.threads, "threads"), (origin.colors, "colors")):
            self._name("process", process, 0, title + of, process)
        return origin

    def _thread(self, event: Event, origin: _Origin) -> None:
        self._name("thread", origin.threads, event.thread, event.detail or "", event.thread)

    def _posted(self, event: Event, origin: _Origin) -> None:
        number, thread = event.ticket, event.thread
        name = event.name or f"#{number}"
        origin.callbacks[number] = _Callback(event, name)
        place: dict[str, Any] = {"pid": origin.threads, "tid": thread}
        post = {"name": f"post {name}", "cat": "post", "args": _about(event), **place}
        if thread in origin.depth:
            self._put("i", self._now, s="t", **post)
        else:
            self._put("X", self._now, dur=0.001, **post)
        flow = {"name": "post", "cat": "post", "id": self._flow(origin, number)}
        self._put("s", self._now, **flow, **place)
        origin.waiting += 1
        self._count(origin)

    def _started(self, event: Event, origin: _Origin) -> None:
        callback = self._find(event, origin)
        callback.start, callback.thread, callback.started = self._now, event.thread, True
        callback.track = self._track(event.color, callback, origin)
        origin.depth[event.thread] = origin.depth.get(event.thread, 0) + 1
        self._count(origin)

    def _ended(self, event: Event, origin: _Origin) -> None:
        callback = origin.callbacks.pop(event.ticket, None)
        if callback is None or not callback.started:
            return
        error = {} if event.detail is None else {"error": event.detail}
        self._draw(origin, event.ticket, callback, {"color": event.color, **error})
        depth = origin.depth[callback.thread] = origin.depth[callback.thread] - 1
        if not depth:
            del origin.depth[callback.thread]
        if callback in origin.shared:
            origin.shared[origin.shared.index(callback)] = None

    def _dropped(self, event: Event, origin: _Origin) -> None:
        callback = self._find(event, origin)
        del origin.callbacks[event.ticket]
        self._put(
            "i", self._now, name=f"{callback.name} {event.detail}", cat="drop", s="t",
            pid=origin.threads, tid=event.thread, args=_about(callback.posted or event),
        )  # fmt: skip
        self._count(origin)

    def _find(self, event: Event, origin: _Origin) -> _Callback:
        """A callback that leaves the queue."""
        callback = origin.callbacks.get(event.ticket)
        if callback is None:  # of a trace whose begin is missing
            callback = origin.callbacks[event.ticket] = _Callback(None, f"#{event.ticket}")
        else:
            origin.waiting -= not callback.started
        return callback

    # -- drawing ---------------------------------------------------------------------------------

    def _track(self, color: str | None, callback: _Callback, origin: _Origin) -> int:
        """The track of a color: its own, or one of the shared that is free."""
        track = origin.tracks.get(color)
        if track is not None:
            return track
        if len(origin.tracks) < self._most:
            track = origin.tracks[color] = len(origin.tracks) + 1
            self._name("thread", origin.colors, track, str(color), track)
            return track
        if None in origin.shared:
            row = origin.shared.index(None)
            origin.shared[row] = callback
        else:
            row = len(origin.shared)
            origin.shared.append(callback)
            track = self._most + row + 1
            self._name("thread", origin.colors, track, f"other colors {row + 1}", track)
        return self._most + row + 1

    def _draw(
        self, origin: _Origin, number: int | None, callback: _Callback, more: dict[str, Any]
    ) -> None:
        """A callback that has run, on its thread and its color."""
        about = {"ticket": number} if callback.posted is None else _about(callback.posted)
        slice_ = {
            "name": callback.name, "cat": "callback", "dur": (self._now - callback.start) / 1000,
            "args": about | more,
        }  # fmt: skip
        thread = {"pid": origin.threads, "tid": callback.thread}
        self._put("X", callback.start, **slice_, **thread)
        if callback.posted is not None:
            flow = {"name": "post", "cat": "post", "id": self._flow(origin, number), "bp": "e"}
            self._put("f", callback.start, **flow, **thread)
        self._put("X", callback.start, **slice_, pid=origin.colors, tid=callback.track)

    def _count(self, origin: _Origin, *, always: bool = False) -> None:
        if always or self._now >= origin.counted + COUNT_EVERY_NS:
            origin.counted = self._now
            args = {"callbacks": origin.waiting}
            self._put("C", self._now, name="waiting", pid=origin.threads, args=args)

    def _name(self, what: str, pid: int, tid: int, name: str, order: int) -> None:
        place = {"pid": pid, "tid": tid}
        self._put("M", 0, name=f"{what}_name", args={"name": name}, **place)
        self._put("M", 0, name=f"{what}_sort_index", args={"sort_index": order}, **place)

    def _flow(self, origin: _Origin, number: int | None) -> int:
        return origin.place * ORIGIN_STRIDE + (number or 0)

    def _put(self, phase: str, time_ns: int, **fields: Any) -> None:
        self._file.write(self._comma + _to_json({"ph": phase, "ts": time_ns / 1000, **fields}))
        self._comma = ",\n"


def _about(posted: Event) -> dict[str, Any]:
    """What is told of a callback when one clicks on it."""
    about = {"ticket": posted.ticket, "color": posted.color, "kind": posted.kind}
    return about if posted.by is None else {**about, "posted by": posted.by, "in": posted.poster}


def main(args: Sequence[str] | None = None) -> None:
    """Convert a recorded trace."""
    parser = argparse.ArgumentParser(
        prog="python -m colorsched.testing.perfetto",
        description="Convert a trace that colorsched recorded to one that ui.perfetto.dev shows.",
    )
    parser.add_argument("trace", help="the file that Recorder wrote")
    parser.add_argument("picture", help="the JSON file to write")
    parser.add_argument(
        "--colors", type=int, default=COLORS, help="tracks for colors (%(default)s)"
    )
    options = parser.parse_args(args)
    try:
        export(read_trace(options.trace), options.picture, colors=options.colors)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
