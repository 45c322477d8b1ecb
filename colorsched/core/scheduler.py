"""Which worker takes which ready color: lanes, placement, stealing, waking, quiescence."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from colorsched.core.local import Locals
from colorsched.core.policy import POSTED_AHEAD, RECENT, steal_count
from colorsched.core.registry import Registry
from colorsched.errors import InternalError
from colorsched.ports import FENCE, here, set_running_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Hashable

    from colorsched.core.handle import Handle
    from colorsched.core.queue import ColorQueue
    from colorsched.errors import RuntimeShutdown
    from colorsched.ports import Doors, Token


class Refusal:
    """The inbox of a runtime that takes no more work."""

    __slots__ = ("_error",)

    def __init__(self, error: RuntimeShutdown) -> None:
        self._error = error

    def append(self, _handle: Handle, /) -> None:
        self.refuse()

    def refuse(self) -> NoReturn:
        raise type(self._error)(*self._error.args)


class Lane:
    """What one worker keeps for itself: its ready queue and its counters.

    Only ``ready`` is touched by others (they append what they post from outside, and steal from
    the left); everything else is written by the lane's worker, and by the monitor where it says so.
    """

    __slots__ = (
        "asleep", "color", "depth", "found", "index", "lap", "loop", "outer", "parks", "polled",
        "polls", "ready", "recent", "scheduler", "spare", "steals", "stuck", "thread", "turns",
        "wake",
    )  # fmt: skip

    def __init__(self, index: int, scheduler: Scheduler, wake: Callable[[], None]) -> None:
        self.index = index
        self.scheduler = scheduler
        self.wake = wake
        self.ready: deque[ColorQueue] = scheduler.make_queue()
        self.recent: deque[ColorQueue] = deque(maxlen=RECENT)
        """Colors that went idle lately, kept alive until the worker rests: keys come again soon,
        and to make a color costs as much as to run a few callbacks."""
        self.color: ColorQueue | None = None
        self.outer: list[ColorQueue | None] = []
        """The colors whose callbacks dispatched, outermost first, to the one that runs."""
        self.loop: AbstractEventLoop | None = None
        """The running loop of the worker's thread, as asyncio sees it. It stays from one turn to
        the next, since they are often of one color, and setting it is not free."""
        self.depth = 0
        self.lap = 0
        self.polled = 0.0
        """When this worker last looked at the sources."""
        self.polls = False
        """This worker sleeps in the poller, not in its parker."""
        self.found = False
        """Its last wait in the poller found a descriptor ready."""
        self.turns = 0
        self.steals = 0
        self.parks = 0
        self.stuck = False
        """Set by the monitor, which counts this worker out; cleared by the worker (with the
        scheduler's lock) when it is back."""
        self.spare = False
        self.thread = 0
        """The worker's thread, by the number that ``Doors.is_asleep`` takes."""
        self.asleep = False

    def let_go(self) -> None:
        """Keep nothing alive any more; called by this lane's worker before it rests."""
        self.recent.clear()
        if self.loop is not None:
            self.enter_loop(None)

    def enter_loop(self, loop: AbstractEventLoop | None) -> None:
        """Make a loop, or none, the running one of this lane's worker, which calls this."""
        self.loop = loop
        set_running_loop(loop)


class Scheduler:
    """Colors, lanes and who sleeps, for one runtime.

    The lock is reentrant, and what it guards is written so that a post may come in between: the
    garbage collector may run a finalizer anywhere, and finalizers post (asyncio's own do).

    Why no worker sleeps through work: who makes a color ready first appends it to a lane's queue
    and then looks at ``sleepers``; who goes to sleep first enters ``sleepers`` (with the lock) and
    then looks into every lane's queue. As with the token (see ``core.queue``), one of the two
    sees the other. A worker that makes a color ready in its own lane needs no such care: it is
    awake, and will run the color itself. Unless a finalizer does that on its way to sleep, when it
    has looked: then it is one of the sleepers, and finds that out.
    """

    def __init__(
        self,
        doors: Doors,
        make_color: Callable[[Hashable, Scheduler], ColorQueue],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.make_queue: Callable[[], deque[Any]] = doors.queue
        self.make_token: Callable[[], Token] = doors.token
        self._relax = doors.relax
        self.failed = failed
        self.lock = doors.lock()
        self.lanes: tuple[Lane, ...] = ()
        self.homes: tuple[Lane, ...] = ()
        """The lanes that colors are placed in: those of the configured workers, not of spares."""
        self.sleepers: list[Lane] = []
        self.reserve: list[Lane] = []
        """Spare workers that are not needed, since those they stood in for are back."""
        self.waking = False
        """A woken worker is on its way; it will wake the next one if there is more to do."""
        self.closed: Refusal | None = None
        self.stopped = False
        self.past = (0, 0, 0)
        """Turns, steals and parks of workers that have ended."""
        self.registry: Registry[Any] = Registry(make_color, self)
        self.locals = Locals(doors.lock(), self.registry.is_alive)
        self.runtime: Callable[[], Any] = _no_runtime
        """The runtime this is part of, by a weak reference."""
        self.shared: Any = None
        """What the layers above share between the colors of this runtime."""
        self.hand_over: Callable[[ColorQueue, Handle], None] = _nobody_takes
        """Takes a claimed color, and the first of its callbacks, which is to run in a slot."""
        self.slots: Any = None
        """What runs callbacks elsewhere, if anything does."""

    # -- making colors ready ------------------------------------------------------------------

    def wake(self, color: ColorQueue) -> None:
        """Claim a color in which something was posted, and make it ready, if nobody else does."""
        try:
            color._token.pop()
        except IndexError:
            return
        self.ready(color)

    def ready(self, color: ColorQueue) -> None:
        """Put a color that the caller has claimed among the ready; see that somebody runs it."""
        lane = here.lane
        if lane is not None and lane.scheduler is self:
            lane.ready.append(color)
            if self.sleepers and (len(lane.ready) > 1 or lane.asleep):
                self.wake_one()
        else:
            homes = self.homes
            home = homes[color.home % len(homes)] if len(homes) > 1 else homes[0]
            ready = home.ready
            ready.append(color)
            if not len(ready) % POSTED_AHEAD:
                # A poster that has the interpreter keeps it for a whole switch interval; the
                # colors it made ready would be out of every cache, and old to the garbage
                # collector, before the worker got to see the first of them.
                self._relax(self.sleepers.__len__)
            if FENCE:
                self.sleepers.extend(())
            if self.sleepers:
                self.wake_one()
        if self.stopped:
            self.sweep()

    def wake_one(self) -> None:
        """Wake one sleeping worker, unless one is already on its way."""
        if self.waking:
            return
        lane = self._choose()
        if lane is not None:
            lane.wake()

    def _choose(self) -> Lane | None:
        with self.lock:
            if self.waking:
                return None
            try:
                lane = self.sleepers.pop()
            except IndexError:
                return None
            lane.asleep = False
            self.waking = True
            return lane

    # -- taking them --------------------------------------------------------------------------

    def steal(self, thief: Lane) -> bool:
        """Move ready colors from some other lane to the thief's. False if there was none."""
        lanes = self.lanes
        start = thief.index
        for i in range(1, len(lanes) + 1):
            victim = lanes[(start + i) % len(lanes)]
            if victim.ready and victim is not thief and self._take(victim, thief):
                return True
        return False

    def _take(self, victim: Lane, thief: Lane) -> bool:
        count = 0
        for _ in range(steal_count(len(victim.ready))):
            try:
                color = victim.ready.popleft()
            except IndexError:
                break
            thief.ready.append(color)
            count += 1
        thief.steals += count
        return count > 0

    def help_laggard(self, lane: Lane, victim: Lane) -> bool:
        """Take one color from a worker that has fallen too far behind, to run it next."""
        try:
            color = victim.ready.popleft()
        except IndexError:
            return False
        lane.ready.appendleft(color)
        lane.steals += 1
        return True

    # -- sleeping -----------------------------------------------------------------------------

    def recover(self, lane: Lane) -> None:
        """After a failure in the middle of a round: this lane owns nothing and does not sleep."""
        with self.lock:
            if lane.asleep:
                lane.asleep = False
                self.sleepers.remove(lane)
            self.waking = False
        lane.polls = False
        colors = [color for color in (*lane.outer, lane.color) if color is not None]
        lane.outer.clear()
        lane.depth = 0
        lane.color = None
        for color in colors:
            if not color._token and color.release():
                self.ready(color)

    def fall_asleep(self, lane: Lane, *, polls: bool) -> bool:
        """Enter the sleepers. False, and awake still, if some color is ready after all.

        The one who polls is woken last: waking it costs a system call more, and it would leave
        the descriptors to nobody.
        """
        lane.let_go()
        with self.lock:
            lane.asleep = True
            self.sleepers.insert(0 if polls else len(self.sleepers), lane)
        if FENCE:
            for other in self.lanes:
                other.ready.rotate(0)
        if any(other.ready for other in self.lanes):
            self.wake_up(lane)
            return False
        return True

    def wake_up(self, lane: Lane) -> bool:
        """Leave the sleepers. True if ``wake_one`` had chosen this lane; then that is over."""
        with self.lock:
            try:
                self.sleepers.remove(lane)
            except ValueError:
                chosen = True
                self.waking = False
            else:
                chosen = lane.asleep = False
            lane.lap = max(other.lap for other in self.lanes)
        return chosen

    def all_asleep(self) -> bool:
        """Whether no worker runs or is about to. Call with the lock held."""
        return len(self.sleepers) + len(self.reserve) == len(self.lanes) and not self.waking

    # -- workers that were stuck --------------------------------------------------------------

    def count_out(self, lane: Lane, turns: int) -> bool:
        """Mark a worker that is still in the turn it was in before as stuck (the monitor's)."""
        with self.lock:
            if lane.stuck or lane.asleep or lane.turns != turns or lane.color is None:
                return False
            lane.stuck = True
            return True

    def count_in(self, lane: Lane) -> None:
        """A stuck worker is back."""
        with self.lock:
            lane.stuck = False

    def make_way(self, lane: Lane, limit: int) -> bool:
        """Put a spare worker in reserve, if more than ``limit`` are running. True if it is."""
        with self.lock:
            if self.running() <= limit:
                return False
            self.reserve.append(lane)
        lane.let_go()
        self._hand_over(lane)
        return True

    def _hand_over(self, lane: Lane) -> None:
        """Make the ready colors of a lane whose worker goes away ready in another.

        As new: while a color is on its way no queue shows it, so a worker may fall asleep over it
        that must be woken.
        """
        homes = [home for home in self.homes if home is not lane]
        # Not in a spare's: that one may be going away just now. Those that are stuck are helped.
        home = next((home for home in homes if not home.stuck), homes[0] if homes else lane)
        while home is not lane and lane.ready:
            try:
                home.ready.append(lane.ready.popleft())
            except IndexError:
                break
        if FENCE:
            self.sleepers.extend(())
        if self.sleepers:
            self.wake_one()

    def let_in(self) -> Lane | None:
        """Take a worker out of the reserve, or None if it is empty. The caller wakes it."""
        with self.lock:
            return self.reserve.pop() if self.reserve else None

    def leave_reserve(self, lane: Lane) -> bool:
        """Whether the lane was in reserve still; it is not any more."""
        with self.lock:
            if lane not in self.reserve:
                return False
            self.reserve.remove(lane)
            return True

    def running(self) -> int:
        """Workers that are neither stuck nor in reserve; those asleep count."""
        return sum(not lane.stuck for lane in self.lanes) - len(self.reserve)

    # -- lanes --------------------------------------------------------------------------------

    def add_lane(self, wake: Callable[[], None], *, spare: bool) -> Lane:
        with self.lock:
            lane = Lane(len(self.lanes), self, wake)
            lane.spare = spare
            lane.lap = max((other.lap for other in self.lanes), default=0)
            self.lanes = (*self.lanes, lane)
            if not spare:
                self.homes = (*self.homes, lane)
        return lane

    def remove_lane(self, lane: Lane) -> None:
        """Take out a lane whose worker ends. Its ready colors go to one that stays."""
        with self.lock:
            self.lanes = tuple(other for other in self.lanes if other is not lane)
            for index, other in enumerate(self.lanes):
                other.index = index
            turns, steals, parks = self.past
            self.past = (turns + lane.turns, steals + lane.steals, parks + lane.parks)
        self._hand_over(lane)

    # -- the end ------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether no callback is queued, running or held at this moment.

        The look at the colors takes a while, so it counts only if no worker was awake before or
        after it and no turn was begun in between: then no callback ran meanwhile, and a color
        that was seen idle had nothing posted to it before the look began.
        """
        with self.lock:
            if not self.all_asleep() or any(lane.ready for lane in self.lanes):
                return False
            turns = self.turns()
        if not all(color.is_idle() for color in self.registry.alive()):
            return False
        with self.lock:
            return self.all_asleep() and self.turns() == turns

    def turns(self) -> int:
        return self.past[0] + sum(lane.turns for lane in self.lanes)

    def close(self, error: RuntimeShutdown) -> None:
        """Refuse every post from now on; what was accepted before stays."""
        refusal = Refusal(error)
        self.closed = refusal

        def swap(color: ColorQueue) -> None:
            color._inbox = refusal

        self.registry.change_all(swap)

    def stop(self) -> None:
        """No worker runs any more: what is or becomes ready is dropped, and its handle says so."""
        self.stopped = True
        self.sweep()

    def sweep(self) -> None:
        # A poster may be slow: the worker of the lane it chose is gone, but the lane is there.
        for lane in self.homes:
            while lane.ready:
                try:
                    color = lane.ready.popleft()
                except IndexError:
                    break
                drop_all(color, "shut down", inner=True)


def _no_runtime() -> None:
    return None


def _nobody_takes(color: ColorQueue, handle: Handle) -> None:
    raise InternalError(f"{handle!r} of {color!r} is for a slot, and this runtime has none")


def drop_all(color: ColorQueue, why: str, *, inner: bool = False) -> None:
    """Drop the callbacks queued in a color; their handles say why.

    Those of its own asyncio loop only if ``inner``: coroutines need them to end. The handles are
    emptied where they are, so this may happen beside a turn of the color.
    """
    # In this order: a turn beside this moves items from the one to the other.
    for queue in (color._queue, color._aside):
        for handle in _copy(queue) if queue else ():
            if inner or not handle.inner:
                handle._drop(why)


def _copy(queue: deque[Handle]) -> list[Handle]:
    """What is in a queue, beside a turn of its color."""
    while True:
        try:
            return list(queue)
        except RuntimeError:
            continue  # on free-threaded builds: it changed meanwhile
