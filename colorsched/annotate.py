"""``@colored``: a function that runs in a color whenever it is called."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from colorsched.current import current_runtime
from colorsched.executors.slots.jobs import checked_retry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from typing import Protocol

    from colorsched.aio.future import ColorFuture
    from colorsched.color import Where
    from colorsched.executors.slots.jobs import Retry

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

    def __init__(
        self,
        fn: Callable[P, Any],
        key: Hashable | Callable[..., Hashable],
        where: Where | None = None,
        retry: Retry | None = None,
    ) -> None:
        functools.update_wrapper(self, fn)
        self.now = fn
        self._key = key
        self._where: Where | None = "slot" if retry is not None else where
        self._retry = retry
        self._is_async = inspect.iscoroutinefunction(fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ColorFuture[T]:
        """Schedule the function in its color on the current runtime."""
        return self._schedule(self.now, args, kwargs)

    def _schedule(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ColorFuture[T]:
        key = self._key(*args, **kwargs) if callable(self._key) else self._key
        color: Any = current_runtime().color(key)
        # Pickle looks a function up by its name, and finds this object in its place.
        if color.travels == "pickle" and self._where != "thread" and not self._is_async:
            fn = Plain(self)
        if self._where is not None:
            color = color.on(self._where, retry=self._retry)
        future: ColorFuture[T] = color.submit(fn, *args, **kwargs)
        return future

    def __reduce__(self) -> str:
        """Pickled by name, as functions are."""
        return self.now.__qualname__

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else _Bound(self, instance)

    def __repr__(self) -> str:
        return f"<colored {getattr(self.now, '__qualname__', self.now)!s}>"


class Plain:
    """The function of a colored one, as it travels to a slot: found by the name of that."""

    def __init__(self, colored: Colored[Any, Any]) -> None:
        self._colored = colored
        self.__qualname__ = colored.now.__qualname__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, here."""
        return self._colored.now(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return Plain, (self._colored,)


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


def colored(
    key: Hashable | Callable[..., Hashable],
    *,
    where: Where | None = None,
    retry: Retry | None = None,
) -> _Decorator:
    """Run the decorated function in a color of the current runtime, whenever it is called.

    Args:
        key: the color's key; or a function that computes it from the call's arguments (for a
            method, the object first).
        where: ``"thread"`` or ``"slot"``, of a runtime with slots (``Runtime(executor=...)``): for
            I/O and shared state beside computations. By default in a slot, if there are any.
        retry: of a function that runs in a slot: to run it again if that is lost.

    An ``async def`` holds its color until it ends: in order per key means that the next call of
    that key starts when this one is over, its awaits included.

    Raises:
        TypeError: what is decorated is not a function, or is a generator function; or it is an
            ``async def``, and meant for a slot. Or ``retry`` is no ``Retry``.
        ValueError: ``where`` is neither; or ``retry`` is given for a thread.
        NoRuntime: when it is called, and no runtime is current.
        NoSlots: when it is called, is meant for a slot, and the runtime has none.
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
    if where not in {None, "thread", "slot"}:
        raise ValueError(f"where={where!r}: there are 'thread' and 'slot'")
    if checked_retry(retry) is not None and where == "thread":
        raise ValueError("retry is for what is lost with its slot, so where='thread' has none")

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
        if inspect.iscoroutinefunction(fn) and (where == "slot" or retry is not None):
            raise TypeError(
                f"{fn.__qualname__} is an async function: coroutines stay in the parent process. "
                "Color what it is to compute elsewhere with where='slot', and await that."
            )
        return Colored(fn, key, where, retry)

    return decorate
