"""Doors by which tests coordinate threads without sleeping."""

from __future__ import annotations

import threading
from typing import Self

# Far beyond what a step needs on the slowest machine: whoever waits this long hangs.
PATIENCE_SECONDS = 30.0


class Gate:
    """A closed door that one thread comes to and another one opens.

    The thread under test calls the gate (it is a callable, so it can be posted) and stands at it
    until the test opens it. The test waits with `reached()` until that thread stands there. Both
    waits raise `TimeoutError` instead of hanging. Leaving a `with` block opens the gate, so that a
    failed test frees the threads it holds. An open gate stays open.
    """

    def __init__(self, name: str = "gate", *, patience: float = PATIENCE_SECONDS) -> None:
        """Make a closed gate; its name stands in the error, `patience` is in seconds."""
        self.name = name
        self._patience = patience
        self._reached = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        """Come to the gate: tell that it is reached, then wait until it is open."""
        self._reached.set()
        if not self._open.wait(self._patience):
            msg = f"{self.name} was not opened within {self._patience:g} s"
            raise TimeoutError(msg)

    def reached(self) -> Self:
        """Wait until a thread has come to the gate."""
        if not self._reached.wait(self._patience):
            msg = f"nobody came to {self.name} within {self._patience:g} s"
            raise TimeoutError(msg)
        return self

    def open(self) -> Self:
        """Let everyone pass, now and later."""
        self._open.set()
        return self

    def __enter__(self) -> Self:
        """Return the closed gate."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Open the gate, so that nobody stays behind it."""
        self.open()
