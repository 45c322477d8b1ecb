"""Counters that cost the hot path an addition: each thread has its own, and a reader sums them."""

from __future__ import annotations

import threading
from typing import Any, Final

BUCKETS: Final = 32
"""Of the latency histogram: bucket n holds what took less than 2**n microseconds."""


class Tally:
    """What one thread counted. Only that thread writes it."""

    __slots__ = ("errors", "hits", "latency", "misses", "passes", "requests", "sent")

    def __init__(self) -> None:
        self.requests = 0
        self.hits = 0
        self.misses = 0
        self.passes = 0
        self.errors = 0
        self.sent = 0
        self.latency = [0] * BUCKETS


class _Mine(threading.local):
    tally: Tally

    def __init__(self, everyone: list[Tally]) -> None:
        self.tally = Tally()
        everyone.append(self.tally)  # atomic on every build


class Tallies:
    """The counters of all threads. `mine.tally` is the caller's; `total()` may lag a little.

    A thread that ends leaves its tally behind, as its figures still count; threads are few.
    """

    def __init__(self) -> None:
        self._everyone: list[Tally] = []
        self.mine: Final = _Mine(self._everyone)

    def total(self) -> dict[str, Any]:
        """The sums, and the latencies (seconds from a request's head to its answer's end)."""
        everyone = self._everyone.copy()
        latency = [sum(tally.latency[at] for tally in everyone) for at in range(BUCKETS)]
        return {
            "requests": sum(tally.requests for tally in everyone),
            "hits": sum(tally.hits for tally in everyone),
            "misses": sum(tally.misses for tally in everyone),
            "passes": sum(tally.passes for tally in everyone),
            "errors": sum(tally.errors for tally in everyone),
            "bytes_sent": sum(tally.sent for tally in everyone),
            "latency_seconds": {
                name: quantile(latency, share)
                for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
            },
        }


def quantile(histogram: list[int], share: float) -> float | None:
    """The upper bound in seconds of the bucket where `share` of all is reached; None if empty."""
    wanted = sum(histogram) * share
    if not wanted:
        return None
    seen = 0
    for bucket, count in enumerate(histogram):
        seen += count
        if seen >= wanted:
            return float(2**bucket) / 1e6
    return None
