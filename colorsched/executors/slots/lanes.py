"""The executors behind the slots: batches go there; they are replaced when lost, and ended."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from colorsched.core.slots import Slot
    from colorsched.executors.slots.engines import Engine
    from colorsched.ports import Doors

log = logging.getLogger("colorsched")

#: Seconds before each attempt to replace a lane. After the last one the slot is given up.
PAUSES = (0.0, 0.1, 0.5, 2.0)


class Lanes:
    """An executor with one lane for each slot. Thread-safe.

    Engines are other people's code: whatever they raise is told, and harms no other slot.
    """

    def __init__(self, doors: Doors, engine: Engine, lanes: Mapping[Slot, Executor]) -> None:
        self._doors = doors
        self._engine = engine
        self._lanes = dict(lanes)
        self._lock = doors.lock()
        self.ending = False

    def starting(self) -> Iterator[tuple[Slot, Future[Any]]]:
        """The slots that cannot be used before something is done."""
        for slot, lane in self._lanes.items():
            future = self._engine.starting(lane)
            if future is not None:
                yield slot, future

    def submit(self, slot: Slot, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Run a call in a slot.

        Raises:
            BaseException: whatever the engine raises: the slot is of no use any more.

        """
        given: object = self._lanes[slot].submit(fn, *args)
        if not isinstance(given, Future):
            raise TypeError(f"submit() is to return a Future, not {given!r}")
        return given

    def came(self, slot: Slot, most: int) -> tuple[int, int] | None:
        """How many of ``most`` callbacks a lost slot had ended, and begun; None: nobody knows."""
        try:
            came = self._engine.came(self._lanes[slot])
            return None if came is None else (min(came[0], most), min(came[1], most))
        except Exception as error:  # noqa: BLE001 - an engine's own; then nobody knows
            log.warning("slot %d cannot say how far it came: %r", slot.index, error)
            return None

    def replace(self, slot: Slot) -> object:
        """Put a new lane in a lost one's place, which takes its time. None: done; else why not."""
        _shut_down(self._lanes[slot])
        why: object = None
        for pause in PAUSES:
            self._doors.parker().park(pause)
            if self.ending:
                return "the runtime is ending"
            try:
                lane = self._engine.replace(slot.index)
            except BaseException as error:  # noqa: BLE001 - see the class
                log.warning("slot %d cannot be replaced: %r", slot.index, error)
                why = error
                continue
            if lane is None:
                return "its executor was given, and not a function that makes one"
            with self._lock:
                self._lanes[slot] = lane
                ending = self.ending
            if ending:
                _shut_down(lane)
            return None
        return why

    def end(self, *, wait: bool) -> None:
        """End all lanes, when nothing is under way any more."""
        with self._lock:
            self.ending = True
            lanes = list(self._lanes.values())
        for lane in lanes:
            _shut_down(lane)
        if wait:
            for lane in lanes:
                _shut_down(lane, wait=True)
        self._engine.close()

    def after_fork(self, lock: Any) -> None:
        """In a forked child: they are the parent's."""
        self._lock = lock
        self.ending = True
        self._lanes.clear()


def _shut_down(lane: Executor, *, wait: bool = False) -> None:
    try:
        lane.shutdown(wait=wait, cancel_futures=True)
    except BaseException as error:  # noqa: BLE001 - see the class
        log.warning("%r cannot be shut down: %r", lane, error)
