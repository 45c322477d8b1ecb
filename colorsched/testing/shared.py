"""State that says when it is read and written: ``Shared`` boxes, and classes made ``@shared``."""

from __future__ import annotations

import dataclasses
import os
import sys
from types import FunctionType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import attr

from colorsched.ports import here
from colorsched.testing.access import GENERATED, read, site_of, told_now, write
from colorsched.testing.containers import TABLES, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
C = TypeVar("C", bound=type)

Containers = Literal["watched", "opaque"]


class Shared(Generic[T]):
    """A box for one value that several callbacks use; each use is reported.

        total = Shared(0, name="total")
        rt.color("red").post(lambda: total.set(total.get() + 1))

    Args:
        value: what is in the box. A list, dict, set, deque, defaultdict, OrderedDict or Counter
            is copied into a proxy, which reports accesses to its elements. Two colors that each
            add a key to one dict, or an item to one list, race: their order is that of iteration.
            Where nobody looks at that, say so by ``benign``. Two that add to one set do not.
        name: what reports call it; the place where it is made, if not given.
        containers: ``"opaque"`` leaves containers as they are: what happens in them is not seen.

    Raises:
        ValueError: ``containers`` is neither ``"watched"`` nor ``"opaque"``.

    """

    __slots__ = ("__weakref__", "_containers", "_name", "_value")

    def __init__(
        self, value: T, name: str | None = None, *, containers: Containers = "watched"
    ) -> None:
        self._containers = _checked(containers)
        if name is None:
            site = site_of(sys._getframe())
            name = f"Shared made at {os.path.basename(site.file)}:{site.line}"  # noqa: PTH119 - not a path to open
        self._name = name
        self._value: T = self._adopt(value)

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    @property
    def value(self) -> T:
        """What is in the box; to get and to set it is an access."""
        return self.get()

    @value.setter
    def value(self, value: T) -> None:
        self.set(value)

    def get(self) -> T:
        """Read the value."""
        read(self, "value", self._name)
        return self._value

    def set(self, value: T) -> None:
        """Write the value."""
        write(self, "value", self._name)
        self._value = self._adopt(value)

    def update(self, fn: Callable[[T], T]) -> T:
        """Read the value, write ``fn`` of it, and return that."""
        self.set(fn(self.get()))
        return self._value

    def _adopt(self, value: T) -> T:
        if self._containers == "opaque":
            return value
        adopted: T = wrap(value, self._name)
        return adopted

    def __repr__(self) -> str:
        # Without the value, whose mention would be an access.
        return f"<Shared {self._name}>"

    def __getstate__(self) -> tuple[T, str, Containers]:
        return self.get(), self._name, self._containers

    def __setstate__(self, state: tuple[T, str, Containers]) -> None:
        value, self._name, self._containers = state
        self._value = self._adopt(value)


def _checked(containers: Containers) -> Containers:
    if containers not in {"watched", "opaque"}:
        raise ValueError(f'containers must be "watched" or "opaque", not {containers!r}')
    return containers


@overload
def shared(cls: C, /) -> C: ...
@overload
def shared(*, containers: Containers = "watched") -> Callable[[C], C]: ...
def shared(cls: C | None = None, /, *, containers: Containers = "watched") -> C | Callable[[C], C]:
    """Report reads and writes of the fields of an attrs class or dataclass.

    Stands above the decorator that makes the class. The class itself is changed: each declared
    field, inherited ones too, becomes a property. What is generated (constructor, equality, repr,
    ``asdict``, ``evolve``, pickling) works as before, and is reported as its caller's.

        @shared
        @define
        class Cart:
            total: int = 0
            items: list[str] = Factory(list)

    Args:
        cls: the class.
        containers: ``"opaque"`` leaves containers in fields as they are; by default they become
            proxies, as in :class:`Shared`.

    Raises:
        TypeError: the class is neither an attrs class nor a dataclass (yet).
        ValueError: ``containers`` is neither ``"watched"`` nor ``"opaque"``.

    """
    _checked(containers)

    def decorate(cls: C) -> C:
        for name in _fields(cls):
            descriptor = _inherited(cls, name)
            if not isinstance(descriptor, Field) or descriptor.containers != containers:
                setattr(cls, name, _field(cls, name, descriptor, containers))
        for member in vars(cls).values():
            _relabel(member)
            _relabel(getattr(member, "__wrapped__", None))
        return cls

    return decorate if cls is None else decorate(cls)


def _fields(cls: object) -> Iterable[str]:
    if not isinstance(cls, type):
        raise TypeError(f"@shared takes a class, not {cls!r}; for a single value use Shared(value)")
    if attr.has(cls):
        return [field.name for field in attr.fields(cls)]
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    raise TypeError(
        f"@shared needs an attrs class or a dataclass, and {cls.__qualname__} is neither: put "
        "@shared above @define or @dataclass, or keep the state in Shared(value)"
    )


class Field(property):
    """A field that reports its uses; ``inner`` is the slot it stands before, if there is one."""

    inner: Any
    containers: Containers


def _inherited(cls: type, name: str) -> Any:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), _NOTHING)


_NOTHING = object()


def _field(cls: type, name: str, descriptor: Any, containers: Containers) -> Field:
    """The property of one field: in front of a slot, or of the instance's dictionary."""
    if isinstance(descriptor, Field):
        descriptor = descriptor.inner
    label = f"{cls.__name__}.{name}"
    if hasattr(descriptor, "__set__"):
        get, put, delete = _of_descriptor(descriptor)
    else:
        get, put, delete = _in_dictionary(name, descriptor)
    wrapped = TABLES if containers == "watched" else {}

    def fset(self: Any, value: Any) -> None:
        known = told_now().writes
        if not known or (id(self), name) not in known:
            write(self, name, label)
        put(self, wrap(value, label) if type(value) in wrapped else value)

    def fdel(self: Any) -> None:
        write(self, name, label)
        delete(self)

    field = Field(_reading(name, label, get, put, wrapped), fset, fdel)
    field.inner = descriptor
    field.containers = containers
    return field


def _reading(name: str, label: str, get: Any, put: Any, wrapped: Any) -> Any:
    def fget(self: Any) -> Any:
        known = told_now().reads
        # read() would find out both, too, but to call it takes longer.
        if (not known or (id(self), name) not in known) and here.ticket is not None:
            read(self, name, label)
        value = get(self)
        # Constructors of frozen classes and unpickling may go past the property.
        if type(value) in wrapped:
            value = wrap(value, label)
            put(self, value)
        return value

    return fget


def _of_descriptor(descriptor: Any) -> tuple[Any, Any, Any]:
    if isinstance(descriptor, MemberDescriptorType):  # a slot
        return descriptor.__get__, descriptor.__set__, descriptor.__delete__

    def get(self: Any) -> Any:
        return descriptor.__get__(self, type(self))

    def cannot_delete(_self: Any) -> None:
        raise AttributeError("__delete__")

    return get, descriptor.__set__, getattr(descriptor, "__delete__", cannot_delete)


def _in_dictionary(name: str, default: Any) -> tuple[Any, Any, Any]:
    def missing(self: Any) -> AttributeError:
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        return AttributeError(text, name=name, obj=self)

    def get(self: Any) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            if default is _NOTHING:
                raise missing(self) from None
            return default

    def put(self: Any, value: Any) -> None:
        self.__dict__[name] = value

    def delete(self: Any) -> None:
        try:
            del self.__dict__[name]
        except KeyError:
            raise missing(self) from None

    return get, put, delete


def _relabel(member: object) -> None:
    """Let a generated method count as the kit's, so that its accesses are told as its caller's."""
    if isinstance(member, FunctionType):
        code = member.__code__
        if code.co_filename == "<string>" or code.co_filename.startswith("<attrs generated"):
            member.__code__ = code.replace(co_filename=GENERATED)
