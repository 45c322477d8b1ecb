"""Traces are checked against the contract: good ones pass, each way to break one is found."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import Factory, define
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from colorsched import ColorschedError, Runtime
from colorsched.testing.conforms import (
    Conformance,
    ConformanceMonitor,
    NotConforming,
    conforms,
)
from colorsched.testing.trace import Event, Recorder, merge
from support import Gate

if TYPE_CHECKING:
    from collections.abc import Callable

SERIAL, FIFO, CAUSAL, LOST = 1, 2, 3, 6

#: Threads of the model below: some post, some run.
POSTERS, WORKERS = (1, 2), (3, 4)


# -- a model that makes good traces ---------------------------------------------------------------


@define
class Model:
    """A scheduler on paper: what it is told to do it does as the contract wants, and notes it."""

    events: list[Event] = Factory(list)
    queues: dict[str, list[int]] = Factory(dict)
    running: dict[int, tuple[int, str]] = Factory(dict)
    """By worker, what it runs, in which color."""
    posted: int = 0

    def note(self, what: str, ticket: int, color: str, thread: int, **more: Any) -> None:
        time = 1000 * len(self.events)
        self.events.append(Event(what, ticket, color, time, thread, **more))

    def post(self, thread: int, color: str) -> None:
        self.posted += 1
        by, poster = self.running.get(thread, (None, None))
        more = {"kind": "post", "by": by, "poster": poster, "name": "work"}
        self.note("posted", self.posted, color, thread, **more)
        self.queues.setdefault(color, []).append(self.posted)

    def start(self, worker: int, color: str) -> None:
        busy = worker in self.running or color in {color for _, color in self.running.values()}
        if not busy and self.queues.get(color):
            ticket = self.queues[color].pop(0)
            self.running[worker] = ticket, color
            self.note("started", ticket, color, worker)

    def end(self, worker: int) -> None:
        if worker in self.running:
            ticket, color = self.running.pop(worker)
            self.note("ended", ticket, color, worker)

    def cancel(self, thread: int, color: str) -> None:
        if self.queues.get(color):
            ticket = self.queues[color].pop()
            self.note("dropped", ticket, color, thread, detail="cancelled")

    def finish(self) -> list[Event]:
        for worker in WORKERS:
            self.end(worker)
        for color in self.queues:
            while self.queues[color]:
                self.start(WORKERS[0], color)
                self.end(WORKERS[0])
        return [*self.events, Event("end")]


COLORS = st.sampled_from(("'red'", "'blue'", "'green'"))
STEPS = st.one_of(
    st.tuples(st.just("post"), st.sampled_from(POSTERS + WORKERS), COLORS),
    st.tuples(st.just("post"), st.sampled_from(POSTERS), st.just("'red'")),
    st.tuples(st.just("start"), st.sampled_from(WORKERS), COLORS),
    st.tuples(st.just("end"), st.sampled_from(WORKERS)),
    st.tuples(st.just("cancel"), st.sampled_from(POSTERS), COLORS),
)


def trace_of(steps: list[tuple[Any, ...]]) -> list[Event]:
    model = Model()
    for what, *args in steps:
        getattr(model, what)(*args)
    return model.finish()


TRACES = st.lists(STEPS, max_size=40).map(trace_of)

#: At least two of one poster in one color.
PAIRS = st.lists(STEPS, max_size=40).map(lambda steps: trace_of([("post", 1, "'red'")] * 2 + steps))


def places(trace: list[Event], what: str) -> list[int]:
    return [place for place, event in enumerate(trace) if event.what == what]


def broken(trace: list[Event], *points: int) -> NotConforming:
    with pytest.raises(NotConforming) as caught:
        conforms(trace)
    assert caught.value.point in points, caught.value
    return caught.value


@given(TRACES)
def test_a_good_trace_passes(trace: list[Event]) -> None:
    summary = conforms(trace)
    assert summary.complete
    assert summary.posted == summary.ran + summary.dropped == len(places(trace, "posted"))
    assert summary.dropped == len(places(trace, "dropped"))
    assert str(summary).startswith("conforms: ")


@given(TRACES, st.data())
def test_a_trace_that_breaks_off_passes_up_to_there(trace: list[Event], data: Any) -> None:
    cut = data.draw(st.integers(0, len(trace) - 1))
    summary = conforms(trace[:cut])
    assert not summary.complete
    assert summary.events == cut
    assert summary.pending == summary.posted - summary.ran - summary.dropped
    assert str(summary).startswith(f"conforms up to event {cut}, where it breaks off")


# -- mutants: each way to break a good trace ------------------------------------------------------


def pick(trace: list[Event], what: str, data: Any) -> int:
    found = places(trace, what)
    assume(found)
    return data.draw(st.sampled_from(found))  # type: ignore[no-any-return]  # data is untyped


@given(PAIRS, st.data())
def test_two_of_one_poster_swapped(trace: list[Event], data: Any) -> None:
    posts = {e.ticket: e for e in trace if e.what == "posted"}
    ran = [e.ticket for e in trace if e.what == "started"]
    pairs = [
        (a, b)
        for at, a in enumerate(ran)
        for b in ran[at + 1 :]
        if posts[a].color == posts[b].color
        and posts[a].by == posts[b].by
        and posts[a].thread == posts[b].thread
        # Or the second would start before it was posted.
        and trace.index(posts[b]) < next(i for i, e in enumerate(trace) if e[:2] == ("started", a))
    ]
    assume(pairs)
    first, second = data.draw(st.sampled_from(pairs))
    swap = {first: second, second: first}
    mutant = [
        e._replace(ticket=swap.get(e.ticket, e.ticket)) if e.what in {"started", "ended"} else e
        for e in trace
    ]
    error = broken(mutant, FIFO)
    assert error.color == posts[first].color


@given(PAIRS, st.data())
def test_a_start_dropped(trace: list[Event], data: Any) -> None:
    at = pick(trace, "started", data)
    error = broken(trace[:at] + trace[at + 1 :], LOST)
    assert error.tickets == (trace[at].ticket,)


@given(PAIRS, st.data())
def test_a_start_doubled(trace: list[Event], data: Any) -> None:
    at = pick(trace, "started", data)
    later = data.draw(st.integers(at + 1, len(trace) - 1))
    error = broken([*trace[:later], trace[at], *trace[later:]], LOST)
    assert trace[at].ticket in error.tickets


@given(PAIRS, st.data())
def test_an_end_doubled(trace: list[Event], data: Any) -> None:
    at = pick(trace, "ended", data)
    later = data.draw(st.integers(at + 1, len(trace) - 1))
    error = broken([*trace[:later], trace[at], *trace[later:]], LOST)
    assert trace[at].ticket in error.tickets


@given(PAIRS, st.data())
def test_one_lost(trace: list[Event], data: Any) -> None:
    lost = trace[pick(trace, "started", data)].ticket
    mutant = [e for e in trace if e.ticket != lost or e.what == "posted"]
    assert broken(mutant, LOST).tickets == (lost,)
    # As long as the trace is not over, it may still come.
    assert conforms(mutant[:-1]).pending == 1


@given(PAIRS, st.data())
def test_one_dropped_though_it_ran(trace: list[Event], data: Any) -> None:
    at = pick(trace, "started", data)
    drop = trace[at]._replace(what="dropped", detail="cancelled")
    broken([*trace[: at + 1], drop, *trace[at + 1 :]], LOST)


@given(PAIRS, st.data())
def test_two_of_one_color_overlap(trace: list[Event], data: Any) -> None:
    at = pick(trace, "ended", data)
    color, thread = trace[at].color, trace[at].thread
    following = [
        i for i, e in enumerate(trace) if i > at and e.what == "started" and e.color == color
    ]
    assume(following)
    later = following[0]
    mutant = [*trace[:at], *trace[at + 1 : later + 1], trace[at], *trace[later + 1 :]]
    error = broken(mutant, SERIAL)
    assert error.color == color
    assert error.tickets == (trace[at].ticket, trace[later].ticket)
    assert thread in WORKERS


@given(PAIRS, st.data())
def test_a_start_before_its_post(trace: list[Event], data: Any) -> None:
    at = pick(trace, "started", data)
    post = next(i for i, e in enumerate(trace) if e[:2] == ("posted", trace[at].ticket))
    mutant = [*trace[:post], trace[at], *trace[post:at], *trace[at + 1 :]]
    later_ones = [e for e in trace[:post] if e.what == "posted"]
    # Numbers are given in the order of posting here, so none before is higher.
    assert all((e.ticket or 0) < (trace[at].ticket or 0) for e in later_ones)
    broken(mutant, CAUSAL)


@given(PAIRS, st.data())
def test_one_runs_in_another_color(trace: list[Event], data: Any) -> None:
    at = pick(trace, "started", data)
    mutant = list(trace)
    mutant[at] = trace[at]._replace(color="'elsewhere'")
    assert "'elsewhere'" in str(broken(mutant, LOST))


# -- what is in order and what is not -------------------------------------------------------------


def story(*lines: str) -> list[Event]:
    """A trace in short: thread, what, ticket, and color or kind."""
    short = {"p": "posted", "s": "started", "e": "ended", "d": "dropped"}
    events = []
    for place, line in enumerate(lines):
        thread, what, ticket, *more = line.split()
        color = more[0] if more else "a"
        kind = more[1] if more[1:] else "post"
        by, poster = (int(more[2]), more[3]) if len(more) == 4 else (None, None)
        event = short[what], int(ticket), color, 10 * place, int(thread), kind, by, poster, "f"
        events.append(Event(*event))
    return [*events, Event("end")]


RUN_2_1 = ("9 s 2", "9 e 2", "9 s 1", "9 e 1")


def test_posts_that_overlap_may_come_in_either_order() -> None:
    # Thread 1 has told that it posts, and may be held up before the queue.
    assert conforms(story("1 p 1", "2 p 2", *RUN_2_1)).ran == 2


def test_a_post_that_was_over_before_another_began_comes_first() -> None:
    # Thread 1 posts again (to b), so its first post is over.
    error = broken(story("1 p 1", "1 p 3 b", "2 p 2", *RUN_2_1, "9 s 3 b", "9 e 3 b"), FIFO)
    assert error.tickets == (1, 2)
    assert "#2 started before #1 f in color a, though that one was in the queue" in str(error)


def test_order_that_goes_by_way_of_another_color() -> None:
    # 10 posts 1 to a, then 11 to b, which posts 2 to a.
    trace = story(
        "1 p 10 z", "9 s 10 z", "9 p 1 a post 10 z", "9 p 11 b",
        "8 s 11 b", "8 p 2 a", "8 e 11 b", "9 e 10 z", *RUN_2_1,
    )  # fmt: skip
    broken(trace, FIFO)


def test_the_callbacks_of_one_color_are_one_poster() -> None:
    trace = story(
        "1 p 10 z", "1 p 11 z", "9 s 10 z", "9 p 1 a post 10 z", "9 e 10 z",
        "8 s 11 z", "8 p 2 a post 11 z", "8 e 11 z", *RUN_2_1,
    )  # fmt: skip
    assert "though color z had posted that one before" in str(broken(trace, FIFO))


@pytest.mark.parametrize("kind", ["loop", "timer", "io"])
def test_inner_callbacks_overtake_what_waits_for_a_hold(kind: str) -> None:
    assert conforms(
        story("1 p 1", "1 p 3 b", f"2 p 2 a {kind}", *RUN_2_1, "9 s 3 b", "9 e 3 b")
    ).complete


def test_nothing_overtakes_inner_callbacks() -> None:
    broken(story("1 p 1 a loop", "1 p 2", *RUN_2_1), FIFO)


def test_one_cancelled_may_be_told_of_late() -> None:
    # The worker passed over 1, whose canceller had not yet told.
    trace = story("1 p 1", "1 p 2", "9 s 2", "9 e 2", "1 d 1")
    assert conforms(trace).dropped == 1
    summary = conforms(trace[:4])
    assert (summary.pending, summary.undecided) == (1, 1)
    assert "1 pending (1 of them overtaken)" in str(summary)


def test_a_dispatch_looks_before_it_tells() -> None:
    # 9 found a idle; then 1 posted 2, and only then did 9 tell of its dispatch.
    run = ("9 p 3 a dispatch", "9 s 3", "9 e 3", "9 s 2", "9 e 2", "9 e 1 z")
    assert conforms(
        story("1 p 1 z", "9 s 1 z", "1 p 2", "1 p 4 b", *run, "9 s 4 b", "9 e 4 b")
    ).complete


def test_a_dispatch_passes_nothing_that_was_there() -> None:
    run = ("9 p 4 b", "9 p 3 a dispatch", "9 s 3", "9 e 3", "9 e 1 z", "9 s 2", "9 e 2")
    error = broken(story("1 p 1 z", "1 p 2", "9 s 1 z", "1 p 5 b", *run), FIFO)
    assert error.tickets == (2, 3)


def test_the_report_tells_what_went_before() -> None:
    error = broken(story("1 p 1", "1 p 2", "8 s 1", "9 s 2"), SERIAL)
    assert isinstance(error, ColorschedError)
    assert isinstance(error, AssertionError)
    assert str(error).splitlines() == [
        "point 1 (serial): #2 f started while #1 f ran in color a",
        "0.000 ms  thread 1  posted   #1  a  post f",
        "0.000 ms  thread 1  posted   #2  a  post f",
        "0.000 ms  thread 8  started  #1  a  post f",
        "0.000 ms  thread 9  started  #2  a  post f",
    ]


def test_origins_are_checked_each_by_itself() -> None:
    one = story("1 p 1", "9 s 1", "9 e 1")
    other = [event._replace(origin="other") for event in story("1 p 1", "9 s 1", "9 e 1")]
    assert conforms(merge(one, other)).ran == 2
    assert not conforms(merge(one, other[:-1])).complete
    with pytest.raises(NotConforming):
        conforms(merge(one, [event for event in other if event.what != "started"]))


# -- real runs ------------------------------------------------------------------------------------


WAYS = ("post", "submit", "dispatch", "call_later", "hold", "spawn", "cancel")

#: What a callback does: ways to start others, in a color, which do the rest of the list in turn.
ACTIONS: st.SearchStrategy[list[Any]] = st.recursive(
    st.just([]),
    lambda inner: st.lists(
        st.tuples(
            st.sampled_from(
                ("post", "submit", "dispatch", "call_later", "hold", "spawn", "cancel")
            ),
            st.integers(0, 3),
            inner,
        ),
        max_size=4,
    ),
    max_leaves=30,
)


def act(rt: Runtime, actions: list[Any]) -> None:
    for how, key, inner in actions:
        color = rt.color(key)
        if how == "cancel":
            color.post(act, rt, inner).cancel()
        elif how == "call_later":
            color.call_later(0, act, rt, inner)
        elif how == "hold":
            color.submit(act_slowly, rt, inner)
        elif how == "spawn":
            color.spawn(act_slowly(rt, inner))
        else:
            getattr(color, how)(act, rt, inner)


async def act_slowly(rt: Runtime, actions: list[Any]) -> None:
    for action in actions:
        act(rt, [action])
        await asyncio.sleep(0)


@settings(max_examples=max(10, settings().max_examples // 3))
@given(st.lists(ACTIONS, min_size=1, max_size=3), st.integers(1, 4))
def test_programs_on_real_threads_conform(scripts: list[Any], workers: int) -> None:
    with Recorder() as recorder, Runtime(workers, observer=recorder) as rt:
        in_threads([partial(act, rt, script) for script in scripts])
    assert conforms(recorder).complete


def in_threads(functions: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def napping(rt: Runtime, n: int) -> int:
    await asyncio.sleep(0)
    rt.color(n % 2).dispatch(int)
    await asyncio.sleep(0.0001)
    return n


def busy(rt: Runtime) -> None:
    """Everything there is: coroutines, holds, timers, dispatch, cancellation."""

    def post(me: int) -> None:
        for n in range(40):
            color = rt.color((me + n) % 5)
            color.submit(napping, rt, n)
            color.spawn(napping(rt, n))
            color.call_later(0.0001, color.post, int)
            color.post(rt.color(n % 3).dispatch, int).cancel()
            color.submit(rt.color(n % 3).dispatch, int).cancel()
            color.call_later(60, int).cancel()

    in_threads([partial(post, me) for me in range(3)])


def test_a_busy_run_conforms() -> None:
    with Recorder() as recorder, Runtime(workers=4, observer=recorder) as rt:
        busy(rt)
    summary = conforms(recorder)
    assert summary.complete
    assert summary.dropped
    assert summary.ran > 4 * 3 * 40


def test_a_run_is_watched_while_it_goes_on() -> None:
    with ConformanceMonitor() as monitor, Runtime(workers=4, observer=monitor) as rt:
        busy(rt)
    assert monitor.violation is None
    assert monitor.summary.complete
    assert monitor.summary.ran > 4 * 3 * 40


def test_a_shutdown_that_drops_conforms() -> None:
    gate = Gate()
    with Recorder() as recorder:
        rt = Runtime(workers=2, observer=recorder)
        with gate:
            rt.post(gate)
            gate.reached()
            for n in range(50):
                rt.color(n % 3).post(int)
                rt.post(int)
                rt.call_later(60, int)
            rt.shutdown(wait=False, cancel_futures=True)
        rt.shutdown()
    summary = conforms(recorder)
    assert summary.complete
    assert summary.dropped >= 50


def test_a_run_that_is_not_over_loses_nothing_yet() -> None:
    gate = Gate()
    recorder = Recorder()
    with Runtime(workers=1, observer=recorder) as rt, gate:
        rt.post(gate)
        gate.reached()
        rt.post(int)
        recorder.close(complete=False)
        summary = conforms(recorder)
    assert (summary.complete, summary.pending) == (False, 2)


# -- the monitor -----------------------------------------------------------------------------------


class Doubler(ConformanceMonitor):
    """Tells every start twice, as a runtime would that runs callbacks twice."""

    def started(self, ticket: Any) -> None:
        super().started(ticket)
        super().started(ticket)


def test_the_monitor_tells_while_the_run_goes_on_and_at_its_end() -> None:
    with Doubler(batch=1) as monitor:  # noqa: SIM117 - the runtime ends before
        with pytest.raises(NotConforming, match="#1 int started twice"):  # noqa: PT012 - see below
            with Runtime(workers=1, observer=monitor) as rt:
                rt.post(int)
                assert rt.drain()
                assert isinstance(monitor.violation, NotConforming)
            monitor.close()


def test_a_block_that_fails_by_itself_gets_the_violation_as_a_note() -> None:
    with pytest.raises(KeyError) as caught, Doubler(batch=1) as monitor:  # noqa: PT012 - see below
        with Runtime(workers=1, observer=monitor) as rt:
            rt.post(int)
        raise KeyError("of the block")
    assert "started twice" in caught.value.__notes__[0]


# -- memory ----------------------------------------------------------------------------------------


def test_what_is_kept_does_not_grow_with_the_trace() -> None:
    most = 0
    check = Conformance()
    for n in range(100_000):
        color = f"color {n}"  # each one new
        check.see(Event("posted", n, color, n, n, "post", name="f"))  # and each thread
        if n >= 3:
            worker = -1 - n % 4
            check.see(Event("started", n - 3, f"color {n - 3}", n, worker))
            check.see(Event("ended", n - 3, f"color {n - 3}", n, worker))
        most = max(most, check.kept())
    # Three pending, their colors and posters, and the workers.
    assert most == 3 * 3 + 4
    assert check.finish(complete=False).ran == 99_997


def test_a_run_that_is_watched_keeps_little() -> None:
    kept = []
    with ConformanceMonitor() as monitor, Runtime(workers=2, observer=monitor) as rt:

        def chain(n: int) -> None:
            kept.append(monitor.kept())
            if n:
                rt.color(n).post(chain, n - 1)

        rt.post(chain, 5_000)
    assert monitor.summary.ran == 5_001
    # What has gathered, and a few records.
    assert max(kept) <= 64 * 8 + 64
