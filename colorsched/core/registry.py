"""The one live object of every color key, kept alive by its users alone.

A color lives while somebody holds its handle, a callback is queued in it, or a worker, a timer, a
descriptor or a coroutine refers to it. Then its entry goes too: nothing is left of it.
"""

from __future__ import annotations

import weakref

# The standard library's own way of dropping an entry only if it is still a dead reference; it is
# one atomic step, which `if d[k] is ref: del d[k]` is not. WeakValueDictionary is built on it.
from _weakref import _remove_dead_weakref  # type: ignore[attr-defined]  # not in typeshed
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from colorsched.core.queue import ColorQueue
from colorsched.ports import FENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

C = TypeVar("C", bound=ColorQueue)


class _Entry(weakref.ref[C]):
    """A weak reference that knows its key, or how to take itself out."""

    __slots__ = ("drop", "key")
    drop: Callable[[], None]
    key: Hashable


class Registry(Generic[C]):
    """Key to color, weakly.

    ``WeakValueDictionary`` would do too; it takes 1.5 times as long for a look-up and 1.9 times as
    long for a new color (measured on CPython 3.11 and 3.13), and on free-threaded builds it can
    lose entries for ever, as told below.

    Thread-safe, and without a lock.
    """

    __slots__ = ("_changed", "_dropped", "_entries", "_make", "_scheduler")

    def __init__(self, make: Callable[[Hashable, Any], C], scheduler: Any) -> None:
        entries: dict[Hashable, _Entry[C]] = {}

        def dropped(entry: Any, remove: Any = _remove_dead_weakref) -> None:
            # ``remove`` is bound early: globals may be gone when the interpreter exits.
            remove(entries, entry.key)

        self._entries = entries
        # What a weak reference calls when its object has died may fail where it begins, if it is
        # a Python function: at the recursion limit. A free-threaded interpreter gets there by
        # itself. A thread lets go of what others have dropped wherever a function begins; if that
        # calls a function, and more is dropped meanwhile, it goes on inside. So there it is C to
        # the end; with the GIL that would make a new color a fifth slower, to no end.
        self._dropped: Any = methodcaller("drop") if FENCE else dropped
        self._make = make
        self._scheduler = scheduler
        self._changed: Callable[[C], None] | None = None

    def get(self, key: Hashable) -> C:
        """The color of ``key``, made now if it is not alive."""
        entry = self._entries.get(key)
        if entry is not None:
            color = entry()
            if color is not None:
                return color
        return self._add(key)

    def is_alive(self, key: Hashable) -> bool:
        """Whether somebody uses the color of ``key`` now."""
        entry = self._entries.get(key)
        return entry is not None and entry() is not None

    def _add(self, key: Hashable) -> C:
        color = self._make(key, self._scheduler)
        entry = _Entry(color, self._dropped)
        entry.key = key
        if FENCE:
            entry.drop = partial(_remove_dead_weakref, self._entries, key)
        # Each step is atomic. Of several threads that make the color, one puts its own in and
        # the others find that one; a dead entry is only ever taken out while it is dead.
        while (there := self._entries.setdefault(key, entry)) is not entry:
            found = there()
            if found is not None:
                return found
            _remove_dead_weakref(self._entries, key)
        if self._changed is not None:
            self._changed(color)
        return color

    def alive(self) -> Iterator[C]:
        """The colors alive, one after the other.

        Who looks through them keeps one of them alive at a time: a worker may stop in the middle of
        its look, for as long as the system likes, and is not to keep all that were there till then.
        """
        # list() of a dict's values is one atomic step on every build.
        for entry in list(self._entries.values()):
            color = entry()
            if color is not None:
                yield color
            else:
                # About to be taken out, or its callback failed at the recursion limit.
                _remove_dead_weakref(self._entries, entry.key)

    def __len__(self) -> int:
        return len(self._entries)

    def change_all(self, change: Callable[[C], None]) -> None:
        """``change`` every color alive, and from now on every new one.

        A new color is entered before its maker looks at ``_changed``, and that is set before the
        entries are read here; both pass the dictionary's own mutex, so one of the two sees it. A
        color may be changed twice.
        """
        self._changed = change
        for color in self.alive():
            change(color)
