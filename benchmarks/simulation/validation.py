"""The model beside real runs on this machine: the same loads, predicted and measured."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from attrs import asdict, evolve, frozen

from benchmarks.arithmetic import Spread
from benchmarks.children import Case, take_turns
from benchmarks.simulation.loads import Load, Source
from benchmarks.simulation.threads import Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.children import Outcome
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings
    from benchmarks.simulation.calibration import Calibration

LONGEST = 100_000
"""Callbacks in a real run, at most."""


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
    asked = {
        f"{load.label}, {count}": (load, count) for load in loads(settings) for count in workers
    }
    cases = [
        Case(
            label,
            "modeled:run",
            {
                "load": {**asdict(load), "source": load.source.value},
                "iterations": round(load.seconds / calibration.iteration),
                "workers": count,
                "seed": seed,
            },
        )
        for label, (load, count) in asked.items()
    ]
    outcomes = take_turns(interpreter, settings.dependencies, cases, rounds=settings.rounds)
    checks = []
    for label, (load, count) in asked.items():
        outcome = outcomes[label]
        if outcome.absent is not None:
            raise RuntimeError(f"validation: {label} {outcome.absent}")
        model = Simulation(
            load,
            calibration.costs,
            workers=count,
            cores=cores,
            crowding=calibration.crowding,
            seed=seed,
        ).run()
        checks.append(
            Check(
                load=load,
                workers=count,
                predicted=model.rate,
                measured=Spread.of(outcome.rates),
            )
        )
    return checks, outcomes


def errors(checks: Sequence[Check]) -> tuple[float, float]:
    """How many times off the predictions are, either way: the median, and the worst."""
    off = [math.exp(abs(math.log(check.ratio))) for check in checks]
    return statistics.median(off), max(off)
