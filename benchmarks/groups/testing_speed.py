"""How fast the kit is: schedules a second, proofs, and what watching a real run costs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.arithmetic import Spread, ratio
from benchmarks.children import Case, take_turns
from benchmarks.groups.report import Report, compare
from benchmarks.groups.testing_corpus import ask
from benchmarks.tables import Verdict, ratio_cell, table

if TYPE_CHECKING:
    from benchmarks.settings import Settings

COLORS, CALLBACKS = 3, 8
PLAIN = "explore, not looking for races"
RACES = "explore"


def run(settings: Settings) -> Report:
    """Schedules a second, proofs, watching, single accesses."""
    report = Report(
        name="testing-speed", title=f"Testing: schedules a second ({settings.here.label})"
    )
    _schedules(settings, report)
    _random_programs(settings, report)
    _twins(settings, report)
    _watching(settings, report)
    _accesses(settings, report)
    return report


def _schedules(settings: Settings, report: Report) -> None:
    for shared in (False, True):
        size = {"colors": COLORS, "callbacks": CALLBACKS, "shared": shared}
        searched = {
            **size,
            "strategy": "portfolio",
            "schedules": settings.pick(full=10_000, quick=3_000),
        }
        again = {**size, "runs": settings.pick(full=1_000, quick=300)}
        outcomes = take_turns(
            settings.here,
            settings.dependencies,
            [
                Case(PLAIN, "testing.speed:explored", {**searched, "races": False}),
                Case(RACES, "testing.speed:explored", {**searched, "races": True}),
                Case("one real runtime, kept", "testing.speed:kept", again),
                Case("a real runtime each time", "testing.speed:fresh", again),
                Case("its callbacks, called", "testing.speed:bare", again),
            ],
            rounds=settings.rounds,
        )
        what = "read and write something shared" if shared else "do nothing"
        report.keep(f"schedules, callbacks that {what}", outcomes)
        report.add(
            f"a program of {COLORS} colors with {CALLBACKS} callbacks each, which {what}",
            compare(outcomes, mine=[RACES], unit="runs/s"),
        )
        plain, races = outcomes[PLAIN], outcomes[RACES]
        if not plain.answers or not races.answers:
            continue
        if not shared:
            rates = Spread.of(plain.rates)
            report.verdicts.append(
                Verdict(
                    what=f"schedules of {COLORS} x {CALLBACKS} callbacks",
                    measured=rates.median,
                    asked=5_000,
                    unit="/s",
                    remark=f"{rates.low:,.0f}-{rates.high:,.0f}",
                )
            )
        cost = ratio(plain.rates, races.rates)
        report.verdicts.append(
            Verdict(
                what=f"looking for races, callbacks that {what}",
                measured=cost.median,
                asked=3,
                at_most=True,
                remark=f"{cost.low:.2f}-{cost.high:.2f}",
            )
        )


def _random_programs(settings: Settings, report: Report) -> None:
    rows = []
    worst = 0.0
    budget = 20_000
    for most, objects in ((4, 3), (6, 3), (8, 3), (8, 1)):
        answer = ask(
            settings,
            "proved",
            {
                "programs": settings.pick(full=300, quick=50),
                "most": most,
                "objects": objects,
                "budget": budget,
                "seed": 1,
            },
            module="speed",
        )
        if "absent" in answer:
            report.add(f"programs of up to {most} callbacks: {answer['absent']}")
            continue
        verdicts = answer["verdicts"]
        classes = [one["classes"] for one in verdicts]
        times = [one["schedules"] / one["classes"] for one in verdicts]
        worst = max(worst, *times)
        rows.append(
            [
                f"{most}",
                f"{objects}",
                f"{len(verdicts)}",
                f"{sum(one['result'] == 'proved' for one in verdicts)}",
                f"{statistics.median(classes):g}",
                f"{max(classes):,}",
                f"{statistics.median(times):.2f}",
                f"{answer['count'] / sum(classes):.2f}",
                f"{max(times):.2f}",
                f"{answer['count'] / answer['seconds']:,.0f}",
            ]
        )
    report.add(
        "verify: random programs without waits, in three colors",
        table(
            [
                "callbacks, most",
                "objects",
                "programs",
                "proved",
                "classes, median",
                "most",
                "schedules per class, median",
                "in all",
                "most",
                "schedules/s",
            ],
            rows,
        ),
    )
    report.verdicts.append(
        Verdict(
            what="schedules per class, at worst",
            measured=worst or None,
            asked=3,
            at_most=True,
            remark="random programs without waits",
        )
    )


def _twins(settings: Settings, report: Report) -> None:
    answer = ask(settings, "proofs", {"budget": 10_000})
    if "absent" in answer:
        report.add(f"proofs of the corpus' small programs: {answer['absent']}")
        return
    verdicts: list[dict[str, Any]] = answer["verdicts"]
    proved = [one for one in verdicts if one["result"] == "proved"]
    rest = [f"{one['name']}: {one['result']}" for one in verdicts if one["result"] != "proved"]
    if rest:
        report.add("small fixed programs that are not proved:", *rest)
    report.data["proofs"] = verdicts
    report.verdicts.append(
        Verdict(
            what="small fixed programs proved",
            measured=100 * len(proved) / len(verdicts),
            asked=100,
            unit="%",
            remark=f"{len(proved)} of {len(verdicts)}, at most "
            f"{max((one['schedules'] for one in proved), default=0)} schedules",
        )
    )


WATCHERS = {
    "no observer": ("none", 1.0),
    "an observer that does nothing": ("nothing", 1.0),
    "RaceDetector": ("races", 1.0),
    "RaceDetector, sample 0.1": ("races", 0.1),
    "RaceDetector, sample 0.01": ("races", 0.01),
    "Recorder": ("recorder", 1.0),
    "ConformanceMonitor": ("monitor", 1.0),
}


def _watching(settings: Settings, report: Report) -> None:
    for work, what in ((0, "nothing else"), (1_000, "counts to 1,000")):
        size = {
            "colors": 100,
            "callbacks": settings.pick(full=200_000, quick=50_000) // (4 if work else 1),
            "work": work,
        }
        outcomes = take_turns(
            settings.here,
            settings.dependencies,
            [
                Case(label, "testing.speed:watched", {**size, "watcher": name, "sample": sample})
                for label, (name, sample) in WATCHERS.items()
            ],
            rounds=settings.rounds,
        )
        report.keep(f"watching, work {work}", outcomes)
        free = outcomes["no observer"]
        rows = []
        for label, outcome in outcomes.items():
            if not outcome.answers or not free.answers:
                rows.append([label, f"absent: {outcome.absent}", "-"])
                continue
            cost = Spread.of([1e6 / rate for rate in outcome.rates])
            rows.append(
                [
                    label,
                    f"{cost.median:.2f} us ({cost.low:.2f}-{cost.high:.2f})",
                    "-" if outcome is free else ratio_cell(ratio(free.rates, outcome.rates)),
                ]
            )
        report.add(
            f"watching a real run, two workers; a callback reads and writes something shared, and "
            f"{what}",
            table(["", "a callback takes", "times as long"], rows),
        )


#: What an access in a loop may take, in ns, by how it is seen.
ASKED = {"hand": 178, "import": 125}
SEEN = {"nothing": "not seen", "hand": "@shared, Shared", "import": "instrument()"}
LOOPS = ("attributes", "augmented", "items", "variables")


def _accesses(settings: Settings, report: Report) -> None:
    times = settings.pick(full=300_000, quick=100_000)
    rows = []
    costs: dict[str, list[float]] = {how: [] for how in SEEN}
    for loop in LOOPS:
        outcomes = take_turns(
            settings.here,
            settings.dependencies,
            [
                Case(
                    label,
                    "testing.accesses:looped",
                    {"instrument_by": how, "loop": loop, "times": times},
                )
                for how, label in SEEN.items()
                if (how, loop) != ("hand", "variables")  # those can't be wrapped
            ],
            rounds=settings.rounds,
        )
        report.keep(f"accesses, {loop}", outcomes)
        row = [loop]
        for how, label in SEEN.items():
            outcome = outcomes.get(label)
            if outcome is None or not outcome.answers:
                row.append("-")
                continue
            cost = Spread.of([1e9 / rate for rate in outcome.rates])
            costs[how].append(cost.median)
            row.append(f"{cost.median:,.0f} ({cost.low:,.0f}-{cost.high:,.0f})")
        rows.append(row)
    report.add(
        "an access in a tight loop of one callback beside the race detector, in ns",
        table(["", *SEEN.values()], rows),
    )
    report.verdicts += [
        Verdict(
            what=f"an access in a loop, {SEEN[how]}",
            measured=statistics.mean(costs[how]) if costs[how] else None,
            asked=asked,
            at_most=True,
            unit=" ns",
            remark=" ".join(f"{cost:.0f}" for cost in costs[how]),
        )
        for how, asked in ASKED.items()
    ]
