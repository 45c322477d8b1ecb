"""One conformance suite of the ordering contract, which every executor must pass.

Subclass `Conformance` in a test module and say how to make the runtime::

    from colorsched import Runtime
    from colorsched.testing.conformance import Conformance


    class TestThreads(Conformance):
        def make_runtime(self, **options):
            return Runtime(workers=2, **options)

pytest then runs one or more tests for each of the eight points of the contract
(``docs/reference/contract.md``): small scenes, and programs drawn by Hypothesis (the extra
``testing``). A failure is a `ContractError` that names the point. What an executor cannot do, it
says in class attributes; see `Conformance`.

The parts are there for other uses: ``conformance.programs`` draws programs, `run` runs one and
records what happens, `check` holds the record against the contract, from the events alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colorsched.testing.conformance.actions import Cancel, Program, Raise, Start
from colorsched.testing.conformance.checker import ContractError, Point, check
from colorsched.testing.conformance.record import Event, Recorder
from colorsched.testing.conformance.running import PlannedError, run

if TYPE_CHECKING:
    from colorsched.testing.conformance.suite import Conformance

__all__ = [
    "Cancel",
    "Conformance",
    "ContractError",
    "Event",
    "PlannedError",
    "Point",
    "Program",
    "Raise",
    "Recorder",
    "Start",
    "check",
    "run",
]


def __getattr__(name: str) -> Any:
    # The suite needs Hypothesis; the checker does not, and is used without it.
    if name == "Conformance":
        from colorsched.testing.conformance.suite import Conformance

        return Conformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
