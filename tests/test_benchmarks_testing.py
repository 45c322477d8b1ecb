"""What the benchmark of the testing kit makes of searches, and its colors on tasks and threads."""

from __future__ import annotations

import asyncio
import importlib
import math
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks import findings
    from benchmarks.workloads.testing import on_asyncio, on_threads
else:
    # Last on the path: an installed colorsched must still win over the source tree.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    findings = importlib.import_module("benchmarks.findings")
    on_asyncio = importlib.import_module("benchmarks.workloads.testing.on_asyncio")
    on_threads = importlib.import_module("benchmarks.workloads.testing.on_threads")
    sys.path.pop()


def found(
    name: str,
    number: int | None,
    *,
    seed: int = 0,
    seconds: float = 1.0,
    switches: int | None = None,
) -> Any:
    return findings.Finding(
        name=name, kind="order", seed=seed, number=number, seconds=seconds, switches=switches
    )


def test_the_report_of_a_failure_says_which_schedule_it_was() -> None:
    assert findings.schedule_number("schedule 17 of 1000 (pct2, seed 4) fails: Boom") == 17


def test_a_report_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="names no schedule"):
        findings.schedule_number("the schedule fails: Boom")


def test_a_hunt_counts_bugs_by_the_share_of_the_seeds_that_find_them() -> None:
    hunt = findings.Hunt.of(
        [
            found("a", 1, seconds=0.5, switches=2),
            found("a", 3, seed=1, switches=4),
            found("b", 5, seconds=4.0, switches=9),
            found("b", None, seed=1, seconds=2.0),
        ]
    )
    assert (hunt.bugs, hunt.found, hunt.share) == (2, 1.5, 0.75)
    assert (hunt.first_hit, hunt.seconds, hunt.longest, hunt.switches) == (4, 1.5, 4.0, 4)
    assert hunt.missed == ("b",)


def test_what_most_searches_miss_has_no_first_hit() -> None:
    hunt = findings.Hunt.of([found("a", None), found("b", 4), found("c", None)])
    assert math.isinf(hunt.first_hit)
    assert hunt.cells()[3] == "none"
    assert hunt.switches is None


def test_a_hunt_without_a_search_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to sum up"):
        findings.Hunt.of([])


def test_the_curve_tells_how_many_bugs_a_seed_has_found_by_then() -> None:
    searches = [found("a", 2), found("a", 10, seed=1), found("b", 3), found("b", None, seed=1)]
    assert findings.curve(searches, at=(1, 2, 9, 10)) == [0, 0.5, 1, 1.5]


def test_findings_are_read_from_what_a_child_wrote() -> None:
    written = {"name": "a", "kind": "order", "seed": 2, "number": 7, "seconds": 0.5, "as": "race"}
    assert findings.Finding.read(written) == found("a", 7, seed=2, seconds=0.5)


# -- colors for the peers: each in its own order, the program to its end --------------------------


def order(seen: list[str]) -> Callable[[Any], Callable[[], None]]:
    """Make a program of two colors, whose callbacks post more."""

    def main(rt: Any) -> Callable[[], None]:
        def step(name: str, more: int) -> None:
            seen.append(f"{name}{more}")
            if more:
                rt.color(name).post(step, name, more - 1)

        for name in ("a", "b"):
            rt.color(name).post(step, name, 2)
            rt.color(name).post(step, name, 0)

        def check() -> None:
            seen.append("check")

        return check

    return main


def in_order(seen: list[str]) -> bool:
    each = [[said for said in seen if said[0] == name] for name in "ab"]
    return each == [[f"{name}{more}" for more in (2, 0, 1, 0)] for name in "ab"]


def test_colors_on_tasks_keep_their_orders_and_the_check_comes_last() -> None:
    seen: list[str] = []
    asyncio.run(on_asyncio.play(order(seen), rest=0))
    assert in_order(seen[:-1])
    assert seen[-1] == "check"


def test_on_tasks_submitted_coroutines_hold_their_color_and_spawned_ones_do_not() -> None:
    for way, expected in (
        ("submit", ["begin", "end", "next"]),
        ("spawn", ["begin", "next", "end"]),
    ):
        seen: list[str] = []

        def main(rt: Any, way: str = way, seen: list[str] = seen) -> None:
            async def work() -> int:
                seen.append("begin")
                await rt.color("other").submit(int)
                seen.append("end")
                return 5

            color = rt.color("own")
            color.spawn(work()) if way == "spawn" else color.submit(work)
            color.post(seen.append, "next")

        asyncio.run(on_asyncio.play(main, rest=0))
        assert seen == expected, way


def test_what_a_callback_raises_ends_the_program_on_tasks() -> None:
    def main(rt: Any) -> None:
        rt.color("a").post([].pop)

    with pytest.raises(IndexError):
        asyncio.run(on_asyncio.play(main, rest=0))


def test_what_is_cancelled_on_tasks_does_not_run() -> None:
    seen: list[str] = []

    def main(rt: Any) -> None:
        assert rt.color("a").post(seen.append, "posted").cancel()
        rt.color("a").call_at(rt.time(), seen.append, "timer").cancel()
        assert rt.color("a").submit(seen.append, "submitted").cancel()

    asyncio.run(on_asyncio.play(main, rest=0))
    assert seen == []


def on_real_threads(main: Callable[[Any], Any]) -> Any:
    colors = on_threads.ThreadColors(main, on_threads.keys_of(main))
    threads = [threading.Thread(target=color.work) for color in colors.colors.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return colors


def test_colors_on_threads_keep_their_orders_and_the_check_comes_last() -> None:
    seen: list[str] = []
    main = order(seen)
    named = on_threads.keys_of(main)
    assert named == ["a", "b"]
    seen.clear()
    colors = on_threads.ThreadColors(main, named)
    threads = [threading.Thread(target=color.work) for color in colors.colors.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_order(seen)
    assert colors.right()
    assert seen[-1] == "check"


def test_what_threads_have_no_counterpart_for_is_named() -> None:
    async def work(_: Any = None) -> None:
        pass

    def submits(rt: Any) -> None:
        rt.color("a").submit(work)

    def waits(rt: Any) -> None:
        rt.color("a").call_at(0.0, int)

    colors = on_real_threads(submits)
    assert not colors.right()
    assert str(colors.error) == "coroutines"
    with pytest.raises(on_threads.NoCounterpart, match="timers"):
        on_threads.ThreadColors(waits, ["a"])
    with pytest.raises(on_threads.NoCounterpart, match="coroutines"):
        on_threads.keys_of(work)
