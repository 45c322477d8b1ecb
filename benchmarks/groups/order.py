"""The cost of order: the same items on unordered pools over distinct, Zipf and one key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.arithmetic import Spread, human_count, ratio
from benchmarks.children import Case, take_turns
from benchmarks.groups.report import Report, compare
from benchmarks.groups.scaling import iterations_per_microsecond
from benchmarks.tables import table

if TYPE_CHECKING:
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings


@frozen
class Shape:
    """How the items' keys are drawn; `keys` 0: a key of its own for each item."""

    label: str
    keys: int
    exponent: float


SHAPES = (
    Shape("distinct keys", 0, 0.0),
    Shape("10,000 Zipf keys", 10_000, 1.0),
    Shape("one key", 1, 0.0),
)
PEERS = (
    ("unordered: ThreadPoolExecutor", "ordering:unordered_futures"),
    ("unordered: threads on a queue", "ordering:unordered_bare"),
    ("colors: submit (futures)", "ordering:colors_submit"),
    ("colors: post (handles)", "ordering:colors_post"),
)


def run(settings: Settings) -> Report:
    """Measure with empty callbacks here, and with 50 us on two free-threaded workers."""
    report = Report(name="order", title="The cost of order")
    _shapes(settings, report, settings.here, workers=1, microseconds=0)
    if settings.free_threaded is not None:
        _shapes(settings, report, settings.free_threaded, workers=2, microseconds=50)
    _hops(settings, report)
    return report


def _shapes(
    settings: Settings, report: Report, interpreter: Interpreter, *, workers: int, microseconds: int
) -> None:
    items = settings.pick(full=100_000, quick=50_000) // (5 if microseconds else 1)
    iterations = 0
    if microseconds:
        iterations = round(microseconds * iterations_per_microsecond(settings, interpreter))
    rows = []
    for shape in SHAPES:
        size = {
            "items": items,
            "keys": shape.keys,
            "exponent": shape.exponent,
            "workers": workers,
            "iterations": iterations,
        }
        outcomes = take_turns(
            interpreter,
            settings.dependencies,
            [Case(label, workload, size) for label, workload in PEERS],
            rounds=settings.rounds,
        )
        report.keep(f"{shape.label}, {workers} workers, {microseconds} us", outcomes)
        pool, bare, submit, post = (outcomes[label] for label, _ in PEERS)
        cells = [shape.label]
        for outcome in (pool, bare, submit, post):
            rates = outcome.rates
            cells.append(human_count(Spread.of(rates).median) if rates else "absent")
        for mine, theirs in ((submit, pool), (post, bare)):
            both = mine.answers and theirs.answers
            cells.append(f"{ratio(mine.rates, theirs.rates).median:.2f} x" if both else "-")
        rows.append(cells)
    work = f"callbacks of {microseconds} us" if microseconds else "empty callbacks"
    report.add(
        f"{work}, {workers} worker{'s' if workers > 1 else ''} ({interpreter.label}), items/s;",
        "below one: what order costs. The bare pool has no futures, handles or contexts.",
        table(
            [
                "",
                "ThreadPoolExecutor",
                "bare pool",
                "colors: submit",
                "colors: post",
                "submit / executor",
                "post / bare pool",
            ],
            rows,
        ),
    )


def _hops(settings: Settings, report: Report) -> None:
    size = {"callbacks": settings.pick(full=300_000, quick=100_000)}
    outcomes = take_turns(
        settings.here,
        settings.dependencies,
        [
            Case("plain call", "ordering:hop_none", size),
            Case("dispatch", "ordering:hop_dispatch", size),
            Case("post", "ordering:hop_post", size),
        ],
        rounds=settings.rounds,
    )
    report.keep("hops", outcomes)
    lines = [
        "one more colored hop: a callback (itself posted) calls a function plainly,",
        "dispatches it to an idle color, or posts it there",
        compare(outcomes, mine=["dispatch"], unit="requests/s"),
    ]
    plain = outcomes["plain call"]
    if all(outcome.answers for outcome in outcomes.values()):
        base = 1e9 / Spread.of(plain.rates).median
        for label in ("dispatch", "post"):
            cost = 1e9 / Spread.of(outcomes[label].rates).median - base
            lines.append(f"one hop by {label}: {cost:.0f} ns")
            report.data[f"hop_{label}_ns"] = cost
    report.add(*lines)
