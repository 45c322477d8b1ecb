"""Programs of colored callbacks: drawn by Hypothesis, run on a runtime, held against the contract.

A program is a few threads, each with a list of actions; an action posts a callback, starts a timer
or a coroutine in some color, cancels what was started before, or raises. What is started has a
list of actions of its own. `run` does all that on a runtime and records what happened, in one list
that all threads append to, so that what happened before stands before. `check` looks for what the
contract forbids. It knows nothing of how a runtime works.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from attrs import Factory, define, field, frozen
from hypothesis import strategies as st

from colorsched import DEFAULT, current_color

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

#: Far beyond what a program takes.
PATIENCE_SECONDS = 30.0

#: How a callback or coroutine is started.
POST, SUBMIT, DISPATCH, TIMER, HOLD, SPAWN = "post", "submit", "dispatch", "timer", "hold", "spawn"

#: These run in the order in which they were posted.
IN_ORDER = (POST, SUBMIT, DISPATCH, HOLD)

#: These run to their end in one go.
CALLBACKS = (POST, SUBMIT, DISPATCH, TIMER)


# -- what a program is ----------------------------------------------------------------------------


@frozen
class Start:
    """Start something in a color. Coroutines have several parts, with awaits between them."""

    how: str
    color: int
    parts: tuple[tuple[Action, ...], ...]
    seconds: float = 0.0


@frozen
class Cancel:
    """Cancel one of the things started so far."""

    which: int


@frozen
class Raise:
    """Fail here."""


Action = Start | Cancel | Raise


@frozen
class Program:
    """What to run: the actions of each posting thread, and on how many workers."""

    workers: int
    threads: tuple[tuple[Action, ...], ...]


def _actions(depth: int, hows: Sequence[str], colors: int) -> st.SearchStrategy[Action]:
    """Actions that nest so deep."""
    cancel: st.SearchStrategy[Action] = st.builds(Cancel, st.integers(0, 30))
    if not depth:
        return cancel
    body = _bodies(depth - 1, hows, colors)
    color = st.integers(0, colors - 1)
    seconds = st.sampled_from((0.0, 0.0, 0.0005))
    callbacks = st.sampled_from([how for how in hows if how in CALLBACKS])
    starts = [st.builds(Start, callbacks, color, st.tuples(body), seconds)]
    coroutines = [how for how in hows if how not in CALLBACKS]
    if coroutines:
        parts = st.lists(body, min_size=1, max_size=3).map(tuple)
        starts.append(st.builds(Start, st.sampled_from(coroutines), color, parts, seconds))
    return st.one_of(starts[0], *starts, cancel)


def _bodies(depth: int, hows: Sequence[str], colors: int) -> st.SearchStrategy[tuple[Action, ...]]:
    """What a callback, or a part of a coroutine, does."""
    actions = st.lists(_actions(depth, hows, colors), max_size=3 if depth else 1)
    # At the end, so that it cuts nothing off.
    ends = st.sampled_from(((), (), (), (), (Raise(),)))
    return st.builds(lambda actions, end: (*actions, *end), actions, ends)


def programs(
    hows: Sequence[str] = (POST, SUBMIT, DISPATCH, TIMER, HOLD, SPAWN),
    *,
    colors: int = 4,
    threads: int = 3,
    depth: int = 3,
) -> st.SearchStrategy[Program]:
    """Programs that start things in these ways."""
    script = st.lists(_actions(depth, hows, colors), min_size=1, max_size=5).map(tuple)
    scripts = st.lists(script, min_size=1, max_size=threads).map(tuple)
    return st.builds(Program, st.integers(1, 4), scripts)


# -- running one ----------------------------------------------------------------------------------


class PlannedError(Exception):
    """What programs raise."""


class RuntimeLike(Protocol):
    """What `run` needs of a runtime."""

    def color(self, key: Hashable) -> Any: ...
    def drain(self, timeout: float | None = None) -> bool: ...


@define(eq=False)
class Node:
    """One thing that was started, and what became of it."""

    number: int
    start: Start
    handle: Any = None
    future: Any = None
    ran_at_once: bool = False
    message: str | None = None
    """What its starter wrote for it just before, in plain memory."""
    seen: str | None = None
    error: PlannedError | None = None
    cancels: list[bool] = Factory(list)


@frozen
class Event:
    """Something that happened.

    ``posting``, ``posted``; ``begin`` and ``end`` of a callback or of a whole coroutine; ``enter``
    and ``leave`` of each stretch of code that runs in one go.
    """

    what: str
    node: Node


@define(eq=False)
class Trace:
    """All that happened, in order."""

    colors: Sequence[Hashable]
    events: list[Event] = Factory(list)
    nodes: list[Node] = Factory(list)
    handled: list[BaseException] = Factory(list)
    wrong_colors: list[str] = Factory(list)
    drained: bool = False
    _numbers: Iterator[int] = field(factory=count)

    def note(self, what: str, node: Node) -> None:
        self.events.append(Event(what, node))

    def handle(self, error: BaseException) -> None:
        """The runtime's exception handler."""
        self.handled.append(error)


def run(program: Program, rt: RuntimeLike, trace: Trace) -> Trace:
    """Run a program on a runtime, wait until all is quiet, and tell what happened."""
    barrier = threading.Barrier(len(program.threads))

    def post(script: Sequence[Action]) -> None:
        barrier.wait(PATIENCE_SECONDS)
        act(script, rt, trace)

    threads = [threading.Thread(target=post, args=(script,)) for script in program.threads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trace.drained = rt.drain(PATIENCE_SECONDS)
    return trace


def act(actions: Sequence[Action], rt: RuntimeLike, trace: Trace) -> None:
    """Do what a list of actions says, on the calling thread."""
    for action in actions:
        if isinstance(action, Start):
            _start(action, rt, trace)
        elif isinstance(action, Cancel):
            nodes = list(trace.nodes)
            if nodes:
                _cancel(nodes[action.which % len(nodes)])


def _cancel(node: Node) -> None:
    target = node.future if node.future is not None else node.handle
    if target is not None:
        node.cancels.append(target.cancel())


def _start(start: Start, rt: RuntimeLike, trace: Trace) -> None:
    node = Node(next(trace._numbers), start)
    color = rt.color(trace.colors[start.color])
    node.message = f"for {node.number}"
    trace.note("posting", node)
    if start.how == POST:
        node.handle = color.post(_callback, node, rt, trace)
    elif start.how == SUBMIT:
        node.future = color.submit(_callback, node, rt, trace)
    elif start.how == DISPATCH:
        node.handle = color.dispatch(_callback, node, rt, trace)
        node.ran_at_once = node.handle is None
    elif start.how == TIMER:
        node.handle = color.call_later(start.seconds, _callback, node, rt, trace)
    elif start.how == HOLD:
        node.future = color.submit(_coroutine, node, rt, trace)
    else:
        node.future = color.spawn(_coroutine(node, rt, trace))
    trace.note("posted", node)
    trace.nodes.append(node)


def _callback(node: Node, rt: RuntimeLike, trace: Trace) -> int:
    trace.note("begin", node)
    trace.note("enter", node)
    try:
        node.seen = node.message
        _part(node, node.start.parts[0], rt, trace)
    finally:
        trace.note("leave", node)
        trace.note("end", node)
    return node.number


async def _coroutine(node: Node, rt: RuntimeLike, trace: Trace) -> int:
    trace.note("begin", node)
    trace.note("enter", node)
    try:
        node.seen = node.message
        for part in node.start.parts:
            _part(node, part, rt, trace)
            trace.note("leave", node)
            try:
                await asyncio.sleep(node.start.seconds)
            finally:
                trace.note("enter", node)
    finally:
        trace.note("leave", node)
        trace.note("end", node)
    return node.number


def _part(node: Node, part: Sequence[Action], rt: RuntimeLike, trace: Trace) -> None:
    color = current_color()
    if color is None or color.key != trace.colors[node.start.color]:
        trace.wrong_colors.append(f"{node.number} of color {node.start.color} ran in {color!r}")
    act(part, rt, trace)
    if part and isinstance(part[-1], Raise):
        node.error = PlannedError(node.number)
        raise node.error


# -- the contract ---------------------------------------------------------------------------------


class ContractError(AssertionError):
    """A promise was broken."""


def check(trace: Trace) -> None:
    """Look for what the contract forbids.

    Raises:
        ContractError: the promise that was broken, and by what.

    """
    if not trace.drained:
        raise ContractError("quiet: not drained in time")
    if trace.wrong_colors:
        raise ContractError(f"color: {trace.wrong_colors[0]}")
    _check_serial(trace)
    _check_order(trace)
    ran = _times(trace)
    for node in trace.nodes:
        _check_node(node, *ran.get(node, (0, 0)))
    _check_handled(trace)


def _check_serial(trace: Trace) -> None:
    """At most one stretch of a color at a time, and while a color is held no callback of it."""
    inside: dict[int, Node] = {}
    held: dict[int, Node] = {}
    for event in trace.events:
        node = event.node
        color, how = node.start.color, node.start.how
        if event.what == "enter":
            if color in inside:
                raise ContractError(
                    f"serial: {node.number} and {inside[color].number} ran at once in {color}"
                )
            inside[color] = node
        elif event.what == "leave":
            del inside[color]
        elif event.what == "begin" and how != SPAWN:
            if color in held:
                raise ContractError(
                    f"serial: {node.number} began in {color} while {held[color].number} held it"
                )
            if how == HOLD:
                held[color] = node
        elif event.what == "end" and how == HOLD:
            del held[color]


def _check_order(trace: Trace) -> None:
    """What was posted before another one's posting had begun runs before that one."""
    at: dict[tuple[str, Node], int] = {}
    for place, event in enumerate(trace.events):
        at.setdefault((event.what, event.node), place)
    for first in trace.nodes:
        posted, began = at[("posted", first)], at.get(("begin", first))
        if began is None or first.start.how not in IN_ORDER:
            continue
        for second in trace.nodes:
            later = at.get(("begin", second))
            if (
                later is not None
                and second.start.how in IN_ORDER
                and second.start.color == first.start.color
                and posted < at[("posting", second)]
                and later < began
            ):
                raise ContractError(
                    f"order: {second.number} ran before {first.number}, which was posted earlier"
                )


def _times(trace: Trace) -> dict[Node, tuple[int, int]]:
    """How often each one began, and ended."""
    times: dict[Node, tuple[int, int]] = {}
    for event in trace.events:
        began, ended = times.get(event.node, (0, 0))
        times[event.node] = began + (event.what == "begin"), ended + (event.what == "end")
    return times


def _check_node(node: Node, began: int, ended: int) -> None:
    name = f"{node.start.how} {node.number}"
    if began != ended or began > 1:
        raise ContractError(f"once: {name} began {began} times and ended {ended} times")
    if began and node.seen != f"for {node.number}":
        raise ContractError(f"causal: {name} saw {node.seen!r}")
    if node.future is not None:
        _check_future(node, name, began)
        return
    cancelled = node.handle is not None and node.handle.cancelled()
    if began == cancelled:
        state = "ran though it was cancelled" if began else "was lost"
        raise ContractError(f"once: {name} {state}")
    if cancelled != any(node.cancels):
        raise ContractError(f"cancel: {name}: cancelled() {cancelled}, cancel() {node.cancels}")
    if sum(node.cancels) > 1:
        raise ContractError(f"cancel: {name} was cancelled {sum(node.cancels)} times")


def _check_future(node: Node, name: str, began: int) -> None:
    future = node.future
    if not future.done():
        raise ContractError(f"outcome: {name} has none")
    if future.cancelled():
        if began and node.start.how == SUBMIT:
            raise ContractError(f"once: {name} ran though it was cancelled")
        if not any(node.cancels):
            raise ContractError(f"outcome: {name} is cancelled, and nobody did it")
        return
    if not began:
        raise ContractError(f"once: {name} was lost")
    try:
        error = future.exception()
    except CancelledError:
        error = None
    if error is not node.error:
        raise ContractError(f"outcome: {name} has {error!r} instead of {node.error!r}")
    if error is None and future.result() != node.number:
        raise ContractError(f"outcome: {name} has {future.result()!r}")


def _check_handled(trace: Trace) -> None:
    """Each failure of what has no future reached the exception handler, once, and no other did."""
    raised = [n.error for n in trace.nodes if n.error is not None and n.future is None]
    for error in raised:
        times = sum(handled is error for handled in trace.handled)
        if times != 1:
            raise ContractError(f"outcome: {error!r} reached the exception handler {times} times")
    if len(raised) != len(trace.handled):
        raise ContractError(f"outcome: the exception handler got {trace.handled!r}")


# -- the serial model -----------------------------------------------------------------------------


def serially(actions: Sequence[Action]) -> list[int]:
    """The numbers of what runs, in order, when one loop runs everything that is posted.

    For programs of one color, without timers and coroutines, begun by one callback.
    """
    queue: list[tuple[int, Start]] = []
    started: list[int] = []
    gone: set[int] = set()
    order: list[int] = []
    numbers = count()
    todo: Sequence[Action] = actions
    while True:
        for action in todo:
            if isinstance(action, Start):
                number = next(numbers)
                started.append(number)
                queue.append((number, action))
            elif isinstance(action, Cancel) and started:
                number = started[action.which % len(started)]
                if number not in order:
                    gone.add(number)
        while queue and queue[0][0] in gone:
            queue.pop(0)
        if not queue:
            return order
        number, start = queue.pop(0)
        order.append(number)
        todo = start.parts[0]


def keys(colors: int) -> list[Hashable]:
    """The keys of a program's colors; the first one is the default color."""
    return [DEFAULT, *(("color", number) for number in range(1, colors))]


def forget(trace: Trace) -> None:
    """Drop all that a trace keeps alive."""
    for node in trace.nodes:
        if node.error is not None:
            node.error.__traceback__ = None  # it leads back to the error, around a circle
    trace.nodes.clear()
    trace.events.clear()
    trace.handled.clear()
