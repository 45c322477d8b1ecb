"""What an object under test should do: sequential specifications to check histories against."""

from __future__ import annotations

import copy
import io
import pickle
from abc import ABC, abstractmethod
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from colorsched.testing.history import Operation

S = TypeVar("S")


class Model(ABC, Generic[S]):
    """What the object under test does when nothing overlaps: its sequential specification.

    States are values: ``step`` gives new ones, and never changes the one it is given.

    Example::

        class Register(Model[int]):
            def initial(self):
                return 0

            def step(self, state, operation):
                match operation.name:
                    case "write":
                        yield operation.args[0]
                    case "read" if operation.agrees(state):
                        yield state

    """

    @abstractmethod
    def initial(self) -> S:
        """The state before any operation."""

    @abstractmethod
    def step(self, state: S, operation: Operation) -> Iterable[S]:
        """The states that the operation may lead to from ``state``, with the outcome it had.

        None of them: it can't have had that outcome there. Usually one; several if what it does is
        not determined. A pending operation may have any outcome: ``operation.agrees`` says so.
        """

    def fingerprint(self, state: S) -> Hashable:
        """A hashable value, equal for equal states only. The state itself, if not overridden."""
        return state

    def describe(self, state: S) -> str:
        """The state as reports show it."""
        return repr(state)

    def expected(self, state: S, operation: Operation) -> str:
        """What the operation would have answered in ``state``, for reports; '' if not known."""
        return ""

    @staticmethod
    def from_sequential(
        factory: Callable[[], Any], *, fingerprint: Callable[[Any], Hashable] | None = None
    ) -> Model[Any]:
        """A model made of any plain object that does one thing after another.

        An operation is the method of its name, called with its arguments on a deep copy of the
        object. It must return what the operation returned (``==``), or raise an exception of the
        same type. Values that are equal only if they are the same object do not survive the copy.

        Args:
            factory: makes the object as it is at first.
            fingerprint: tells its states apart. If not given, objects whose class defines ``==``
                are compared by that, and others by what they pickle to.

        Raises:
            TypeError: during the check, if the object has no method of an operation's name or
                cannot be pickled.

        Example::

            linearizable(history, Model.from_sequential(collections.deque))

        """
        return _Sequential(factory, fingerprint)


class _ByValue:
    """A state as an item of a set though it is not hashable: found by ``==``."""

    __slots__ = ("_state",)

    def __init__(self, state: object) -> None:
        self._state = state

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _ByValue) or type(self._state) is not type(other._state):
            return False
        return bool(self._state == other._state)

    def __hash__(self) -> int:
        return 0  # what has been done tells most states apart already


class _ByContent(pickle.Pickler):
    """Pickles objects of classes that are local to a function too, as those of tests may be."""

    def persistent_id(self, value: object) -> int | None:
        """Classes and functions are what they are; all else is pickled by its content."""
        return id(value) if isinstance(value, (type, FunctionType)) else None


class _Sequential(Model[Any]):
    def __init__(
        self, factory: Callable[[], Any], fingerprint: Callable[[Any], Hashable] | None
    ) -> None:
        self._factory = factory
        self._fingerprint = fingerprint

    def initial(self) -> Any:
        return self._factory()

    def step(self, state: Any, operation: Operation) -> Iterator[Any]:
        new_state, result, error = self._run(state, operation)
        answered = operation.agrees(result) if error is None else operation.pending
        if answered or (error is not None and type(error) is type(operation.error)):
            yield new_state

    def fingerprint(self, state: Any) -> Hashable:
        if self._fingerprint is not None:
            return self._fingerprint(state)
        if _overrides(state, "__eq__"):
            return _ByValue(state)
        pickled = io.BytesIO()
        try:
            _ByContent(pickled).dump(state)
            return pickled.getvalue()
        except Exception as error:
            raise TypeError(
                f"{state!r} can't be pickled, so its states can't be told apart. Define __eq__ in "
                f"{type(state).__name__}, or pass from_sequential(..., fingerprint=...)"
            ) from error

    def describe(self, state: Any) -> str:
        if _overrides(state, "__repr__") or not hasattr(state, "__dict__"):
            return repr(state)
        attributes = ", ".join(f"{name}={value!r}" for name, value in vars(state).items())
        return f"{type(state).__name__}({attributes})"

    def expected(self, state: Any, operation: Operation) -> str:
        _, result, error = self._run(state, operation)
        return f"returned {result!r}" if error is None else f"raised {error!r}"

    @staticmethod
    def _run(state: Any, operation: Operation) -> tuple[Any, Any, Exception | None]:
        state, args, kwargs = copy.deepcopy((state, operation.args, dict(operation.kwargs)))
        method = getattr(state, operation.name, None)
        if not callable(method):
            raise TypeError(
                f"{type(state).__name__} has no method {operation.name!r}, so it is no model of "
                f"{operation.call()}: name operations as the model's methods are"
            )
        try:
            return state, method(*args, **kwargs), None
        except Exception as error:  # noqa: BLE001 - it is the outcome, to be compared
            return state, None, error


def _overrides(value: object, method: str) -> bool:
    return getattr(type(value), method) is not getattr(object, method)
