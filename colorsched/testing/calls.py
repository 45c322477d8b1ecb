"""Watches calls of built-in functions that change or read a plain container, by ``sys.monitoring``.

Instrumented code calls containers' methods through probes. What those can't see is a method that
was kept (``add = seen.add``), called through its type (``list.append(x, 1)``), and built-in
functions that take a container (``len``, ``sorted``, ``heapq.heappush``).
"""

from __future__ import annotations

import bisect
import heapq
import sys
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType
from typing import TYPE_CHECKING, Any

from colorsched.ports import here
from colorsched.testing.access import add, read, write
from colorsched.testing.containers import TABLES
from colorsched.testing.mappings import dict_reads_all
from colorsched.testing.operations import WHOLE, list_reads_all, reads_whole
from colorsched.testing.probes import PROBES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Whether this interpreter can tell of calls.
CAN_MONITOR = sys.version_info >= (3, 12)

_READS = frozenset({
    all, any, dict, enumerate, filter, frozenset, iter, list, map, max, min, reversed, set, sorted,
    sum, tuple, zip,
})  # fmt: skip
_WRITES = frozenset({
    bisect.insort_left, bisect.insort_right, heapq.heapify, heapq.heappop, heapq.heappush,
    heapq.heappushpop, heapq.heapreplace,
})  # fmt: skip

_PROBES = frozenset(PROBES.values()) - {slice}  # a program may call that one, too
_KINDS_OF_PROBES = frozenset(type(probe) for probe in _PROBES)  # all with a hash of object's own
_READING = frozenset({
    "__contains__", "__getitem__", "count", "get", "index", "items", "keys", "values",
})  # fmt: skip
_READERS: frozenset[Callable[..., Any]] = frozenset({
    reads_whole, list_reads_all, dict_reads_all,
})  # fmt: skip


def report_call(function: Any, first: object) -> None:
    """Report what a call of ``function``, whose first argument is ``first``, does to a container.

    The other arguments are not known, so a method that changes anything counts as a change of
    everything that is there.
    """
    kind = type(function)
    if kind is BuiltinFunctionType and type(function.__self__) in TABLES:
        _report_method(function.__self__, function.__name__)
    elif kind is MethodDescriptorType and type(first) in TABLES:
        _report_method(first, function.__name__)
    elif type(first) not in TABLES:
        return
    elif function is len:
        read(first, WHOLE, _name(first))
    elif kind is type or kind is BuiltinFunctionType:
        if function in _READS:
            _report_all(first, read)
        elif function in _WRITES:
            _report_all(first, write)


def _report_method(container: Any, method: str) -> None:
    operation = TABLES[type(container)].get(method)
    if method in {"append", "add"}:
        # Of what is added nothing is known.
        report = add if method == "add" else write
        report(container, WHOLE, _name(container))
    elif method in _READING or operation in _READERS:
        _report_all(container, read)
    elif operation is not None:
        _report_all(container, write)


def _report_all(container: Any, report: Callable[[object, Any, str], None]) -> None:
    name = _name(container)
    report(container, WHOLE, name)
    if isinstance(container, list):
        for index in range(len(container)):
            report(container, index, name)
    elif isinstance(container, (dict, set)):
        for part in list(container):
            report(container, part, name)


def _name(container: object) -> str:
    return f"a {type(container).__name__}"


if sys.version_info >= (3, 12):

    def _called(_code: CodeType, _offset: int, function: object, first: object) -> object:
        kind = type(function)
        if kind in _KINDS_OF_PROBES and function in _PROBES:
            # A place that calls a probe calls nothing else, ever: no more events from there.
            return sys.monitoring.DISABLE
        if kind is FunctionType:
            return None
        if here.ticket is not None:
            report_call(function, first)
        return None


class CallMonitor:
    """Reports calls made by the code objects given to :meth:`watch`, until it is stopped."""

    def __init__(self) -> None:
        self._codes: list[CodeType] = []
        self._tool: int | None = None

    if sys.version_info >= (3, 12):

        def start(self) -> bool:
            """Take one of the interpreter's tool numbers; False if other tools have all."""
            monitoring = sys.monitoring
            for tool in range(6):
                # Debuggers, coverage and profilers find theirs free as long as any other is.
                tool = (tool + 3) % 6  # noqa: PLW2901 - the same number, counted from another start
                try:
                    monitoring.use_tool_id(tool, "colorsched.testing")
                except ValueError:
                    continue
                self._tool = tool
                monitoring.register_callback(tool, monitoring.events.CALL, _called)
                return True
            return False

        def watch(self, code: CodeType) -> None:
            """Report calls made by a module's code and by all that is defined in it."""
            if self._tool is not None:
                for each in _with_inner(code):
                    sys.monitoring.set_local_events(self._tool, each, sys.monitoring.events.CALL)
                    self._codes.append(each)

        def stop(self) -> None:
            """Report no more, and give the tool number back."""
            if self._tool is not None:
                for code in self._codes:
                    sys.monitoring.set_local_events(self._tool, code, 0)
                sys.monitoring.register_callback(self._tool, sys.monitoring.events.CALL, None)
                sys.monitoring.free_tool_id(self._tool)
            self._codes.clear()
            self._tool = None

    else:

        def start(self) -> bool:
            """Calls can't be monitored: False."""
            return False

        def watch(self, code: CodeType) -> None:
            """Nothing, for want of monitoring."""

        def stop(self) -> None:
            """Nothing, for want of monitoring."""


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)
