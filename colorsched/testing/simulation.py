"""The simulated executor: one callback at a time, of a color that a strategy chooses.

It stands where the worker threads stand in a real runtime, below the same ``Runtime`` and above
the same core: ready colors lie in a lane, ``core.turn.run_turns`` runs a turn of one callback, time
is virtual and goes on only when nobody else can. What differs is who decides: everything that in a
real run depends on timing is a choice of the strategy, and is written down in ``choices``.

Who waits, and where
--------------------
Besides the colors that are ready, a *caller* may be an option: code that called into the runtime
and was stopped there. ``main`` is stopped when it waits (``result``, ``drain``) or where it posts;
a callback is stopped when it waits for a future, or where it posts to the same color for the second
time (between two posts to one color another one's may come in, and only there does it matter).
Code that is stopped keeps its stack, so somebody else has to go on driving:

- *main* drives by itself, on its own stack, and goes on when the strategy says so. As long as no
  callback is stopped meanwhile that is all there is to it, and it costs next to nothing.
- A *callback* that is stopped waits for its baton, a lock, and another thread drives on. Only one
  thread ever runs, so this is as deterministic as the rest.
- If both happen at once (a callback is stopped on the very stack on which main waits below it),
  main could not go on before the callback did, which is not so in reality. Then ``NeedsThreads``
  ends the run, and who started it begins again with ``apart=True``: main then is stopped in the
  same way as callbacks are, with a thread of its own.
"""

from __future__ import annotations

import math
import sys
import threading
from asyncio import _get_running_loop as get_running_loop
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from colorsched.core.turn import run_turns
from colorsched.ports import here, set_running_loop
from colorsched.testing.errors import (
    Aborted,
    Blocked,
    CannotSimulate,
    EndRun,
    Livelock,
    NeedsThreads,
    Stalled,
)
from colorsched.testing.strategies import Fifo
from colorsched.testing.watchdog import blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from colorsched.core.queue import ColorQueue
    from colorsched.core.scheduler import Lane, Scheduler
    from colorsched.sources.hub import Hub
    from colorsched.testing.strategies import Strategy

#: A turn of one callback.
ONE = ((None,),)

#: How long, in real seconds, main waits for its baton before it asks whether something blocks, and
#: at the end for the threads that are to leave.
PATIENCE_SECONDS = 60.0


def _always() -> bool:
    return True


class Caller:
    """Code that was stopped in a call into the runtime: an option, once ``may_go()``."""

    __slots__ = ("baton", "color", "may_go", "thing", "until", "what")

    def __init__(
        self,
        color: ColorQueue | None,
        may_go: Callable[[], object],
        until: float,
        what: str,
        thing: object = None,
    ) -> None:
        self.color = color
        self.may_go = may_go
        self.until = until
        self.what = what
        self.thing = thing
        """The future that it waits for, if it is one."""
        self.baton: Any = None

    def __str__(self) -> str:
        return f"{'main' if self.color is None else repr(self.color.key)} waits for {self.what}"


class VirtualClock:
    """The time of a simulation, in seconds."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        """The time now."""
        return self.now


class Simulation:
    """Runs the callbacks of one simulated runtime. It is that runtime's ``Workers``.

    Not thread-safe, and need not be: of the threads that it has, one runs.
    """

    threads: tuple[Any, ...] = ()

    def __init__(
        self,
        scheduler: Scheduler,
        hub: Hub,
        clock: VirtualClock,
        *,
        strategy: Strategy,
        most_steps: int,
        apart: bool,
        count: int,
    ) -> None:
        self._scheduler = scheduler
        self._hub = hub
        self._strategy = strategy
        self._most_steps = most_steps
        self._apart = apart
        self.count = count
        self.rested: Callable[[], None] = _nothing
        self.began: Callable[[], None] = _nothing
        self._clock = clock
        self.steps = 0
        self.choices: list[int] = []
        self.options: list[int] | None = None
        """How many options each choice had, if that is to be kept."""
        self.running = 0
        """The number of the step whose callback runs now."""
        self.picked: Callable[[Any], None] | None = None
        """Told of every option that goes on, chosen or the only one, if somebody listens."""
        self.before_step: Callable[[int], int] | None = None
        """Asked before each step, with the place of the color among the ready: whose step it is to
        be instead; -1 for nobody's, to choose again. Not asked any more once turns are fair."""
        self.over = False
        self.failure: BaseException | None = None
        """What ended the simulation: nobody can go on, or it would go on for ever."""
        self.runs = threading.get_ident()
        """The thread whose turn it is."""
        self.accused: Blocked | None = None
        """What a watchdog says of a callback that blocks; then it was interrupted."""
        self.acquire: Callable[[Any], bool] = _acquire_patiently
        """How main waits for its baton; False: not yet."""
        self._fair = False
        self._idle = False
        """Nothing could happen when we looked last."""
        self._callers: list[Caller] = []
        self._starting: list[Callable[[], None]] = []
        self._resting: list[list[Any]] = []
        """Threads that are ready to drive: their batons, and whom they are to begin with."""
        self._base: Any = None
        self._helpers: list[threading.Thread] = []
        self._leaving: list[Any] = []
        """Once it is over: the batons of those who are to leave, one after the other."""
        self._main_on_stack = False
        self.lane: Lane = scheduler.add_lane(_nothing, spare=False)

    # -- what a runtime asks of its workers -------------------------------------------------------

    def start(self) -> None:
        """Nothing runs before somebody waits."""

    def end(self) -> None:
        """The runtime is over."""
        if self.lane in self._scheduler.lanes:
            self._scheduler.remove_lane(self.lane)

    def join(self) -> None:
        """The runtime has come to its end: no thread is needed any more."""
        self.close()

    def after_fork(self) -> None:
        """In a forked child nothing is left of the simulation."""
        self.over = True

    def is_led(self) -> bool:
        """Whether somebody polls."""
        return True

    def thread(self, target: Callable[[], None], name: str) -> Any:
        """Run ``target`` as soon as somebody waits; for the runtime's own threads."""
        done: list[bool] = []

        def run() -> None:
            try:
                target()
            finally:
                done.append(True)

        self._starting.append(run)
        return _Thread(self, done)

    # -- being stopped ----------------------------------------------------------------------------

    def wait(
        self,
        may_go: Callable[[], object],
        timeout: float | None,
        what: str,
        thing: object = None,
    ) -> bool:
        """Stop the caller until ``may_go()`` (True) or so many virtual seconds have passed."""
        until = math.inf if timeout is None else self._clock.now + max(timeout, 0.0)
        if here.lane is self.lane:
            self._stop(Caller(self.lane.color, may_go, until, what, thing))
            return bool(may_go())
        while True:
            while self._starting:
                self._starting.pop(0)()
            if may_go():
                return True
            if self._clock.now >= until:
                return False
            self._stop_main(Caller(None, lambda: may_go() or self._starting, until, what, thing))

    def settle(self) -> None:
        """Go on until nothing can happen any more.

        Raises:
            Stalled: a callback is stopped still, and main is not apart.

        """
        if self.over:
            self._leave()
        elif self._apart:
            self._idle = False
            self.wait(lambda: self._idle or self.over, None, "rest")
        else:
            self._settle_here()
        if self.failure is not None:
            raise self.failure

    def stopped(self) -> Sequence[Caller]:
        """Who waits still, after :meth:`settle`: for ever, unless main does something."""
        return tuple(self._callers)

    def _settle_here(self) -> None:
        while not self.over:
            while self._starting:
                self._starting.pop(0)()
            with self._on_main():
                self._drive(None, None)
            if self.over:
                self._leave()
            if not self._starting:
                return

    def point(self) -> None:
        """A caller has posted: perhaps somebody else goes on first."""
        ready = self.lane.ready
        able = [caller for caller in self._callers if self._may_go(caller)]
        if self.over or not (able or ready):
            return
        inside = here.lane is self.lane
        me = Caller(self.lane.color if inside else None, _always, math.inf, "its turn")
        place = self._choose([me, *able, *ready], self._strategy.interrupt)
        if place == 0:
            if self.picked is not None:
                self.picked(me)
            return
        chosen = (able[place - 1],) if place <= len(able) else (ready[place - 1 - len(able)],)
        if inside:
            self._stop(me, chosen[0])
        else:
            self._stop_main(me, chosen[0])

    def _may_go(self, caller: Caller) -> bool:
        return bool(caller.may_go()) or self._clock.now >= caller.until

    def _stop_main(self, me: Caller, first: Any = None) -> None:
        if self.over:
            self._leave()
            raise self.failure or _is_over()
        if self._apart:
            self._stop(me, first)
            return
        self._main_on_stack = True
        self._callers.append(me)
        try:
            with self._on_main():
                self._drive(me, first)
        finally:
            self._main_on_stack = False
            if me in self._callers:
                self._callers.remove(me)
        if self.over:
            self._leave()
            raise self.failure or _is_over()

    @contextmanager
    def _on_main(self) -> Iterator[None]:
        """Main drives: it is the worker for now."""
        ticket, here.ticket = here.ticket, None
        lane, here.lane = here.lane, self.lane
        loop = get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        self.began()
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            self.lane.let_go()
            set_running_loop(loop)
            here.lane = lane
            here.ticket = ticket

    def _stop(self, me: Caller, first: Any = None) -> None:
        """Stop code that has callbacks below it on its stack; another thread drives on."""
        if self.over:
            raise Aborted
        if self._main_on_stack:
            self.abort(NeedsThreads())
            raise Aborted
        lane = self.lane
        was_in = here.lane
        saved = (lane.color, lane.outer[:], lane.depth, lane.loop)
        running = self.running
        lane.color = None
        lane.outer.clear()
        lane.depth = 0
        lane.loop = None
        me.baton = _baton()
        self._callers.append(me)
        self._hand_driving_on(first)
        try:
            self._take(me.baton)
        except BaseException as error:  # an interrupt, or our patience is at its end
            if me in self._callers:
                self._callers.remove(me)
            self.abort(error)
            raise
        here.lane = was_in
        lane.color, outer, lane.depth, lane.loop = saved
        lane.outer[:] = outer
        self.running = running
        if self.over:
            if was_in is None:
                self._leave()
                raise self.failure or _is_over()
            raise Aborted

    # -- threads that drive -----------------------------------------------------------------------

    def _hand_driving_on(self, first: Any) -> None:
        if self._resting:
            entry = self._resting.pop()
            entry[1] = first
            entry[0].release()
            return
        thread = threading.Thread(
            target=self._help, args=(first,), name="colorsched-simulation", daemon=True
        )
        self._helpers.append(thread)
        thread.start()

    def _help(self, first: Any) -> None:
        """The life of a thread that drives while the one that should is stopped."""
        here.lane = self.lane
        self.began()
        try:
            self._drive(None, first, helps=True)
        except BaseException as error:  # noqa: BLE001 - a bug of ours: it must end the run, not this thread alone
            self.abort(error)
        finally:
            set_running_loop(None)
            here.lane = None
            self._let_next_leave()

    def _rest(self, baton: Any, *, helps: bool) -> Any:
        """Let another thread go on, and rest until there is driving to do.

        Returns whom to begin with. The thread that is to see the end, main's, is not woken for
        less than that.
        """
        self.lane.enter_loop(None)
        entry = [_baton(), None]
        if helps:
            self._resting.append(entry)
        else:
            self._base = entry[0]
        baton.release()
        self._take(entry[0])
        return entry[1]

    def _take(self, baton: Any) -> None:
        """Wait for a baton.

        Main is patient as long as something happens meanwhile. The others are as long as it takes,
        since what main does between its calls is not for us to judge.
        """
        if threading.current_thread() in self._helpers:
            baton.acquire()
        else:
            steps = -1
            while not self.acquire(baton):
                if steps == self.steps:
                    raise blocked(self, PATIENCE_SECONDS)
                steps = self.steps
        self.runs = threading.get_ident()

    # -- the end ----------------------------------------------------------------------------------

    def abort(self, failure: BaseException | None) -> None:
        """End the run: whoever was stopped is thrown out of its code.

        One after the other, like everything here: callbacks in the order in which they stopped,
        then threads that rest, then main.
        """
        if self.over:
            return
        self.failure = failure
        self.over = True
        stopped = [caller for caller in self._callers if caller.baton is not None]
        stopped.sort(key=lambda caller: caller.color is None)
        main = [caller.baton for caller in stopped if caller.color is None]
        self._leaving += [caller.baton for caller in stopped if caller.color is not None]
        self._leaving += [entry[0] for entry in self._resting]
        self._leaving += main if self._base is None else [self._base]

    def _let_next_leave(self) -> None:
        if self._leaving:
            self._leaving.pop(0).release()

    def _leave(self) -> None:
        """On main: see all others out, now that it is over."""
        self._let_next_leave()
        for thread in self._helpers:
            if thread.ident != self.runs or not isinstance(self.failure, Blocked):
                thread.join(PATIENCE_SECONDS)
        self._helpers.clear()

    def close(self) -> None:
        """The run is over, by its end or by a failure; no thread is left."""
        self.abort(None)
        self._leave()

    # -- driving ----------------------------------------------------------------------------------

    def _drive(self, me: Caller | None, first: Any, *, helps: bool = False) -> None:
        """Run what the strategy chooses, until it chooses ``me`` or nothing can happen."""
        ready = self.lane.ready
        self.runs = threading.get_ident()
        while not self.over:
            able = [x for x in self._callers if self._may_go(x)] if self._callers else ()
            if len(self._hub.io):
                self._hub.deliver(self._hub.look())
            options: Sequence[Any] = [*able, *ready] if able else ready
            if not options:
                if not self._advance() and self._is_end(me, helps=helps):
                    return
                continue
            place = 0
            if first is not None:
                place, first = _place(options, first), None
            elif len(options) > 1:
                place = self._choose(options, self._strategy.choose)
            if self.picked is not None:
                self.picked(options[place])
            if place >= len(able):
                self._idle = False
                self._step(place - len(able))
                continue
            caller = able[place]
            self._callers.remove(caller)
            if caller is me:
                return
            first = self._rest(caller.baton, helps=helps)

    def _is_end(self, me: Caller | None, *, helps: bool) -> bool:
        """Nothing can happen any more; whether the driver that finds this is to return."""
        if not helps and me is None:
            if self._callers:
                self.abort(Stalled(self._callers))
            return True
        if self._base is not None:
            base, self._base = self._base, None
            self._rest(base, helps=True)
        elif self._idle:
            self.abort(Stalled(self._callers))
        self._idle = True  # perhaps somebody waits for just that
        return False

    def _choose(self, options: Sequence[Any], ask: Callable[[Sequence[Any]], int]) -> int:
        try:
            place = ask(options)
        except EndRun as end:
            self.abort(end)
            if self.lane.color is None:
                raise
            raise Aborted from end  # in a callback's code, where it must not be taken for its own
        self.choices.append(place)
        if self.options is not None:
            self.options.append(len(options))
        return place

    def _step(self, place: int) -> None:
        """Run one callback of the color at this place among the ready."""
        lane = self.lane
        if self.before_step is not None and not self._fair:
            place = self.before_step(place)
            if place < 0:
                return
        if place:
            color = lane.ready[place]
            del lane.ready[place]
            lane.ready.appendleft(color)
        self.steps += 1
        self.running = self.steps
        if self.steps > self._most_steps:
            self._too_long()
        run_turns(lane, 1, self._clock.read, math.inf, ONE)
        if self.accused is not None:
            self.abort(self.accused)

    def _too_long(self) -> None:
        """An unfair strategy can keep a program busy for ever; a fair one must let it end."""
        if self._fair:
            colors = {repr(color.key) for color in self.lane.ready}
            self.abort(Livelock(self.steps, sorted(colors)))
            return
        self._fair = True
        self._most_steps *= 2
        self._strategy = Fifo()

    def _advance(self) -> bool:
        """Nobody can go on now: is there something to come? Then its time has come."""
        scheduler, hub = self._scheduler, self._hub
        scheduler.fall_asleep(self.lane, polls=False)
        self.rested()
        scheduler.wake_up(self.lane)
        if any(self._may_go(caller) for caller in self._callers) or self.lane.ready:
            return True
        first = hub.timers.wait_until(waiting=False) if len(hub.timers) else None
        times = [caller.until for caller in self._callers if caller.until < math.inf]
        if first is not None:
            times.append(first)
        if not times:
            return False
        self._clock.now = max(self._clock.now, min(times))
        hub.deliver(())
        return True


class _Thread:
    """A thread of the runtime's own, run by whoever waits in main."""

    def __init__(self, simulation: Simulation, done: list[bool]) -> None:
        self._simulation = simulation
        self._done = done

    def join(self, timeout: float | None = None) -> None:
        self._simulation.wait(lambda: self._done, timeout, "a thread's end")

    def is_alive(self) -> bool:
        return not self._done


def _acquire_patiently(baton: Any) -> bool:
    acquired: bool = baton.acquire(timeout=PATIENCE_SECONDS)
    return acquired


def _baton() -> Any:
    baton = threading.Lock()
    baton.acquire()
    return baton


def _place(options: Sequence[Any], chosen: Any) -> int:
    return next(place for place, option in enumerate(options) if option is chosen)


def _is_over() -> CannotSimulate:
    return CannotSimulate("this simulation is over: make a new SimRuntime")


def _nothing() -> None:
    """Nobody listens."""
