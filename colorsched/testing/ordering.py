"""A lock that the race detector knows of."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from colorsched.ports import Lock
    from colorsched.testing.clocks import HappensBefore


class OrderingLock:
    """A lock that the race detector knows of: who releases it comes before who acquires it next.

    Args:
        detector: of the run that the lock is used in.
        lock: a ``threading.Lock`` or ``RLock``; a new ``Lock`` if none is given.

    >>> from colorsched.testing import RaceDetector
    >>> lock = OrderingLock(RaceDetector())
    >>> with lock:
    ...     pass

    """

    def __init__(self, detector: HappensBefore, lock: Lock | threading.Lock | None = None) -> None:
        self._detector = detector
        self._lock = threading.Lock() if lock is None else lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - threading.Lock's own signature
        """Acquire it, as ``threading.Lock.acquire``."""
        acquired = self._lock.acquire(blocking, timeout)
        if acquired:
            self._detector.acquired(self)
        return acquired

    def release(self) -> None:
        """Release it, as ``threading.Lock.release``."""
        self._detector.released(self)  # before anybody else can get it
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
