"""Fairness: while a color is ready, no other one takes more turns than the published bound.

Worker threads are played by the one thread of the test: whenever a worker looks at the clock or
runs a callback, it may be another worker's time, or somebody may post from outside. So a turn can
be as long, and other workers as fast, as the test says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.core.policy import (
    LAPS_AHEAD,
    STEAL_MOST,
    fairness_bound,
    spares_wanted,
    steal_count,
)
from colorsched.core.queue import ColorQueue
from colorsched.core.scheduler import Scheduler
from colorsched.executors.threads import Workers
from colorsched.ports import Doors, here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from colorsched.core.scheduler import Lane


class NoSources:
    """A hub with no descriptor and no timer."""

    def look(self) -> Sequence[tuple[int, int]]:
        return ()

    def deliver(self, _events: object) -> bool:
        return False


class Play:
    """Workers without threads, and a count of the turns that colors take while others wait."""

    def __init__(self, workers: int) -> None:
        doors = Doors(poller=_none, clock=self._clock)
        self.scheduler = Scheduler(doors, ColorQueue, _raise)
        hub: Any = NoSources()
        self._workers = Workers(
            doors, self.scheduler, hub, count=workers, most=workers, rested=_none, failed=_raise,
            began=_none,
        )  # fmt: skip
        self.lanes = [self.scheduler.add_lane(_none, spare=False) for _ in range(workers)]
        self.between: Callable[[], None] = _none
        """What happens whenever a worker looks at the clock."""
        self.worst = 0
        """The most turns that one color took while another one waited."""
        self.turns: Counter[object] = Counter()
        self._now = 0.0
        self._active: set[Lane] = set()
        self._last: dict[ColorQueue, tuple[Lane, int]] = {}
        self._waits: defaultdict[ColorQueue, Counter[ColorQueue]] = defaultdict(Counter)
        self._colors: dict[object, ColorQueue] = {}

    def _clock(self) -> float:
        self._now += 1.0  # so that each turn is of one callback, and every poll is due
        between, self.between = self.between, _none
        try:
            between()
        finally:
            if self.between is _none:
                self.between = between
        return self._now

    def color(self, key: object) -> ColorQueue:
        """A color, kept."""
        color: ColorQueue = self.scheduler.registry.get(key)
        self._colors[key] = color
        return color

    @contextmanager
    def _as(self, lane: Lane | None) -> Iterator[None]:
        before, here.lane = here.lane, lane
        try:
            yield
        finally:
            here.lane = before

    def post(self, key: object, then: Callable[[], object] = lambda: None) -> None:
        """Post to a color from outside."""
        with self._as(None):
            self.color(key).post(self._run, then)

    def again(self) -> None:
        """Post to the color that runs, from inside."""
        if here.lane is not None and here.lane.color is not None:
            here.lane.color.post(self._run, _none)

    def lap(self, number: int) -> bool:
        """Let a worker that is not in a turn run a lap. False: it is, or found nothing."""
        lane = self.lanes[number]
        if lane in self._active:
            return False
        self._active.add(lane)
        try:
            with self._as(lane):
                if lane.stuck:
                    self.scheduler.count_in(lane)
                if not lane.ready and not self.scheduler.steal(lane):
                    return False
                self._workers._lap(lane)
                return True
        finally:
            self._active.discard(lane)

    def _run(self, then: Callable[[], object]) -> None:
        lane = here.lane
        color = lane.color
        if self._last.get(color) != (lane, lane.turns):
            self._last[color] = (lane, lane.turns)
            self._count(color)
        then()

    def _count(self, color: ColorQueue) -> None:
        self.turns[color.key] += 1
        self._waits.pop(color, None)
        for other in self._colors.values():
            if any(other in lane.ready for lane in self.lanes):
                self._waits[other][color] += 1
                self.worst = max(self.worst, self._waits[other][color])
            else:
                self._waits.pop(other, None)


def _none(*_args: object) -> Any:
    return None


def _raise(error: BaseException) -> None:
    raise error


def test_one_worker_takes_turns() -> None:
    play = Play(1)

    def forever() -> None:
        play.again()
        here.lane.color._queue[-1][1] = (forever,)

    for key in range(3):
        play.post(key, forever)
    for _ in range(50):
        play.lap(0)
    assert set(play.turns.values()) == {50}
    assert play.worst <= 2


def test_a_worker_that_is_stuck_does_not_make_others_serve_its_colors_only() -> None:
    """Who is ahead helps one who lags, to a color of whom somebody posts again and again."""
    play = Play(2)
    posts = iter(range(2000))

    def post_more() -> None:
        if play.color("helped").is_idle() and next(posts, None) is not None:
            play.post("helped")

    def block() -> None:
        for _ in range(LAPS_AHEAD + 5):
            play.post("own")
            play.lap(0)
        play.between = post_more
        play.post("own")
        play.post("helped")
        for _ in range(10):
            play.lap(0)
        play.between = _none

    for key in ("blocks", "helped"):
        play.color(key).home = 1
    play.color("own").home = 0
    play.post("blocks", block)
    play.lap(1)
    assert play.turns["helped"] > 0
    assert play.worst <= fairness_bound(2)


def test_a_worker_that_fell_behind_may_not_catch_up_at_the_cost_of_others() -> None:
    """One worker runs many laps while the other is in one turn; then the other way round."""
    play = Play(2)
    for key, home in (("slow", 1), ("quick", 0), ("waits", 0)):
        play.color(key).home = home

    def slow() -> None:
        for _ in range(500):
            play.post("quick")
            play.lap(0)

    def quick() -> None:
        play.post("waits")
        for _ in range(500):
            play.post("slow")
            play.lap(1)

    play.post("slow", slow)
    play.lap(1)
    play.post("quick", quick)
    play.lap(0)
    play.lap(0)
    assert play.turns["slow"] > LAPS_AHEAD
    assert play.turns["waits"] == 1
    assert play.worst <= fairness_bound(2)


COMMANDS = st.one_of(
    st.tuples(st.just("post"), st.integers(0, 4)),
    st.tuples(st.just("lap"), st.integers(0, 2)),
    st.tuples(st.just("lap"), st.integers(0, 2)),
    st.tuples(st.just("again"), st.just(0)),
    st.tuples(st.just("stuck"), st.integers(0, 2)),
    st.tuples(st.just("back"), st.just(0)),
)


def follow(play: Play, commands: Iterable[tuple[str, int]]) -> None:
    """Do what the commands say, in turns and between them, until they are used up."""
    rest = iter(commands)

    def go_on() -> None:
        for what, number in rest:
            if what == "back":
                return
            if what == "post":
                play.post(number, go_on)
            elif what == "again":
                play.again()
            elif what == "lap":
                play.lap(number % len(play.lanes))
            else:
                lane = play.lanes[number % len(play.lanes)]
                play.scheduler.count_out(lane, lane.turns)

    play.between = go_on
    while True:
        go_on()
        command = next(rest, None)
        if command is None:
            break
        rest = iter([command, *rest])
    play.between = _none


@given(st.integers(1, 3), st.lists(COMMANDS, max_size=300))
def test_no_color_takes_more_turns_than_the_bound_while_another_waits(
    workers: int, commands: list[tuple[str, int]]
) -> None:
    play = Play(workers)
    follow(play, commands)
    assert play.worst <= fairness_bound(workers)


@given(st.integers(2, 3), st.integers(0, 2**32), st.integers(200, 3000))
def test_nor_in_long_runs(workers: int, seed: int, length: int) -> None:
    """Posts and laps in bulk, some workers much faster than others."""
    rolls = Random(seed)
    favored = rolls.randrange(workers)
    key = rolls.randrange(5)

    def command() -> tuple[str, int]:
        what = rolls.choice(("post", "lap", "lap", "lap", "back", "again", "stuck"))
        if rolls.random() < 0.8:
            return what, favored if what == "lap" else key
        return what, rolls.randrange(5)

    play = Play(workers)
    follow(play, [command() for _ in range(length)])
    assert play.worst <= fairness_bound(workers)


# -- the small decisions ----------------------------------------------------------------------


@given(st.integers(1, 1000))
def test_a_thief_takes_half_and_at_least_one(waiting: int) -> None:
    assert steal_count(waiting) == min(-(-waiting // 2), STEAL_MOST)
    assert steal_count(waiting) >= 1


@pytest.mark.parametrize(
    ("running", "stuck", "ready", "most", "wanted"),
    [
        (1, 3, 100, 32, 0),  # somebody will get to them
        (0, 1, 0, 32, 1),  # nobody looks at descriptors
        (0, 2, 1, 32, 1),  # no more than wait
        (0, 4, 100, 32, 4),  # as many as are stuck
        (0, 30, 100, 32, 2),  # as many as are allowed
        (0, 32, 100, 32, 0),
    ],
)
def test_spares(running: int, stuck: int, ready: int, most: int, wanted: int) -> None:
    assert spares_wanted(running=running, stuck=stuck, ready=ready, most=most) == wanted


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_spares_never_exceed_what_is_allowed(
    running: int, stuck: int, ready: int, most: int
) -> None:
    wanted = spares_wanted(running=running, stuck=stuck, ready=ready, most=most)
    assert wanted >= 0
    assert wanted == 0 or stuck + wanted <= most
