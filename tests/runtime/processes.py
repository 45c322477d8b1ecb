"""Programs that tests start, to see how a process ends and what a signal or a fork does to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator


def command(program: str) -> list[str]:
    # CPython 3.12 and later warn about any fork of a threaded process.
    quiet = "ignore:This process:DeprecationWarning"
    return [sys.executable, "-W", quiet, "-c", dedent(program)]


def finish(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. One that hangs is killed, and raises `TimeoutExpired`."""
    return subprocess.run(
        command(program), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


@contextmanager
def started(program: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program and wait for the line `ready` on its output; kill it in the end.

    One that hangs is killed before that, so that who reads its output goes on.
    """
    process = subprocess.Popen(
        command(program), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    patience = threading.Timer(2 * PATIENCE_SECONDS, process.kill)
    patience.start()
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first != "ready\n":
            process.kill()
            msg = f"not ready: {first!r}, {process.communicate()}"
            raise AssertionError(msg)
        yield process
    finally:
        patience.cancel()
        patience.join()
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a started program: its status, and what it printed since `ready`."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err


def in_child(pid: int) -> tuple[int, bool]:
    """Wait for a forked child: its exit status, and whether it ended by exiting."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), os.WIFEXITED(status)
