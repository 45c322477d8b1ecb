"""Fairness on real threads: no color gets more turns than the bound while another one waits.

The workers are real threads, but one goes on at a time: each callback waits until the test lets its
worker go on, so what runs next is the test's choice, the most unfair one among them. Each callback
ends its turn, so that turns are counted exactly. The monitor is left out: to it every worker would
look stuck.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from colorsched import Runtime, current_color
from colorsched.core.handle import EndTurn
from colorsched.core.policy import fairness_bound
from colorsched.ports import Doors, here, start_thread
from colorsched.sources.poller import open_poller
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from colorsched import Color

BUSY = 4
"""Busy colors for each worker."""
PROBES = 6


class Nobody:
    """The thread of a monitor that never looks."""

    def join(self) -> None:
        """It has ended: it never began."""


def thread(target: Callable[[], None], name: str) -> Any:
    return Nobody() if "monitor" in name else start_thread(target, name)


@define
class Stop:
    """Where one worker stands: in which callback, until it may go on."""

    lane: int
    color: Color
    go: threading.Event = field(factory=threading.Event)


class Race:
    """Busy colors that never end, a probe now and then, and who may go on."""

    def __init__(self, rt: Runtime, workers: int) -> None:
        self.rt = rt
        self.workers = workers
        self.probe = rt.color("probe")
        self.standing: list[Stop] = []
        self.arrival = threading.Condition()
        self.over = False
        self.wanted = False
        self.turns: Counter[Color] | None = None
        """The turns of each color since the probe became ready, while it waits."""
        self.worst = 0
        self.probes = 0

    def stand(self, color: Color) -> None:
        stop = Stop(here.lane.index, color)
        with self.arrival:
            self.standing.append(stop)
            self.arrival.notify_all()
        assert stop.go.wait(PATIENCE_SECONDS)

    def busy(self) -> None:
        """A callback of a busy color."""
        color = current_color()
        assert color is not None
        if self.over:
            return
        if self.turns is not None:
            self.turns[color] += 1
            self.worst = max(self.worst, self.turns[color])
        self.stand(color)
        if self.wanted:
            self.wanted = False
            self.probe.post(self.ran)
            self.turns = Counter()
        color.post(self.busy)
        raise EndTurn

    def ran(self) -> None:
        """The probe's callback."""
        self.turns = None
        self.probes += 1
        if not self.over:
            self.stand(self.probe)

    def everybody(self) -> Sequence[Stop]:
        """Wait until each worker stands in a callback; return where."""
        with self.arrival:
            arrived = self.arrival.wait_for(
                lambda: len(self.standing) == self.workers, PATIENCE_SECONDS
            )
        assert arrived, f"only {self.standing} stand, of {self.workers}: {self.rt.stats()}"
        return sorted(self.standing, key=lambda stop: stop.lane)

    def let_go(self, stop: Stop) -> None:
        with self.arrival:
            self.standing.remove(stop)
        stop.go.set()

    def end(self) -> None:
        self.over = True
        for stop in self.everybody():
            self.let_go(stop)


def first(standing: Sequence[Stop], _home: int, _rng: random.Random) -> Stop:
    """Only one worker goes on, whatever the others have waiting."""
    return standing[0]


def last(standing: Sequence[Stop], _home: int, _rng: random.Random) -> Stop:
    return standing[-1]


def all_but_its_own(standing: Sequence[Stop], home: int, rng: random.Random) -> Stop:
    """The worker in whose lane the probe was put does not go on."""
    return rng.choice([stop for stop in standing if stop.lane != home] or list(standing))


def any_of_them(standing: Sequence[Stop], _home: int, rng: random.Random) -> Stop:
    return rng.choice(standing)


@pytest.mark.parametrize("choose", [first, last, all_but_its_own, any_of_them])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_color_gets_more_than_the_bound(
    workers: int, choose: Callable[[Sequence[Stop], int, random.Random], Stop]
) -> None:
    rng = random.Random(workers)
    bound = fairness_bound(workers)
    doors = Doors(poller=open_poller, thread=thread)
    with Runtime(workers, workers, doors=doors) as rt:
        race = Race(rt, workers)
        for n in range(BUSY * workers):
            rt.color(n).post(race.busy)
        home = 0
        try:
            for probe in range(PROBES):
                race.wanted = True
                steps = 0
                while race.probes == probe:
                    standing = race.everybody()
                    stop = choose(standing, home, rng)
                    if race.wanted:
                        home = stop.lane
                    race.let_go(stop)
                    race.everybody()
                    assert race.worst <= bound
                    steps += 1
                    assert steps <= bound * (BUSY * workers + 1), "the probe is never run"
        finally:
            race.end()
    assert race.probes == PROBES
    assert race.worst > 0
