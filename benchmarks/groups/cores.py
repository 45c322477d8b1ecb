"""As many workers as the machine has cores: how far it scales, beside plain threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.arithmetic import ratio
from benchmarks.children import Case, take_turns
from benchmarks.groups.report import Report
from benchmarks.groups.scaling import COLORS, iterations_per_microsecond
from benchmarks.tables import table

if TYPE_CHECKING:
    from benchmarks.settings import Settings

LENGTHS = (10, 50, 200, 1_000)
"""Lengths of callbacks in microseconds."""


def worker_counts() -> list[int]:
    """One, two, four ... up to the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counts = [1]
    while counts[-1] * 2 <= (cores or 1):
        counts.append(counts[-1] * 2)
    return counts


def run(settings: Settings) -> Report:
    """Measure every number of workers, and as many plain threads, side by side."""
    interpreter = settings.free_threaded
    report = Report(name="cores", title="As many workers as cores, free-threaded")
    if interpreter is None:
        report.add(
            "No free-threaded interpreter was found: name one with --python or "
            "COLORSCHED_FT_PYTHON."
        )
        return report
    report.title += f" ({interpreter.label})"
    speed = iterations_per_microsecond(settings, interpreter)
    counts = worker_counts()
    rows: list[list[str]] = []
    for length in LENGTHS if not settings.quick else LENGTHS[1:2]:
        budget = settings.pick(full=2_000_000, quick=400_000)  # microseconds of work
        size = {"callbacks": budget // length, "iterations": round(length * speed)}
        cases = []
        for workers in counts:
            given = {**size, "workers": workers}
            cases += [
                Case(f"{workers} workers", "spinning:colorsched", {**given, "colors": COLORS}),
                Case(f"{workers} threads", "spinning:plain_threads", given),
            ]
        outcomes = take_turns(interpreter, settings.dependencies, cases, rounds=settings.rounds)
        report.keep(f"cores_{length}", outcomes)
        row = [f"{length} us"]
        for workers in counts:
            gains = [
                ratio(outcomes[f"{workers} {kind}"].rates, outcomes[f"1 {kind}"].rates).median
                for kind in ("workers", "threads")
                if outcomes[f"{workers} {kind}"].answers and outcomes[f"1 {kind}"].answers
            ]
            row.append(" / ".join(f"{gain:.2f}" for gain in gains))
        rows.append(row)
    report.add(
        f"times one worker / times one plain thread; callbacks of plain Python over {COLORS:,} "
        "colors, posted by one thread",
        table(["callback", *(str(count) for count in counts)], rows),
    )
    return report
