"""What a simulated run gave: how long it took, where the time went, and what was the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import asdict, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.simulation.lanes import Lane

FULL = 0.85
"""A resource that is busy for this share of the time is the limit."""

OVER_AND_OVER = 5
"""Steals a callback; a color that is stolen this often is stolen from thieves."""


@frozen(kw_only=True)
class Spent:
    """The seconds of all workers together, by what they did."""

    work: float
    """In callbacks' own code."""
    turns: float
    """In the scheduler's code around each callback and turn."""
    sharing: float
    """For memory that other threads write too, waiting for it included."""
    search: float
    """Looking over lanes, and stealing."""
    locked: float
    """With the scheduler's lock, or waiting for it."""
    sleep: float
    """Spinning before sleep, and waking others."""
    polling: float
    """At the descriptors."""
    idle: float
    """Asleep, or without a processor."""

    @classmethod
    def of(cls, lanes: Sequence[Lane], *, seconds: float) -> Spent:
        """The sums over all lanes of a run of so many seconds."""
        names = ("work", "turns", "sharing", "search", "locked", "sleep", "polling")
        sums = {name: sum(getattr(lane, name) for lane in lanes) for name in names}
        idle = max(0.0, len(lanes) * seconds - sum(sums.values()))
        return cls(**sums, idle=idle)

    def shares(self) -> dict[str, float]:
        """Each as a share of all."""
        parts = asdict(self)
        whole = sum(parts.values()) or 1.0
        return {name: part / whole for name, part in parts.items()}


@frozen(kw_only=True)
class Outcome:
    """One load on one number of workers (or slots)."""

    label: str
    workers: int
    callbacks: int
    seconds: float
    busy: Mapping[str, float]
    """For each resource of which there is one (or few), the share of the time it was in use."""
    spent: Spent | None = None
    steals: int = 0
    wakes: int = 0

    @property
    def rate(self) -> float:
        """Callbacks a second."""
        return self.callbacks / self.seconds

    def limit(self) -> str:
        """What would have to be more, or quicker, for the rate to rise.

        A single resource that is in use nearly all the time; else the workers themselves, if they
        are; else what they lose most of their time to.
        """
        name, share = max(self.busy.items(), key=lambda item: item[1])
        if name == "hottest color" and share >= FULL and self.workers > 1:
            return name  # whatever else goes wrong, nothing helps as long as that is so
        if self.steals > OVER_AND_OVER * self.callbacks:
            return "steals from thieves"
        if share >= FULL and name != "hottest color":
            return name
        idle = f"too little ready (most used: {name}, {share:.0%})"
        if self.spent is None:
            return idle
        shares = self.spent.shares()
        if shares["work"] + shares["turns"] >= FULL:
            return "workers"
        words = {
            "sharing": "shared memory",
            "search": "search over lanes",
            "locked": "scheduler's lock",
            "sleep": "waking and sleeping",
            "polling": "poller",
            "idle": idle,
        }
        return words[max(words, key=lambda word: shares[word])]
