"""Colors as users of threads write them: a queue and a thread for each key.

Only programs of plain callbacks fit: a thread runs no coroutines, and its time is real.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from colorsched.errors import ColorschedError
from colorsched.testing import SimRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable


#: So many runs tell which colors there are.
RUNS = 30


class NoCounterpart(Exception):  # noqa: N818 - named for what was found
    """The program needs what threads have no counterpart for."""


class ThreadColor:
    """A color: its callbacks run one after the other, in the order posted, on its own thread."""

    def __init__(self, colors: ThreadColors) -> None:
        self._colors = colors
        self._jobs: deque[Callable[[], None] | None] = deque()
        # A deque needs no lock, but only a lock orders its uses for who looks for races.
        self._lock = threading.Lock()
        self._waiting = threading.Semaphore(0)

    def post(self, fn: Callable[..., object], *args: Any) -> None:
        """Run ``fn(*args)`` here."""
        self._colors.began()
        self._put(lambda: self._colors.attempt(fn, args))

    def submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run it here and tell the outcome."""
        outcome: Future[Any] = Future()

        def job() -> None:
            try:
                result = fn(*args)
            except Exception as error:  # noqa: BLE001 - it goes to who asks
                outcome.set_exception(error)
                return
            if inspect.iscoroutine(result):
                result.close()
                self._colors.fail(NoCounterpart("coroutines"))
            outcome.set_result(result)

        self._colors.began()
        self._put(job)
        return outcome

    def _put(self, job: Callable[[], None] | None) -> None:
        with self._lock:
            self._jobs.append(job)
        self._waiting.release()

    def work(self) -> None:
        """Run what comes until nothing more will: the body of the color's thread."""
        while True:
            self._waiting.acquire()
            with self._lock:
                job = self._jobs.popleft()
            if job is None:
                return
            job()
            self._colors.ended()

    def end(self) -> None:
        """Let the thread end."""
        self._put(None)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Threads have none."""
        coroutine.close()
        raise NoCounterpart("coroutines")

    def call_at(self, _when: float, *_args: Any) -> Any:
        """Threads have the real time alone."""
        raise NoCounterpart("timers")


class ThreadColors:
    """As much of a runtime's API as plain callbacks need. The colors are known beforehand."""

    def __init__(self, main: Callable[[Any], Any], keys: list[Hashable]) -> None:
        self._lock = threading.Lock()
        self._under_way = 1
        self.error: BaseException | None = None
        self.colors = {key: ThreadColor(self) for key in keys}
        self._check = main(self)
        self.ended()

    def color(self, key: Hashable) -> ThreadColor:
        """The color of that key."""
        if key not in self.colors:
            raise NoCounterpart(f"a thread for {key!r}, which no run before had")
        return self.colors[key]

    def time(self) -> float:
        """Threads have the real one alone."""
        raise NoCounterpart("timers")

    def attempt(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Call it; its exception is a finding."""
        try:
            fn(*args)
        except Exception as error:  # noqa: BLE001 - whatever the program raises is the finding
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Keep what was wrong."""
        self.error = error

    def began(self) -> None:
        """One more piece of work is under way."""
        with self._lock:
            self._under_way += 1

    def ended(self) -> None:
        """One less; after the last one all threads end."""
        with self._lock:
            self._under_way -= 1
            last = not self._under_way
        if last:
            for color in self.colors.values():
                color.end()

    def right(self) -> bool:
        """Whether the program has come to its right end."""
        if self.error is not None:
            return False
        if self._check is not None:
            self._check()
        return True


def keys_of(main: Callable[[Any], Any]) -> list[Hashable]:
    """The colors of a program, as some random runs of it name them.

    Raises:
        NoCounterpart: its main is a coroutine.
    """
    if inspect.iscoroutinefunction(main):
        raise NoCounterpart("coroutines")
    named: dict[Hashable, None] = {}
    for seed in range(RUNS):
        rt = _Naming(seed)
        try:
            main(rt)
            with suppress(ColorschedError):  # that it fails is for later
                rt.settle()
        finally:
            rt.discard()
        named |= rt.named
    return list(named)


class _Naming(SimRuntime):
    """Remembers which colors it was asked for."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, exception_handler=lambda _: None)
        self.named: dict[Hashable, None] = {}

    def color(self, key: Hashable) -> Any:
        self.named[key] = None
        return super().color(key)
