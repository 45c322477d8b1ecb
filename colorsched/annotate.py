"""``@colored``: a function that runs in a color whenever it is called."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from colorsched.runtime import current_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from typing import Protocol

    from colorsched.aio.future import ColorFuture

    T_co = TypeVar("T_co", covariant=True)

P = ParamSpec("P")
T = TypeVar("T")


class Colored(Generic[P, T]):
    """A colored function. Calling it schedules it and returns an awaitable future.

    ``now`` is the plain function. As a method it binds as functions do.
    """

    __name__: str
    __wrapped__: Callable[P, Any]
    now: Callable[P, Any]
    """The function itself: runs where it is called, in no color of its own."""

    def __init__(self, fn: Callable[P, Any], key: Hashable | Callable[..., Hashable]) -> None:
        functools.update_wrapper(self, fn)
        self.now = fn
        self._key = key

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ColorFuture[T]:
        """Schedule the function in its color on the current runtime."""
        return self._schedule(self.now, args, kwargs)

    def _schedule(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ColorFuture[T]:
        key = self._key(*args, **kwargs) if callable(self._key) else self._key
        future: ColorFuture[T] = current_runtime().color(key).submit(fn, *args, **kwargs)
        return future

    def __reduce__(self) -> str:
        """Pickled by name, as functions are."""
        return self.now.__qualname__

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else _Bound(self, instance)

    def __repr__(self) -> str:
        return f"<colored {getattr(self.now, '__qualname__', self.now)!s}>"


class _Bound(Generic[P, T]):
    """A colored method of one object."""

    def __init__(self, colored: Colored[Any, T], instance: object) -> None:
        self._colored = colored
        self.__self__ = instance
        self.__wrapped__ = colored.now

    @property
    def now(self) -> Callable[..., Any]:
        return functools.partial(self._colored.now, self.__self__)

    def __call__(self, *args: Any, **kwargs: Any) -> ColorFuture[T]:
        return self._colored(self.__self__, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<bound {self._colored!r} of {self.__self__!r}>"


if TYPE_CHECKING:

    class _Decorator(Protocol):
        @overload
        def __call__(self, fn: Callable[P, Coroutine[Any, Any, T]], /) -> Colored[P, T]: ...
        @overload
        def __call__(self, fn: Callable[P, T], /) -> Colored[P, T]: ...


def colored(key: Hashable | Callable[..., Hashable]) -> _Decorator:
    """Run the decorated function in a color of the current runtime, whenever it is called.

    Args:
        key: the color's key; or a function that computes it from the call's arguments (for a
            method, the object first).

    An ``async def`` holds its color until it ends: in order per key means that the next call of
    that key starts when this one is over, its awaits included.

    Raises:
        TypeError: what is decorated is not a function, or is a generator function.
        NoRuntime: when it is called, and no runtime is current.
        ColorDeadlock: from the future, when it could never have a result.

    >>> from colorsched import Runtime
    >>> @colored(lambda account, amount: account)
    ... def deposit(account, amount):
    ...     return f"{account}: {amount}"
    >>> with Runtime():
    ...     deposit("alice", 5).result()
    'alice: 5'
    >>> deposit.now("bob", 7)
    'bob: 7'

    """
    if not callable(key):
        hash(key)  # an unhashable key is refused here, not at the first call

    def decorate(fn: Callable[..., Any]) -> Colored[Any, Any]:
        if isinstance(fn, (staticmethod, classmethod)):
            raise TypeError(
                f"@colored goes under @{type(fn).__name__}: decorate the function itself"
            )
        if not callable(fn):
            raise TypeError(
                f"@colored decorates a function, not {fn!r}. It needs its key: write "
                "@colored(key), with parentheses."
            )
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise TypeError(
                f"{fn.__qualname__} is a generator: it would run in its color only up to its "
                "creation. Color the functions that consume it, or return a list."
            )
        return Colored(fn, key)

    return decorate
