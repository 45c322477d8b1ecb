"""Medians, ratios, Zipf keys and the parsing of wrk's output: the harness's own arithmetic."""

from __future__ import annotations

import itertools
import random
import re
import statistics
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

_LATENCY = re.compile(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s)\s*$", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_NON_2XX = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_SOCKET_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@frozen
class Spread:
    """What several runs of one thing measured: the middle, and how far the others lay from it."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of `values`.

        Raises:
            ValueError: if there is none.
        """
        if not values:
            raise ValueError("a spread needs at least one value; the run measured nothing")
        return cls(
            median=statistics.median(values), low=min(values), high=max(values), runs=len(values)
        )


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> Spread:
    """How many times `theirs` is `mine`, round by round.

    The two ran in turns, so the values of one round met the same machine: the ratio is
    taken inside the round, and the median over the rounds. With rounds missing on one side (a run
    that failed), the common ones count.

    Raises:
        ValueError: if no round has both, or one of theirs is not above zero.
    """
    pairs = list(zip(mine, theirs, strict=False))
    if any(divisor <= 0 for _, divisor in pairs):
        raise ValueError("a ratio needs figures above zero to compare with")
    return Spread.of([value / divisor for value, divisor in pairs])


def ratio_remark(mine: Sequence[float], theirs: Sequence[float]) -> str:
    """The extremes of the ratio, and the ratio of the two best runs.

    Neighbors slow a run, never speed it up: the best runs are nearest to a quiet machine.
    """
    spread = ratio(mine, theirs)
    return f"{spread.low:.2f}-{spread.high:.2f}, best runs {max(mine) / max(theirs):.2f}"


def zipf_indices(*, count: int, keys: int, exponent: float, seed: int) -> list[int]:
    """`count` numbers below `keys`; number k comes up in proportion to 1 / (k + 1) ** exponent.

    The same arguments give the same list on every interpreter, so that all peers see one load.
    """
    if keys < 1:
        raise ValueError(f"a load needs at least one key, not {keys}")
    weights = [1.0 / (rank + 1) ** exponent for rank in range(keys)]
    cumulative = list(itertools.accumulate(weights))
    return random.Random(seed).choices(range(keys), cum_weights=cumulative, k=count)


@frozen
class WrkResult:
    """One run of wrk: requests a second, latencies in milliseconds, and what went wrong."""

    rate: float
    p50: float
    p99: float
    errors: int


def parse_wrk(text: str) -> WrkResult:
    """Read the output of ``wrk --latency``.

    Raises:
        ValueError: if it holds no rate or no latencies, as when wrk could not connect.
    """
    rate = _RATE.search(text)
    latencies = {
        int(percent): float(value) * _MILLISECONDS[unit]
        for percent, value, unit in _LATENCY.findall(text)
    }
    if rate is None or not {50, 99} <= latencies.keys():
        raise ValueError(f"wrk printed no rate or no latencies: {text.strip()[-400:]!r}")
    refused = _NON_2XX.search(text)
    broken = _SOCKET_ERRORS.search(text)
    errors = int(refused.group(1)) if refused else 0
    if broken:
        errors += sum(int(part) for part in broken.groups())
    return WrkResult(rate=float(rate.group(1)), p50=latencies[50], p99=latencies[99], errors=errors)


def human_count(value: float) -> str:
    """A count in few digits: 512, 48.2 k, 1.31 M."""
    for limit, divisor, unit in ((1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= limit:
            scaled = value / divisor
            return f"{scaled:.2f}{unit}" if scaled < 10 else f"{scaled:.1f}{unit}"
    return f"{value:.0f}"


def human_bytes(value: float) -> str:
    """A size in few digits: 812 B, 4.1 KB, 20.0 MB, decimal units, signed."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if abs(value) >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f} B"
