"""Operations of the built-in containers that report what they read and write.

Each takes the built-in method, the container, its name and the call's arguments; it does what the
method does and reports the parts involved. Proxies are made of them (``containers``), and
instrumented code calls them on plain containers (``probes``). The parts are:

- of a ``list``: an index, for what stands there; ``WHOLE``, for how many there are;
- of a ``dict`` and its kin: a key, for its value or absence; ``Presence(key)``, for whether it is
  there; ``WHOLE``, for which keys there are, in which order;
- of a ``set``: an element, for whether it is there; ``WHOLE``, for which there are; and
  ``Kept(element)``, for whether it stays there;
- of a ``deque``: ``WHOLE``, since whatever is added or taken moves all others.

So setting an existing key conflicts with reads of that key alone; adding or removing one conflicts
with iteration, ``len``, and reads and tests of that key. Two additions to a dict conflict as well,
as do two to a list or deque: their order is the order of iteration. Two additions to a set commute,
of one element or of two: it has no order, and ``add`` does not say whether it was the first. They
conflict with whatever looks at the set, and with removals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from colorsched.testing.access import add, read, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Method = Callable[..., Any]
    Table = dict[str, Callable[..., Any]]


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


@frozen
class Kept:
    """The part of a set that stands for whether ``element``, which is there, stays there."""

    element: object


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
            write(target, Kept(element), name)
        if changed:
            write(target, WHOLE, name)
        else:
            read(target, WHOLE, name)


def set_add(original: Method, target: set[Any], name: str, element: Any) -> Any:
    """Add an element, or see that it is there."""
    hash(element)
    if set.__contains__(target, element):
        read(target, Kept(element), name)
    else:
        add(target, element, name)
        add(target, WHOLE, name)
    return original(target, element)


def set_update(original: Method, target: set[Any], name: str, *others: Any) -> Any:
    """Add elements, those that are not there."""
    if original is set.__ior__ and not isinstance(others[0], (set, frozenset)):
        return original(target, *others)  # NotImplemented
    elements = set().union(*others)
    there = {element for element in elements if set.__contains__(target, element)}
    for element in there:
        read(target, Kept(element), name)
    for element in elements - there:
        add(target, element, name)
    if len(there) < len(elements):
        add(target, WHOLE, name)
    return original(target, elements)


def set_remove(original: Method, target: set[Any], name: str, element: Any) -> Any:
    """Remove an element, or see that there is nothing to do."""
    part = frozenset(element) if isinstance(element, set) else element
    size = set.__len__(target)
    try:
        return original(target, element)
    finally:
        if set.__len__(target) == size:
            read(target, part, name)
        else:
            write(target, part, name)
            write(target, Kept(part), name)
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
        ("__iand__", "__isub__", "__ixor__", "clear", "difference_update", "intersection_update",
         "pop", "symmetric_difference_update"),
        set_changes,
    ),
    **dict.fromkeys(("discard", "remove"), set_remove),
    **dict.fromkeys(("__ior__", "update"), set_update),
    "add": set_add,
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
