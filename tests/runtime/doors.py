"""Controllable doors: real threads of which one runs at a time, in an order that a policy chooses.

A runtime (or a part of it) is built on `Stage.doors()`. Whatever its threads do through a door is
a point where the stage may let another thread go on: taking and giving back a lock, sleeping and
waking, waiting in the poller, and each single operation on a color's queue and token and on a
worker's ready queue. A policy chooses who goes on: at random from a seed, every way there is with
a bounded number of departures from the plain one, or as in a run before. The clock is virtual: it
goes on only when nobody can, to the earliest timeout. Before it does, the stage asks whether work
lies there that somebody who sleeps should be doing; that, and that all are blocked for ever, is
the failure.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, Self

from attrs import Factory, define, field

from colorsched.ports import Doors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: More steps than any scenario takes: who takes more runs in circles.
MOST_STEPS = 20_000

#: How long, in real seconds, a thread of the stage may run between two doors. Only a bug in a test
#: (something that blocks other than through a door) takes that long.
PATIENCE_SECONDS = 60.0


class Aborted(BaseException):
    """Ends the threads of a scenario that has failed."""


class ScheduleError(AssertionError):
    """What a schedule brought to light, and how to see it again."""


class Policy(Protocol):
    """Chooses who goes on."""

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        """The place, in ``able``, of the actor that goes on. Actors are numbered as they started.

        With ``preempts`` the first one is the one that ran last, and to choose another takes its
        turn away; without, that one could not go on anyway.
        """
        ...


@define
class Randomly:
    """Takes a turn away now and then, with some seeds often, with others rarely.

    The same seed does it at the same points.
    """

    seed: int
    _random: random.Random = field(init=False)
    _chance: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._chance = self._random.choice((0.02, 0.1, 0.3))

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        if preempts:
            if self._random.random() >= self._chance:
                return 0
            return self._random.randrange(1, len(able))
        return self._random.randrange(len(able))


@define
class ByPriority:
    """The actor of the highest priority goes on.

    Priorities are random, and at a few random points the one that runs becomes the last of all. It
    finds what needs one thread to be very slow. (It is PCT: Burckhardt and others, ASPLOS 2010.)
    """

    seed: int
    _random: random.Random = field(init=False)
    _priority: dict[int, float] = Factory(dict)
    _changes: list[int] = field(init=False)
    _at: int = 0

    def __attrs_post_init__(self) -> None:
        self._random = rolls = random.Random(self.seed)
        length = 2 ** rolls.uniform(3, 9)
        self._changes = [int(rolls.random() * length) for _ in range(3)]

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        priority = self._priority
        for actor in able:
            if actor not in priority:
                priority[actor] = self._random.random()
        self._at += 1
        if preempts and self._at in self._changes:
            priority[able[0]] = -float(self._at)
        return max(range(len(able)), key=lambda place: priority[able[place]])


@define
class Again:
    """Replays the choices of a run before, and lets everybody go on where they end."""

    choices: Sequence[int]
    _at: int = 0

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        at, self._at = self._at, self._at + 1
        return min(self.choices[at], len(able) - 1) if at < len(self.choices) else 0


@define
class _Branch:
    choice: int
    count: int


@define
class Exhaustively:
    """Every schedule with at most so many departures from the plain one, depth first.

    In the plain schedule everybody goes on until blocked, and then the first who can. Bugs of
    concurrency need few departures from it, mostly one or two.
    """

    departures: int
    path: list[_Branch] = Factory(list)
    _at: int = 0
    _spent: int = 0

    def choose(self, able: Sequence[int], *, preempts: bool) -> int:
        if self._at == len(self.path):
            self.path.append(_Branch(0, len(able) if self._spent < self.departures else 1))
        branch = self.path[self._at]
        self._at += 1
        self._spent += branch.choice > 0
        return branch.choice

    def advance(self) -> bool:
        """Go to the next schedule. False: there is none."""
        self._at = self._spent = 0
        while self.path and self.path[-1].choice + 1 >= self.path[-1].count:
            self.path.pop()
        if not self.path:
            return False
        self.path[-1].choice += 1
        return True


def _taken() -> Any:
    lock = threading.Lock()
    lock.acquire()
    return lock


@define(eq=False)
class Actor:
    """One thread of a stage."""

    stage: Stage
    number: int
    name: str
    target: Callable[[], object]
    baton: Any = Factory(_taken)
    """A lock: whoever may run next finds it free."""
    may_go: Callable[[], object] | None = None
    """What it waits for, if it is blocked."""
    waits_for: str = ""
    deadline: float | None = None
    timed_out: bool = False
    over: bool = False
    thread: threading.Thread | None = None

    def able(self) -> bool:
        return self.may_go is None or self.timed_out or bool(self.may_go())

    def join(self, timeout: float | None = None) -> None:
        """As `threading.Thread.join`."""
        self.stage.block(lambda: self.over, timeout, f"the end of {self.name}")

    def is_alive(self) -> bool:
        return not self.over

    def _run(self) -> None:
        stage = self.stage
        self.baton.acquire()
        try:
            if not stage.aborting:
                self.target()
        except Aborted:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever ends a thread is a finding
            stage.fail(f"{self.name} ended with {error!r}", error)
        self.over = True
        stage.hand_on(self)


class Stage:
    """Where actors run one at a time. Not thread-safe but for its actors."""

    def __init__(self, policy: Policy, unfinished: Callable[[], str | None] | None = None) -> None:
        """Make an empty stage.

        ``unfinished`` tells, when nobody can go on before a timeout, what work lies there that
        should not, or None.
        """
        self._policy = policy
        self.unfinished = unfinished
        self.now = 1000.0
        self.actors: list[Actor] = []
        self.choices: list[int] = []
        self.story: deque[str] = deque(maxlen=200)
        self.failure: ScheduleError | None = None
        self.aborting = False
        self.over = False
        """Nobody acts any more: what a finalizer still does through a door is no step."""
        self._steps = 0
        self._current: Actor | None = None
        self._end = threading.Semaphore(0)

    # -- the run ----------------------------------------------------------------------------------

    def run(self, main: Callable[[], object]) -> None:
        """Run ``main`` as the first actor, until all actors are over.

        Raises:
            ScheduleError: what went wrong, with the choices that lead there.

        """
        first = self.start(main, "main")
        self._current = first
        first.baton.release()
        if not self._end.acquire(timeout=PATIENCE_SECONDS):
            raise ScheduleError(self._tell("an actor blocks, or runs on, outside of the doors"))
        self.over = True
        for actor in self.actors:
            assert actor.thread is not None
            actor.thread.join()
        if self.failure is not None:
            raise self.failure

    def start(self, target: Callable[[], object], name: str) -> Actor:
        """Add an actor, which runs when it is chosen."""
        actor = Actor(self, len(self.actors), name, target)
        actor.thread = threading.Thread(target=actor._run, name=f"stage-{name}", daemon=True)
        self.actors.append(actor)
        actor.thread.start()
        return actor

    def fail(self, what: str, cause: BaseException | None = None) -> None:
        """Note a failure, the first one, and end everything."""
        if self.failure is None:
            self.failure = ScheduleError(self._tell(what))
            self.failure.__cause__ = cause
        self.aborting = True

    def _tell(self, what: str) -> str:
        blocked = "".join(
            f"\n  {actor.name} waits for {actor.waits_for}"
            for actor in self.actors
            if not actor.over and actor.may_go is not None
        )
        return f"{what}{blocked}\nchoices: {self.choices}\nlast steps:\n  " + "\n  ".join(
            self.story
        )

    # -- what doors call --------------------------------------------------------------------------

    def step(self, what: str) -> None:
        """A point where another actor may go on."""
        if self.over:
            return
        me = self.me()
        self.story.append(f"{me.name}: {what}")
        self._steps += 1
        if self._steps > MOST_STEPS:
            self.fail(f"more than {MOST_STEPS} steps: somebody runs in circles")
        if not self.aborting:
            self._pass(me)
        if self.aborting:
            raise Aborted

    def block(self, may_go: Callable[[], object], timeout: float | None, what: str) -> bool:
        """Wait until ``may_go()``: True; or so many virtual seconds: False."""
        if self.over:
            return True
        me = self.me()
        me.may_go, me.waits_for, me.timed_out = may_go, what, False
        me.deadline = None if timeout is None else self.now + max(timeout, 0.0)
        self.story.append(f"{me.name}: waits for {what}")
        if not self.aborting:
            self._pass(me)
        if self.aborting:
            me.may_go = None
            raise Aborted
        went = bool(may_go())
        me.may_go = me.deadline = None
        return went

    def me(self) -> Actor:
        """The actor that acts now, which must be the calling thread."""
        me = self._current
        assert me is not None
        assert me.thread is threading.current_thread(), "a thread that is not on this stage"
        return me

    def hand_on(self, me: Actor) -> None:
        """An actor is over: let another one go on, if there is one."""
        if self.aborting:
            self._next_to_abort()
            return
        chosen = self._choose(me)
        if chosen is None:
            self._next_to_abort()
        else:
            self._current = chosen
            chosen.baton.release()

    def _pass(self, me: Actor) -> None:
        chosen = self._choose(me)
        if chosen is None or chosen is me:
            return
        self._current = chosen
        chosen.baton.release()
        me.baton.acquire()

    def _choose(self, me: Actor) -> Actor | None:
        """Who goes on now. None: nobody, as all are over or the run has failed."""
        while True:
            able = [actor for actor in self.actors if not actor.over and actor.able()]
            if able:
                break
            if all(actor.over for actor in self.actors) or not self._let_time_pass():
                return None
        preempts = me in able
        if preempts:
            able.remove(me)
            able.insert(0, me)
        if len(able) == 1:
            return able[0]
        choice = self._policy.choose([actor.number for actor in able], preempts=preempts)
        self.choices.append(choice)
        return able[choice]

    def _let_time_pass(self) -> bool:
        what = None if self.unfinished is None else self.unfinished()
        if what is not None:
            self.fail(f"everybody sleeps, but {what}")
            return False
        waiting = [a for a in self.actors if not a.over and a.deadline is not None]
        if not waiting:
            self.fail("everybody waits for ever")
            return False
        actor = min(waiting, key=lambda a: a.deadline or 0.0)
        self.now = max(self.now, actor.deadline or 0.0)
        actor.timed_out = True
        self.story.append(f"-- {self.now:.3f} s: the time of {actor.name} is over")
        return True

    def _next_to_abort(self) -> None:
        for actor in self.actors:
            if not actor.over:
                self._current = actor
                actor.baton.release()
                return
        self._end.release()

    # -- the doors --------------------------------------------------------------------------------

    def doors(self, **others: Any) -> Doors:
        """Doors onto this stage; ``others`` replaces some of them."""
        made: dict[str, Any] = {
            "poller": lambda: StagePoller(self),
            "clock": lambda: self.now,
            "lock": lambda: StageLock(self),
            "parker": lambda: StageParker(self),
            "relax": lambda _is_over: self.step("relaxes"),
            "thread": self.start,
            "queue": lambda: StageQueue(self),
            "token": lambda: StageToken(self),
            "event": lambda: StageEvent(self),
        }
        made.update(others)
        return Doors(**made)


class StageLock:
    """A lock that its owner may take again, as `threading.RLock`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._owner: Actor | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - threading.RLock's own signature
        stage = self._stage
        if stage.over:
            return True
        stage.step("takes a lock" if blocking else "tries a lock")
        me = stage.me()
        if self._owner not in (None, me):
            if not blocking:
                return False
            patience = None if timeout < 0 else timeout
            if not stage.block(lambda: self._owner is None, patience, "a lock"):
                return False
        self._owner = me
        self._depth += 1
        return True

    def release(self) -> None:
        if self._stage.over:
            return
        assert self._owner is not None, "released a lock that nobody holds"
        self._depth -= 1
        if not self._depth:
            self._owner = None
            if not self._stage.aborting:
                self._stage.step("gave a lock back")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()


class StageParker:
    """Where one actor sleeps."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._woken = False

    def park(self, timeout: float | None) -> bool:
        self._stage.step("goes to park")
        woken = self._stage.block(lambda: self._woken, timeout, "a wake-up")
        self._woken = False
        return woken

    def unpark(self) -> None:
        self._stage.step("unparks")
        self._woken = True
        self._stage.step("unparked")


class StageEvent:
    """As `threading.Event`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._set = False
        self._sets = 0

    def set(self) -> None:
        self._stage.step("sets an event")
        self._set = True
        self._sets += 1
        self._stage.step("has set an event")

    def clear(self) -> None:
        self._stage.step("clears an event")
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        self._stage.step("looks at an event")
        # Who waits already is woken by a set, even if another one clears it at once.
        sets = self._sets
        return self._stage.block(lambda: self._set or self._sets > sets, timeout, "an event")


class StagePoller:
    """A poller whose descriptors are what the scenario says."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._woken = False
        self.armed: dict[int, int] = {}
        self.events: list[tuple[int, int]] = []

    def arm(self, fd: int, mask: int) -> None:
        self._stage.step(f"arms {fd}")
        self.armed[fd] = mask

    def disarm(self, fd: int) -> None:
        self._stage.step(f"disarms {fd}")
        self.armed.pop(fd, None)

    def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        self._stage.step("polls")
        if timeout != 0:
            self._stage.block(lambda: self._woken or self.events, timeout, "the poller")
        self._woken = False
        events, self.events = self.events, []
        return events

    def wake(self) -> None:
        self._stage.step("wakes the poller")
        self._woken = True
        self._stage.step("woke the poller")

    def close(self) -> None:
        self.armed.clear()


class StageQueue(deque[Any]):
    """A deque; each single operation on it is a step, a change is one before and one after."""

    def __init__(self, stage: Stage, items: Iterable[Any] = ()) -> None:
        super().__init__(items)
        self._stage = stage

    def append(self, item: Any, /) -> None:
        self._stage.step("appends to a queue")
        super().append(item)
        self._stage.step("appended to a queue")

    def appendleft(self, item: Any, /) -> None:
        self._stage.step("prepends to a queue")
        super().appendleft(item)
        self._stage.step("prepended to a queue")

    def popleft(self) -> Any:
        self._stage.step("takes from a queue")
        return super().popleft()

    def __len__(self) -> int:
        self._stage.step("looks at a queue")
        return super().__len__()

    def copy(self) -> Self:
        return self.__copy__()

    def __copy__(self) -> Self:
        self._stage.step("copies a queue")
        return type(self)(self._stage, super().__iter__())

    def __iter__(self) -> Iterator[Any]:
        self._stage.step("goes through a queue")
        return super().__iter__()

    def peek(self) -> int:
        """The length, with no step: for the tests themselves."""
        return super().__len__()


class StageToken(list[int]):
    """A color's token; each single operation on it is a step."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def append(self, item: int, /) -> None:
        self._stage.step("gives a token back")
        super().append(item)
        self._stage.step("gave a token back")

    def pop(self, *args: Any) -> int:
        self._stage.step("takes a token")
        return super().pop(*args)

    def __len__(self) -> int:
        self._stage.step("looks for a token")
        return super().__len__()

    def peek(self) -> int:
        """Whether it is there, with no step: for the tests themselves."""
        return super().__len__()


# -- exploring ------------------------------------------------------------------------------------


def explore(
    scenario: Callable[[Policy], None],
    *,
    seeds: Iterable[int] = (),
    departures: int | None = None,
    most: int = 100_000,
) -> int:
    """Run a scenario under many schedules; return how many.

    Args:
        scenario: runs itself to its end under the policy given, and raises what it finds.
        seeds: two random schedules for each, one of either kind.
        departures: all schedules with at most so many (None: no such search); see `Exhaustively`.
        most: end that search after so many, with an error: it was to be exhaustive.

    """
    count = 0
    for seed in seeds:
        scenario(Randomly(seed))
        scenario(ByPriority(seed))
        count += 2
    if departures is not None:
        policy = Exhaustively(departures)
        while True:
            scenario(policy)
            count += 1
            if not policy.advance():
                break
            if count >= most:
                raise ScheduleError(f"there are more than {most} such schedules")
    return count
