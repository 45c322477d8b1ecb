"""The scheduler alone on a stage, with as many workers as a scene needs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field

from colorsched.core.queue import ColorQueue
from colorsched.core.scheduler import Lane, Scheduler
from colorsched.core.turn import run_turns
from colorsched.ports import here
from colorsched.testing.stage import Stage, StageParker, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.testing.stage import Actor, Policy

FOREVER = float("inf")


@define
class Bench:
    """A scheduler on a stage, its colors' callbacks, and what they did."""

    stage: Stage
    scheduler: Scheduler
    ran: list[str] = field(factory=list)
    over: bool = False
    """The workers are to end."""
    _running: set[ColorQueue] = field(factory=set)
    _parkers: list[StageParker] = field(factory=list)

    def color(self, key: str) -> ColorQueue:
        color: ColorQueue = self.scheduler.registry.get(key)
        return color

    def work(self, name: str) -> None:
        """The callback: takes a while, and fails if another one of its color runs meanwhile."""
        color = here.lane.color
        assert color not in self._running, f"{name} runs beside another one of {color}"
        self._running.add(color)
        self.stage.step(f"works on {name}")
        self.ran.append(name)
        self._running.remove(color)

    def add_lane(self, *, spare: bool = False) -> tuple[Lane, StageParker]:
        parker = StageParker(self.stage)
        self._parkers.append(parker)
        return self.scheduler.add_lane(parker.unpark, spare=spare), parker

    def worker(self) -> Actor:
        """Start what a worker thread does, without sources and monitor."""
        lane, parker = self.add_lane()
        return self.stage.start(partial(self.laps, lane, parker), f"worker {lane.index}")

    def laps(self, lane: Lane, parker: StageParker) -> None:
        scheduler = self.scheduler
        here.lane = lane
        while not self.over:
            if lane.ready or scheduler.steal(lane):
                self.turn(lane)
            elif scheduler.fall_asleep(lane, polls=False):
                parker.park(None)
                scheduler.wake_up(lane)
                if scheduler.sleepers and len(lane.ready) > 1:
                    scheduler.wake_one()
        here.lane = None
        scheduler.remove_lane(lane)

    def turn(self, lane: Lane) -> None:
        run_turns(lane, 1, lambda: self.stage.now, FOREVER)

    def end(self, *workers: Actor) -> None:
        """End the workers, wherever they sleep."""
        self.over = True
        for parker in self._parkers:
            parker.unpark()
        for worker in workers:
            worker.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many callbacks have run. Somebody must: nobody else wakes the workers."""
        self.stage.block(lambda: len(self.ran) == count, None, f"{count} callbacks to have run")

    def check_idle(self, *colors: ColorQueue) -> None:
        token: Any
        queue: Any
        for color in colors:
            token, queue = color._token, color._queue
            assert (token.peek(), queue.peek()) == (1, 0), f"{color} is not idle"


def bench(
    play: Callable[[Bench], None],
    *,
    kind: type[Scheduler] = Scheduler,
    color: type[ColorQueue] = ColorQueue,
) -> Callable[[Policy], None]:
    """Make a scenario for `explore`: ``play`` on a scheduler of a kind, with such colors."""

    def scenario(policy: Policy) -> None:
        stage = Stage(policy)
        failures: list[BaseException] = []

        def main() -> None:
            scheduler = kind(stage.doors(), color, failures.append)
            stage.unfinished = lambda: unfinished(scheduler)
            play(Bench(stage, scheduler))

        stage.run(main)
        if failures:
            raise failures[0]

    return scenario
