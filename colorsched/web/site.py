"""What all connections of one listener share: limits, handler, counters, the register of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from colorsched.web.tally import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.web.accesslog import AccessLog
    from colorsched.web.config import Timeouts
    from colorsched.web.connection import ClientConnection, Handler
    from colorsched.web.exchange import Exchange
    from colorsched.web.heads import Heads, Known, Ready
    from colorsched.web.http1 import Limits
    from colorsched.web.tally import Tallies


class Site:
    """Immutable after its making, but for the register, each of whose steps is one atomic one."""

    __slots__ = (
        "_connections", "_emptied", "handler", "heads", "leaving", "limits", "log", "quick",
        "tallies", "timeouts",
    )  # fmt: skip

    def __init__(
        self,
        *,
        handler: Handler,
        heads: Heads,
        limits: Limits,
        timeouts: Timeouts,
        tallies: Tallies,
        log: AccessLog | None = None,
        quick: Callable[[ClientConnection, Known], None] | None = None,
    ) -> None:
        """`quick` is tried first, in the key's color, for requests with a ready answer."""
        self.handler: Final = handler
        self.heads: Final = heads
        self.limits: Final = limits
        self.timeouts: Final = timeouts
        self.tallies: Final = tallies
        self.log: Final = log
        self.quick: Final = quick
        self.leaving = False
        self._connections: dict[ClientConnection, None] = {}
        self._emptied: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def buffered(self) -> int:
        """Bytes that clients sent ahead and that wait here."""
        return sum(connection.buffered for connection in self._connections.copy())

    @property
    def unsent(self) -> int:
        """Bytes of answers that wait for slow clients."""
        return sum(connection.unsent for connection in self._connections.copy())

    def note_hit(self, peer: str, known: Known, ready: Ready, seconds: float) -> None:
        """Count and log a request that was answered by a ready answer."""
        tally = self.tallies.mine.tally
        tally.hits += 1
        tally.sent += ready.sent
        tally.latency[min(int(seconds * 1e6).bit_length(), BUCKETS - 1)] += 1
        tally.requests += 1  # last: whoever finds it counted finds the rest of its figures
        if self.log is not None:
            request = known.head.request
            self.log.add((time.time(), peer, request, ready.status, ready.sent, "hit", seconds))

    def note(self, peer: str, exchange: Exchange, seconds: float) -> None:
        """Count and log any other request that is over."""
        tally = self.tallies.mine.tally
        tally.sent += exchange.sent
        tally.latency[min(int(seconds * 1e6).bit_length(), BUCKETS - 1)] += 1
        if exchange.label == "hit":
            tally.hits += 1
        elif exchange.known.bypass is not None:
            tally.passes += 1
        else:
            tally.misses += 1
        tally.requests += 1  # last, as above
        if self.log is not None:
            self.log.add(
                (
                    time.time(),
                    peer,
                    exchange.request,
                    exchange.status,
                    exchange.sent,
                    exchange.label,
                    seconds,
                )
            )

    def note_refusal(self, peer: str, status: int, sent: int) -> None:
        """Count and log what was no request, and was answered with an error."""
        self.tallies.mine.tally.errors += 1
        if self.log is not None:
            self.log.add((time.time(), peer, None, status, sent, "-", 0.0))

    def came(self, connection: ClientConnection) -> None:
        """A connection was accepted."""
        self._connections[connection] = None

    def gone(self, connection: ClientConnection) -> None:
        """A connection is closed."""
        self._connections.pop(connection, None)
        if self.leaving and not self._connections and self._emptied is not None:
            self._emptied()

    def expire(self) -> None:
        """Tell the connections whose deadline has passed."""
        now = time.monotonic()
        for connection in self._connections.copy():
            if connection.deadline <= now:
                connection.color.post(connection.expired)

    def leave(self, emptied: Callable[[], None]) -> None:
        """Ask every connection to end after its answer; `emptied` is called when none is left.

        It may be called more than once, in any color.
        """
        self._emptied = emptied
        self.leaving = True
        for connection in self._connections.copy():
            connection.color.post(connection.leave)
        if not self._connections:
            emptied()

    def abort(self) -> None:
        """Cut every connection."""
        for connection in self._connections.copy():
            connection.color.post(connection.abort)
