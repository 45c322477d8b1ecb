"""Test what your colors promise: explore schedules, find races, prove order, replay failures."""

from colorsched.testing.access import benign
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
from colorsched.testing.oracles import Deadlocked
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
from colorsched.testing.races import OrderingLock, Race, RaceDetector
from colorsched.testing.schedule import BadSchedule
from colorsched.testing.shared import Shared, shared
from colorsched.testing.simruntime import SimRuntime
from colorsched.testing.verification import Verdict, verify

__all__ = [
    "BadSchedule",
    "CannotSimulate",
    "Coverage",
    "Deadlocked",
    "Exploration",
    "Faults",
    "History",
    "InjectedFault",
    "Livelock",
    "Model",
    "NeedsObserver",
    "NeverHeld",
    "NoChoice",
    "Nondeterministic",
    "NotLinearizable",
    "Operation",
    "OrderingLock",
    "Promises",
    "Property",
    "PropertyBroken",
    "Race",
    "RaceDetector",
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
    "eventually",
    "explore",
    "happens_before",
    "linearizable",
    "linearized",
    "never_overlap",
    "promise",
    "replay",
    "shared",
    "sometimes",
    "verify",
]
