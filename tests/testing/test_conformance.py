"""The conformance suite, on the executors that there are and on runtimes with faults."""

from __future__ import annotations

import unittest
from collections import defaultdict
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from colorsched import Runtime, current_color
from colorsched.testing import SimRuntime, conformance
from colorsched.testing.conformance import ContractError, Point
from colorsched.testing.conformance.witness import Seen
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

TwoWorkers = partial(Runtime, workers=2)


class TestOneWorker(conformance.Conformance):
    def make_runtime(self, **options: Any) -> Runtime:
        return Runtime(workers=1, **options)


class TestTwoWorkers(conformance.Conformance):
    def make_runtime(self, **options: Any) -> Runtime:
        return TwoWorkers(**options)


class TestByResults(conformance.Conformance):
    """As an executor would be that shares no memory."""

    callables = "importable"
    shares_memory = False

    def make_runtime(self, **options: Any) -> Runtime:
        return TwoWorkers(**options)


class TestSimulated(conformance.Conformance):
    threads = False
    blocking = False
    forgets = False  # it keeps its futures, for reports
    deterministic = True

    def make_runtime(self, **options: Any) -> Runtime:
        return SimRuntime(seed=1, **options)


# -- a runtime with a fault is found out, whatever the fault --------------------------------------


@define
class Faulty:
    """A runtime whose colors have a fault."""

    rt: Runtime
    fault: Callable[[Any, Faulty], Any]
    kept: defaultdict[Hashable, list[Any]] = field(factory=partial(defaultdict, list))

    def color(self, key: Hashable) -> Any:
        return self.fault(self.rt.color(key), self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rt, name)


@define
class Sound:
    """A color with no fault; others change one thing of it."""

    color: Any
    of: Faulty

    def __getattr__(self, name: str) -> Any:
        return getattr(self.color, name)


class RunsTwice(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        self.color.post(fn, *args)
        return self.color.post(fn, *args)


class Loses(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.color.post(int)


class RunsElsewhere(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.of.rt.color("elsewhere").post(fn, *args)


class RunsInside(Sound):
    """Runs at once what should wait for the callback that posts it."""

    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        if current_color() is None:
            return self.color.post(fn, *args)
        fn(*args)
        return self.color.post(int)


class GoesAstern(Sound):
    """What is submitted is overtaken by what is posted after it."""

    def submit(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.color.submit(partial(self.color.submit, fn), *args)


class CancelsInVain(Sound):
    """Its handles say that they are cancelled, and the callback runs all the same."""

    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        handle = self.color.post(int)
        self.color.post(fn, *args)
        return handle


class SwallowsErrors(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.color.post(self._quietly, fn, args)

    @staticmethod
    def _quietly(fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            fn(*args)
        except Exception:  # noqa: BLE001 - this is the fault
            return


class Spawns(Sound):
    """Does not hold the color for coroutines that should."""

    def submit(self, fn: Callable[..., Any], *args: Any) -> Any:
        return (
            self.color.spawn(fn(*args))
            if fn.__name__ == "_coroutine"
            else self.color.submit(fn, *args)
        )


class ForgetsTheContext(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.color.post(Context().run, fn, *args)


class Hogs(Sound):
    """Runs what a color posts to itself within the same callback, however much it is."""

    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        waiting = self.of.kept[self.color.key]
        waiting.append((fn, args))
        return self.color.post(self._all, waiting) if len(waiting) == 1 else None

    @staticmethod
    def _all(waiting: list[Any]) -> None:
        while waiting:
            fn, args = waiting[0]
            try:
                fn(*args)
            finally:
                del waiting[0]


class Keeps(Sound):
    """Lets no color go."""

    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        self.of.kept["all"].append((self.color, fn))
        return self.color.post(fn, *args)


FAULTS: dict[str, tuple[Callable[[Any, Faulty], Any], Point, str]] = {
    "runs twice": (RunsTwice, Point.NOTHING_LOST, "began 2 times"),
    "loses": (Loses, Point.NOTHING_LOST, "post 0 was lost"),
    "runs elsewhere": (RunsElsewhere, Point.SERIAL, "ran in the color 'elsewhere'"),
    "runs inside": (RunsInside, Point.SERIAL, "ran at once"),
    "goes astern": (GoesAstern, Point.FIFO, "ran before submit"),
    "cancels in vain": (CancelsInVain, Point.NOTHING_LOST, "ran though its handle says"),
    "swallows errors": (SwallowsErrors, Point.NOTHING_LOST, "reached the exception handler 0"),
    "does not hold": (Spawns, Point.SERIAL, "held it"),
    "forgets the context": (ForgetsTheContext, Point.CAUSAL, "context variables"),
    "hogs": (Hogs, Point.FAIR, "callbacks of a busy color"),
    "keeps": (Keeps, Point.NOTHING_LEFT, "50 are left"),
    "runs in another order": (GoesAstern, Point.SAME_AS_SERIAL, "in a serial loop"),
}


def findings(suite: conformance.Conformance) -> Iterator[BaseException]:
    """Run the suite's scenes, without its random programs; tell how they fail."""
    for name in dir(suite):
        if name.startswith("test_") and "programs" not in name:
            try:
                getattr(suite, name)()
            except unittest.SkipTest:
                continue
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a fault may break anything
                yield error


class OnFaulty(conformance.Conformance):
    patience = 5.0
    blocking = False

    def __init__(self, fault: Callable[[Any, Faulty], Any], max_workers: int = 1) -> None:
        self.fault = fault
        self.max_workers = max_workers

    def make_runtime(self, **options: Any) -> Any:
        return Faulty(Runtime(1, self.max_workers, **options), self.fault)


# To see that something stays, one waits whether it goes.
SLOW = {"keeps"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in FAULTS]
)
def test_a_fault_is_found_and_the_point_named(name: str) -> None:
    fault, point, what = FAULTS[name]
    found = [str(error) for error in findings(OnFaulty(fault))]
    assert any(message.startswith(str(point)) and what in message for message in found), found


def test_a_color_without_a_fault_passes() -> None:
    suite = OnFaulty(Sound, max_workers=8)
    suite.blocking, suite.patience = True, PATIENCE_SECONDS
    assert not list(findings(suite))


class Looks(Sound):
    """Holds the color used last until the runtime is asked how many there are."""

    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        self.of.kept["looks at"] = [self.color]
        return self.color.post(fn, *args)


class LooksOnce(Faulty):
    def stats(self) -> Any:
        stats = self.rt.stats()
        self.kept.clear()
        return stats


def test_a_color_that_a_thread_just_looks_at_is_no_leftover() -> None:
    class OnLooker(OnFaulty):
        def make_runtime(self, **options: Any) -> Any:
            return LooksOnce(Runtime(2, **options), self.fault)

    OnLooker(Looks).test_7_idle_colors_leave_nothing()


def test_an_executor_whose_colors_block_each_other_is_found() -> None:
    suite = OnFaulty(Sound)
    suite.blocking, suite.patience = True, 0.2
    with pytest.raises(ContractError, match="point 4 of the contract, independent"):
        suite.test_4_a_color_that_blocks_delays_no_other()


def test_two_places_that_run_one_color_at_once_are_found_by_their_clock() -> None:
    """Each sees only itself; and on another machine nobody can tell."""

    def seen(number: int, began: float, machine: str = "here") -> Future[Seen]:
        future: Future[Seen] = Future()
        place = (number, began)
        future.set_result(Seen(number, place, 0, True, machine, began, began + 2.0))
        return future

    check = OnFaulty(Sound)._check_seen
    check({"red": [seen(0, 1.0), seen(1, 3.0)], "blue": [seen(0, 2.0)]})
    check({"red": [seen(0, 1.0), seen(1, 0.0, "there"), seen(2, 3.0)]})
    for began in (2.0, 0.0):
        with pytest.raises(ContractError, match="began before the last one had ended"):
            check({"red": [seen(0, 1.0), seen(1, began)]})


def test_random_programs_find_faults_too() -> None:
    with pytest.raises(ContractError, match=r"point [26] of the contract"):
        OnFaulty(GoesAstern).test_programs_of_plain_callbacks()
