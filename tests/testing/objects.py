"""Objects with known behavior, histories of them drawn as bars, and the verdicts on these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from colorsched.testing.history import Operation
from colorsched.testing.linearizability import (
    Model,
    NotLinearizable,
    linearizable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator


class Register(Model[int]):
    def initial(self) -> int:
        return 0

    def step(self, state: int, operation: Operation) -> Iterator[int]:
        match operation.name, operation.args:
            case "write", (value,):
                yield value
            case "read", ():
                if operation.agrees(state):
                    yield state
            case "cas", (old, new):
                if operation.agrees(state == old):
                    yield new if state == old else state


class Cell:
    """The register again, as a plain object."""

    def __init__(self) -> None:
        self.value = 0

    def write(self, value: int) -> None:
        self.value = value

    def read(self) -> int:
        return self.value

    def cas(self, old: int, new: int) -> bool:
        if self.value != old:
            return False
        self.value = new
        return True


class Counter:
    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> int:
        self.value += 1
        return self.value


class Queue:
    """The queue of Herlihy and Wing."""

    def __init__(self) -> None:
        self.items: list[object] = []

    def enq(self, item: object) -> None:
        self.items.append(item)

    def deq(self) -> object:
        return self.items.pop(0)  # IndexError if empty


REGISTER = Register()
CELL = Model.from_sequential(Cell)
QUEUE = Model.from_sequential(Queue)
COUNTER = Model.from_sequential(Counter)


def history(*lines: tuple[str, str]) -> list[Operation]:
    """Operations drawn as bars: ``("write(1)", " |---|  ")``; one that goes on has no end.

    The text is a call, ``= result`` or ``! Error`` after it.
    """
    return [operation(text, bar) for text, bar in lines]


ERRORS = {"IndexError": IndexError(), "KeyError": KeyError()}


def operation(text: str, bar: str) -> Operation:
    call, _, result = text.partition(" = ")
    call, _, error = call.partition(" ! ")
    name, _, args = call.rstrip(")").partition("(")
    first, last = bar.index("|"), bar.rindex("|")
    return Operation(
        name,
        tuple(eval(f"[{args}]")),
        result=eval(result) if result else None,
        error=ERRORS[error] if error else None,
        invoked=first,
        returned=None if last == first else last,
    )


def fails(
    operations: Iterable[Operation], model: Model[Any], **options: Callable[[Operation], Hashable]
) -> NotLinearizable:
    with pytest.raises(NotLinearizable) as caught:
        linearizable(operations, model, **options)  # type: ignore[arg-type] # partition= only
    return caught.value


def verdict(operations: Iterable[Operation], model: Model[Any], **options: Any) -> bool:
    try:
        linearizable(operations, model, **options)
    except NotLinearizable:
        return False
    return True
