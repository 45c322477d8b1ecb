"""The scheduler in simulated time: checked here, then asked about machines that are not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import asdict, evolve

from benchmarks.arithmetic import human_count
from benchmarks.groups.report import Report
from benchmarks.machine import cores
from benchmarks.simulation.calibration import calibrate
from benchmarks.simulation.loads import Load
from benchmarks.simulation.slots import SlotSimulation
from benchmarks.simulation.sweep import Curve, loads, slot_loads, sweep, sweep_slots
from benchmarks.simulation.threads import Simulation
from benchmarks.simulation.validation import errors, validate, validate_slots
from benchmarks.tables import Verdict, rate_cell, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.children import Outcome
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings
    from benchmarks.simulation.calibration import Calibration
    from benchmarks.simulation.costs import Costs, SlotCosts
    from benchmarks.simulation.validation import Check

SEED = 1
WORKERS = (1, 2, 4, 16, 64, 128, 256)
SLOTS = (1, 2, 4, 8, 16, 32, 64, 256)
POSTERS = 4
DRAWN = ("50 us",)
"""The curves of the picture are those of callbacks of this length."""


def run(settings: Settings) -> Report:
    """Calibrate, compare with real runs, and look further."""
    report = Report(name="model", title="Past this machine: the scheduler in simulated time")
    here = settings.here
    free = settings.free_threaded
    known = {}
    interpreters = [here] if free is None or free == here else [here, free]
    for interpreter in interpreters:
        known[interpreter.label] = calibration = calibrate(
            settings, interpreter, cores=len(cores())
        )
        report.data[f"calibration, {interpreter.label}"] = asdict(calibration)
    report.add("what single steps cost, microseconds", _costs_table(known))
    for interpreter in interpreters:
        _validate(settings, report, interpreter, known[interpreter.label])
        if known[interpreter.label].slots is not None:
            _validate_slots(settings, report, interpreter, known[interpreter.label])
    if free is None:
        report.add(
            "No free-threaded interpreter was found, so there is nothing to scale but slots."
        )
    else:
        _scale(settings, report, known[free.label].costs)
        _million(settings, report, known[free.label].costs)
        _remedies(settings, report, known[free.label].costs)
        _line(settings, report, known[free.label].costs)
    in_slots = known[here.label].slots
    if in_slots is None:
        report.add("This interpreter has no GIL: slots are modeled with a parent that has.")
    else:
        _slots(settings, report, in_slots)
    return report


def _costs_table(known: dict[str, Calibration]) -> str:
    rows: dict[str, dict[str, str]] = {}
    for label, calibration in known.items():
        for record, prefix in ((calibration.costs, ""), (calibration.slots, "slots: ")):
            for name, value in {} if record is None else asdict(record).items():
                if isinstance(value, float) and name != "interval":
                    rows.setdefault(prefix + name, {})[label] = f"{1e6 * value:.3f}"
        rows.setdefault("crowding, times", {})[label] = f"{calibration.crowding:.2f}"
    cells = [[name, *(row.get(label, "-") for label in known)] for name, row in rows.items()]
    return table(["", *known], cells)


def _validate(
    settings: Settings, report: Report, interpreter: Interpreter, calibration: Calibration
) -> None:
    many = len(cores())
    workers = (1,) if interpreter.gil or many < 2 else (1, 2)
    checks, outcomes = validate(
        settings, interpreter, calibration, workers=workers, cores=many, seed=SEED
    )
    _report(report, interpreter.label, "workers", checks, outcomes)


def _validate_slots(
    settings: Settings, report: Report, interpreter: Interpreter, calibration: Calibration
) -> None:
    checks, outcomes = validate_slots(
        settings, interpreter, calibration, slots=(1, 2), cores=len(cores()), seed=SEED
    )
    _report(report, f"slots, {interpreter.label}", "slots", checks, outcomes)


def _report(
    report: Report, label: str, unit: str, checks: Sequence[Check], outcomes: dict[str, Outcome]
) -> None:
    report.keep(f"validation, {label}", outcomes)
    report.data[f"predicted, {label}"] = {
        f"{check.load.label}, {check.workers}": check.predicted for check in checks
    }
    median, worst = errors(checks)
    report.add(
        f"predicted and measured, {label}",
        table(
            [
                "",
                unit,
                "predicted/s",
                "measured/s, median (min-max)",
                "predicted is, of the best",
            ],
            [
                [
                    check.load.label,
                    str(check.workers),
                    human_count(check.predicted),
                    rate_cell(check.measured),
                    f"{check.ratio:.2f} x",
                ]
                for check in checks
            ],
        ),
        f"off by {median:.2f} x in the median, {worst:.2f} x at worst",
    )
    report.verdicts.append(
        Verdict(
            what=f"model off by, median, {label}",
            measured=median,
            asked=1.25,
            at_most=True,
            remark=f"at worst {worst:.2f} x",
        )
    )


def _scale(settings: Settings, report: Report, costs: Costs) -> None:
    workers = WORKERS if not settings.quick else WORKERS[:1] + WORKERS[3::3]
    callbacks = settings.pick(full=50_000, quick=5_000)
    curves = [
        sweep(load, costs, workers=workers, seed=SEED)
        for load in loads(callbacks=callbacks, posters=POSTERS)
    ]
    report.add(
        f"speed-up over one worker (and efficiency), a processor for each; {POSTERS} posters, "
        f"{callbacks:,} callbacks",
        _curve_table(curves, workers),
    )
    report.add(f"where {workers[-1]} workers' time goes", _spent_table(curves))
    _keep(report, "threads", curves)
    report.data["curve"] = {
        "title": "Model: worker threads on a free-threaded build",
        "x": "workers",
        "y": "times one worker",
        "logarithmic": True,
        "lines": _lines([c for c in curves if c.load.label.endswith(DRAWN)]),
    }


def _curve_table(curves: Sequence[Curve], counts: Sequence[int]) -> str:
    heads = ["", "one, per s", *(str(count) for count in counts[1:])]
    heads += ["worth it to", f"limit at {counts[-1]}"]
    rows = []
    for curve in curves:
        first, *others = curve.outcomes
        rows.append(
            [
                curve.load.label,
                human_count(first.rate),
                *(f"{curve.speed_up(out):.1f} ({curve.efficiency(out):.0%})" for out in others),
                str(curve.worth()),
                others[-1].limit(),
            ]
        )
    return table(heads, rows)


def _spent_table(curves: Sequence[Curve]) -> str:
    rows = []
    names: list[str] = []
    for curve in curves:
        last = curve.outcomes[-1]
        if last.spent is not None:
            shares = last.spent.shares()
            names = list(shares)
            moved = f"{last.steals / last.callbacks:.1f}"
            rows.append([curve.load.label, *(f"{shares[name]:.0%}" for name in names), moved])
    return table(["", *names, "steals a callback"], rows)


def _lines(curves: Sequence[Curve]) -> dict[str, list[dict[str, float]]]:
    return {
        curve.load.label: [{"x": out.workers, "y": curve.speed_up(out)} for out in curve.outcomes]
        for curve in curves
    }


def _keep(report: Report, name: str, curves: Sequence[Curve]) -> None:
    report.data[name] = {
        curve.load.label: [
            {
                "workers": out.workers,
                "rate": out.rate,
                "limit": out.limit(),
                "busy": dict(out.busy),
                "spent": out.spent and out.spent.shares(),
            }
            for out in curve.outcomes
        ]
        for curve in curves
    }


def _million(settings: Settings, report: Report, costs: Costs) -> None:
    """As many colors as there are callbacks, or as many Zipf keys."""
    count = settings.pick(full=1_000_000, quick=20_000)
    even = Load(
        label="distinct keys", colors=count, callbacks=count, seconds=0.001, posters=POSTERS
    )
    rows = []
    for load in (even, evolve(even, label="Zipf keys", exponent=1.0)):
        curve = sweep(load, costs, workers=(1, WORKERS[-1]), seed=SEED)
        last = curve.outcomes[-1]
        cells = [f"{curve.speed_up(last):.1f}", f"{curve.efficiency(last):.0%}", last.limit()]
        rows.append([load.label, human_count(curve.outcomes[0].rate), *cells])
    report.add(
        f"{count:,} colors, callbacks of 1 ms, {WORKERS[-1]} workers",
        table(["", "one, per s", "speed-up", "efficiency", "limit"], rows),
    )


def _remedies(settings: Settings, report: Report, costs: Costs) -> None:
    """What would change if the code did."""
    count = settings.pick(full=50_000, quick=5_000)
    chosen = {
        load.label: load
        for load in loads(callbacks=count, posters=POSTERS)
        if load.label in {"distinct keys, 5 us", "distinct keys, 50 us", "hops, 5 us"}
    }
    free = evolve(costs, look=0.0)
    heads = ["as it is", "stolen color kept", "laps look at no lanes", "both"]
    rows = []
    for load in chosen.values():
        cells = [load.label]
        one = Simulation(load, costs, workers=1, seed=SEED).run()
        for paid, guarded in ((costs, False), (costs, True), (free, False), (free, True)):
            many = Simulation(
                load, paid, workers=WORKERS[-1], seed=SEED, guarded=guarded, to_the_end=True
            ).run()
            cells.append(f"{many.rate / one.rate:.1f} ({many.limit()})")
        rows.append(cells)
    report.add(
        f"speed-up of {WORKERS[-1]} workers, and the limit, if a thief kept the color that it runs "
        "first to itself, or a lap began without a look at every lane; all runs to their end",
        table(["", *heads], rows),
    )


def _line(settings: Settings, report: Report, costs: Costs) -> None:
    """How much hangs on what two processors can't tell: how much of sharing is on one line."""
    count = settings.pick(full=200_000, quick=20_000)
    load = next(x for x in loads(callbacks=count, posters=1) if x.label == "chains, 5 us")
    rows = []
    for words, line in (
        ("none of it", 0.0),
        ("as one object's count here", costs.line),
        ("a tenth of it", costs.sharing / 10),
        ("all of it", costs.sharing),
    ):
        curve = sweep(load, evolve(costs, line=line), workers=(1, WORKERS[-1]), seed=SEED)
        last = curve.outcomes[-1]
        rows.append([words, f"{1e9 * line:.0f} ns", f"{curve.speed_up(last):.1f}", last.limit()])
    report.add(
        f"chains of 5 us, {WORKERS[-1]} workers: how much of sharing is for one cache line",
        table(["", "held", "speed-up", "limit"], rows),
    )


def _slots(settings: Settings, report: Report, costs: SlotCosts) -> None:
    counts = SLOTS if not settings.quick else SLOTS[::3]
    callbacks = settings.pick(full=50_000, quick=5_000)
    curves = [
        sweep_slots(load, costs, slots=counts, seed=SEED)
        for load in slot_loads(callbacks=callbacks)
    ]
    report.add(
        f"slots: speed-up over one (and efficiency); one parent with the GIL, {callbacks:,} "
        "callbacks",
        _curve_table(curves, counts),
    )
    _keep(report, "slots", curves)
    # A slot that comes to an empty line looks at all of them, and so does a color that finds all
    # slots busy. Without that, what would be?
    first = curves[0].load
    free = evolve(costs, enter_look=0.0, steal_look=0.0)
    with_looks, without = (
        SlotSimulation(first, paid, slots=counts[-1], seed=SEED).run() for paid in (costs, free)
    )
    report.add(
        f"{first.label}, {counts[-1]} slots: {without.rate / with_looks.rate:.2f} x the rate if "
        "nobody looked at other slots than its own"
    )
