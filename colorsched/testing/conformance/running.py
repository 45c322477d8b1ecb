"""Running a program on a runtime, and recording what happens."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from attrs import Factory, define, field

from colorsched.current import current_color
from colorsched.testing.conformance.actions import (
    DISPATCH,
    HOLD,
    POST,
    SUBMIT,
    TIMER,
    Cancel,
    Program,
    Raise,
    Start,
)
from colorsched.testing.conformance.record import NOBODY, Event, Recorder

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from colorsched.testing.conformance.actions import Action

#: Far beyond what a program takes.
PATIENCE_SECONDS = 30.0


class PlannedError(Exception):
    """What programs raise: the number of the callback, and what it recorded, if it did."""

    def __init__(self, number: int, events: tuple[Event, ...] = ()) -> None:
        super().__init__(number, events)
        self.number = number
        self.events = events


class RuntimeLike(Protocol):
    """What `run` needs of a runtime."""

    def color(self, key: Hashable) -> Any:
        """The color of a key."""
        ...

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until all is quiet."""
        ...


@define(eq=False)
class _Node:
    """One thing that was started."""

    number: int
    start: Start
    handle: Any = None
    future: Any = None
    message: str | None = None
    """What its starter wrote for it just before, in plain memory."""


@define(eq=False)
class Running:
    """A program on its way: what it runs on, and what it has started."""

    rt: RuntimeLike
    keys: Sequence[Hashable]
    recorder: Recorder
    patience: float = PATIENCE_SECONDS
    _nodes: list[_Node] = Factory(list)
    _numbers: Iterator[int] = field(factory=count)

    # -- posters ----------------------------------------------------------------------------------

    def from_threads(self, program: Program) -> None:
        """Run each script on a thread of its own, all at once."""
        barrier = threading.Barrier(len(program.scripts))

        def post(script: Sequence[Action]) -> None:
            barrier.wait(self.patience)
            self.act(script)

        threads = [threading.Thread(target=post, args=(script,)) for script in program.scripts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def from_callbacks(self, program: Program) -> None:
        """Run each script in a callback of a color of its own."""
        first = len(self.keys)
        self.keys = [*self.keys, *(("poster", n) for n in range(len(program.scripts)))]
        self.act([Start(POST, first + n, (script,)) for n, script in enumerate(program.scripts)])

    def settle(self) -> None:
        """Wait until all is quiet, and record what became of everything."""
        self.recorder.note("drained", NOBODY, self.rt.drain(self.patience))
        for node in self._nodes:
            self.recorder.note("outcome", node.number, _outcome(node))
        self._nodes.clear()

    # -- what a program does ----------------------------------------------------------------------

    def act(self, actions: Sequence[Action]) -> None:
        """Do what a list of actions says, on the calling thread."""
        for action in actions:
            if isinstance(action, Start):
                self._start(action)
            elif isinstance(action, Cancel):
                nodes = list(self._nodes)
                if nodes:
                    self._cancel(nodes[action.which % len(nodes)])

    def _cancel(self, node: _Node) -> None:
        target = node.future if node.future is not None else node.handle
        if target is not None:
            self.recorder.note("cancel", node.number, target.cancel())

    def _start(self, start: Start) -> None:
        node = _Node(next(self._numbers), start)
        key = self.keys[start.color]
        color = self.rt.color(key)
        # Before it is posted: what it starts is to come after it.
        self._nodes.append(node)
        node.message = f"for {node.number}"
        self.recorder.note("posting", node.number, (start.how, key))
        if start.how == POST:
            node.handle = color.post(self._callback, node)
        elif start.how == SUBMIT:
            node.future = color.submit(self._callback, node)
        elif start.how == DISPATCH:
            node.handle = color.dispatch(self._callback, node)
        elif start.how == TIMER:
            node.handle = color.call_later(start.seconds, self._callback, node)
        elif start.how == HOLD:
            node.future = color.submit(self._coroutine, node)
        else:
            node.future = color.spawn(self._coroutine(node))
        self.recorder.note("posted", node.number)

    def _callback(self, node: _Node) -> int:
        self._begin(node)
        try:
            self._part(node, node.start.parts[0])
        finally:
            self._end(node)
        return node.number

    async def _coroutine(self, node: _Node) -> int:
        self._begin(node)
        try:
            for part in node.start.parts:
                self._part(node, part)
                self.recorder.note("leave", node.number)
                try:
                    await asyncio.sleep(node.start.seconds)
                finally:
                    self._enter(node)
        finally:
            self._end(node)
        return node.number

    def _begin(self, node: _Node) -> None:
        self.recorder.note("begin", node.number, node.message)
        self._enter(node)

    def _enter(self, node: _Node) -> None:
        color = current_color()
        self.recorder.note("enter", node.number, (None if color is None else color.key,))

    def _end(self, node: _Node) -> None:
        self.recorder.note("leave", node.number)
        self.recorder.note("end", node.number)

    def _part(self, node: _Node, part: Sequence[Action]) -> None:
        self.act(part)
        if part and isinstance(part[-1], Raise):
            self.recorder.note("raised", node.number)
            raise PlannedError(node.number)


def _outcome(node: _Node) -> tuple[Any, ...]:
    future = node.future
    if future is None:
        return "handle", None if node.handle is None else node.handle.reason
    if not future.done():
        return "future", "pending"
    try:
        error = future.exception()
    except (CancelledError, asyncio.CancelledError):
        return "future", "cancelled"
    if error is None:
        return "future", "result", future.result()
    return "future", "error", error.number if isinstance(error, PlannedError) else repr(error)


def exception_handler(recorder: Recorder) -> Any:
    """An exception handler for the runtime, which records what reaches it."""

    def handle(error: BaseException) -> None:
        if isinstance(error, PlannedError):
            recorder.note("handled", error.number)
        else:
            recorder.note("foreign", NOBODY, repr(error))

    return handle


def run(
    program: Program,
    rt: RuntimeLike,
    recorder: Recorder,
    keys: Sequence[Hashable],
    *,
    threads: bool = True,
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Run a program on a runtime, wait until all is quiet, and record what happened.

    Args:
        program: what to run.
        rt: what to run it on. Its exception handler should be `exception_handler` of the recorder.
        recorder: where to record.
        keys: of the program's colors.
        threads: whether each poster is a thread of its own, or else a callback.
        patience: how many seconds to wait for quiet.

    """
    running = Running(rt, keys, recorder, patience)
    if threads:
        running.from_threads(program)
    else:
        running.from_callbacks(program)
    running.settle()


# -- without shared memory ------------------------------------------------------------------------


def report(number: int, fails: bool) -> tuple[int, tuple[Event, ...]]:  # noqa: FBT001 - executors pass positional arguments on
    """A callback that tells what happened by its result: it can be imported, and shares nothing."""
    events = [Event("begin", number, f"for {number}"), Event("enter", number)]
    if fails:
        events.append(Event("raised", number))
    events += [Event("leave", number), Event("end", number)]
    if fails:
        raise PlannedError(number, tuple(events))
    return number, tuple(events)


def run_reports(
    program: Program,
    rt: RuntimeLike,
    recorder: Recorder,
    keys: Sequence[Hashable],
    *,
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Run a program of ``submit`` and ``Cancel`` alone, by results only: see `report`.

    It works where callbacks are imported by another process and share no memory with their poster.
    """
    futures: list[Any] = []
    actions = [action for script in program.scripts for action in script]
    for action in actions:
        if isinstance(action, Start):
            number, key = len(futures), keys[action.color]
            fails = bool(action.parts[0]) and isinstance(action.parts[0][-1], Raise)
            recorder.note("posting", number, (SUBMIT, key))
            futures.append(rt.color(key).submit(report, number, fails))
            recorder.note("posted", number)
        elif isinstance(action, Cancel) and futures:
            number = action.which % len(futures)
            recorder.note("cancel", number, futures[number].cancel())
    recorder.note("drained", NOBODY, rt.drain(patience))
    for number, future in enumerate(futures):
        recorder.note("outcome", number, _reported(future, recorder))


def _reported(future: Any, recorder: Recorder) -> tuple[Any, ...]:
    if not future.done():
        return "future", "pending"
    if future.cancelled():
        return "future", "cancelled"
    error = future.exception()
    if isinstance(error, PlannedError):
        recorder.merge(error.events)
        return "future", "error", error.number
    if error is not None:
        return "future", "error", repr(error)
    result, events = future.result()
    recorder.merge(events)
    return "future", "result", result
