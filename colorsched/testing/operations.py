"""Operations of the built-in containers that report what they read and write.

Each takes the built-in method, the container, its name and the call's arguments; it does what the
method does and reports the parts involved. Proxies are made of them (``containers``), and
instrumented code calls them on plain containers (``probes``). The parts are:

- of a ``list``: an index, for what stands there; ``WHOLE``, for how many there are;
- of a ``dict`` and its kin: a key, for its value or absence; ``Presence(key)``, for whether it is
  there; ``WHOLE``, for which keys there are, in which order;
- of a ``set``: an element, for whether it is there; ``WHOLE``, for which there are;
- of a ``deque``: ``WHOLE``, since whatever is added or taken moves all others.

So setting an existing key conflicts with reads of that key alone; adding or removing one conflicts
with iteration, ``len``, and reads and tests of that key. Two additions conflict as well: their
order is the order of iteration.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any

from attrs import frozen

from colorsched.testing.access import read, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Method = Callable[..., Any]
    Table = dict[str, Callable[..., Any]]

_MISSING: Any = object()


class _Whole:
    """The part that stands for which elements there are; there is one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "the whole"

    def __reduce__(self) -> str:
        return "WHOLE"


WHOLE = _Whole()


@frozen
class Presence:
    """The part of a dict that stands for whether ``key`` is there, whatever its value."""

    key: object


# -- any container ----------------------------------------------------------------------------


def reads_whole(original: Method, target: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Depend on which elements there are."""
    read(target, WHOLE, name)
    return original(target, *args, **kwargs)


def writes_whole(original: Method, target: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Change which elements there are."""
    write(target, WHOLE, name)
    return original(target, *args, **kwargs)


def iterates_whole(original: Method, target: Any, name: str) -> Iterator[Any]:
    """Look at which elements there are at each step, in the callback that takes the step."""
    read(target, WHOLE, name)
    for item in original(target):
        yield item
        read(target, WHOLE, name)


# -- lists ------------------------------------------------------------------------------------


def _list_parts(target: list[Any], name: str, report: Callable[[object, Any, str], None]) -> None:
    report(target, WHOLE, name)
    for index in range(list.__len__(target)):
        report(target, index, name)


def list_reads_all(original: Method, target: list[Any], name: str, *args: Any, **kw: Any) -> Any:
    """Read every item."""
    _list_parts(target, name, read)
    return original(target, *args, **kw)


def list_get(original: Method, target: list[Any], name: str, index: Any) -> Any:
    """``target[index]``."""
    if type(index) is not int or not 0 <= index < list.__len__(target):
        # Counted from the end, or out of range: it depends on how many there are.
        read(target, WHOLE, name)
        for each in _indexes(target, index):
            read(target, each, name)
    else:
        read(target, index, name)
    return original(target, index)


def _indexes(target: list[Any], index: Any) -> Iterable[int]:
    if isinstance(index, slice):
        return range(*index.indices(list.__len__(target)))
    size = list.__len__(target)
    place = index.__index__() if hasattr(index, "__index__") else size
    return (place % size,) if -size <= place < size else ()


def list_set(original: Method, target: list[Any], name: str, index: Any, value: Any) -> Any:
    """``target[index] = value``."""
    if isinstance(index, slice):
        for each in _indexes(target, index):
            write(target, each, name)
        return list_changes(original, target, name, index, value)
    if type(index) is not int or not 0 <= index < list.__len__(target):
        read(target, WHOLE, name)
    for each in _indexes(target, index):
        write(target, each, name)
    return original(target, index, value)


def list_append(original: Method, target: list[Any], name: str, *args: Any) -> Any:
    """Add at the end: what is there stays where it is."""
    write(target, WHOLE, name)
    return original(target, *args)


def list_pop(original: Method, target: list[Any], name: str, *args: Any) -> Any:
    """Take one; from the end, what stays does not move."""
    size = list.__len__(target)
    if size and (not args or args[0] in (-1, size - 1)):
        write(target, WHOLE, name)
        write(target, size - 1, name)
        return original(target, *args)
    return list_changes(original, target, name, *args)


def list_changes(original: Method, target: list[Any], name: str, *args: Any, **kw: Any) -> Any:
    """Change any items: what is changed is written, and if that is nothing, all was read."""
    before = list(list.__iter__(target))
    try:
        return original(target, *args, **kw)
    finally:
        after = list(list.__iter__(target))
        changed = [
            index
            for index in range(max(len(before), len(after)))
            if index >= len(before) or index >= len(after) or before[index] is not after[index]
        ]
        if len(before) != len(after):
            write(target, WHOLE, name)
        for index in changed:
            write(target, index, name)
        if not changed:
            _list_parts(target, name, read)


def list_iterates(original: Method, target: list[Any], name: str) -> Iterator[Any]:
    """Read each item when its turn comes, and the length when there is no further one."""
    items = original(target)
    reverse = original is list.__reversed__
    if reverse:
        read(target, WHOLE, name)
    index = list.__len__(target) - 1 if reverse else 0
    for item in items:
        read(target, index, name)
        yield item
        index += -1 if reverse else 1
    read(target, WHOLE, name)


LIST: Table = {
    **dict.fromkeys(("__len__",), reads_whole),
    **dict.fromkeys(
        ("__add__", "__contains__", "__eq__", "__ge__", "__gt__", "__le__", "__lt__", "__mul__",
         "__ne__", "__repr__", "__rmul__", "copy", "count", "index"),
        list_reads_all,
    ),
    **dict.fromkeys(("__iter__", "__reversed__"), list_iterates),
    **dict.fromkeys(
        ("__delitem__", "__imul__", "clear", "insert", "remove", "reverse", "sort"), list_changes
    ),
    **dict.fromkeys(("__iadd__", "append", "extend"), list_append),
    "__getitem__": list_get,
    "__setitem__": list_set,
    "pop": list_pop,
}  # fmt: skip


# -- dicts ------------------------------------------------------------------------------------


def _dict_parts(target: dict[Any, Any], name: str) -> None:
    read(target, WHOLE, name)
    for key in _keys(target):
        read(target, key, name)


def _keys(target: dict[Any, Any]) -> list[Any]:
    """The keys in their order, which an OrderedDict keeps apart."""
    ordered = isinstance(target, OrderedDict)
    return list(OrderedDict.__iter__(target) if ordered else dict.__iter__(target))


def _moved(target: dict[Any, Any], name: str, key: Any) -> None:
    """A key was added or removed."""
    write(target, key, name)
    write(target, Presence(key), name)
    write(target, WHOLE, name)


def dict_reads_all(original: Method, target: Any, name: str, *args: Any, **kw: Any) -> Any:
    """Read every key and value."""
    _dict_parts(target, name)
    return original(target, *args, **kw)


def dict_get(original: Method, target: Any, name: str, key: Any, *args: Any) -> Any:
    """Read the value of a key, or that it is not there."""
    hash(key)
    read(target, key, name)
    return original(target, key, *args)


def dict_contains(original: Method, target: Any, name: str, key: Any) -> Any:
    """Look whether a key is there."""
    hash(key)
    read(target, Presence(key), name)
    return original(target, key)


def dict_set(original: Method, target: Any, name: str, key: Any, value: Any) -> Any:
    """Set the value of a key, which may be new."""
    if dict.__contains__(target, key):
        write(target, key, name)
    else:
        _moved(target, name, key)
    return original(target, key, value)


def dict_remove(original: Method, target: Any, name: str, key: Any, *args: Any, **kw: Any) -> Any:
    """Remove a key, or see that it is not there."""
    if dict.__contains__(target, key):
        _moved(target, name, key)
    else:
        read(target, key, name)
    return original(target, key, *args, **kw)


def dict_setdefault(original: Method, target: Any, name: str, key: Any, *args: Any) -> Any:
    """Read the value of a key, or set it."""
    if dict.__contains__(target, key):
        read(target, key, name)
    else:
        _moved(target, name, key)
    return original(target, key, *args)


def dict_changes(original: Method, target: Any, name: str, *args: Any, **kw: Any) -> Any:
    """Change any keys: those set, added or removed are written."""
    before = {key: dict.get(target, key) for key in _keys(target)}
    try:
        return original(target, *args, **kw)
    finally:
        after = _keys(target)
        for key in dict.fromkeys((*before, *after)):
            value = dict.get(target, key, _MISSING)
            if (key in before) != (value is not _MISSING):
                _moved(target, name, key)
            elif before[key] is not value:
                write(target, key, name)
        if list(before) != after:
            write(target, WHOLE, name)


def dict_popitem(original: Method, target: Any, name: str, *args: Any, **kw: Any) -> Any:
    """Take the last key, or see that there is none."""
    if not dict.__len__(target):
        read(target, WHOLE, name)
    return dict_changes(original, target, name, *args, **kw)


def dict_updates(original: Method, target: Any, name: str, *args: Any, **kw: Any) -> Any:
    """Set many keys: those given are written, even with the value that they have."""
    given = dict(*args, **kw)
    for key in given:
        if dict.__contains__(target, key):
            write(target, key, name)
    return dict_changes(original, target, name, given)


class _Keys(KeysView[Any]):
    _mapping: Any

    def __reversed__(self) -> Iterator[Any]:
        return iter(reversed(self._mapping))

    def __repr__(self) -> str:
        return f"dict_keys({list(self)!r})"


class _Values(ValuesView[Any]):
    _mapping: Any

    def __reversed__(self) -> Iterator[Any]:
        return (self._mapping[key] for key in reversed(self._mapping))

    def __repr__(self) -> str:
        return f"dict_values({list(self)!r})"


class _Items(ItemsView[Any, Any]):
    _mapping: Any

    def __reversed__(self) -> Iterator[Any]:
        return ((key, self._mapping[key]) for key in reversed(self._mapping))

    def __repr__(self) -> str:
        return f"dict_items({list(self)!r})"


VIEWS: dict[str, Callable[[Any], Any]] = {"keys": _Keys, "values": _Values, "items": _Items}

DICT: Table = {
    "__len__": reads_whole,
    **dict.fromkeys(("__iter__", "__reversed__"), iterates_whole),
    **dict.fromkeys(
        ("__eq__", "__ne__", "__or__", "__repr__", "__ror__", "copy"), dict_reads_all
    ),
    **dict.fromkeys(("__delitem__", "pop"), dict_remove),
    **dict.fromkeys(("__ior__", "update"), dict_updates),
    "clear": dict_changes,
    "__contains__": dict_contains,
    "__getitem__": dict_get,
    "__setitem__": dict_set,
    "get": dict_get,
    "popitem": dict_popitem,
    "setdefault": dict_setdefault,
}  # fmt: skip


#: What a Counter does by counts, where a dict does it by values.
COUNTER: Table = {
    **DICT,
    **dict.fromkeys(
        ("__iadd__", "__iand__", "__ior__", "__isub__", "subtract", "update"), dict_changes
    ),
    **dict.fromkeys(
        ("__add__", "__and__", "__ge__", "__gt__", "__le__", "__lt__", "__neg__", "__pos__",
         "__sub__", "elements", "most_common", "total"),
        dict_reads_all,
    ),
}  # fmt: skip


# -- sets and deques --------------------------------------------------------------------------


def set_contains(original: Method, target: set[Any], name: str, element: Any) -> Any:
    """Look whether an element is there."""
    # A set takes another set for the frozen one with its elements.
    read(target, frozenset(element) if isinstance(element, set) else element, name)
    return original(target, element)


def set_changes(original: Method, target: set[Any], name: str, *args: Any) -> Any:
    """Change any elements: those added or removed are written, one looked for is read."""
    before = set(target)
    try:
        return original(target, *args)
    finally:
        changed = before ^ set(target)
        for element in changed:
            write(target, element, name)
        if changed:
            write(target, WHOLE, name)
        else:
            read(target, WHOLE, name)


def set_toggles(original: Method, target: set[Any], name: str, element: Any) -> Any:
    """Add or remove an element, or see that there is nothing to do."""
    part = frozenset(element) if isinstance(element, set) else element
    size = set.__len__(target)
    try:
        return original(target, element)
    finally:
        if set.__len__(target) == size:
            read(target, part, name)
        else:
            write(target, part, name)
            write(target, WHOLE, name)


SET: Table = {
    **dict.fromkeys(
        ("__and__", "__eq__", "__ge__", "__gt__", "__le__", "__len__", "__lt__", "__ne__",
         "__or__", "__rand__", "__repr__", "__ror__", "__rsub__", "__rxor__", "__sub__", "__xor__",
         "copy", "difference", "intersection", "isdisjoint", "issubset", "issuperset",
         "symmetric_difference", "union"),
        reads_whole,
    ),
    **dict.fromkeys(
        ("__iand__", "__ior__", "__isub__", "__ixor__", "clear", "difference_update",
         "intersection_update", "pop", "symmetric_difference_update", "update"),
        set_changes,
    ),
    **dict.fromkeys(("add", "discard", "remove"), set_toggles),
    "__contains__": set_contains,
    "__iter__": iterates_whole,
}  # fmt: skip

DEQUE: Table = {
    **dict.fromkeys(
        ("__add__", "__contains__", "__copy__", "__eq__", "__ge__", "__getitem__", "__gt__",
         "__le__", "__len__", "__lt__", "__mul__", "__ne__", "__repr__", "__rmul__", "copy",
         "count", "index"),
        reads_whole,
    ),
    **dict.fromkeys(
        ("__delitem__", "__iadd__", "__imul__", "__setitem__", "append", "appendleft", "clear",
         "extend", "extendleft", "insert", "pop", "popleft", "remove", "reverse", "rotate"),
        writes_whole,
    ),
    **dict.fromkeys(("__iter__", "__reversed__"), iterates_whole),
}  # fmt: skip
