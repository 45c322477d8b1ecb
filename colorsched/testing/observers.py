"""Several observers as one; more may join while the program runs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from colorsched.events import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable


class Observers(Observer):
    """Tells several observers, in this order. Nothing is called that an observer does not override.

    >>> first, second = Observer(), Observer()
    >>> both = Observers([first])
    >>> both.add(second)

    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._listeners: dict[str, list[Callable[..., None]]] = {}
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Tell one more from now on, after the others."""
        kind: Any = type(observer)
        for name in _heard_by(kind):
            listeners = self._listeners.setdefault(name, [])
            listeners.append(getattr(observer, name))
            setattr(self, name, listeners[0] if len(listeners) == 1 else _all(tuple(listeners)))


@cache
def _heard_by(kind: Hashable) -> tuple[str, ...]:
    """The events that a class of observers listens to."""
    names = [name for name in vars(Observer) if not name.startswith("_")]
    return tuple(name for name in names if getattr(kind, name) is not getattr(Observer, name))


def _all(listeners: tuple[Callable[..., None], ...]) -> Callable[..., None]:
    def tell(*event: Any) -> None:
        for listener in listeners:
            listener(*event)

    return tell
