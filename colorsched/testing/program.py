"""One run of a program under one schedule: what it is run with, and what came of it."""

from __future__ import annotations

import asyncio
import inspect
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from attrs import Factory, frozen

from colorsched.errors import ColorDeadlock
from colorsched.events import Observer, Ticket
from colorsched.ports import here
from colorsched.runtime import _enter, _leave
from colorsched.testing.errors import Livelock, NeedsThreads, Stalled
from colorsched.testing.simruntime import MOST_STEPS, SimRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from colorsched.testing.races import Race
    from colorsched.testing.strategies import Strategy

    Main = Callable[[Any], Any]
    Check = Callable[[], object]


@frozen
class Failure:
    """What was wrong with a run.

    Attributes:
        kind: ``exception``, ``assertion``, ``race``, ``deadlock``, ``stall`` or ``livelock``.
        error: the exception; None for a race alone.
        races: the races of the run, whatever else there was.

    """

    kind: str
    error: BaseException | None
    races: tuple[Race, ...] = ()

    @property
    def identity(self) -> tuple[object, ...]:
        """What stays the same when the same failure comes about by another schedule."""
        if self.error is not None:
            return self.kind, type(self.error), _place(self.error)
        race = self.races[0]
        return self.kind, race.name, frozenset((race.first.place, race.second.place))

    def __str__(self) -> str:
        if self.error is None:
            return str(self.races[0])
        text = str(self.error)
        return f"{type(self.error).__name__}: {text}" if text else type(self.error).__name__


@frozen
class Run:
    """What came of one run."""

    choices: tuple[int, ...]
    steps: int
    seconds: float
    """Of virtual time."""
    failure: Failure | None


@frozen(kw_only=True)
class Program:
    """A program and the conditions it runs under; every run of it begins from nothing.

    Attributes:
        main: posts the program to the runtime it is given; may return a check.
        most_steps: so many callbacks without coming to rest are a livelock.
        apart: run ``main`` on a stack of its own.
        detectors: make the observers of a run; those with ``races`` have theirs collected.

    """

    main: Main
    most_steps: int = MOST_STEPS
    apart: bool = False
    detectors: Sequence[Callable[[], Observer]] = Factory(tuple)

    def run(self, strategy: Strategy, *more: Observer) -> Run:
        """Run it once.

        Raises:
            NeedsThreads: it needs to run with ``apart``.

        """
        observers = [*(make() for make in self.detectors), *more]
        observer = observers[0] if len(observers) == 1 else Observers(observers)
        attempt = _Attempt(self.main)
        rt = SimRuntime(
            strategy=strategy,
            observer=observer if observers else None,
            exception_handler=_nobody,
            most_steps=self.most_steps,
            apart=self.apart,
        )
        failure = attempt.failure(rt, observer)
        races = tuple(race for found in observers for race in getattr(found, "races", ()))
        if failure is not None:
            failure = Failure(_kind(failure.error), failure.error, races)
        elif races:
            failure = Failure("race", None, races)
        return Run(tuple(rt._simulation.choices), rt.steps, rt.time(), failure)


class _Attempt:
    """Runs main, lets everything happen, and looks at what is left."""

    def __init__(self, main: Main) -> None:
        self._main = main
        self._check: Check | None = None

    def failure(self, rt: SimRuntime, observer: Observer) -> Failure | None:
        _enter(rt)
        before, here.ticket = here.ticket, Ticket(observer, 0, "main", self._main, "main", None)
        try:
            self._play(rt)
        except NeedsThreads:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the program raises is the finding
            return Failure("", error)
        finally:
            here.ticket = before
            rt.discard()
            _bury(rt)
            _leave(rt)
        return None

    def _play(self, rt: SimRuntime) -> None:
        result = self._main(rt)
        future = None
        if inspect.iscoroutine(result):
            future = rt.spawn(result)
        rt.settle()
        if rt.failures:
            raise rt.failures[0]
        if future is not None:
            if future.done():
                result = future.result()  # raises what main raised
        _raise_unasked(rt)
        _refuse_leftovers(rt)
        if callable(result):
            checked = result()
            if inspect.iscoroutine(checked):
                rt.spawn(checked).result()
            rt.settle()
            if rt.failures:
                raise rt.failures[0]


def _raise_unasked(rt: SimRuntime) -> None:
    """Work that failed, and nobody asked: an exception that would go unseen."""
    for future in rt.futures:
        if future.done() and not future.asked and not future.cancelled():
            error = future.exception(0)
            if error is not None:
                raise error


def _refuse_leftovers(rt: SimRuntime) -> None:
    """Whatever ``drain`` would wait for is stuck, now that nothing can happen any more."""
    waiting = [
        f"{color.key!r} has {color.pending()} callbacks behind a coroutine that holds it"
        for color in rt._scheduler.registry.alive()
        if color.pending()
    ]
    for task in sorted(rt._shared.live, key=lambda task: task.get_name()):
        color = task.get_loop().color  # type: ignore[attr-defined]  # live tasks run in colors
        frame = task.get_coro().cr_frame  # type: ignore[union-attr]  # of a coroutine, as spawn checks
        place = "" if frame is None else f" at line {frame.f_lineno} of {frame.f_code.co_filename}"
        waiting.append(f"{task.get_coro().__qualname__} in {color.key!r} waits{place}")  # type: ignore[union-attr]  # as above
    if waiting:
        raise Stalled(waiting)


def _bury(rt: SimRuntime) -> None:
    """Close what the run has left unfinished, without a word about it."""
    for loop in rt._loops():
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own way to say that it is meant
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    task.get_coro().close()  # a coroutine
                except BaseException:  # noqa: BLE001, S110 - its cleaning up fails, in a run that is over
                    pass


def _kind(error: BaseException | None) -> str:
    match error:
        case ColorDeadlock():
            return "deadlock"
        case Stalled():
            return "stall"
        case Livelock():
            return "livelock"
        case AssertionError():
            return "assertion"
    return "exception"


def _place(error: BaseException) -> object:
    """Where in the code an exception was raised, as far as it is not in ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return [(frame.filename, frame.lineno) for frame in frames[-1:]]


def _nobody(_error: BaseException) -> None:
    """Failures are collected by the runtime itself."""


class Observers(Observer):
    """Several observers as one, in this order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        for name in (
            "posted", "started", "ended", "dropped", "planned", "recalled", "completed", "joined",
            "accessed",
        ):  # fmt: skip
            # Only those that listen are called.
            listeners = [
                getattr(observer, name)
                for observer in observers
                if getattr(type(observer), name) is not getattr(Observer, name)
            ]
            setattr(self, name, listeners[0] if len(listeners) == 1 else _all(listeners))


def _all(listeners: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def tell(*event: Any) -> None:
        for listener in listeners:
            listener(*event)

    return tell
