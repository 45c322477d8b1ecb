"""The race detector: two accesses to one thing, one of them a write, that nothing orders.

The method is FastTrack (Flanagan and Freund, PLDI 2009) with a clock per color in place of one per
thread (``colorsched.testing.clocks``). Of everything shared it keeps the last write and the last
read, and several reads only where they were concurrent. So a thing has a race in the run exactly
if one is reported for it; once it has one, further ones of the same thing may go unseen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import PurePath
from random import Random
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from colorsched.core.observed import Planned
from colorsched.events import ADDS, Told, name_of
from colorsched.testing.callees import task_of
from colorsched.testing.clocks import HappensBefore, inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from colorsched.events import Ran, Ticket
    from colorsched.ports import Lock

#: An access as the detector keeps it: the color's index and time, who, and where.
_Epoch = tuple[int, int, Any, Any]

#: Up to which time a clock knows of another, by index.
_Known = Callable[[int, int], int]

log = logging.getLogger("colorsched")

#: The access that came before all others.
_NEVER: Final[_Epoch] = (-1, 0, None, None)

#: What a lock has to guard.
_EVENTS: Final = (
    *("posted", "started", "ended", "dropped", "planned", "recalled", "completed", "joined"),
    *("accessed", "acquired", "noticed", "released", "settled"),
)


class _Cell:
    """The last accesses to one part of one thing."""

    __slots__ = ("adders", "read", "readers", "write")

    def __init__(self) -> None:
        self.write = _NEVER
        self.adders: dict[int, _Epoch] | None = None
        """The last of those writes by color that commute among each other; until the next write."""
        self.read = _NEVER
        self.readers: dict[int, _Epoch] | None = None
        """The reads by color, once there were concurrent ones; until the next write."""


def _reads(cell: _Cell) -> Iterable[_Epoch]:
    return (cell.read,) if cell.readers is None else cell.readers.values()


@frozen
class Access:
    """One read or write: by which callback, and where in the code.

    Attributes:
        ticket: the callback; None for code outside of any.
        write: whether it wrote.
        site: the place in the code; with ``file`` and ``line``, or just something to print.

    """

    ticket: Ticket | None
    write: bool
    site: object

    @property
    def callback(self) -> str:
        """Color and number of the callback, such as ``red#3``."""
        return "outside" if self.ticket is None else _label(self.ticket)

    @property
    def place(self) -> str:
        """File and line, such as ``app.py:12``."""
        file = getattr(self.site, "file", None)
        line = getattr(self.site, "line", "?")
        return str(self.site) if file is None else f"{PurePath(file).name}:{line}"

    def __str__(self) -> str:
        return f"{'write' if self.write else 'read'} {self.callback} {self.place}"


@frozen
class Race:
    """Two accesses that nothing orders; ``str(race)`` is one line, ``explain()`` the whole story.

    Attributes:
        name: what was accessed, such as ``cart.total``.
        first: the access that came first in this run.
        second: the one that came second.
        ancestor: the nearest callback from which both descend by posts; None if there is none.

    """

    name: str
    first: Access
    second: Access
    ancestor: Ticket | None = None

    def __str__(self) -> str:
        return f"RACE {self.name}: {self.first}, {self.second} (no post or await orders them)"

    def explain(self) -> str:
        """Tell who did what where, and what would have ordered the two."""
        lines = [str(self)]
        for access in (self.first, self.second):
            name = "" if access.ticket is None else f" {_name(access.ticket)}"
            what = "writes" if access.write else "reads"
            lines.append(f"  {access.callback}{name} {what} it at {access.site}")
        lines.append(f"  {self.remedy}")
        return "\n".join(lines)

    @property
    def remedy(self) -> str:
        """What would have ordered the two accesses."""
        one, other, common = self.first.ticket, self.second.ticket, self.ancestor
        if one is None or other is None:
            color = _color(one or other)
            return (
                f"one access is outside of all callbacks: post it to {color} too, make it before "
                f"you post the other, or wait for that one's future first"
            )
        if common is one or common is other:
            child = other if common is one else one
            return (
                f"{_label(child)} comes from {_label(common)}, which goes on beside it: make that "
                f"one's access before it posts, or after it awaited what it posted"
            )
        origin = f" (both come from {_label(common)} {_name(common)})" if common else ""
        return (
            f"no post, await or color orders them: give both callbacks one color ({_color(one)} or "
            f"{_color(other)}), or post the second from the first, or await it{origin}"
        )


class RaceDetector(HappensBefore):
    """An observer that finds races; one for each run.

    Things are told apart by identity, so everything seen is kept alive as long as the detector; and
    so is a clock for each color.

    In a real parallel run give it a ``lock``. Then one event is dealt with at a time, in the order
    of the lock. That is right: an observer is called by the thread that acts, so of two events in
    happens-before order the first one's call has returned before the second one's begins; and what
    the detector says depends on nothing but that order. Locks that the program uses are passed on
    by ``OrderingLock``.

    What it costs (CPython 3.11, one machine, once): 0.5 to 1.2 µs for a callback of a program of
    three colors, post to end, and 0.1 to 0.3 µs for an access; with an uncontended lock twice as
    much; an access to what a sample leaves out, 0.08 µs. What a color knows of others is copied as
    it learns: where one color exchanges posts with a thousand others, a callback costs 27 µs.

    Args:
        on_race: called with each race as it is found; what it raises comes out of the access. All
            races are in ``races`` anyway.
        sample: the share of things that are watched. Each is watched wholly or not at all, so in
            one run a race is found with this probability, and none is reported that is none.
        seed: decides which things are watched, in the order in which they are first seen.
        lock: guards the detector if several threads use it, best a ``threading.RLock``.

    Raises:
        ValueError: ``sample`` is not between 0 and 1.

    >>> import threading
    >>> detector = RaceDetector(lock=threading.RLock(), sample=0.1)
    >>> detector.races
    []

    """

    def __init__(
        self,
        *,
        on_race: Callable[[Race], object] | None = None,
        sample: float = 1.0,
        seed: int = 0,
        lock: Lock | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= sample <= 1:
            raise ValueError(f"sample is a share between 0 and 1, not {sample!r}")
        self.races: list[Race] = []
        self._on_race = on_race
        self._blind = False
        """It was said that what runs in slots is not seen."""
        self._things: dict[int, tuple[object, dict[object, _Cell]]] = {}
        self._reported: set[tuple[int, frozenset[str]]] = set()
        self._ticket: Ticket | None = None
        self._clock = self._outside
        # Put around the methods, so that who needs neither does not even ask.
        if lock is not None:
            for event in _EVENTS:
                setattr(self, event, _guarded(getattr(self, event), lock))
        if sample < 1:
            setattr(self, "accessed", _sampled(self.accessed, sample, seed))  # noqa: B010 - a method, to mypy

    def ran(self, ticket: Ticket, ran: Ran, error: BaseException | None) -> None:
        """A callback has run in a slot: what it touched there is not seen, which is said once."""
        if not self._blind:
            self._blind = True
            log.warning(
                "RaceDetector does not see what callbacks touch in slots, such as %r: "
                "for their races run the program on threads, or in SimRuntime",
                ticket,
            )
        super().ran(ticket, ran, error)

    def accessed(
        self,
        ticket: Ticket | None,
        target: object,
        part: object,
        write: int,
        name: str,
        site: object,
    ) -> Told | None:
        """Compare an access with those before it, and remember it.

        Args:
            ticket: who; None for code outside of callbacks.
            target: the thing; only accesses to the same one are compared.
            part: the part of it; any hashable. Different parts have nothing to do with each other.
            write: whether it wrote; ``ADDS`` if that commutes with others that do so.
            name: what to call it in reports.
            site: where in the code, such as a ``colorsched.testing.access.Site``.

        Returns:
            What need not be told again until the color's time goes on: from the first access on
            that was told before, since most callbacks make each access once.

        """
        if ticket is self._ticket:
            clock = self._clock
        else:
            self._ticket = ticket
            clock = self._clock = self.clock_of(ticket)
        thing = self._things.get(id(target))
        if thing is None:
            thing = self._things[id(target)] = (target, {})
        cell = thing[1].get(part)
        if cell is None:
            cell = thing[1][part] = _Cell()
        readers = cell.readers
        if not write:
            last = cell.read if readers is None else readers.get(clock.index, _NEVER)
        elif write == ADDS:
            now: _Epoch = (clock.index, clock.time, ticket, site)
            self._added(cell, now, clock.known.get, target, name)
            return None
        else:
            last = cell.write
        if last[0] != clock.index or last[1] != clock.time:
            now = (clock.index, clock.time, ticket, site)
            compare = self._written if write else self._was_read
            compare(cell, now, clock.known.get, target, name)
            return clock.told
        # All it could conflict with, the one before has been compared with.
        if clock.told is None:
            clock.told = Told()
        return clock.told

    def _added(self, cell: _Cell, now: _Epoch, known: _Known, target: object, name: str) -> None:
        index = now[0]
        if cell.adders is None:
            cell.adders = {}
        elif index in cell.adders and cell.adders[index][1] == now[1]:
            return
        for last, wrote in ((cell.write, True), *((read, False) for read in _reads(cell))):
            if last[0] != index and known(last[0], 0) < last[1]:
                self._report(target, name, (last, wrote), (now, True))
        cell.adders[index] = now

    def _compare_added(
        self, cell: _Cell, now: tuple[_Epoch, bool], known: _Known, target: object, name: str
    ) -> None:
        for last in (cell.adders or {}).values():
            if last[0] != now[0][0] and known(last[0], 0) < last[1]:
                self._report(target, name, (last, True), now)

    def _written(self, cell: _Cell, now: _Epoch, known: _Known, target: object, name: str) -> None:
        last, index = cell.write, now[0]
        if last[0] != index and known(last[0], 0) < last[1]:
            self._report(target, name, (last, True), (now, True))
        for last in _reads(cell):
            if last[0] != index and known(last[0], 0) < last[1]:
                self._report(target, name, (last, False), (now, True))
        if cell.adders is not None:
            self._compare_added(cell, (now, True), known, target, name)
            cell.adders = None
        cell.write = now
        cell.readers = None

    def _was_read(self, cell: _Cell, now: _Epoch, known: _Known, target: object, name: str) -> None:
        last, index = cell.write, now[0]
        if last[0] != index and known(last[0], 0) < last[1]:
            self._report(target, name, (last, True), (now, False))
        if cell.adders is not None:
            self._compare_added(cell, (now, False), known, target, name)
        last = cell.read
        if cell.readers is not None:
            cell.readers[index] = now
        elif last[0] == index or known(last[0], 0) >= last[1]:
            cell.read = now
        else:
            cell.readers = {last[0]: last, index: now}

    def _report(
        self, target: object, name: str, first: tuple[_Epoch, bool], second: tuple[_Epoch, bool]
    ) -> None:
        (_, _, ticket, site), wrote = first
        (_, _, other, place), writes = second
        pair = (id(target), frozenset({str(site), str(place)}))
        if pair in self._reported:
            return
        self._reported.add(pair)
        race = Race(
            name,
            Access(inside(ticket), wrote, site),
            Access(inside(other), writes, place),
            self._common(ticket, other),
        )
        self.races.append(race)
        if self._on_race is not None:
            self._on_race(race)

    def _common(self, one: Ticket | None, other: Ticket | None) -> Ticket | None:
        """The nearest callback that posted both, or posted who posted, and so on."""
        mine = set(self._line(one))
        return next((ticket for ticket in self._line(other) if ticket in mine), None)

    @staticmethod
    def _line(ticket: Ticket | None) -> Iterator[Ticket]:
        while (ticket := inside(ticket)) is not None:
            if ticket.kind != "plan":
                yield ticket
            ticket = ticket.by or ticket.plan


def _color(ticket: Ticket | None) -> str:
    key = None if ticket is None else ticket.key
    return key if isinstance(key, str) else repr(key)


def _label(ticket: Ticket) -> str:
    return f"{_color(ticket)}#{ticket.number}"


def _name(ticket: Ticket) -> str:
    fn: Any = ticket.fn
    if isinstance(fn, Planned):
        fn = fn.fn
    task = task_of(fn)
    if task is not None:
        fn = task.get_coro()
    return name_of(fn)


def _guarded(handle: Callable[..., Any], lock: Lock) -> Callable[..., Any]:
    """Let one thread at a time in."""

    def guarded(*args: Any) -> Any:
        with lock:
            return handle(*args)

    return guarded


def _sampled(
    handle: Callable[..., Told | None], sample: float, seed: int
) -> Callable[..., Told | None]:
    """Let the accesses to some things through: to each of them all, or none."""
    draw = Random(seed).random
    # What is watched stays alive. The next thing with the identity of one that is not, and is gone,
    # shares its fate: its chances are the same.
    chosen: dict[int, bool] = {}

    def sampled(ticket: Any, target: object, *access: Any) -> Told | None:
        watched = chosen.get(id(target))
        if watched is None:
            watched = chosen.setdefault(id(target), draw() < sample)
        return handle(ticket, target, *access) if watched else None

    return sampled
