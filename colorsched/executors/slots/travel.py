"""How callables, arguments and results travel to slots and back; what cannot is refused."""

from __future__ import annotations

import inspect
import pickle
import sys
from functools import partial
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from colorsched.errors import CannotTravel, MissingExtra
from colorsched.events import name_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Context | None]
    """A function, its arguments, and its context, which only a reference takes along."""

#: What to do about a thing that is found by its name, and not there.
DEFINE = (
    "Define it at the top of a module; or let it travel by value, Runtime(travel='cloudpickle'); "
    "or run it in this process, color.on('thread')."
)
#: And about one that cannot be pickled at all, however it travels.
REPLACE = "Send what can be pickled in its place; or run it in this process, color.on('thread')."


class Travel(Protocol):
    """One way of making a thing bytes, or whatever a slot is given in its place."""

    name: str

    def pack(self, thing: Any) -> Any:
        """Make it ready to travel. Raises whatever the thing or the pickler likes."""
        ...

    def unpack(self, packed: Any) -> Any:
        """Make a thing of it again. As of ``pack``."""
        ...

    def pack_call(self, call: Call) -> Any:
        """Make a call ready to travel. As of ``pack``."""
        ...

    def unpack_call(self, packed: Any) -> Call:
        """Make a call of it again. As of ``pack``."""
        ...

    def size(self, packed: Any) -> int:
        """Of a packed call: about how many bytes."""
        ...


class Pickle:
    """By the standard library's pickle: functions and classes are found again by their names.

    Most calls are of a function at the top of a module. For those this does what pickle would do,
    without it: a packed call is the two names and the pickled arguments (empty: none), and any
    other one is bytes.
    """

    name = "pickle"

    def pack(self, thing: Any) -> bytes:
        return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)

    def unpack(self, packed: bytes) -> Any:
        return pickle.loads(packed)  # noqa: S301 - of our own slots

    def pack_call(self, call: Call) -> Any:
        fn, args, kwargs, _ = call
        if type(fn) is FunctionType:
            module, name = fn.__module__, fn.__qualname__
            if getattr(sys.modules.get(module), name, None) is fn:
                return module, name, self.pack((args, kwargs)) if args or kwargs else b""
        return self.pack((fn, args, kwargs, None))

    def unpack_call(self, packed: Any) -> Call:
        if isinstance(packed, bytes):
            call: Call = self.unpack(packed)
            return call
        module, name, arguments = packed
        if module not in sys.modules:
            import_module(module)
        fn = getattr(sys.modules[module], name)
        args, kwargs = self.unpack(arguments) if arguments else ((), {})
        return fn, args, kwargs, None

    def size(self, packed: Any) -> int:
        return len(packed if isinstance(packed, bytes) else packed[2])


class Cloudpickle(Pickle):
    """By cloudpickle: lambdas, closures and what ``__main__`` defines travel by value."""

    name = "cloudpickle"

    def __init__(self) -> None:
        try:
            import cloudpickle
        except ModuleNotFoundError as error:
            raise MissingExtra("cloudpickle", extra="cloudpickle") from error
        self._dumps = cloudpickle.dumps

    def pack(self, thing: Any) -> bytes:
        packed: bytes = self._dumps(thing)
        return packed

    def pack_call(self, call: Call) -> bytes:
        return self.pack((*call[:3], None))  # by value even what has a name, if the user says so


class Reference:
    """Not at all: the slot is in this process, and gets the things themselves."""

    name = "reference"

    def pack(self, thing: Any) -> Any:
        return thing

    def unpack(self, packed: Any) -> Any:
        return packed

    def pack_call(self, call: Call) -> Call:
        return call

    def unpack_call(self, packed: Call) -> Call:
        return packed

    def size(self, packed: Any) -> int:
        return 0


WAYS: dict[str, Callable[[], Travel]] = {
    "pickle": Pickle,
    "cloudpickle": Cloudpickle,
    "reference": Reference,
}


def travel_by(name: str) -> Travel:
    """The way of a name.

    Raises:
        ValueError: there is none of that name.
        MissingExtra: it needs a package that is not installed.

    """
    make = WAYS.get(name)
    if make is None:
        raise ValueError(f"travel={name!r}: there are {', '.join(map(repr, WAYS))}")
    return make()


def pack_call(
    travel: Travel,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: Context | None = None,
) -> Any:
    """A call, ready to travel. Its context goes along where nothing has to be packed.

    Raises:
        CannotTravel: the function, or one of its arguments, cannot.

    """
    try:
        return travel.pack_call((fn, args, kwargs, context))
    except Exception as error:
        raise CannotTravel(_reason(travel, fn, args, kwargs, error)) from error


def _reason(
    travel: Travel,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: Exception,
) -> str:
    """Say what of a call cannot travel, and why."""
    name = name_of(fn)
    things: list[tuple[str, Any]] = [(f"{name} cannot be sent to a slot", fn)]
    for place, arg in enumerate(args, start=1):
        things.append((f"argument {place} of {name} cannot be sent to a slot", arg))
    for keyword, arg in kwargs.items():
        things.append((f"argument {keyword}= of {name} cannot be sent to a slot", arg))
    for what, thing in things:
        try:
            travel.pack(thing)
        except Exception as culprit:  # noqa: BLE001 - whatever the thing raises is the reason
            advice = DEFINE if callable(thing) else REPLACE
            return f"{what}: {describe(culprit)}. {advice}"
    return f"a call of {name} cannot be sent to a slot: {describe(error)}. {REPLACE}"


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Whether a call of ``fn`` makes a coroutine, as far as can be told beforehand."""
    if type(fn) is FunctionType and not fn.__dict__:  # the usual one, told without five calls
        return bool(fn.__code__.co_flags & inspect.CO_COROUTINE)
    while isinstance(fn, partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn)


def describe(error: BaseException) -> str:
    """An error in one line."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - what cannot be shown is told all the same
        text = "(it cannot be shown)"
    return f"{name}: {text}" if text else name
