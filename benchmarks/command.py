"""The command: ``python -m benchmarks`` runs every group and prints ratios beside their targets."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import (
    FREE_THREADED_VARIABLE,
    INTERPRETERS_VARIABLE,
    free_threaded,
    machine_line,
    shared_dependencies,
    this_interpreter,
    with_interpreters,
)
from benchmarks.plots import plot_curves
from benchmarks.servers import raise_descriptor_limit
from benchmarks.settings import Settings
from benchmarks.tables import VERDICT_HEADS, Verdict, table

GROUPS = {
    "scheduling": "scheduling",
    "scaling": "scaling",
    "cores": "cores",
    "asyncio": "asyncio_server",
    "web": "web",
    "order": "order",
    "memory": "memory",
    "stress": "stress",
    "model": "model",
    "slots": "slots",
    "testing": "testing_corpus",
    "testing-peers": "testing_peers",
    "testing-speed": "testing_speed",
}
"""Names on the command line, and the module of each below ``benchmarks.groups``."""


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures colorsched beside its peers, in turns, and prints the ratios. "
        "Nothing here fails for being slow: a missed target is printed as missed.",
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, three rounds")
    parser.add_argument(
        "--only", metavar="GROUPS", help=f"some of {','.join(GROUPS)}, comma-separated"
    )
    parser.add_argument("--rounds", type=int, help="how often each case runs (5; 3 with --quick)")
    parser.add_argument(
        "--python",
        metavar="PATH",
        help="the free-threaded interpreter for what needs one; otherwise "
        f"${FREE_THREADED_VARIABLE}, this interpreter, or one on PATH",
    )
    parser.add_argument(
        "--python314",
        metavar="PATH",
        help="the interpreter for slots that are subinterpreters, 3.14 or newer; otherwise "
        f"${INTERPRETERS_VARIABLE}, this interpreter, or one on PATH",
    )
    parser.add_argument("--json", metavar="FILE", help="write every single figure there")
    parser.add_argument("--plot", metavar="FILE", help="draw the curves there, with matplotlib")
    chosen = parser.parse_args(words)
    chosen.groups = list(GROUPS)
    if chosen.only:
        chosen.groups = [name.strip() for name in chosen.only.split(",")]
        unknown = [name for name in chosen.groups if name not in GROUPS]
        if unknown:
            parser.error(f"no group {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if chosen.rounds is not None and chosen.rounds < 1:
        parser.error(f"--rounds is at least 1, not {chosen.rounds}")
    return chosen


def main(words: list[str] | None = None) -> int:
    """Run the groups asked for."""
    chosen = arguments(words)
    # A benchmark that is ended ends its servers: SIGTERM unwinds like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_descriptor_limit()
    here = this_interpreter()
    free = free_threaded(chosen.python)
    newer = with_interpreters(chosen.python314)
    begin = time.monotonic()
    print(f"machine: {machine_line()}")
    print(f"interpreter: {here.label}")
    print(f"free-threaded: {free.version + ' at ' + free.path if free else 'none found'}")
    print(f"subinterpreters: {newer.version + ' at ' + newer.path if newer else 'none found'}")
    print("medians of runs that took turns, each in a fresh process; in brackets the extremes")
    verdicts: list[Verdict] = []
    everything: dict[str, Any] = {
        "machine": machine_line(),
        "interpreter": here.label,
        "free_threaded": free.label if free else None,
        "interpreters": newer.label if newer else None,
        "quick": chosen.quick,
    }
    with shared_dependencies() as dependencies:
        settings = Settings(
            quick=chosen.quick,
            rounds=chosen.rounds or (3 if chosen.quick else 5),
            here=here,
            free_threaded=free,
            interpreters=newer,
            dependencies=dependencies,
        )
        for name in chosen.groups:
            report = importlib.import_module(f"benchmarks.groups.{GROUPS[name]}").run(settings)
            print(f"\n{report.title}\n{'=' * len(report.title)}")
            for section in report.sections:
                print(f"\n{section}")
            if report.verdicts:
                print(f"\n{table(VERDICT_HEADS, [found.cells() for found in report.verdicts])}")
            sys.stdout.flush()
            verdicts += report.verdicts
            everything[name] = report.data
    if len(chosen.groups) > 1:
        print("\nAll targets\n===========\n")
        print(table(VERDICT_HEADS, [found.cells() for found in verdicts]))
    print(f"\n{time.monotonic() - begin:.0f} s")
    everything["targets"] = [found.cells() for found in verdicts]
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(everything, indent=1), encoding="utf-8")
    if chosen.plot:
        print(plot_curves(everything, Path(chosen.plot)))
    return 0
