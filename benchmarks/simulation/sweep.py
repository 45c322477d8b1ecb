"""Loads over many numbers of workers: where each stops scaling, and at what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from benchmarks.simulation.loads import Load, Source
from benchmarks.simulation.slots import SlotSimulation
from benchmarks.simulation.threads import Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.simulation.costs import Costs, SlotCosts
    from benchmarks.simulation.outcome import Outcome

MICROSECOND = 1e-6
WORTH = 0.5
"""More workers are worth it while this share of each one's time is gained."""


@frozen
class Curve:
    """One load on rising numbers of workers; the first number is one."""

    load: Load
    outcomes: Sequence[Outcome]

    def speed_up(self, outcome: Outcome) -> float:
        """How many times the rate of one worker."""
        return outcome.rate / self.outcomes[0].rate

    def efficiency(self, outcome: Outcome) -> float:
        """The speed-up as a share of the workers."""
        return self.speed_up(outcome) / outcome.workers

    def worth(self) -> int:
        """The most workers that are still worth it."""
        return max(out.workers for out in self.outcomes if self.efficiency(out) >= WORTH)


def loads(*, callbacks: int, posters: int) -> list[Load]:
    """The loads of the table; lengths of callbacks are in their labels."""
    distinct = Load(
        label="distinct keys", colors=callbacks, callbacks=callbacks, seconds=0.0, posters=posters
    )
    many = min(10_000, callbacks)
    hops = evolve(distinct, label="hops", colors=many, source=Source.HOPS, tokens=many // 2)
    chains = evolve(distinct, label="chains", colors=many // 5, source=Source.CHAINS)
    zipf = evolve(distinct, label="Zipf keys", colors=many, exponent=1.0)
    hot = evolve(distinct, label="a key of 5 %", colors=many, hot=0.05)
    bursts = evolve(distinct, label="bursts", colors=many, burst=1_000, pause=0.002)
    sockets = evolve(
        distinct, label="descriptors", colors=many, source=Source.DESCRIPTORS, think=0.001
    )
    lengths = (
        (distinct, (0, 5, 50, 200, 1_000)),
        (hops, (0, 5, 50, 200, 1_000)),
        (chains, (0, 5, 50)),
        (zipf, (50, 1_000)),
        (hot, (50,)),
        (bursts, (50,)),
        (sockets, (50, 1_000)),
    )
    return [
        evolve(load, label=f"{load.label}, {length:,} us", seconds=length * MICROSECOND)
        for load, some in lengths
        for length in some
    ]


def slot_loads(*, callbacks: int) -> list[Load]:
    """The loads of the slots' table. Each has one poster, or everything is there at the start."""
    distinct = Load(label="distinct keys", colors=callbacks, callbacks=callbacks, seconds=0.0)
    zipf = evolve(distinct, label="Zipf keys", colors=min(10_000, callbacks), exponent=1.0)
    few = evolve(distinct, label="500 colors", colors=500)
    before = evolve(few, label="500 colors, posted before", source=Source.CHAINS)
    return [
        evolve(load, label=f"{load.label}, {length:,} us", seconds=length * MICROSECOND)
        for load, lengths in (
            (distinct, (50, 200, 1_000, 10_000)),
            (few, (50, 1_000)),
            (before, (5, 50, 1_000)),
            (zipf, (50, 1_000)),
        )
        for length in lengths
    ]


def sweep(load: Load, costs: Costs, *, workers: Sequence[int], seed: int) -> Curve:
    """Worker threads, each with a processor of its own."""
    return Curve(
        load, [Simulation(load, costs, workers=count, seed=seed).run() for count in workers]
    )


def sweep_slots(load: Load, costs: SlotCosts, *, slots: Sequence[int], seed: int) -> Curve:
    """Slots, each with a processor of its own."""
    return Curve(
        load, [SlotSimulation(load, costs, slots=count, seed=seed).run() for count in slots]
    )
