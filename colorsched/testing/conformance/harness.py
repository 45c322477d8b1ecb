"""What the suite's tests stand on: the runtime to test, what it can do, how programs run on it."""

from __future__ import annotations

import gc
import time
import unittest
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky

from colorsched.testing.conformance.actions import (
    DISPATCH,
    HOLD,
    POST,
    SPAWN,
    SUBMIT,
    TIMER,
    Action,
    Program,
    keys,
)
from colorsched.testing.conformance.checker import ContractError, Point, check
from colorsched.testing.conformance.record import Recorder
from colorsched.testing.conformance.running import (
    PATIENCE_SECONDS,
    Running,
    exception_handler,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched.runtime import Runtime

#: How many colors programs have.
COLORS = 4


class Harness(ABC):
    """The executor to test, and how programs run on it; `Conformance` adds the tests."""

    callables: Literal["any", "importable"] = "any"
    shares_memory: bool = True
    coroutines: bool = True
    timers: bool = True
    blocking: bool = True
    threads: bool = True
    forgets: bool = True
    deterministic: bool = False
    batches: bool = False
    examples: int | None = None
    patience: float = PATIENCE_SECONDS

    @abstractmethod
    def make_runtime(self, **options: Any) -> Runtime:
        """Make a fresh runtime. Pass the options on: ``exception_handler`` is among them."""

    @contextmanager
    def _runtime(self, recorder: Recorder | None = None) -> Iterator[Any]:
        rt = self.make_runtime(exception_handler=exception_handler(recorder or Recorder()))
        try:
            yield rt
        except BaseException:
            # Whatever is wrong with it, it may be unable to end.
            rt.shutdown(wait=False, cancel_futures=True)
            raise
        rt.shutdown(cancel_futures=True)

    def _needs(self, *flags: str) -> None:
        """Skip the test if the executor lacks something; memory and closures are always needed."""
        if self.callables != "any":
            raise unittest.SkipTest(f"the executor says callables = {self.callables!r}")
        for flag in ("shares_memory", *flags):
            if not getattr(self, flag):
                self._skip(flag)

    @staticmethod
    def _skip(flag: str) -> None:
        raise unittest.SkipTest(f"the executor says {flag} = False")

    def _ways(self) -> tuple[str, ...]:
        ways = [POST, SUBMIT, DISPATCH]
        if self.timers:
            ways.append(TIMER)
        if self.coroutines:
            ways += [HOLD, SPAWN]
        return tuple(ways)

    def _property(self, test: Callable[[Program], None], drawn: Any) -> None:
        """Run a test on the programs drawn by a strategy."""
        # What threads did once they rarely do again, and each try takes its time: shrink nothing.
        phases = [Phase.explicit, Phase.reuse, Phase.generate]
        if self.deterministic:
            phases.append(Phase.shrink)

        most = settings.default.max_examples if settings.default else 100

        @settings(
            max_examples=most if self.examples is None else min(self.examples, most),
            phases=phases,
            deadline=None,
            # One error, the simplest: who reads it, or expects it, need not unpack a group.
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(drawn)
        def holds(program: Program) -> None:
            try:
                test(program)
            except BaseException as error:
                failures.append(error)
                raise

        failures: list[BaseException] = []
        try:
            holds()
        except Flaky:
            # Threads did it once and not again. Once is enough: the contract knows no luck.
            raise failures[0] from None

    def _keeps(self, program: Program) -> None:
        recorder = Recorder()
        with self._runtime(recorder) as rt:
            run(program, rt, recorder, keys(COLORS), threads=self.threads, patience=self.patience)
            check(recorder.events)
            self._check_rest(rt)

    def _plays(self, *script: Action) -> None:
        """Run a script that one callback starts, so that every run of it starts alike."""
        recorder = Recorder()
        with self._runtime(recorder) as rt:
            running = Running(rt, keys(COLORS), recorder, self.patience)
            running.from_callbacks(Program((script,)))
            running.settle()
            check(recorder.events)

    def _drain(self, rt: Any) -> None:
        if not rt.drain(self.patience):
            raise ContractError(Point.NOTHING_LOST, "not all was done in time: drain() gave up")

    def _check_rest(self, rt: Any) -> None:
        """Nothing is under way, and only the default color is left."""
        stats = rt.stats()
        if (stats.pending, stats.ready, stats.timers) != (0, 0, 0):
            raise ContractError(Point.NOTHING_LOST, f"it is said to be quiet, but {stats}")
        if not self.forgets:
            return
        for generation in range(3):  # what failed or was cancelled may leave circles
            if rt.stats().colors > 1:
                gc.collect(generation)
        [colors] = self._left(lambda: rt.stats().colors - 1)
        if colors:
            raise ContractError(Point.NOTHING_LEFT, f"{colors} colors of the program are left")

    def _left(self, *counts: Callable[[], int]) -> list[int]:
        """How many are left of each of what should be none.

        A thread that has just found all quiet may hold the color that it looked at last, and one
        that brought the last answer of a batch may not have let go of it; a moment later they have.
        """
        left = [count() for count in counts]
        until = time.monotonic() + self.patience
        while any(left) and not self.deterministic and time.monotonic() < until:
            gc.collect()
            left = [count() for count in counts]
        return left
