#!/usr/bin/env python3
"""Runs CPython's own tests of asyncio on a color's event loop, and says how many pass.

    python scripts/cpython_asyncio_tests.py                         # every module of the table
    python scripts/cpython_asyncio_tests.py test_streams test_ssl   # some of them
    python scripts/cpython_asyncio_tests.py --own test_events       # the same on asyncio's own loop

The tests call `loop.run_until_complete`, which a color does not have: its runtime runs it. So they
get a loop whose calling thread is the one worker of a runtime until the loop is stopped; all else
is what every color has. It needs colorsched and an interpreter that has its `test` package.
A failure that is not among `REASONS` makes the exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import platform
import re
import subprocess
import sys
import threading
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from colorsched import Runtime, ports
from colorsched.aio.loop import ColorLoop
from colorsched.core.handle import EndTurn
from colorsched.ports import Doors, LockParker
from colorsched.runtime import _runtimes
from colorsched.sources.poller import SelectorPoller, open_poller

if TYPE_CHECKING:
    import selectors
    from collections.abc import Iterable, Iterator

MODULES = (
    "test_base_events",
    "test_buffered_proto",
    "test_context",
    "test_eager_task_factory",
    "test_events",
    "test_free_threading",
    "test_futures",
    "test_futures2",
    "test_locks",
    "test_pep492",
    "test_queues",
    "test_runners",
    "test_sendfile",
    "test_server",
    "test_sock_lowlevel",
    "test_ssl",
    "test_sslproto",
    "test_staggered",
    "test_streams",
    "test_subprocess",
    "test_taskgroups",
    "test_tasks",
    "test_threads",
    "test_timeouts",
    "test_unix_events",
    "test_waitfor",
)

#: Which tests do not pass, by a pattern of their names, and why.
REASONS = (
    (
        r"\.SelectorEventLoopSignalTests\.",
        "they replace the `signal` module inside `asyncio.unix_events`, which a color does not use",
    ),
    (
        r"\.test_internal_fds$",
        "it looks for the sockets by which asyncio's loop wakes itself; a color's runtime is woken",
    ),
    (
        r"\.TestPyGetEventLoop\.",
        "they replace asyncio's function that marks a loop as running, which was imported before",
    ),
    (
        r"\.test_handle_source_traceback$|threadsafe_handle",
        "they look at private parts of `asyncio.Handle`; a color's handles are its own",
    ),
    (
        r"\.test_log_slow_callbacks$",
        "it expects asyncio's very words; a color's say which color was slow",
    ),
)

#: Which of those would not even end.
ENDLESS = r"threadsafe_handle"

MODULE_SECONDS = 300


class Unstarted:
    """A thread that is never started: the caller's thread does its work."""

    def join(self) -> None:
        """Return at once; there is nothing to wait for."""


class CallersLoop(ColorLoop):
    """A color's loop that its caller runs, as asyncio's own loops are run.

    The calling thread is the runtime's only worker while `run_forever` or `run_until_complete`
    lasts. There is no monitor, so no spare workers.
    """

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        parkers: list[LockParker] = []

        def parker() -> LockParker:
            parkers.append(LockParker())
            return parkers[-1]

        doors = Doors(
            poller=open_poller if selector is None else lambda: SelectorPoller(selector),
            parker=parker,
            thread=lambda _target, _name: Unstarted(),
        )
        self.runtime = runtime = Runtime(workers=1, doors=doors)
        _runtimes.discard(runtime)  # it has no threads to end when the interpreter exits
        scheduler = runtime._scheduler
        scheduler.failed = self._failed
        self._lane = scheduler.lanes[0]
        self._parker = parkers[-1]
        self._halt = False
        self._left: BaseException | None = None
        self._default_executor = None
        super().__init__(runtime._default, runtime._shared)

    _default_executor: Any = None
    shutdown_default_executor = asyncio.BaseEventLoop.shutdown_default_executor  # type: ignore[assignment]  # 3.11 has no timeout
    set_debug = asyncio.BaseEventLoop.set_debug
    run_until_complete = asyncio.BaseEventLoop.run_until_complete

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            self._left = error
            self._halt = True
        else:
            self.call_exception_handler({"message": "Exception in callback", "exception": error})

    def is_running(self) -> bool:
        """Whether `run_forever` is under way."""
        return self._thread_id is not None

    def stop(self) -> None:
        """Let what was scheduled before run, then return from `run_forever`."""
        if not self._stopping:
            self._stopping = True
            self.call_soon(self._end)

    def _end(self) -> None:
        self._halt = True
        raise EndTurn

    def run_forever(self) -> None:
        """Be the runtime's worker until `stop` is called."""
        self._check_closed()
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")
        workers = self.runtime._workers
        hooks = sys.get_asyncgen_hooks()
        self._set_coroutine_origin_tracking(self._debug)
        self.shared.generators.install()
        self._thread_id = threading.get_ident()
        ports.here.lane = self._lane
        try:
            # asyncio looks at the descriptors before it runs callbacks, and tests count on it.
            self.shared.hub.deliver(self.shared.hub.look())
            while not self._halt:
                workers._round(self._lane, self._parker)
        finally:
            self._lane.enter_loop(None)
            ports.here.lane = None
            self._thread_id = None
            self._halt = self._stopping = False
            sys.set_asyncgen_hooks(*hooks)
            self._set_coroutine_origin_tracking(False)
        if self._left is not None:
            error, self._left = self._left, None
            raise error

    def close(self) -> None:
        """Forget all callbacks, timers and descriptors."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self._closed:
            return
        self.end()
        hub = self.shared.hub
        hub.io.remove_all()
        hub.signals.remove_all()
        hub.timers.drop("shut down", inner=True)
        self.color._queue.clear()
        self._executor_shutdown_called = True
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)
        hub.close()


class Count(NamedTuple):
    """How the tests of one module ended."""

    run: int
    skipped: int
    bad: dict[str, str]
    """The last line of the failure, by the test's name."""

    @property
    def passed(self) -> int:
        """Run, and neither skipped nor failed."""
        return self.run - self.skipped - len(self.bad)


def point_asyncio_here() -> None:
    """Make asyncio's usual ways to a new loop give a `CallersLoop`."""
    module: Any = asyncio
    module.SelectorEventLoop = CallersLoop
    if hasattr(module, "EventLoop"):
        module.EventLoop = CallersLoop
    for policy in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
        found = getattr(module.unix_events, policy, None)
        if found is not None:
            found._loop_factory = CallersLoop


class Names(unittest.TextTestResult):
    """Collects the last line of each failure."""

    bad: dict[str, str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bad = {}

    def _note(self, test: unittest.TestCase, error: Any) -> None:
        text = f"{error[0].__name__}: {error[1]}".replace("\n", " ")
        self.bad.setdefault(short_name(test), text[:200])

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802, D102 - unittest's
        self._note(test, err)
        super().addError(test, err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802, D102 - unittest's
        self._note(test, err)
        super().addFailure(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802, D102 - unittest's
        if err is not None:
            self._note(test, err)
        super().addSubTest(test, subtest, err)


def run_module(name: str, patterns: list[str], *, own: bool) -> Count:
    """Run one module's tests in this process."""
    loader = unittest.defaultTestLoader
    loader.testNamePatterns = [f"*{pattern}*" for pattern in patterns] or None
    suite = loader.loadTestsFromName(f"test.test_asyncio.{name}")
    left_out = [] if own else leave_out(suite)
    runner = unittest.TextTestRunner(sys.stderr, resultclass=Names, verbosity=2)
    result = runner.run(suite)
    assert isinstance(result, Names)
    bad = result.bad | dict.fromkeys(left_out, "not run: it would not end")
    return Count(result.testsRun, len(result.skipped), bad)


def leave_out(suite: unittest.TestSuite) -> list[str]:
    """Put harmless tests in a suite for those that would not end, and return the names of these."""
    found = []
    for position, test in enumerate(list(suite)):
        if isinstance(test, unittest.TestSuite):
            found += leave_out(test)
        elif re.search(ENDLESS, test.id()):
            found.append(short_name(test))
            suite._tests[position] = unittest.FunctionTestCase(lambda: None)
    return found


def short_name(test: unittest.TestCase) -> str:
    """Return a test's name from its module on."""
    return re.sub(r"^.*test_asyncio\.", "", test.id())


def run_apart(name: str, *, own: bool) -> Count | None:
    """Run one module's tests in a process of its own; None: this Python has no such module."""
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", name]
    if own:
        command.append("--own")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=MODULE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        lines = (error.stderr or b"").decode(errors="replace").splitlines()
        last = lines[-1] if lines else "nothing printed"
        return Count(0, 0, {f"{name} (all of it)": f"not done after {MODULE_SECONDS} s: {last}"})
    line = done.stdout.strip().rpartition("\n")[2]
    if line == "null":
        return None
    try:
        return Count(*json.loads(line))
    except (ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["nothing printed"])[-1]
        return Count(0, 0, {f"{name} (all of it)": f"exit status {done.returncode}: {last}"})


def reason(test: str) -> str | None:
    """Return why a test is known not to pass."""
    return next((why for pattern, why in REASONS if re.search(pattern, test)), None)


def table(counts: Iterable[tuple[str, Count]]) -> Iterator[str]:
    """Yield the lines of a table, one module a line, and the sum."""
    yield "| module | run | passed | skipped by CPython | not passed |"
    yield "|---|---:|---:|---:|---:|"
    total = [0, 0, 0, 0]
    for name, count in counts:
        row = [count.run, count.passed, count.skipped, len(count.bad)]
        total = [a + b for a, b in zip(total, row, strict=True)]
        yield f"| {name} | " + " | ".join(map(str, row)) + " |"
    yield "| **all** | " + " | ".join(f"**{n}**" for n in total) + " |"


def report(names: Iterable[str], *, own: bool) -> int:
    """Run the modules, print the table and what did not pass; return the exit status."""
    counts = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        count = run_apart(name, own=own)
        if count is not None:
            counts.append((name, count))
    loop = "asyncio's own loop" if own else "a color's loop"
    print(f"CPython {platform.python_version()}, {loop}\n")
    print("\n".join(table(counts)))
    unknown = 0
    groups: dict[str, list[str]] = {}
    for _, count in counts:
        for test, text in count.bad.items():
            why = reason(test)
            unknown += why is None
            groups.setdefault(why or "unexplained", []).append(f"{test}: {text}")
    for why, tests in sorted(groups.items()):
        print(f"\n{why} ({len(tests)}):")
        print("\n".join(f"  {test}" for test in tests))
    return 1 if unknown or not counts else 0


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", help="modules of test.test_asyncio; default: all")
    parser.add_argument("--own", action="store_true", help="run on asyncio's own loop, to compare")
    parser.add_argument("--inside", metavar="MODULE", help="run one module in this very process")
    parser.add_argument("-k", action="append", default=[], help="with --inside: part of the names")
    options = parser.parse_args()
    # This folder's test.py would hide CPython's package of that name.
    here = Path(__file__).resolve().parent
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != here]
    try:
        importlib.import_module("test.test_asyncio")
    except ImportError:
        print(f"{sys.executable} has no test package", file=sys.stderr)
        return 2
    if options.inside is None:
        return report(options.modules or MODULES, own=options.own)
    if not options.own:
        point_asyncio_here()
    if importlib.util.find_spec(f"test.test_asyncio.{options.inside}") is None:
        print("null")
        return 0
    count = run_module(options.inside, options.k, own=options.own)
    print(json.dumps(count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
