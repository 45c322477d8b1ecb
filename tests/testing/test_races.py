"""Races: streams of events with known verdicts, and against a detector that forgets nothing."""

from __future__ import annotations

import re
import threading
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st

from colorsched import Runtime
from colorsched.ports import here
from colorsched.testing.pairs import End, PairCoverage, PairWatch
from colorsched.testing.races import Access, OrderingLock, Race, RaceDetector
from event_streams import Stream, Thing
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from colorsched.events import Ticket


@pytest.fixture
def detector() -> RaceDetector:
    return RaceDetector()


@pytest.fixture
def stream(detector: RaceDetector) -> Stream:
    return Stream(detector)


@pytest.fixture
def thing() -> Thing:
    return Thing()


# -- verdicts -----------------------------------------------------------------------------------


def test_two_writes_that_nothing_orders(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    stream.write(stream.run(None, "red"), thing)
    stream.write(stream.run(None, "blue"), thing)
    assert len(detector.races) == 1


@pytest.mark.parametrize("first", ["read", "write"])
@pytest.mark.parametrize("second", ["read", "write"])
def test_two_accesses_race_if_one_of_them_writes(
    first: str, second: str, detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    getattr(stream, first)(stream.run(None, "red"), thing)
    getattr(stream, second)(stream.run(None, "blue"), thing)
    assert bool(detector.races) == ("write" in {first, second})


def test_the_same_worker_running_both_orders_nothing(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    a = stream.run(None, "red")
    stream.write(a, thing)
    stream.end(a)
    stream.write(stream.run(None, "blue"), thing)
    assert detector.races


def test_one_color_is_ordered_whoever_runs_it(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    for by in (None, stream.run(None, "blue"), None):
        a = stream.run(by, "red")
        stream.write(a, thing)
        stream.end(a)
    assert not detector.races


def test_a_post_orders_what_came_before_it_and_not_what_came_after(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    a = stream.run(None, "red")
    stream.write(a, thing)
    b = stream.run(a, "blue")
    stream.write(b, thing)
    c = stream.run(b, "green")
    stream.read(c, thing)
    assert not detector.races
    stream.read(a, thing)
    assert [str(race.first)[:5] for race in detector.races] == ["write"]


def test_a_post_orders_later_callbacks_of_both_colors(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    early = stream.run(None, "red")
    stream.write(early, thing)
    stream.end(early)
    poster = stream.run(None, "red")
    stream.end(stream.run(poster, "blue"))
    stream.write(stream.run(None, "blue"), thing)
    assert not detector.races


def test_a_post_that_has_not_started_orders_nothing(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    a = stream.run(None, "red")
    stream.write(a, thing)
    stream.post(a, "blue")
    stream.write(stream.run(None, "blue"), thing)
    assert detector.races


def test_an_outcome_orders_who_has_seen_it(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    future = Thing()
    worker, waiter, stranger = (stream.run(None, key) for key in ("red", "blue", "green"))
    stream.write(worker, thing)
    stream.complete(worker, future)
    stream.join(waiter, future)
    stream.read(waiter, thing)
    assert not detector.races
    stream.read(stranger, thing)
    assert len(detector.races) == 1


def test_what_a_worker_does_after_the_outcome_is_not_ordered(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    future = Thing()
    worker, waiter = stream.run(None, "red"), stream.run(None, "blue")
    stream.complete(worker, future)
    stream.write(worker, thing)
    stream.join(waiter, future)
    stream.read(waiter, thing)
    assert detector.races


def test_fan_in_orders_all_who_came_together(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    futures = []
    for key in range(5):
        worker = stream.run(None, key)
        stream.read(worker, thing)
        futures.append(Thing())
        stream.complete(worker, futures[-1])
    gather = stream.run(None, "gather")
    for future in futures[:4]:
        stream.join(gather, future)
    assert not detector.races
    stream.write(gather, thing)
    assert [race.first.callback for race in detector.races] == ["4#5"]


def test_a_write_races_with_every_read_beside_it(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    for line, key in enumerate(("red", "blue", "green")):
        stream.read(stream.run(None, key), thing, line)
    stream.write(stream.run(None, "black"), thing, 9)
    assert {race.first.callback for race in detector.races} == {"red#1", "blue#2", "green#3"}


def test_a_dispatched_callback_is_part_of_its_dispatcher(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    a = stream.run(None, "red")
    stream.write(a, thing)
    inside = stream.run(a, "blue", "dispatch")
    stream.write(inside, thing)
    stream.end(inside)
    stream.write(a, thing)
    assert not detector.races
    stream.write(stream.run(None, "blue"), thing)
    assert detector.races


def test_what_its_color_does_after_a_dispatched_callback_is_not_ordered(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    a = stream.run(None, "red")
    stream.end(stream.run(a, "blue", "dispatch"))
    stream.write(stream.run(None, "blue"), thing)
    stream.read(a, thing)
    assert detector.races


@pytest.mark.parametrize("kind", ["timer", "io"])
def test_a_timer_comes_after_who_set_it_and_nobody_else(
    kind: str, detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    other_thing, outside_thing = Thing(), Thing()
    setter = stream.run(None, "red")
    stream.write(setter, thing)
    plan = stream.plan(setter, "green")
    stream.end(setter)
    other = stream.run(None, "blue")
    stream.write(other, other_thing)
    stream.end(other)
    stream.write(None, outside_thing)
    fired = stream.fire(plan, kind)
    stream.write(fired, thing)
    assert not detector.races
    stream.write(fired, other_thing)
    stream.write(fired, outside_thing)
    assert [race.first.callback for race in detector.races] == ["blue#3", "outside"]


def test_a_reader_comes_after_who_set_it_each_time(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    setter = stream.run(None, "red")
    stream.write(setter, thing)
    plan = stream.plan(setter, "green")
    for _ in range(2):
        fired = stream.fire(plan, "io")
        stream.read(fired, thing)
        stream.end(fired)
    assert not detector.races


def test_a_lock_orders_who_had_it(detector: RaceDetector, stream: Stream, thing: Thing) -> None:
    lock, other_lock = Thing(), Thing()
    for key in ("red", "blue", "green"):
        a = stream.run(None, key)
        stream.acquire(a, lock)
        stream.write(a, thing)
        stream.release(a, lock)
    assert not detector.races
    b = stream.run(None, "black")
    stream.acquire(b, other_lock)
    stream.write(b, thing)
    assert detector.races


def test_who_sees_an_event_comes_after_all_who_set_it(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    event = Thing()
    for key in ("red", "blue"):
        a = stream.run(None, key)
        stream.read(a, thing)
        stream.release(a, event)
    c = stream.run(None, "green")
    stream.acquire(c, event)
    stream.write(c, thing)
    assert not detector.races


def test_the_outside_is_in_order_with_itself_and_what_it_posts(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    main = stream.post(None, "main", "main")
    stream.write(main, thing)
    stream.write(None, thing)
    a = stream.run(main, "red")
    stream.write(a, thing)
    assert not detector.races
    stream.read(main, thing)
    assert detector.races


def test_the_outside_comes_after_everything_once_all_is_quiet(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    a = stream.run(None, "red")
    stream.write(a, thing)
    stream.end(a)
    stream.settle()
    stream.read(None, thing)
    stream.write(stream.run(None, "blue"), thing)
    assert not detector.races


def test_parts_and_things_are_apart(detector: RaceDetector, stream: Stream) -> None:
    one, other = Thing(), Thing()
    a, b = stream.run(None, "red"), stream.run(None, "blue")
    stream.write(a, one, part="x")
    stream.write(b, one, part="y")
    stream.write(b, other, part="x")
    assert not detector.races


def test_things_do_not_get_the_identity_of_dead_ones(
    detector: RaceDetector, stream: Stream
) -> None:
    a, b = stream.run(None, "red"), stream.run(None, "blue")
    for _ in range(100):
        stream.write(a, Thing())
        stream.write(b, Thing())
    assert not detector.races


# -- against a detector that forgets nothing ------------------------------------------------------


@define
class Naive:
    """Every event, what comes before it (as bits), and every access; nothing is thrown away."""

    before: list[int] = Factory(list)
    last: dict[Any, int] = Factory(dict)
    accesses: list[tuple[int, object, object, bool]] = Factory(list)

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
        actor, thing, write = self.actor(one), self.things[other % THINGS], other % 2 == 0
        (self.stream.write if write else self.stream.read)(actor, thing)
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


# -- reports --------------------------------------------------------------------------------------


def test_a_race_in_one_line(detector: RaceDetector, stream: Stream, thing: Thing) -> None:
    stream.read(stream.run(None, "red"), thing, 12)
    stream.write(stream.run(None, ("blue", 1)), thing, 30)
    (race,) = detector.races
    assert str(race) == (
        "RACE thing.x: read red#1 app.py:12, write ('blue', 1)#2 app.py:30 "
        "(no post or await orders them)"
    )


def test_the_whole_story_names_the_ancestor_and_what_would_help(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    root = stream.run(None, "root")
    parent = stream.run(root, "parent")
    red = stream.run(stream.run(parent, "step"), "red")
    blue = stream.fire(stream.plan(parent, "blue"))
    stream.read(red, thing, 12)
    stream.write(blue, thing, 30)
    (race,) = detector.races
    assert race.ancestor is parent
    assert race.remedy == (
        "no post, await or color orders them: give both callbacks one color (red or blue), or "
        "post the second from the first, or await it (both come from parent#2 work)"
    )
    assert race.explain().splitlines() == [
        str(race),
        "  red#4 work reads it at src/app.py:12, work",
        "  blue#6 work writes it at src/app.py:30, work",
        f"  {race.remedy}",
    ]


def test_what_a_reader_started_comes_from_who_set_it(
    detector: RaceDetector, stream: Stream, thing: Thing
) -> None:
    setter = stream.run(None, "red")
    plan = stream.plan(setter, "green")
    first = stream.fire(plan, "io")
    child = stream.run(first, "blue")
    stream.end(first)
    stream.write(child, thing)
    stream.write(stream.fire(plan, "io"), thing)
    (race,) = detector.races
    assert race.ancestor is setter


def test_strangers_have_no_ancestor(detector: RaceDetector, stream: Stream, thing: Thing) -> None:
    stream.write(stream.run(None, "red"), thing)
    stream.write(stream.run(None, "blue"), thing)
    (race,) = detector.races
    assert race.ancestor is None
    assert race.remedy.endswith("or await it")


@pytest.mark.parametrize("parent_first", [True, False])
def test_a_poster_that_goes_on_beside_what_it_posted(
    parent_first: bool,  # noqa: FBT001 - a parameter of the test
    detector: RaceDetector,
    stream: Stream,
    thing: Thing,
) -> None:
    a = stream.run(None, "red")
    b = stream.run(a, "blue")
    for ticket in (a, b) if parent_first else (b, a):
        stream.write(ticket, thing)
    (race,) = detector.races
    assert race.ancestor is a
    assert race.remedy.startswith("blue#2 comes from red#1, which goes on beside it")


def test_a_race_with_the_outside(detector: RaceDetector, stream: Stream, thing: Thing) -> None:
    stream.write(stream.run(None, "red"), thing, 3)
    stream.read(None, thing, 4)
    (race,) = detector.races
    assert str(race.second) == "read outside app.py:4"
    assert "outside of all callbacks: post it to red too" in race.explain()


def test_a_site_may_be_anything_with_a_text() -> None:
    assert str(Access(None, write=True, site="the place")) == "write outside the place"


def test_a_pair_of_places_is_reported_once_for_each_thing(
    detector: RaceDetector, stream: Stream
) -> None:
    things = [Thing(), Thing()]
    for line in (1, 1, 2):
        for key in ("red", "blue", "green"):
            a = stream.run(None, key)
            for thing in things:
                stream.write(a, thing, line)
            stream.post(a, "nobody")
            stream.end(a)
    pairs = [(race.first.site, race.second.site) for race in detector.races]
    assert len(pairs) == 2 * len({frozenset(pair) for pair in pairs})


def test_races_are_told_as_they_are_found(thing: Thing) -> None:
    found: list[Race] = []
    detector = RaceDetector(on_race=found.append)
    stream = Stream(detector)
    stream.write(stream.run(None, "red"), thing)
    assert not found
    stream.write(stream.run(None, "blue"), thing)
    assert found == detector.races
    assert len(found) == 1


# -- samples, locks, threads --------------------------------------------------------------------


def racy_things(sample: float, seed: int) -> list[str]:
    """Which of 200 racy things are found."""
    things = [Thing() for _ in range(200)]
    detector = RaceDetector(sample=sample, seed=seed)
    stream = Stream(detector)
    a, b = stream.run(None, "red"), stream.run(None, "blue")
    for number, thing in enumerate(things):
        stream.write(a, thing, number)
    for number, thing in enumerate(things):
        stream.write(b, thing, number)
    return [race.first.place for race in detector.races]


def test_a_sample_finds_its_share_of_the_races_and_the_same_for_a_seed() -> None:
    half = racy_things(0.5, seed=1)
    assert 60 < len(half) < 140
    assert racy_things(0.5, seed=1) == half
    assert racy_things(0.5, seed=2) != half
    assert not racy_things(0, seed=1)
    assert len(racy_things(1, seed=1)) == 200


@pytest.mark.parametrize("sample", [-0.1, 1.1, float("nan")])
def test_a_sample_is_a_share(sample: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"between 0 and 1, not {sample!r}")):
        RaceDetector(sample=sample)


class CountingLock:
    """A lock that counts."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entered = 0

    def __enter__(self) -> bool:
        self.lock.acquire()
        self.entered += 1
        return True

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - threading.Lock's own signature
        return self.lock.acquire(blocking, timeout)

    def release(self) -> None:
        self.lock.release()


def test_every_event_is_dealt_with_under_the_lock(thing: Thing) -> None:
    lock = CountingLock()
    stream = Stream(RaceDetector(lock=lock))
    plan = stream.plan(None, "red")
    stream.end(stream.fire(plan))  # four events: posted, started, recalled, ended
    stream.drop(stream.post(None, "red"))
    stream.complete(None, thing)
    stream.join(None, thing)
    stream.release(None, thing)
    stream.acquire(None, thing)
    stream.write(None, thing)
    stream.settle()
    assert lock.entered == 13


def test_beside_a_real_run_the_races_of_one_worker_show_too(thing: Thing) -> None:
    """One worker runs one color after the other: a clock per thread would see nothing."""
    detector = RaceDetector(lock=threading.RLock())
    racy, right = Thing(), Thing()

    def access(target: Thing) -> None:
        detector.accessed(here.ticket, target, "x", True, "thing.x", "here")

    with Runtime(workers=1, observer=detector) as rt:
        red, blue = rt.color("red"), rt.color("blue")

        def first() -> None:
            access(right)
            blue.post(access, right)

        red.post(first)
        red.post(access, racy)
        blue.post(access, racy)
        assert rt.drain(PATIENCE_SECONDS)
    (race,) = detector.races
    assert {race.first.callback[:3], race.second.callback[:3]} == {"red", "blu"}


def test_beside_threads_an_awaited_chain_has_no_race() -> None:
    detector = RaceDetector(lock=threading.RLock())
    thing = Thing()

    def access() -> None:
        detector.accessed(here.ticket, thing, "x", True, "thing.x", "here")

    with Runtime(workers=2, observer=detector) as rt:
        for number in range(50):
            rt.color(number % 3).submit(access).result(PATIENCE_SECONDS)
    assert not detector.races


def test_a_lock_of_the_program_orders_its_holders(detector: RaceDetector, thing: Thing) -> None:
    stream = Stream(detector)
    lock = OrderingLock(detector)
    a, b = stream.run(None, "red"), stream.run(None, "blue")
    with stream._as(a), lock:
        stream.write(a, thing)
        assert not lock.acquire(blocking=False)
    with stream._as(b), lock:
        stream.write(b, thing)
    assert not detector.races


def test_a_failed_attempt_at_a_lock_orders_nothing(detector: RaceDetector, thing: Thing) -> None:
    stream = Stream(detector)
    lock = OrderingLock(detector, threading.Lock())
    a, b, c = (stream.run(None, key) for key in ("red", "blue", "green"))
    with stream._as(a), lock:
        stream.write(a, thing)
    with stream._as(c):
        assert lock.acquire()
    with stream._as(b):
        assert not lock.acquire(blocking=False)
    stream.write(b, thing)
    assert detector.races


# -- coverage -----------------------------------------------------------------------------------


RED, BLUE, GREEN = (
    End("red", 1, write=True),
    End("blue", 2, write=False),
    End("green", 3, write=True),
)


def test_pairs_are_counted_once_and_by_name() -> None:
    coverage = PairCoverage()
    coverage.saw("a", RED, BLUE)
    coverage.saw("a", RED, BLUE)
    coverage.saw("b", BLUE, RED)
    assert (coverage.both_ways, coverage.total) == (0, 2)
    coverage.saw("a", BLUE, RED)
    assert str(coverage) == "1 of 2 conflicting pairs seen both ways"
    assert coverage.one_way() == [("b", BLUE, RED)]
    coverage.saw("a", RED, BLUE)
    assert coverage.both_ways == 1


def test_a_place_conflicts_not_with_itself_in_one_color() -> None:
    coverage = PairCoverage()
    coverage.saw("a", RED, RED)
    assert not coverage.total


def test_merged_coverages_know_what_each_has_seen() -> None:
    one, other = PairCoverage(), PairCoverage()
    one.saw("a", RED, BLUE)
    one.saw("a", RED, GREEN)
    other.saw("a", BLUE, RED)
    other.saw("b", RED, GREEN)
    other.saw("b", GREEN, RED)
    one.merge(other)
    assert (one.both_ways, one.total) == (2, 3)
    assert one.one_way() == [("a", RED, GREEN)]


def play(coverage: PairCoverage, *keys: str) -> None:
    """Callbacks that each read and write one thing, one after the other, posted by strangers."""
    stream, thing = Stream(PairWatch(coverage)), Thing()
    posters = {key: stream.run(None, f"poster of {key}") for key in keys}
    for key in keys:
        a = stream.run(posters[key], key)
        stream.read(a, thing, 1)
        stream.write(a, thing, 2)
        stream.end(a)


def test_runs_are_watched_for_pairs() -> None:
    coverage = PairCoverage()
    play(coverage, "red", "blue")
    # The first one's write with the second one's read and write, and its read with that write.
    assert (coverage.both_ways, coverage.total) == (0, 3)
    play(coverage, "blue", "red")
    assert (coverage.both_ways, coverage.total) == (3, 3)


def test_pairs_that_must_be_as_they_are_do_not_count() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    a = stream.run(None, "red")
    stream.write(a, thing, 1)
    stream.write(stream.run(a, "blue"), thing, 2)
    stream.write(None, thing, 3)
    assert not coverage.total


def test_succession_in_a_color_counts_as_it_may_be_reversed() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    posters = [stream.run(None, "p"), stream.run(None, "q")]
    callbacks = [stream.post(poster, "red") for poster in posters]
    for line, ticket in enumerate(callbacks):
        stream.start(ticket)
        stream.write(ticket, thing, line)
        stream.end(ticket)
    assert coverage.total == 1


def test_all_reads_since_the_last_write_make_pairs() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    tickets = [stream.run(None, key) for key in ("a", "b", "c")]
    for ticket in tickets[:2]:
        stream.read(ticket, thing, 1)
    stream.write(tickets[2], thing, 2)
    assert [first.color for _, first, _ in coverage.one_way()] == ["a", "b"]
    stream.write(tickets[0], thing, 3)
    assert coverage.total == 3


def test_what_was_written_over_makes_no_pairs() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    for line, key in enumerate(("a", "b", "c")):
        stream.write(stream.run(None, key), thing, line)
    assert [(first.color, second.color) for _, first, second in coverage.one_way()] == [
        ("a", "b"),
        ("b", "c"),
    ]
