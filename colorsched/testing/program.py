"""One run of a program under one schedule: what it is run with, and what came of it."""

from __future__ import annotations

import asyncio
import inspect
import linecache
import traceback
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from attrs import Factory, frozen

from colorsched.core.scheduler import drop_all
from colorsched.ending import running_loops
from colorsched.errors import ColorDeadlock
from colorsched.events import NOTHING, Ticket, told
from colorsched.ports import here
from colorsched.runtime import enter, leave
from colorsched.testing.access import is_of_the_kit
from colorsched.testing.arguments import check_result
from colorsched.testing.coverage import CoverageWatch
from colorsched.testing.errors import Aborted, Blocked, Livelock, Stalled
from colorsched.testing.oracles import Deadlocked, explain_livelock, refuse_leftovers
from colorsched.testing.properties import Promises, PropertyBroken
from colorsched.testing.segments import OVER, Segments
from colorsched.testing.simruntime import MOST_STEPS, SimRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from colorsched.events import Observer
    from colorsched.testing.faults import Faults
    from colorsched.testing.properties import Property
    from colorsched.testing.races import Race
    from colorsched.testing.strategies import Strategy
    from colorsched.testing.unmet import Unmet
    from colorsched.testing.watchdog import Watchdog

    Main = Callable[[Any], Any]
    Check = Callable[[], object]


@frozen
class Failure:
    """What was wrong with a run.

    Attributes:
        kind: ``exception``, ``assertion``, ``property``, ``race``, ``deadlock``, ``stall`` or
            ``livelock``.
        error: the exception; None for a race alone.
        races: the races of the run, whatever else there was.

    """

    kind: str
    error: BaseException | None
    races: tuple[Race, ...] = ()

    @property
    def identity(self) -> tuple[object, ...]:
        """What stays the same when the same failure comes about by another schedule."""
        if isinstance(self.error, PropertyBroken):
            return self.kind, self.error.name
        if self.error is not None:
            return self.kind, type(self.error), _place(self.error)
        race = self.races[0]
        return self.kind, race.name, frozenset((race.first.place, race.second.place))

    def where(self) -> list[str]:
        """The line of the program that raised, as a line of the report; none for the kit's own."""
        if self.error is None:
            return []
        frames = [
            (frame, line)
            for frame, line in traceback.walk_tb(self.error.__traceback__)
            if not is_of_the_kit(frame)
        ]
        if not frames:
            return []
        frame, line = frames[-1]
        code = frame.f_code
        text = linecache.getline(code.co_filename, line).strip()
        return [f"  at {code.co_filename}:{line}, {code.co_qualname}: {text}".removesuffix(": ")]

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
    labels: Mapping[str, bool] = Factory(dict)
    """What ``sometimes`` said, and whether it held."""


@frozen(kw_only=True)
class Program:
    """A program and the conditions it runs under; every run of it begins from nothing.

    Attributes:
        main: posts the program to the runtime it is given; may return a check.
        most_steps: so many callbacks without coming to rest are a livelock.
        apart: run ``main`` on a stack of its own.
        detectors: make the observers of a run; those with ``races`` have theirs collected.
        properties: what every run has to keep.
        faults: what may go wrong in a run, if its strategy says so.
        unmet: is told which of those could have happened.
        observed: watch the run, though nobody asks for it. Else a program that turns out to make
            promises of its own has to begin again.
        watchdog: sees when a callback blocks.

    """

    main: Main
    most_steps: int = MOST_STEPS
    apart: bool = False
    detectors: Sequence[Callable[[], Observer]] = Factory(tuple)
    properties: Sequence[Property] = Factory(tuple)
    faults: Faults | None = None
    unmet: Unmet | None = None
    observed: bool = False
    watchdog: Watchdog | None = None

    @property
    def is_observed(self) -> bool:
        """Whether its runs are watched, whoever asks for that."""
        return bool(self.detectors or self.properties or self.faults or self.observed)

    def run(self, strategy: Strategy, *more: Observer) -> Run:
        """Run it once.

        Raises:
            NeedsThreads: it needs to run with ``apart``.
            NeedsWatching: it needs to run ``observed``.
            Blocked: it waits for something real.

        """
        observers = [*(make() for make in self.detectors), *more]
        promises = Promises(*self.properties, beside=observers)
        # Not without need: it costs a tenth or two of the time of small callbacks.
        seen = self.is_observed or more
        rt = SimRuntime(
            strategy=strategy,
            observer=promises if seen else None,
            exception_handler=_nobody,
            most_steps=self.most_steps,
            apart=self.apart,
        )
        if not seen:
            rt.promises = promises
        for found in observers:
            if isinstance(found, Segments):
                found.watch(rt)
        faulty = None
        if self.faults is not None:
            faulty = self.faults.into(rt, strategy, spare=self.main, unmet=self.unmet)
        attempt = _Attempt(self.main, () if faulty is None else faulty.injected)
        watched = nullcontext() if self.watchdog is None else self.watchdog.over(rt._simulation)
        with watched:
            error = attempt.error(rt, promises)
        for found in observers:
            if isinstance(found, CoverageWatch):
                found.over()
        races = tuple(race for found in observers for race in getattr(found, "races", ()))
        failure = None
        if error is not None:
            failure = Failure(_kind(error), error, races)
        elif races:
            failure = Failure("race", None, races)
        choices = tuple(rt._simulation.choices)
        return Run(choices, rt.steps, rt.time(), failure, promises.labels)


class _Attempt:
    """Runs main, lets everything happen, and looks at what is left."""

    def __init__(self, main: Main, injected: Sequence[BaseException]) -> None:
        self._main = main
        self._injected = injected
        """Errors that are faults: that one goes unseen is not the program's."""

    def error(self, rt: SimRuntime, promises: Promises) -> Exception | None:
        """What was wrong, if anything; a broken property before what came of it."""
        failed: Exception | None = None
        enter(rt)
        before = here.ticket
        if rt.promises is None:
            here.ticket = Ticket(promises, 0, "main", self._main, "main", None)
        told.set(NOTHING)
        try:
            self._play(rt)
            promises.over()
        except Livelock as error:
            explain_livelock(error, rt)
            failed = error
        except Blocked:
            raise
        except Aborted:  # main itself was interrupted
            if rt._simulation.accused is None:
                raise
            raise rt._simulation.accused from None
        except SystemExit as error:
            failed = RuntimeError(f"the program would exit: SystemExit({error.code!r})")
            failed.__cause__ = error
        except Exception as error:  # noqa: BLE001 - whatever the program raises is the finding
            failed = error
        finally:
            here.ticket = before
            told.set(NOTHING)
            rt.discard()
            _bury(rt)
            leave(rt)
        return promises.broken or failed

    def _play(self, rt: SimRuntime) -> None:
        result = self._main(rt)
        future = None
        if inspect.iscoroutine(result):
            future = rt.spawn(result)
        rt.settle()
        self._raise_failures(rt)
        if future is not None and future.done():
            result = future.result()  # raises what main raised
        self._raise_unasked(rt)
        refuse_leftovers(rt)
        check = check_result(result)
        if check is not None:
            checked = check()
            if inspect.iscoroutine(checked):
                checked = rt.spawn(checked).result()
            assert checked is not False, "the check returned False"
            rt.settle()
            self._raise_failures(rt)

    def _raise_failures(self, rt: SimRuntime) -> None:
        for error in rt.failures:
            if error not in self._injected:
                raise error

    def _raise_unasked(self, rt: SimRuntime) -> None:
        """Work that failed, and nobody asked: an exception that would go unseen."""
        for future in rt.futures:
            if future.done() and not future.asked and not future.cancelled():
                error = future.exception(0)
                if error is not None and error not in self._injected:
                    raise error


def _bury(rt: SimRuntime) -> None:
    """Close what the run has left unfinished, without a word about it."""
    for color in rt._scheduler.registry.alive():
        drop_all(color, OVER, inner=True)
    for loop in running_loops(rt._scheduler):
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
        case ColorDeadlock() | Deadlocked():
            return "deadlock"
        case PropertyBroken():
            return "property"
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
