"""The corpus of small buggy programs: how many are found, how soon, how small; false alarms."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from benchmarks.children import Case, run_child
from benchmarks.findings import HUNT_HEADS, READINGS, Finding, Hunt, curve
from benchmarks.groups.report import Report
from benchmarks.tables import Verdict, bar, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.settings import Settings

SCHEDULES = 1000
"""How many each search may run."""

SECONDS = 10.0
"""How long it may take."""

SEEDS = 5
"""So many in one child."""

NO_CORPUS = "the corpus was not found: its programs stand in tests/corpus"

ALONE = ("portfolio", "random", "pct", "deviations")


def run(settings: Settings) -> Report:
    """Search the corpus with default settings, its fixed twins, and with each strategy alone."""
    report = Report(name="testing", title=f"Testing: the bugs found ({settings.here.label})")
    kinds = kinds_of_bugs(settings)
    if not kinds:
        report.add(NO_CORPUS)
        return report
    seeds = settings.pick(full=20, quick=3)
    _defaults(settings, report, kinds, seeds)
    _twins(settings, report, kinds)
    _strategies(settings, report, kinds, seeds)
    return report


def kinds_of_bugs(settings: Settings) -> dict[str, list[str]]:
    """The names of the corpus' bugs by their kinds; none without a corpus."""
    kinds: dict[str, list[str]] = ask(settings, "kinds", {}).get("kinds", {})
    return dict(sorted(kinds.items()))


def ask(
    settings: Settings, function: str, arguments: Mapping[str, Any], *, module: str = "corpus"
) -> dict[str, Any]:
    """Have a function of a workload's module run in a fresh process."""
    case = Case(function, f"testing.{module}:{function}", arguments)
    return run_child(settings.here, settings.dependencies, case)


def search(
    settings: Settings, kinds: Iterable[str], *, seeds: int, strategy: str, **options: bool
) -> tuple[list[Finding], list[str]]:
    """Search for all bugs, a child for each kind and some seeds; and what went wrong, in words."""
    findings: list[Finding] = []
    remarks = []
    parts = [list(range(seeds))[first : first + SEEDS] for first in range(0, seeds, SEEDS)]
    for kind, part in product(kinds, parts):
        answer = ask(
            settings,
            "search",
            {
                "kind": kind,
                "strategy": strategy,
                "seeds": part,
                "schedules": SCHEDULES,
                "races": True,
                "shrink": False,
                **options,
            },
        )
        if "absent" in answer:
            remarks.append(f"{strategy}, {kind}: {answer['absent']}")
            continue
        findings += [Finding.read(found) for found in answer["findings"]]
        remarks += [
            f"{found['name']}, seed {found['seed']}: found as {found['as']}, which is not expected"
            for found in answer["findings"]
            if not found.get("expected", True)
        ]
    return findings, remarks


def _defaults(settings: Settings, report: Report, kinds: Iterable[str], seeds: int) -> None:
    findings, remarks = search(settings, kinds, seeds=seeds, strategy="portfolio", shrink=True)
    report.data["findings"] = [[one.name, one.seed, one.number, one.switches] for one in findings]
    if not findings:
        report.add("no search ended", *remarks)
        return
    total = Hunt.of(findings)
    rows = [[kind, *Hunt.of(one for one in findings if one.kind == kind).cells()]
            for kind in kinds if any(one.kind == kind for one in findings)]  # fmt: skip
    report.add(
        f"explore with default settings, up to {SCHEDULES:,} schedules, {seeds} seeds; found: bugs "
        "a seed finds on average;",
        "first hit: the median schedule that fails; time: the median search, minimizing "
        "included; switches: the median after minimizing",
        table(["kind of bug", *HUNT_HEADS], [*rows, ["all", *total.cells()]]),
        *remarks,
    )
    if total.missed:
        report.add(f"missed with some seed: {', '.join(total.missed)}")
    report.verdicts += [
        Verdict(
            what=f"bugs found within {SCHEDULES:,} schedules",
            measured=100 * total.share,
            asked=95,
            unit="%",
            remark=f"{total.bugs} bugs, {seeds} seeds",
        ),
        Verdict(
            what="longest search",
            measured=total.longest,
            asked=SECONDS,
            at_most=True,
            unit="s",
            remark="minimizing included",
        ),
        Verdict(
            what="switches after minimizing, median",
            measured=total.switches,
            asked=5,
            at_most=True,
            unit="",
        ),
    ]


def _twins(settings: Settings, report: Report, kinds: Iterable[str]) -> None:
    seeds, schedules = settings.pick(full=20, quick=3), 200
    alarms: list[str] = []
    run_in_all = 0
    for kind in kinds:
        answer = ask(settings, "twins", {"kind": kind, "seeds": seeds, "schedules": schedules})
        if "absent" in answer:
            alarms.append(f"{kind}: {answer['absent']}")
            continue
        run_in_all += answer["count"]
        alarms += answer["alarms"]
    if alarms:
        report.add("alarms on fixed programs:", *alarms)
    report.data["alarms"] = alarms
    report.verdicts.append(
        Verdict(
            what="false alarms on fixed programs",
            measured=len(alarms),
            asked=0,
            at_most=True,
            unit="",
            remark=f"{run_in_all:,} schedules of the fixed twins, {seeds} seeds",
        )
    )


def _strategies(settings: Settings, report: Report, kinds: Iterable[str], seeds: int) -> None:
    rows = []
    curves: dict[str, list[float]] = {}
    remarks: list[str] = []
    for strategy in ALONE:
        findings, said = search(settings, kinds, seeds=seeds, strategy=strategy)
        remarks += said
        if findings:
            rows.append([strategy, *Hunt.of(findings).cells()])
            curves[strategy] = curve(findings)
    blind, said = search(settings, kinds, seeds=seeds, strategy="portfolio", races=False)
    if blind:
        rows.append(["portfolio, races not looked for", *Hunt.of(blind).cells()])
        curves["portfolio, no races"] = curve(blind)
    report.add(
        "the strategies alone, not minimizing",
        table(["strategy", *HUNT_HEADS], rows),
        *remarks,
        *said,
    )
    if not curves:
        return
    most = max(max(found) for found in curves.values())
    portfolio = curves.get("portfolio", [0.0] * len(READINGS))
    report.add(
        "bugs found within so many schedules, on average over the seeds",
        table(
            ["schedules", *curves, "portfolio"],
            [
                [
                    f"{many:,}",
                    *(f"{found[place]:.1f}" for found in curves.values()),
                    bar(portfolio[place], largest=most).ljust(40),
                ]
                for place, many in enumerate(READINGS)
            ],
        ),
    )
    report.data["curve"] = {
        "title": "Bugs found in the corpus",
        "x": "schedules",
        "y": "bugs found",
        "logarithmic": True,
        "lines": {
            name: [{"x": x, "y": y} for x, y in zip(READINGS, found, strict=True)]
            for name, found in curves.items()
        },
    }
