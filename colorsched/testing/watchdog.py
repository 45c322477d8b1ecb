"""Sees when a simulated run is stuck on something real, and says where.

In a simulation one callback runs at a time. One that waits for a lock, a queue or an event of the
real world waits for ever: whoever could help it does not run meanwhile. No schedule is to blame, so
none is made small; the run is ended, with the callback's name and stack.

What looks is a thread that sleeps nearly always. It changes nothing in a run that goes on: it acts
only when for a minute no step was taken, and the thread that runs them slept at one instruction.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from itertools import dropwhile
from typing import TYPE_CHECKING, Any, Self

from colorsched.ports import is_asleep as is_really_asleep
from colorsched.ports import start_thread
from colorsched.testing.access import is_of_the_kit
from colorsched.testing.errors import Aborted, Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from colorsched.ports import Event
    from colorsched.testing.simulation import Simulation

#: How often it looks, and after how many looks that saw the same it acts.
LOOK_SECONDS, LOOKS = 5.0, 12

#: Lets Python's main thread out of a system call that it waits in: a signal that means nothing by
#: itself. There is none on Windows, and other threads can't be let out: there it is told, no more.
SIGNAL: int | None = getattr(signal, "SIGURG", None)

#: Whoever stands at a debugger's prompt sleeps, too, and is to be left alone.
_DEBUGGERS = {"bdb", "cmd", "code", "debugpy", "IPython", "pdb", "pydevd"}


class Watchdog:
    """Watches the simulations that one thread runs, one after the other.

    A context manager: it looks inside the block, at the simulation that it is told of there.

    Args:
        event: makes the event that its thread waits with, between two looks.
        is_asleep: whether a thread sleeps, of its native id.

    """

    def __init__(
        self,
        *,
        event: Callable[[], Event] = threading.Event,
        is_asleep: Callable[[int], bool] = is_really_asleep,
    ) -> None:
        self._simulation: Simulation | None = None
        self._over = event()
        self._is_asleep = is_asleep
        self._id = threading.get_ident()
        self._native_id = threading.get_native_id()
        self._seen: object = None
        self._count = 0
        self._thread: Any = None
        self._handled = False
        """Whether the signal lets our thread out."""
        self._interrupts = False
        """The next signal interrupts."""
        self._again = False
        """The last one has, and perhaps another one has to."""

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if SIGNAL is not None and is_main and signal.getsignal(SIGNAL) is signal.SIG_DFL:
            signal.signal(SIGNAL, self._on_signal)
            self._handled = True
        self._thread = start_thread(self._watch, "colorsched-watchdog")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._handled and SIGNAL is not None:
            signal.signal(SIGNAL, signal.SIG_DFL)

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self._interrupts and self._simulation is not None:
            self._interrupts = False
            raise Aborted

    @contextmanager
    def over(self, simulation: Simulation) -> Iterator[None]:
        """Watch this simulation inside the block."""
        self._simulation = simulation
        self._interrupts = self._again = False
        try:
            yield
        finally:
            self._simulation = None

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        simulation = self._simulation
        frame = sys._current_frames().get(self._id)
        seen = None
        # Where another thread has the turn, main waits for that one, and loses patience itself.
        if simulation is not None and frame is not None and simulation.runs == self._id:
            seen = (id(simulation), simulation.steps, id(frame), frame.f_lasti)
        if seen is None or seen != self._seen or not self._is_asleep(self._native_id):
            self._seen = seen
            self._count = 0
            return
        self._count += 1
        if self._count < LOOKS or simulation is None or _is_debugged(frame):
            return
        if simulation.accused is None:
            simulation.accused = blocked(simulation, LOOKS * LOOK_SECONDS)
            if not self._handled:
                sys.stderr.write(f"colorsched.testing: {simulation.accused}\n")
        elif self._interrupts:
            # The signal came just before it began to wait, and so was not seen.
            self._signal()
            return
        elif not self._again:
            # The interrupt was taken, and has let nobody out: it was caught, or lost in a
            # finalizer. If this is how it still is after as many looks more, once more.
            self._again = True
            self._count = 0
            return
        self._again = False
        self._interrupts = self._handled
        self._signal()

    def _signal(self) -> None:
        if self._handled and SIGNAL is not None:
            signal.pthread_kill(self._id, SIGNAL)


def blocked(simulation: Simulation, seconds: float) -> Blocked:
    """Say which callback of a simulation is stuck, and where."""
    found = sys._current_frames().get(simulation.runs)
    stack = [] if found is None else [frame for frame, _ in traceback.walk_stack(found)]
    stack.reverse()
    steps = [place for place, frame in enumerate(stack) if frame.f_code.co_name == "run_turns"]
    turn = steps[-1] if steps else 0
    inner = list(dropwhile(is_of_the_kit, stack[turn:]))
    color = simulation.lane.color
    if color is None:
        inner = [frame for frame in inner if not is_of_the_kit(frame)]
        who = "main"
    else:
        # What is not written in Python has no frame.
        name = inner[0].f_code.co_qualname if inner else repr(stack[turn].f_locals.get("fn"))
        who = f"a callback of the color {color.key!r}, {name},"
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in inner)
    return Blocked(
        f"{who} has blocked for {seconds:g} s of real time on something that is not of this "
        "runtime: a lock, a queue, a socket, a sleep. In a simulation nobody else runs meanwhile, "
        "so nobody can help it: wait for futures or await instead, or give it a stand-in.\n"
        f"{''.join(summary.format())}".rstrip()
    )


def _is_debugged(frame: FrameType | None) -> bool:
    modules = (each.f_globals.get("__name__", "") for each, _ in traceback.walk_stack(frame))
    return any(module.partition(".")[0] in _DEBUGGERS for module in modules)
