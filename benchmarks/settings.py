"""How one run of the benchmark is set: sizes, rounds, interpreters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.machine import Interpreter


@frozen
class Settings:
    """Chosen once by the command line, read by every group."""

    quick: bool
    rounds: int
    """How often each case runs; the cases of a comparison take turns."""
    here: Interpreter
    """The interpreter of the harness; most children run on it."""
    free_threaded: Interpreter | None
    interpreters: Interpreter | None
    """One that has slots that are subinterpreters."""
    dependencies: Path
    """A folder with the runtime's pure-Python dependencies, for the free-threaded interpreter."""

    def pick(self, *, full: int, quick: int) -> int:
        """A size for this run."""
        return quick if self.quick else full
