"""Programs that Hypothesis makes up, larger than those of the conformance suite, on real threads.

The suite itself runs in `tests/testing/test_conformance.py`, where faults are planted too.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from colorsched import Runtime
from colorsched.testing.conformance import Program, Recorder, check, run
from colorsched.testing.conformance.actions import keys
from colorsched.testing.conformance.programs import programs
from colorsched.testing.conformance.running import exception_handler

COLORS = 6

# Without shrinking: what threads did once they rarely do again, and each try takes its time.
on_threads = settings(phases=[Phase.explicit, Phase.reuse, Phase.generate])


def keeps_the_contract(program: Program, workers: int) -> None:
    recorder = Recorder()
    with Runtime(workers, exception_handler=exception_handler(recorder)) as rt:
        run(program, rt, recorder, keys(COLORS))
    check(recorder.events)


@on_threads
@given(programs(colors=COLORS), st.integers(3, 4))
def test_more_workers_than_the_suite_has(program: Program, workers: int) -> None:
    keeps_the_contract(program, workers)


@pytest.mark.slow
@settings(on_threads, max_examples=2 * settings().max_examples)
@given(programs(colors=COLORS, posters=4), st.integers(1, 4))
def test_larger_programs(program: Program, workers: int) -> None:
    keeps_the_contract(program, workers)


def test_residue_is_seen() -> None:
    with Runtime(1) as rt:
        color: Any = rt.color("kept")
        assert rt.drain()
        assert rt.stats().colors == 2
        del color
        assert rt.stats().colors == 1
