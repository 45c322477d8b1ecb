"""What a program promises about the order of things: what never overlaps, and what comes first.

Used as the properties of ``colorsched.testing.properties``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from colorsched.core.queue import ColorQueue
from colorsched.testing.callees import awaits, callee_of, is_of, label_of, task_of
from colorsched.testing.clocks import HappensBefore
from colorsched.testing.linearizability import linearizable
from colorsched.testing.properties import Property, Watch, title_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable, Iterable

    from colorsched.events import Ticket
    from colorsched.testing.history import Operation
    from colorsched.testing.models import Model

S = TypeVar("S")


def never_overlap(first: Any, *others: Any, name: str | None = None) -> Property:
    """What these name is never under way at the same time, from a coroutine's start to its end.

    Each is a color (or its key), for all that runs in it, or a function: callbacks of it, and
    coroutines, whether submitted, spawned, started as tasks or awaited by one. Several must
    not overlap each other; one alone must not overlap itself. A coroutine that another one awaits
    is seen where it is suspended, so not if it never is.

    Example::

        explore(main, properties=[never_overlap(load, save)])

    """
    parts = [part.key if isinstance(part, ColorQueue) else part for part in (first, *others)]
    title = name or f"never_overlap({', '.join(map(title_of, parts))})"
    return Property(title, lambda name, _since: _NeverOverlap(name, parts))


def happens_before(
    first: Callable[..., object], then: Callable[..., object], *, name: str | None = None
) -> Property:
    """Every run of ``first`` is ordered before every run of ``then`` begins.

    That is by posts, awaits and colors, not by chance: what only happened to be in order in this
    run does not count. The runs are those as callbacks and as coroutines of tasks; of a coroutine,
    all of its steps come before. (What ``first`` does after it has set off ``then``, in the same
    step, is not looked at.)

    Raises:
        TypeError: one of them cannot be called.

    Example::

        explore(main, properties=[happens_before(open_account, deposit)])

    """
    title = name or f"happens_before({title_of(first)}, {title_of(then)})"
    for fn in (first, then):
        if not callable(fn):
            raise TypeError(f"happens_before takes functions, not {fn!r}")
    return Property(title, lambda name, _since: _HappensBefore(name, first, then))


class _NeverOverlap(Watch):
    def __init__(self, name: str, parts: list[Any]) -> None:
        super().__init__(name)
        self._parts = parts
        self._open: dict[object, tuple[set[int], str]] = {}
        """By task, or by callback: which of the parts it is in, and what to call it."""

    def started(self, ticket: Ticket) -> None:
        if _is_machinery(ticket.fn):
            return
        task = task_of(ticket.fn)
        known = self._open.get(task, (set[int](), ""))[0] if task is not None else set[int]()
        self._enter(ticket, task, known | self._within(ticket, [callee_of(ticket.fn)]))

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        task = task_of(ticket.fn)
        if task is None:
            self._open.pop(ticket, None)
            return
        callees = list(awaits(task.get_coro()))
        # What was left in this step was there until now.
        self._enter(ticket, task, self._within(ticket, callees))
        if task.done():
            self._open.pop(task, None)

    def _within(self, ticket: Ticket, callees: list[Any]) -> set[int]:
        return {
            place
            for place, part in enumerate(self._parts)
            if (any(is_of(x, part) for x in callees) if callable(part) else ticket.key == part)
        }

    def _enter(self, ticket: Ticket, task: asyncio.Task[Any] | None, parts: set[int]) -> None:
        me: object = ticket if task is None else task
        if not parts:
            self._open.pop(me, None)
            return
        label = label_of(ticket)
        for other, (its, name) in self._open.items():
            if other is not me and self._clash(parts, its):
                self.breaks(f"{label} runs while {name} is under way", ticket)
        self._open[me] = (parts, label)

    def _clash(self, mine: set[int], its: set[int]) -> bool:
        return len(self._parts) == 1 or any(one != other for one in mine for other in its)


def _is_machinery(fn: Any) -> bool:
    """Whether a callback is asyncio's or ours, on behalf of some coroutine."""
    module = getattr(callee_of(fn), "__module__", None) or ""
    return task_of(fn) is None and module.partition(".")[0] in {"asyncio", "colorsched"}


class _HappensBefore(HappensBefore, Watch):
    def __init__(self, name: str, first: Any, then: Any) -> None:
        HappensBefore.__init__(self)
        Watch.__init__(self, name)
        self._first = first
        self._then = then
        self._runs: dict[int, tuple[int, str]] = {}
        """The last run of ``first`` in each color, by the index of its clock: when, and what."""
        self._begun: str | None = None

    def started(self, ticket: Ticket) -> None:
        super().started(ticket)
        callee = callee_of(ticket.fn)
        clock = self.clock_of(ticket)
        if is_of(callee, self._then):
            for index, (time, label) in self._runs.items():
                if not clock.knows(index, time):
                    what = "no post, await or color orders it after"
                    self.breaks(f"{label_of(ticket)} begins, and {what} {label}", ticket)
            self._begun = label_of(ticket)
        if is_of(callee, self._first):
            if self._begun is not None:
                self.breaks(f"{label_of(ticket)} runs after {self._begun} has begun", ticket)
            self._runs[clock.index] = (clock.time, label_of(ticket))


def linearized(
    history: Iterable[Operation],
    model: Model[S],
    *,
    partition: Callable[[Operation], Hashable] | None = None,
) -> Property:
    """The history is linearizable at the end of the run; see ``linearizable``.

    Example::

        def main(rt):
            history = History()
            promise(linearized(history, Model.from_sequential(Bank), partition=by_key))
            ...

    """
    return Property("linearized", lambda name, _: _Linearized(name, history, model, partition))


class _Linearized(Watch):
    def __init__(
        self,
        name: str,
        history: Iterable[Operation],
        model: Model[Any],
        partition: Callable[[Operation], Hashable] | None,
    ) -> None:
        super().__init__(name)
        self._check = partial(linearizable, history, model, partition=partition)

    def over(self) -> None:
        try:
            self._check()
        except Exception as error:  # noqa: BLE001 - not linearizable, undecided, or a broken model
            self.broken = error
