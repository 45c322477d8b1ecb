"""Run workloads in fresh processes, in turns (A B C, A B C, …), and keep what they measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen

from benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.machine import Interpreter

CHILD_TIMEOUT = 180.0
"""Seconds a child may take before it is ended and named as timed out."""


@frozen
class Case:
    """One workload on one runtime."""

    label: str
    workload: str
    """``module:function``, below ``benchmarks.workloads``."""
    arguments: Mapping[str, Any] = Factory(dict)


@define
class Outcome:
    """What the runs of a case gave: one answer a round, or why there is none."""

    case: Case
    answers: list[dict[str, Any]] = Factory(list)
    absent: str | None = None

    @property
    def rates(self) -> list[float]:
        """Units of work a second, one a round."""
        return [answer["count"] / answer["seconds"] for answer in self.answers]


def run_child(
    interpreter: Interpreter, dependencies: Path, case: Case, *, cpus: Sequence[int] | None = None
) -> dict[str, Any]:
    """Run `case` once in a fresh process and return its answer.

    Everything the child started ends with it: it leads a process group of its own, and the group is
    killed afterwards. A child that fails or hangs answers ``{"absent": reason}``, so that the other
    figures still come out.
    """
    environment = dict(os.environ)
    environment["PYTHONHASHSEED"] = "0"  # stripes by hash(key) fall alike in every run
    # Also for what a child starts: subinterpreters and processes don't get its ``sys.path``.
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    if os.path.realpath(interpreter.path) != os.path.realpath(sys.executable):
        paths = [str(ROOT), str(dependencies)]
        environment.pop("VIRTUAL_ENV", None)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [
        interpreter.path,
        "-m",
        "benchmarks.child",
        f"benchmarks.workloads.{case.workload}",
        json.dumps(dict(case.arguments)),
    ]
    if cpus is not None:
        command = ["taskset", "-c", ",".join(map(str, cpus)), *command]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=CHILD_TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"absent": f"did not end within {CHILD_TIMEOUT:.0f} s"}
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    if process.returncode != 0:
        last = (errors.strip().splitlines() or ["no message"])[-1]
        return {"absent": f"failed (exit status {process.returncode}): {last}"}
    answer: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return answer


def take_turns(
    interpreter: Interpreter,
    dependencies: Path,
    cases: Sequence[Case],
    *,
    rounds: int,
    cpus: Sequence[int] | None = None,
) -> dict[str, Outcome]:
    """Run every case once a round, in the order given, and return the outcomes by label.

    A case that is absent once is left out of the further rounds.
    """
    outcomes = {case.label: Outcome(case=case) for case in cases}
    if len(outcomes) != len(cases):
        raise ValueError("two cases of one comparison carry the same label")
    for number in range(rounds):
        for case in cases:
            outcome = outcomes[case.label]
            if outcome.absent is not None:
                continue
            _progress(f"round {number + 1}/{rounds}: {case.label}")
            answer = run_child(interpreter, dependencies, case, cpus=cpus)
            if "absent" in answer:
                outcome.absent = answer["absent"]
                outcome.answers.clear()
            else:
                outcome.answers.append(answer)
    _progress("")
    return outcomes


def _progress(text: str) -> None:
    """One line on a terminal that the next one overwrites; nothing where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text[:100]}")
        sys.stderr.flush()
