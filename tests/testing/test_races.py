"""Verdicts of the race detector on streams of events made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colorsched.testing import Shared, SimRuntime
from colorsched.testing.races import RaceDetector
from event_streams import Stream, Thing

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


# -- writes that commute ------------------------------------------------------------------------


def test_additions_to_a_set_commute_and_conflict_with_all_else() -> None:
    def races(*acts: Callable[[set[int]], object]) -> list[str]:
        detector = RaceDetector()
        with SimRuntime(observer=detector) as rt:
            shared = Shared({1}, name="ids").value
            for number, act in enumerate(acts):
                rt.color(number).post(act, shared)
        return [race.name for race in detector.races]

    def add(element: int) -> Callable[[set[int]], object]:
        return lambda ids: ids.add(element)

    assert races(add(2), add(2), add(3)) == []
    assert races(add(1), add(1)) == []
    assert races(add(2), add(3), lambda ids: ids.update([2, 4])) == []
    for looks in (len, sorted, lambda ids: 2 in ids, lambda ids: ids.discard(2)):
        assert set(races(add(2), looks)) == {"ids"}
        assert set(races(looks, add(2))) == {"ids"}
        assert set(races(add(3), add(2), looks)) == {"ids"}
    # To add what is there changes nothing, but to remove it in between would.
    assert races(add(1), len) == []
    assert races(add(1), lambda ids: 1 in ids) == []
    assert set(races(add(1), lambda ids: ids.remove(1))) == {"ids"}


def test_a_write_after_additions_is_told_of_each_of_them() -> None:
    detector, thing = RaceDetector(), Thing()
    stream = Stream(detector)
    for color, line in (("red", 1), ("blue", 2)):
        stream.add(stream.run(None, color), thing, line)
    stream.write(stream.run(None, "green"), thing, 3)
    assert [(race.first.place, race.second.place) for race in detector.races] == [
        ("app.py:1", "app.py:3"),
        ("app.py:2", "app.py:3"),
    ]
