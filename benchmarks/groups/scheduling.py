"""Scheduling with one worker on the GIL build: chains, bursts, and bursts over many keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.children import Case, take_turns
from benchmarks.groups.report import Report, compare, verdict

if TYPE_CHECKING:
    from benchmarks.settings import Settings

CHAINS = 100
KEYS = 10_000
EXPONENT = 1.0
STRIPES = (2, 8)
MINE = "colorsched"
INSIDE = "colorsched, inside"


def run(settings: Settings) -> Report:
    """Measure and compare; empty callbacks, every feature on."""
    report = Report(
        name="scheduling", title=f"Scheduling, one worker, empty callbacks ({settings.here.label})"
    )
    _chains(settings, report)
    _burst(settings, report)
    _keyed(settings, report)
    return report


def _chains(settings: Settings, report: Report) -> None:
    size = {"callbacks": settings.pick(full=1_000_000, quick=300_000), "chains": CHAINS}
    outcomes = take_turns(
        settings.here,
        settings.dependencies,
        [
            Case("loop.call_soon", "chains:call_soon", size),
            Case(MINE, "chains:colorsched", size),
            Case("uvloop (compiled)", "chains:uvloop", size),
        ],
        rounds=settings.rounds,
    )
    report.keep("chains", outcomes)
    report.add(
        f"{CHAINS} chains of {size['callbacks'] // CHAINS:,}: a callback posts its color's next",
        compare(outcomes, mine=[MINE]),
    )
    report.verdicts.append(
        verdict(outcomes, "chains / call_soon", MINE, "loop.call_soon", 1.25, remark="aim 2 x")
    )


def _burst(settings: Settings, report: Report) -> None:
    size = {"callbacks": 200_000}
    outcomes = take_turns(
        settings.here,
        settings.dependencies,
        [
            Case("loop.call_soon", "bursts:call_soon", size),
            Case(MINE, "bursts:colorsched", size),
            Case(INSIDE, "bursts:colorsched_inside", size),
            Case("call_soon_threadsafe", "bursts:call_soon_threadsafe", size),
            Case("one-thread executor", "bursts:thread_pool", size),
            Case("uvloop (compiled)", "bursts:uvloop", size),
        ],
        rounds=settings.rounds,
    )
    report.keep("burst", outcomes)
    report.add(
        "a burst of 200,000 into one order; colorsched's is posted from another thread,",
        "\"inside\" from a callback, as call_soon's is from the loop's own thread",
        compare(outcomes, mine=[MINE, INSIDE]),
    )
    report.verdicts.append(
        verdict(outcomes, "burst from a thread / call_soon", MINE, "loop.call_soon", 1.0)
    )


def _keyed(settings: Settings, report: Report) -> None:
    size = {"items": 200_000, "keys": KEYS, "exponent": EXPONENT}
    striped = {f"{count} striped executors": count for count in STRIPES}
    outcomes = take_turns(
        settings.here,
        settings.dependencies,
        [
            Case("queue and task per key", "keyed:queue_per_key", size),
            Case(MINE, "keyed:colorsched", size),
            Case(INSIDE, "keyed:colorsched_inside", size),
            Case("queue per key, bare items", "keyed:queue_per_key_bare", size),
            Case("lock per key", "keyed:lock_per_key", size),
            *(
                Case(label, "keyed:striped_executors", {**size, "stripes": count})
                for label, count in striped.items()
            ),
            Case("bocpy", "keyed:bocpy", size),
        ],
        rounds=settings.rounds,
    )
    report.keep("keyed", outcomes)
    report.add(
        f"a burst of 200,000 over {KEYS:,} Zipf keys (exponent {EXPONENT:g});",
        "each item looks its key up; posted from another thread, and inside: from a callback,",
        "as the asyncio peers' are",
        compare(outcomes, mine=[MINE, INSIDE]),
    )
    for mine, where in ((MINE, "from a thread"), (INSIDE, "inside")):
        report.verdicts.append(
            verdict(
                outcomes, f"Zipf burst {where} / queue per key", mine, "queue and task per key", 1.6
            )
        )
    report.verdicts.append(
        verdict(outcomes, "Zipf burst / lock per key", MINE, "lock per key", 8.0)
    )
    for label in striped:
        report.verdicts.append(verdict(outcomes, f"Zipf burst / {label}", MINE, label, 8.0))
    report.verdicts.append(verdict(outcomes, "Zipf burst / bocpy", MINE, "bocpy", 2.5))
