"""What one access costs in a tight loop, by the instrument that sees it, beside one not seen."""

from __future__ import annotations

import importlib
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from attrs import define

from colorsched import Runtime
from colorsched.testing import RaceDetector, Shared, instrument, shared

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS = "benchmarks.workloads.testing.loops"


@shared
@define
class Point:
    """Has a field."""

    x: int = 0


def looped(*, instrument_by: str, loop: str, times: int) -> dict[str, Any]:
    """Run a loop in a callback of a runtime with a race detector.

    `instrument_by` is `nothing`, `hand` (a class that is @shared, a container in a Shared) or
    `import` (the loop's module is rewritten).
    """
    with instrument(LOOPS) if instrument_by == "import" else nullcontext():
        loops = importlib.import_module(LOOPS)
    run: Callable[[Any, int], None] = getattr(loops, loop)
    if instrument_by == "hand":
        target: Any = Shared({"x": 0}).value if loop == "items" else Point()
    else:
        target = {"x": 0} if loop == "items" else loops.Point()

    def timed() -> float:
        run(target, times // 10)
        begin = time.perf_counter()
        run(target, times)
        return time.perf_counter() - begin

    with Runtime(workers=1, observer=RaceDetector()) as rt:
        seconds = rt.color("red").submit(timed).result()
    return {"count": times * loops.ACCESSES, "seconds": seconds}
