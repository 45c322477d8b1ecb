"""Colors that are handed over to slots, under schedules that a policy chooses.

The slots are threads of the stage: each takes a batch, runs it a step at a time, and answers, all
between any two steps of the runtime's own threads, posters and cancellers.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime, WorkerLost, slots
from colorsched.core.slots import Lines, Slot
from colorsched.executors.slots.manager import Slots
from colorsched.testing.stage import Scene, ScheduleError, explore, sample, scene
from colorsched.testing.stage import unfinished as unfinished_in_lanes

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.core.handle import Handle
    from colorsched.core.queue import ColorQueue
    from colorsched.core.scheduler import Scheduler
    from colorsched.ports import Doors
    from colorsched.testing.stage import Policy, Stage

QUICK = range(30)
MANY = range(1000, 1120)


class StagedLane(Executor):
    """A slot that is a thread of the stage."""

    def __init__(self, stage: Stage, doom: list[int] | None = None) -> None:
        self._stage = stage
        self._calls: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._over = False
        self._doom = doom
        """After so many batches it breaks, once."""
        self._thread = stage.start(self._work, "slot")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._stage.step("gives a slot its batch")
        self._calls.append((future, partial(fn, *args, **kwargs)))
        self._stage.step("gave a slot its batch")
        return future

    def _work(self) -> None:
        stage = self._stage
        while True:
            stage.block(lambda: self._calls or self._over, None, "a batch")
            if not self._calls:
                return
            future, call = self._calls.pop(0)
            if self._doom is not None and self._doom:
                self._doom[0] -= 1
                if not self._doom[0]:
                    self._doom.clear()
                    stage.step("breaks")
                    future.set_exception(BrokenExecutor("planted"))
                    continue
            answer = call()
            stage.step("has run its batch")
            future.set_result(answer)
            stage.step("has answered")

    def came(self) -> tuple[int, int]:
        return 0, 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
        self._over = True
        if wait:
            self._thread.join()


def staged(
    count: int = 1,
    *,
    kind: type[Slots] = Slots,
    lines: type[Lines] = Lines,
    doomed: int = 0,
) -> Callable[..., Runtime]:
    """Make a runtime whose slots are on the stage that its doors lead to."""

    def make(*args: Any, doors: Doors, **options: Any) -> Runtime:
        stage: Any = doors.thread.__self__  # type: ignore[attr-defined]  # Stage.start
        doom = [doomed] if doomed else None
        lanes = [lambda: StagedLane(stage, doom)] * count
        # What counts slots here counts threads there.
        del args
        rt = Runtime(executor=slots(lanes), travel="reference", doors=doors, **options)
        there: Any = rt._slots
        there.__class__ = kind
        there.lines.__class__ = lines
        rt._scheduler.hand_over = there.take
        return rt

    return make


def posts_to_slots(play: Scene) -> None:
    """Two threads post to one color while it is handed over, runs, and comes back."""
    first, second = play.rt.color(0), play.rt.color(1)

    def poster() -> None:
        for number in range(2):
            first.post(work, play, ("p", number))

    other = play.actor(poster)
    first.post(work, play, ("m", 0))
    second.post(work, play, ("n", 0))
    first.post(work, play, ("m", 1))
    other.join()
    assert play.rt.drain()
    assert len(play.ran) == 5
    assert play.ran_of("p") == [("p", 0), ("p", 1)]
    assert play.ran_of("m") == [("m", 0), ("m", 1)]


def work(play: Scene, name: Any) -> None:
    """The callback in a slot."""
    from colorsched import current_color

    color = current_color()
    assert color is not None
    assert color.key not in play.running, f"{name} runs beside {play.running[color.key]}"
    play.running[color.key] = name
    play.stage.step(f"works on {name} in a slot")
    play.ran.append(name)
    del play.running[color.key]


def mixes(play: Scene) -> None:
    """Threads and slots run callbacks of one color: one at a time, in the order posted."""
    color = play.rt.color(0)
    for number in range(4):
        if number % 2:
            color.on("thread").submit(play.work, ("x", number))
        else:
            color.post(work, play, ("x", number))
    assert play.rt.drain()
    assert play.ran == [("x", number) for number in range(4)]


def cancels(play: Scene) -> None:
    """What is cancelled while its color waits for a slot does not run, and keeps nobody waiting."""
    handles: list[tuple[Any, Handle]] = [
        ((name, 0), play.rt.color(key).post(work, play, (name, 0)))
        for key, name in enumerate("abc")
    ]
    said: dict[Any, bool] = {}

    def canceller() -> None:
        for name, handle in reversed(handles):
            said[name] = handle.cancel()

    other = play.actor(canceller)
    assert play.rt.drain()
    other.join()
    for name, handle in handles:
        assert (name in play.ran) != handle.cancelled(), f"{name}: {handle}"
        assert handle.cancelled() == said[name]


def cancels_futures(play: Scene) -> None:
    """The same, by the futures."""
    futures = [play.rt.color(key).submit(work, play, ("f", key)) for key in range(3)]
    other = play.actor(lambda: [future.cancel() for future in reversed(futures)])
    assert play.rt.drain()
    other.join()
    for key, future in enumerate(futures):
        assert future.done()
        assert future.cancelled() != (("f", key) in play.ran)


def shuts_down(play: Scene) -> None:
    handles = [
        ((name, 0), play.rt.color(key).post(work, play, (name, 0)))
        for key, name in enumerate("abc")
    ]
    play.rt.shutdown(cancel_futures=True)
    for name, handle in handles:
        assert (name in play.ran) != handle.cancelled(), f"{name}: {handle}"


def posts_while_shutting_down(play: Scene) -> None:
    from colorsched import RuntimeShutdown

    handles: list[tuple[Any, Handle]] = []

    def poster() -> None:
        for number in range(3):
            try:
                handle = play.rt.color(0).post(work, play, ("p", number))
            except RuntimeShutdown:
                return
            handles.append((("p", number), handle))

    other = play.actor(poster)
    play.rt.shutdown()
    other.join()
    for name, handle in handles:
        assert (name in play.ran) != handle.cancelled(), f"{name}: {handle}"


def loses(play: Scene) -> None:
    """A slot is lost and replaced while others post."""
    color = play.rt.color(0)
    futures = [color.submit(work, play, ("a", 0))]
    other = play.actor(lambda: futures.append(color.submit(work, play, ("b", 0))))
    futures.append(play.rt.color(1).submit(work, play, ("c", 0)))
    other.join()
    assert play.rt.drain()
    lost = [isinstance(future.exception(), WorkerLost) for future in futures]
    assert lost.count(True) == 1
    assert len(play.ran) == 2


def bound(play: Scene) -> None:
    """A color with state waits for its slot, and moves when that takes too long."""
    color = play.rt.color(0)
    assert color.submit(_keep).result is not None
    assert play.rt.drain()
    futures = [play.rt.color(2).submit(work, play, ("slow", 0)), color.submit(_keep)]
    other = play.actor(lambda: futures.append(color.submit(_keep)))
    other.join()
    assert play.rt.drain()
    assert all(future.done() for future in futures)
    assert len(play.ran) == 1


def _keep() -> None:
    from colorsched import local

    local()["state"] = True


def unfinished(scheduler: Scheduler) -> str | None:
    """As of the stage; and whether somebody waits for a slot while one has nothing to do."""
    lines: Lines = scheduler.slots.lines
    waiting = [waiting for slot in lines.slots for waiting in slot.line]
    if any(not each.bound for each in waiting) and not all(slot.busy for slot in lines.slots):
        return "a color waits for a slot while one has nothing to do"
    return unfinished_in_lanes(scheduler)


def staged_scene(
    play: Callable[[Scene], None], count: int = 1, **more: Any
) -> Callable[[Policy], None]:
    return scene(play, make=staged(count, **more), check=unfinished)


SCENES = {
    "two threads post, one slot": staged_scene(posts_to_slots),
    "two threads post, two slots": staged_scene(posts_to_slots, 2),
    "threads and slots": staged_scene(mixes),
    "cancel, one slot": staged_scene(cancels),
    "cancel, two slots": staged_scene(cancels, 2),
    "cancel futures": staged_scene(cancels_futures),
    "shutdown cancels": staged_scene(shuts_down),
    "posts while shutting down": staged_scene(posts_while_shutting_down),
    "a slot is lost": staged_scene(loses, doomed=1),
    "one of two slots is lost": staged_scene(loses, 2, doomed=2),
    "a bound color waits": staged_scene(bound, 2),
}


@pytest.mark.parametrize("name", SCENES)
def test_some_schedules(name: str) -> None:
    assert sample(SCENES[name], QUICK).schedules == 2 * len(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_many_schedules(name: str) -> None:
    assert sample(SCENES[name], MANY).schedules == 2 * len(MANY)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["threads and slots", "cancel, one slot"])
def test_all_schedules_that_depart_once(name: str) -> None:
    found = explore(SCENES[name], departures=1)
    assert found.exhaustive
    assert found.schedules > 50


# -- planted bugs -----------------------------------------------------------------------------


class GivesBackHere(Slots):
    """Gives a color back on whatever thread that is, which tells nobody of quiet."""

    def _give_back(self, color: Any) -> None:
        if color.release():
            self._scheduler.ready(color)


class ReleasesToo(Slots):
    """Hands a color over and gives it back: it has two owners."""

    def take(self, color: ColorQueue, handle: Handle) -> None:
        color._token.append(1)
        super().take(color, handle)


class HandsBackTwice(Slots):
    """Makes the color of an answer ready, and lets its slot have it too."""

    def _hand_back(self, batch: Any) -> None:
        super()._hand_back(batch)
        self._scheduler.ready(batch.color)


class PutsBackLast(Slots):
    """Puts the callback that was found at the end of the queue."""

    def take(self, color: ColorQueue, handle: Handle) -> None:
        color._queue.append(handle)
        self._enter(color)


class ForgetsTheNext(Slots):
    """Does not ask who is next when all of a color was cancelled."""

    def _run(self, slot: Slot, color: ColorQueue | None) -> None:
        if color is not None and not any(len(handle) > 2 for handle in list(color._queue)):
            self._give_back(color)
            return
        super()._run(slot, color)


class LeavesNothing(Lines):
    """A slot that has answered takes nothing of what waits."""

    def leave(self, slot: Slot, now: float) -> Any:
        slot.busy = False


PLANTED = {
    "gives back here": staged_scene(cancels, kind=GivesBackHere),
    "releases too": staged_scene(posts_to_slots, 2, kind=ReleasesToo),
    "hands back twice": staged_scene(posts_to_slots, 2, kind=HandsBackTwice),
    "puts back last": staged_scene(posts_to_slots, kind=PutsBackLast),
    "forgets the next": staged_scene(cancels, kind=ForgetsTheNext),
    "leaves nothing": staged_scene(posts_to_slots, lines=LeavesNothing),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bugs_are_found(name: str) -> None:
    # Of what two owners do to one queue a worker may tell, too.
    with pytest.raises((ScheduleError, IndexError)):
        sample(PLANTED[name], range(400))
