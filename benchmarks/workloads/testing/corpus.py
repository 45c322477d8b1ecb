"""Searching the corpus: the bugs found, the alarms on fixed programs, and what can be proved."""

from __future__ import annotations

import time
import warnings
from typing import Any

from benchmarks.findings import schedule_number
from benchmarks.workloads.testing.specimens import specimens
from colorsched.testing import NoChoice, ScheduleFailed, explore
from colorsched.testing.verification import verify


def kinds() -> dict[str, Any]:
    """The kinds of bugs there are, and the names of each."""
    named: dict[str, list[str]] = {}
    for one in specimens():
        named.setdefault(one.kind, []).append(one.name)
    return {"kinds": named}


def search(
    *, kind: str, strategy: str, seeds: list[int], schedules: int, races: bool, shrink: bool
) -> dict[str, Any]:
    """Look for each bug of a kind, once with each of the seeds."""
    warnings.simplefilter("ignore", NoChoice)
    findings = []
    for one in specimens(kind=kind):
        for seed in seeds:
            found: dict[str, Any] = {"number": None}
            begin = time.perf_counter()
            try:
                explore(
                    one.buggy,
                    schedules=schedules,
                    seed=seed,
                    strategy=strategy,
                    races=races,
                    shrink=shrink,
                )
            except ScheduleFailed as failed:
                found = {
                    "number": schedule_number(str(failed)),
                    "switches": failed.switches if shrink else None,
                    "as": failed.failure.kind,
                    "expected": failed.failure.kind in {one.expects, *one.also},
                }
            seconds = time.perf_counter() - begin
            findings.append(
                {"name": one.name, "kind": kind, "seed": seed, "seconds": seconds, **found}
            )
    return {"findings": findings}


def twins(*, kind: str, seeds: int, schedules: int) -> dict[str, Any]:
    """Explore the fixed programs of a kind: whatever is found there is a false alarm."""
    warnings.simplefilter("ignore", NoChoice)
    alarms = []
    run = 0
    begin = time.perf_counter()
    for one in specimens(kind=kind):
        for seed in range(seeds):
            try:
                run += explore(one.fixed, schedules=schedules, seed=seed).schedules
            except ScheduleFailed as failed:
                alarms.append(f"{one.name}, seed {seed}: {failed.failure}")
    return {"count": run, "seconds": time.perf_counter() - begin, "alarms": alarms}


def proofs(*, budget: int) -> dict[str, Any]:
    """Verify the fixed programs that are small enough to be proved."""
    verdicts: list[dict[str, Any]] = []
    for one in specimens():
        if not one.small:
            continue
        begin = time.perf_counter()
        try:
            verdict = verify(one.fixed, budget=budget)
        except ScheduleFailed as failed:
            verdicts.append({"name": one.name, "result": f"fails: {failed.failure}"})
            continue
        verdicts.append(
            {
                "name": one.name,
                "result": verdict.result,
                "schedules": verdict.schedules,
                "classes": verdict.classes,
                "seconds": time.perf_counter() - begin,
            }
        )
    return {"verdicts": verdicts}
