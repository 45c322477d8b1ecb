"""Slots that are processes: one process each, one pipe to it, one thread that waits for its answer.

Why not a ``ProcessPoolExecutor`` with one worker: its parent keeps the writing end of the pipe that
answers come by. A worker killed in the middle of a large answer leaves it reading for the rest, for
ever: in 10 of 14 tries on CPython 3.13, 7 of 14 on 3.14 (and 8 of 14 with loky), each killed at
another moment of an answer of 400 MB. Here only the child can write: its death ends the read. And
a call is one thread's hop there and one back: in one run 58 microseconds, the pool's 279 (CPython
3.11, means of 1,000 calls, two busy cores; other runs had the pool at 100).
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import weakref
from concurrent.futures import BrokenExecutor, Executor, Future
from multiprocessing import process, resource_tracker
from multiprocessing import util as _util  # noqa: F401 - its exit handler is to run after ours
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from colorsched.executors.slots.engines import MadeLanes
from colorsched.executors.slots.inside import progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

T = TypeVar("T")
P = ParamSpec("P")

#: Seconds that the interpreter's exit waits for processes that run callbacks still.
EXIT_SECONDS = 1.0

#: Seconds between the end of a process's pipe and its own; then it is killed.
END_SECONDS = 1.0

#: ``Progress.cell`` before the process has started: it may be unable to.
BOOTING = -1

HINT = (
    "If it cannot start at all, see what it printed: the main module is imported there, so what "
    "starts a runtime must stand below `if __name__ == '__main__':`"
)


class LaneLost(BrokenExecutor):
    """The process of a slot has ended."""


def process_engine(count: int) -> MadeLanes:
    """So many processes."""
    return MadeLanes([ProcessLane] * count)


class ProcessLane(Executor):
    """An executor with one process, which runs one call after the other.

    The process is started by ``spawn``: nothing is inherited but the main module, as with
    ``multiprocessing``. It leaves Ctrl-C to the parent, and ends after the call that it runs when
    the parent has ended, however that happens.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._cell: Any = context.RawValue("q", BOOTING)
        self._calls: SimpleQueue[tuple[Future[Any], bytes] | None] = SimpleQueue()
        self._broken: str | None = None
        self._over = False
        self._lock = threading.Lock()
        # A daemon: a call that never ends must not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._work, name="colorsched-slot", daemon=True)
        with _starting:
            if _exit.begun:
                raise RuntimeError("the interpreter is exiting: no process is started any more")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=serve, args=(theirs, self._cell), name="colorsched-slot"
            )
            # Else the first start does that, and unblocks SIGINT again when it is done.
            resource_tracker.ensure_running()
            # It is not to be ended by a Ctrl-C before it says that it leaves that to its parent.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
            self._thread.start()
            _lanes.add(self)

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid

    def came(self) -> tuple[int, int]:
        """How many callbacks of its last batch have ended, and begun; see ``Progress``."""
        value = max(self._cell.value, 0)
        return value // 2, (value + 1) // 2

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in the process.

        Raises:
            LaneLost: the process has ended.
            RuntimeError: after ``shutdown``.

        """
        call = pickle.dumps((fn, args, kwargs), pickle.HIGHEST_PROTOCOL)
        future: Future[T] = Future()
        with self._lock:
            if self._over:
                raise RuntimeError("this slot was shut down, and takes no more calls")
            if self._broken is None and not self._process.is_alive():
                self._broken = self._end()
            if self._broken is not None:
                raise LaneLost(self._broken)
            if self._cell.value != BOOTING:  # else the process sets it, perhaps just now
                self._cell.value = 0
            self._calls.put((future, call))
        return future

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                self._pipe.send_bytes(call)
                answer = self._pipe.recv_bytes()
            except Exception:  # noqa: BLE001 - its end; or no memory for the answer: it is of no use then
                with self._lock:
                    self._await_end()
                    self._broken = self._end()
                future.set_exception(LaneLost(self._broken))
                continue
            try:
                succeeded, result = pickle.loads(answer)  # noqa: S301 - of our own process
            except Exception as error:  # noqa: BLE001 - an answer that cannot be read
                future.set_exception(error)
            else:
                (future.set_result if succeeded else future.set_exception)(result)
            del future, call, item, answer
        self._pipe.close()  # which ends the process
        self._process.join()

    def _await_end(self) -> None:
        """Wait for the end of a process that has closed its pipe. If it goes on, end it.

        By looking at it again and again: ``join`` waits for a descriptor of the process first, and
        that may be closed, too.
        """
        until = time.monotonic() + END_SECONDS
        while self._process.is_alive() and time.monotonic() < until:
            time.sleep(0.001)
        self._process.kill()
        self._process.join()

    def _end(self) -> str:
        """How the process has ended."""
        code = self._process.exitcode
        if code is None:
            how = "closed its pipe"
        elif code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            how = f"was ended by {name}"
        else:
            how = f"exited with status {code}"
        booting = f" before it had started. {HINT}" if self._cell.value == BOOTING else ""
        return f"process {self.pid} {how}{booting}"

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
        """End the process when it has done what it was given."""
        with self._lock:
            first, self._over = not self._over, True
            if cancel_futures:
                with contextlib.suppress(Exception):
                    while (item := self._calls.get_nowait()) is not None:
                        item[0].cancel()
            if first or cancel_futures:
                self._calls.put(None)
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        self._process.kill()


class _Exit:
    """Whether the interpreter is exiting."""

    begun = False


_exit = _Exit()
_lanes: weakref.WeakSet[ProcessLane] = weakref.WeakSet()

#: Held while a process is started, so that none is when all are ended; and by who forks, so that
#: the child has no pipe but those that it closes. Reentrant, since a signal handler may fork.
_starting = threading.RLock()


def _end_all() -> None:
    """At the interpreter's exit, for lanes not shut down: multiprocessing would wait for them."""
    with _starting:
        _exit.begun = True
        lanes = list(_lanes)
    for lane in lanes:
        lane.shutdown(wait=False, cancel_futures=True)
    until = time.monotonic() + EXIT_SECONDS
    try:
        for lane in lanes:
            lane._thread.join(max(until - time.monotonic(), 0))
    finally:
        # Whatever comes, one more Ctrl-C perhaps: multiprocessing waits for those that are left.
        for lane in lanes:
            if lane._process.is_alive():
                lane.kill()


atexit.register(_end_all)


def serve(pipe: Connection, cell: Any) -> None:
    """What the process does: call after call, until its parent is gone or closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # what callbacks start gets it
    # Whatever callbacks start must not keep the pipe: its end tells the parent of ours.
    os.set_inheritable(pipe.fileno(), False)
    os.register_at_fork(after_in_child=pipe.close)
    progress.cell = cell
    cell.value = 0
    while True:
        try:
            call = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            fn, args, kwargs = pickle.loads(call)  # noqa: S301 - of our own parent
            answer = pickle.dumps((True, fn(*args, **kwargs)), pickle.HIGHEST_PROTOCOL)
        except BaseException as error:  # noqa: BLE001 - for the parent, whatever it is
            answer = _failed(error)
        try:
            pipe.send_bytes(answer)
        except OSError:
            return


def _failed(error: BaseException) -> bytes:
    try:
        return pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever pickling raises
        text = f"{type(error).__name__}: {error}"
        return pickle.dumps((False, RuntimeError(text)), pickle.HIGHEST_PROTOCOL)


def _forget_in_child() -> None:
    """A forked child must not keep pipes open: their end tells slots that their parent is gone."""
    global _starting  # noqa: PLW0603 - the old one may be held for ever
    _starting = threading.RLock()
    for lane in list(_lanes):
        lane._pipe.close()
        # It would wait for them at its exit, as for children of its own, and fail.
        process._children.discard(lane._process)  # type: ignore[attr-defined]  # not in typeshed
    _lanes.clear()


def _before_fork() -> None:
    _starting.acquire()


def _after_fork_in_parent() -> None:
    _starting.release()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_forget_in_child
)
