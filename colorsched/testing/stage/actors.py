"""The stage: threads of which one acts at a time, chosen by a policy wherever it may change over.

The clock is virtual: it goes on only when nobody can, to the earliest timeout. Before it does, the
stage asks whether work lies there that somebody who sleeps should be doing; that, and that all are
blocked for ever, is the failure.
"""

from __future__ import annotations

import threading
from collections import deque
from operator import call
from typing import TYPE_CHECKING, Any

from attrs import Factory, define

from colorsched.errors import ColorschedError
from colorsched.ports import Doors
from colorsched.testing.stage.doors import (
    StageEvent,
    StageLock,
    StageParker,
    StagePoller,
    StageQueue,
    StageToken,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.testing.stage.policies import Policy

#: More steps than any scenario takes: who takes more runs in circles.
MOST_STEPS = 20_000

#: How long, in real seconds, a thread of the stage may run between two steps. Only a bug in a test
#: (something that blocks other than through a door) takes that long; a whole run may, where the
#: machine has other work.
PATIENCE_SECONDS = 60.0


class Aborted(BaseException):
    """Ends the threads of a scenario that has failed."""


class ScheduleError(ColorschedError, AssertionError):
    """What a schedule brought to light: who waits for what, the choices, the last steps.

    ``choices`` replays it: run the same scenario with `Again` of them. ``__cause__`` is the error
    that an actor raised, if that was it.
    """

    def __init__(self, story: str, choices: tuple[int, ...]) -> None:
        super().__init__(story)
        self.choices = choices


def _taken() -> Any:
    lock = threading.Lock()
    lock.acquire()
    return lock


@define(eq=False)
class Actor:
    """One thread of a stage; `Stage.start` makes it."""

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
        """Whether it can go on now."""
        return self.may_go is None or self.timed_out or bool(self.may_go())

    def join(self, timeout: float | None = None) -> None:
        """As `threading.Thread.join`."""
        self.stage.block(lambda: self.over, timeout, f"the end of {self.name}")

    def is_alive(self) -> bool:
        """As `threading.Thread.is_alive`."""
        return not self.over

    def _run(self) -> None:
        stage = self.stage
        self.baton.acquire()
        stage.see_off()
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
    """Where actors run one at a time. Not thread-safe but for its actors.

    Args:
        policy: who goes on; see `Again`, `Exhaustively`, `Randomly`, `ByPriority`.
        unfinished: tells, when nobody can go on before a timeout, what work lies there that should
            not, or None. It must take no step; the ``peek`` of a `StageQueue` is for it.

    >>> from colorsched import Runtime
    >>> from colorsched.testing.stage import Again, Stage
    >>> stage, ran = Stage(Again([])), []
    >>> def main():
    ...     rt = Runtime(workers=2, doors=stage.doors())
    ...     other = stage.start(lambda: rt.color("b").post(ran.append, "b"), "other")
    ...     rt.color("a").post(ran.append, "a")
    ...     other.join()
    ...     rt.shutdown()
    >>> stage.run(main)
    >>> sorted(ran)
    ['a', 'b']

    """

    def __init__(self, policy: Policy, unfinished: Callable[[], str | None] | None = None) -> None:
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
        self._leaving: Actor | None = None
        """The one whose end let the current one go on."""
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
        steps = -1
        while not self._end.acquire(timeout=PATIENCE_SECONDS):
            if steps == self._steps:
                raise self._error("an actor blocks, or runs on, outside of the doors")
            steps = self._steps
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
            self.failure = self._error(what)
            self.failure.__cause__ = cause
        self.aborting = True

    def _error(self, what: str) -> ScheduleError:
        blocked = "".join(
            f"\n  {actor.name} waits for {actor.waits_for}"
            for actor in self.actors
            if not actor.over and actor.may_go is not None
        )
        steps = "".join(f"\n  {step}" for step in self.story)
        story = f"{what}{blocked}\nchoices: {self.choices}\nlast steps:{steps}"
        return ScheduleError(story, tuple(self.choices))

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
        self._leaving = me
        if self.aborting:
            self._next_to_abort()
            return
        chosen = self._choose(me)
        if chosen is None:
            self._next_to_abort()
        else:
            self._current = chosen
            chosen.baton.release()

    def see_off(self) -> None:
        """Wait until the thread is gone whose end let the current actor go on.

        What it lets go of as it ends may be the last reference to a color; beside the steps of
        others that would happen sooner or later, and be seen by them or not.
        """
        leaving, self._leaving = self._leaving, None
        if leaving is not None and leaving.thread is not None:
            leaving.thread.join()

    def _pass(self, me: Actor) -> None:
        chosen = self._choose(me)
        if chosen is None or chosen is me:
            return
        self._current = chosen
        # Both in C. Between two lines of Python a thread of a free-threaded interpreter lets go of
        # what others have dropped of its own: here that would be beside the steps of the chosen.
        deque(map(call, (chosen.baton.release, me.baton.acquire)), maxlen=0)
        self.see_off()

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
        try:
            choice = self._policy.choose([actor.number for actor in able], preempts=preempts)
            chosen = able[choice]
        except Exception as error:  # noqa: BLE001 - whatever it is, the other threads must end
            self.fail(f"the policy failed: {error}", error)
            return None
        self.choices.append(choice)
        return chosen

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
            # Whoever does not act waits for its baton. (The system may see it on its way there.)
            "is_asleep": lambda _thread: True,
            "queue": lambda: StageQueue(self),
            "token": lambda: StageToken(self),
            "event": lambda: StageEvent(self),
        }
        made.update(others)
        return Doors(**made)
