"""What a slot costs: its start, one call there and back, memory; what each way of travel costs."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.workloads.slots import nothing, pool, started

KINDS = {"Rss": "resident", "Pss": "proportional", "Private_Clean": "own", "Private_Dirty": "own"}
"""Lines of smaps_rollup. Proportional: a page that n processes share counts for 1/n in each."""


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has ended since
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def sizes() -> dict[str, int]:
    """Memory of this process and its descendants together, in bytes."""
    total = dict.fromkeys(KINDS.values(), 0)
    for pid in family(os.getpid()):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines[1:]:
            name, _, rest = line.partition(":")
            if name in KINDS:
                total[KINDS[name]] += int(rest.split()[0]) * 1024
    return total


def memory(*, executor: str, workers: int) -> dict[str, Any]:
    """The whole family's sizes with so many slots, each of which has run something."""
    with started(executor, workers):
        return {"count": workers, "seconds": 0.0, **sizes()}


def start(*, executor: str) -> dict[str, float]:
    """From making the runtime to the first result."""
    from colorsched import Runtime

    begin = time.perf_counter()
    with Runtime(executor=executor, workers=1) as runtime:
        runtime.color("a").submit(nothing).result()
        return {"count": 1, "seconds": time.perf_counter() - begin}


def _round_trips(call: Any, *, calls: int) -> dict[str, float]:
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return {"count": 1, "seconds": statistics.median(times)}


def round_trip(*, executor: str, calls: int) -> dict[str, float]:
    """One callback submitted and its result waited for, again and again; the median."""
    with started(executor, 1) as runtime:
        color = runtime.color("a")
        return _round_trips(lambda: color.submit(nothing).result(), calls=calls)


def round_trip_pool(*, calls: int) -> dict[str, float]:
    """The same by concurrent.futures' processes."""
    with pool(1) as executor:
        return _round_trips(lambda: executor.submit(nothing).result(), calls=calls)


def with_arguments(_number: int, _name: str, *, ready: bool) -> bool:
    """A callback of three arguments and a result, all of which travel."""
    return ready


def travel(*, way: str, items: int, arguments: bool) -> dict[str, float]:
    """Callbacks by one way of travel, on slots that are threads: only these can have all ways."""
    from colorsched import Runtime, slots

    if way == "cloudpickle":
        importlib.import_module(way)  # an extra: where it is missing, the child says so
    lanes = slots([lambda: ThreadPoolExecutor(1)] * 2)
    with Runtime(executor=lanes, travel=way) as runtime:
        colors = [runtime.color(number) for number in range(100)]
        cpu, begin = time.process_time(), time.perf_counter()
        if arguments:
            for number in range(items):
                colors[number % 100].submit(with_arguments, number, "account:42", ready=True)
        else:
            for number in range(items):
                colors[number % 100].submit(nothing)
        runtime.drain()
        seconds = time.perf_counter() - begin
        return {"count": items, "seconds": seconds, "cpu": time.process_time() - cpu}
