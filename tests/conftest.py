"""Fixtures and Hypothesis profiles that all tests share."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from colorsched import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long the end of a test may take. Far beyond what any machine needs: whoever reaches it hangs.
TEARDOWN_SECONDS = 60.0

# Examples run on real threads, so their times say nothing: no deadline. CI takes the same ones on
# every run, so that a red build is about the change in it; elsewhere each run looks for new ones.
settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
PROFILE = "ci" if "CI" in os.environ else "default"
settings.register_profile("quick", settings.get_profile(PROFILE), max_examples=15)
settings.load_profile(PROFILE)

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would the programs
# that they start in order to interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def runtime_threads() -> list[threading.Thread]:
    """Return the runtime's threads that are alive now, told by their names."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("colorsched")]


@pytest.fixture
def rt() -> Iterator[Runtime]:
    """Give a fresh runtime of two workers; afterwards check that it drains and leaves no thread."""
    before = set(runtime_threads())
    runtime = Runtime(workers=2)
    try:
        yield runtime
        drained = runtime.drain(timeout=TEARDOWN_SECONDS)
        story = "" if drained else f"not drained after {TEARDOWN_SECONDS:g} s: {runtime.stats()}"
    finally:
        runtime.shutdown(wait=False, cancel_futures=True)
    assert drained, story
    for thread in set(runtime_threads()) - before:
        thread.join(TEARDOWN_SECONDS)
        assert not thread.is_alive(), f"{thread.name} outlives its runtime's shutdown"
