"""Exploring the runtime itself: real threads, one at a time, in an order that a policy chooses.

A `Stage` gives the doors that a runtime, or a part of one, is built on (``colorsched.ports``).
Whatever its threads do through a door is a point where another may go on: taking and giving back a
lock, sleeping and waking, waiting in the poller, and each single operation on a color's queue and
token and on a worker's ready queue. `explore` goes through every schedule with a bounded number of
departures from the plain one, and says whether it saw all of them; `sample` draws some at random.
A failure carries its choices, and `Again` replays them.

This is for who changes the runtime, or writes an executor. Programs that *use* colors are explored
by ``colorsched.testing.explore``, which has steps of whole callbacks and is far faster.
"""

from colorsched.testing.stage.actors import Actor, ScheduleError, Stage
from colorsched.testing.stage.doors import (
    StageEvent,
    StageLock,
    StageParker,
    StagePoller,
    StageQueue,
    StageToken,
)
from colorsched.testing.stage.explore import Exploration, Verdict, explore, sample
from colorsched.testing.stage.policies import (
    Again,
    ByPriority,
    Exhaustively,
    Policy,
    Randomly,
    UnknownScheduleError,
)
from colorsched.testing.stage.scenes import Scene, misplaced, scene, unfinished

__all__ = [
    "Actor",
    "Again",
    "ByPriority",
    "Exhaustively",
    "Exploration",
    "Policy",
    "Randomly",
    "Scene",
    "ScheduleError",
    "Stage",
    "StageEvent",
    "StageLock",
    "StageParker",
    "StagePoller",
    "StageQueue",
    "StageToken",
    "UnknownScheduleError",
    "Verdict",
    "explore",
    "misplaced",
    "sample",
    "scene",
    "unfinished",
]
