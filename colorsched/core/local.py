"""What callbacks keep under their color's key, between one and the next (``colorsched.local``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from colorsched.ports import Lock


class Locals:
    """A dictionary for each color key that has put something into it. Thread-safe.

    Empty ones are swept out now and then, when their colors are gone: a color that is alive may be
    just about to fill its own.
    """

    def __init__(self, lock: Lock, is_alive: Callable[[Hashable], bool]) -> None:
        self._lock = lock
        self._is_alive = is_alive
        self._states: dict[Hashable, dict[Any, Any]] = {}
        self._sweep_at = 64

    def of(self, key: Hashable) -> dict[Any, Any]:
        """The dictionary of a key. Call it in a callback of that color."""
        with self._lock:
            state = self._states.setdefault(key, {})
            if len(self._states) > self._sweep_at:
                self._sweep()
        return state

    def _sweep(self) -> None:
        for key, state in list(self._states.items()):
            if not state and not self._is_alive(key):
                del self._states[key]
        self._sweep_at = 2 * len(self._states) + 64

    def __len__(self) -> int:
        return len(self._states)

    def after_fork(self, lock: Lock) -> None:
        """In a forked child, where the old lock may be taken for ever."""
        self._lock = lock
