"""Run a program under many schedules, and explain the smallest that fails."""

from __future__ import annotations

import warnings
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from colorsched.errors import ColorschedError
from colorsched.events import Observer
from colorsched.testing.arguments import check_conditions, check_count, check_main
from colorsched.testing.coverage import Coverage, CoverageWatch
from colorsched.testing.errors import NeedsThreads, NeedsWatching, TestingError
from colorsched.testing.faults import Faults, WithFaults
from colorsched.testing.minimize import minimize, switches
from colorsched.testing.program import Program
from colorsched.testing.races import RaceDetector
from colorsched.testing.schedule import BadSchedule, Schedule
from colorsched.testing.simruntime import MOST_STEPS
from colorsched.testing.strategies import Recorded, check_strategy, make_strategy, strategies
from colorsched.testing.timeline import Narrated, Timeline
from colorsched.testing.unmet import NoFault, Unmet
from colorsched.testing.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from colorsched.testing.program import Failure, Main, Run
    from colorsched.testing.properties import Property
    from colorsched.testing.strategies import Strategy


#: About how many callbacks may be run to make a failing schedule small: some seconds' worth.
MOST_STEPS_TO_SHRINK = 1_000_000


class NoChoice(UserWarning):
    """The schedule had nothing to choose: the program shows nothing about its order."""


class Nondeterministic(TestingError, AssertionError):
    """The same schedule gave two different runs: something but the schedule decides."""


class NeverHeld(TestingError, AssertionError):
    """What ``sometimes`` asks for did not happen under any schedule.

    Attributes:
        labels: of those.

    """

    def __init__(self, labels: Sequence[str], schedules: int) -> None:
        self.labels = tuple(labels)
        super().__init__(
            f"never in {schedules} schedules: {', '.join(map(repr, labels))}. The test has shown "
            "nothing about these; run more schedules, or let the program get there more easily"
        )


class ScheduleFailed(ColorschedError, AssertionError):
    """A schedule under which the program fails, and how to see it again.

    Attributes:
        schedule: the text that ``replay`` takes.
        failure: what was wrong (``failure.kind``, ``failure.error``, ``failure.races``).
        timeline: the run as a picture.
        switches: how many choices of the schedule are not the plain one.

    """

    def __init__(self, *, schedule: str, failure: Failure, timeline: str, story: str) -> None:
        self.schedule = schedule
        self.failure = failure
        self.timeline = timeline
        self.switches = switches(Schedule.parse(schedule).choices)
        super().__init__(story)


@frozen(kw_only=True)
class Exploration:
    """What an exploration without a failure has seen.

    Attributes:
        schedules: how many schedules were run.
        distinct: how many of them were different.
        steps: how many callbacks they ran.
        coverage: which orders of conflicting accesses were seen; None without race detection.
        reached: the labels of ``sometimes`` that held.

    """

    schedules: int
    distinct: int
    steps: int
    coverage: Coverage | None = None
    reached: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.schedules} schedules, {self.distinct} of them distinct, {self.steps} steps"
        if self.coverage is None or not self.coverage.classes:
            return text
        return f"{text}; {self.coverage}"


def explore(
    main: Main,
    *,
    schedules: int = 200,
    seed: int = 0,
    strategy: str = "portfolio",
    depth: int = 3,
    races: bool = True,
    properties: Iterable[Property] = (),
    faults: Faults | None = None,
    expect: Iterable[str] = (),
    twice: bool = False,
    shrink: bool = True,
    most_steps: int = MOST_STEPS,
) -> Exploration:
    """Run a program under many schedules; the first that fails is made small and raised.

    ``main(rt)`` gets a fresh ``SimRuntime`` for each schedule and posts the program. It may return
    a check, called when nothing can happen any more, which raises what it does not like. An
    ``async def main(rt)`` runs in the default color. A run fails if a callback or the check raises,
    if an exception of submitted work goes unseen, if two accesses to something shared race, or if
    it does not come to a good end: somebody waits for ever, or runs for ever.

    Args:
        main: the program. It must do the same whenever the schedule is the same.
        schedules: how many; the first is the plain one, in which everybody takes turns.
        seed: draws the others. The same seed, the same schedules.
        strategy: ``portfolio``, ``random``, ``pct``, ``deviations`` or ``fifo``.
        depth: up to how many ordered steps PCT aims at, and how many deviations.
        races: whether to look for races.
        properties: what every run has to keep: ``always``, ``eventually``, ``never_overlap`` ...
        faults: what may go wrong.
        expect: labels of ``sometimes`` that must hold in some schedule, reached or not.
        twice: run each schedule twice, and compare, to unmask what is not determined by it.
        shrink: whether to make a failing schedule small.
        most_steps: so many callbacks without coming to rest are a livelock.

    Raises:
        ScheduleFailed: a schedule fails.
        CannotSimulate: a callback blocked for a minute on something real; it says where.
        NeverHeld: what the program says ``sometimes`` holds never did.
        Nondeterministic: a schedule gave two different runs.
        ValueError: an argument is out of range.

    >>> def main(rt):
    ...     total = []
    ...     rt.color("red").post(total.append, "red")
    ...     rt.color("blue").post(total.append, "blue")
    ...
    ...     def check():
    ...         assert total == ["red", "blue"], total
    ...
    ...     return check
    >>> try:
    ...     explore(main)
    ... except ScheduleFailed as failed:
    ...     print(failed.schedule, failed.switches)
    cs1:-/3/2=1 1

    """
    __tracebackhide__ = True
    check_main(main)
    check_count("schedules", schedules)
    check_count("depth", depth)
    check_count("most_steps", most_steps)
    check_strategy(strategy)
    check_conditions(properties, faults, expect)
    coverage = Coverage() if races else None
    unmet = None if faults is None else Unmet(faults)
    program = Program(
        main=main,
        most_steps=most_steps,
        detectors=[RaceDetector] if races else [],
        properties=tuple(properties),
        faults=faults,
        unmet=unmet,
    )
    labels = dict.fromkeys(expect, False)
    length = 0
    seen: set[tuple[int, ...]] = set()
    steps = chances = 0
    with Watchdog() as watchdog:
        explorer = Explorer(evolve(program, watchdog=watchdog), coverage)
        for number, (kind, roll) in enumerate(
            islice(strategies(strategy, seed, depth=depth), schedules), 1
        ):
            make = partial(make_strategy, kind, roll, length=length)
            if faults is not None:
                make = partial(_with_faults, make, faults.seed * 1_000_003 + roll)
            run = explorer.run_twice(make) if twice else explorer.run(make)
            length = len(run.choices)
            seen.add(run.choices)
            steps += run.steps
            chances += length
            for label, held in run.labels.items():
                labels[label] = labels.get(label, False) or held
            if run.failure is not None:
                nth = f"schedule {number} of {schedules} ({kind}, seed {seed})"
                raise explorer.explain(run, nth, shrink=shrink, plain_passed=number > 1)
    if not chances:
        warnings.warn(
            "no schedule had anything to choose: the program posts nothing, or waits for each post "
            "before the next one. It shows nothing about its order.",
            NoChoice,
            stacklevel=2,
        )
    if unmet is not None and unmet.left:
        warnings.warn(unmet.tell(), NoFault, stacklevel=2)
    never = [label for label, held in labels.items() if not held]
    if never:
        raise NeverHeld(never, schedules)
    return Exploration(
        schedules=schedules,
        distinct=len(seen),
        steps=steps,
        coverage=coverage,
        reached=tuple(labels),
    )


def _with_faults(make: Callable[[], Strategy], seed: int) -> Strategy:
    return WithFaults(make(), seed)


def replay(
    schedule: str,
    main: Main | None = None,
    *,
    races: bool = True,
    properties: Iterable[Property] = (),
    faults: Faults | None = None,
    most_steps: int = MOST_STEPS,
) -> Exploration:
    """Run one schedule again, as an exploration printed it.

    Args:
        schedule: ``cs1:...``.
        main: the program; needed if the schedule does not name it.
        races: as of ``explore``.
        properties: as of ``explore``.
        faults: as of ``explore``; needed if the schedule does not tell them in full.
        most_steps: as of ``explore``.

    Raises:
        ScheduleFailed: it fails, as it did.
        Nondeterministic: the program took another path than when the schedule was recorded: it
            has changed since, or something but the schedule decides what it does.
        BadSchedule: the text is no schedule, names a program that is not there, or was recorded
            with other faults.

    """
    __tracebackhide__ = True
    if not isinstance(schedule, str):
        raise TypeError(f"replay takes a schedule, the text cs1:..., then main; not {schedule!r}")
    check_conditions(properties, faults)
    recorded = Schedule.parse(schedule)
    if main is not None:
        check_main(main)
    program = Program(
        main=recorded.main() if main is None else main,
        most_steps=most_steps,
        detectors=[RaceDetector] if races else [],
        properties=tuple(properties),
        faults=_faults_of(recorded, faults),
        observed=True,
    )
    made: list[Recorded] = []

    def again() -> Recorded:
        made.append(Recorded(recorded.choices))
        return made[-1]

    with Watchdog() as watchdog:
        explorer = Explorer(evolve(program, watchdog=watchdog))
        run = explorer.run(again)
        if run.failure is not None:
            raise explorer.explain(run, "the schedule", shrink=False)
    if made[-1].strayed or len(run.choices) != len(recorded.choices):
        raise Nondeterministic(
            f"this schedule has {len(recorded.choices)} choices, but the program made "
            f"{len(run.choices)} now, and did not fail: it has changed since, or something else "
            "than the schedule decides what it does (time, random numbers, hash order, threads)"
        )
    return Exploration(schedules=1, distinct=1, steps=run.steps)


def _faults_of(recorded: Schedule, given: Faults | None) -> Faults | None:
    """The faults to replay a schedule with."""
    told = recorded.faults
    if given is not None:
        if str(given) != told:
            raise BadSchedule(
                f"this schedule was recorded with {f'the faults {told}' if told else 'no faults'}, "
                f"not with {given}: its choices mean something else there"
            )
        return given
    try:
        return Faults.parse(told) if told else None
    except (ValueError, TypeError) as error:
        raise BadSchedule(f"{error}: give them: replay(schedule, faults=Faults(...))") from error


class Explorer:
    """Runs one program, apart from main's stack once that is needed."""

    def __init__(self, program: Program, coverage: Coverage | None = None) -> None:
        self._program = program
        self._coverage = coverage

    def run(self, make: Callable[[], Strategy], *observers: Callable[[], Observer]) -> Run:
        """Run the program once; begin again if it turns out to need threads, or watching."""
        if self._coverage is not None and not observers:
            observers = (partial(CoverageWatch, self._coverage),)
        while True:
            try:
                return self._program.run(make(), *(observer() for observer in observers))
            except NeedsThreads:
                self._program = evolve(self._program, apart=True)
            except NeedsWatching:
                self._program = evolve(self._program, observed=True)

    def run_twice(self, make: Callable[[], Strategy]) -> Run:
        """Run the same schedule twice.

        Raises:
            Nondeterministic: the two runs differ.

        """
        timelines: list[Timeline] = []

        def timeline() -> Timeline:
            timelines.append(Timeline())
            return timelines[-1]

        first = self.run(make, timeline)
        before = timelines[-1]
        second = self.run(make, timeline)
        difference = before.difference(timelines[-1])
        if difference is None and first.choices != second.choices:
            difference = "they had to choose among others"
        if difference is not None:
            raise Nondeterministic(
                f"the same schedule gave two runs: {difference}. Something else than the schedule "
                "decides what the program does (time, random numbers, hash order, threads)."
            )
        return first

    def explain(
        self, run: Run, nth: str, *, shrink: bool, plain_passed: bool = False
    ) -> ScheduleFailed:
        """Make the failing schedule small, and say all that there is to say.

        ``plain_passed``: the plain schedule was run before, and did not fail.
        """
        if not self._program.is_observed:
            # From now on it is; and where an exception comes from may look different then.
            self._program = evolve(self._program, observed=True)
            again = self.run(lambda: Recorded(run.choices))
            run = run if again.failure is None else again
        failure = run.failure
        assert failure is not None
        choices = run.choices
        identity = failure.identity

        def fails(candidate: tuple[int, ...]) -> tuple[int, ...] | None:
            again = self.run(lambda: Recorded(candidate), Observer)
            same = again.failure is not None and again.failure.identity == identity
            return again.choices if same else None

        if shrink:
            # A livelock takes as many steps as are allowed, each time it is tried again.
            most_runs = max(20, min(400, MOST_STEPS_TO_SHRINK // max(1, run.steps)))
            choices = minimize(choices, fails, most_runs=most_runs)
            if plain_passed and not switches(choices):
                raise Nondeterministic(
                    f"{nth} fails ({failure}), and so does the plain schedule now, which did not "
                    "before: something is left over from run to run. Make in main all that the "
                    "program changes."
                ) from failure.error
        told: list[tuple[Timeline, Narrated]] = []

        def narrate() -> Narrated:
            timeline = Timeline()
            told.append((timeline, Narrated(choices, timeline)))
            return told[-1][1]

        last = self.run(narrate, lambda: told[-1][0])
        timeline, narrated = told[-1]
        if last.failure is None or last.failure.identity != identity:
            raise Nondeterministic(
                f"{nth} fails ({failure}), but not when it is run again: something else than the "
                "schedule decides what the program does (time, random numbers, hash order, threads)"
            ) from failure.error
        failure = last.failure
        faults = "" if self._program.faults is None else str(self._program.faults)
        schedule = str(Schedule.of(self._program.main, last.choices, faults))
        picture = timeline.draw()
        lines = [f"{nth} fails: {failure}", *failure.where(), "", picture, "", narrated.tell()]
        lines += [race.explain() for race in failure.races]
        if self._coverage is not None and self._coverage.classes:
            lines.append(str(self._coverage))
        # What a schedule does not carry is to be given again.
        more = ", properties=[...]" if self._program.properties else ""
        lines.append(f'run it again: colorsched.testing.replay("{schedule}"{more})')
        failed = ScheduleFailed(
            schedule=schedule, failure=failure, timeline=picture, story="\n".join(lines)
        )
        failed.__cause__ = failure.error
        return failed
