"""Stress: ten million callbacks, each checked for order, exclusion and exactly-once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.arithmetic import human_count
from benchmarks.children import Case, run_child
from benchmarks.groups.report import Report
from benchmarks.tables import Verdict, table

if TYPE_CHECKING:
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings


def run(settings: Settings) -> Report:
    """A third of them on this interpreter, the rest on the free-threaded one, if there is one."""
    report = Report(name="stress", title="Stress: order, exclusion, exactly once")
    plan: list[tuple[Interpreter, int]] = [(settings.here, 1), (settings.here, 4)]
    if settings.free_threaded is not None:
        plan = [(settings.here, 2), (settings.free_threaded, 2), (settings.free_threaded, 4)]
    total = settings.pick(full=10_000_000, quick=600_000)
    rows = []
    broken = 0
    ran = 0
    for interpreter, workers in plan:
        answer = run_child(
            interpreter,
            settings.dependencies,
            Case("", "stress:colorsched", {"callbacks": total // len(plan), "workers": workers}),
        )
        report.data[f"{interpreter.label}, {workers} workers"] = answer
        name = f"{interpreter.label}, workers={workers}"
        if "absent" in answer:
            rows.append([name, "absent", "-", "-", "-", "-", "-"])
            report.add(f"{name}: {answer['absent']}")
            broken += 1
            continue
        wrong = [answer[key] for key in ("out_of_order", "overlaps", "lost", "twice")]
        broken += sum(wrong)
        ran += answer["count"]
        rate = human_count(answer["count"] / answer["seconds"])
        rows.append([name, f"{answer['count']:,}", rate, *(str(number) for number in wrong)])
    report.add(
        "posted from three threads and from callbacks over 5,000 Zipf colors,",
        "some dispatched, some cancelled",
        table(["", "callbacks", "checked/s", "out of order", "overlapped", "lost", "twice"], rows),
    )
    report.verdicts.append(
        Verdict(
            what=f"violations in {ran:,} callbacks",
            measured=float(broken) if ran else None,
            asked=0.0,
            at_most=True,
            unit="",
        )
    )
    return report
