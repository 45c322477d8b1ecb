"""Operations of dicts and their kin that report what they read and write (see ``operations``)."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any

from colorsched.testing.access import read, write
from colorsched.testing.operations import WHOLE, Presence, iterates_whole, reads_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched.testing.operations import Method, Table

_MISSING: Any = object()


def _dict_parts(target: dict[Any, Any], name: str) -> None:
    read(target, WHOLE, name)
    for key in keys_of(target):
        read(target, key, name)


def keys_of(target: dict[Any, Any]) -> list[Any]:
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
    """Change any keys: those set, added or removed are written, and if none, all was looked at."""
    before = {key: dict.get(target, key) for key in keys_of(target)}
    try:
        return original(target, *args, **kw)
    finally:
        if not _write_changes(before, target, name):
            read(target, WHOLE, name)


def _write_changes(before: dict[Any, Any], target: Any, name: str) -> bool:
    after = keys_of(target)
    changed = list(before) != after
    if changed:
        write(target, WHOLE, name)
    for key in dict.fromkeys((*before, *after)):
        value = dict.get(target, key, _MISSING)
        if (key in before) != (value is not _MISSING):
            _moved(target, name, key)
        elif before[key] is not value:
            write(target, key, name)
            changed = True
    return changed


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
        else:
            _moved(target, name, key)
    return original(target, given)


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
if hasattr(Counter, "__xor__"):  # since Python 3.15
    COUNTER |= {"__ixor__": dict_changes, "__xor__": dict_reads_all}
