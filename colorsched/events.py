"""The vocabulary of what a runtime reports about itself."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Stats:
    """What a runtime looks like at one moment; every field is a count.

    ``turns``, ``steals`` and ``parks`` only grow; the others are levels. The levels are read one
    after the other while workers go on, so they are exact only when the runtime is quiet.
    """

    workers: int
    """Worker threads alive, spares among them."""
    spares: int
    """Worker threads beyond the configured number, let in because others were stuck."""
    colors: int
    """Colors alive: with work, or with a handle that somebody holds."""
    ready: int
    """Colors that wait for a worker."""
    pending: int
    """Callbacks posted and not yet started, timers not included."""
    timers: int
    """Timers not yet due."""
    turns: int
    """Turns begun."""
    steals: int
    """Colors taken from another worker's ready queue."""
    parks: int
    """Times a worker found nothing to do and went to sleep or to poll."""
