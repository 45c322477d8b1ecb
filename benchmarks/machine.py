"""What this machine is, and which interpreters it has: the line every result is read with."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: children run there, so that they import this source tree."""

FREE_THREADED_NAMES = ("python3.15t", "python3.14t", "python3.13t", "python3t")
FREE_THREADED_VARIABLE = "COLORSCHED_FT_PYTHON"
INTERPRETERS_NAMES = ("python3.15", "python3.14", "python3.15t", "python3.14t")
INTERPRETERS_VARIABLE = "COLORSCHED_PYTHON314"
PURE_DEPENDENCIES = ("attr", "attrs", "sortedcontainers")
"""The runtime's dependencies: no compiled code, so another interpreter may import these files."""

_DESCRIBE = (
    "import concurrent.futures, json, platform, sys; print(json.dumps({"
    "'version': platform.python_version(),"
    "'interpreters': hasattr(concurrent.futures, 'InterpreterPoolExecutor'),"
    "'implementation': platform.python_implementation(),"
    "'gil': getattr(sys, '_is_gil_enabled', lambda: True)()}))"
)


@frozen
class Interpreter:
    """A Python to run children on."""

    path: str
    version: str
    gil: bool
    interpreters: bool
    """Whether slots can be subinterpreters."""

    @property
    def label(self) -> str:
        """For heads of tables: the version, and whether it has the GIL."""
        return f"{self.version}, {'GIL' if self.gil else 'free-threaded'}"


def describe(path: str) -> Interpreter:
    """Ask the interpreter at `path` what it is.

    Raises:
        RuntimeError: if it does not run.
    """
    try:
        answer = subprocess.run(
            [path, "-c", _DESCRIBE], capture_output=True, text=True, timeout=60, check=True
        )
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        raise RuntimeError(f"{path} is no Python that runs here: {error}") from error
    name = f"{facts['implementation']} {facts['version']}"
    return Interpreter(
        path=path, version=name, gil=facts["gil"], interpreters=facts["interpreters"]
    )


def this_interpreter() -> Interpreter:
    """The interpreter that runs the harness, and every child that needs no other."""
    return describe(sys.executable)


def free_threaded(asked: str | None) -> Interpreter | None:
    """The free-threaded interpreter: `asked`, or the variable's, or this one, or the first on PATH.

    Raises:
        RuntimeError: if the one that was asked for does not run, or has the GIL.
    """
    named = asked or os.environ.get(FREE_THREADED_VARIABLE)
    if named:
        found = describe(named)
        if found.gil:
            raise RuntimeError(
                f"{named} runs with the GIL; --python and {FREE_THREADED_VARIABLE} "
                "name a free-threaded build"
            )
        return found
    return _first(FREE_THREADED_NAMES, lambda found: not found.gil)


def with_interpreters(asked: str | None) -> Interpreter | None:
    """The interpreter for slots that are subinterpreters, CPython 3.14 or newer; else as above.

    Raises:
        RuntimeError: if the one that was asked for does not run, or is older.
    """
    named = asked or os.environ.get(INTERPRETERS_VARIABLE)
    if named:
        found = describe(named)
        if not found.interpreters:
            raise RuntimeError(
                f"{named} is {found.version}; --python314 and {INTERPRETERS_VARIABLE} "
                "name CPython 3.14 or newer"
            )
        return found
    return _first(INTERPRETERS_NAMES, lambda found: found.interpreters)


def _first(names: Sequence[str], fits: Callable[[Interpreter], bool]) -> Interpreter | None:
    """This interpreter if it fits, else the first on PATH that does."""
    here = this_interpreter()
    if fits(here):
        return here
    for name in names:
        path = shutil.which(name)
        if path is None:
            continue
        try:
            found = describe(path)
        except RuntimeError:  # a version manager's shim for a version that is not there
            continue
        if fits(found):
            return found
    return None


@contextmanager
def shared_dependencies() -> Iterator[Path]:
    """A folder through which another interpreter imports this one's pure-Python dependencies."""
    with tempfile.TemporaryDirectory(prefix="colorsched-bench-deps-") as name:
        folder = Path(name)
        for package in PURE_DEPENDENCIES:
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:
                raise RuntimeError(
                    f"{package} is not installed: run `{sys.executable} -m pip install -e .` first"
                )
            (folder / package).symlink_to(Path(spec.origin).parent)
        yield folder


def cpu_model() -> str:
    """The processor's name, from /proc/cpuinfo where there is one."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> list[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def machine_line() -> str:
    """Processor, cores, memory, system, and how busy the machine was when the run began."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cpu_model()}, {len(cores())} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f} at the start"
    )
