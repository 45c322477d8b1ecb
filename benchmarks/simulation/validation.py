"""The model beside real runs on this machine: the same loads, predicted and measured."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from attrs import asdict, evolve, frozen

from benchmarks.arithmetic import Spread
from benchmarks.children import Case, take_turns
from benchmarks.simulation.loads import Load, Source
from benchmarks.simulation.slots import SlotSimulation
from benchmarks.simulation.threads import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.children import Outcome
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings
    from benchmarks.simulation.calibration import Calibration

LONGEST = 100_000
"""Callbacks in a real run, at most ..."""

MOST_BATCHES = 10_000
"""... and where each may be a batch."""


@frozen(kw_only=True)
class Check:
    """One load, predicted and measured."""

    load: Load
    workers: int
    predicted: float
    measured: Spread

    @property
    def ratio(self) -> float:
        """The prediction, as so many times the best run: costs are those of a quiet machine too."""
        return self.predicted / self.measured.high


def loads(settings: Settings) -> list[Load]:
    """What is run: not what was measured for the calibration."""
    budget = settings.pick(full=600_000, quick=200_000)  # microseconds of work
    plain = Load(label="1,000 colors", colors=1_000, callbacks=1, seconds=0.0)
    shapes = [
        plain,
        evolve(plain, label="10,000 Zipf keys", colors=10_000, exponent=1.0),
        evolve(plain, label="a key of 20 %", hot=0.2),
        evolve(plain, label="hops", source=Source.HOPS, tokens=500),
    ]
    if not settings.quick:
        shapes.insert(1, evolve(plain, label="1,000 colors, 2 posters", posters=2))
    lengths = (0, 50) if settings.quick else (0, 5, 50, 200)
    return [
        evolve(
            shape,
            label=f"{shape.label}, {length} us",
            callbacks=min(LONGEST, budget // max(1, length)),
            seconds=length * 1e-6,
        )
        for shape in shapes
        for length in lengths
    ]


def slot_loads(settings: Settings) -> list[Load]:
    """What is run in slots."""
    budget = settings.pick(full=600_000, quick=100_000)  # microseconds of work
    lengths = (0, 50) if settings.quick else (0, 50, 200, 1_000)
    found = []
    for length in lengths:
        count = min(MOST_BATCHES, budget // max(1, length))
        plain = Load(label="", colors=count, callbacks=count, seconds=length * 1e-6)
        found += [
            evolve(plain, label=f"distinct keys, {length} us"),
            evolve(plain, label=f"1,000 Zipf keys, {length} us", colors=1_000, exponent=1.0),
            evolve(
                plain,
                label=f"8 colors, {length} us",
                colors=8,
                callbacks=min(LONGEST, budget // max(1, length)),
            ),
        ]
    return found


def validate(
    settings: Settings,
    interpreter: Interpreter,
    calibration: Calibration,
    *,
    workers: Sequence[int],
    cores: int,
    seed: int,
) -> tuple[list[Check], dict[str, Outcome]]:
    """Run every load for real, in turns, and in the model with this machine's processors.

    Raises:
        RuntimeError: if a real run failed.
    """

    def predict(load: Load, count: int) -> float:
        model = Simulation(
            load,
            calibration.costs,
            workers=count,
            cores=cores,
            crowding=calibration.crowding,
            seed=seed,
        )
        return model.run().rate

    asked = [(load, count) for load in loads(settings) for count in workers]
    real = ("run", "workers")
    return _compare(settings, interpreter, calibration, asked, predict, real=real, seed=seed)


def validate_slots(
    settings: Settings,
    interpreter: Interpreter,
    calibration: Calibration,
    *,
    slots: Sequence[int],
    cores: int,
    seed: int,
) -> tuple[list[Check], dict[str, Outcome]]:
    """The same for slots that are processes; the parent needs a processor, too.

    Raises:
        ValueError: the calibration knows no slots.
        RuntimeError: if a real run failed.
    """
    costs = calibration.slots
    if costs is None:
        raise ValueError("slots are modeled with a parent that has the GIL")

    def predict(load: Load, count: int) -> float:
        model = SlotSimulation(
            load, costs, slots=count, cores=cores, crowding=calibration.crowding, seed=seed
        )
        return model.run().rate

    asked = [(load, count) for load in slot_loads(settings) for count in slots]
    real = ("run_slots", "slots")
    return _compare(settings, interpreter, calibration, asked, predict, real=real, seed=seed)


def _compare(
    settings: Settings,
    interpreter: Interpreter,
    calibration: Calibration,
    asked: Sequence[tuple[Load, int]],
    predict: Callable[[Load, int], float],
    *,
    real: tuple[str, str],
    seed: int,
) -> tuple[list[Check], dict[str, Outcome]]:
    """``real``: the workload, and what it calls the number of workers."""
    workload, name = real
    cases = [
        Case(
            f"{load.label}, {count}",
            f"modeled:{workload}",
            {
                "load": {**asdict(load), "source": load.source.value},
                "iterations": round(load.seconds / calibration.iteration),
                name: count,
                "seed": seed,
            },
        )
        for load, count in asked
    ]
    outcomes = take_turns(interpreter, settings.dependencies, cases, rounds=settings.rounds)
    checks = []
    for case, (load, count) in zip(cases, asked, strict=True):
        outcome = outcomes[case.label]
        if outcome.absent is not None:
            raise RuntimeError(f"validation: {case.label} {outcome.absent}")
        checks.append(
            Check(
                load=load,
                workers=count,
                predicted=predict(load, count),
                measured=Spread.of(outcome.rates),
            )
        )
    return checks, outcomes


def errors(checks: Sequence[Check]) -> tuple[float, float]:
    """How many times off the predictions are, either way: the median, and the worst."""
    off = [math.exp(abs(math.log(check.ratio))) for check in checks]
    return statistics.median(off), max(off)
