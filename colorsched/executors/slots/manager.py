"""The slots of a runtime: batches go out, answers come in, what dies is replaced."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from colorsched.core.handle import InnerHandle
from colorsched.core.queue import ColorQueue
from colorsched.core.slots import BATCH_BYTES, BATCH_SECONDS, PATIENCE, Lines, next_size
from colorsched.errors import InternalError, WorkerLost
from colorsched.executors.slots.inside import Answer, Order, drop_state, run_batch
from colorsched.executors.slots.jobs import Again, Batch, SlotHandle
from colorsched.executors.slots.lanes import PAUSES, Lanes
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colorsched.core.handle import Handle
    from colorsched.core.scheduler import Scheduler
    from colorsched.core.slots import Placed, Slot
    from colorsched.executors.slots.engines import Engine
    from colorsched.executors.slots.jobs import Job, Retry
    from colorsched.executors.slots.settle import Settler
    from colorsched.ports import Doors
    from colorsched.sources.timers import Timers

log = logging.getLogger("colorsched")


class Slots:
    """Sends batches to slots and takes their answers, for one runtime. Thread-safe.

    Who owns a color here
    ---------------------
    A worker that meets a slot's callback at the head of a color's queue does not release the color
    but hands it over (``take``). From then on it is owned by its place in a line, then by the batch
    that was made of its callbacks, then, when the answer is there, by the ready queue of a lane,
    with the settling of the batch at the head of its queue; a worker takes it from there as any
    ready color. So each owner has it from the one before, nobody else can claim it, and its queue
    is read by its owner alone. The lock guards the lines; no call of an engine, of a handle or of
    the scheduler is made with it.
    """

    def __init__(
        self,
        doors: Doors,
        scheduler: Scheduler,
        timers: Timers,
        engine: Engine,
        settler: Settler,
        *,
        retry: Retry | None,
        default: Any,
    ) -> None:
        engines = engine.start()
        self._doors = doors
        self._scheduler = scheduler
        self._timers = timers
        self.settler = settler
        self.retry = retry
        self._name = uuid4().hex
        self._default = default
        self._lock = doors.lock()
        self.lines = Lines(len(engines))
        self._lanes = Lanes(doors, engine, dict(zip(self.lines.slots, engines, strict=True)))
        self._looker = ColorQueue("waiting for slots", scheduler)
        """Where it is looked after who waits: a color of its own, which waits for no slot."""
        self._armed = False
        self._hopeless: str | None = None
        """Why there is no slot left."""
        self.batches = 0
        self.lost = 0
        scheduler.hand_over = self.take
        scheduler.slots = self
        for slot, starting in self._lanes.starting():
            slot.busy = True
            starting.add_done_callback(partial(self._started, slot))

    # -- out ------------------------------------------------------------------------------------

    def take(self, color: ColorQueue, handle: Handle) -> None:
        """Take a color that the caller owns, and its first callback, which it has found."""
        _put_back(color, handle)
        self._enter(color)

    def _enter(self, color: ColorQueue) -> None:
        with self._lock:
            slot = self.lines.enter(cast("Placed", color), self._doors.clock())
            arm = slot is None and self._is_to_be_armed()
        if slot is not None:
            self._run(slot, color)
        elif arm:
            self._arm()

    def _run(self, slot: Slot, color: ColorQueue | None) -> None:
        """Let a slot, which is the caller's, run a color; and then others, while nobody waits."""
        while color is not None:
            batch = self._make(slot, color)
            if batch is None:  # all was cancelled
                self._give_back(color)
                color = self._next(slot)
                continue
            if self._hopeless is not None:
                reason = f"there is no slot left to run it: {self._hopeless}. Make a new Runtime."
                batch.failed = WorkerLost("nothing", reason)
                color = self._next(slot)
                self._hand_back(batch)
                continue
            future = self._send(batch)
            if future is None:
                return
            if not future.done():
                future.add_done_callback(partial(self._answered, batch))
                return
            color = self._take_answer(batch, future)

    def _make(self, slot: Slot, color: Any) -> Batch | None:
        """Make a batch of the slot's callbacks at the head of a color's queue, if there are any."""
        jobs: list[Job] = []
        room = BATCH_BYTES
        size = self.settler.travel.size
        while len(jobs) < color.size and room > 0:
            queue = _head(color)
            if not queue or not isinstance(queue[0], SlotHandle):
                break
            found = queue.popleft().claim()
            rest = color.size - len(jobs)
            if len(found) > rest:
                _put_back(color, Again((None, (), found[rest:])))
                found = found[:rest]
            jobs += found
            for job in found:
                room -= size(job.call)
        return Batch(color, slot, jobs, self._now()) if jobs else None

    def _send(self, batch: Batch) -> Future[Any] | None:
        """Send a batch to its slot. None: the slot is gone."""
        color: Any = batch.color
        slot = batch.slot
        with self._lock:
            batch.forget, slot.forget = slot.forget, []
            self.batches += 1
        order = Order(
            place=self._place(slot),
            number=color.number,
            key=self._pack_key(color.key),
            calls=[job.call for job in batch.jobs],
            forget=batch.forget,
            default=self._default,
            travel=self.settler.travel.name,
            seconds=BATCH_SECONDS,
            size=BATCH_BYTES,
        )
        try:
            return self._lanes.submit(slot, run_batch, order)
        except BaseException as error:  # noqa: BLE001 - an engine's own; the slot is of no use any more
            batch.came = 0, 0
            self._lose(batch, error)
            return None

    def _place(self, slot: Slot) -> str:
        """What a slot is called where it is, in this life of it."""
        return f"{self._name}/{slot.index}/{slot.life}"

    def _pack_key(self, key: Hashable) -> Any:
        try:
            return self.settler.travel.pack(key)
        except BaseException:  # noqa: BLE001 - whatever pickling raises; who asks for it there is told
            return None

    def _now(self) -> int:
        return round(self._doors.clock() * 1e9)

    # -- in -------------------------------------------------------------------------------------

    def _answered(self, batch: Batch, future: Future[Any]) -> None:
        """An answer is there, on whatever thread that is."""
        try:
            self._run(batch.slot, self._take_answer(batch, future))
        except BaseException as error:  # noqa: BLE001 - a future would swallow it
            self._scheduler.failed(InternalError(f"after the answer of a slot: {error!r}"))

    def _take_answer(self, batch: Batch, future: Future[Any]) -> ColorQueue | None:
        """Take the answer of a batch. What its slot is to run next."""
        batch.arrived = self._now()
        try:
            answer = future.result()
            if not isinstance(answer, Answer):
                raise TypeError(f"the executor of a slot gave {answer!r} for the answer of a batch")
            batch.answer = answer
        except (BrokenExecutor, CancelledError) as error:
            sent = getattr(error, "may_have_run", True)  # an engine may know better
            batch.came = self._lanes.came(batch.slot, len(batch.jobs)) if sent else (0, 0)
            self._lose(batch, error)
            return None
        except BaseException as error:  # noqa: BLE001 - the engine failed of this batch, and goes on
            batch.failed = error
        color = cast("Placed", batch.color)
        with self._lock:
            if batch.failed is None:
                self.lines.remember(color, bound=batch.answer.bound)
            else:
                self.lines.unsure(color, batch.forget)
        following = self._next(batch.slot)
        self._hand_back(batch)
        return following

    def _next(self, slot: Slot) -> ColorQueue | None:
        with self._lock:
            color = self.lines.leave(slot, self._doors.clock())
            arm = color is None and self._is_to_be_armed()
        if arm:
            self._arm()
        return cast("ColorQueue | None", color)

    def _hand_back(self, batch: Batch) -> None:
        """Make the batch's color ready, to settle the batch first of all."""
        _put_back(batch.color, InnerHandle((self._settle, (batch,), copy_context())))
        self._scheduler.ready(batch.color)

    def _give_back(self, color: Any) -> None:
        """Nothing of a color is to run in a slot just now.

        A worker is to find that, though there may be nothing else: a color that became idle here
        would be seen by nobody who waits for quiet.
        """
        color.live = False
        self._scheduler.ready(color)

    def _settle(self, batch: Batch) -> None:
        """The first step of a batch's color after its answer."""
        color: Any = batch.color
        done = len(batch.answer.kinds)
        again = self.settler.settle(batch)
        if batch.lost is not None:
            if batch.came != (0, 0):
                color.size = 1  # one after the other, to know who is to blame if it happens again
        elif batch.failed is None:
            color.size = next_size(color.size, sent=len(batch.jobs), done=done)
        if again:
            _put_back(color, Again((None, (), again)))
        # What a thread is to run comes first, if anything: the color may be idle before it is back.
        queue = _head(color)
        color.live = bool(queue) and isinstance(queue[0], SlotHandle)

    # -- losses ---------------------------------------------------------------------------------

    def _lose(self, batch: Batch, error: BaseException) -> None:
        """The slot of a batch is gone. Another one is made on a thread of its own."""
        slot = batch.slot
        batch.lost = str(error) or type(error).__name__
        drop_state(self._place(slot))
        with self._lock:
            self.lost += 1
            self.lines.lost(slot)
        if self._lanes.ending:
            self._hand_back(batch)
            return
        log.warning("slot %d is lost: %s", slot.index, batch.lost)
        self._begin_to_replace(slot, batch)
        self._move()

    def _started(self, slot: Slot, starting: Future[Any]) -> None:
        """A slot that took its time to start can be used, or it cannot start."""
        error = CancelledError() if starting.cancelled() else starting.exception()
        if error is None:
            self._run(slot, self._next(slot))
        elif not self._lanes.ending:
            log.warning("slot %d does not start: %s", slot.index, error)
            self._begin_to_replace(slot, None)

    def _begin_to_replace(self, slot: Slot, batch: Batch | None) -> None:
        try:
            self._doors.thread(partial(self._replace, slot, batch), "colorsched-slot")
        except RuntimeError as none_left:
            if batch is not None:
                self._hand_back(batch)
            self._do_without(slot, none_left)

    def _replace(self, slot: Slot, batch: Batch | None) -> None:
        """Make a new engine for a slot, and let it go on."""
        if batch is not None:
            if batch.came == (0, 0):
                # It died of itself. Perhaps it cannot even start: not so fast.
                self._doors.parker().park(PAUSES[1])
            self._hand_back(batch)
        # Here, since whoever finds a lane broken may be one of its own threads.
        why = self._lanes.replace(slot)
        if why is None:
            self._run(slot, self._next(slot))
        elif not self._lanes.ending:
            self._do_without(slot, why)

    def _do_without(self, slot: Slot, why: object) -> None:
        """A slot is not replaced: who waits for it goes elsewhere, or is told that nothing is."""
        with self._lock:
            colors = self.lines.remove(slot)
        log.error("slot %d is not replaced: %s", slot.index, why)
        for color in colors:
            self._enter(cast("ColorQueue", color))
        if not slot.gone:  # the last one: whoever comes is told
            self._hopeless = f"the last one cannot be replaced ({why})"
            self._run(slot, self._next(slot))

    # -- bound colors that wait -------------------------------------------------------------------

    def _is_to_be_armed(self) -> bool:
        """Whether to look after those who wait in a while. Call with the lock held."""
        if self._armed or not self.lines.restless():
            return False
        self._armed = True
        return True

    def _arm(self) -> None:
        work = (self._look, (), copy_context())
        self._timers.add(self._looker, self._doors.clock() + PATIENCE, work, inner=True)

    def _look(self) -> None:
        with self._lock:
            self._armed = False
        self._move()

    def _move(self) -> None:
        """Let idle slots run who may go there by now."""
        with self._lock:
            found = list(self.lines.impatient(self._doors.clock()))
            arm = self._is_to_be_armed()
        for slot, color in found:
            self._run(slot, cast("ColorQueue", color))
        if arm:
            self._arm()

    # -- the end ----------------------------------------------------------------------------------

    def is_inside(self) -> bool:
        """Whether the caller is a callback in one of these slots, which may be in this process."""
        return here.slot is not None and here.slot.runtime_name() == self._name

    def end(self, *, wait: bool = True) -> None:
        """End all engines, when nothing is under way any more."""
        self._lanes.end(wait=wait)
        for slot in self.lines.slots:
            drop_state(self._place(slot))

    def after_fork(self, lock: Any) -> None:
        """In a forked child: the slots are the parent's."""
        self._lock = lock
        self._lanes.after_fork(lock)


def _head(color: ColorQueue) -> deque[Any]:
    """Where the next callback of a color is, which is not held."""
    return color._aside or color._queue


def _put_back(color: ColorQueue, handle: Handle) -> None:
    """Put a handle at the head of a color's queue. The caller owns the color.

    Past the methods of an observed queue: it was announced when it was posted, or is no callback.
    """
    deque.appendleft(_head(color), handle)
