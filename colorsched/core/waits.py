"""Who waits for which work: circles are found as they close.

The nodes of the graph are what can be waited *by*: a hold (not its color: that goes on when the
hold has ended), a spawned coroutine, and a color stalled by a callback that blocks its thread. An
edge leads from a node to the work it waits for, and from work to the nodes without which it cannot
be done (``Awaited.needs``): work not yet started, or holding its color, needs that color's holder
to go on; a spawned coroutine under way needs itself to; nothing of a stalled color goes on at all.
A node that waits goes on only when all the work it waits for is done, so a circle of edges is a
deadlock, and every deadlock among waits that are entered here is a circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from colorsched.errors import ColorDeadlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from colorsched.core.queue import ColorQueue
    from colorsched.ports import Lock


@frozen
class Stalled:
    """A color as the node that a callback makes which blocks in it."""

    color: ColorQueue


class Node(Protocol):
    """What waits: a hold, a spawned coroutine's future, or a stalled color."""

    @property
    def color(self) -> ColorQueue:
        """The color it belongs to."""
        ...


class Awaited(Node, Protocol):
    """Work that somebody waits for, and itself a node if it waits in its turn."""

    def needs(self) -> Iterable[Node]:
        """The nodes that must go on for this work to be done; none once it is done."""
        ...


class WaitGraph:
    """The edges there are now. Thread-safe."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._edges: dict[Node, list[Awaited]] = {}

    def enter(self, waiter: Node, work: Awaited, advice: str) -> None:
        """``waiter`` waits for ``work`` from now on.

        Raises:
            ColorDeadlock: that would close a circle. Nothing is entered then.

        """
        with self._lock:
            path = self._path(work, waiter)
            if path is None:
                self._edges.setdefault(waiter, []).append(work)
                return
        raise ColorDeadlock([waiter.color.key, *path], advice)

    def after_fork(self, lock: Lock) -> None:
        """In a forked child: nobody waits, and the old lock may be taken for ever."""
        self._lock = lock
        self._edges.clear()

    def leave(self, waiter: Node, work: Awaited) -> None:
        """It does not wait any more."""
        with self._lock:
            works = self._edges[waiter]
            works.remove(work)
            if not works:
                del self._edges[waiter]

    def _path(self, work: Awaited, goal: Node) -> Sequence[object] | None:
        """The keys of the colors on the way from ``work`` to ``goal``, or None if there is none."""
        paths: list[tuple[Awaited, list[object]]] = [(work, [])]
        seen: set[Awaited] = {work}
        while paths:
            here, keys = paths.pop()
            keys = [*keys, here.color.key]
            for node in here.needs():
                if node == goal:
                    return keys
                for further in self._edges.get(node, ()):
                    if further not in seen:
                        seen.add(further)
                        paths.append((further, keys))
        return None
