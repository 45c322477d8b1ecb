"""The orders of a run, on streams of events made by hand, and against all schedules of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from colorsched.testing.clocks import ColorClock, HappensBefore, MustOrder
from event_streams import Stream, Thing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colorsched.events import Ticket


# -- a clock --------------------------------------------------------------------------------------


def test_a_snapshot_says_what_came_before_it_and_nothing_after() -> None:
    red, blue = ColorClock(1, "red"), ColorClock(2, "blue")
    before = red.time
    snapshot = red.send()
    after = red.time
    assert not blue.knows(1, before)
    blue.join(snapshot)
    assert blue.knows(1, before)
    assert not blue.knows(1, after)
    assert red.knows(1, after)


def test_what_one_learns_others_do_not() -> None:
    red, blue, green = (ColorClock(n, n) for n in (1, 2, 3))
    blue.join(red.send())
    old = blue.send()
    blue.join(red.send())
    green.join(old)
    assert green.knows(1, 1)
    assert not green.knows(1, 2)
    assert blue.knows(1, 2)


def test_news_of_one_color_may_be_old_news_of_another() -> None:
    red, blue, green = (ColorClock(n, n) for n in (1, 2, 3))
    blue.join(red.send())
    green.join(red.send())
    green.join(blue.send())
    assert green.knows(1, 2)
    assert green.knows(2, 1)


def test_joining_twice_or_an_older_snapshot_changes_nothing() -> None:
    red, blue = ColorClock(1, "red"), ColorClock(2, "blue")
    old, new = red.send(), red.send()
    blue.join(new)
    known = blue.known
    blue.join(old)
    blue.join(new)
    blue.join(blue.send())
    assert blue.known is known


# -- happens-before -------------------------------------------------------------------------------


def test_nothing_is_kept_of_callbacks_that_ran_or_never_will() -> None:
    order = HappensBefore()
    stream = Stream(order)
    one, other = stream.post(None, "red"), stream.post(None, "red")
    stream.end(stream.start(one))
    stream.drop(other)
    future = Thing()
    stream.complete(None, future)
    assert len(order._sent) == 1
    assert not order._posts
    del future
    assert not order._sent


# -- must -----------------------------------------------------------------------------------------


@pytest.fixture
def must() -> MustOrder:
    return MustOrder()


@pytest.fixture
def stream(must: MustOrder) -> Stream:
    return Stream(must)


def orders(must: MustOrder, a: Ticket, b: Ticket) -> tuple[bool, bool]:
    return must.before(a, b), must.before(b, a)


FIRST, NEITHER = (True, False), (False, False)


def test_a_post_orders_and_so_does_a_line_of_posts(must: MustOrder, stream: Stream) -> None:
    a = stream.run(None, "red")
    b = stream.run(a, "blue")
    c = stream.run(b, "green")
    assert orders(must, a, b) == orders(must, b, c) == orders(must, a, c) == FIRST


def test_succession_in_a_color_does_not_order(must: MustOrder, stream: Stream) -> None:
    p, q = stream.run(None, "p"), stream.run(None, "q")
    a, b = stream.post(p, "red"), stream.post(q, "red")
    stream.end(stream.start(a))
    stream.end(stream.start(b))
    assert orders(must, a, b) == NEITHER


def test_two_posts_of_one_poster_to_one_color_run_in_order(must: MustOrder, stream: Stream) -> None:
    p = stream.run(None, "p")
    a, other, b = stream.post(p, "red"), stream.post(p, "blue"), stream.post(p, "red")
    for ticket in (a, b, other):
        stream.end(stream.start(ticket))
    assert orders(must, a, b) == FIRST
    assert orders(must, a, other) == orders(must, other, b) == NEITHER


def test_posters_in_order_make_their_posts_run_in_order(must: MustOrder, stream: Stream) -> None:
    p = stream.run(None, "p")
    a = stream.post(p, "red")
    q = stream.run(p, "q")
    b = stream.post(q, "red")
    stream.start(a)
    child = stream.post(a, "green")
    stream.end(a)
    stream.end(stream.start(b))
    stream.end(stream.start(child))
    c = stream.post(b, "green")
    stream.start(c)
    assert orders(must, a, b) == FIRST
    assert orders(must, child, c) == FIRST  # b comes after all that a did


def test_outside_posts_run_in_order_too(must: MustOrder, stream: Stream) -> None:
    a, b = stream.post(None, "red"), stream.post(None, "red")
    stream.end(stream.start(a))
    stream.end(stream.start(b))
    assert orders(must, a, b) == FIRST


@pytest.mark.parametrize("kind", ["timer", "io"])
def test_what_a_source_posts_comes_after_its_plan_alone(
    kind: str, must: MustOrder, stream: Stream
) -> None:
    setter = stream.run(None, "p")
    plan = stream.plan(setter, "red")
    other = stream.run(None, "red")
    stream.end(other)
    fired = stream.fire(plan, kind)
    assert orders(must, setter, fired) == FIRST
    assert orders(must, other, fired) == NEITHER
    child = stream.run(fired, "blue")
    assert orders(must, setter, child) == FIRST


def test_a_first_step_of_a_coroutine_overtakes_its_loop(must: MustOrder, stream: Stream) -> None:
    p = stream.run(None, "p")
    before, job = stream.post(p, "red"), stream.post(p, "red")
    stream.start(before)
    inside = stream.run(before, "green", "dispatch")
    late = stream.post(inside, "red", "loop")
    stream.end(inside)
    stream.end(before)
    stream.start(job)
    step = stream.run(job, "red", "loop")
    stream.end(step)
    stream.end(job)
    stream.end(stream.start(late))
    assert orders(must, job, step) == orders(must, inside, step) == FIRST
    assert orders(must, late, step) == NEITHER


def test_callbacks_of_a_loop_run_in_order_but_not_with_posted_ones(
    must: MustOrder, stream: Stream
) -> None:
    p = stream.run(None, "p")
    a, posted, b = (stream.post(p, "red", kind) for kind in ("loop", "post", "loop"))
    for ticket in (a, b, posted):
        stream.end(stream.start(ticket))
    assert orders(must, a, b) == FIRST
    assert orders(must, posted, b) == NEITHER


def test_an_await_orders_what_comes_next_not_the_start(must: MustOrder, stream: Stream) -> None:
    future = Thing()
    a, b = stream.run(None, "red"), stream.run(None, "blue")
    stream.complete(a, future)
    stream.join(b, future)
    child = stream.run(b, "green")
    assert orders(must, a, b) == NEITHER
    assert orders(must, a, child) == FIRST
    assert must.before_next(a, b)
    assert not must.before_next(b, a)


def test_a_dispatched_callback_is_part_of_its_dispatcher(must: MustOrder, stream: Stream) -> None:
    p = stream.run(None, "red")
    early = stream.run(p, "green")
    inside = stream.run(p, "blue", "dispatch")
    stream.end(inside)
    late = stream.run(p, "green")
    assert orders(must, p, inside) == FIRST
    assert orders(must, inside, late) == FIRST
    assert orders(must, inside, early) == NEITHER
    assert must.before_next(inside, p)


def test_quiet_orders_what_the_outside_does_next(must: MustOrder, stream: Stream) -> None:
    a = stream.run(None, "red")
    stream.end(a)
    early = stream.run(None, "blue")
    stream.end(early)
    stream.settle()
    late = stream.run(None, "green")
    assert orders(must, a, late) == orders(must, early, late) == FIRST
    assert orders(must, a, early) == NEITHER


def test_a_cancelled_post_orders_no_less(must: MustOrder, stream: Stream) -> None:
    p = stream.run(None, "p")
    a, gone, b = (stream.post(p, "red") for _ in range(3))
    stream.end(stream.start(a))
    stream.drop(gone)
    stream.start(b)
    assert orders(must, a, b) == FIRST


# -- must, against every schedule -----------------------------------------------------------------


@frozen
class Step:
    """A callback that posts others."""

    color: int
    posts: tuple[Step, ...] = ()


Path = tuple[int, ...]

steps = st.recursive(
    st.builds(Step, st.integers(0, 2)),
    lambda inner: st.builds(Step, st.integers(0, 2), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=3,
)
programs = st.lists(steps, min_size=1, max_size=3).map(tuple).filter(lambda p: size(p) <= 6)


def size(posts: tuple[Step, ...]) -> int:
    return sum(1 + size(step.posts) for step in posts)


def schedules(program: tuple[Step, ...]) -> Iterator[list[int]]:
    """All sequences of colors in which a program can run."""

    def go(queues: dict[int, list[Step]], so_far: list[int]) -> Iterator[list[int]]:
        ready = [color for color, queue in queues.items() if queue]
        if not ready:
            yield so_far
        for color in ready:
            after = {each: list(queue) for each, queue in queues.items()}
            for step in after[color].pop(0).posts:
                after[step.color].append(step)
            yield from go(after, [*so_far, color])

    start: dict[int, list[Step]] = {color: [] for color in range(3)}
    for step in program:
        start[step.color].append(step)
    yield from go(start, [])


def play(program: tuple[Step, ...], schedule: list[int]) -> tuple[list[Path], set[Any]]:
    """Run one schedule: the callbacks in order (named by their paths), and what must hold."""
    must = MustOrder()
    stream = Stream(must)
    queues: dict[int, list[tuple[Step, Path, Ticket]]] = {color: [] for color in range(3)}
    ran: list[tuple[Path, Ticket]] = []

    def post(by: Ticket | None, path: Path, children: tuple[Step, ...]) -> None:
        for number, step in enumerate(children):
            ticket = stream.post(by, step.color)
            queues[step.color].append((step, (*path, number), ticket))

    post(None, (), program)
    for color in schedule:
        step, path, ticket = queues[color].pop(0)
        stream.start(ticket)
        post(ticket, path, step.posts)
        stream.end(ticket)
        ran.append((path, ticket))
    claims = {(p, q) for p, a in ran for q, b in ran if must.before(a, b)}
    return [path for path, _ in ran], claims


@given(programs)
def test_what_must_be_is_so_in_every_schedule(program: tuple[Step, ...]) -> None:
    runs = [play(program, schedule) for schedule in schedules(program)]
    orders = [{path: place for place, path in enumerate(ran)} for ran, _ in runs]
    for _, claims in runs:
        assert claims == runs[0][1]  # what must be does not depend on what happened
        for order in orders:
            assert all(order[first] < order[second] for first, second in claims)


def test_nothing_is_left_out_that_every_schedule_has_in_order() -> None:
    """Where each poster's last post is the one that posts on: a callback may stop between posts."""
    leaf = Step(2)
    program = (leaf, Step(1, (leaf,)), Step(0, (leaf, Step(1, (leaf,)))))
    runs = [play(program, schedule) for schedule in schedules(program)]
    always = {
        (p, q)
        for p in runs[0][0]
        for q in runs[0][0]
        if p != q and all(ran.index(p) < ran.index(q) for ran, _ in runs)
    }
    assert len(runs) > 20
    assert len(always) > 10
    assert runs[0][1] == always
