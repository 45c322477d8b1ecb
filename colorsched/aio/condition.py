"""The condition of a future, which is a lock until somebody waits."""

from __future__ import annotations

from _thread import RLock  # what ``threading.RLock()`` makes: that is a function
from threading import Condition


class LazyCondition(RLock):  # type: ignore[misc]  # final in typeshed, not in CPython
    """What a ``concurrent.futures.Future`` needs of a ``threading.Condition``.

    Most futures are never waited for by a thread that blocks. A ``Condition`` is eight objects that
    the garbage collector looks at, again and again while a burst of futures is pending; this is
    one, and it is entered and left without running any Python code.
    """

    __slots__ = ("_waited",)
    _waited: Condition | None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for ``notify_all``, at most so long. Call with the lock held."""
        condition = getattr(self, "_waited", None)
        if condition is None:
            condition = self._waited = Condition(self)
        return bool(condition.wait(timeout))

    def notify_all(self) -> None:
        """Wake all who wait. Call with the lock held."""
        condition: Condition | None = getattr(self, "_waited", None)
        if condition is not None:
            self._waited = None  # they keep it until they go on, and it refers to this
            condition.notify_all()
