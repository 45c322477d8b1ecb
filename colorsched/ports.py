"""The doors: everything that blocks, locks, waits for descriptors or reads a clock comes in here.

The layers above take a :class:`Doors` record at construction and never reach for ``threading``,
``time`` or ``select`` themselves. The real doors are the defaults; tests hand in doors that they
control, and the same scheduler and worker loop run under them.
"""

from __future__ import annotations

import sys
import threading
import time

# asyncio's mark of which loop runs on this thread; loops other than its own are meant to set it.
from asyncio import _set_running_loop
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

set_running_loop = _set_running_loop


def gil_enabled() -> bool:
    """Whether this interpreter runs with its global lock just now."""
    probe = getattr(sys, "_is_gil_enabled", None)
    return True if probe is None else bool(probe())


GIL_AT_IMPORT = gil_enabled()

#: On a free-threaded build a plain read may overtake an earlier write to another object, so the
#: two places that write one object and then look at another need a fence between (see
#: ``core.queue``). With the GIL every bytecode is already ordered and the fence is skipped.
FENCE = not GIL_AT_IMPORT


class Token(Protocol):
    """What holds a color's token: ``append`` and ``pop`` are atomic, empty is false.

    With the GIL a ``bytearray``: small, and nothing for the garbage collector to look at. Without,
    a ``list``, whose operations take its own mutex on every free-threaded build.
    """

    def append(self, item: int, /) -> None: ...
    def pop(self) -> object: ...
    def reverse(self) -> None: ...
    def __len__(self) -> int: ...


class Lock(Protocol):
    """A mutual-exclusion lock, as ``threading.RLock`` makes it.

    Reentrant, since the garbage collector may run a finalizer while its thread holds the lock.
    """

    def __enter__(self) -> bool: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...  # noqa: FBT001 - threading.Lock's own signature
    def release(self) -> None: ...


class Parker(Protocol):
    """Where one thread sleeps until another wakes it. A wake before the sleep is remembered."""

    def park(self, timeout: float | None) -> bool:
        """Sleep until woken (True) or until ``timeout`` seconds have passed (False)."""
        ...

    def unpark(self) -> None:
        """Wake the sleeper, or let its next ``park`` return at once. Any thread may call it."""
        ...


class Event(Protocol):
    """What threads wait for, as ``threading.Event``; a wait on the main thread lets signals in."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, timeout: float | None = ...) -> bool: ...


class Poller(Protocol):
    """Readiness of descriptors, as masks of ``READ`` and ``WRITE``; only :meth:`wait` blocks."""

    def arm(self, fd: int, mask: int) -> None:
        """Report ``fd`` from now on for ``mask``, whatever it was reported for before."""
        ...

    def disarm(self, fd: int) -> None:
        """Report ``fd`` no more; one that is closed, unknown, or the poller's own is no error."""
        ...

    def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        """Wait for readiness or :meth:`wake`; ``None`` waits for ever. One thread at a time."""
        ...

    def wake(self) -> None:
        """Make the current or next :meth:`wait` return. Safe in signal handlers."""
        ...

    def close(self) -> None: ...


#: What a descriptor is asked for and reported for. The values are epoll's own, so that its reports
#: need no translation; any other bit of a report (an error, a hang-up) is for both directions.
READ = 1
WRITE = 4


class LockParker:
    """A parker made of one lock: locked means asleep or to sleep, released means woken."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def park(self, timeout: float | None) -> bool:
        return self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0))

    def unpark(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            # Already woken and not asleep since: a second wake says nothing new.
            return


#: How often a worker looks for work before it goes to sleep, where there is no GIL to give up.
SPIN = 100


def relax(is_over: Callable[[], object]) -> None:
    """Give others a chance to run before going to sleep; return early when ``is_over()``.

    With the GIL one release of it is enough: a thread that wants it has it for a switch interval
    then, and may post a few thousand callbacks instead of one. Without, spin for some microseconds.
    """
    if gil_enabled():
        time.sleep(0)
        return
    for _ in range(SPIN):
        if is_over():
            return


def is_asleep(thread: int) -> bool:
    """Whether a thread (its native id) sleeps: in a system call, for a lock, or for the GIL.

    False if it computes, or could if it had a processor. Linux tells; elsewhere the answer is True,
    so that a computation is taken for a callback that blocks.
    """
    try:
        with open(f"/proc/self/task/{thread}/stat", "rb") as stat:  # noqa: PTH123 - at every tick, so without a Path
            return stat.read().rpartition(b")")[2].split()[0] != b"R"
    except (OSError, IndexError):
        return True


def start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread: a forgotten runtime must not keep the interpreter from ending."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


@frozen(kw_only=True)
class Doors:
    """The effects a runtime is built on.

    The defaults are the real ones; the poller has none, for its real one needs a layer above
    (``sources.poller``).

    ``queue`` and ``token`` make the two containers whose single operations must be atomic; a test
    puts a scheduling point into each of them.
    """

    poller: Callable[[], Poller]
    clock: Callable[[], float] = time.monotonic
    lock: Callable[[], Lock] = threading.RLock
    parker: Callable[[], Parker] = LockParker
    event: Callable[[], Event] = threading.Event
    relax: Callable[[Callable[[], object]], None] = relax
    thread: Callable[[Callable[[], None], str], Any] = start_thread
    thread_id: Callable[[], int] = threading.get_native_id
    is_asleep: Callable[[int], bool] = is_asleep
    queue: Callable[[], deque[Any]] = deque
    token: Callable[[], Token] = list if FENCE else bytearray


class Here(threading.local):
    """What the calling thread runs now.

    ``lane`` is None outside a runtime's workers; ``slot`` is None but in a callback that runs in a
    slot (``executors.slots.inside``); ``ticket`` is that of the callback that runs, if
    the runtime is observed, and ``failed`` that of the last one that raised.
    """

    lane: Any = None
    slot: Any = None
    ticket: Any = None
    failed: Any = None


here = Here()
