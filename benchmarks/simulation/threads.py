"""The threads of a runtime in simulated time: workers, posters, and the network behind the poller.

They read as ``executors.threads`` does, with seconds yielded where that one computes.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from benchmarks.simulation.engine import GIVE_WAY, Engine, LockedEngine
from benchmarks.simulation.lanes import Lane, Lanes, callbacks_a_turn
from benchmarks.simulation.loads import Load, Source
from benchmarks.simulation.outcome import Outcome, Spent
from colorsched.core.policy import SECONDS_BETWEEN_POLLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.simulation.costs import Costs
    from benchmarks.simulation.engine import Asking, Thread


STORM = 10
"""A run ends early after so many steals a callback: it has shown that colors are stolen from
thieves over and over before they run."""


class Simulation:
    """One load on so many workers."""

    def __init__(
        self,
        load: Load,
        costs: Costs,
        *,
        workers: int,
        cores: int | None = None,
        crowding: float = 1.0,
        seed: int = 1,
        guarded: bool = False,
        to_the_end: bool = False,
    ) -> None:
        """``guarded``: as if nobody could steal from a thief the color that it will run first.

        ``to_the_end``: even if colors are stolen over and over; see ``STORM``.
        """
        self._load = load
        self._guarded = guarded
        self._storm = math.inf if to_the_end else STORM * load.callbacks
        self._costs = costs
        if costs.gil:
            self._engine: Engine = LockedEngine(interval=costs.interval, switch=costs.switch)
        else:
            many = workers + load.posters + 1
            self._engine = Engine(cores=cores or many, crowding=crowding)
        keys = load.keys(seed)
        pending = [0] * load.colors
        if load.source is Source.CHAINS:
            for key in keys:
                pending[key] += 1
        self._lanes = Lanes(self._engine, costs, workers=workers, pending=pending, seed=seed)
        self._keys = keys
        self._hops = iter(keys)
        self._most = callbacks_a_turn(load.seconds + costs.callback)
        self._left = load.callbacks
        self._owned = [0.0] * load.colors
        """Seconds of each color's turns."""
        self._posting = 0.0
        self._requests: deque[tuple[float, int]] = deque()
        """What clients will ask, and when."""
        self._arrived: deque[int] = deque()
        self._network: Thread | None = None
        self._network_sleeps = False
        self._leader: Lane | None = None

    def run(self) -> Outcome:
        """Run to the last callback."""
        engine, lanes = self._engine, self._lanes
        for lane in lanes.lanes:
            lane.thread = self._work(lane)
            engine.start(lane.thread)
        self._begin()
        engine.run()
        if self._left and not self._engine.stopped:
            raise RuntimeError(f"the model came to rest with {self._left} callbacks left")
        return self._outcome()

    def _begin(self) -> None:
        """What is there at the start: posters, the first callbacks, or the first requests."""
        load, engine, lanes = self._load, self._engine, self._lanes
        if load.source is Source.POSTERS:
            for number in range(load.posters):
                engine.start(self._post(self._keys[number :: load.posters]))
        elif load.source is Source.CHAINS:
            for color, waiting in enumerate(lanes.pending):
                if waiting:
                    lanes.ready_at_home(color)
        elif load.source is Source.HOPS:
            for _ in range(min(load.tokens, load.callbacks)):
                color = next(self._hops)
                lanes.pending[color] += 1
                if lanes.idle[color]:
                    lanes.ready_at_home(color)
        else:
            self._requests.extend((0.0, next(self._hops)) for _ in range(load.colors))
            self._network = self._serve()
            engine.start(self._network)

    # -- a worker's life ----------------------------------------------------------------------

    def _work(self, lane: Lane) -> Thread:
        lanes = self._lanes
        while True:
            if lane.ready or (len(lanes.lanes) > 1 and (yield from self._steal(lane))):
                yield from self._lap(lane)
                continue
            yield from self._rest(lane)

    def _steal(self, lane: Lane) -> Asking:
        """Look at the other lanes, one after the other, and take from the first with a color."""
        lanes, costs = self._lanes, self._costs
        count = len(lanes.lanes)
        looked = 0
        while looked < count:
            found = lanes.next_victim(lane, looked)
            yield self._search(lane, (found - looked) * costs.seek)
            looked = found
            if looked < count and (taken := lanes.steal(lane, looked)):
                if lanes.steals > self._storm:
                    self._engine.stopped = True
                color = lanes.take(lane) if self._guarded else None
                yield self._search(lane, taken * costs.steal)
                if color is not None:
                    yield from self._turn(lane, color)
                return True
        return False

    @staticmethod
    def _search(lane: Lane, seconds: float) -> float:
        lane.search += seconds
        return seconds

    def _lap(self, lane: Lane) -> Thread:
        lanes, costs = self._lanes, self._costs
        count = len(lanes.lanes)
        if count > 1:
            # Meanwhile others may steal what is ready here: even what this one has just stolen.
            yield self._search(lane, costs.lap + count * costs.look)
            laggards = lanes.begin_lap(lane)
            if lanes.sleepers and len(lane.ready) > 1:
                waking = lanes.wake_one()
                lane.sleep += waking
                yield waking
            for victim in laggards:
                for _ in range(len(victim.ready)):
                    if not victim.ready:
                        break
                    lanes.steals += 1
                    color = lanes.take(victim)
                    yield self._search(lane, costs.steal)
                    yield from self._turn(lane, color)
        left = len(lane.ready)
        while left > 0 and lane.ready:
            yield from self._turn(lane, lanes.take(lane))
            left = min(left - 1, len(lane.ready))
            if self._engine.now >= lane.polled + SECONDS_BETWEEN_POLLS:
                yield from self._look(lane)

    def _turn(self, lane: Lane, color: int) -> Thread:
        lanes, load, costs = self._lanes, self._load, self._costs
        pending = lanes.pending
        each = costs.callback
        if load.source in {Source.CHAINS, Source.HOPS}:
            each += costs.post_inside
        begun = self._engine.now
        ran = 0
        overhead = costs.turn
        while True:
            count = min(pending[color], self._most - ran)
            pending[color] -= count
            ran += count
            work = count * load.seconds
            overhead += count * each
            sharing = lanes.share(count, costs.sharing) if costs.sharing else 0.0
            lane.work += work
            lane.turns += overhead
            lane.sharing += sharing
            yield overhead + work + sharing
            overhead = 0.0
            self._finish(lane, color, count)
            if not pending[color] or ran >= self._most:
                break
        self._owned[color] += self._engine.now - begun
        if pending[color]:
            lanes.put(lane, color)
        else:
            lanes.idle[color] = True

    def _finish(self, lane: Lane, color: int, count: int) -> None:
        """So many callbacks of a color have run: what follows from them."""
        load, lanes = self._load, self._lanes
        self._left -= count
        if not self._left:
            self._engine.stopped = True
        if load.source is Source.HOPS:
            for _ in range(count):
                following = next(self._hops, None)
                if following is not None:
                    lanes.pending[following] += 1
                    if lanes.idle[following]:
                        lanes.idle[following] = False
                        lanes.ready_inside(lane, following)
        elif load.source is Source.DESCRIPTORS:
            for _ in range(count):
                if next(self._hops, None) is not None:
                    self._requests.append((self._engine.now + load.think, color))
            if self._network_sleeps and self._requests:
                assert self._network is not None
                self._network_sleeps = False
                self._engine.wake(self._network, self._requests[0][0] - self._engine.now)

    def _rest(self, lane: Lane) -> Thread:
        lanes, costs = self._lanes, self._costs
        if not lane.found:
            lane.sleep += costs.spin
            yield GIVE_WAY if costs.gil else costs.spin
            if lane.ready:
                return
        leads = not lanes.led
        if leads:
            lanes.led = True
            lane.polled = self._engine.now
            if lane.found and (yield from self._deliver(lane)):
                lanes.led = False
                return
            self._leader = lane
        seconds = lanes.enter_sleepers(lane, polls=leads)
        lane.locked += seconds
        yield seconds
        found = lanes.any_ready() or (leads and self._arrived)
        if not found and lane in lanes.sleepers:
            lane.parked = True
            yield None
        seconds = lanes.leave_sleepers(lane)
        lane.locked += seconds
        yield seconds
        if leads:
            self._leader = None
            lane.found = bool(self._arrived)
            yield from self._deliver(lane)
            lanes.led = False
        else:
            lane.found = False
        waking = lanes.pass_on(lane)
        lane.sleep += waking
        if waking:
            yield waking

    # -- descriptors --------------------------------------------------------------------------

    def _look(self, lane: Lane) -> Thread:
        """A busy worker looks at the descriptors, if nobody is there."""
        lane.polled = self._engine.now
        if not self._lanes.led:
            self._lanes.led = True
            yield from self._deliver(lane)
            self._lanes.led = False

    def _deliver(self, lane: Lane) -> Asking:
        """Post the callbacks of the descriptors that are ready now, into this worker's lane."""
        found = [self._arrived.popleft() for _ in range(len(self._arrived))]
        seconds = self._costs.poll
        lane.polling += seconds
        yield seconds
        for color in found:
            lane.polling += self._costs.deliver
            yield self._costs.deliver
            self._lanes.pending[color] += 1
            if self._lanes.idle[color]:
                self._lanes.idle[color] = False
                self._lanes.put(lane, color)
        if found and self._lanes.sleepers and len(lane.ready) > 1:
            waking = self._lanes.wake_one()
            lane.sleep += waking
            yield waking
        return bool(found)

    def _serve(self) -> Thread:
        """The clients: not threads of ours, so they take no processor."""
        engine, requests = self._engine, self._requests
        while True:
            while requests and requests[0][0] <= engine.now:
                self._arrived.append(requests.popleft()[1])
            leader = self._leader
            if self._arrived and leader is not None and leader.parked:
                self._lanes.answer(leader)
            if requests:
                yield engine.now - requests[0][0]
            else:
                self._network_sleeps = True
                yield None

    # -- posters ------------------------------------------------------------------------------

    def _post(self, keys: Sequence[int]) -> Thread:
        lanes, costs, load = self._lanes, self._costs, self._load
        pending, idle = lanes.pending, lanes.idle
        for number, color in enumerate(keys, 1):
            seconds = costs.post + (lanes.share(1, costs.post_sharing) if costs.post_sharing else 0)
            self._posting += seconds
            yield seconds
            pending[color] += 1
            if idle[color]:
                idle[color] = False
                seconds, give_way = lanes.ready_from_outside(color)
                self._posting += seconds
                yield seconds
                if give_way and costs.gil:
                    yield GIVE_WAY
            if load.burst and not number % load.burst:
                yield -load.pause

    # -- the end ------------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        load, lanes = self._load, self._lanes
        seconds = self._engine.now
        spent = Spent.of(lanes.lanes, seconds=seconds)
        busy = {
            "hottest color": max(self._owned) / seconds,
            "scheduler's lock": lanes.lock.busy / seconds,
            "shared cache line": lanes.line.busy / seconds,
        }
        if load.source is Source.POSTERS:
            busy["posters"] = self._posting / seconds / load.posters
        if load.source is Source.DESCRIPTORS:
            busy["poller"] = spent.polling / seconds
        if isinstance(self._engine, LockedEngine):
            busy["GIL"] = self._engine.held / seconds
        return Outcome(
            label=load.label,
            workers=len(lanes.lanes),
            callbacks=load.callbacks - self._left,
            seconds=seconds,
            spent=spent,
            busy=busy,
            steals=lanes.steals,
            wakes=lanes.wakes,
        )
