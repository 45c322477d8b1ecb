"""The runtime under schedules that a policy chooses: no wake-up, callback or order is lost in any.

The quick tests look at some schedules at random, always the same ones. The slow ones look at more,
and at all that depart once from the plain one. A failure prints its choices; `Again(choices)` in
place of the policy shows it again.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime, RuntimeShutdown
from colorsched.core.scheduler import Lane, Scheduler, drop_all
from colorsched.quiet import Quiet
from colorsched.sources.signals import Bell
from colorsched.testing.stage import (
    Scene,
    ScheduleError,
    Stage,
    explore,
    misplaced,
    sample,
    scene,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched.core.handle import Handle
    from colorsched.testing.stage import Policy

QUICK = range(40)
MANY = range(1000, 1200)


# -- what the runtime's threads do to one another -------------------------------------------------


def posts_from_two_threads(play: Scene) -> None:
    """Colors 0 and 2 have one home, so a second worker must steal."""
    first, second = play.rt.color(0), play.rt.color(2)

    def poster() -> None:
        first.post(play.work, ("p", 1))
        second.post(play.work, ("q", 1))
        first.post(play.work, ("p", 2))

    other = play.actor(poster)
    first.post(play.work, ("m", 1))
    first.post(play.work, ("m", 2))
    second.post(play.work, ("n", 1))
    other.join()
    assert play.rt.drain()
    assert len(play.ran) == 6
    assert play.ran_of("p") == [("p", 1), ("p", 2)]
    assert play.ran_of("m") == [("m", 1), ("m", 2)]


def posts_from_a_callback(play: Scene) -> None:
    rt = play.rt

    def first() -> None:
        play.work(("a", 0))
        rt.color(2).post(play.work, ("b", 1))
        rt.color(1).post(play.work, ("c", 1))
        rt.color(2).post(play.work, ("b", 2))

    rt.color(0).post(first)
    other = play.actor(lambda: rt.color(2).post(play.work, ("d", 1)))
    other.join()
    assert rt.drain()
    assert len(play.ran) == 5
    assert play.ran_of("b") == [("b", 1), ("b", 2)]


def dispatches(play: Scene) -> None:
    """A dispatch that runs at once must not overtake, nor run beside, what others post."""
    rt = play.rt

    def callback() -> None:
        rt.color(1).dispatch(play.work, ("x", 1))
        rt.color(1).post(play.work, ("x", 2))
        rt.color(1).dispatch(play.work, ("x", 3))

    rt.color(0).post(callback)

    def poster() -> None:
        rt.color(1).post(play.work, ("y", 1))
        rt.color(1).dispatch(play.work, ("y", 2))

    other = play.actor(poster)
    other.join()
    assert rt.drain()
    assert play.ran_of("x") == [("x", 1), ("x", 2), ("x", 3)]
    assert play.ran_of("y") == [("y", 1), ("y", 2)]


def posts_and_drains_twice(play: Scene) -> None:
    color = play.rt.color(0)
    for number in range(2):
        color.post(play.work, ("a", number))
        assert play.rt.drain()
        assert play.ran == [("a", n) for n in range(number + 1)]


def drains(play: Scene) -> None:
    """Quiet comes after what callbacks post, and after timers, and when the last is cancelled."""
    rt = play.rt

    def callback() -> None:
        play.work(("a", 0))
        rt.color(1).post(play.work, ("b", 1))

    rt.color(0).post(callback)
    rt.color(0).call_later(0.0, play.work, ("t", 1))
    timer = rt.color(0).call_later(10.0, play.work, ("t", 2))
    other = play.actor(timer.cancel)
    assert rt.drain()
    assert sorted(play.ran) == [("a", 0), ("b", 1), ("t", 1)]
    other.join()


def colors_die_and_come_again(play: Scene) -> None:
    """Two threads look up one key again and again while its color becomes idle and is dropped."""
    rt = play.rt

    def poster(name: str) -> None:
        for number in range(3):
            rt.color("key").post(play.work, (name, number))

    others = [play.actor(partial(poster, name)) for name in "xy"]
    for other in others:
        other.join()
    assert rt.drain()
    assert play.ran_of("x") == [("x", 0), ("x", 1), ("x", 2)]
    assert play.ran_of("y") == [("y", 0), ("y", 1), ("y", 2)]
    # Without the GIL, an object that another thread let go of last waits for its own thread to see
    # that, which may be asleep; a collection sees to it for all.
    gc.collect()
    assert rt.stats().colors == 1


@pytest.fixture(autouse=True)
def _collections_are_quick() -> Iterator[None]:
    """A scene collects garbage in each of its schedules, but not what other tests have left."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def _ran_or_says_why(play: Scene, handles: list[tuple[Any, Handle]]) -> None:
    for name, handle in handles:
        assert (name in play.ran) != handle.cancelled(), f"{name}: {handle}"


def posts_while_shutting_down(play: Scene) -> None:
    color = play.rt.color(0)
    handles: list[tuple[Any, Handle]] = []

    def poster() -> None:
        for number in range(3):
            try:
                handles.append((("p", number), color.post(play.work, ("p", number))))
            except RuntimeShutdown:
                return

    other = play.actor(poster)
    play.rt.shutdown()
    other.join()
    _ran_or_says_why(play, handles)


def shutdown_cancels(play: Scene) -> None:
    first, second = play.rt.color(0), play.rt.color(1)
    handles = [(("p", n), first.post(play.work, ("p", n))) for n in range(3)]
    handles.append((("q", 0), second.post(play.work, ("q", 0))))
    play.rt.shutdown(cancel_futures=True)
    _ran_or_says_why(play, handles)


def cancels(play: Scene) -> None:
    color = play.rt.color(0)
    handles = [(("p", n), color.post(play.work, ("p", n))) for n in range(3)]
    said: dict[Any, bool] = {}

    def canceller() -> None:
        for name, handle in handles:
            said[name] = handle.cancel()
            play.stage.step("cancelled one")

    other = play.actor(canceller)
    other.join()
    assert play.rt.drain()
    _ran_or_says_why(play, handles)
    assert all(handle.cancelled() == said[name] for name, handle in handles)


def two_threads_shut_down(play: Scene) -> None:
    play.rt.color(1).post(play.work, ("a", 1))
    other = play.actor(play.rt.shutdown)
    play.rt.shutdown()
    other.join()
    assert play.ran == [("a", 1)]


def callbacks_block(play: Scene) -> None:
    """All workers are stuck until a callback behind them has run; then they come back."""
    rt = play.rt
    go_on = rt._doors.event()

    def block(number: int) -> None:
        go_on.wait()
        play.work(("b", number))

    for number in range(3):
        rt.color(number).post(block, number)
    rt.color(100).post(go_on.set)
    assert rt.drain()
    assert len(play.ran) == 3
    for number in range(4):
        rt.color(number).post(play.work, ("w", number))
    assert rt.drain()
    assert len(play.ran) == 7


# A callback that blocks may have made colors ready that wait until the monitor sees it.
blocking = partial(scene, callbacks_block, check=misplaced)

SCENES = {
    "two threads post, one worker": scene(posts_from_two_threads, workers=1),
    "two threads post, two workers": scene(posts_from_two_threads),
    "two threads post, three workers": scene(posts_from_two_threads, workers=3),
    "a callback posts": scene(posts_from_a_callback),
    "dispatch, one worker": scene(dispatches, workers=1),
    "dispatch, two workers": scene(dispatches),
    "drain": scene(drains),
    "drain twice, one worker": scene(posts_and_drains_twice, workers=1),
    "drain twice, three workers": scene(posts_and_drains_twice, workers=3),
    "a color dies and comes again": scene(colors_die_and_come_again),
    "posts while shutting down, one worker": scene(posts_while_shutting_down, workers=1),
    "posts while shutting down, two workers": scene(posts_while_shutting_down),
    "shutdown cancels": scene(shutdown_cancels),
    "cancel": scene(cancels),
    "two threads shut down": scene(two_threads_shut_down),
    "callbacks block, one worker": blocking(workers=1),
    "callbacks block, two workers": blocking(workers=2, max_workers=4),
}


@pytest.mark.parametrize("name", SCENES)
def test_some_schedules(name: str) -> None:
    assert sample(SCENES[name], QUICK).schedules == 2 * len(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_many_schedules(name: str) -> None:
    assert sample(SCENES[name], MANY).schedules == 2 * len(MANY)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "two threads post, one worker",
        "dispatch, one worker",
        "posts while shutting down, one worker",
    ],
)
def test_all_schedules_that_depart_once(name: str) -> None:
    found = explore(SCENES[name], departures=1)
    assert found.exhaustive
    assert found.schedules > 50


# -- bells ---------------------------------------------------------------------------------------


def ringing(kind: type[Bell] = Bell) -> Callable[[Policy], None]:
    """Two wait for one bell."""

    def scenario(policy: Policy) -> None:
        stage = Stage(policy)

        def main() -> None:
            bell = kind(stage.doors())
            for name in ("one", "two"):
                stage.start(partial(bell.wait, None, lambda: None), name)
            stage.step("is about to ring")
            bell.ring()

        stage.run(main)

    return scenario


class ClearsForAll(Bell):
    """The first to wake clears the event, which another one was about to wait for."""

    def wait(
        self, timeout: float | None, between: Callable[[], None], most: float | None = None
    ) -> bool:
        while not self._rung:
            if self._event.wait(timeout):
                self._event.clear()
                between()
        return self._rung


def test_a_bell_wakes_everybody_who_waits() -> None:
    result = explore(ringing(), departures=3)
    assert result.exhaustive
    assert result.schedules > 20


def test_a_bell_that_wakes_only_one_is_found() -> None:
    with pytest.raises(ScheduleError, match="everybody waits for ever"):
        explore(ringing(ClearsForAll), departures=3)


# -- planted bugs, each of which some schedule must bring to light --------------------------------


class SleepsAtOnce(Scheduler):
    """Falls asleep without a second look at the ready colors."""

    def fall_asleep(self, lane: Lane, *, polls: bool) -> bool:
        lane.let_go()
        with self.lock:
            lane.asleep = True
            self.sleepers.insert(0 if polls else len(self.sleepers), lane)
        return True


class WakesNobody(Scheduler):
    """Puts a color among the ready and forgets the sleepers."""

    def wake_one(self) -> None:
        return


class StaysWaking(Scheduler):
    """Forgets to say that the worker on its way has arrived."""

    def wake_up(self, lane: Lane) -> bool:
        chosen = super().wake_up(lane)
        if chosen and len(self.lanes) > 1:
            self.waking = True
        return chosen


class SweepsLivingLanes(Scheduler):
    """At the end looks only at lanes that still have a worker, and there are none."""

    def sweep(self) -> None:
        for lane in self.lanes:
            while lane.ready:
                drop_all(lane.ready.popleft(), "shut down", inner=True)


class RingsLate(Quiet):
    """Tells whoever waits for quiet by the time it comes round to it."""

    def rested(self) -> None:
        if self.bells and self.holds():
            with self._lock:
                for bell in self.bells:
                    bell.ring()


class DrainsHastily(Quiet):
    """Takes it for quiet when no color has callbacks."""

    def holds(self) -> bool:
        return all(color.is_idle() for color in self._scheduler.registry.alive())


def with_quiet(kind: type[Quiet]) -> type[Runtime]:
    class Waiting(Runtime):
        _quiet_type = kind

    return Waiting


def with_scheduler(kind: type[Scheduler]) -> Callable[..., Runtime]:
    def make(*args: Any, **options: Any) -> Runtime:
        runtime = Runtime(*args, **options)
        runtime._scheduler.__class__ = kind
        return runtime

    return make


PLANTED: dict[str, Callable[[Policy], None]] = {
    "sleeps without a second look": scene(
        posts_and_drains_twice, workers=1, make=with_scheduler(SleepsAtOnce)
    ),
    "wakes nobody": scene(posts_from_two_threads, make=with_scheduler(WakesNobody)),
    "stays waking": scene(posts_from_two_threads, make=with_scheduler(StaysWaking)),
    "sweeps living lanes": scene(posts_while_shutting_down, make=with_scheduler(SweepsLivingLanes)),
    "rings late": scene(posts_and_drains_twice, workers=3, make=with_quiet(RingsLate)),
    "drains hastily": scene(drains, make=with_quiet(DrainsHastily)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bugs_are_found(name: str) -> None:
    with pytest.raises(ScheduleError, match=r"choices: \["):
        sample(PLANTED[name], range(400))
