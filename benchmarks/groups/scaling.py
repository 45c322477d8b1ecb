"""Two workers on a free-threaded build: how much faster, from which length of callback on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.arithmetic import Spread, ratio
from benchmarks.children import Case, run_child, take_turns
from benchmarks.groups.report import Report, compare, verdict
from benchmarks.tables import bar, table

if TYPE_CHECKING:
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings

COLORS = 1_000
CURVE = (0, 2, 5, 10, 20, 50, 200)
"""Lengths of callbacks in microseconds."""


def iterations_per_microsecond(settings: Settings, interpreter: Interpreter) -> float:
    """How much of the spinning loop fits in a microsecond: measured once, used for all peers.

    Raises:
        RuntimeError: if the measurement itself failed.
    """
    answer = run_child(interpreter, settings.dependencies, Case("", "spinning:calibrate"))
    if "absent" in answer:
        raise RuntimeError(f"the calibration on {interpreter.path} {answer['absent']}")
    return float(answer["per_microsecond"])


def run(settings: Settings) -> Report:
    """Measure one and two workers side by side."""
    interpreter = settings.free_threaded
    report = Report(name="scaling", title="Two workers, free-threaded")
    if interpreter is None:
        report.add(
            "No free-threaded interpreter was found: name one with --python or "
            "COLORSCHED_FT_PYTHON."
        )
        return report
    report.title += f" ({interpreter.label})"
    speed = iterations_per_microsecond(settings, interpreter)
    _fifty(settings, report, interpreter, iterations=round(50 * speed))
    _two_posters(settings, report, interpreter)
    _curve(settings, report, interpreter, speed=speed)
    return report


def _fifty(
    settings: Settings, report: Report, interpreter: Interpreter, *, iterations: int
) -> None:
    size = {"callbacks": settings.pick(full=40_000, quick=10_000), "iterations": iterations}
    cases = []
    for workers in (1, 2):
        plural = "s" if workers > 1 else ""
        cases.append(
            Case(
                f"{workers} worker{plural}",
                "spinning:colorsched",
                {**size, "workers": workers, "colors": COLORS},
            )
        )
        cases.append(
            Case(
                f"{workers} plain thread{plural}",
                "spinning:plain_threads",
                {**size, "workers": workers},
            )
        )
    outcomes = take_turns(interpreter, settings.dependencies, cases, rounds=settings.rounds)
    report.keep("fifty_microseconds", outcomes)
    report.add(
        f"callbacks of 50 microseconds of plain Python over {COLORS:,} colors;",
        "plain threads without any scheduler show what the machine itself gives",
        compare(outcomes, mine=["2 workers", "2 plain threads"]),
    )
    limit = outcomes["2 plain threads"]
    remark = ""
    if limit.answers and outcomes["1 plain thread"].answers:
        reachable = ratio(limit.rates, outcomes["1 plain thread"].rates).median
        remark = f"plain threads here: {reachable:.2f} x"
    report.verdicts.append(
        verdict(
            outcomes, "2 workers / 1, 50 us callbacks", "2 workers", "1 worker", 1.9, remark=remark
        )
    )


def _two_posters(settings: Settings, report: Report, interpreter: Interpreter) -> None:
    size = {"callbacks": settings.pick(full=400_000, quick=100_000), "colors": 100}
    outcomes = take_turns(
        interpreter,
        settings.dependencies,
        [
            Case("1 worker", "spinning:colorsched_two_posters", {**size, "workers": 1}),
            Case("2 workers", "spinning:colorsched_two_posters", {**size, "workers": 2}),
        ],
        rounds=settings.rounds,
    )
    report.keep("two_posters", outcomes)
    report.add(
        "empty callbacks posted by two threads, each to 100 colors of its own",
        compare(outcomes, mine=["2 workers"]),
    )
    report.verdicts.append(
        verdict(outcomes, "2 workers / 1, empty, two posters", "2 workers", "1 worker", 1.0)
    )


def _curve(settings: Settings, report: Report, interpreter: Interpreter, *, speed: float) -> None:
    lengths = CURVE if not settings.quick else CURVE[::3]
    rows: list[list[str]] = []
    points: list[dict[str, float]] = []
    for length in lengths:
        budget = settings.pick(full=500_000, quick=150_000)  # microseconds of work
        size = {
            "callbacks": max(2_000, min(100_000, budget // max(1, length))),
            "iterations": round(length * speed),
            "colors": COLORS,
        }
        outcomes = take_turns(
            interpreter,
            settings.dependencies,
            [
                Case("1 worker", "spinning:colorsched", {**size, "workers": 1}),
                Case("2 workers", "spinning:colorsched", {**size, "workers": 2}),
            ],
            rounds=min(3, settings.rounds),
        )
        report.keep(f"curve_{length}", outcomes)
        one, two = outcomes["1 worker"], outcomes["2 workers"]
        if one.answers and two.answers:
            gain: Spread = ratio(two.rates, one.rates)
            points.append({"x": length, "y": gain.median})
            rows.append([f"{length} us", f"{gain.median:.2f} x", bar(gain.median, largest=2.0)])
    if rows:
        report.data["curve"] = {
            "title": "Two workers beside one, free-threaded",
            "x": "callback length, microseconds",
            "y": "times one worker",
            "points": points,
        }
        padded = [[a, b, c.ljust(40)] for a, b, c in rows]
        report.add(
            "the same over the length of a callback", table(["callback", "gain", ""], padded)
        )
