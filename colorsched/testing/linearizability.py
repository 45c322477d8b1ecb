"""Linearizability: could one caller after another, each at an instant inside its call, see this?

Wing and Gong's search (1993) with Lowe's memoization (2017), iterative as in Porcupine. The events
lie in a linked list in order of time. The operations invoked before the first response in the list
are those that may come next; one that the model accepts is lifted out of the list, together with
its response. A response met while its operation is still there means that the operation should
have come before: the search takes its last choice back. What was reached before, the same
operations done and the same state, is not entered again. Only responses force the search on, so an
operation without one, a pending operation, may take effect at any time after its invocation or not
at all.

Herlihy and Wing (1990) proved that a history is linearizable if and only if that of each object
is; so parts that are objects of their own, such as keys, are checked one by one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import Factory, define, field, frozen

from colorsched.errors import ColorschedError
from colorsched.testing.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from colorsched.testing.history import Operation

__all__ = ["Model", "NotLinearizable", "Undecided", "by_key", "linearizable"]

S = TypeVar("S")

# A report shows at most so many rows of the prefix and of the timeline, and so much of a state.
SHOWN = 16
SHOWN_STATE = 400


class NotLinearizable(ColorschedError, AssertionError):
    """No order of the operations explains what they answered. The message shows where it fails.

    Attributes:
        partition: what the failing part's operations have in common; None without ``partition=``.
        operations: those of the failing part.
        prefix: the longest order of some of them that the model accepts.
        state: the model's state after it.
        stuck: the operations that had to come next; the model accepts none of them.

    """

    def __init__(
        self,
        message: str,
        *,
        partition: Hashable,
        operations: Sequence[Operation],
        prefix: Sequence[Operation],
        state: object,
        stuck: Sequence[Operation],
    ) -> None:
        super().__init__(message)
        self.partition = partition
        self.operations = tuple(operations)
        self.prefix = tuple(prefix)
        self.state = state
        self.stuck = tuple(stuck)


class Undecided(ColorschedError, RuntimeError):
    """The budget ran out before it was known whether the history is linearizable."""


def by_key(operation: Operation) -> Hashable:
    """The partition for objects whose keys are independent of each other: the operation's key.

    Raises:
        ValueError: the operation has no key.

    """
    if operation.key is None:
        raise ValueError(
            f"{operation.call()} has no key to partition by: record it with key=..., or pass "
            "another partition="
        )
    return operation.key


def linearizable(
    history: Iterable[Operation],
    model: Model[S],
    *,
    partition: Callable[[Operation], Hashable] | None = None,
    budget: int = 1_000_000,
) -> None:
    """Check that some order of the operations explains a history; return if one does.

    Such an order respects time: what was over before another began comes before it. And the model,
    taking the operations in that order, accepts all that have an outcome; of the pending ones, any.

    Args:
        history: a :class:`~colorsched.testing.history.History`, or operations made by hand.
        model: what the object does sequentially, and of each part where there is a ``partition``.
        partition: what independent part of the object an operation concerns, such as ``by_key``.
            Parts are checked one by one, small ones first, which is much faster.
        budget: how many steps of the model may be tried in all.

    Raises:
        NotLinearizable: no order explains the history, or that of the smallest part that fails.
        Undecided: the budget ran out. Nothing is known then.
        TypeError: the model's states, or their fingerprints, are not hashable.

    Example::

        linearizable(history, Model.from_sequential(Account), partition=by_key)

    """
    if budget < 1:
        raise ValueError(f"budget must be at least 1 step, not {budget}")
    fingerprint = model.fingerprint(model.initial())
    try:
        hash(fingerprint)
    except TypeError as error:
        raise TypeError(
            f"states of {type(model).__name__} are not hashable ({error}): use tuples, frozensets "
            "and frozen classes, or define fingerprint()"
        ) from error
    parts: dict[Hashable, list[Operation]] = {}
    for operation in history:
        parts.setdefault(partition and partition(operation), []).append(operation)
    steps = _Budgeted(model, budget)
    for name, operations in sorted(parts.items(), key=lambda part: len(part[1])):
        try:
            stuck = _Search(operations, steps).run()
        except _Spent:
            raise Undecided(
                f"{budget} steps of the model were too few to decide about "
                f"{_title(name, operations)}. Raise budget=, record fewer overlapping operations, "
                "or check independent parts one by one (partition=)"
            ) from None
        if stuck is not None:
            raise NotLinearizable(
                _report(name, operations, model, stuck),
                partition=name,
                operations=operations,
                prefix=stuck.prefix,
                state=stuck.state,
                stuck=stuck.operations,
            )


# ---- the search


class _Spent(Exception):
    """The budget ran out."""


@define
class _Budgeted(Generic[S]):
    """The model, and how many steps may still be tried."""

    model: Model[S]
    left: int

    def step(self, state: S, operation: Operation) -> Iterator[S]:
        if not self.left:
            raise _Spent
        self.left -= 1
        return iter(self.model.step(state, operation))


@frozen
class _Stuck:
    """How far the search came: no operation that may come next fits the state."""

    prefix: list[Operation]
    state: Any
    operations: list[Operation]


@define(eq=False)
class _Event:
    """An invocation, or a response (``bit`` is 0), in a circular list with a head.

    A pending operation's invocation is in no list.
    """

    operation: Operation
    bit: int = 0
    response: _Event | None = None
    before: _Event = field(init=False, default=Factory(lambda self: self, takes_self=True))
    after: _Event = field(init=False, default=Factory(lambda self: self, takes_self=True))

    def lift(self) -> None:
        """Take an invocation and its response out of the list."""
        self.before.after, self.after.before = self.after, self.before
        if self.response is not None:
            self.response.lift()

    def unlift(self) -> None:
        """Put them back; the last ones lifted come first."""
        if self.response is not None:
            self.response.unlift()
        self.before.after = self.after.before = self


def _linked(operations: Iterable[Operation]) -> _Event:
    """The events of operations with an outcome: the head of their list."""
    # Those that respond first have the lowest bits, so that what is done is mostly a run of ones.
    ordered = sorted(operations, key=_end)
    events: list[tuple[float, bool, int, _Event]] = []
    for number, operation in enumerate(ordered):
        response = _Event(operation)
        invocation = _Event(operation, 1 << number, response)
        events.append((operation.invoked, False, number, invocation))
        # At one position, should there be such, invocations come first: they overlap.
        events.append((_end(operation), True, number, response))
    head = _Event(ordered[0])
    for *_, event in sorted(events, key=lambda entry: entry[:3]):
        event.before, event.after = head.before, head
        head.before.after = head.before = event
    return head


class _Search(Generic[S]):
    """The search for an order that explains the operations of one part."""

    def __init__(self, operations: Sequence[Operation], steps: _Budgeted[S]) -> None:
        self._steps = steps
        responded = [operation for operation in operations if not operation.pending]
        self._left = len(responded)
        self._head = _linked(responded) if responded else None
        pending = sorted((op for op in operations if op.pending), key=lambda op: op.invoked)
        self._pending = [_Event(op, 1 << number) for number, op in enumerate(pending)]
        self._seen: dict[tuple[int, int, Hashable], tuple[int, ...]] = {}

    def run(self) -> _Stuck | None:
        """Where no order gets any further, or None if one explains all."""
        head, left = self._head, self._left
        if head is None:  # all pending: it may be that nothing happened
            return None
        stuck: _Stuck | None = None
        nearest = left + 1, 0
        # What is done: the operations with an outcome, and those without, as bits; and the state.
        done, taken, state = 0, 0, self._steps.model.initial()
        self._is_new(done, taken, state)
        trail: list[tuple[_Event, int, int, S, Iterator[tuple[_Event, S]]]] = []
        choices = self._choices(head, taken, state)
        while left:
            for event, new_state in choices:
                new_done, new_taken = done, taken
                if event.response is None:
                    new_taken |= event.bit
                else:
                    new_done |= event.bit
                if self._is_new(new_done, new_taken, new_state):
                    trail.append((event, done, taken, state, choices))
                    done, taken, state = new_done, new_taken, new_state
                    if event.response is not None:
                        event.lift()
                        left -= 1
                    choices = self._choices(head, taken, state)
                    break
            else:  # whatever responds first now should have come before
                # Of those as near to the end, the one that makes do with fewer pending operations.
                if (left, len(trail)) < nearest:
                    nearest = left, len(trail)
                    prefix = [event.operation for event, *_ in trail]
                    in_line = [event.operation for event in _next_in_line(head)]
                    stuck = _Stuck(prefix, state, in_line)
                if not trail:
                    return stuck
                event, done, taken, state, choices = trail.pop()
                if event.response is not None:
                    event.unlift()
                    left += 1
        return None

    def _choices(self, head: _Event, taken: int, state: S) -> Iterator[tuple[_Event, S]]:
        """What may come next, and the state it leads to. Used while the list is as it is now."""
        for event in _next_in_line(head):
            for new_state in self._steps.step(state, event.operation):
                yield event, new_state
        # Only if nothing else leads anywhere may what never responded have had its effect.
        due = _first_response(head)
        for event in self._pending:
            if event.operation.invoked <= due and not taken & event.bit:
                for new_state in self._steps.step(state, event.operation):
                    yield event, new_state

    def _is_new(self, done: int, taken: int, state: S) -> bool:
        """Whether the search was not at that point before, nor at a better one.

        Better is the same with fewer pending operations used up: whatever goes on here goes on
        there as well, since none of them has to be used.
        """
        # The key is kept short, since there are many: the length of the run of ones, and the rest.
        ones = (~done & (done + 1)).bit_length() - 1
        mark = (ones, done >> ones, self._steps.model.fingerprint(state))
        before = self._seen.get(mark, ())
        if any(not used & ~taken for used in before):
            return False
        self._seen[mark] = (*before, taken)
        return True


def _next_in_line(head: _Event) -> Iterator[_Event]:
    """The invocations before the first response."""
    event = head.after
    while event.bit:
        yield event
        event = event.after


def _first_response(head: _Event) -> float:
    event = head.after
    while event.bit:
        event = event.after
    return _end(event.operation)


# ---- the report


def _title(name: Hashable, operations: Sequence[Operation]) -> str:
    of = "" if name is None else f" of {name!r}"
    return f"{len(operations)} operation{'s' * (len(operations) != 1)}{of}"


def _report(
    name: Hashable, operations: Sequence[Operation], model: Model[Any], stuck: _Stuck
) -> str:
    prefix = [f"  {number:>3}. {op}" for number, op in enumerate(stuck.prefix, 1)]
    lines = [
        f"not linearizable: no order of {_title(name, operations)} explains what they answered",
        "",
        *_timeline(operations, stuck),
        "",
        f"the longest order that fits has {len(prefix)} of them{':' * bool(prefix)}",
        *(["  ..."] * (len(prefix) > SHOWN)),
        *prefix[-SHOWN:],
        f"then the state is {_shortened(model.describe(stuck.state))}",
        "and what must come next does not fit:",
    ]
    for operation in stuck.operations:
        expected = model.expected(stuck.state, operation)
        lines.append(f"  > {operation}{expected and f' (here it would have {expected})'}")
    return "\n".join(lines)


def _timeline(operations: Sequence[Operation], stuck: _Stuck) -> list[str]:
    """Bars of what did not fit and what came before it; two columns for each event."""
    marked = {id(op) for op in stuck.operations}
    last = max(_end(op) for op in stuck.operations)
    so_far = [op for op in operations if op.invoked <= last]
    # If they are many, what responded long ago is left out first.
    so_far.sort(key=lambda op: (id(op) not in marked, -_end(op)))
    shown = sorted(so_far[:SHOWN], key=lambda op: op.invoked)
    positions = sorted({at for op in shown for at in (op.invoked, op.returned) if at is not None})
    column = {at: 2 * number for number, at in enumerate(positions)}
    rows = []
    for op in shown:
        begins, right = column[op.invoked], 2 * len(positions)
        ends = right if op.returned is None else column[op.returned]
        bar = " " * begins + "|" + "-" * (ends - begins - 1) + (">" if op.returned is None else "|")
        who = op.thread if op.color is None else repr(op.color)
        rows.append((">" if id(op) in marked else " ", who, str(op), bar))
    who_width, op_width = (max(len(row[part]) for row in rows) for part in (1, 2))
    lines = [
        f"{mark} {who:{who_width}}  {what:{op_width}}  {bar}".rstrip()
        for mark, who, what, bar in rows
    ]
    if len(operations) > len(shown):
        lines.append(f"  ({len(operations) - len(shown)} more before or after)")
    return lines


def _end(operation: Operation) -> float:
    return math.inf if operation.returned is None else operation.returned


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_STATE else f"{text[:SHOWN_STATE]}..."
