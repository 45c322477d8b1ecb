"""Memory: millions of colors used once each leave nothing; what keyed peers leave for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.arithmetic import human_bytes
from benchmarks.children import Case, run_child
from benchmarks.groups.report import Report
from benchmarks.tables import Verdict, bar, table

if TYPE_CHECKING:
    from benchmarks.settings import Settings

WAVE = 10_000


def run(settings: Settings) -> Report:
    """Use distinct colors once, in waves, and read the resident size; keyed peers beside it."""
    colors = settings.pick(full=10_000_000, quick=1_000_000)
    report = Report(name="memory", title=f"Memory ({settings.here.label})")
    answer = run_child(
        settings.here,
        settings.dependencies,
        Case("", "memory:colorsched", {"colors": colors, "wave": WAVE, "workers": 1}),
    )
    report.data["colors"] = answer
    what = f"growth after {colors:,} colors used once"
    if "absent" in answer:
        report.add(f"colorsched: {answer['absent']}")
        report.verdicts.append(
            Verdict(
                what=what,
                measured=None,
                asked=20.0,
                at_most=True,
                unit="MB",
                remark="absent",
            )
        )
    else:
        growths = [size - answer["start"] for size in answer["tenths"]]
        largest = max(*growths, 20e6)
        rows = [
            [f"{number * 10} %", human_bytes(growth), bar(growth, largest=largest).ljust(40)]
            for number, growth in enumerate(growths, start=1)
        ]
        report.add(
            f"{colors:,} distinct colors, one callback each, in waves of {WAVE:,}, "
            f"{colors / answer['seconds'] / 1e6:.2f} M a second;",
            f"resident: {human_bytes(answer['start'])} at the start, "
            f"{human_bytes(answer['first_wave'] - answer['start'])} more after the first wave",
            table(["colors used", "growth", ""], rows),
        )
        report.verdicts.append(
            Verdict(
                what=what,
                measured=(answer["end"] - answer["start"]) / 1e6,
                asked=20.0,
                at_most=True,
                unit="MB",
                remark=f"colors alive at the end: {answer['alive']}",
            )
        )
    _peers(settings, report)
    return report


def _peers(settings: Settings, report: Report) -> None:
    keys = 100_000
    rows = []
    for label, workload in (
        ("asyncio queue and task per key", "memory:queue_per_key"),
        ("asyncio lock per key", "memory:lock_per_key"),
    ):
        answer = run_child(
            settings.here, settings.dependencies, Case(label, workload, {"colors": keys})
        )
        report.data[label] = answer
        if "absent" in answer:
            rows.append([label, f"absent: {answer['absent']}", "-"])
        else:
            left = answer["end"] - answer["start"]
            rows.append([label, human_bytes(left), human_bytes(left / keys)])
    report.add(
        f"what {keys:,} keys used once leave behind in",
        table(["", "left", "for each key"], rows),
    )
