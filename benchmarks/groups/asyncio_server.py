"""The same asyncio protocol on asyncio's own loop and in colors, loaded by wrk."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.arithmetic import Spread
from benchmarks.groups.loads import (
    CONNECTIONS,
    load_data,
    load_in_turns,
    load_table,
    load_verdict,
)
from benchmarks.groups.report import Report
from benchmarks.groups.scaling import iterations_per_microsecond
from benchmarks.machine import cores
from benchmarks.servers import CouldNotStartError, protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.load import Load
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings

ASYNCIO = "asyncio"
ONE = "colors, 1 worker"
TWO = "colors, 2 workers"
UNIT = "requests/s"


def run(settings: Settings) -> Report:
    """One worker beside asyncio's loop; two on the free-threaded build; a hop more."""
    report = Report(
        name="asyncio",
        title=f"The same asyncio protocol server, wrk with {CONNECTIONS} connections",
    )
    _one_worker(settings, report)
    _two_workers(settings, report)
    _hops(settings, report)
    return report


def _one_worker(settings: Settings, report: Report) -> None:
    ways = {
        ASYNCIO: ["--on", "asyncio"],
        ONE: ["--on", "colors"],
        "one color": ["--on", "one-color"],
        "uvloop (compiled)": ["--on", "uvloop"],
    }
    loads = _load(settings, report, settings.here, ways, pin=True)
    report.add(
        f"no work for a request ({settings.here.label}); server on one core, wrk on the rest;",
        "one color: asyncio's create_server unchanged; colors: each connection a color of its own",
        load_table(loads, mine=ONE, unit=UNIT),
    )
    report.verdicts.append(
        load_verdict(loads, "protocol server, 1 worker / asyncio", ONE, ASYNCIO, 0.95)
    )


def _two_workers(settings: Settings, report: Report) -> None:
    interpreter = settings.free_threaded
    if interpreter is None:
        report.add("No free-threaded interpreter was found, so two workers were not measured.")
        return
    iterations = str(round(100 * iterations_per_microsecond(settings, interpreter)))
    ways = {
        ASYNCIO: ["--on", "asyncio", "--iterations", iterations],
        ONE: ["--on", "colors", "--iterations", iterations],
        TWO: ["--on", "colors", "--workers", "2", "--iterations", iterations],
    }
    loads = _load(settings, report, interpreter, ways, pin=False)
    report.add(
        f"100 us of Python for each request ({interpreter.label}); nothing pinned:",
        f"wrk takes its share of the same {len(cores())} cores",
        load_table(loads, mine=TWO, unit=UNIT),
    )
    report.verdicts.append(
        load_verdict(loads, "protocol server, 2 workers, 100 us / asyncio", TWO, ASYNCIO, 1.75)
    )


def _hops(settings: Settings, report: Report) -> None:
    ways = {
        "no hop": ["--on", "colors"],
        "by dispatch": ["--on", "colors", "--hop", "dispatch"],
        "by post": ["--on", "colors", "--hop", "post"],
    }
    loads = _load(settings, report, settings.here, ways, pin=True)
    report.add(
        "one more colored hop for each request: the key's color is asked by dispatch,",
        "or by post and posted back",
        load_table(loads, mine="by dispatch", unit=UNIT),
    )
    times = {
        label: Spread.of([1e6 * load.server_cpu / load.result.rate for load in made]).median
        for label, made in loads.items()
        if made
    }
    if len(times) == len(ways):
        base = times.pop("no hop")
        report.add(
            *(
                f"{label}: {time - base:+.1f} us of the server's processor time a request"
                for label, time in times.items()
            )
        )


def _load(
    settings: Settings,
    report: Report,
    interpreter: Interpreter,
    ways: Mapping[str, Sequence[str]],
    *,
    pin: bool,
) -> dict[str, list[Load]]:
    """Start the protocol server in every way, then load them in turns."""
    apart = pin and len(cores()) > 1
    with ExitStack() as stack:
        servers = []
        for label, arguments in ways.items():
            start = protocol(
                label,
                interpreter,
                settings.dependencies,
                arguments,
                cpus=cores()[:1] if apart else None,
            )
            try:
                servers.append(stack.enter_context(start))
            except CouldNotStartError as failure:
                report.add(f"absent: {label}: {failure}")
        loads = load_in_turns(settings, report, servers, cores()[1:] if apart else None)
    report.data[f"{interpreter.label}: {', '.join(ways)}"] = load_data(loads)
    return {label: loads.get(label, []) for label in ways}
