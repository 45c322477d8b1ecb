"""CPython's own tests of asyncio pass on a color's loop, where this Python has them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "cpython_asyncio_tests.py"
# Some of those that pass completely and take little; the script runs the others too.
MODULES = ("test_locks", "test_pep492", "test_queues", "test_sock_lowlevel", "test_taskgroups")

# Some distributions leave the package out, or its tests of asyncio.
HAS_TESTS = find_spec("test") is not None and find_spec("test.test_asyncio") is not None


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_modules_that_pass_completely(module: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), module], capture_output=True, text=True, check=False
    )
    if not HAS_TESTS:
        assert done.returncode == 2, done.stdout + done.stderr
        assert "has no test package" in done.stderr
    else:
        assert done.returncode == 0, done.stdout + done.stderr
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"| {module} "))
        run, passed, skipped, bad = map(int, line.strip("| ").split(" | ")[1:])
        assert run > 5
        assert passed == run - skipped
        assert bad == 0


def test_the_script_refuses_what_it_has_not_run() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "test_nothing_of_that_name"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if HAS_TESTS else 2)
