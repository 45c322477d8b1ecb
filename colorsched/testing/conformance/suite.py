"""The suite: tests of the eight points of the contract, for any executor."""

from __future__ import annotations

import gc
import threading
import weakref
from contextvars import ContextVar
from functools import partial
from typing import Any

from colorsched.core.policy import CALLBACKS_PER_TURN, fairness_bound
from colorsched.errors import RuntimeShutdown
from colorsched.runtime import DEFAULT
from colorsched.testing.conformance.actions import (
    CALLBACKS,
    DISPATCH,
    HOLD,
    POST,
    SPAWN,
    SUBMIT,
    TIMER,
    Action,
    Cancel,
    Program,
    Raise,
    Start,
    keys,
    serially,
    without_cancels,
)
from colorsched.testing.conformance.checker import ContractError, Point, check
from colorsched.testing.conformance.harness import COLORS
from colorsched.testing.conformance.programs import programs
from colorsched.testing.conformance.record import Recorder
from colorsched.testing.conformance.reported import Reported
from colorsched.testing.conformance.running import Running, run_reports

_context: ContextVar[str] = ContextVar("_context", default="unset")


class Conformance(Reported):
    """A test class to subclass: it runs the contract's tests on the runtimes that you make.

    What an executor cannot do, it says in class attributes; the tests that need it are skipped:

    - ``callables``: ``"any"``, or ``"importable"`` if callbacks must be importable functions.
    - ``shares_memory``: callbacks see the memory of their poster. Without it, or with importable
      callables alone, what happened is told by results, and programs of ``submit`` are tested.
    - ``coroutines``, ``timers``: ``submit`` takes an ``async def``; there is ``call_later``.
    - ``blocking``: callbacks may block their thread, and others go on.
    - ``threads``: it may be used from several threads. Otherwise posters are callbacks.
    - ``forgets``: it keeps no record of what ran; a simulation may.
    - ``deterministic``: the same program does the same again, so failures are shrunk.
    - ``batches``: callbacks are sent in batches, and count as started when they are sent; so those
      that one callback cancels may have been started with it.
    - ``examples``: so many random programs at most, where it takes long to make a runtime.
    - ``patience``: seconds after which what should have happened is taken for lost.

    Its tests raise `ContractError`, which names the point of the contract.

    >>> from colorsched import Runtime
    >>> class TestThreads(Conformance):
    ...     def make_runtime(self, **options):
    ...         return Runtime(workers=2, **options)
    >>> TestThreads().test_2_one_poster_is_served_in_order()

    """

    # -- all points: programs drawn at random -----------------------------------------------------

    def test_programs(self) -> None:
        """Programs of everything that the executor can do."""
        self._needs()
        self._property(self._keeps, programs(self._ways(), colors=COLORS, depth=2))

    def test_programs_of_plain_callbacks(self) -> None:
        """Programs of few colors, with no coroutines."""
        self._needs()
        self._property(self._keeps, programs((POST, SUBMIT, DISPATCH), colors=2))

    def test_programs_of_coroutines(self) -> None:
        """Programs of few colors, many coroutines among them."""
        self._needs("coroutines")
        self._property(self._keeps, programs((POST, HOLD, SPAWN), colors=2, depth=2))

    def test_programs_that_report_by_results(self) -> None:
        """What every executor can do, whatever its callbacks share with their posters."""

        def keeps(program: Program) -> None:
            recorder = Recorder()
            with self._runtime(recorder) as rt:
                run_reports(program, rt, recorder, keys(COLORS), patience=self.patience)
                check(recorder.events)

        self._property(keeps, programs((SUBMIT,), colors=COLORS, depth=1))

    # -- 1 serial ---------------------------------------------------------------------------------

    def test_1_callbacks_of_a_color_run_one_at_a_time(self) -> None:
        """A callback that posts to its own color ends before what it posted begins."""
        self._needs()
        self._plays(Start(SUBMIT, 1, ((_start(POST), _start(POST)),)), _start(POST))

    def test_1_a_coroutine_that_holds_its_color_keeps_others_out(self) -> None:
        """Between its first step and its last no posted callback of its color runs."""
        self._needs("coroutines")
        held = Start(HOLD, 1, ((), (_start(POST),), ()))
        self._plays(held, held, _start(POST), Start(SPAWN, 1, ((), ())))

    # -- 2 first in, first out --------------------------------------------------------------------

    def test_2_one_poster_is_served_in_order(self) -> None:
        """What one poster posts in different ways runs in the order posted."""
        self._needs()
        ways = [how for how in self._ways() if how in CALLBACKS and how != TIMER]
        self._plays(*(_start(how) for how in ways * 3))

    def test_2_coroutines_that_hold_come_in_order_too(self) -> None:
        """What waited for a hold runs before what was posted later."""
        self._needs("coroutines")
        self._plays(*(_start(how) for how in (HOLD, POST, HOLD, SUBMIT, HOLD)))

    def test_2_timers_come_in_the_order_of_their_times(self) -> None:
        """Timers of one time come in the order in which they were made."""
        self._needs("timers")
        ran: list[int] = []
        late, lead = True, 0.01
        while late and lead < self.patience:  # who was held up while he made them tries again
            ran.clear()
            with self._runtime() as rt:
                color = rt.color("timers")
                first = rt.time() + lead
                for place in (3, 1, 2, 0):
                    color.call_at(first + place * 0.001, ran.append, 2 * place)
                    color.call_at(first + place * 0.001, ran.append, 2 * place + 1)
                late = rt.time() >= first
                self._drain(rt)
            lead *= 2
        if ran != sorted(ran) or len(ran) != 8:
            raise ContractError(Point.FIFO, f"timers 0 to 7, by their times, ran as {ran}")

    # -- 3 causal ---------------------------------------------------------------------------------

    def test_3_a_callback_sees_what_its_poster_did(self) -> None:
        """Plain memory that was written before the post is seen."""
        self._needs()
        inner = Start(POST, 2, ((Start(SUBMIT, 3),),))
        self._plays(Start(POST, 1, ((inner, inner),)), inner)

    def test_3_a_callback_sees_the_context_of_its_posting(self) -> None:
        """Context variables are as they were at the post."""
        self._needs()
        seen: list[str] = []
        expected: list[str] = []
        with self._runtime() as rt:
            color = rt.color("color")
            for way in ("post", "submit"):
                token = _context.set(f"as it was at {way}")
                expected.append(_context.get())
                try:
                    getattr(color, way)(lambda: seen.append(_context.get()))
                finally:
                    _context.reset(token)
            self._drain(rt)
        if seen != expected:
            raise ContractError(Point.CAUSAL, f"context variables: {seen} instead of {expected}")

    # -- 4 independent ----------------------------------------------------------------------------

    def test_4_a_color_that_blocks_delays_no_other(self) -> None:
        """While some colors block, others go on."""
        self._needs("blocking", "threads")
        go_on = threading.Event()
        gave_up: list[bool] = []

        def blocks() -> None:
            if not go_on.wait(self.patience):
                gave_up.append(True)

        with self._runtime() as rt:
            for number in range(3):
                rt.color(("blocks", number)).post(blocks)
            rt.color("another").post(go_on.set)
            in_time = rt.drain(self.patience)
            go_on.set()
        if gave_up or not in_time:
            raise ContractError(
                Point.INDEPENDENT, "while three colors block, a fourth does not run"
            )

    def test_4_a_color_that_fails_delays_no_other(self) -> None:
        """After an error the same color goes on, and so do others."""
        self._needs()
        fails = _start(POST, Raise())
        self._plays(fails, *(Start(POST, color) for color in range(COLORS)), fails, _start(POST))

    def test_4_a_color_that_waits_delays_no_other(self) -> None:
        """A color is held across a wait for another one, which goes on."""
        self._needs("coroutines")

        async def waits(other: Any) -> int:
            return await other.submit(int, "7")  # type: ignore[no-any-return]  # what int returns

        with self._runtime() as rt:
            waiting = rt.color("waits").submit(waits, rt.color("other"))
            if not rt.drain(self.patience) or waiting.result() != 7:
                raise ContractError(
                    Point.INDEPENDENT, "a color that holds and waits keeps the other one waiting"
                )

    # -- 5 fair -----------------------------------------------------------------------------------

    def test_5_a_busy_color_lets_another_have_its_turn(self) -> None:
        """A color that posts to itself without end takes no more turns than is published."""
        self._needs()
        ran = {"busy": 0, "probe": 0}
        before = 0

        def probes() -> None:
            nonlocal before
            ran["probe"] += 1
            before = ran["busy"]

        with self._runtime() as rt:
            busy, probe = rt.color("busy"), rt.color("probe")
            most = CALLBACKS_PER_TURN * fairness_bound(rt.stats().workers)

            def work() -> None:
                if not ran["busy"]:
                    probe.post(probes)
                ran["busy"] += 1
                if not ran["probe"] and ran["busy"] <= most + 1:
                    busy.post(work)

            busy.post(work)
            self._drain(rt)
        if not ran["probe"]:
            raise ContractError(Point.FAIR, "a ready color never got its turn beside a busy one")
        if before > most:
            raise ContractError(
                Point.FAIR, f"{before} callbacks of a busy color ran before that of a ready one"
            )

    # -- 6 nothing lost ---------------------------------------------------------------------------

    def test_6_everything_runs_once(self) -> None:
        """Everything that was accepted, in any way, runs once."""
        self._needs()
        self._plays(*(Start(how, n) for how in self._ways() for n in range(COLORS)))

    def test_6_errors_reach_somebody(self) -> None:
        """What a callback raises reaches its future, else the exception handler."""
        self._needs()
        self._plays(*(_start(how, Raise()) for how in self._ways()))

    def test_6_what_is_cancelled_does_not_run(self) -> None:
        """``cancel()`` is true once, of what will never run."""
        self._needs()
        # All in one callback of the color, so that none of it can have begun.
        ways = (POST, SUBMIT) + ((HOLD,) if self.coroutines else ())
        starts = [_start(how) for how in ways]
        self._plays(_start(POST, *starts, *(Cancel(n) for n in range(8))), _start(POST))

    def test_6_an_exit_ends_no_worker(self) -> None:
        """``SystemExit`` in a callback ends nothing."""
        self._needs()
        ran: list[int] = []

        def leave() -> None:
            raise SystemExit("planted by the conformance suite")

        with self._runtime() as rt:
            for number in range(8):
                rt.color(number % 2).post(leave)
                rt.color(number % 2).post(ran.append, number)
            self._drain(rt)
        if sorted(ran) != list(range(8)):
            raise ContractError(Point.NOTHING_LOST, f"beside callbacks that exit only {ran} ran")

    def test_6_a_shutdown_says_what_it_dropped(self) -> None:
        """Handles and futures of what was dropped say so, and no more is taken."""
        self._needs()
        left: dict[str, Any] = {}

        with self._runtime() as rt:
            color = rt.color("color")

            def callback() -> None:
                left["handle"] = color.post(int)
                left["future"] = color.submit(int)
                rt.shutdown(wait=False, cancel_futures=True)

            color.post(callback)
            self._drain(rt)
            rt.shutdown()
            if not left:
                raise ContractError(Point.NOTHING_LOST, "a posted callback did not run")
            if left["handle"].reason != "shut down" or not left["future"].cancelled():
                raise ContractError(
                    Point.NOTHING_LOST,
                    f"after a shutdown that cancels: {left['handle']!r}, {left['future']!r}",
                )
            try:
                color.post(int)
            except RuntimeShutdown:
                return
            raise ContractError(Point.NOTHING_LOST, "a runtime that was shut down took a callback")

    # -- 7 nothing left ---------------------------------------------------------------------------

    def test_7_idle_colors_leave_nothing(self) -> None:
        """Colors used once are gone, and so is what their callbacks were given."""
        self._needs("forgets")
        with self._runtime() as rt:
            self._drain(rt)
            before = rt.stats().colors
            remains = [self._use(rt, number) for number in range(50)]
            self._drain(rt)
            gc.collect()
            alive, colors = self._left(
                lambda: sum(remain() is not None for remain in remains),
                lambda: rt.stats().colors - before,
            )
        if alive or colors:
            raise ContractError(
                Point.NOTHING_LEFT,
                f"of 50 colors used once {colors} are left, and the arguments of {alive} callbacks",
            )

    def _use(self, rt: Any, number: int) -> weakref.ref[Recorder]:
        """Use a color once; return what shows whether its callback is alive."""
        argument = Recorder()
        color = rt.color(("used once", number))
        color.post(partial(argument.note, "posted", number))
        color.submit(partial(argument.note, "posted", number))
        return weakref.ref(argument)

    # -- 8 the same as serial ---------------------------------------------------------------------

    def test_8_the_default_color_runs_as_a_serial_loop_would(self) -> None:
        """A cancel that comes too late is in the order too."""
        self._needs()
        inner = Start(POST, 0, ((Cancel(1),),))
        self._serial((Start(POST, 0, ((inner,),)), Start(POST, 0), Start(SUBMIT, 0)))

    def test_8_programs_of_the_default_color(self) -> None:
        """Programs of one color run as a model of a serial loop does."""
        self._needs()
        drawn = programs((POST, SUBMIT, DISPATCH), colors=1, posters=1)
        self._property(lambda program: self._serial(program.scripts[0]), drawn)

    def _serial(self, script: tuple[Action, ...]) -> None:
        # All in one callback, so that what is cancelled does not hang on the poster's speed.
        if self.batches:
            script = without_cancels(script)
        starter = Start(POST, 0, (script,))
        expected = serially([starter])
        recorder = Recorder()
        with self._runtime(recorder) as rt:
            running = Running(rt, [DEFAULT], recorder, self.patience)
            running.act([starter])
            running.settle()
            order = [event.number for event in recorder.events if event.what == "begin"]
            if order != expected:
                raise ContractError(
                    Point.SAME_AS_SERIAL,
                    f"callbacks ran in the order {order}, in a serial loop {expected}",
                )
            check(recorder.events)


def _start(how: str, *body: Action) -> Start:
    return Start(how, 1, (body,))
