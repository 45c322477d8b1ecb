"""What instrumented code calls in place of attribute, item and global accesses.

Each probe reports what the access touches and then makes it, or lets the code make it. Objects
that can't change, and looking up methods, functions and modules, are no accesses to shared state.
"""

from __future__ import annotations

import ast
import builtins
import operator
import types
from collections import Counter, OrderedDict, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from colorsched.ports import here
from colorsched.testing.access import read, told_now, write
from colorsched.testing.containers import TABLES, is_proxy
from colorsched.testing.mappings import VIEWS, dict_reads_all
from colorsched.testing.operations import WHOLE, reads_whole
from colorsched.testing.shared import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from colorsched.testing.operations import Table

#: Targets that can't change, or that are the interpreter's.
_QUIET_TARGETS: frozenset[type] = frozenset({
    bool, bytes, complex, float, frozenset, int, property, range, slice, str, super, tuple,
    types.BuiltinFunctionType, types.CodeType, types.CoroutineType, types.FrameType,
    types.FunctionType, types.GeneratorType, types.GenericAlias, types.MethodType, types.NoneType,
})  # fmt: skip

#: Values whose lookup is no access to state.
_QUIET_VALUES: frozenset[type] = frozenset({
    classmethod, staticmethod, type, types.BuiltinFunctionType, types.ClassMethodDescriptorType,
    types.FunctionType, types.MethodDescriptorType, types.MethodType, types.MethodWrapperType,
    types.ModuleType, types.WrapperDescriptorType,
})  # fmt: skip

_NOTHING = object()

#: Containers that report the key or index of what is taken out and put in, and no more than that
#: where it is there.
_BY_KEY = frozenset({Counter, OrderedDict, defaultdict, dict, list})

#: Methods of containers that are calls of a probe's in instrumented code.
METHODS = frozenset(
    method for table in TABLES.values() for method in (*table, *VIEWS) if method[0] != "_"
)


def _holder(target: Any, part: str) -> Any:
    """The object whose state ``target.part`` is, or ``_NOTHING`` where it is not state."""
    kind = type(target)
    if kind in _QUIET_TARGETS:
        return _NOTHING
    if isinstance(target, types.ModuleType):
        quiet = type(vars(target).get(part, len)) in _QUIET_VALUES
        return _NOTHING if quiet else target
    own = getattr(target, "__dict__", None)
    is_class = isinstance(target, type)
    if not is_class and isinstance(own, dict) and part in own:
        return _NOTHING if type(own[part]) in _QUIET_VALUES else _unless_field(target, kind, part)
    for base in target.__mro__ if is_class else kind.__mro__:
        value = vars(base).get(part, _NOTHING)
        if value is _NOTHING:
            continue
        if type(value) in _QUIET_VALUES or isinstance(value, Field):
            return _NOTHING
        # A slot or property is the object's, another value the class's.
        return target if not is_class and hasattr(type(value), "__get__") else base
    return target


def _unless_field(target: Any, kind: type, part: str) -> Any:
    for base in kind.__mro__:
        if part in vars(base):
            return _NOTHING if isinstance(vars(base)[part], Field) else target
    return target


def load(target: Any, part: str, name: str) -> Any:
    """Report that an attribute is read; returns its owner, from which the code reads it."""
    known = told_now().reads
    if known and (id(target), part) in known:
        return target
    if here.ticket is not None:
        holder = _holder(target, part)
        if holder is not _NOTHING:
            read(holder, part, name)
    return target


def store(target: Any, part: str, name: str) -> Any:
    """Report that an attribute is written; returns its owner, in which the code writes it."""
    known = told_now().writes
    if known and (id(target), part) in known:
        return target
    if here.ticket is not None:
        kind = type(target)
        if kind not in _QUIET_TARGETS and _unless_field(target, kind, part) is not _NOTHING:
            write(target, part, name)
    return target


def load_global(value: Any, module: Any, part: str, name: str) -> Any:
    """Report that a global variable was read; returns its value."""
    known = told_now().reads
    if known and (id(module), part) in known:
        return value
    if here.ticket is not None and type(value) not in _QUIET_VALUES:
        read(module, part, name)
    return value


def store_global(value: Any, module: Any, part: str, name: str) -> Any:
    """Report that a global variable is written; returns its new value, which the code stores."""
    known = told_now().writes
    if not known or (id(module), part) not in known:
        write(module, part, name)
    return value


def _table(target: Any, method: str) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """The operation for a plain container's method, and the method; None for anything else."""
    kind = type(target)
    table: Table | None = TABLES.get(kind)
    if table is None:
        if is_proxy(target):
            return None
        table = next((TABLES[base] for base in kind.__mro__ if base in TABLES), None)
        if table is None:
            return None
    operation = table.get(method)
    return None if operation is None else (operation, getattr(kind, method))


def _is_opaque(target: Any, method: str) -> bool:
    """Whether items are kept by code that can't be instrumented, as an array's are."""
    kind = type(target)
    if kind in _QUIET_TARGETS or isinstance(target, type) or is_proxy(target):
        return False
    return not isinstance(getattr(kind, method, len), (types.FunctionType, type(len)))


def get_item(target: Any, key: Any, name: str) -> Any:
    """``target[key]``, reported."""
    reads = told_now().reads
    if reads and type(target) in _BY_KEY:
        try:
            known = (id(target), key) in reads
        except TypeError:
            known = False  # not hashable: the container says so, or it is a slice
        if known:
            return target[key]
    if here.ticket is not None:
        table = _table(target, "__getitem__")
        if table is not None:
            return table[0](table[1], target, name, key)
        if _is_opaque(target, "__getitem__"):
            read(target, WHOLE, name)
    return target[key]


def set_item(target: Any, key: Any, value: Any, name: str) -> None:
    """``target[key] = value``, reported."""
    writes = told_now().writes
    if writes and type(target) in _BY_KEY:
        try:
            known = (id(target), key) in writes and (type(target) is list or key in target)
        except TypeError:
            known = False  # not hashable: the container says so, or it is a slice
        if known:
            target[key] = value
            return
    if here.ticket is not None:
        table = _table(target, "__setitem__")
        if table is not None:
            table[0](table[1], target, name, key, value)
            return
        if _is_opaque(target, "__setitem__"):
            write(target, WHOLE, name)
    target[key] = value


def put_item(value: Any, target: Any, key: Any, name: str) -> None:
    """``target[key] = value``, reported; its arguments come as an assignment evaluates them."""
    set_item(target, key, value, name)


def delete_item(target: Any, key: Any, name: str) -> None:
    """``del target[key]``, reported."""
    if here.ticket is not None:
        known = _table(target, "__delitem__")
        if known is not None:
            known[0](known[1], target, name, key)
            return
        if _is_opaque(target, "__delitem__"):
            write(target, WHOLE, name)
    del target[key]


def contains(element: Any, target: Any, name: str) -> bool:
    """``element in target``, reported."""
    known = _table(target, "__contains__") if here.ticket is not None else None
    if known is not None:
        return bool(known[0](known[1], target, name, element))
    return element in target


def iterate(target: Any, name: str) -> Iterable[Any]:
    """What a loop goes through, with a report for each step if it is a plain container."""
    known = _table(target, "__iter__") if here.ticket is not None else None
    if known is not None:
        steps: Iterable[Any] = known[0](known[1], target, name)
        return steps
    return target  # type: ignore[no-any-return]  # if it can't be iterated, the loop says so


def method(target: Any, part: str, name: str) -> Any:
    """A method that a plain container may have: one that reports, if it is one."""
    if here.ticket is not None:
        known = _table(target, part)
        if known is not None:
            return partial(known[0], known[1], target, name)
        if part in VIEWS and isinstance(target, dict) and not is_proxy(target):
            reads = reads_whole if part == "keys" else dict_reads_all
            return partial(reads, getattr(type(target), part), target, name)
    return getattr(load(target, part, name), part)


class AttributeSlot(tuple[Any, str, str]):
    """An attribute that is read and later written by one statement, such as ``a.b += 1``.

    Like the other slots it is a tuple, of the owner, the attribute and the name: those are the
    cheapest to make.
    """

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The attribute; to get, set or delete it is an access."""
        target, part, name = self
        return getattr(load(target, part, name), part)

    @value.setter
    def value(self, value: Any) -> None:
        target, part, name = self
        setattr(store(target, part, name), part, value)


class ItemSlot(tuple[Any, Any, str]):
    """An item that is a target of an assignment, a loop or ``del``: container, key, name."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The item; to get, set or delete it is an access."""
        return get_item(*self)

    @value.setter
    def value(self, value: Any) -> None:
        target, key, name = self
        set_item(target, key, value, name)

    @value.deleter
    def value(self) -> None:
        delete_item(*self)


class GlobalSlot(tuple[Any, str, str]):
    """A global variable that is a target of a loop, ``del`` or the like: module, variable, name."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The variable; to get, set or delete it is an access."""
        module, part, name = self
        try:
            value = vars(module)[part]
        except KeyError:
            value = getattr(builtins, part, _NOTHING)
            if value is _NOTHING:
                raise _missing(part) from None
        return load_global(value, module, part, name)

    @value.setter
    def value(self, value: Any) -> None:
        module, part, name = self
        vars(module)[part] = store_global(value, module, part, name)

    @value.deleter
    def value(self) -> None:
        module, part, name = self
        write(module, part, name)
        try:
            del vars(module)[part]
        except KeyError:
            raise _missing(part) from None


def _missing(variable: str) -> NameError:
    return NameError(f"name {variable!r} is not defined", name=variable)


#: What augmented assignments do, by the class of their operator in a syntax tree.
IN_PLACE = {
    ast.Add: "iadd", ast.BitAnd: "iand", ast.BitOr: "ior", ast.BitXor: "ixor", ast.Div: "itruediv",
    ast.FloorDiv: "ifloordiv", ast.LShift: "ilshift", ast.MatMult: "imatmul", ast.Mod: "imod",
    ast.Mult: "imul", ast.Pow: "ipow", ast.RShift: "irshift", ast.Sub: "isub",
}  # fmt: skip

#: The probes under the names that instrumented code calls them by; no program can have such names,
#: nor the very objects, which is how the monitor of calls knows them.
PROBES: dict[str, Any] = {
    f"@{probe.__name__}": probe
    for probe in (
        AttributeSlot, GlobalSlot, ItemSlot, contains, get_item, iterate, load, load_global, method,
        put_item, slice, store, store_global,
    )
} | {f"@{name}": partial(getattr(operator, name)) for name in IN_PLACE.values()}  # fmt: skip
