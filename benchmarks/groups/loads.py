"""Servers loaded by wrk in turns, and the table of what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.arithmetic import Spread, ratio, ratio_remark
from benchmarks.load import Load, wrk
from benchmarks.servers import CouldNotStartError, Server
from benchmarks.tables import Verdict, rate_cell, ratio_cell, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.groups.report import Report
    from benchmarks.settings import Settings

CONNECTIONS = 64


def load_in_turns(
    settings: Settings, report: Report, servers: Sequence[Server], cpus: Sequence[int] | None
) -> dict[str, list[Load]]:
    """Load every server once a round, with a short load before the first, which is not counted.

    A server that fails under load is named in the report, and loaded no more.
    """
    seconds = settings.pick(full=5, quick=2)
    loads: dict[str, list[Load]] = {server.label: [] for server in servers}
    failed: set[str] = set()
    for number in range(settings.rounds + 1):
        for server in servers:
            if server.label in failed:
                continue
            try:
                load = wrk(
                    server, seconds=seconds if number else 1, connections=CONNECTIONS, cpus=cpus
                )
            except (CouldNotStartError, ValueError) as failure:
                report.add(f"{server.label}: {failure}")
                failed.add(server.label)
                continue
            if number:
                loads[server.label].append(load)
    return loads


def load_data(loads: Mapping[str, Sequence[Load]]) -> dict[str, Any]:
    """Every figure, for the JSON file."""
    return {
        label: [
            {
                "rate": load.result.rate,
                "p50": load.result.p50,
                "p99": load.result.p99,
                "errors": load.result.errors,
                "server_cpu": load.server_cpu,
                "wrk_cpu": load.wrk_cpu,
            }
            for load in made
        ]
        for label, made in loads.items()
    }


def load_table(loads: Mapping[str, Sequence[Load]], *, mine: str, unit: str) -> str:
    """Rates, how many times each one `mine` is, latencies, errors, processor time of both sides."""
    heads = ["", f"{unit}, median (min-max)", f"{mine} is", "p50", "p99", "errors"]
    heads += ["CPU each", "server CPU", "wrk CPU"]
    own = [load.result.rate for load in loads.get(mine, [])]
    rows = []
    for label, made in loads.items():
        if not made:
            rows.append([label, "absent", *("-" for _ in heads[2:])])
            continue
        rates = [load.result.rate for load in made]
        figures = {
            "{:.2f} ms": [[load.result.p50 for load in made], [load.result.p99 for load in made]],
            "{:.0f}": [[float(load.result.errors) for load in made]],
            "{:.1f} us": [[1e6 * load.server_cpu / load.result.rate for load in made]],
            "{:.0%}": [[load.server_cpu for load in made], [load.wrk_cpu for load in made]],
        }
        rows.append(
            [
                label,
                rate_cell(Spread.of(rates)),
                ratio_cell(ratio(own, rates)) if own and label != mine else "-",
                *(
                    shape.format(Spread.of(values).median)
                    for shape, columns in figures.items()
                    for values in columns
                ),
            ]
        )
    return table(heads, rows)


def load_verdict(
    loads: Mapping[str, Sequence[Load]],
    what: str,
    mine: str,
    theirs: str,
    asked: float,
    *,
    remark: str = "",
) -> Verdict:
    """The ratio of two servers' rates beside the one that is asked for."""
    own = [load.result.rate for load in loads.get(mine, [])]
    other = [load.result.rate for load in loads.get(theirs, [])]
    if not own or not other:
        absent = mine if not own else theirs
        return Verdict(what=what, measured=None, asked=asked, remark=f"{absent} is absent")
    spread = ratio(own, other)
    seen = ratio_remark(own, other)
    return Verdict(
        what=what,
        measured=spread.median,
        asked=asked,
        remark=f"{seen}; {remark}" if remark else seen,
    )
