"""Worker threads: each runs laps over its ready colors; an idle one polls or sleeps."""

from __future__ import annotations

from itertools import count as counter
from typing import TYPE_CHECKING, Any

from colorsched.core.policy import (
    SECONDS_BETWEEN_POLLS,
    TURNS_BETWEEN_POLLS,
    lagging,
    next_lap,
)
from colorsched.core.turn import run_turns
from colorsched.executors.monitor import Monitor
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.core.scheduler import Lane, Scheduler
    from colorsched.ports import Doors, Parker
    from colorsched.sources.hub import Hub

#: A spare worker that nobody needed for this many seconds ends.
SPARE_SECONDS = 5.0

#: How long a worker pauses after a failure of its own, so that a lasting one does not fill the log.
PAUSE_SECONDS = 0.05


class Workers:
    """The threads of one runtime: ``count`` of them, plus spares up to ``most``.

    ``rested`` is called by a worker that has gone to sleep, to find out whether all is quiet.
    """

    def __init__(
        self,
        doors: Doors,
        scheduler: Scheduler,
        hub: Hub,
        *,
        count: int,
        most: int,
        rested: Callable[[], None],
        failed: Callable[[BaseException], None],
        began: Callable[[], None],
    ) -> None:
        self._doors = doors
        self._scheduler = scheduler
        self._hub = hub
        self.count = count
        self.most = most
        self._rested = rested
        self._failed = failed
        self._began = began
        self._lead = doors.lock()
        """Held by the one worker that polls."""
        self._leading = False
        self._ending = False
        self._names = counter(1)
        self.threads: list[Any] = []
        self.monitor = Monitor(doors, scheduler, self)

    def start(self) -> None:
        lanes = [self._add_lane(spare=False) for _ in range(self.count)]
        for lane, parker in lanes:
            self._start(lane, parker)
        self.monitor.wake()

    def add_spare(self) -> None:
        """Let one more worker in: one from the reserve, else a new thread."""
        lane = self._scheduler.let_in()
        if lane is not None:
            lane.wake()
        elif not self._ending:
            lane, parker = self._add_lane(spare=True)
            try:
                self._start(lane, parker)
            except RuntimeError:
                # There are no more threads to be had, or the interpreter exits: those that there
                # are go on, and the monitor will ask again.
                self._scheduler.remove_lane(lane)

    def is_led(self) -> bool:
        """Whether some worker waits for descriptors and timers now."""
        return self._leading

    def end(self) -> None:
        """Let every worker end after the lap it is in."""
        self._ending = True
        while self._scheduler.let_in() is not None:
            pass
        for lane in self._scheduler.lanes:
            lane.wake()
        self._hub.poller.wake()
        self.monitor.end()

    def join(self) -> None:
        """Wait for every thread, after :meth:`end`."""
        if self.monitor.thread is not None:
            self.monitor.thread.join()  # first: it starts others
        for thread in self.threads:
            thread.join()

    def after_fork(self) -> None:
        """In a forked child: if a worker forked, it is to end there after its callback."""
        self._ending = True

    def _add_lane(self, *, spare: bool) -> tuple[Lane, Parker]:
        parker = self._doors.parker()

        def wake() -> None:
            if lane.polls:
                self._hub.poller.wake()
            else:
                parker.unpark()

        lane = self._scheduler.add_lane(wake, spare=spare)
        return lane, parker

    def _start(self, lane: Lane, parker: Parker) -> None:
        name = f"colorsched-{'spare' if lane.spare else 'worker'}-{next(self._names)}"
        if lane.spare:  # spares that have ended are not kept for the join at the end
            self.threads = [thread for thread in self.threads if thread.is_alive()]
        self.threads.append(self._doors.thread(lambda: self._run(lane, parker), name))

    # -- a worker's life ----------------------------------------------------------------------

    def _run(self, lane: Lane, parker: Parker) -> None:
        here.lane = lane
        lane.thread = self._doors.thread_id()
        scheduler = self._scheduler
        try:
            self._began()
            while not self._ending and self._safe_round(lane, parker):
                pass
        finally:
            here.lane = None
            scheduler.remove_lane(lane)

    def _safe_round(self, lane: Lane, parker: Parker) -> bool:
        """A round; whatever goes wrong in it is told, and the worker goes on.

        Callbacks' failures do not come here, so this is a bug of ours, or the machine's end (no
        memory, no descriptors). A worker that ended by it would leave its colors to nobody.
        """
        try:
            return self._round(lane, parker)
        except BaseException as error:  # noqa: BLE001 - see above
            self._failed(error)
            self._scheduler.recover(lane)
            parker.park(PAUSE_SECONDS)
            return True

    def _round(self, lane: Lane, parker: Parker) -> bool:
        """Run what is ready, or rest. False: this worker is to end.

        At most one park a round: the wake-up of ``end`` is remembered only once.
        """
        if lane.stuck:
            self._scheduler.count_in(lane)
        if lane.spare and self._scheduler.make_way(lane, self.count):
            return self._stand_by(lane, parker)
        if lane.ready or self._scheduler.steal(lane):
            self._lap(lane)
            return True
        return self._rest(lane, parker)

    def _lap(self, lane: Lane) -> None:
        """Give every color that is ready now in this lane one turn."""
        scheduler = self._scheduler
        clock = self._doors.clock
        lanes = scheduler.lanes
        if len(lanes) > 1:
            lane.lap = next_lap(lane, lanes)
            if scheduler.sleepers and len(lane.ready) > 1:
                scheduler.wake_one()
            for victim in lagging(lane, lanes):
                self._help(lane, victim)
        left = len(lane.ready)
        while left > 0 and not lane.stuck:
            most = min(left, TURNS_BETWEEN_POLLS)
            before = lane.turns
            run_turns(lane, most, clock, lane.polled + SECONDS_BETWEEN_POLLS)
            if lane.turns == before:
                break  # stolen, all of it
            # Whatever is stolen meanwhile shortens the lap: a color that comes again gets no more.
            left = min(left - (lane.turns - before), len(lane.ready))
            self._poll_if_due(lane)

    def _help(self, lane: Lane, victim: Lane) -> None:
        """Give every color that is ready now in another lane one turn.

        No more: that one may get new ones as fast as we run them, and ours wait.
        """
        for _ in range(len(victim.ready)):
            if lane.stuck or not self._scheduler.help_laggard(lane, victim):
                return
            run_turns(lane, 1, self._doors.clock, 0.0)
            self._poll_if_due(lane)

    def _poll_if_due(self, lane: Lane) -> None:
        """Look at the sources without waiting, if a busy worker has not for a while."""
        now = self._doors.clock()
        if now < lane.polled + SECONDS_BETWEEN_POLLS:
            return
        lane.polled = now
        if self._lead.acquire(blocking=False):
            try:
                self._hub.deliver(self._hub.look())
            finally:
                self._lead.release()

    def _rest(self, lane: Lane, parker: Parker) -> bool:
        """Nothing is ready: poll, if nobody does, or sleep. False: a spare that may end."""
        if not lane.found:
            # What we last woke for was posted by another thread, which may well post more now.
            # To sleep at once would have it wake us, at some cost to both, for every callback.
            self._doors.relax(lane.ready.__len__)
            if lane.ready:
                return True
        if self._lead.acquire(blocking=False):
            try:
                self._lead_on(lane)
            finally:
                self._leading = False
                self._lead.release()
        elif self._scheduler.fall_asleep(lane, polls=False):
            lane.parks += 1
            self._rested()
            woken = parker.park(SPARE_SECONDS if lane.spare else None)
            lane.found = False
            if not self._scheduler.wake_up(lane) and not woken:
                return False
        if self.monitor.resting:
            self.monitor.wake()
        self._pass_on(lane)
        return True

    def _lead_on(self, lane: Lane) -> None:
        hub = self._hub
        lane.polled = self._doors.clock()
        if lane.found and hub.deliver(hub.look()):
            # The descriptors keep us busy: no need to say that we sleep.
            return
        lane.polls = True
        self._leading = True
        if not self._scheduler.fall_asleep(lane, polls=True):
            lane.polls = False
            return
        lane.parks += 1
        self._rested()
        try:
            events = () if self._ending else hub.wait()
        finally:
            self._scheduler.wake_up(lane)
            lane.polls = False
        lane.found = bool(events)
        if events:
            # The lap that follows has its time from now on, however long the wait was. A poll in
            # its middle reports again every descriptor that it has yet to come to.
            lane.polled = self._doors.clock()
        hub.deliver(events)

    def _pass_on(self, lane: Lane) -> None:
        """A worker that has just woken wakes the next one, if there is work for two."""
        scheduler = self._scheduler
        if scheduler.sleepers and (
            len(lane.ready) > 1 or any(x.ready for x in scheduler.lanes if x is not lane)
        ):
            scheduler.wake_one()

    def _stand_by(self, lane: Lane, parker: Parker) -> bool:
        """A spare worker that made way waits to be let in again. False: it was not, and ends."""
        lane.parks += 1
        self._rested()
        parker.park(SPARE_SECONDS)
        if self.monitor.resting:
            self.monitor.wake()
        # Not by what ``park`` says: a wake-up may be an old one, with nobody having let us in.
        return not self._scheduler.leave_reserve(lane)
