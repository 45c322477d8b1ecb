"""Programs that Hypothesis makes up, on real threads: what happened keeps the contract."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define
from hypothesis import Phase, given, settings

from colorsched import DEFAULT, Runtime
from runtime.programs import (
    DISPATCH,
    HOLD,
    POST,
    SPAWN,
    SUBMIT,
    TIMER,
    Cancel,
    ContractError,
    Event,
    Node,
    Program,
    Raise,
    Start,
    Trace,
    act,
    check,
    forget,
    keys,
    programs,
    run,
    serially,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

COLORS = 4

# Without shrinking: what threads did once they rarely do again, and each try takes its time.
settings.register_profile(
    "threads", phases=[Phase.explicit, Phase.reuse, Phase.generate], parent=settings()
)
on_threads = settings.get_profile("threads")


def keeps_the_contract(program: Program) -> None:
    trace = Trace(keys(COLORS))
    rt = Runtime(program.workers, exception_handler=trace.handle)
    try:
        run(program, rt, trace)
        check(trace)
        stats = rt.stats()
        assert (stats.pending, stats.ready, stats.timers) == (0, 0, 0)
        forget(trace)
        for generation in range(3):  # what failed or was cancelled may leave circles
            if rt.stats().colors > 1:
                gc.collect(generation)
        assert rt.stats().colors == 1, "only the default color may be left"
    finally:
        rt.shutdown(wait=trace.drained, cancel_futures=True)


@on_threads
@given(programs(colors=COLORS, depth=2))
def test_programs_keep_the_contract(program: Program) -> None:
    keeps_the_contract(program)


@on_threads
@given(programs((POST, DISPATCH, SUBMIT), colors=2))
def test_programs_of_plain_callbacks_keep_the_contract(program: Program) -> None:
    keeps_the_contract(program)


@on_threads
@given(programs((POST, HOLD, SPAWN), colors=2, depth=2))
def test_programs_of_coroutines_keep_the_contract(program: Program) -> None:
    keeps_the_contract(program)


@pytest.mark.slow
@settings(on_threads, max_examples=2 * settings().max_examples)
@given(programs(colors=COLORS, threads=4))
def test_larger_programs_keep_the_contract(program: Program) -> None:
    keeps_the_contract(program)


@on_threads
@given(programs((POST, SUBMIT, DISPATCH), colors=1, threads=1))
def test_the_default_color_alone_runs_as_one_serial_loop_would(program: Program) -> None:
    (script,) = program.threads
    trace = Trace([DEFAULT])
    with Runtime(program.workers, exception_handler=trace.handle) as rt:
        rt.post(act, script, rt, trace)
        trace.drained = rt.drain()
    check(trace)
    order = [event.node.number for event in trace.events if event.what == "begin"]
    assert order == serially(script)


def test_the_serial_model_is_not_empty() -> None:
    inner = Start(POST, 0, ((Cancel(1),),))
    script = (Start(POST, 0, ((inner,),)), Start(POST, 0, ((),)), Start(SUBMIT, 0, ((),)))
    # 0 posts 3 behind 2; 3 comes too late to cancel 1, which has run.
    assert serially(script) == [0, 1, 2, 3]
    assert serially((Start(POST, 0, ((),)), Cancel(0), Start(POST, 0, ((),)))) == [1]


# -- testing the tester: a runtime with a fault is found out --------------------------------------


@define
class Faulty:
    """A runtime whose colors have a fault."""

    rt: Runtime
    fault: Callable[[Any, Runtime], Any]

    def color(self, key: Hashable) -> Any:
        return self.fault(self.rt.color(key), self.rt)

    def drain(self, timeout: float | None = None) -> bool:
        return self.rt.drain(timeout)


@define
class Sound:
    """A color with no fault; others change one thing of it."""

    color: Any
    rt: Runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self.color, name)


class RunsTwice(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        self.color.post(fn, *args)
        return self.color.post(fn, *args)


class Loses(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.color.post(lambda: None)


class RunsElsewhere(Sound):
    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.rt.color("elsewhere").post(fn, *args)


class RunsInside(Sound):
    """Runs at once what should wait for the callback that posts it."""

    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        fn(*args)
        return self.color.post(lambda: None)


class GoesAstern(Sound):
    """The second of what a callback posts overtakes the first."""

    def submit(self, fn: Callable[..., object], *args: Any) -> Any:
        return self.color.submit(partial(self.color.submit, fn), *args)


class CancelsInVain(Sound):
    """Its handles say that they are cancelled, and the callback runs all the same."""

    def post(self, fn: Callable[..., object], *args: Any) -> Any:
        handle = self.color.post(lambda: None)
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
        return self.color.spawn(fn(*args))


def post(*body: Any, color: int = 1) -> Start:
    return Start(POST, color, (body,))


HOLDS_TWICE = (Start(HOLD, 1, ((), ())), Start(HOLD, 1, ((), ())))

FAULTS: dict[str, tuple[Callable[[Any, Runtime], Any], tuple[Any, ...], str]] = {
    "runs twice": (RunsTwice, (post(),), "once: post 0 began 2 times"),
    "loses": (Loses, (post(),), "once: post 0 was lost"),
    "runs elsewhere": (RunsElsewhere, (post(),), "color: 0 of color 1 ran in"),
    "runs inside": (RunsInside, (Start(SUBMIT, 1, ((post(),),)),), "serial: 1 and 0 ran at once"),
    "goes astern": (GoesAstern, (Start(SUBMIT, 1, ((),)), post()), "."),
    "cancels in vain": (
        CancelsInVain,
        (Start(SUBMIT, 1, ((post(), Cancel(1)),)),),
        "once: post 1 ran though it was cancelled",
    ),
    "swallows errors": (
        SwallowsErrors,
        (post(Raise()),),
        r"outcome: PlannedError\(0\) reached the exception handler 0 times",
    ),
    "does not hold": (Spawns, HOLDS_TWICE, "serial: 1 began in 1 while 0 held it"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name: str) -> None:
    fault, script, message = FAULTS[name]
    trace = Trace(keys(COLORS))
    with Runtime(1, exception_handler=trace.handle) as rt:
        # All of it is started by one callback, so that every run of it is the same.
        rt.color("starter").post(act, script, Faulty(rt, fault), trace)
        trace.drained = rt.drain()
        with pytest.raises(ContractError, match=message):
            check(trace)


def test_a_color_without_a_fault_passes() -> None:
    for _, script, _ in FAULTS.values():
        trace = Trace(keys(COLORS))
        with Runtime(1, exception_handler=trace.handle) as rt:
            rt.color("starter").post(act, script, Faulty(rt, Sound), trace)
            trace.drained = rt.drain()
        check(trace)


def story(*events: tuple[str, Node]) -> Trace:
    trace = Trace(keys(COLORS), drained=True)
    trace.events.extend(Event(what, node) for what, node in events)
    return trace


def test_overtaking_is_found() -> None:
    first, second = Node(0, post()), Node(1, post())
    trace = story(
        ("posting", first), ("posted", first), ("posting", second), ("posted", second),
        ("begin", second), ("end", second), ("begin", first), ("end", first),
    )  # fmt: skip
    trace.nodes.extend((first, second))
    with pytest.raises(ContractError, match="order: 1 ran before 0"):
        check(trace)


def test_who_posts_at_the_same_time_may_run_in_either_order() -> None:
    first, second = Node(0, post(), seen="for 0"), Node(1, post(), seen="for 1")
    trace = story(
        ("posting", first), ("posting", second), ("posted", first), ("posted", second),
        ("begin", second), ("end", second), ("begin", first), ("end", first),
    )  # fmt: skip
    trace.nodes.extend((first, second))
    check(trace)


def test_a_callback_that_does_not_see_what_its_poster_did_is_found() -> None:
    node = Node(0, post(), seen=None)
    trace = story(("posting", node), ("posted", node), ("begin", node), ("end", node))
    trace.nodes.append(node)
    with pytest.raises(ContractError, match="causal: post 0 saw None"):
        check(trace)


def test_a_runtime_that_does_not_come_to_rest_is_found() -> None:
    with pytest.raises(ContractError, match="quiet"):
        check(Trace(keys(COLORS)))


def test_residue_is_seen() -> None:
    with Runtime(1) as rt:
        color = rt.color("kept")
        assert rt.drain()
        assert rt.stats().colors == 2
        del color
        assert rt.stats().colors == 1


def test_generated_programs_are_of_every_kind() -> None:
    """Or a promise would be tested by nothing."""
    seen: set[str] = set()

    def look(actions: Any) -> None:
        for action in actions:
            seen.add(type(action).__name__)
            if isinstance(action, Start):
                seen.add(action.how)
                for part in action.parts:
                    look(part)

    @settings(max_examples=100, derandomize=True, database=None)
    @given(programs(colors=COLORS))
    def collect(program: Program) -> None:
        seen.add(f"{program.workers} workers")
        seen.add(f"{len(program.threads)} threads")
        for script in program.threads:
            look(script)

    collect()
    assert seen >= {POST, SUBMIT, DISPATCH, TIMER, HOLD, SPAWN, "Cancel", "Raise"}
    assert seen >= {f"{n} workers" for n in range(1, 5)} | {f"{n} threads" for n in range(1, 4)}
