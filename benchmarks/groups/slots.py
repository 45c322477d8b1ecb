"""Slots: what processes gain, what a callback there costs, and the same on others' processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.arithmetic import Spread, human_bytes, human_count, ratio
from benchmarks.children import Case, take_turns
from benchmarks.groups.report import Report, compare, verdict
from benchmarks.groups.scaling import COLORS, iterations_per_microsecond
from benchmarks.tables import table

if TYPE_CHECKING:
    from benchmarks.children import Outcome
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings

MICROSECONDS = 200
"""The length of a callback that computes."""

SHAPES = (("one key", 1, 0.0), ("100 keys", 100, 0.0), ("10,000 Zipf keys", 10_000, 1.0))
"""How the keys of empty callbacks are drawn."""

TYPICAL = "10,000 Zipf keys"
"""What verdicts are about: keys that are many, and most of them seldom. One key flatters slots,
whose batches are then as long as can be."""

CHUNK = 256
"""``chunksize`` of ``ProcessPoolExecutor.map``: about what a batch of one busy color is."""

FEW, MORE = 1, 4
"""Memory of a slot is the difference between so many of them, for each."""


def run(settings: Settings) -> Report:
    """Measure processes, then interpreters where there are any, then what both cost."""
    report = Report(name="slots", title=f"Slots ({settings.here.label})")
    _computing(settings, report, settings.here, "processes")
    _empty(settings, report)
    _peers(settings, report)
    if settings.interpreters is None:
        report.add("Subinterpreters: absent. Name CPython 3.14 or newer with --python314.")
    else:
        _interpreters(settings, report, settings.interpreters)
    _costs(settings, report)
    _travel(settings, report)
    return report


def _computing(settings: Settings, report: Report, interpreter: Interpreter, executor: str) -> None:
    speed = iterations_per_microsecond(settings, interpreter)
    size = {
        "callbacks": settings.pick(full=20_000, quick=5_000),
        "iterations": round(MICROSECONDS * speed),
    }
    cases = []
    for workers in (1, 2):
        given = {**size, "workers": workers}
        mine = {**given, "colors": COLORS, "executor": executor}
        cases += [
            Case(f"{workers} of {executor}", "slots:computing", mine),
            Case(f"{workers} plain", "slots:plain_processes", given),
        ]
    outcomes = take_turns(interpreter, settings.dependencies, cases, rounds=settings.rounds)
    report.keep(f"computing, {executor}", outcomes)
    limit = "absent"
    if all(outcomes[f"{workers} plain"].answers for workers in (1, 2)):
        gain = ratio(outcomes["2 plain"].rates, outcomes["1 plain"].rates).median
        limit = f"two plain processes: {gain:.2f} x one"
    report.add(
        f"callbacks of {MICROSECONDS} us of plain Python over {COLORS:,} colors "
        f"({interpreter.label});",
        f"plain: the same work in one call for each process, the machine's own limit; {limit}",
        compare(outcomes, mine=[f"2 of {executor}"]),
    )
    report.verdicts.append(
        verdict(
            outcomes,
            f"2 {executor} / 1, callbacks of {MICROSECONDS} us",
            f"2 of {executor}",
            f"1 of {executor}",
            1.8,
            remark=limit,
        )
    )


def _empty(settings: Settings, report: Report) -> None:
    rows = []
    for label, keys, exponent in SHAPES:
        size = {
            "items": settings.pick(full=50_000, quick=10_000),
            "keys": keys,
            "exponent": exponent,
            "workers": 2,
        }
        cases = [
            Case("submit", "slots:empty_submit", size),
            Case("post", "slots:empty_post", size),
            Case("pool.submit", "slots:pool_submit", size),
            Case("pool by key", "slots:pool_submit_by_key", size),
            Case("pool.map", "slots:pool_map", {**size, "chunksize": CHUNK}),
        ]
        outcomes = take_turns(settings.here, settings.dependencies, cases, rounds=settings.rounds)
        report.keep(f"empty, {label}", outcomes)
        for case in cases:
            rows.append(_empty_row(label, outcomes, case.label))
        typical = " (the typical one)" if label == TYPICAL else ""
        for mine in ("submit", "post"):
            report.verdicts.append(
                verdict(
                    outcomes,
                    f"{mine} / ProcessPoolExecutor.submit, {label}{typical}",
                    mine,
                    "pool.submit",
                    10.0,
                )
            )
    report.add(
        f"empty callbacks, two processes ({settings.here.label}); pool: ProcessPoolExecutor, "
        "which keeps no order;",
        f"by key: one of one process for each slot, which does; map: chunks of {CHUNK}, all known "
        "beforehand.",
        "CPU: processor time of this side alone, which neighbors on the machine disturb less",
        table(["", "callbacks/s", "submit is", "post is", "CPU us each", "of pool.submit's"], rows),
    )


def _empty_row(shape: str, outcomes: dict[str, Outcome], label: str) -> list[str]:
    outcome = outcomes[label]
    name = f"{shape}: {label}"
    if not outcome.answers:
        return [name, f"absent: {outcome.absent}", "-", "-", "-", "-"]
    cells = [name, human_count(Spread.of(outcome.rates).median)]
    for mine in ("submit", "post"):
        known = mine != label and outcomes[mine].answers
        cells.append(f"{ratio(outcomes[mine].rates, outcome.rates).median:.2f} x" if known else "-")
    each = [answer["parent"] / answer["count"] * 1e6 for answer in outcome.answers]
    theirs = [
        answer["parent"] / answer["count"] * 1e6 for answer in outcomes["pool.submit"].answers
    ]
    cells.append(f"{Spread.of(each).median:.1f}")
    cells.append(f"{ratio(each, theirs).median:.2f} x" if theirs else "-")
    return cells


def _peers(settings: Settings, report: Report) -> None:
    size = {
        "items": settings.pick(full=5_000, quick=2_000),
        "keys": 10_000,
        "exponent": 1.0,
        "workers": 2,
    }
    outcomes = take_turns(
        settings.here,
        settings.dependencies,
        [
            Case("colors on processes", "slots:empty_submit", size),
            Case("colors on Ray", "slots:empty_submit", {**size, "executor": "ray"}),
            Case("Ray: two actors", "slots_peers:ray_actors", size),
            Case("Dask: two actors", "slots_peers:dask_actors", size),
            Case("Dask: chains of tasks", "slots_peers:dask_chains", size),
            Case("bocpy", "keyed:bocpy", size),
        ],
        rounds=min(3, settings.rounds),
    )
    report.keep("peers", outcomes)
    report.add(
        "order per key, 10,000 Zipf keys, empty callbacks, two processes each; bocpy: two "
        "interpreters",
        compare(outcomes, mine=["colors on processes"]),
    )


def _interpreters(settings: Settings, report: Report, interpreter: Interpreter) -> None:
    _computing(settings, report, interpreter, "interpreters")
    size = {
        "items": settings.pick(full=50_000, quick=10_000),
        "workers": 2,
        "keys": 10_000,
        "exponent": 1.0,
    }
    cases = [
        Case(f"{how}, {executor}", f"slots:empty_{how}", {**size, "executor": executor})
        for how in ("submit", "post")
        for executor in ("interpreters", "processes")
    ]
    outcomes = take_turns(interpreter, settings.dependencies, cases, rounds=settings.rounds)
    report.keep("interpreters", outcomes)
    report.add(
        f"empty callbacks, {TYPICAL} ({interpreter.label})",
        compare(outcomes, mine=["submit, interpreters", "post, interpreters"]),
    )


def _costs(settings: Settings, report: Report) -> None:
    rows = []
    engines = [(settings.here, "threads"), (settings.here, "processes"), (settings.here, "ray")]
    if settings.free_threaded is not None:
        engines.insert(1, (settings.free_threaded, "threads"))
    if settings.interpreters is not None:
        engines += [(settings.interpreters, "processes"), (settings.interpreters, "interpreters")]
    for interpreter, executor in engines:
        given = {"executor": executor}
        calls = settings.pick(full=2_000, quick=500)
        outcomes = take_turns(
            interpreter,
            settings.dependencies,
            [
                Case("start", "slot_costs:start", given),
                Case("trip", "slot_costs:round_trip", {**given, "calls": calls}),
                Case("few", "slot_costs:memory", {**given, "workers": FEW}),
                Case("more", "slot_costs:memory", {**given, "workers": MORE}),
            ],
            rounds=min(3, settings.rounds),
        )
        report.keep(f"costs, {executor}, {interpreter.label}", outcomes)
        rows.append(_cost_row(f"{executor}, {interpreter.label}", outcomes))
    report.add(
        "the first slot's start, to its first result; one callback there and back; memory of each "
        f"further slot (of {MORE}):",
        "resident counts what processes share in each of them, proportional once, own not at all",
        table(["", "start", "there and back", "resident", "proportional", "own"], rows),
    )


def _cost_row(name: str, outcomes: dict[str, Outcome]) -> list[str]:
    missing = next((outcome for outcome in outcomes.values() if not outcome.answers), None)
    if missing is not None:
        return [name, f"absent: {missing.absent}", "-", "-", "-", "-"]
    seconds = {
        label: Spread.of([answer["seconds"] for answer in outcomes[label].answers]).median
        for label in ("start", "trip")
    }
    cells = [name, f"{seconds['start'] * 1e3:.0f} ms", f"{seconds['trip'] * 1e6:.0f} us"]
    for kind in ("resident", "proportional", "own"):
        few, more = (
            Spread.of([answer[kind] for answer in outcomes[label].answers]).median
            for label in ("few", "more")
        )
        cells.append(human_bytes((more - few) / (MORE - FEW)))
    return cells


def _travel(settings: Settings, report: Report) -> None:
    items = settings.pick(full=20_000, quick=5_000)
    rows = []
    for way in ("reference", "pickle", "cloudpickle"):
        outcomes = take_turns(
            settings.here,
            settings.dependencies,
            [
                Case(label, "slot_costs:travel", {"way": way, "items": items, "arguments": given})
                for label, given in (("none", False), ("three arguments", True))
            ],
            rounds=settings.rounds,
        )
        report.keep(f"travel, {way}", outcomes)
        cells = [way]
        for outcome in outcomes.values():
            each = [answer["cpu"] / answer["count"] * 1e6 for answer in outcome.answers]
            cells.append(f"{Spread.of(each).median:.1f} us" if each else f"{outcome.absent}")
        rows.append(cells)
    report.add(
        "processor time of one submitted callback, both sides together, by its way of travel "
        "(slots that are threads)",
        table(["", "no arguments", "three arguments, a result"], rows),
    )
