"""The numbers and small decisions of scheduling, kept off the hot path.

The constants are guesses that measured well on small machines; none of them is part of the
contract except through :func:`fairness_bound`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colorsched.core.scheduler import Lane

#: A turn ends after this many callbacks ...
CALLBACKS_PER_TURN = 64

#: ... or at the first look at the clock after this many seconds. The clock is looked at after 2, 4,
#: 8, ... callbacks, so a turn of equally long callbacks overruns by at most its own length.
TURN_SECONDS = 0.001

#: A worker looks at the clock before every so many turns, besides.
LOOK_EVERY = 4

#: The stretches between two looks at the clock. Tuples, since iterating one is cheapest.
STRETCHES = tuple((None,) * n for n in (2, 2, 4, 8, 16, 32))

#: A busy worker looks at descriptors and timers after this many turns ...
TURNS_BETWEEN_POLLS = 32

#: ... or after this many seconds, whichever comes first.
SECONDS_BETWEEN_POLLS = 0.002

#: How many laps a worker may be ahead of another that has colors waiting, before it helps there.
LAPS_AHEAD = 16

#: At most this many colors move in one steal.
STEAL_MOST = 16

#: A thread that posts from outside gives way after every so many colors that wait in one lane.
POSTED_AHEAD = 256

#: So many idle colors a busy worker keeps alive.
RECENT = 1024

#: Nested ``dispatch`` calls run at once down to this depth, then they are posted.
DISPATCH_DEPTH = 16


def fairness_bound(workers: int) -> int:
    """How many turns another color may take while one color is ready and waits.

    A color waits at most two laps of its worker (the one under way and the next). Every other
    worker begins its laps within ``LAPS_AHEAD`` before or after that one's. In a lap a color gets
    one turn; and one more before it, if it is among those of a worker that must be helped. That
    holds while workers run; one that is stuck again and again, lap after lap, adds a lap each.
    """
    return workers * 2 * (2 * LAPS_AHEAD + 4)


def next_lap(lane: Lane, lanes: Iterable[Lane]) -> int:
    """The number of the lap that ``lane`` begins now.

    Who fell behind, in a long turn, does not catch up lap by lap: it could run as many laps as it
    is behind, while colors of those ahead wait.
    """
    return max(lane.lap, max(other.lap for other in lanes) - LAPS_AHEAD) + 1


def lagging(lane: Lane, lanes: Iterable[Lane]) -> list[Lane]:
    """The workers that ``lane`` must help as it begins a lap."""
    limit = lane.lap - LAPS_AHEAD
    return [other for other in lanes if other.lap < limit and other.ready and other is not lane]


def stable_hash(key: object) -> int:
    """A hash that is the same in every process, for keys made of text, bytes and numbers.

    Keys that are equal have the same one. Of other keys it is Python's own hash, which may be
    another in each process.
    """
    if isinstance(key, str):
        return crc32(key.encode("utf-8", "surrogatepass"))
    if isinstance(key, bytes):
        return crc32(key)
    if isinstance(key, tuple):
        total = len(key)
        for part in key:
            total = (total * 1_000_003 + stable_hash(part)) & 0xFFFF_FFFF
        return total
    return hash(key) if key is not None else 0


def steal_count(waiting: int) -> int:
    """How many of a victim's ``waiting`` colors an idle worker takes: half, within bounds."""
    return min((waiting + 1) // 2, STEAL_MOST)


def spares_wanted(*, running: int, stuck: int, ready: int, most: int) -> int:
    """How many more workers to let in.

    None while somebody who may run is not stuck: that one will get to the waiting colors. When
    all are stuck, as many as are stuck (so that a crowd of blocking callbacks is met in a few
    steps, and a single long computation does not fill the machine with threads), but no more than
    there are colors waiting, or threads allowed; and one even if no color waits: when everybody
    is stuck, nobody looks at descriptors and timers.
    """
    if running:
        return 0
    return max(0, min(max(1, ready), stuck, most - stuck))
