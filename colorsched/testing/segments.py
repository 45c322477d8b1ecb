"""A run as the verifier sees it: segments, what each touches, and what must come before it.

A *segment* is what runs without a choice of the schedule: a callback, or a part of one between two
places where another may go on; or a part of ``main``. Its *actor* is the color, or main.
"""

from __future__ import annotations

import math
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from colorsched.core.queue import ColorQueue
from colorsched.errors import ColorDeadlock
from colorsched.events import Observer, Ticket
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colorsched.testing.simruntime import SimRuntime
    from colorsched.testing.simulation import Caller


class _Main:
    """The actor that ``main`` is."""

    def __repr__(self) -> str:
        return "main"


MAIN: Final = _Main()

TIMERS: Final = "timers and descriptors are looked at only when nothing else can run"

#: Why callbacks are dropped that a run leaves behind.
OVER: Final = "the run is over"

#: What a segment touched: (object, part), and whether it wrote.
Footprint = dict[tuple[Any, Any], bool]


def actor_of(option: Any) -> Hashable:
    """Whose step an option of the schedule is: a color's key, or ``MAIN``."""
    caller: Caller = option
    if hasattr(option, "key"):
        return option.key  # type: ignore[no-any-return]  # a color's key
    return MAIN if caller.color is None else caller.color.key


class Segment:
    """One segment of a run. Sets of segments are the bits of integers."""

    __slots__ = (
        "actor", "footprint", "idle", "index", "lineage", "must", "node", "posts", "shape",
        "ticket",
    )  # fmt: skip

    def __init__(self, index: int, actor: Hashable, node: int | None) -> None:
        self.index = index
        self.actor = actor
        self.node = node
        """The choice that began it; None: there was nothing else to choose."""
        self.ticket: Ticket | None = None
        """The callback it is a part of; None: main's."""
        self.lineage: int = 0
        """Tells its callback by who posted it and as which one: the same in every run."""
        self.must = 0
        """The segments that come before it in every schedule, as bits."""
        self.footprint: Footprint = {}
        self.shape: set[tuple[object, object, bool]] = set()
        """What it touched, by name: comparable between runs, where objects are not."""
        self.posts: set[Hashable] = set()
        self.idle = False
        """It ran nothing and makes no difference: a callback was put aside for a hold."""

    @property
    def bit(self) -> int:
        """It, as a set."""
        return 1 << self.index

    def signature(self) -> int:
        """Tells the callback and what it touched, in any run."""
        return hash((self.lineage, frozenset(self.shape)))

    def __repr__(self) -> str:
        return f"<{self.index} {self.actor!r} {self.ticket!r}>"


def conflict(one: Footprint, other: Footprint) -> bool:
    """Whether the order of two segments matters for what they touch."""
    if len(other) < len(one):
        one, other = other, one
    return any(place in other and (wrote or other[place]) for place, wrote in one.items())


class Segments(Observer):
    """Observes one simulated run, and cuts it into segments.

    Args:
        everything: take any two callbacks for conflicting, since what they touch is not seen.

    """

    def __init__(self, *, everything: bool) -> None:
        self.all: list[Segment] = []
        self.accesses = 0
        """How many accesses to shared objects were seen."""
        self.doubts: set[str] = set()
        """Why what was seen may not be all that there is."""
        self._everything = everything
        self._things: dict[int, Any] = {}
        self._node: int | None = None
        self._last: dict[Hashable, int] = {}
        """The last segment of each callback (by number), or of main."""
        self._posted: dict[int, Segment] = {}
        """Who posted a callback, by its number."""
        self._lineage: dict[int, int] = {}
        self._children: dict[int, int] = {}
        self._queues: dict[Hashable, list[tuple[Ticket, Segment]]] = {}
        self._sent: dict[int, int] = {}
        self._dropped: set[int] = set()
        """Callbacks that will never run. A step may yet be spent on each."""
        self._aside: dict[int, int] = {}
        """Callbacks that waited for a hold's end, by number: when each was put aside."""
        self._waited = False
        """Main has waited for something."""
        self._woke: object = None
        """The future whose outcome let the last segment begin."""
        self._since = 0
        """What came before time last went on."""
        self.begin(MAIN)

    # -- segments ---------------------------------------------------------------------------------

    def watch(self, rt: SimRuntime) -> None:
        """Listen to a runtime: what its schedule picks, and what makes a proof doubtful."""
        rt._simulation.picked = self.picked
        self._doubt(rt._hub.timers, "add", TIMERS)
        self._doubt(rt, "stats", "what stats() says depends on everything, and is not tried")
        self._doubt(rt, "shutdown", "a shutdown is not tried in every order with posts")

        enter = rt._shared.waits.enter

        def entered(*args: Any) -> None:
            try:
                enter(*args)
            except ColorDeadlock:
                self.doubts.add("who closes a circle of waits is not tried in every order")
                raise

        rt._shared.waits.enter = entered  # type: ignore[method-assign, assignment]  # of this run's alone

    def _doubt(self, thing: Any, name: str, why: str) -> None:
        method = getattr(thing, name)

        def told(*args: Any, **options: Any) -> Any:
            self.doubts.add(why)
            return method(*args, **options)

        setattr(thing, name, told)

    def decided(self, node: int) -> None:
        """The next segment begins by this choice."""
        self._node = node

    def picked(self, option: Any) -> None:
        """An option goes on: a new segment begins."""
        actor = actor_of(option)
        if not hasattr(option, "key"):
            self._waited |= actor is MAIN and option.thing is not None
            if option.until < math.inf:
                self.doubts.add("a wait times out only when nothing else can run")
            if not isinstance(option.thing, Future | None):
                self.doubts.add("which of several futures were done is not seen")
        self.begin(actor)
        self._woke = getattr(option, "thing", None)

    def end(self) -> None:
        """The last segment is over. If its color ran nothing, its queue's first was passed over.

        A cancelled callback would have run, had the cancellation come later: that is the other side
        of the race. One that was put aside for a coroutine that holds the color is yet to come.
        """
        segment = self.all[-1] if self.all else None
        if segment is None or segment.actor is MAIN or segment.ticket is not None:
            return
        segment.idle = True
        for ticket, poster in self._queues.get(segment.actor, ()):
            if ticket.number in self._last or _overtakes(ticket):
                continue
            if ticket.number in self._dropped:
                segment.idle = False
                self._starts(segment, ticket, poster)
                return
            if ticket.number not in self._aside:
                self._aside[ticket.number] = segment.index
                return

    def begin(self, actor: Hashable) -> Segment:
        """Begin a segment."""
        self.end()
        self._woke = None
        segment = Segment(len(self.all), actor, self._node)
        self._node = None
        self.all.append(segment)
        ticket = here.ticket
        if actor is MAIN:
            self._continue(segment, MAIN)
        elif isinstance(ticket, Ticket) and ticket.key == actor:
            # Who was stopped at a post goes on: on its own thread it is the one that runs.
            self._go_on(segment, ticket)
        if self._everything and (actor is not MAIN or self._waited):
            segment.footprint[None, None] = True
            segment.shape.add((None, None, True))
        return segment

    def _go_on(self, segment: Segment, ticket: Ticket) -> None:
        segment.ticket = ticket
        segment.lineage = self._lineage.get(ticket.number, 0)
        self._continue(segment, ticket.number)

    def _continue(self, segment: Segment, name: Hashable) -> None:
        """It comes after the segment before it of the same callback."""
        before = self._last.get(name)
        if before is not None:
            segment.must |= self.all[before].must | 1 << before
        self._last[name] = segment.index

    def _current(self) -> Segment:
        segment = self.all[-1]
        ticket = here.ticket
        if not isinstance(ticket, Ticket):
            return segment
        if ticket.kind == "main":
            # Main goes on after it waited for all to be over.
            return segment if segment.actor is MAIN else self.begin(MAIN)
        if segment.ticket is None and segment.actor == ticket.key:
            # A callback that waited for a future goes on.
            self._go_on(segment, ticket)
        return segment

    def settled(self) -> None:
        """Whatever main does from now on comes after all that was."""
        self._waited = True
        segment = self.begin(MAIN)
        segment.must = segment.bit - 1

    def poster(self, segment: Segment) -> Segment | None:
        """Who posted the callback that a segment is a part of, if anybody did."""
        return None if segment.ticket is None else self._posted.get(segment.ticket.number)

    def placed(self, segment: Segment, behind: Segment) -> Segment:
        """The segment by whose place in the queue this one runs before another: itself, mostly.

        The first step of a coroutine overtakes the queue: it runs right after who started it. So
        does all that a coroutine does while it holds the color, before what was put aside for that.
        """
        aside = None if behind.ticket is None else self._aside.get(behind.ticket.number)
        while segment.ticket is not None and segment.ticket.kind == "loop":
            if aside is not None and aside < segment.index:
                return self._holder(segment)
            if not _overtakes(segment.ticket):
                break
            segment = self._posted[segment.ticket.number]
        return segment

    def _holder(self, segment: Segment) -> Segment:
        """Who let its coroutine hold the color: only that one's own callbacks ran since."""
        return next(
            other
            for other in reversed(self.all[: segment.index])
            if other.actor == segment.actor and other.ticket and other.ticket.kind != "loop"
        )

    # -- what the runtime tells -------------------------------------------------------------------

    def posted(self, ticket: Ticket) -> None:
        """A callback comes after its poster, and after what its queue must give out before."""
        segment = self._current()
        if ticket.by is None and ticket.kind in {"timer", "io"}:
            self._since = (1 << len(self.all)) - 1
            self.doubts.add(TIMERS)
            return
        if ticket.kind == "dispatch":
            return
        self._posted[ticket.number] = segment
        segment.posts.add(ticket.key)
        nth = self._children[segment.lineage] = self._children.get(segment.lineage, 0) + 1
        self._lineage[ticket.number] = hash((segment.lineage, nth))
        self._queues.setdefault(ticket.key, []).append((ticket, segment))

    def started(self, ticket: Ticket) -> None:
        """The segment that has begun is this callback's."""
        segment = self.all[-1]
        if ticket.kind == "dispatch":
            return
        self._starts(segment, ticket, self._posted.get(ticket.number))
        if ticket.kind == "loop":
            # Whatever the color's coroutines share (locks, queues, events) is theirs alone, and
            # not seen: so their order always matters.
            segment.footprint["loop", ticket.key] = True
            segment.shape.add(("loop", ticket.key, True))

    def _starts(self, segment: Segment, ticket: Ticket, poster: Segment | None) -> None:
        segment.ticket = ticket
        segment.must |= self._since & (segment.bit - 1)
        if poster is not None:
            segment.must |= poster.must | poster.bit
            segment.must |= self._ahead(ticket, poster)
        segment.lineage = self._lineage.get(ticket.number, 0)
        self._meet(ticket, segment)
        self._last[ticket.number] = segment.index

    def _ahead(self, ticket: Ticket, poster: Segment) -> int:
        """What the queue gives out before in every schedule: what was posted before in each."""
        if _overtakes(ticket):
            return 0
        ahead = 0
        for other, by in self._queues.get(ticket.key, ()):
            if other is ticket:
                break
            if by is poster or poster.must >> by.index & 1:
                last = self._last.get(other.number)
                # A loop's callback may run before a posted one that waits for a hold's end.
                if last is not None and other.kind in {ticket.kind, "loop"}:
                    ahead |= self.all[last].must | 1 << last
        return ahead

    def recalled(self, ticket: Ticket) -> None:
        """A timer's callback comes after who set the timer."""
        self._current().must |= self._sent.get(id(ticket), 0)

    def planned(self, ticket: Ticket) -> None:
        """Somebody sets a timer."""
        self._keep(ticket)

    def dropped(self, ticket: Ticket, why: str) -> None:
        """To cancel a callback and to start it are two sides of one race."""
        if why == OVER:
            return
        self._meet(ticket, self._current())
        self._dropped.add(ticket.number)

    def looked(self, thing: object) -> None:
        """Whether it is done, or has started, may depend on the order."""
        if isinstance(thing, Ticket):
            self._meet(thing, self._current())
        elif isinstance(thing, ColorQueue):
            self.doubts.add("a dispatch runs at once wherever the color is idle")
        else:
            self._touch(thing, "outcome", "future", write=False)

    def _meet(self, ticket: Ticket, segment: Segment) -> None:
        segment.footprint["handle", ticket.number] = True
        segment.shape.add(("handle", self._lineage.get(ticket.number), True))

    def completed(self, future: object) -> None:
        """The outcome comes after this."""
        self._touch(future, "outcome", "future", write=True)
        self._keep(future)

    def joined(self, future: object) -> None:
        """Who was stopped until the outcome was there goes on after it, in every schedule.

        Who found it there might have asked before, and been stopped.
        """
        if self._woke is future:
            self._current().must |= self._sent.get(id(future), 0)

    def accessed(
        self,
        ticket: Ticket,
        target: object,
        part: object,
        write: int,
        name: str,
        site: object,
    ) -> None:
        """A segment touches something."""
        self.accesses += 1
        self._touch(target, part, name, write=bool(write))

    def _touch(self, target: object, part: object, name: str, *, write: bool) -> None:
        self._things[id(target)] = target
        segment = self._current()
        place = (id(target), part)
        segment.footprint[place] = write or segment.footprint.get(place, False)
        segment.shape.add((name, part, write))

    def _keep(self, thing: object) -> None:
        segment = self._current()
        self._things[id(thing)] = thing
        self._sent[id(thing)] = self._sent.get(id(thing), 0) | segment.must | segment.bit


def _overtakes(ticket: Ticket) -> bool:
    """Whether it is the first step of a coroutine, which is put at the head of the queue."""
    return getattr(ticket, "overtakes", False)
