"""What the race detector reports, of which share, and beside real threads."""

from __future__ import annotations

import inspect
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime
from colorsched.ports import here
from colorsched.testing import Shared, SimRuntime
from colorsched.testing.ordering import OrderingLock
from colorsched.testing.races import Access, Race, RaceDetector
from event_streams import Stream, Thing
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def detector() -> RaceDetector:
    return RaceDetector()


@pytest.fixture
def stream(detector: RaceDetector) -> Stream:
    return Stream(detector)


@pytest.fixture
def thing() -> Thing:
    return Thing()


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
        blue.call_later(0, access, racy)
        assert rt.drain(PATIENCE_SECONDS)
    (race,) = detector.races
    assert race.explain().count(" test_beside_a_real_run_the_races_of_one_worker_show_too.") == 2
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


# -- callbacks that have no line of their own ---------------------------------------------------


def _race_of(start: Callable[[Any, Shared[int]], object]) -> Race:
    detector = RaceDetector()
    with SimRuntime(observer=detector) as rt:
        start(rt, Shared(0, name="x"))
    (race,) = detector.races
    return race


def _posts(rt: Any, x: Shared[int]) -> None:
    rt.color("red").post(x.set, 1)
    rt.color("blue").post(x.set, 2)


def _submits(rt: Any, x: Shared[int]) -> None:
    rt.color("red").submit(partial(x.set, 1))
    rt.color("blue").submit(x.get)


def _plans(rt: Any, x: Shared[int]) -> None:
    rt.color("red").call_later(1, x.set, 1)
    rt.color("blue").call_later(2, x.set, 2)


def _posts_what_is_built_in(rt: Any, x: Shared[int]) -> None:
    rt.color("red").post(setattr, x, "value", 1)
    rt.color("blue").post(getattr, x, "value")


def _dispatches(rt: Any, x: Shared[int]) -> None:
    rt.color("red").post(lambda: rt.color("green").dispatch(x.set, 1))
    rt.color("blue").post(lambda: rt.color("violet").dispatch(x.set, 2))


@pytest.mark.parametrize("start", [_posts, _submits, _plans, _posts_what_is_built_in, _dispatches])
def test_a_method_that_is_posted_itself_is_told_where_it_is_posted(
    start: Callable[[Any, Shared[int]], object],
) -> None:
    _, first = inspect.getsourcelines(start)
    race = _race_of(start)
    assert [race.first.place, race.second.place] == [
        f"test_race_reports.py:{first + line}" for line in (1, 2)
    ]


def test_who_has_a_line_of_its_own_is_told_there() -> None:
    def start(rt: Any, x: Shared[int]) -> None:
        def write() -> None:
            x.set(1)

        rt.color("red").post(write)
        rt.color("blue").post(write)

    race = _race_of(start)
    assert str(race.first.site).endswith("start.<locals>.write")
