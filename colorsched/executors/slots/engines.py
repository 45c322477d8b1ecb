"""What slots are made of: executors with one lane, made by functions or brought by users."""

from __future__ import annotations

import os
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    MakesLane = Callable[[], Executor]


class Engine(Protocol):
    """What makes slots: each of them an executor with one lane."""

    travel: str
    """How calls travel there, unless the user says otherwise."""

    def start(self) -> list[Executor]:
        """Make all slots."""
        ...

    def starting(self, lane: Executor) -> Future[Any] | None:
        """Done when a new slot can take a batch, or never will. None: it can wait there as well."""
        ...

    def replace(self, index: int) -> Executor | None:
        """Make one in the place of one that was lost, and can be used; None: that cannot be done.

        Raises:
            Exception: it cannot be done now.

        """
        ...

    def came(self, lane: Executor) -> tuple[int, int] | None:
        """How many callbacks of its last batch a lost slot had ended, and begun, if known."""
        ...

    def close(self) -> None:
        """Give back what all slots share."""
        ...


class MadeLanes:
    """Slots made by functions, one for each."""

    travel = "pickle"

    def __init__(self, makers: Sequence[MakesLane]) -> None:
        self._makers = makers

    def start(self) -> list[Executor]:
        lanes: list[Executor] = []
        try:
            for make in self._makers:
                lanes.append(_made(make))  # noqa: PERF401 - those made before one fails are to be ended
        except BaseException:
            for lane in lanes:
                lane.shutdown(wait=False)
            raise
        return lanes

    def starting(self, lane: Executor) -> Future[Any] | None:
        return None

    def replace(self, index: int) -> Executor | None:
        return _made(self._makers[index])

    def came(self, lane: Executor) -> tuple[int, int] | None:
        came: Callable[[], tuple[int, int]] | None = getattr(lane, "came", None)
        return None if came is None else came()

    def close(self) -> None:
        """They share nothing."""


class GivenLanes(MadeLanes):
    """Slots brought by the user, some of them as functions that make them."""

    def __init__(self, given: Sequence[Executor | MakesLane]) -> None:
        self._given = given
        super().__init__([self._first(one) for one in given])

    @staticmethod
    def _first(one: Executor | MakesLane) -> MakesLane:
        return (lambda: one) if isinstance(one, Executor) else one

    def replace(self, index: int) -> Executor | None:
        return None if isinstance(self._given[index], Executor) else super().replace(index)


def _made(make: MakesLane) -> Executor:
    lane = make()
    try:
        return _checked(lane)
    except ValueError:
        lane.shutdown(wait=False)
        raise


def _checked(lane: object) -> Executor:
    if not isinstance(lane, Executor):
        raise TypeError(f"a slot must be a concurrent.futures.Executor, not {lane!r}")
    width = getattr(lane, "_max_workers", 1)  # as of concurrent.futures' own pools
    if width != 1:
        raise ValueError(
            f"a slot has one lane, and {lane!r} has {width}: order would be lost. "
            "Give several executors with max_workers=1."
        )
    return lane


def _lanes(given: Iterable[Executor | MakesLane]) -> tuple[Executor | MakesLane, ...]:
    if isinstance(given, Executor):
        raise TypeError(f"slots() takes a list, as slots([...]), not {given!r}")
    lanes = tuple(given)
    if not lanes:
        raise ValueError("slots() needs at least one executor, or a function that makes one")
    for lane in lanes:
        if isinstance(lane, Executor):
            _checked(lane)
        elif not callable(lane):
            raise TypeError(f"slots() takes executors, and functions that make one, not {lane!r}")
    return lanes


@frozen
class slots:  # noqa: N801 - users call it as they would a function
    """Executors with one lane each, for ``Runtime(executor=slots([...]))`` to run batches on.

    Any ``concurrent.futures.Executor`` does that runs one call at a time, in order, where
    ``colorsched`` can be imported. A function that makes one does, too; then the slot is replaced
    should it be lost, which an executor shows by ``BrokenExecutor``. The runtime shuts them down.

    Raises:
        TypeError: one is neither an executor nor callable.
        ValueError: there is none, or one has several lanes.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from colorsched import Runtime
    >>> two = slots([ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(1)])
    >>> with Runtime(executor=two, travel="reference") as rt:
    ...     rt.color("red").submit(lambda: 6 * 7).result()
    42

    """

    lanes: tuple[Executor | MakesLane, ...] = field(converter=_lanes)


def usable_cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
