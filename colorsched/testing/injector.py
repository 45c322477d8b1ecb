"""Makes faults happen in one run: looks at each step before it is taken."""

from __future__ import annotations

import asyncio
import copy
import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

from colorsched.aio.tasks import JobHandle
from colorsched.core.observed import Watched
from colorsched.errors import WorkerLost
from colorsched.testing.callees import callee_of, is_of, label_of, task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched.core.queue import ColorQueue
    from colorsched.testing.faults import Faults, Target
    from colorsched.testing.simruntime import SimRuntime
    from colorsched.testing.strategies import Strategy
    from colorsched.testing.unmet import Unmet


@frozen
class Fault:
    """Something that may go wrong now."""

    text: str
    chance: float
    happen: Callable[[], object]

    def __str__(self) -> str:
        return self.text


@frozen
class _Step:
    """The step that is about to be taken."""

    color: ColorQueue
    handle: Any
    ticket: Watched
    task: asyncio.Task[Any] | None
    name: str
    label: str
    is_spared: bool


class Injector:
    """The faults of one run."""

    def __init__(
        self,
        faults: Faults,
        rt: SimRuntime,
        strategy: Strategy,
        spare: Callable[..., object] | None,
        unmet: Unmet | None = None,
    ) -> None:
        self.injected: list[BaseException] = []
        """The exceptions that are faults."""
        self._faults = faults
        self._rt = rt
        self._simulation = rt._simulation
        self._ask = getattr(strategy, "fault", None)
        self._spare = spare
        self._unmet = unmet
        self._left = faults.most
        self._starved: set[object] = set()
        self._delayed: dict[object, float] = {}
        self._jumped = False
        if self._ask is not None:
            self._simulation.before_step = self.before_step

    def before_step(self, place: int) -> int:
        """Let something go wrong, or not; which color goes on then."""
        ready = self._simulation.lane.ready
        place = self._allowed(place)
        looks = self._left or (self._unmet is not None and self._unmet.left)
        step = None if place < 0 or not looks else _step(ready[place], self._spare)
        offers = [] if step is None else list(self._offers(step))
        if not offers or not self._left or self._ask is None:
            return place
        chosen = self._simulation._choose([None, *offers], self._ask)
        if chosen == 0:
            return place
        self._left -= 1
        offers[chosen - 1].happen()
        if self._jumped:
            self._jumped = False
            return -1  # others may be ready now
        return self._allowed(place)

    # -- who may go on ----------------------------------------------------------------------------

    def _allowed(self, place: int) -> int:
        """The color chosen, or the next one that is neither delayed nor starved."""
        if not self._delayed and not self._starved:
            return place
        ready = self._simulation.lane.ready
        now = self._rt.time()
        awake = [x for x in range(len(ready)) if self._delayed.get(ready[x].key, 0.0) <= now]
        fed = [x for x in awake if ready[x].key not in self._starved]
        allowed = fed or awake
        if place in allowed:
            return place
        if allowed:
            return allowed[0]
        self._pass_time(min(self._delayed[color.key] for color in ready))
        return -1

    def _pass_time(self, until: float) -> None:
        """Nobody may go on: the time of a timer comes, or the end of a delay."""
        hub = self._rt._hub
        timer = hub.timers.wait_until(waiting=False)
        callers = [caller.until for caller in self._simulation._callers]
        self._jump(min(until, math.inf if timer is None else timer, *callers, math.inf))

    def _jump(self, to: float) -> None:
        self._rt._virtual.now = max(self._rt._virtual.now, to)
        self._rt._hub.deliver(())

    # -- what may go wrong ------------------------------------------------------------------------

    def _offers(self, step: _Step) -> Iterator[Fault]:
        unmet = self._unmet
        if unmet is not None:
            unmet.saw(step.name)
        for kind, target in self._faults.targets.items():
            for fault in self._of_kind(kind, target, step):
                if unmet is not None:
                    unmet.met(kind, target, step.name)
                yield fault
        for target, error in self._faults.thrown:
            if target.meets(step.name, step.ticket) and _can_throw(step):
                if unmet is not None:
                    unmet.met("raise_at", target, step.name)
                yield self._throw(step, target, error)

    def _of_kind(self, kind: str, target: Target, step: _Step) -> Iterator[Fault]:
        if not target.meets(step.name, step.ticket):
            return
        seconds = self._faults.seconds
        if kind == "cancel" and _can_end(step) and step.ticket.kind != "io":
            yield Fault(f"cancelled {step.label}", target.chance, lambda: self._cancel(step))
        elif kind == "delay":
            yield from (self._delay(step, target, each) for each in seconds)
        elif kind == "starve" and step.color.key not in self._starved:
            key = step.color.key
            text = f"starved {key if isinstance(key, str) else repr(key)} from {step.label} on"
            yield Fault(text, target.chance, lambda: self._starved.add(step.color.key))
        elif kind == "lose_worker" and isinstance(step.handle, JobHandle) and not step.is_spared:
            yield self._lose(step, target, done=False)
            yield self._lose(step, target, done=True)
        elif kind == "jump" and len(self._rt._hub.timers):
            yield from (self._leap(step, target, each) for each in seconds)

    def _cancel(self, step: _Step) -> None:
        if step.task is None:
            step.handle.cancel()
        else:
            step.task.cancel()

    def _delay(self, step: _Step, target: Target, seconds: float) -> Fault:
        key = step.color.key

        def happen() -> None:
            self._delayed[key] = self._rt.time() + seconds

        chance = target.chance / len(self._faults.seconds)
        return Fault(f"delayed {step.label} by {seconds:g} s", chance, happen)

    def _leap(self, step: _Step, target: Target, seconds: float) -> Fault:
        def happen() -> None:
            self._jump(self._rt.time() + seconds)
            self._jumped = True

        chance = target.chance / len(self._faults.seconds)
        return Fault(f"the clock jumped by {seconds:g} s before {step.label}", chance, happen)

    def _lose(self, step: _Step, target: Target, *, done: bool) -> Fault:
        key = step.color.key
        error = WorkerLost(f"{step.name} in color {key!r}")
        when = "with its work done" if done else "before it began"
        return Fault(
            f"lost the worker of {step.label}, {when}",
            target.chance / 2,
            lambda: self._replace(step, error, after=done),
        )

    def _throw(self, step: _Step, target: Target, thrown: Any) -> Fault:
        def happen() -> None:
            error = thrown() if isinstance(thrown, type) else copy.copy(thrown)
            if step.task is not None:
                self.injected.append(error)
                _throw_into(step, error)
            else:
                self._replace(step, error, after=False)

        name = thrown.__name__ if isinstance(thrown, type) else type(thrown).__name__
        return Fault(f"{name} raised in {step.label}", target.chance, happen)

    def _replace(self, step: _Step, error: BaseException, *, after: bool) -> None:
        """Let work raise instead of being done, or after that."""
        self.injected.append(error)
        if not isinstance(step.handle, JobHandle):
            step.ticket.call = _raiser(error)
            return
        future, work, *rest = step.handle[1]
        if asyncio.iscoroutine(work):
            if not after:
                work.close()
            work = _failing(work if after else None, error)
        elif after:
            work = _after(work, error)
        else:
            work = _raiser(error)
        step.handle[1] = (future, work, *rest)


def _step(color: ColorQueue, spare: Callable[..., object] | None) -> _Step | None:
    """What a color would do next; None if there is nothing that could go wrong."""
    aside = color._aside
    if aside and color._hold is None:
        handle = aside[0]
    elif color._queue:
        handle = color._queue[0]
        if color._hold is not None and not handle.inner:
            return None  # is put aside
    else:
        return None
    if len(handle) < 3 or not isinstance(handle[0], Watched):
        return None  # cancelled
    ticket = handle[0]
    callee = callee_of(ticket.fn)
    name = getattr(callee, "__qualname__", type(callee).__qualname__)
    spared = spare is not None and asyncio.iscoroutine(callee) and is_of(callee, spare)
    return _Step(color, handle, ticket, task_of(ticket.fn), name, label_of(ticket), spared)


def _can_end(step: _Step) -> bool:
    """Whether it may be ended: a task, or what was posted, but not main's."""
    return (step.task is not None or not step.handle.inner) and not step.is_spared


def _can_throw(step: _Step) -> bool:
    """Into a task only where it waits for a future: elsewhere there is no way in."""
    args = step.handle[1]
    waits = len(args) == 1 and asyncio.isfuture(args[0])
    return _can_end(step) and (step.task is None or waits)


def _throw_into(step: _Step, error: BaseException) -> None:
    """Let the future that a task waits for have failed."""
    assert step.task is not None
    awaited = step.handle[1][0]
    if not awaited.cancelled():
        awaited.exception()  # nobody else will ask: mark it as seen
    failed = step.task.get_loop().create_future()
    failed.set_exception(error)
    step.handle[1] = (failed,)


def _raiser(error: BaseException) -> Callable[..., object]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    return fail


def _after(work: Callable[..., Any], error: BaseException) -> Callable[..., object]:
    def fail(*args: object, **kwargs: object) -> object:
        done = work(*args, **kwargs)
        if asyncio.iscoroutine(done):
            return _failing(done, error)
        raise error

    return fail


async def _failing(work: Any, error: BaseException) -> None:
    if work is not None:
        await work
    raise error
