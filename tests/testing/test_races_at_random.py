"""Random runs: the race detector against one that forgets nothing."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st

from colorsched.events import ADDS
from colorsched.testing.races import RaceDetector
from event_streams import Stream, Thing

if TYPE_CHECKING:
    from colorsched.events import Ticket


@define
class Naive:
    """Every event, what comes before it (as bits), and every access; nothing is thrown away."""

    before: list[int] = Factory(list)
    last: dict[Any, int] = Factory(dict)
    accesses: list[tuple[int, object, object, int]] = Factory(list)

    def event(self, color: object, *after: int | None) -> int:
        """Add an event of a color, after the color's last and after others."""
        number = len(self.before)
        past = 0
        for other in (self.last.get(color), *after):
            if other is not None:
                past |= self.before[other] | 1 << other
        self.before.append(past)
        self.last[color] = number
        return number

    def racy(self) -> set[object]:
        return {
            thing
            for a, thing, color, wrote in self.accesses
            for b, same, other, writes in self.accesses
            if a < b and thing is same and color != other and (wrote or writes)
            if not wrote == writes == ADDS
            if not self.before[b] >> a & 1
        }


COLORS, THINGS = 4, 3


class Walk:
    """A random run of a program, told to a race detector and to the naive one."""

    def __init__(self, moves: list[tuple[int, int, int]]) -> None:
        self.detector = RaceDetector()
        self.stream = Stream(self.detector)
        self.naive = Naive()
        self.things = [Thing() for _ in range(THINGS)]
        self.queues: list[list[tuple[Ticket, int | None]]] = [[] for _ in range(COLORS)]
        self.running: dict[int, list[Ticket]] = {}
        """What runs in each color; a dispatcher stands still while what it dispatched runs."""
        self.still: set[Ticket] = set()
        self.futures: list[tuple[Thing, int]] = []
        self.plans: list[tuple[Ticket, int]] = []
        self.locks: dict[Thing, int | None] = {Thing(): None for _ in range(2)}
        self.held: dict[Thing, object] = {}
        for what, one, other in moves:
            MOVES[what % len(MOVES)](self, one, other)

    def actor(self, one: int) -> Ticket | None:
        actors = [None, *(t for stack in self.running.values() for t in stack)]
        actor = actors[one % len(actors)]
        return None if actor in self.still else actor

    @staticmethod
    def color(actor: Ticket | None) -> object:
        return None if actor is None else actor.key

    def post(self, one: int, other: int) -> None:
        actor, color = self.actor(one), other % COLORS
        event = self.naive.event(self.color(actor))
        self.queues[color].append((self.stream.post(actor, color), event))

    def start(self, one: int, _: int) -> None:
        color = one % COLORS
        if self.queues[color] and color not in self.running:
            ticket, event = self.queues[color].pop(0)
            self.running[color] = [self.stream.start(ticket)]
            self.naive.event(color, event)

    def end(self, one: int, _: int) -> None:
        actor = self.actor(one)
        if actor is None:
            return
        self.stream.end(actor)
        event = self.naive.event(actor.key)
        del self.running[actor.key]  # type: ignore[arg-type]  # colors are numbers here
        if actor.kind == "dispatch":
            assert actor.by is not None
            self.still.discard(actor.by)
            self.naive.event(actor.by.key, event)

    def dispatch(self, one: int, other: int) -> None:
        actor, color = self.actor(one), other % COLORS
        if actor is not None and color not in self.running and not self.queues[color]:
            event = self.naive.event(actor.key)
            self.running[color] = [self.stream.run(actor, color, "dispatch")]
            self.naive.event(color, event)
            self.still.add(actor)

    def access(self, one: int, other: int) -> None:
        actor, thing = self.actor(one), self.things[other % THINGS]
        write = (False, True, ADDS, ADDS)[other // THINGS % 4]
        access = {False: self.stream.read, True: self.stream.write, ADDS: self.stream.add}[write]
        access(actor, thing)
        event = self.naive.event(self.color(actor))
        self.naive.accesses.append((event, thing, self.color(actor), write))

    def complete(self, one: int, _: int) -> None:
        actor, future = self.actor(one), Thing()
        self.stream.complete(actor, future)
        self.futures.append((future, self.naive.event(self.color(actor))))

    def join(self, one: int, other: int) -> None:
        if self.futures:
            actor = self.actor(one)
            future, event = self.futures[other % len(self.futures)]
            self.stream.join(actor, future)
            self.naive.event(self.color(actor), event)

    def plan(self, one: int, other: int) -> None:
        actor = self.actor(one)
        plan = self.stream.plan(actor, other % COLORS)
        self.plans.append((plan, self.naive.event(self.color(actor))))

    def fire(self, _: int, other: int) -> None:
        if self.plans:
            plan, event = self.plans[other % len(self.plans)]
            if plan.key not in self.running:
                self.running[plan.key] = [self.stream.fire(plan)]  # type: ignore[index]  # numbers
                self.naive.event(plan.key, event)

    def lock(self, one: int, other: int) -> None:
        """Release it if the actor has it, acquire it if nobody has."""
        actor, lock = self.actor(one), list(self.locks)[other % 2]
        color = self.color(actor)
        if lock not in self.held:
            self.held[lock] = (color,)
            self.stream.acquire(actor, lock)
            self.naive.event(color, self.locks[lock])
        elif self.held[lock] == (color,):
            del self.held[lock]
            self.stream.release(actor, lock)
            self.locks[lock] = self.naive.event(color)

    def verdicts(self) -> tuple[set[str], set[str]]:
        """Which things are racy, as numbers: to the detector, and to the naive one."""
        found = self.detector._reported
        racy = self.naive.racy()
        return (
            {
                str(n)
                for n, thing in enumerate(self.things)
                if any(i == id(thing) for i, _ in found)
            },
            {str(n) for n, thing in enumerate(self.things) if thing in racy},
        )


MOVES = (
    *(Walk.post, Walk.start, Walk.start, Walk.end, Walk.end, Walk.dispatch, Walk.dispatch),
    *(Walk.access, Walk.access, Walk.access, Walk.complete, Walk.join, Walk.join),
    *(Walk.plan, Walk.fire, Walk.lock),
)

moves = st.tuples(st.integers(0, len(MOVES) - 1), st.integers(0, 7), st.integers(0, 11))


@given(st.lists(moves, max_size=60))
def test_it_says_what_a_detector_says_that_forgets_nothing(
    walk: list[tuple[int, int, int]],
) -> None:
    said, expected = Walk(walk).verdicts()
    assert said == expected


def test_it_says_so_in_long_runs_too_and_both_verdicts_occur() -> None:
    random = Random(3)
    racy = clean = 0
    for _ in range(400):
        length = random.randrange(10, 120)
        walk = [
            (random.randrange(len(MOVES)), random.randrange(8), random.randrange(12))
            for _ in range(length)
        ]
        said, expected = Walk(walk).verdicts()
        assert said == expected
        racy += len(said)
        clean += THINGS - len(said)
    assert racy > 100
    assert clean > 100
