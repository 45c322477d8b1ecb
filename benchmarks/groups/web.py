"""Cached hits of 1 KiB: colorsched serve beside nginx and Varnish; memory of idle connections."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.arithmetic import human_bytes
from benchmarks.groups.loads import (
    CONNECTIONS,
    load_data,
    load_in_turns,
    load_table,
    load_verdict,
)
from benchmarks.groups.report import Report
from benchmarks.load import assert_hit, idle_connections
from benchmarks.machine import cores
from benchmarks.servers import (
    CouldNotStartError,
    Server,
    colorsched_serve,
    nginx,
    protocol,
    running,
    varnish,
)
from benchmarks.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from benchmarks.settings import Settings

IDLE = 10_000
MINE = "colorsched serve"


def run(settings: Settings) -> Report:
    """Start every cache before one origin, load them in turns, then weigh idle connections."""
    report = Report(name="web", title=f"Cached hits, 1 KiB, {CONNECTIONS} keep-alive connections")
    apart = len(cores()) > 1
    mine = cores()[:1] if apart else None
    others = cores()[1:] if apart else None
    with ExitStack() as stack:
        origin = stack.enter_context(
            protocol("origin", settings.here, settings.dependencies, [], cpus=others)
        )
        caches = _start(
            report,
            stack,
            {
                "nginx": nginx(origin, cpus=mine),
                MINE: colorsched_serve(origin, settings.here, settings.dependencies, cpus=mine),
                "Varnish": varnish(origin, cpus=mine),
            },
            caching=True,
        )
        scale = _start(
            report,
            stack,
            {
                label: running(label, [settings.here.path, "-m", *words], cpus=mine)
                for label, words in (
                    ("no cache, no parsing", ["benchmarks.protocol_server"]),
                    ("uvicorn, no cache", ["benchmarks.framework_server", "uvicorn"]),
                    ("aiohttp, no cache", ["benchmarks.framework_server", "aiohttp"]),
                )
            },
            caching=False,
        )
        loads = load_in_turns(settings, report, [*caches, *scale], others)
        report.data["hits"] = load_data(loads)
        report.add(
            f"{settings.here.label}; each server on one core, wrk (one thread) and the",
            "origin on the other; answers are checked to be hits; nginx: proxy_cache on a memory",
            "file system, one worker, access log off; no cache, no parsing: an asyncio protocol",
            "that answers anything; CPU each: the server's processor time for a request",
            load_table(loads, mine=MINE, unit="hits/s"),
        )
        report.verdicts.append(
            load_verdict(loads, "cached hits / nginx", MINE, "nginx", 0.8, remark="aim: pass it")
        )
        _idle(report, caches)
    return report


def _start(
    report: Report,
    stack: ExitStack,
    starters: dict[str, AbstractContextManager[Server]],
    *,
    caching: bool,
) -> list[Server]:
    """Enter every server that comes up; name the others."""
    servers = []
    for label, starter in starters.items():
        try:
            server = stack.enter_context(starter)
            if caching:
                assert_hit(server)
        except (CouldNotStartError, RuntimeError, OSError) as failure:
            report.add(f"absent: {label}: {failure}")
        else:
            servers.append(server)
    return servers


def _idle(report: Report, servers: Sequence[Server]) -> None:
    rows = []
    for server in servers:
        try:
            before, with_them = idle_connections(server, count=IDLE)
        except (OSError, RuntimeError) as failure:
            report.add(f"{server.label}, {IDLE:,} idle connections: {failure}")
            continue
        report.data[f"idle: {server.label}"] = {"before": before, "with": with_them}
        rows.append(
            [
                server.label,
                human_bytes(before),
                human_bytes(with_them),
                human_bytes((with_them - before) / IDLE),
            ]
        )
    report.add(
        "resident memory of all its processes, after the load above,",
        f"and with {IDLE:,} idle connections, each used once",
        table(["", "before", "with them", "for each"], rows),
    )
