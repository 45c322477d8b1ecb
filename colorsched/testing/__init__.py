"""Test what your colors promise: explore schedules, find races, prove order, replay failures."""

import importlib
from typing import TYPE_CHECKING, Any

from colorsched.testing.access import benign
from colorsched.testing.conforms import ConformanceMonitor, conforms
from colorsched.testing.coverage import Coverage
from colorsched.testing.errors import CannotSimulate, Livelock, Stalled, TestingError
from colorsched.testing.exploration import (
    Exploration,
    NeverHeld,
    NoChoice,
    Nondeterministic,
    ScheduleFailed,
    explore,
    replay,
)
from colorsched.testing.faults import Faults, InjectedFault
from colorsched.testing.history import History, Operation
from colorsched.testing.linearizability import NotLinearizable, Undecided, by_key, linearizable
from colorsched.testing.models import Model
from colorsched.testing.network import Network
from colorsched.testing.oracles import Deadlocked
from colorsched.testing.ordering import OrderingLock
from colorsched.testing.orders import happens_before, linearized, never_overlap
from colorsched.testing.properties import (
    NeedsObserver,
    Promises,
    Property,
    PropertyBroken,
    always,
    eventually,
    promise,
    sometimes,
)
from colorsched.testing.pytesting import color_test
from colorsched.testing.races import Race, RaceDetector
from colorsched.testing.rewrite import instrument, unobserved
from colorsched.testing.schedule import BadSchedule
from colorsched.testing.shared import Shared, shared
from colorsched.testing.simruntime import SimRuntime
from colorsched.testing.trace import Recorder, read_trace, recorded
from colorsched.testing.trace_report import NotConforming
from colorsched.testing.verification import Verdict, verify

if TYPE_CHECKING:
    from colorsched.testing.conformance.programs import programs
    from colorsched.testing.given import schedules
    from colorsched.testing.machine import ColorStateMachine, rule
from colorsched.testing.unmet import NoFault

__all__ = [
    "BadSchedule",
    "CannotSimulate",
    "ColorStateMachine",
    "ConformanceMonitor",
    "Coverage",
    "Deadlocked",
    "Exploration",
    "Faults",
    "History",
    "InjectedFault",
    "Livelock",
    "Model",
    "NeedsObserver",
    "Network",
    "NeverHeld",
    "NoChoice",
    "NoFault",
    "Nondeterministic",
    "NotConforming",
    "NotLinearizable",
    "Operation",
    "OrderingLock",
    "Promises",
    "Property",
    "PropertyBroken",
    "Race",
    "RaceDetector",
    "Recorder",
    "ScheduleFailed",
    "Shared",
    "SimRuntime",
    "Stalled",
    "TestingError",
    "Undecided",
    "Verdict",
    "always",
    "benign",
    "by_key",
    "color_test",
    "conforms",
    "eventually",
    "explore",
    "happens_before",
    "instrument",
    "linearizable",
    "linearized",
    "never_overlap",
    "programs",
    "promise",
    "read_trace",
    "recorded",
    "replay",
    "rule",
    "schedules",
    "shared",
    "sometimes",
    "unobserved",
    "verify",
]

#: What needs Hypothesis, and is imported when it is asked for.
_WITH_HYPOTHESIS = {
    "ColorStateMachine": "machine",
    "programs": "conformance.programs",
    "rule": "machine",
    "schedules": "given",
}


def __getattr__(name: str) -> Any:
    module = _WITH_HYPOTHESIS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ImportError(
            f"colorsched.testing.{name} needs Hypothesis: install the extra, colorsched[testing]"
        ) from error
