"""The arguments of the core, each as a fact checked in every schedule of a small scene.

A scene has a few threads, on the scheduler alone: no pollers, timers or monitors, so that all
schedules with two or three departures from the plain one can be run. Beside each argument stands
the bug that it rules out, planted by leaving its step out; the same search must find that.
`departures` says how far a search goes; `Exploration.exhaustive` that it went through it all.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.core.queue import ColorQueue
from colorsched.core.scheduler import Lane, Scheduler, drop_all
from colorsched.errors import RuntimeShutdown
from colorsched.ports import here
from colorsched.testing.stage import ScheduleError, explore
from runtime.benches import Bench, bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.core.handle import Handle
    from colorsched.testing.stage import Policy

# -- post, claim, release: no callback is left behind in an idle color ----------------------------


def handover(posts: int, turn: Callable[[Bench, Lane], None] = Bench.turn) -> Callable[..., None]:
    """A poster posts while an owner runs turns and lets go, over and over."""

    def play(on: Bench) -> None:
        lane, _ = on.add_lane()
        color = on.color("color")
        ready: Any = lane.ready
        posted: list[str] = []
        names = [str(number) for number in range(posts)]

        def post() -> None:
            for name in names:
                color.post(on.work, name)
                posted.append(name)

        on.stage.start(post, "poster")
        here.lane = lane
        while len(posted) < posts or ready.peek():
            turn(on, lane)
            on.stage.block(lambda: ready.peek() or len(posted) == posts, None, "a ready color")
        here.lane = None
        assert on.ran == names
        on.check_idle(color)

    return bench(play)


def forgetful_turn(on: Bench, lane: Lane) -> None:
    """A turn that puts the token back without a second look at the queue."""
    color = lane.ready.popleft() if lane.ready else None
    if color is not None:
        lane.color = color
        while color._queue:
            handle = color._queue.popleft()
            handle.pop().run(handle[0], *handle[1])
        lane.color = None
        color._token.append(1)


def test_one_post_is_handed_over_in_every_schedule() -> None:
    assert explore(handover(1), departures=None).verdict == "proved"


def test_the_token_is_handed_over() -> None:
    result = explore(handover(2), departures=3)
    assert result.exhaustive
    assert result.schedules > 300


def test_a_release_without_a_second_look_is_found() -> None:
    with pytest.raises(ScheduleError):
        explore(handover(2, forgetful_turn), departures=3)


# -- steal while posting: a color that moves is run by one worker, once ---------------------------


def steals_beside_posts(on: Bench) -> None:
    """Posts go to the lane of one worker; another one steals from it."""
    lanes = [on.add_lane()[0], on.add_lane(spare=True)[0]]
    first, second = on.color("first"), on.color("second")
    done: list[str] = []

    def work(lane: Lane) -> None:
        here.lane = lane
        ready: list[Any] = [each.ready for each in lanes]
        while on.stage.block(lambda: done or any(r.peek() for r in ready), None, "work"):
            if lane.ready or on.scheduler.steal(lane):
                on.turn(lane)
            elif done:
                break
        here.lane = None

    for lane in lanes:
        on.stage.start(partial(work, lane), f"worker {lane.index}")
    first.post(on.work, "a1")
    second.post(on.work, "b1")
    first.post(on.work, "a2")
    on.wait_for(3)
    done.append("all posted")
    assert [name for name in on.ran if name != "b1"] == ["a1", "a2"]


class LooksThenTakes(Scheduler):
    """Takes it that what it removes is what it saw."""

    def _take(self, victim: Lane, thief: Lane) -> bool:
        try:
            color = next(iter(victim.ready))
            victim.ready.popleft()
        except (IndexError, StopIteration):
            return False
        thief.ready.append(color)
        return True


class Copies(Scheduler):
    """Takes a color, and leaves it where it was too."""

    def _take(self, victim: Lane, thief: Lane) -> bool:
        try:
            thief.ready.append(next(iter(victim.ready)))
        except StopIteration:
            return False
        return True


class MindsNoRace(Scheduler):
    """Does not expect that somebody takes the color between its look and its taking."""

    def _take(self, victim: Lane, thief: Lane) -> bool:
        thief.ready.append(victim.ready.popleft())
        return True


# -- park and wake: no worker sleeps while a color is ready ---------------------------------------


def parks_beside_posts(on: Bench, *, workers: int) -> None:
    crew = [on.worker() for _ in range(workers)]
    on.color("a").post(on.work, "a1")
    on.color("b").post(on.work, "b1")
    on.wait_for(2)
    on.end(*crew)


class SleepsAtOnce(Scheduler):
    """Falls asleep without a second look at the ready colors."""

    def fall_asleep(self, lane: Lane, *, polls: bool) -> bool:
        with self.lock:
            lane.asleep = True
            self.sleepers.append(lane)
        return True


class LooksTooEarly(SleepsAtOnce):
    """Takes its look at the ready colors before it enters the sleepers."""

    def fall_asleep(self, lane: Lane, *, polls: bool) -> bool:
        if any(other.ready for other in self.lanes):
            return False
        return super().fall_asleep(lane, polls=polls)


class WakesTooEarly(Scheduler):
    """Looks at the sleepers before it puts the color among the ready."""

    def ready(self, color: ColorQueue) -> None:
        if self.sleepers:
            self.wake_one()
        (self.homes[0] if here.lane is None else here.lane).ready.append(color)


# -- hand over: a worker that makes way leaves its colors to one that is awake --------------------


def makes_way(on: Bench) -> None:
    """A spare worker with ready colors goes away while the other one falls asleep."""
    stays = on.worker()
    lane, _ = on.add_lane(spare=True)

    def spare() -> None:
        here.lane = lane
        on.color("a").post(on.work, "a1")
        on.color("b").post(on.work, "b1")
        assert on.scheduler.make_way(lane, 1)
        here.lane = None

    leaves = on.stage.start(spare, "spare")
    leaves.join()
    on.wait_for(2)
    on.end(stays)


class HandsOverInSilence(Scheduler):
    """Puts its colors into another lane and wakes nobody."""

    def _hand_over(self, lane: Lane) -> None:
        while lane.ready:
            try:
                self.homes[0].ready.append(lane.ready.popleft())
            except IndexError:
                break


class KeepsItsColors(Scheduler):
    """Goes into reserve with its ready colors."""

    def _hand_over(self, lane: Lane) -> None:
        return


def leaves_the_reserve(on: Bench) -> None:
    """A spare gives up waiting while it is let in: it goes on or it was not let in."""
    on.add_lane()
    lane, _ = on.add_lane(spare=True)
    assert on.scheduler.make_way(lane, 1)
    let_in: list[Lane | None] = []
    monitor = on.stage.start(lambda: let_in.append(on.scheduler.let_in()), "monitor")
    gives_up = on.scheduler.leave_reserve(lane)
    monitor.join()
    assert let_in == [None if gives_up else lane]


class GivesUpAnyhow(Scheduler):
    """Leaves the reserve by a look that is too old when it acts."""

    def leave_reserve(self, lane: Lane) -> bool:
        was = lane in self.reserve
        with self.lock:
            if lane in self.reserve:
                self.reserve.remove(lane)
        return was


# -- shutdown against a post: an accepted callback runs, or says why not --------------------------


def shuts_down_beside_posts(on: Bench) -> None:
    worker = on.worker()
    handles: dict[str, Handle] = {}

    def post() -> None:
        for name in ("a1", "b1"):
            try:
                handles[name] = on.color(name[0]).post(on.work, name)
            except RuntimeShutdown:
                return

    poster = on.stage.start(post, "poster")
    on.stage.step("is about to shut down")
    on.scheduler.close(RuntimeShutdown("closed"))
    on.end(worker)
    on.scheduler.stop()
    poster.join()
    for name, handle in handles.items():
        assert (name in on.ran) != (handle.reason == "shut down"), f"{name}: {handle}"


class SweepsOnce(Scheduler):
    """What becomes ready after the end is swept by nobody."""

    def ready(self, color: ColorQueue) -> None:
        self.homes[0].ready.append(color)
        if self.sleepers:
            self.wake_one()


class SweepsLivingLanes(Scheduler):
    """At the end looks only at lanes that still have a worker, and there are none."""

    def sweep(self) -> None:
        for lane in self.lanes:
            while lane.ready:
                drop_all(lane.ready.popleft(), "shut down", inner=True)


def shuts_down_beside_a_new_color(on: Bench) -> None:
    """Once ``close`` has returned every color refuses, one that was being made meanwhile too."""
    on.add_lane()
    colors: list[ColorQueue] = []
    maker = on.stage.start(lambda: colors.append(on.color("new")), "maker")
    on.stage.step("is about to shut down")
    on.scheduler.close(RuntimeShutdown("closed"))
    maker.join()
    with pytest.raises(RuntimeShutdown):
        colors[0].post(on.work, "a1")


class ClosesWhatIsThere(Scheduler):
    """Closes the colors that are alive, and those that are begun later."""

    def close(self, error: RuntimeShutdown) -> None:
        super().close(error)
        self.registry._changed = None


# -- dispatch against a post: it runs at once only in an idle color -------------------------------


def dispatches_beside_a_turn(on: Bench) -> None:
    """One callback posts and dispatches to a color of which another worker ends its turn."""
    worker = on.worker()
    lane, _ = on.add_lane(spare=True)
    color = on.color("color")
    color.post(on.work, "p1")

    def callback() -> None:
        here.lane = lane
        color.post(on.work, "p2")
        color.dispatch(on.work, "d3")
        color.post(on.work, "p4")
        while lane.ready:
            on.turn(lane)
        here.lane = None

    on.stage.start(callback, "dispatcher")
    on.wait_for(4)
    on.end(worker)
    assert on.ran == ["p1", "p2", "d3", "p4"]


class Overtakes(ColorQueue):
    """Dispatches without a look at the queue after its claim."""

    __slots__ = ()

    def dispatch(self, fn: Callable[..., object], /, *args: Any) -> Handle | None:
        if self.claim():
            self._run_inside(here.lane, fn, args)
            return None
        return self.post(fn, *args)


class RunsBeside(ColorQueue):
    """Dispatches to a color that looks idle, without a claim."""

    __slots__ = ()

    def dispatch(self, fn: Callable[..., object], /, *args: Any) -> Handle | None:
        if not self._queue:
            here.lane.color, outer = self, here.lane.color
            fn(*args)
            here.lane.color = outer
            return None
        return self.post(fn, *args)


# -- all of them ----------------------------------------------------------------------------------

SCENES: dict[str, tuple[Callable[[Bench], None], int]] = {
    "steal while posting": (steals_beside_posts, 2),
    "park, one worker": (partial(parks_beside_posts, workers=1), 3),
    "park, two workers": (partial(parks_beside_posts, workers=2), 2),
    "make way": (makes_way, 3),
    "leave the reserve": (leaves_the_reserve, 4),
    "shutdown beside posts": (shuts_down_beside_posts, 3),
    "shutdown beside a new color": (shuts_down_beside_a_new_color, 4),
    "dispatch beside a turn": (dispatches_beside_a_turn, 3),
}


def told(name: str, departures: int) -> None:
    play, _ = SCENES[name]
    result = explore(bench(play), departures=departures)
    print(f"{name}, at most {departures} departures: {result}")  # noqa: T201 - `pytest -s` shows it
    assert result.exhaustive


#: So few schedules that they are all looked at each time; with the others only one departure is.
SMALL = ("leave the reserve", "shutdown beside posts", "shutdown beside a new color")


@pytest.mark.parametrize("name", SCENES)
def test_it_holds_with_few_departures(name: str) -> None:
    told(name, SCENES[name][1] if name in SMALL else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCENES if name not in SMALL])
def test_it_holds_with_more_departures(name: str) -> None:
    told(name, SCENES[name][1])


Bug = type[Scheduler] | type[ColorQueue]

PLANTED: list[tuple[str, Bug]] = [
    ("steal while posting", Copies),
    ("steal while posting", MindsNoRace),
    ("park, one worker", SleepsAtOnce),
    ("park, one worker", LooksTooEarly),
    ("park, one worker", WakesTooEarly),
    ("make way", HandsOverInSilence),
    ("make way", KeepsItsColors),
    ("leave the reserve", GivesUpAnyhow),
    ("shutdown beside posts", SweepsOnce),
    ("shutdown beside posts", SweepsLivingLanes),
    ("shutdown beside a new color", ClosesWhatIsThere),
    ("dispatch beside a turn", RunsBeside),
]

DEEPLY_PLANTED: list[tuple[str, Bug]] = [
    ("steal while posting", LooksThenTakes),
    ("dispatch beside a turn", Overtakes),
]


def deepen(scenario: Callable[[Policy], None]) -> None:
    for departures in range(4):
        explore(scenario, departures=departures)


def found(name: str, bug: Bug) -> None:
    play, _ = SCENES[name]
    scenario = bench(play, kind=bug) if issubclass(bug, Scheduler) else bench(play, color=bug)
    with pytest.raises(ScheduleError, match=r"choices: \["):
        deepen(scenario)


@pytest.mark.parametrize(("name", "bug"), PLANTED)
def test_the_step_left_out_is_found(name: str, bug: Bug) -> None:
    found(name, bug)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "bug"), DEEPLY_PLANTED)
def test_the_step_left_out_is_found_by_a_longer_search(name: str, bug: Bug) -> None:
    found(name, bug)


# -- dropping and ringing -------------------------------------------------------------------------


def drops_beside_a_turn(on: Bench) -> None:
    lane, _ = on.add_lane()
    color = on.color("color")
    handles = {name: color.post(on.work, name) for name in ("0", "1")}
    dropper = on.stage.start(lambda: drop_all(color, "shut down"), "dropper")
    here.lane = lane
    on.turn(lane)
    here.lane = None
    dropper.join()
    on.check_idle(color)
    assert [name for name, handle in handles.items() if not handle.cancelled()] == on.ran


def test_dropping_what_is_queued_never_meets_a_turn_in_between() -> None:
    result = explore(bench(drops_beside_a_turn), departures=3)
    assert result.exhaustive
    assert result.schedules > 100
