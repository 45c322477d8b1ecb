"""The core by hand, on one thread: dispatch, handles, the registry, who is woken."""

from __future__ import annotations

import asyncio
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime, current_color
from colorsched.core.handle import Handle, InnerHandle
from colorsched.core.policy import DISPATCH_DEPTH, LAPS_AHEAD, lagging, next_lap
from colorsched.core.queue import ColorQueue
from colorsched.core.scheduler import Scheduler, drop_all
from colorsched.core.turn import run_turns
from colorsched.executors.monitor import Monitor
from colorsched.ports import Doors, here
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched.core.scheduler import Lane


def none(*_args: object) -> Any:
    return None


class Hand:
    """A scheduler with workers that the test itself plays."""

    def __init__(self, workers: int = 1) -> None:
        self.errors: list[BaseException] = []
        self.woken: list[int] = []
        doors = Doors(poller=none, clock=lambda: 0.0)
        self.scheduler = Scheduler(doors, ColorQueue, self.errors.append)
        self.lanes = [
            self.scheduler.add_lane(partial(self.woken.append, number), spare=False)
            for number in range(workers)
        ]

    def turns(self, number: int = 0, most: int = 1000) -> None:
        """Let a worker run its ready colors."""
        here.lane = self.lanes[number]
        try:
            run_turns(here.lane, most, lambda: 0.0, float("inf"))
        finally:
            here.lane = None

    def color(self, key: object) -> ColorQueue:
        color: ColorQueue = self.scheduler.registry.get(key)
        return color


class Crew:
    """Workers as the monitor sees them: it lets spares in."""

    def __init__(self, most: int) -> None:
        self.count = self.most = most
        self.spares = 0

    def add_spare(self) -> None:
        self.spares += 1

    def is_led(self) -> bool:
        return True


@pytest.fixture
def hand() -> Iterator[Hand]:
    played = Hand()
    yield played
    assert played.errors == []


# -- dispatch ---------------------------------------------------------------------------------


def test_dispatch_inside_a_callback_runs_at_once_in_an_idle_color(hand: Hand) -> None:
    a, b = hand.color("a"), hand.color("b")
    seen: list[object] = []

    def inner() -> None:
        seen.append(("inner", here.lane.color))

    def outer() -> None:
        seen.append(b.dispatch(inner))
        seen.append(("outer", here.lane.color))

    a.post(outer)
    hand.turns()
    assert seen == [("inner", b), None, ("outer", a)]
    assert b.is_idle()


def test_dispatch_from_outside_posts(hand: Hand) -> None:
    a = hand.color("a")
    ran: list[int] = []
    handle = a.dispatch(ran.append, 1)
    assert isinstance(handle, Handle)
    assert ran == []
    hand.turns()
    assert ran == [1]


def test_dispatch_to_ones_own_color_posts(hand: Hand) -> None:
    a = hand.color("a")
    ran: list[str] = []

    def callback() -> None:
        assert a.dispatch(ran.append, "later") is not None
        ran.append("first")

    a.post(callback)
    hand.turns()
    assert ran == ["first", "later"]


def test_dispatch_keeps_the_order_with_what_was_posted_before(hand: Hand) -> None:
    a, b = hand.color("a"), hand.color("b")
    ran: list[int] = []

    def callback() -> None:
        b.post(ran.append, 1)
        assert b.dispatch(ran.append, 2) is not None
        ran.append(0)

    a.post(callback)
    hand.turns()
    assert ran == [0, 1, 2]


def test_dispatch_from_another_runtimes_callback_posts() -> None:
    one, two = Hand(), Hand()
    results: list[object] = []
    one.color("a").post(lambda: results.append(two.color("b").dispatch(results.append, "ran")))
    one.turns()
    assert len(results) == 1
    assert isinstance(results[0], Handle)
    two.turns()
    assert results[1:] == ["ran"]


def test_dispatch_nests_down_to_a_depth_then_posts(hand: Hand) -> None:
    depths: list[int] = []
    posted: list[object] = []

    def callback(number: int) -> None:
        depths.append(here.lane.depth)
        if number < 2 * DISPATCH_DEPTH:
            handle = hand.color(number + 1).dispatch(callback, number + 1)
            if handle is not None:
                posted.append(handle)

    hand.color(0).post(callback, 0)
    hand.turns()
    assert len(depths) == 2 * DISPATCH_DEPTH + 1
    assert max(depths) == DISPATCH_DEPTH
    assert len(posted) == 1


def test_what_a_dispatched_callback_raises_goes_to_the_handler() -> None:
    hand = Hand()
    a, b = hand.color("a"), hand.color("b")
    error = KeyError("dispatched")
    after: list[object] = []

    def fail() -> None:
        raise error

    def callback() -> None:
        b.dispatch(fail)
        after.append(here.lane.color)

    a.post(callback)
    hand.turns()
    assert hand.errors == [error]
    assert after == [a]
    assert b.is_idle()


def test_what_is_posted_to_a_dispatched_color_meanwhile_runs_after_it(hand: Hand) -> None:
    a, b = hand.color("a"), hand.color("b")
    ran: list[str] = []

    def inner() -> None:
        b.post(ran.append, "posted")
        ran.append("inner")

    a.post(lambda: b.dispatch(inner))
    hand.turns()
    assert ran == ["inner", "posted"]
    assert b.is_idle()


def test_dispatch_runs_in_the_others_loop_and_comes_back(rt: Runtime) -> None:
    a, b = rt.color("a"), rt.color("b")
    loops: list[object] = []

    async def outer() -> None:
        loops.append(asyncio.get_running_loop())
        b.dispatch(inner)
        loops.append(asyncio.get_running_loop())
        assert current_color() is a

    def inner() -> None:
        assert current_color() is b
        loops.append(asyncio.get_running_loop())

    in_b = b.submit(lambda: b.loop).result()
    assert rt.drain(PATIENCE_SECONDS)  # its future may be done before b is idle again
    a.submit(outer).result()
    assert loops == [a.loop, in_b, a.loop]


def test_dispatch_to_a_held_color_waits_for_the_holds_end(rt: Runtime) -> None:
    ran: list[str] = []
    held = Gate()
    go_on = rt.color("b").submit(asyncio.Event).result()

    async def hold() -> None:
        held()
        await go_on.wait()
        ran.append("held")

    holding = rt.color("b").submit(hold)
    with held.reached():
        pass
    rt.color("a").submit(lambda: rt.color("b").dispatch(ran.append, "dispatched")).result()
    rt.color("b").loop.call_soon_threadsafe(go_on.set)
    holding.result()
    assert rt.drain()
    assert ran == ["held", "dispatched"]


# -- handles ----------------------------------------------------------------------------------


def test_a_handle_is_cancelled_once_and_then_never_runs(hand: Hand) -> None:
    ran: list[int] = []
    handle = hand.color("a").post(ran.append, 1)
    assert not handle.cancelled()
    assert [handle.cancel(), handle.cancel()] == [True, False]
    assert handle.cancelled()
    assert handle.reason == "cancelled"
    hand.turns()
    assert ran == []


def test_a_handle_that_ran_is_not_cancelled(hand: Hand) -> None:
    handle = hand.color("a").post(none)
    hand.turns()
    assert not handle.cancel()
    assert not handle.cancelled()


def test_a_callback_cannot_cancel_itself(hand: Hand) -> None:
    said: list[bool] = []
    handles: list[Handle] = []
    handles.append(hand.color("a").post(lambda: said.append(handles[0].cancel())))
    hand.turns()
    assert said == [False]
    assert not handles[0].cancelled()


def test_cancelling_lets_go_of_the_arguments() -> None:
    class Big:
        pass

    freed: list[bool] = []
    hand = Hand()
    big = Big()
    weakref.finalize(big, freed.append, True)
    handle = hand.color("a").post(none, big)
    del big
    assert handle.cancel()
    assert freed == [True]


def test_handles_are_equal_only_to_themselves(hand: Hand) -> None:
    one, two = hand.color("a").post(none), hand.color("a").post(none)
    assert one != two
    assert len({one, two}) == 2
    assert one
    hand.turns()
    assert one != two
    assert one


def test_a_handles_repr_tells_its_state(hand: Hand) -> None:
    handle = hand.color("a").post(none)
    assert repr(handle) == "<Handle pending none>"
    handle.cancel()
    assert repr(handle) == "<Handle cancelled>"


def test_dropping_spares_the_loops_own_callbacks_unless_told(hand: Hand) -> None:
    color = hand.color("a")
    ran: list[str] = []
    outer = color.post(ran.append, "outer")
    inner = InnerHandle((ran.append, ("inner",), copy_context()))
    color.post_inner(inner)
    drop_all(color, "shut down")
    assert outer.reason == "shut down"
    assert not inner.cancelled()
    hand.turns()
    assert ran == ["inner"]


# -- the registry -----------------------------------------------------------------------------


def test_a_key_has_one_color_as_long_as_somebody_holds_it(hand: Hand) -> None:
    color = hand.color(("a", 1))
    assert hand.color(("a", 1)) is color
    assert len(hand.scheduler.registry) == 1
    del color
    assert len(hand.scheduler.registry) == 0


def test_a_pending_callback_keeps_its_color(hand: Hand) -> None:
    ran: list[int] = []
    hand.color("a").post(ran.append, 1)
    gc.collect()
    assert len(hand.scheduler.registry) == 1
    hand.turns()
    assert ran == [1]
    hand.lanes[0].let_go()
    assert len(hand.scheduler.registry) == 0


def test_equal_keys_of_different_types_are_one_color(hand: Hand) -> None:
    assert hand.color(1) is hand.color(1.0)


def test_a_key_that_dies_in_the_look_up_leaves_nothing(hand: Hand) -> None:
    for number in range(1000):
        hand.color(number)
    assert len(hand.scheduler.registry) == 0


# -- who is woken, and who helps ----------------------------------------------------------------


def sleeping(hand: Hand, *numbers: int) -> None:
    for number in numbers:
        assert hand.scheduler.fall_asleep(hand.lanes[number], polls=False)


def test_a_post_from_outside_wakes_one_sleeper_until_that_has_woken() -> None:
    hand = Hand(3)
    sleeping(hand, 0, 1, 2)
    hand.color("a").post(none)
    hand.color("b").post(none)
    assert hand.woken == [2]
    assert hand.scheduler.wake_up(hand.lanes[2])
    hand.color("c").post(none)
    assert hand.woken == [2, 1]


def test_who_polls_is_woken_last() -> None:
    hand = Hand(2)
    sleeping(hand, 1)
    assert hand.scheduler.fall_asleep(hand.lanes[0], polls=True)
    hand.color("a").post(none)
    assert hand.woken == [1]


def test_nobody_falls_asleep_while_a_color_is_ready() -> None:
    hand = Hand(2)
    hand.color(0).post(none)
    assert not hand.scheduler.fall_asleep(hand.lanes[1], polls=False)
    assert hand.scheduler.sleepers == []


def give_ready_color(hand: Hand, lane: Lane) -> None:
    """As if the lane's worker had posted it, in a callback."""
    here.lane = lane
    try:
        hand.color("handed over").post(none)
    finally:
        here.lane = None


@pytest.mark.parametrize("how", ["make way", "end"])
def test_a_worker_that_goes_hands_its_colors_over_and_wakes_a_sleeper(how: str) -> None:
    hand = Hand(2)
    spare = hand.scheduler.add_lane(none, spare=True)
    sleeping(hand, 0, 1)
    give_ready_color(hand, spare)
    assert hand.woken == []
    if how == "make way":
        assert hand.scheduler.make_way(spare, 2)
    else:
        hand.scheduler.remove_lane(spare)
    assert hand.woken == [1]
    assert not spare.ready
    assert [len(lane.ready) for lane in hand.lanes] == [1, 0]


def test_colors_are_handed_over_to_a_worker_that_stays_not_to_a_spare() -> None:
    hand = Hand(1)
    leaving, other = (hand.scheduler.add_lane(none, spare=True) for _ in range(2))
    hand.lanes[0].stuck = True
    give_ready_color(hand, leaving)
    hand.scheduler.remove_lane(leaving)
    assert len(hand.lanes[0].ready) == 1
    assert not other.ready


def test_a_worker_in_reserve_keeps_no_color_alive() -> None:
    hand = Hand(1)
    spare = hand.scheduler.add_lane(none, spare=True)
    here.lane = spare
    try:
        hand.color("used once").post(none)
        run_turns(spare, 10, lambda: 0.0, float("inf"))
    finally:
        here.lane = None
    assert hand.scheduler.make_way(spare, 1)
    assert len(hand.scheduler.registry) == 0


def test_a_post_after_the_workers_are_gone_is_dropped_and_says_so(hand: Hand) -> None:
    color = hand.color("a")
    hand.scheduler.remove_lane(hand.lanes[0])
    hand.scheduler.stop()
    handle = color.post(none)
    assert handle.reason == "shut down"


def test_only_a_turn_that_goes_on_is_counted_out() -> None:
    hand = Hand(1)
    lane = hand.lanes[0]
    said: list[bool] = []
    hand.color("a").post(lambda: said.append(hand.scheduler.count_out(lane, lane.turns)))
    assert not hand.scheduler.count_out(lane, lane.turns)
    hand.turns()
    assert said == [True]
    assert lane.stuck
    assert hand.scheduler.running() == 0
    hand.scheduler.count_in(lane)
    assert hand.scheduler.running() == 1


def test_who_comes_back_while_the_monitor_counts_makes_no_room_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hand = Hand(2)
    crew = Crew(most=2)
    monitor = Monitor(Doors(poller=none), hand.scheduler, crew)
    for lane in hand.lanes:
        lane.stuck = True
    running = hand.scheduler.running

    def come_back() -> None:
        # As its worker does it, but for the wait: one that had to wait comes back later.
        if hand.scheduler.lock.acquire(blocking=False):
            hand.scheduler.count_in(hand.lanes[0])
            hand.scheduler.lock.release()

    def count() -> int:
        counted = running()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(come_back).result()
        return counted

    monkeypatch.setattr(hand.scheduler, "running", count)
    monitor.look()
    assert crew.spares == 0


def test_laps_stay_together() -> None:
    hand = Hand(2)
    ahead, behind = hand.lanes
    ahead.lap = 100
    assert next_lap(behind, hand.lanes) == 100 - LAPS_AHEAD + 1
    assert next_lap(ahead, hand.lanes) == 101
    assert lagging(ahead, hand.lanes) == []
    behind.ready.append(hand.color("waits"))
    assert lagging(ahead, hand.lanes) == [behind]
    behind.lap = 100 - LAPS_AHEAD
    assert lagging(ahead, hand.lanes) == []


def test_a_thief_takes_whole_colors_in_their_order() -> None:
    hand = Hand(2)
    victim, thief = hand.lanes
    colors = [hand.color(number) for number in range(0, 10, 2)]
    for color in colors:
        color.post(none)
    assert list(victim.ready) == colors
    assert hand.scheduler.steal(thief)
    assert list(thief.ready) == colors[:3]
    assert list(victim.ready) == colors[3:]
    assert thief.steals == 3


def test_a_turn_ends_for_the_others_after_its_callbacks_or_its_time(hand: Hand) -> None:
    ran: list[str] = []
    now = 0.0

    def long(name: str) -> None:
        nonlocal now
        ran.append(name)
        now += 1.0

    for _ in range(4):
        hand.color("a").post(long, "a")
    hand.color("b").post(long, "b")
    here.lane = hand.lanes[0]
    try:
        clock: Callable[[], float] = lambda: now  # noqa: E731 - it reads the test's own variable
        run_turns(here.lane, 10, clock, float("inf"))
    finally:
        here.lane = None
    assert ran == ["a", "a", "b", "a", "a"]
