"""Prove a program: run it under every schedule that makes a difference.

Two schedules differ if some pair of conflicting callbacks runs in another order in the one than in
the other. This is dynamic partial-order reduction with source sets (Flanagan and Godefroid, POPL
2005; Abdulla, Aronis, Jonsson and Sagonas, POPL 2014) and sleep sets (Godefroid, 1996), on
segments of callbacks in place of single operations.

What colors change
------------------
In each run, look at every pair of segments ``x``, ``y`` that conflict, ``x`` first, where nothing
says that ``x`` must be first in every schedule. Somewhere at or before ``x`` a choice decided it.

*Two colors.* What ``y`` needs (it, what happened before it, by must or by conflict, and what came
before those in their colors) could have run before ``x``. So at the choice that began ``x`` the
first of these is to be tried, unless one is tried there already that no other of them comes before
(a source set).

*One color.* Its queue gave out ``x``, or something that comes after ``x``, before something that
``y`` needs; once the places in the queue are taken nothing can change that. What decided it is
which of the two was posted first. So the pair of their posters takes the place of the pair ``x``,
``y``, and so on, until the posters are of two colors. If the posters must come in the order in
which they came, so must the callbacks, and there is nothing to try. Each lifting goes back in the
run, so it ends.

Two posts to one queue do not conflict as such: only if what they post conflicts is their order
turned round. Callbacks of a fan-in that touch different things are one class, not as many as there
are orders. But sleep sets must not take them for independent: who slept through the other's post
would never get to be tried after it.

How it is checked: ``tests/testing/test_verification.py`` compares the outcomes found with those of
trying every choice, over random programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import Factory, define, evolve, frozen

from colorsched.testing.arguments import check_count, check_main
from colorsched.testing.errors import EndRun
from colorsched.testing.exploration import Explorer
from colorsched.testing.program import Program
from colorsched.testing.races import RaceDetector
from colorsched.testing.reversals import Order
from colorsched.testing.segments import Segment, Segments, actor_of, conflict
from colorsched.testing.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from colorsched.events import Observer
    from colorsched.testing.program import Main, Run


NOTHING_SHARED = (
    "nothing shared was seen, so no race would be: put what callbacks share into Shared, or pass "
    "races=False if they share nothing"
)


@frozen(kw_only=True)
class Verdict:
    """What ``verify`` found out; it never claims more.

    Attributes:
        result: ``proved``: no schedule fails. ``bounded``: none fails of those that the simulation
            can show; ``reasons`` says which it can't. ``truncated``: the budget was used up.
        schedules: how many were run.
        classes: how many of them differed in the order of conflicting callbacks.
        assumes: what the proof rests on.
        reasons: why it is no more than that.

    """

    result: Literal["proved", "bounded", "truncated"]
    schedules: int
    classes: int
    assumes: str
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.result}: {self.schedules} schedules, {self.classes} classes; {self.assumes}"
        return "; ".join((text, *self.reasons))


def verify(
    main: Main,
    *,
    budget: int = 10_000,
    races: bool = True,
    touches: Literal["seen", "everything"] | None = None,
    most_steps: int = 2_000,
) -> Verdict:
    """Run a program under every schedule that makes a difference to it.

    Args:
        main: the program, as of ``explore``.
        budget: how many schedules at most.
        races: whether to look for races.
        touches: ``seen``: callbacks share nothing but what is seen to be shared (``Shared``,
            ``@shared``, instrumented modules), and asyncio's own objects within one color.
            ``everything``: any two callbacks may share something, so every order of them is tried;
            that is many. Default: ``seen``, if anything shared is seen at all.
        most_steps: as of ``explore``.

    Returns:
        The verdict.

    Raises:
        ScheduleFailed: a schedule fails; it is made small.
        ValueError: an argument is out of range.

    >>> from colorsched.testing import Shared
    >>> def main(rt):
    ...     total = Shared(0)
    ...
    ...     def add(n):
    ...         total.update(lambda value: value + n)
    ...
    ...     for n in (1, 2, 3):
    ...         rt.color(n).post(rt.color("total").post, add, n)
    ...
    ...     def check():
    ...         assert total.get() == 6
    ...
    ...     return check
    >>> print(verify(main))
    proved: 6 schedules, 6 classes; callbacks share nothing but the objects seen

    """
    __tracebackhide__ = True
    check_main(main)
    check_count("budget", budget)
    check_count("most_steps", most_steps)
    if touches not in {None, "seen", "everything"}:
        raise ValueError(f"touches must be 'seen', 'everything' or None, not {touches!r}")
    detectors: list[Callable[[], Observer]] = [RaceDetector] if races else []
    program = Program(main=main, most_steps=most_steps, detectors=detectors)
    with Watchdog() as watchdog:
        explorer = Explorer(evolve(program, watchdog=watchdog))
        search = Search(explorer, everything=touches == "everything")
        verdict = search.run(budget)
        if touches is None and not search.accesses:
            search = Search(explorer, everything=True)
            verdict = search.run(budget)
    if races and touches != "seen" and not search.accesses and verdict.result == "proved":
        # Callbacks were reordered whole. Inside them nothing was seen, so a race would not be.
        return evolve(verdict, result="bounded", reasons=(NOTHING_SHARED,))
    return verdict


@define(eq=False)
class Node:
    """A choice on the path that is explored now."""

    options: list[Hashable]
    """The actors among whom it is, in the order of the places."""
    sleep: dict[Hashable, Segment]
    """Actors whose next segment was tried before here, and nothing since depends on that."""
    actor: Hashable
    """Who was chosen."""
    todo: list[Hashable]
    """Who has been chosen and who is to be."""
    done: dict[Hashable, Segment] = Factory(dict)
    """Who has been chosen, and what that one did."""


class Known:
    """Which callbacks conflict, as seen in earlier runs.

    Objects of two runs cannot be compared, so what slept since an earlier run is compared with what
    runs now by what was seen of two such callbacks in one run. Of what was not seen the worst is
    assumed.
    """

    def __init__(self) -> None:
        self._conflicts: dict[tuple[int, int], bool] = {}

    def learn(self, segments: Sequence[Segment]) -> None:
        """Compare all segments of a run."""
        touching = [(segment.signature(), segment) for segment in segments if segment.footprint]
        for place, (name, one) in enumerate(touching):
            for other_name, other in touching[:place]:
                conflicts = conflict(one.footprint, other.footprint)
                pair = (name, other_name) if name < other_name else (other_name, name)
                self._conflicts[pair] = conflicts or self._conflicts.get(pair, False)

    def depend(self, asleep: Segment, ran: Segment) -> bool:
        """Whether it matters if a segment runs before or after another."""
        if asleep.actor == ran.actor or not asleep.posts.isdisjoint(ran.posts):
            return True
        if not (asleep.footprint and ran.footprint):
            return False
        name, other_name = asleep.signature(), ran.signature()
        pair = (name, other_name) if name < other_name else (other_name, name)
        return self._conflicts.get(pair, True)


class Path:
    """The strategy of one run: the choices of the path, then the first that is not asleep."""

    def __init__(self, nodes: list[Node], known: Known, *, reduces: bool) -> None:
        self._nodes = nodes
        self._known = known
        self._reduces = reduces
        self._at = 0
        self._segments: Segments | None = None
        self._sleep: dict[Hashable, Segment] = {}
        self._woken = 0

    def watch(self, segments: Segments) -> None:
        """Tell these segments which choice begins them."""
        self._segments = segments

    def choose(self, options: Sequence[Any]) -> int:
        """Who goes on at this choice."""
        actors = [actor_of(option) for option in options]
        self._wake()
        if self._at == len(self._nodes):
            actor = next((actor for actor in actors if actor not in self._sleep), None)
            if actor is None:
                raise EndRun
            todo = [actor] if self._reduces else actors
            self._nodes.append(Node(actors, dict(self._sleep), actor, todo))
        node = self._nodes[self._at]
        self._sleep = {**node.sleep, **node.done}
        self._sleep.pop(node.actor, None)
        assert self._segments is not None
        self._segments.decided(self._at)
        self._at += 1
        return actors.index(node.actor)

    interrupt = choose

    def _wake(self) -> None:
        """Who slept, and depends on what ran since, may make a difference again."""
        assert self._segments is not None
        ran = self._segments.all[self._woken :]
        self._woken = len(self._segments.all)
        for segment in ran:
            for actor, asleep in list(self._sleep.items()):
                if self._known.depend(asleep, segment):
                    del self._sleep[actor]


class Search:
    """Depth-first search through the schedules of one program."""

    def __init__(self, explorer: Explorer, *, everything: bool, reduces: bool = True) -> None:
        self._explorer = explorer
        self._everything = everything
        self._reduces = reduces
        self._nodes: list[Node] = []
        self._known = Known()
        self._classes: set[int] = set()
        self._doubts: set[str] = set()
        self.accesses = 0
        self.runs = 0
        self.pruned = 0
        """How many of the runs were given up half-way."""

    @property
    def classes(self) -> int:
        """How many of the runs differed in the order of conflicting callbacks."""
        return len(self._classes)

    def run(self, budget: int) -> Verdict:
        """Search until all is seen, or the budget is used up."""
        finished = False
        while self.runs < budget and not finished:
            self._once()
            finished = not self._advance()
        assumes = (
            "any two callbacks may share something"
            if self._everything
            else "callbacks share nothing but the objects seen"
        )
        if not finished:
            self._doubts.add(f"the budget of {budget} schedules was used up")
        return Verdict(
            result="truncated" if not finished else "bounded" if self._doubts else "proved",
            schedules=self.runs,
            classes=self.classes,
            assumes=assumes,
            reasons=tuple(sorted(self._doubts)),
        )

    def _once(self) -> None:
        made: list[Segments] = []

        def path() -> Path:
            strategy = Path(self._nodes, self._known, reduces=self._reduces)
            made.append(Segments(everything=self._everything))
            strategy.watch(made[-1])
            return strategy

        self.runs += 1
        run: Run | None = None
        try:
            run = self._explorer.run(path, lambda: made[-1])
        except EndRun:
            self.pruned += 1
        segments = made[-1]
        segments.end()
        self.accesses += segments.accesses
        self._doubts |= segments.doubts
        for segment in segments.all:
            if segment.node is not None:
                self._nodes[segment.node].done[segment.actor] = segment
        if run is not None and run.failure is not None:
            raise self._explorer.explain(run, f"schedule {self.runs}", shrink=True)
        order = Order(segments)
        self._known.learn(segments.all)
        if run is not None:
            self._classes.add(order.signature())
        if self._reduces:
            for first, then in order.reversible():
                self._turn_round(order, first, then)

    def _turn_round(self, order: Order, first: Segment, then: Segment) -> None:
        """See to it that a schedule is tried in which ``then`` comes before ``first``."""
        pair = order.lift(first, then)
        if pair is None:
            return
        first, needed = pair
        if first.node is None:
            self._doubts.add("a conflict was decided where the schedule had no choice")
            return
        node = self._nodes[first.node]
        initials = [segment.actor for segment in needed if order.is_initial(segment, needed)]
        able = [actor for actor in initials if actor in node.options]
        if any(actor in node.todo or actor in node.sleep for actor in able):
            return
        # None is able if it came by a way that is not seen (time, a descriptor): then try all.
        for actor in able[:1] or node.options:
            if actor not in node.todo:
                node.todo.append(actor)

    def _advance(self) -> bool:
        """Go to the next path. False: there is none."""
        while self._nodes:
            node = self._nodes[-1]
            for actor in node.todo:
                if actor not in node.done and actor not in node.sleep:
                    node.actor = actor
                    return True
            self._nodes.pop()
        return False
