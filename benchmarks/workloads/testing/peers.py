"""The corpus under other tools, on what their model has in the place of colors."""

from __future__ import annotations

import importlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.workloads.testing.on_asyncio import play
from benchmarks.workloads.testing.on_threads import NoCounterpart, ThreadColors, keys_of
from benchmarks.workloads.testing.specimens import specimens
from colorsched.testing.simruntime import MOST_STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

#: So many schedules of the fixed program, or so many seconds, tell whether it fits a tool's model.
TRIALS = 50
TRIAL_SECONDS = 3.0


def simloom(
    *, kind: str, scheduler: str | None, seeds: int, schedules: int, seconds: float
) -> dict[str, Any]:
    """Search with simloom: a color is an asyncio queue and the task that empties it."""
    tool = importlib.import_module("simloom")

    def explore(main: Callable[[Any], Any], runs: int, seed: int) -> Any:
        first = seed * 1_000_003
        end = time.perf_counter() + seconds
        number = 0
        # In parts, since it knows no limit of time.
        while number < runs and time.perf_counter() < end:
            part = min(100, runs - number)
            explored = tool.explore(
                lambda: play(main),
                runs=part,
                start_seed=first + number,
                scheduler=scheduler,
                max_steps_per_instant=MOST_STEPS,
            )
            number += explored.runs
            if explored.failed:
                return number, explored.failures[0].error
        return None, None

    findings = []
    unfit = {}
    for one in specimens(kind=kind):
        if one.expects == "race" and not one.also:
            unfit[one.name] = "needs a race detector"
            continue
        _, alarm = explore(one.fixed, TRIALS, 0)
        if alarm is not None:
            unfit[one.name] = f"the fixed program fails: {alarm}"
            continue
        for seed in range(seeds):
            begin = time.perf_counter()
            number, error = explore(one.buggy, schedules, seed)
            findings.append(
                {
                    "name": one.name,
                    "kind": kind,
                    "seed": seed,
                    "number": number,
                    "as": error,
                    "seconds": time.perf_counter() - begin,
                }
            )
    return {"findings": findings, "unfit": unfit}


def frontrun(*, name: str, schedules: int, seconds: float) -> dict[str, Any]:
    """Search with frontrun's DPOR: a color is a thread with a queue. It draws nothing: one seed."""
    importlib.import_module("frontrun")
    # As its command line would; before the adapter makes a lock.
    importlib.import_module("frontrun._cooperative").patch_locks()
    findings = []
    unfit = {}
    for one in specimens(name=name):
        # It now and then takes the adapter's own work for a race: only where one is looked for.
        races = "race" in {one.expects, *one.also}
        try:
            alarm = _frontrun(one.fixed, schedules, min(seconds, TRIAL_SECONDS), races=races).said
        except Exception as error:  # noqa: BLE001 - it says why the program does not fit
            alarm = f"{type(error).__name__}: {error}"
        if alarm is not None:
            unfit[one.name] = alarm
            continue
        begin = time.perf_counter()
        found = _frontrun(one.buggy, schedules, seconds, races=races)
        findings.append(
            {
                "name": one.name,
                "kind": one.kind,
                "seed": 0,
                "number": found.number,
                "as": found.said,
                "explored": found.explored,
                "seconds": time.perf_counter() - begin,
            }
        )
    return {"findings": findings, "unfit": unfit}


class _Explored(NamedTuple):
    number: int | None
    """The execution that failed."""
    explored: int
    said: str | None
    """What was wrong, or why it can't be said."""


def _frontrun(
    main: Callable[[Any], Any], executions: int, seconds: float, *, races: bool
) -> _Explored:
    tool = importlib.import_module("frontrun")
    try:
        keys = keys_of(main)
    except NoCounterpart as missing:
        return _Explored(None, 0, f"needs {missing}")
    made: list[ThreadColors] = []

    def setup() -> ThreadColors:
        made[:] = [ThreadColors(main, keys)]
        return made[0]

    result = tool.explore(
        setup=setup,
        workers=[partial(_work, key=key) for key in keys],
        invariant=ThreadColors.right,
        max_executions=executions,
        total_timeout=seconds,
        error_on_any_race=races,
        detect_io=False,
        reproduce_on_failure=0,
    )
    if result.property_holds:
        return _Explored(None, result.num_explored, None)
    error = made[0].error if made else None
    if isinstance(error, NoCounterpart):
        return _Explored(None, result.num_explored, f"needs {error}")
    if result.property_holds is None:
        return _Explored(None, result.num_explored, f"inconclusive: {result.inconclusive_reason}")
    if error is not None:
        said = f"{type(error).__name__}: {error}"
    else:
        said = (result.explanation or "fails").strip().splitlines()[0]
    return _Explored(result.num_explored, result.num_explored, said)


def _work(colors: ThreadColors, *, key: Any) -> None:
    colors.colors[key].work()
