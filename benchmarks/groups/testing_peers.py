"""The corpus under simloom and frontrun, beside the kit, on the programs that fit their models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.findings import HUNT_HEADS, Finding, Hunt
from benchmarks.groups.report import Report
from benchmarks.groups.testing_corpus import (
    NO_CORPUS,
    SCHEDULES,
    SECONDS,
    ask,
    kinds_of_bugs,
    search,
)
from benchmarks.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.settings import Settings


def run(settings: Settings) -> Report:
    """Compare with each peer that is installed."""
    report = Report(
        name="testing-peers", title=f"Testing: simloom and frontrun ({settings.here.label})"
    )
    kinds = kinds_of_bugs(settings)
    if not kinds:
        report.add(NO_CORPUS)
        return report
    seeds = settings.pick(full=3, quick=1)
    mine, _ = search(settings, kinds, seeds=seeds, strategy="portfolio")
    _compare(
        settings,
        report,
        mine,
        name="simloom",
        model="asyncio: a color is a queue with a task; it sees no races, only wrong outcomes",
        asked={
            "simloom, random walk": [
                {"kind": kind, "scheduler": None, "seeds": seeds} for kind in kinds
            ],
            "simloom, PCT": [
                {"kind": kind, "scheduler": "pct:auto", "seeds": seeds} for kind in kinds
            ],
        },
    )
    _compare(
        settings,
        report,
        mine,
        name="frontrun",
        model="threads: a color is a queue with a thread; operations interleave, races are errors",
        asked={"frontrun, DPOR": [{"name": bug} for bugs in kinds.values() for bug in bugs]},
    )
    return report


def _compare(
    settings: Settings,
    report: Report,
    mine: Sequence[Finding],
    *,
    name: str,
    model: str,
    asked: dict[str, list[dict[str, Any]]],
) -> None:
    rows: list[list[str]] = []
    unfit: dict[str, str] = {}
    fitting: set[str] = set()
    remarks = []
    for label, cases in asked.items():
        theirs: list[Finding] = []
        for options in cases:
            answer = ask(
                settings,
                name,
                {"schedules": SCHEDULES, "seconds": SECONDS, **options},
                module="peers",
            )
            if "absent" in answer:
                remarks.append(f"{label}, {options}: {answer['absent']}")
                if "not installed" in answer["absent"]:
                    report.add(f"{name} is absent: {answer['absent']}")
                    return
                continue
            theirs += [Finding.read(found) for found in answer["findings"]]
            unfit.update(answer["unfit"])
        report.data[label] = [[one.name, one.seed, one.number, one.seconds] for one in theirs]
        if theirs:
            rows.append([label, *Hunt.of(theirs).cells()])
            remarks.append(f"{label} misses: {', '.join(Hunt.of(theirs).missed) or 'none'}")
            fitting |= {one.name for one in theirs}
    same = [one for one in mine if one.name in fitting]
    if not same:
        report.add(f"no program fits {name}", *remarks)
        return
    report.data[f"{name}, unfit"] = unfit
    report.add(
        f"beside {name}, up to {SCHEDULES:,} schedules and {SECONDS:g} s for each bug, "
        "on the programs that fit:",
        model,
        table(["", *HUNT_HEADS], [["colorsched, portfolio", *Hunt.of(same).cells()], *rows]),
        *remarks,
        f"do not fit: {len(unfit)}"
        + "".join(f"; {bugs}: {', '.join(names)}" for bugs, names in _by_reason(unfit).items()),
    )


def _by_reason(unfit: dict[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in sorted(unfit.items()):
        reasons.setdefault(reason, []).append(name)
    return reasons
