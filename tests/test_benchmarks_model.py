"""The model of the scheduler against what can be worked out by hand, and against itself."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from colorsched.core import policy
from colorsched.core import slots as core_slots

if TYPE_CHECKING:
    from benchmarks.simulation import (
        calibration,
        costs,
        engine,
        lanes,
        loads,
        outcome,
        slots,
        sweep,
        threads,
    )
else:
    # Last on the path: an installed colorsched must still win over the source tree.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    calibration, costs, engine, lanes, loads, outcome, slots, sweep, threads = (
        importlib.import_module(f"benchmarks.simulation.{name}")
        for name in (
            "calibration",
            "costs",
            "engine",
            "lanes",
            "loads",
            "outcome",
            "slots",
            "sweep",
            "threads",
        )
    )
    sys.path.pop()

Source = loads.Source
MICROSECOND = 1e-6
FREE = costs.Costs(
    lap=1e-8, seek=1e-9, steal=1e-9, lock=1e-9, unpark=1e-9, wake=1e-8, spin=1e-8, poll=1e-8
)
"""A scheduler that costs next to nothing: what is left is the order of colors."""
DEAR = costs.Costs(
    post=1e-6, ready=0.5e-6, post_inside=0.7e-6, turn=0.7e-6, callback=0.5e-6, lap=0.5e-6,
    look=0.06e-6, seek=0.05e-6, steal=0.2e-6, lock=0.5e-6, lock_look=0.03e-6, handoff=10e-6,
    doze=0.05e-6, unpark=8e-6, wake=30e-6, spin=5e-6, poll=3e-6, deliver=2e-6, sharing=0.3e-6,
    post_sharing=0.3e-6, line=0.1e-6,
)  # fmt: skip
LOAD = loads.Load(label="", colors=1_000, callbacks=10_000, seconds=50 * MICROSECOND)


def rate(load: loads.Load, workers: int, *, paid: costs.Costs = FREE) -> float:
    return threads.Simulation(load, paid, workers=workers).run().rate


def speed_up(load: loads.Load, workers: int, *, paid: costs.Costs = FREE) -> float:
    return rate(load, workers, paid=paid) / rate(load, 1, paid=paid)


@pytest.mark.parametrize("source", [Source.CHAINS, Source.POSTERS, Source.HOPS])
def test_one_color_gains_nothing_by_workers(source: loads.Source) -> None:
    load = evolve(LOAD, colors=1, source=source, tokens=1)
    assert speed_up(load, 16) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("workers", [2, 8, 64])
def test_equal_independent_colors_scale_with_the_workers(workers: int) -> None:
    load = evolve(LOAD, colors=10_000, source=Source.CHAINS)
    assert speed_up(load, workers) == pytest.approx(workers, rel=0.05)


@pytest.mark.parametrize("workers", [4, 64])
def test_the_hottest_key_bounds_the_speed_up(workers: int) -> None:
    load = evolve(LOAD, hot=0.1)
    found = speed_up(load, workers)
    assert found <= min(workers, 1 / 0.1) * 1.001
    if workers > 1 / 0.1:
        assert found == pytest.approx(1 / 0.1, rel=0.1)


def test_zipf_keys_scale_to_the_inverse_of_the_first_key_s_share() -> None:
    # Amdahl for colors: the first of K keys has the share 1 / (1 + 1/2 + ... + 1/K).
    load = evolve(LOAD, exponent=1.0, callbacks=50_000)
    keys = load.keys(1)
    most = max(keys.count(key) for key in range(3))
    found = speed_up(load, 256)
    assert found == pytest.approx(len(keys) / most, rel=0.02)
    assert found == pytest.approx(sum(1 / rank for rank in range(1, 1_001)), rel=0.1)
    assert threads.Simulation(load, FREE, workers=256).run().limit() == "hottest color"


def test_posters_bound_the_rate() -> None:
    paid = evolve(FREE, post=2 * MICROSECOND)
    load = evolve(LOAD, posters=2)
    assert rate(load, 256, paid=paid) == pytest.approx(2 / paid.post, rel=0.05)


def test_a_shared_cache_line_bounds_the_rate() -> None:
    paid = evolve(FREE, sharing=MICROSECOND, line=MICROSECOND)
    load = evolve(LOAD, colors=10_000, source=Source.CHAINS, seconds=5 * MICROSECOND)
    outcome = threads.Simulation(load, paid, workers=64).run()
    assert outcome.rate == pytest.approx(1 / paid.line, rel=0.05)
    assert outcome.limit() == "shared cache line"


def test_the_poller_bounds_the_rate() -> None:
    paid = evolve(FREE, deliver=10 * MICROSECOND)
    load = evolve(LOAD, source=Source.DESCRIPTORS, think=0.0001)
    outcome = threads.Simulation(load, paid, workers=32).run()
    assert outcome.rate <= 1 / paid.deliver
    assert outcome.limit() == "poller"


def test_with_a_gil_workers_gain_nothing() -> None:
    paid = evolve(DEAR, gil=True, sharing=0.0, post_sharing=0.0, switch=5e-6)
    assert speed_up(LOAD, 4, paid=paid) == pytest.approx(1.0, rel=0.02)
    assert threads.Simulation(LOAD, paid, workers=1).run().limit() == "GIL"


def test_more_threads_than_processors_share_them() -> None:
    load = evolve(LOAD, colors=10_000, source=Source.CHAINS)
    ran = threads.Simulation(load, FREE, workers=8, cores=2).run()
    assert ran.rate == pytest.approx(2 * rate(load, 1), rel=0.05)


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("workers", [1, 3, 32])
def test_every_callback_runs_once_and_the_same_way_each_time(
    source: loads.Source, workers: int
) -> None:
    load = evolve(LOAD, source=source, colors=200, tokens=50, callbacks=3_000, think=0.0005)
    first = threads.Simulation(load, DEAR, workers=workers, seed=5).run()
    assert first == threads.Simulation(load, DEAR, workers=workers, seed=5).run()
    assert first.callbacks == 3_000
    assert first.spent is not None
    assert first.spent.work == pytest.approx(3_000 * load.seconds)
    assert sum(first.spent.shares().values()) == pytest.approx(1.0)


def test_bursts_take_the_pauses_between_them_longer() -> None:
    quick = evolve(LOAD, seconds=0.0)
    paused = evolve(quick, burst=1_000, pause=0.01)
    ran = threads.Simulation(paused, DEAR, workers=4).run().seconds
    assert ran >= 9 * 0.01
    assert ran < threads.Simulation(quick, DEAR, workers=4).run().seconds + 10 * 0.01


def test_colors_that_thieves_take_from_each_other_are_seen_and_do_not_last_for_ever() -> None:
    load = evolve(LOAD, colors=5_000, callbacks=5_000, seconds=5 * MICROSECOND, posters=4)
    ran = threads.Simulation(load, DEAR, workers=64).run()
    assert ran.limit() == "steals from thieves"
    kept = threads.Simulation(load, DEAR, workers=64, guarded=True).run()
    assert kept.callbacks == 5_000
    assert kept.steals < ran.steals / 5


def test_a_storm_of_steals_is_cut_off_but_for_who_wants_its_end() -> None:
    load = evolve(LOAD, colors=5_000, callbacks=5_000, seconds=0.0, posters=4)
    cut, whole = (
        threads.Simulation(load, DEAR, workers=128, to_the_end=to_the_end).run()
        for to_the_end in (False, True)
    )
    assert cut.callbacks < whole.callbacks == 5_000
    assert cut.steals < whole.steals


def test_a_turn_is_as_long_as_the_real_one() -> None:
    assert lanes.callbacks_a_turn(0.0) == policy.CALLBACKS_PER_TURN
    assert lanes.callbacks_a_turn(policy.TURN_SECONDS) == 2  # the first look at the clock
    assert lanes.callbacks_a_turn(policy.TURN_SECONDS / 5) == 8


def test_the_narrowed_looks_decide_as_looks_at_every_lane() -> None:
    draw = random.Random(3)
    for count in (2, 5, 40):
        world = lanes.Lanes(engine.Engine(cores=1), FREE, workers=count, pending=[0] * 99, seed=1)
        for _ in range(500):
            lane = draw.choice(world.lanes)
            if draw.random() < 0.5:
                world.put(lane, draw.randrange(99))
            elif lane.ready:
                world.take(lane)
            if draw.random() < 0.6:
                everyone: Any = world.lanes
                own: Any = lane
                lap = policy.next_lap(own, everyone)
                helped = world.begin_lap(lane)
                assert lane.lap == lap
                assert set(map(id, helped)) == set(map(id, policy.lagging(own, everyone)))


def test_a_thief_looks_at_the_lanes_after_its_own_in_turn() -> None:
    world = lanes.Lanes(engine.Engine(cores=1), FREE, workers=4, pending=[0] * 9, seed=1)
    thief = world.lanes[2]
    assert world.next_victim(thief, 0) == 4  # none
    for color in range(5):
        world.put(world.lanes[1], color)
    assert world.next_victim(thief, 0) == 3
    assert world.steal(thief, 3) == policy.steal_count(5)
    assert list(thief.ready) == [0, 1, 2]


SLOT = costs.SlotCosts(
    post=MICROSECOND, send=5 * MICROSECOND, send_each=MICROSECOND, carry=6 * MICROSECOND,
    carry_each=MICROSECOND, hand_over=4 * MICROSECOND, settle=5 * MICROSECOND,
    settle_each=MICROSECOND, trip=10 * MICROSECOND,
)  # fmt: skip
BEFORE = evolve(LOAD, source=Source.CHAINS, colors=2_000, callbacks=20_000)


def test_slots_scale_until_the_parent_is_full() -> None:
    one, two, many = (slots.SlotSimulation(BEFORE, SLOT, slots=count).run() for count in (1, 2, 64))
    assert two.rate / one.rate == pytest.approx(2.0, rel=0.05)
    assert many.limit() == "parent"
    # Ten callbacks of a color make a batch. All that is done for it is done by the parent, which
    # has the GIL nearly all the time.
    each = (20 / 10 + 3) * MICROSECOND
    assert many.rate == pytest.approx(1 / each, rel=0.1)


@pytest.mark.parametrize("source", [Source.CHAINS, Source.POSTERS])
@pytest.mark.parametrize("seconds", [0.0, 50 * MICROSECOND, 0.02])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_slots_run_every_callback_once_and_the_same_way_each_time(
    source: loads.Source, seconds: float, count: int
) -> None:
    load = evolve(LOAD, source=source, seconds=seconds, colors=50, callbacks=2_000, posters=2)
    simulation = slots.SlotSimulation(load, SLOT, slots=count, seed=5)
    first = simulation.run()
    assert first == slots.SlotSimulation(load, SLOT, slots=count, seed=5).run()
    assert all(color.idle or not color.pending for color in simulation.colors)
    assert sum(color.ran for color in simulation.colors) == 2_000


def test_a_single_callback_takes_each_step_once() -> None:
    load = evolve(BEFORE, colors=1, callbacks=1)
    paid = evolve(SLOT, callback=2 * MICROSECOND)
    there = paid.hand_over + paid.send + paid.send_each + paid.carry / 4
    away = paid.trip + load.seconds + paid.callback
    back = paid.carry / 2 + paid.carry_each + paid.settle + paid.settle_each
    ran = slots.SlotSimulation(load, paid, slots=1).run()
    # A quarter of what carries it is done while it is away.
    assert ran.seconds == pytest.approx(there + away + back, rel=0.001)


def test_a_color_has_one_batch_under_way() -> None:
    load = evolve(BEFORE, colors=1)
    one, many = (slots.SlotSimulation(load, SLOT, slots=count).run() for count in (1, 16))
    assert many.rate == pytest.approx(one.rate)
    assert many.limit() == "hottest color"


def test_batches_grow_as_the_real_ones() -> None:
    # 16, 32, ... and then 512 callbacks.
    sizes: list[int] = []
    size = core_slots.BATCH_FIRST
    while sum(sizes) < 20_000:
        sizes.append(min(size, 20_000 - sum(sizes)))
        size = core_slots.next_size(size, sent=size, done=size)
    simulation = slots.SlotSimulation(evolve(BEFORE, colors=1, seconds=0.0), SLOT, slots=1)
    simulation.run()
    assert simulation.batches == len(sizes)


def test_a_batch_ends_with_the_callback_that_ends_too_late() -> None:
    assert slots.callbacks_a_batch(0.0) > core_slots.BATCH_MOST
    assert slots.callbacks_a_batch(core_slots.BATCH_SECONDS / 4.5) == 5
    assert slots.callbacks_a_batch(1.0) == 1


def test_posters_keep_slots_from_the_interpreter() -> None:
    # Who comes back from a read waits an interval for the GIL, as long as somebody posts.
    load = evolve(LOAD, colors=20_000, callbacks=20_000, seconds=0.0)
    soon, late = (
        slots.SlotSimulation(
            load, evolve(SLOT, post=20 * MICROSECOND, interval=interval), slots=1
        ).run()
        for interval in (0.0001, 0.005)
    )
    assert soon.seconds < late.seconds


@pytest.mark.parametrize(
    "dear", [evolve(SLOT, enter_look=MICROSECOND), evolve(SLOT, steal_look=MICROSECOND)]
)
def test_looking_at_other_slots_is_paid_by_the_parent(dear: costs.SlotCosts) -> None:
    # A few more colors than slots: all are busy, and most lines are empty.
    load = evolve(BEFORE, colors=100, seconds=0.001)
    paid, free = (slots.SlotSimulation(load, cost, slots=64).run() for cost in (dear, SLOT))
    assert paid.busy["parent"] > 1.2 * free.busy["parent"]


def test_slots_share_few_processors_with_the_parent() -> None:
    load = evolve(BEFORE, seconds=0.001)
    one, two, four = (
        slots.SlotSimulation(load, SLOT, slots=count, cores=2).run() for count in (1, 2, 4)
    )
    assert two.rate / one.rate == pytest.approx(2.0, rel=0.05)
    assert four.rate == pytest.approx(two.rate, rel=0.05)
    slow = slots.SlotSimulation(load, SLOT, slots=2, cores=2, crowding=1.5).run()
    assert slow.rate == pytest.approx(two.rate / 1.5, rel=0.05)


def test_slots_refuse_loads_that_they_do_not_model() -> None:
    with pytest.raises(ValueError, match="not hops"):
        slots.SlotSimulation(evolve(LOAD, source=Source.HOPS), SLOT, slots=1)


def test_a_thread_that_is_asked_hands_the_gil_over() -> None:
    world = engine.LockedEngine(interval=0.005, switch=0.0)
    seen: list[str] = []

    def thread(name: str) -> engine.Thread:
        for _ in range(3):
            seen.append(name)
            yield 0.004

    world.start(thread("a"))
    world.start(thread("b"))
    world.run()
    assert seen == ["a", "b", "a", "a", "b", "b"]
    assert world.now == pytest.approx(6 * 0.004)


def test_worth_it_is_up_to_half_of_each_worker() -> None:
    def out(workers: int, seconds: float) -> outcome.Outcome:
        return outcome.Outcome(label="", workers=workers, callbacks=8, seconds=seconds, busy={})

    curve = sweep.Curve(LOAD, [out(1, 8.0), out(4, 4.0), out(16, 3.0)])
    assert curve.worth() == 4
    assert curve.speed_up(curve.outcomes[1]) == 2.0


class Told(calibration.Measured):
    """What the measurements would say on a machine whose costs are known."""

    def __init__(self, answers: dict[tuple[str, str], float]) -> None:
        self._told = answers

    def value(self, label: str, name: str) -> float:
        return self._told.get((label, name), 0.0)

    def each(self, label: str, name: str = "seconds") -> float:
        return self.value(label, name)


def test_the_calibration_finds_the_costs_that_made_the_measurements() -> None:
    known = {
        ("few colors", "seconds"): 0.5 + 0.64 / 64,
        ("many colors", "seconds"): 0.5 + 0.64,
        ("few colors", "posting"): 1.0,
        ("many colors", "posting"): 1.5,
        ("few colors, more posters", "posting"): 1.0 * 1.1 + 0.2,
        ("chains", "seconds"): 0.5 + 0.64 / 64 + 0.7,
        ("chains, more workers", "seconds"): ((0.5 + 0.64 / 64 + 0.7) * 1.1 + 0.3) / 2,
        ("a piece alone", "seconds"): 2.0,
        ("a piece of two", "seconds"): 2.2,
        ("plain work", "seconds"): 2.0,
        ("wakes", "post"): 9.0,
        ("wakes", "wake"): 39.0,
    }
    found = calibration.costs_of(Told(known), gil=False, threads=2)
    assert found.crowding == pytest.approx(1.1)
    paid = found.costs
    assert [paid.turn, paid.callback, paid.post_inside] == pytest.approx([0.64, 0.5, 0.7])
    assert [paid.post, paid.ready, paid.post_sharing] == pytest.approx([1.0, 0.5, 0.2])
    assert [paid.sharing, paid.unpark, paid.wake] == pytest.approx([0.3, 7.5, 30.0])


def test_the_calibration_finds_the_costs_of_slots() -> None:
    full = calibration.BATCH
    single, batch = "single batches", "full batches"
    many, few = "slots, many colors", "slots, few colors"
    known = {
        # In the runtime: 20 and 0.5 for a batch and a callback in the worker, 30 and 2 in the lane.
        (many, "worker"): 20.5, (many, "lane"): 32.0, (many, "posting"): 2.5,
        (few, "worker"): 20 / 100 + 0.5, (few, "lane"): 30 / 100 + 2.0, (few, "posting"): 2.0,
        (few, "batches"): 10.0, (few, "count"): 1_000.0,
        # On the way: 4 and 1 to send, 11 and 0.25 more for the rest; 15 away, and 1 a callback.
        (single, "there"): 5.0, (single, "all"): 16.25, (single, "seconds"): 16.25 + 16.0,
        (batch, "there"): 4.0 + full, (batch, "all"): 15 + 1.25 * full,
        (batch, "seconds"): 15 + 1.25 * full + 15 + full,
        ("looks", "enter"): 0.25, ("looks", "steal"): 0.75,
    }  # fmt: skip
    costs_here = costs.Costs(gil=True, switch=6.0, unpark=2.0, wake=7.0, spin=60.0)
    found = calibration.slot_costs_of(Told(known), costs_here)
    assert [found.post, found.ready] == pytest.approx([2.0, 0.5])
    assert [found.hand_over, found.settle, found.settle_each] == pytest.approx([10.0, 10.0, 0.5])
    assert [found.carry, found.carry_each] == pytest.approx([11.0, 0.25])
    assert [found.send, found.send_each] == pytest.approx([30 - 11.0, 2 - 0.25])
    assert [found.trip, found.callback] == pytest.approx([15.0, 1.0])
    assert [found.enter_look, found.steal_look] == [0.25, 0.75]
    assert [found.switch, found.unpark, found.wake, found.relax] == [6.0, 2.0, 7.0, 60.0]
