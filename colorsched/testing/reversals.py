"""Which two segments of a run could have come in the other order, and what that would need.

Used by ``testing.verification``, which says why this is what has to be tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.testing.segments import Segment, Segments, conflict

if TYPE_CHECKING:
    from collections.abc import Sequence


class Order:
    """What happened before what in one run: what must, and what conflicts, in the order it had."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._all = segments.all
        self._past: list[int] = []
        """By index: the segments that come before it, as bits."""
        self.pairs: list[tuple[Segment, Segment]] = []
        """Those that conflict."""
        for segment in self._all:
            self._past.append(self._add(segment))

    def _add(self, segment: Segment) -> int:
        past = segment.must
        if segment.footprint:
            for other in self._all[: segment.index]:
                if other.footprint and conflict(other.footprint, segment.footprint):
                    self.pairs.append((other, segment))
                    past |= other.bit
        return self._closed(past)

    def _closed(self, past: int) -> int:
        """With all that comes before any of them."""
        closed = past
        while past:
            index = past.bit_length() - 1
            closed |= self._past[index]
            past &= ~(self._past[index] | 1 << index)
        return closed

    def reversible(self) -> list[tuple[Segment, Segment]]:
        """The conflicting pairs that might be the other way around, with nothing in between."""
        return [
            (first, then)
            for first, then in self.pairs
            if not then.must >> first.index & 1 and not self._between(first, then)
        ]

    def _between(self, first: Segment, then: Segment) -> bool:
        """Whether something comes after the one and before the other."""
        return any(
            self._past[then.index] >> index & 1 and self._past[index] >> first.index & 1
            for index in range(first.index + 1, then.index)
        )

    def signature(self) -> int:
        """Tells runs apart that differ in the order of conflicting callbacks."""
        return hash(frozenset((one.lineage, other.lineage) for one, other in self.pairs))

    def lift(self, first: Segment, then: Segment) -> tuple[Segment, list[Segment]] | None:
        """Whom to put off, and what to run before it, to turn a pair round; None: it must be so."""
        staying = first.bit
        while True:
            found = self._needed(first, then, staying)
            if isinstance(found, list):
                return first, found
            blocker, blocked = found
            pair = self._posters(blocker, blocked)
            if pair is not None:
                first, then = pair
                staying = first.bit
            elif blocked is then or self._past[then.index] >> blocked.index & 1:
                return None
            else:
                staying |= blocked.bit  # only its place in the queue is before ``then``

    def _posters(self, blocker: Segment, blocked: Segment) -> tuple[Segment, Segment] | None:
        """Whose posts gave two callbacks of a color their order; None: it cannot be otherwise."""
        blocker, blocked = (
            self._segments.placed(blocker, blocked),
            self._segments.placed(blocked, blocker),
        )
        one, other = self._segments.poster(blocker), self._segments.poster(blocked)
        if (
            one is None
            or other is None
            or blocker is blocked
            or one.index >= other.index
            or other.must >> one.index & 1
            or self._between(one, other)
        ):
            return None
        return one, other

    def _needed(
        self, first: Segment, then: Segment, staying: int
    ) -> list[Segment] | tuple[Segment, Segment]:
        """``then`` and what has to run before it, of what ran after ``first``, in order.

        Or else the two segments of one color of which the one that has to run stands behind the one
        that must not: one that stays (as bits: ``first``, at least), or what came after such.
        """
        past = self._past[then.index]
        needed = [then]
        last = {then.actor: then}
        """By actor: the earliest segment needed so far."""
        for segment in reversed(self._all[first.index : then.index]):
            if segment.idle:
                continue
            behind = last.get(segment.actor)
            stays = (self._past[segment.index] | segment.bit) & staying
            if behind is not None and stays:
                return segment, behind
            if stays or not (behind is not None or past >> segment.index & 1):
                continue
            needed.append(segment)
            past |= self._past[segment.index]
            last[segment.actor] = segment
        needed.reverse()
        return needed

    def is_initial(self, segment: Segment, needed: Sequence[Segment]) -> bool:
        """Whether nothing else that is needed has to run before."""
        for other in needed:
            if other is segment:
                return True
            if self._past[segment.index] >> other.index & 1 or other.actor == segment.actor:
                return False
        return True
