"""``@color_test``: a test that pytest runs under many schedules."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import define, evolve, frozen

from colorsched.testing.exploration import (
    NoChoice,
    Nondeterministic,
    ScheduleFailed,
    explore,
    replay,
)
from colorsched.testing.schedule import Schedule
from colorsched.testing.simruntime import MOST_STEPS
from colorsched.testing.strategies import check_strategy
from colorsched.testing.unmet import NoFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from colorsched.testing.faults import Faults
    from colorsched.testing.properties import Property

PACKAGE = str(Path(__file__).resolve().parent.parent)

#: An example of Hypothesis explores at least so many schedules.
FEWEST = 8


@define(kw_only=True)
class Asked:
    """What the command line asks of the test that runs, and what was found."""

    nodeid: str
    replay: str | None
    count: int | None
    seed: int | None
    schedules: int = 0
    coverage: str = ""
    story: str = ""


ASKED: ContextVar[Asked | None] = ContextVar("ASKED", default=None)


@frozen(kw_only=True)
class ColorTest:
    """How one test is explored."""

    schedules: int
    seed: int
    strategy: str
    depth: int
    races: bool
    properties: tuple[Property, ...]
    faults: Faults | None
    expect: tuple[str, ...]
    twice: bool
    most_steps: int

    @contextmanager
    def asked(
        self, *, nodeid: str, replay: str | None, schedules: int | None, seed: int | None
    ) -> Iterator[Asked]:
        """Let the test that runs now do what the command line asks."""
        asked = Asked(nodeid=nodeid, replay=replay, count=schedules, seed=seed)
        token = ASKED.set(asked)
        try:
            yield asked
        finally:
            ASKED.reset(token)

    def explore(self, main: Callable[[Any], Any]) -> None:
        """Explore a test's body, and raise what it raises, with the schedule beside it."""
        __tracebackhide__ = True
        asked = ASKED.get()
        try:
            self._run(main, asked)
        except ScheduleFailed as error:
            failed = error
        else:
            return
        story = str(failed)
        note = story
        if asked is not None:
            story, note = _command(failed, asked)
            asked.story = story
        cause = failed.failure.error
        if cause is None:
            if asked is not None:
                # The rest of the story has a section of its own in the report.
                failed.args = ("\n".join((story.partition("\n")[0], note)),)
            raise failed.with_traceback(None)
        cause.add_note(note)
        raise cause.with_traceback(_outside(cause.__traceback__))

    def _run(self, main: Callable[[Any], Any], asked: Asked | None) -> None:
        examples = _examples()
        if asked is not None and asked.replay:
            asked.schedules += 1
            try:
                replay(
                    asked.replay,
                    main,
                    races=self.races,
                    properties=self.properties,
                    faults=self.faults,
                    most_steps=self.most_steps,
                )
            except Nondeterministic:
                if not examples:
                    raise  # with data of Hypothesis, it is another example's schedule
            return
        count = self.schedules if asked is None or asked.count is None else asked.count
        seed = self.seed if asked is None or asked.seed is None else asked.seed
        with warnings.catch_warnings():
            if examples:
                count = min(count, max(FEWEST, count // examples))
                # Small data often leave nothing to choose, and no place for faults.
                warnings.simplefilter("ignore", NoChoice)
                warnings.simplefilter("ignore", NoFault)
            found = explore(
                main,
                schedules=count,
                seed=seed,
                strategy=self.strategy,
                depth=self.depth,
                races=self.races,
                properties=self.properties,
                faults=self.faults,
                expect=self.expect,
                twice=self.twice,
                most_steps=self.most_steps,
            )
        if asked is not None:
            asked.schedules += found.schedules
            if found.coverage is not None and found.coverage.classes:
                asked.coverage = str(found.coverage)


def color_test(
    test: Callable[..., Any] | None = None,
    /,
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
    most_steps: int = MOST_STEPS,
) -> Callable[..., Any]:
    """Make a test of pytest run under many schedules.

    Its argument ``rt`` is a ``SimRuntime``, a fresh one for each schedule; all others are fixtures,
    parameters, or data of Hypothesis' ``@given``, which may stand above or below. It may be an
    ``async def``, and may return a check; all is as with ``explore``. Fixtures are set up once for
    all schedules, so what a test changes it makes itself. With ``@given`` the schedules are shared
    out among the examples, of which each has at least eight.

    Args:
        test: the test, if the decorator stands without arguments.
        schedules: how many; ``pytest --colorsched-schedules=N`` overrides it.
        seed: as of ``explore``; ``pytest --colorsched-seed=N`` overrides it.
        strategy: as of ``explore``.
        depth: as of ``explore``.
        races: as of ``explore``.
        properties: as of ``explore``.
        faults: as of ``explore``.
        expect: as of ``explore``.
        twice: as of ``explore``.
        most_steps: as of ``explore``.

    Raises:
        TypeError: the test has no argument ``rt``.
        ValueError: an argument is out of range.

    >>> @color_test(schedules=50)
    ... def test_order(rt):
    ...     seen = []
    ...     for number in range(3):
    ...         rt.color("red").post(seen.append, number)
    ...     rt.color("blue").post(len, "")
    ...     rt.drain()
    ...     assert seen == [0, 1, 2]
    >>> test_order()

    """
    if schedules < 1:
        raise ValueError(f"schedules must be at least 1, not {schedules}")
    if depth < 1:
        raise ValueError(f"depth must be at least 1, not {depth}")
    check_strategy(strategy)
    how = ColorTest(
        schedules=schedules,
        seed=seed,
        strategy=strategy,
        depth=depth,
        races=races,
        properties=tuple(properties),
        faults=faults,
        expect=tuple(expect),
        twice=twice,
        most_steps=most_steps,
    )
    return functools.partial(_decorate, how) if test is None else _decorate(how, test)


def _decorate(how: ColorTest, test: Callable[..., Any]) -> Callable[..., None]:
    signature = inspect.signature(test)
    if "rt" not in signature.parameters:
        raise TypeError(
            f"{test.__qualname__} has no argument rt; a color_test posts to the runtime it is given"
        )
    handle = getattr(test, "hypothesis", None)
    if handle is None:
        run = _explored(how, test)
    else:
        # @given calls its inner test for each example: there the schedules are explored.
        handle.inner_test = _explored(how, handle.inner_test)

        def run(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            test(*args, rt=None, **kwargs)

    run = functools.wraps(test)(run)
    rest = [p for name, p in signature.parameters.items() if name != "rt"]
    run.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]  # inspect's own door
    run.color_test = how  # type: ignore[attr-defined]  # where the plugin finds it
    return run


def _explored(how: ColorTest, test: Callable[..., Any]) -> Callable[..., None]:
    names = list(inspect.signature(test).parameters)

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        rest = [name for name in names if name != "rt"] if kwargs.pop("rt", 0) == 0 else names
        given = dict(zip(rest, args, strict=False)) | kwargs
        given.pop("rt", None)
        how.explore(lambda rt: test(**given, rt=rt))

    return run


def _examples() -> int:
    """How many examples Hypothesis takes, if it runs this test; else 0."""
    if "hypothesis" not in sys.modules:
        return 0
    from hypothesis import currently_in_test_context, settings

    return settings().max_examples if currently_in_test_context() else 0


def _command(failed: ScheduleFailed, asked: Asked) -> tuple[str, str]:
    """The story, and its last line: both with the schedule that names the test."""
    name = quote(asked.nodeid, safe="/:[]().,=@+")
    schedule = str(evolve(Schedule.parse(failed.schedule), program=name))
    command = f'run it again: pytest --colorsched-replay="{schedule}"'
    return str(failed).rpartition("\n")[0] + "\n" + command, command


def _outside(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback from where it leaves the kit."""
    inner = traceback
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(PACKAGE):
        inner = inner.tb_next
    return inner or traceback
