"""Whether what a runtime did keeps the ordering contract: a trace is checked, or a run under way.

What is checked, and what is not, is told in ``colorsched.testing.contract``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.testing.contract import Conformance
from colorsched.testing.trace import Recorder
from colorsched.testing.trace_report import NotConforming, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colorsched.testing.trace_format import Event

__all__ = ["Conformance", "ConformanceMonitor", "NotConforming", "Summary", "conforms"]


def conforms(trace: Iterable[Event]) -> Summary:
    """Check a trace against the ordering contract.

    ``trace``: of ``read_trace``, a ``Recorder``, ``merge``, or any events. Several origins are
    checked each by itself.

    Returns a summary. ``print`` it: if the trace breaks off, it says so, and vouches for no more.

    Raises:
        NotConforming: the contract is broken; tells which point of it, where and by what.

    >>> from colorsched import Runtime
    >>> with Recorder() as recorder, Runtime(observer=recorder) as rt:
    ...     handles = [rt.color(n % 3).post(int) for n in range(9)]
    >>> summary = conforms(recorder)
    >>> summary.ran, summary.complete
    (9, True)

    """
    check = Conformance()
    for event in trace:
        check.see(event)
    return check.finish()


class _Check:
    """The sink of a monitor."""

    def __init__(self) -> None:
        self.check = Conformance()

    def write(self, events: list[Event], /) -> None:
        see = self.check.see
        for event in events:
            see(event)

    def close(self, *, complete: bool) -> None:
        self.check.finish(complete=complete)


class ConformanceMonitor(Recorder):
    """Checks the ordering contract while a runtime runs, simulated ones too; stores no trace.

    Used as a ``Recorder``. A violation is kept in ``violation`` as soon as its events are looked
    at, ``batch`` of them at a time, and raised when the monitor is closed; a ``with`` block that
    fails by itself gets it as a note instead.

    >>> from colorsched import Runtime
    >>> with ConformanceMonitor() as monitor, Runtime(observer=monitor) as rt:
    ...     handles = [rt.color(n % 3).post(int) for n in range(9)]
    >>> monitor.summary.ran
    9

    """

    def __init__(self, *, batch: int = 64) -> None:
        self._check = _Check()
        super().__init__(self._check, batch=batch)

    @property
    def violation(self) -> BaseException | None:
        """How the contract was broken; None as far as is known."""
        return self._error

    @property
    def summary(self) -> Summary:
        """What was checked, once the monitor is closed."""
        return self._check.check.summary

    def kept(self) -> int:
        """How many records are kept now."""
        return self._check.check.kept() + len(self)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Close it, and raise what was found, unless the block has failed by itself."""
        try:
            super().__exit__(kind, *rest)
        except NotConforming as violation:
            error = rest[0] if rest else None
            if not isinstance(error, BaseException):
                raise
            error.add_note(str(violation))
