"""Signals, posted to the colors that asked for them.

Python runs signal handlers, and lets them be installed, on the main thread alone. The handler
only notes the signal and wakes the poller: it may have interrupted code that holds a lock, so it
must not take one. Installing from a worker is left for the main thread to do while it waits in
the runtime (in ``run``, ``drain`` or ``shutdown``).
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import frozen

from colorsched.core.handle import Handle, InnerHandle
from colorsched.errors import RuntimeShutdown, WrongThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from colorsched.core.handle import Work
    from colorsched.core.queue import ColorQueue
    from colorsched.ports import Doors


#: How long a signal may go unheard by a main thread that waits in the runtime. One that arrives
#: in the moment before a thread goes to sleep does not wake it: Python's handler then runs only
#: when the sleep ends. (Measured: CPython alone misses most signals sent in such a moment on
#: free-threaded 3.13.) So the sleep has an end.
SECONDS_UNTIL_HEARD = 0.25


@frozen
class Target:
    """What a signal is posted to."""

    color: ColorQueue
    work: Work
    inner: bool
    before: Any
    """The handler that stood there before us, put back on removal."""


class Bell:
    """An event that threads wait for; the main thread can be called away from it meanwhile."""

    def __init__(self, doors: Doors) -> None:
        self._event = doors.event()
        self._clock = doors.clock
        self._rung = False

    def ring(self) -> None:
        """What was waited for has come about."""
        self._rung = True
        self._event.set()

    @property
    def rung(self) -> bool:
        """Whether it was rung; it stays so."""
        return self._rung

    def stir(self) -> None:
        """Make a waiting main thread look for work."""
        self._event.set()

    def wait(
        self, timeout: float | None, between: Callable[[], None], most: float | None = None
    ) -> bool:
        """Wait for :meth:`ring` at most ``timeout`` seconds; ``between`` after each stir.

        ``most`` is the longest stretch, in seconds, to sleep without a look around.
        """
        until = None if timeout is None else self._clock() + timeout
        while not self._rung:
            left = None if until is None else until - self._clock()
            if left is not None and left <= 0:
                break
            if most is not None:
                left = most if left is None else min(left, most)
            if self._event.wait(left):
                self._event.clear()
                if self._rung:
                    self._event.set()  # for others who wait for the same
                    break
            between()  # also when nothing stirred: another who waits may have taken the stir
        return self._rung


class MainThread:
    """Work for the main thread, done while it waits in the runtime."""

    def __init__(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()
        self._waiting: list[Bell] = []

    def wait(self, bell: Bell, timeout: float | None) -> bool:
        """Wait for a bell, on any thread; the main thread serves who needs it meanwhile."""
        if threading.current_thread() is not threading.main_thread():
            return bell.wait(timeout, lambda: None)
        with self.attending(bell):
            return bell.wait(timeout, self._serve, most=SECONDS_UNTIL_HEARD)

    @contextmanager
    def attending(self, bell: Bell) -> Iterator[None]:
        """From here on the main thread can be called: in this block it is going to ``wait``."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._waiting.append(bell)
        try:
            yield
        finally:
            self._waiting.remove(bell)
            self._serve()

    def _serve(self) -> None:
        while self._tasks:
            self._tasks.popleft()()

    def call(self, task: Callable[[], None], what: str) -> None:
        """Run ``task`` on the main thread and wait for it; what it raises is raised here."""
        if threading.current_thread() is threading.main_thread():
            task()
            return
        refusal = WrongThread(
            f"{what} must happen on the main thread, which is not waiting in the runtime now. "
            "Call it from the main thread, or let that one wait in colorsched.run(), "
            "Runtime.drain() or Runtime.shutdown()."
        )
        if not self._waiting:
            raise refusal
        done = threading.Event()
        failure: list[BaseException] = []

        def attempt() -> None:
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
                failure.append(error)
            done.set()

        self._tasks.append(attempt)
        bells = self._waiting[-1:]
        if bells:
            bells[0].stir()  # should it go away now, it serves once more before it does
        else:
            try:
                self._tasks.remove(attempt)
            except ValueError:
                pass  # taken already, by the last look before it went
            else:
                raise refusal
        done.wait()
        if failure:
            raise failure[0]


class Signals:
    """The signal handlers of one runtime. Thread-safe."""

    def __init__(self, wake_poller: Callable[[], None]) -> None:
        self._wake_poller = wake_poller
        self._targets: dict[int, Target] = {}
        self._past: dict[int, Any] = {}
        """What our handlers had replaced that were themselves replaced before they were removed."""
        self.arrived: deque[int] = deque()
        self.main = MainThread()

    def add(self, color: ColorQueue, signum: int, work: Work, *, inner: bool) -> None:
        """Post ``work`` to ``color`` whenever the signal arrives.

        Raises:
            ValueError: there is no such signal, or it cannot be caught.
            WrongThread: called off the main thread while that one is busy elsewhere.

        """
        check_signal(signum)

        def install() -> None:
            old = self._targets.get(signum)
            before = signal.getsignal(signum) if old is None else old.before
            self._targets[signum] = Target(color, work, inner, before)
            try:
                signal.signal(signum, self._handle)
            except (OSError, ValueError):
                if old is None:
                    del self._targets[signum]
                raise

        try:
            self.main.call(install, f"Handling signal {signum}")
        except OSError as error:
            raise ValueError(f"signal {signum} cannot be caught: {error}") from error

    def remove(self, signum: int) -> bool:
        """Put back what handled the signal before. True if the signal was ours."""
        check_signal(signum)
        target = self._targets.get(signum)
        if target is None:
            return False

        def restore() -> None:
            before = _living(target.before, signum)
            if signal.getsignal(signum) != self._handle:
                # Somebody has put another one over ours since, and will put ours back one day.
                self._past[signum] = before
                return
            signal.signal(signum, signal.SIG_DFL if before is None else before)

        self.main.call(restore, f"Removing the handler of signal {signum}")
        return self._targets.pop(signum, None) is not None

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self.arrived.append(signum)
        self._wake_poller()

    def deliver(self) -> None:
        """Post what arrived. Called by whoever polls."""
        while self.arrived:
            try:
                target = self._targets.get(self.arrived.popleft())
            except IndexError:
                return
            if target is not None:
                handle = (InnerHandle if target.inner else Handle)(_again(target.work))
                if target.inner:
                    target.color.post_inner(handle)
                else:
                    try:
                        target.color.post_handle(handle)
                    except RuntimeShutdown:
                        continue  # the end has begun, and handlers go with it

    def remove_all(self) -> bool:
        """Put back all handlers. False if one had to stay, so that the poller may yet be woken.

        It stays if the main thread is busy elsewhere; called there later, this puts it back.
        """
        restored = True
        for signum in list(self._targets):
            try:
                self.remove(signum)
            except WrongThread:
                restored = False
        return restored

    def after_fork(self) -> None:
        """In a forked child, on its only thread: its handlers belong to the parent's runtime."""
        for signum, target in self._targets.items():
            if signal.getsignal(signum) == self._handle:
                signal.signal(signum, signal.SIG_DFL if target.before is None else target.before)
        self._targets.clear()


def _living(before: Any, signum: int) -> Any:
    """The handler to put back: not that of a runtime that has ended since, but what it replaced."""
    while isinstance(owner := getattr(before, "__self__", None), Signals):
        if signum in owner._targets:
            break
        before = owner._past.get(signum)
    return before


def _again(work: Work) -> Work:
    fn, args, context = work
    return fn, args, context.copy()


def check_signal(signum: object) -> None:
    """Refuse what is no signal: ``TypeError`` or ``ValueError``."""
    if not isinstance(signum, int):
        raise TypeError(f"a signal number is an int, not {signum!r}")
    if signum not in signal.valid_signals():
        raise ValueError(f"there is no signal {signum} on this platform")
