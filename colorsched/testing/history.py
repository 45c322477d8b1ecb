"""Histories: what was asked of an object under test, when, and what it answered.

A history is one list of two kinds of events, invocations and responses, in the order in which they
were appended. To append is atomic on every build and takes no lock of ours, so recording orders
nothing that the code under test left unordered for longer than an append takes. An operation's
invocation is appended before the operation can begin and its response after it has ended. So when
one operation's response stands before another's invocation, the first really was over before the
second began; all that ``linearizable`` relies on is this order.
"""

from __future__ import annotations

import concurrent.futures
import inspect
import reprlib
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

from attrs import Factory, field, frozen

from colorsched.aio.future import ColorFuture
from colorsched.current import current_color

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


@frozen
class Operation:
    """One operation of a history.

    Attributes:
        name: what was asked, such as a method's name.
        args: the positional arguments.
        kwargs: the keyword arguments.
        key: the part of the object it concerns, for partitions; None: not said.
        result: what it returned, if it did.
        error: what it raised; None if it returned or is pending.
        invoked: the position of its invocation in the history.
        returned: the position of its response; None while it is *pending*, that is, it may have
            taken effect, or do so later, or never.
        color: the key of the color it was invoked in; None outside of callbacks.
        thread: the name of the thread that invoked it.

    Example::

        Operation("write", (1,), invoked=0, returned=3)

    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default=Factory(dict), kw_only=True)
    key: Hashable = field(default=None, kw_only=True)
    result: Any = field(default=None, kw_only=True)
    error: BaseException | None = field(default=None, kw_only=True)
    invoked: int = field(kw_only=True)
    returned: int | None = field(default=None, kw_only=True)
    color: Hashable = field(default=None, kw_only=True)
    thread: str = field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.returned is not None and self.returned <= self.invoked:
            raise ValueError(
                f"{self.name} returned at {self.returned}, not after its invocation at "
                f"{self.invoked}: positions grow with time"
            )

    @property
    def pending(self) -> bool:
        """Whether no response was recorded, so nobody knows if it took effect."""
        return self.returned is None

    def agrees(self, result: object) -> bool:
        """Whether it may have returned that: it did (``==``), or it is pending."""
        return self.pending or (self.error is None and bool(self.result == result))

    def call(self) -> str:
        """The operation as one would write the call, shortened if it is long."""
        args = [_short.repr(arg) for arg in self.args]
        args += [f"{name}={_short.repr(value)}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(args)})"

    def __str__(self) -> str:
        if self.pending:
            return f"{self.call()} pending"
        if self.error is not None:
            return f"{self.call()} raised {_short.repr(self.error)}"
        return f"{self.call()} -> {_short.repr(self.result)}"


class Call:
    """An operation under way. Made by a :class:`History`.

    As a context manager it is invoked at the start of the block and responds at its end: with the
    value that was set as its ``result``, or with the exception that left the block.
    """

    __slots__ = ("_begun", "_ended", "_history", "_key", "_what", "_where", "result")

    def __init__(
        self,
        history: History,
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        key: Hashable,
    ) -> None:
        self._history = history
        self._what = name, args, kwargs
        self._key = key
        self._where: tuple[Hashable, str] = None, ""
        self._begun = self._ended = False
        self.result: Any = None
        """What the operation returns: set it inside the ``with`` block."""

    def returned(self, result: object) -> None:
        """It has returned that."""
        self._end()
        self._respond(result, None)

    def raised(self, error: BaseException) -> None:
        """It has raised that; it stays pending if the history counts the error as ``unsure``."""
        self._end()
        self._respond(None, error)

    def follow(self, future: concurrent.futures.Future[T]) -> concurrent.futures.Future[T]:
        """It ends when the future does, with its outcome. Returns the future.

        Example::

            history.invoke("deposit", 5).follow(account.submit(deposit, 5))

        """
        self._end()
        future.add_done_callback(self._followed)
        return future

    def _followed(self, future: concurrent.futures.Future[Any]) -> None:
        if future.cancelled():
            self._respond(None, concurrent.futures.CancelledError())
        elif (error := future.exception()) is not None:
            self._respond(None, error)
        else:
            self._respond(future.result(), None)

    def _begin(self) -> Self:
        if self._begun:
            raise RuntimeError(f"{self._what[0]} was invoked already: each call needs its own")
        color = current_color()
        self._where = None if color is None else color.key, threading.current_thread().name
        self._begun = True
        self._history._log.append(self)
        return self

    def _end(self) -> None:
        """Only one outcome is said, and after the invocation."""
        if self._ended or not self._begun:
            problem = "has its outcome already" if self._begun else "was not invoked yet"
            raise RuntimeError(f"{self._what[0]} {problem}: say one outcome for each invocation")
        self._ended = True

    def _respond(self, result: object, error: BaseException | None) -> None:
        if error is None or not self._history.is_unsure(error):
            self._history._log.append(_Response(self, result, error))

    def __enter__(self) -> Self:
        return self._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ended:  # said inside the block
            return
        if error is None:
            self.returned(self.result)
        else:
            self.raised(error)

    def _operation(
        self, invoked: int, returned: int | None, response: _Response | None
    ) -> Operation:
        name, args, kwargs = self._what
        color, thread = self._where
        return Operation(
            name,
            args,
            kwargs=kwargs,
            key=self._key,
            result=None if response is None else response.result,
            error=None if response is None else response.error,
            invoked=invoked,
            returned=returned,
            color=color,
            thread=thread,
        )


@frozen(eq=False)
class _Response:
    call: Call
    result: object
    error: BaseException | None


class History:
    """What was asked of an object under test and what it answered, in order. Thread-safe.

    Iterating gives the operations so far. Arguments and results are kept as they are: hand in
    copies of what is changed later.

    Args:
        unsure: exceptions after which nobody knows whether the operation took effect, such as a
            time-out of a request. The operation stays pending then. Those that are no
            ``Exception`` (``asyncio.CancelledError`` for one) always count as such.

    Example::

        history = History()


        def transfer(account, amount):
            with history.operation("deposit", account, amount, key=account) as op:
                op.result = bank.deposit(account, amount)


        ...  # post transfers to many colors
        linearizable(history, Model.from_sequential(Bank), partition=by_key)

    """

    def __init__(
        self,
        *,
        unsure: type[BaseException] | tuple[type[BaseException], ...] = (
            concurrent.futures.CancelledError
        ),
    ) -> None:
        self._unsure = unsure
        self._log: list[Call | _Response] = []

    def is_unsure(self, error: BaseException) -> bool:
        """Whether an operation that raised this may have taken effect or not."""
        return not isinstance(error, Exception) or isinstance(error, self._unsure)

    def operation(self, name: str, /, *args: Any, key: Hashable = None, **kwargs: Any) -> Call:
        """An operation for a ``with`` block: invoked at its start, over at its end."""
        return Call(self, name, args, kwargs, key)

    def invoke(self, name: str, /, *args: Any, key: Hashable = None, **kwargs: Any) -> Call:
        """Record an invocation now; say its response by ``returned``, ``raised`` or ``follow``."""
        return Call(self, name, args, kwargs, key)._begin()

    @overload
    def record(
        self,
        fn: Callable[P, T],
        /,
        *,
        name: str | None = None,
        key: Callable[P, Hashable] | None = None,
    ) -> Callable[P, T]: ...

    @overload
    def record(
        self,
        /,
        *,
        name: str | None = None,
        key: Callable[..., Hashable] | None = None,
    ) -> Callable[[Callable[P, T]], Callable[P, T]]: ...

    def record(
        self,
        fn: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        key: Callable[..., Hashable] | None = None,
    ) -> Any:
        """A function that does what ``fn`` does, and records each call.

        Of an ``async def`` the whole run is recorded, and of what returns a ``ColorFuture`` (a
        colored function) the time until that is done. Wrap bound methods, or ``self`` counts among
        the arguments.

        Args:
            fn: the function; left out, what is returned is a decorator.
            name: the operation's name, instead of the function's.
            key: called with the arguments, gives the operation's key.

        Raises:
            TypeError: ``fn`` has no name, and none was given.

        Example::

            put = history.record(table.put, key=lambda row, value: row)

        """
        if fn is None:
            return lambda fn: self.record(fn, name=name, key=key)
        title: str | None = name or getattr(fn, "__name__", None)
        if title is None:
            raise TypeError(f"{fn!r} has no name: say record(..., name=...)")

        def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            return Call(self, title, args, kwargs, None if key is None else key(*args, **kwargs))

        if inspect.iscoroutinefunction(fn):

            @wraps(fn)
            async def recorded(*args: Any, **kwargs: Any) -> Any:
                with call(args, kwargs) as op:
                    op.result = await fn(*args, **kwargs)
                return op.result

        else:

            @wraps(fn)
            def recorded(*args: Any, **kwargs: Any) -> Any:
                with call(args, kwargs) as op:
                    op.result = result = fn(*args, **kwargs)
                    if isinstance(result, ColorFuture):
                        op.follow(result)
                return result

        return recorded

    def operations(self) -> tuple[Operation, ...]:
        """The operations so far, in order of their invocations."""
        log = list(enumerate(self._log.copy()))
        responses = {event.call: (at, event) for at, event in log if isinstance(event, _Response)}
        return tuple(
            event._operation(at, *responses.get(event, (None, None)))
            for at, event in log
            if isinstance(event, Call)
        )

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations())

    def __repr__(self) -> str:
        operations = self.operations()
        pending = sum(operation.pending for operation in operations)
        return f"<History of {len(operations)} operations, {pending} pending>"
