"""Doors onto a stage: each operation on one is a step, where another actor may go on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from colorsched.testing.stage.actors import Actor, Stage


class StageLock:
    """A lock that its owner may take again, as `threading.RLock`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._owner: Actor | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - threading.RLock's own signature
        """As `threading.RLock.acquire`."""
        stage = self._stage
        if stage.over:
            return True
        stage.step("takes a lock" if blocking else "tries a lock")
        me = stage.me()
        if self._owner not in (None, me):
            if not blocking:
                return False
            patience = None if timeout < 0 else timeout
            if not stage.block(lambda: self._owner is None, patience, "a lock"):
                return False
        self._owner = me
        self._depth += 1
        return True

    def release(self) -> None:
        """As `threading.RLock.release`."""
        if self._stage.over:
            return
        assert self._owner is not None, "released a lock that nobody holds"
        self._depth -= 1
        if not self._depth:
            self._owner = None
            if not self._stage.aborting:
                self._stage.step("gave a lock back")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()


class StageParker:
    """Where one actor sleeps."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._woken = False

    def park(self, timeout: float | None) -> bool:
        """Sleep until woken (True) or until a timeout (False)."""
        self._stage.step("goes to park")
        woken = self._stage.block(lambda: self._woken, timeout, "a wake-up")
        self._woken = False
        return woken

    def unpark(self) -> None:
        """Wake the sleeper, or let its next ``park`` return at once."""
        self._stage.step("unparks")
        self._woken = True
        self._stage.step("unparked")


class StageEvent:
    """As `threading.Event`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._set = False
        self._sets = 0

    def set(self) -> None:
        """As `threading.Event.set`."""
        self._stage.step("sets an event")
        self._set = True
        self._sets += 1
        self._stage.step("has set an event")

    def clear(self) -> None:
        """As `threading.Event.clear`."""
        self._stage.step("clears an event")
        self._set = False

    def is_set(self) -> bool:
        """As `threading.Event.is_set`; no step."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event.wait`."""
        self._stage.step("looks at an event")
        # Who waits already is woken by a set, even if another one clears it at once.
        sets = self._sets
        return self._stage.block(lambda: self._set or self._sets > sets, timeout, "an event")


class StagePoller:
    """A poller whose descriptors are what the scenario says: it fills ``events``."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._woken = False
        self.armed: dict[int, int] = {}
        self.events: list[tuple[int, int]] = []

    def arm(self, fd: int, mask: int) -> None:
        """Report ``fd`` from now on; see `colorsched.ports.Poller`."""
        self._stage.step(f"arms {fd}")
        self.armed[fd] = mask

    def disarm(self, fd: int) -> None:
        """Report ``fd`` no more."""
        self._stage.step(f"disarms {fd}")
        self.armed.pop(fd, None)

    def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        """Wait for events or a wake-up."""
        self._stage.step("polls")
        if timeout != 0:
            self._stage.block(lambda: self._woken or self.events, timeout, "the poller")
        self._woken = False
        events, self.events = self.events, []
        return events

    def wake(self) -> None:
        """Make the current or next ``wait`` return."""
        self._stage.step("wakes the poller")
        self._woken = True
        self._stage.step("woke the poller")

    def close(self) -> None:
        """Forget what was armed."""
        self.armed.clear()


class StageQueue(deque[Any]):
    """A deque; each single operation on it is a step, a change is one before and one after."""

    def __init__(self, stage: Stage, items: Iterable[Any] = ()) -> None:
        super().__init__(items)
        self._stage = stage

    def append(self, item: Any, /) -> None:
        """Append: a step before and one after."""
        self._stage.step("appends to a queue")
        super().append(item)
        self._stage.step("appended to a queue")

    def appendleft(self, item: Any, /) -> None:
        """Prepend: a step before and one after."""
        self._stage.step("prepends to a queue")
        super().appendleft(item)
        self._stage.step("prepended to a queue")

    def popleft(self) -> Any:
        """Take the first item: a step before."""
        self._stage.step("takes from a queue")
        return super().popleft()

    def __len__(self) -> int:
        self._stage.step("looks at a queue")
        return super().__len__()

    def copy(self) -> Self:
        """Copy: a step before."""
        return self.__copy__()

    def __copy__(self) -> Self:
        self._stage.step("copies a queue")
        return type(self)(self._stage, super().__iter__())

    def __iter__(self) -> Iterator[Any]:
        self._stage.step("goes through a queue")
        return super().__iter__()

    def peek(self) -> int:
        """The length, with no step: for the tests themselves."""
        return super().__len__()


class StageToken(list[int]):
    """A color's token; each single operation on it is a step."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def append(self, item: int, /) -> None:
        """Put the token in: a step before and one after."""
        self._stage.step("gives a token back")
        super().append(item)
        self._stage.step("gave a token back")

    def pop(self, *args: Any) -> int:
        """Take the token: a step before."""
        self._stage.step("takes a token")
        return super().pop(*args)

    def __len__(self) -> int:
        self._stage.step("looks for a token")
        return super().__len__()

    def peek(self) -> int:
        """Whether it is there, with no step: for the tests themselves."""
        return super().__len__()
