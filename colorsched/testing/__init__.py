"""Test what your colors promise: explore schedules, find races, prove the order, replay failures."""

from colorsched.testing.errors import CannotSimulate, Livelock, Stalled, TestingError
from colorsched.testing.exploration import (
    Exploration,
    NoChoice,
    Nondeterministic,
    ScheduleFailed,
    explore,
    replay,
)
from colorsched.testing.races import Race, RaceDetector
from colorsched.testing.schedule import BadSchedule
from colorsched.testing.shared import Shared, shared
from colorsched.testing.simruntime import SimRuntime

__all__ = [
    "BadSchedule",
    "CannotSimulate",
    "Exploration",
    "Livelock",
    "NoChoice",
    "Nondeterministic",
    "Race",
    "RaceDetector",
    "ScheduleFailed",
    "Shared",
    "SimRuntime",
    "Stalled",
    "TestingError",
    "explore",
    "replay",
    "shared",
]
