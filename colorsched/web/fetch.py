"""One request to the origin on behalf of all who want the same; owned by the key's color.

The first who asked (the leader) gets the answer as it arrives. Those who join wait, in order, until
it is complete and stored, and are then answered from the store's rules as everybody is. Where it
turns out that the answer cannot be stored, or is too large, or does not suit one of them, they go
on their own, all at once; and for a while nobody waits for that key.

While the answer is being stored it comes as fast as the origin sends, and a slow leader holds up
nobody: at most the largest storable object waits in memory. What is not stored flows no faster than
the leader takes it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import evolve

from colorsched.web import framing, rules
from colorsched.web.call import Call
from colorsched.web.directives import request_directives
from colorsched.web.messages import combined
from colorsched.web.status import cache_status
from colorsched.web.validation import unconditional_request
from colorsched.web.variants import secondary_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colorsched import Color
    from colorsched.web.cache import Cache
    from colorsched.web.exchange import Exchange
    from colorsched.web.http1 import ResponseHead
    from colorsched.web.messages import Request, Response
    from colorsched.web.stored import Stored

_NEARLY: Final = 256 * 1024
"""A fetch that nobody waits for any more goes on if no more bytes than this are missing."""
_ERRORS: Final = frozenset({500, 502, 503, 504})  # RFC 5861 4


class _State(Enum):
    ASKED = "asked"
    """No head yet."""
    STORING = "storing"
    """The body is collected, and sent to the leader as it comes."""
    PASSING = "passing"
    """The body is the leader's only."""
    IGNORING = "ignoring"
    """What comes concerns nobody: it was a 304, or was answered otherwise."""


class Fetch:
    """A request to the origin, from its sending to its answer's end."""

    __slots__ = (
        "_cache", "_call", "_chunks", "_followers", "_fwd", "_key", "_leader", "_length",
        "_request_time", "_response", "_response_time", "_size", "_state", "_stored", "color",
        "outdated", "request",
    )  # fmt: skip

    def __init__(
        self, cache: Cache, leader: Exchange, decision: rules.Miss | rules.Revalidate
    ) -> None:
        self.color: Final[Color] = leader.known.color
        self.request: Request = decision.request
        self.outdated = False
        """Whether an unsafe request meanwhile made its answer too old to be stored."""
        self._cache = cache
        self._key = leader.known.key
        self._leader: Exchange | None = leader
        self._followers: list[Exchange] = []
        self._fwd = decision.fwd
        self._stored = decision.stored if isinstance(decision, rules.Revalidate) else None
        self._state = _State.ASKED
        self._call: Call | None = None
        self._response: Response | None = None
        self._request_time = self._response_time = 0.0
        self._length: int | None = None
        self._chunks: list[bytes] = []
        self._size = 0

    def start(self) -> None:
        """Ask the origin."""
        assert self._leader is not None
        self._ask(self._leader.connection.peer)

    @property
    def waiting(self) -> int:
        """How many wait behind the leader."""
        return len(self._followers)

    def suits(self, request: Request, variants: Sequence[Stored]) -> bool:
        """Whether a request may wait for this answer: as far as is known, both get the same."""
        if self.outdated or self._state not in {_State.ASKED, _State.STORING}:
            return False
        if request_directives(self.request.fields).no_store:
            return False
        if self._response is not None:
            fields = self._response.fields
            return secondary_key(request, fields) == secondary_key(self.request, fields)
        names = {name for stored in variants for name, _ in stored.vary}
        return all(
            combined(request.fields, name) == combined(self.request.fields, name) for name in names
        )

    def join(self, exchange: Exchange) -> None:
        """Wait for the answer, behind those who wait already."""
        self._followers.append(exchange)

    def leave(self, exchange: Exchange) -> None:
        """A client is gone. Nobody left: give up, unless little is missing."""
        if exchange is self._leader:
            self._leader = None
        elif exchange in self._followers:
            self._followers.remove(exchange)
        else:
            return
        if self._leader is not None or self._followers:
            return
        missing = _NEARLY + 1
        if self._state is _State.STORING and self._length is not None and self._length >= 0:
            missing = self._length - self._size
        if self._state is _State.IGNORING or missing <= _NEARLY:
            return
        self._give_up()
        self._over()

    # What the origin's connection calls.

    def origin_ready(self, call: Call) -> None:
        """There is no body to send."""

    def origin_full(self, call: Call) -> None:
        """There is no body to send."""

    def origin_interim(self, call: Call, head: ResponseHead) -> None:
        """Early hints and the like go to the leader (RFC 9110 15.2)."""
        if call is self._call and self._leader is not None:
            connection = self._leader.connection
            raw = framing.interim_head(head.response)
            connection.color.dispatch(connection.interim, self._leader, raw)

    def origin_head(self, call: Call, head: ResponseHead) -> None:
        """Decide what to do with the answer."""
        if call is not self._call:
            return
        response, cache = head.response, self._cache
        now = self._response_time = cache.clock()
        self._response, self._length = response, head.length
        if self._stored is not None and response.status == 304:
            self._not_modified(response, now)
        elif response.status in _ERRORS and self._serve_stale(now) and self._leader is None:
            self._give_up()
            self._over()
        elif not self.outdated and self._is_storable(response, head.length):
            self._state = _State.STORING
            self._begin(now, stored=head.length is not None and head.length >= 0)
        elif self._leader is None:
            self._give_up()
            self._over()
        else:
            self._begin(now, stored=False)
            self._stop_storing()

    def origin_data(self, call: Call, data: bytes, *, last: bool) -> None:
        """A piece of the body."""
        if call is not self._call:
            return
        leader = self._leader
        if self._state is _State.STORING:
            self._chunks.append(data)
            self._size += len(data)
            if self._size > self._cache.settings.max_object:
                self._stop_storing()
            elif last:
                # Stored before the leader has it all, so that what it asks next is a hit.
                self._store()
            else:
                call.taken(len(data))  # when passing, the leader's connection confirms it
        if leader is not None and self._state is not _State.IGNORING:
            leader.connection.color.dispatch(leader.connection.data, leader, data)
        if last:
            self._end()

    def origin_end(self, call: Call) -> None:
        """The answer is complete."""
        if call is not self._call:
            return
        if self._state is _State.STORING:
            self._store()
        self._end()

    def _end(self) -> None:
        leader = self._leader
        if leader is not None and self._state is not _State.IGNORING:
            leader.connection.color.dispatch(leader.connection.end, leader)
        self._over()

    def origin_failed(self, call: Call, status: int, why: str) -> None:
        """There is no answer, or only a part of it."""
        if call is not self._call:
            return
        leader = self._leader
        if self._state is _State.ASKED:
            self._serve_stale(self._cache.clock())
            for exchange in self._everyone():
                self._cache.refuse(exchange, status, why, self._fwd)
            self._followers.clear()
        elif leader is not None:
            leader.connection.color.dispatch(leader.connection.cut, leader)
        self._over()

    # Steps.

    def _ask(self, peer: str) -> None:
        cache = self._cache
        self._request_time = cache.clock()
        self._state = _State.ASKED
        head = framing.request_head(
            self.request,
            length=0,
            client=peer,
            host=cache.settings.host,
            fallback=cache.pool.origin.authority,
        )
        self._call = Call(self, self.request.method, head)
        cache.pool.call(self._call)

    def _is_storable(self, response: Response, length: int | None) -> bool:
        if length is not None and length > self._cache.settings.max_object:
            return False
        return rules.may_store(self.request, response).ok

    def _is_for_nobody_else(self) -> bool:
        """Whether the answer itself forbids sharing, not only what this one client wished."""
        response, length = self._response, self._length
        assert response is not None
        most = self._cache.settings.max_object
        if self._size > most or (length is not None and length > most):
            return True
        return not rules.may_store(evolve(self.request, fields=()), response).ok

    def _begin(self, now: float, *, stored: bool) -> None:
        leader, response = self._leader, self._response
        if leader is None or response is None:
            return
        status = cache_status(
            framing.NAME, fwd=self._fwd, fwd_status=response.status, stored=stored
        )
        fields = framing.forwarded_fields(response, length=self._length, now=now)
        if self._cache.settings.cache_status:
            fields = (*fields, (b"cache-status", status))
        connection = leader.connection
        connection.color.dispatch(
            connection.begin,
            leader,
            response.with_fields(fields),
            self._length,
            self._fwd.value,
        )

    def _stop_storing(self) -> None:
        """The answer is for the leader alone; hold the origin to the leader's pace."""
        self._state = _State.PASSING
        self._chunks.clear()
        if self._is_for_nobody_else():
            self._cache.leave_alone(self._key, self._cache.clock())
        if self._leader is None:
            self._give_up()
            self._over()
            return
        if self._call is not None:
            connection = self._leader.connection
            connection.color.dispatch(connection.flow_from, self._leader, self._call)
        self._release()

    def _store(self) -> None:
        assert self._response is not None
        stored = rules.store_response(
            self.request,
            self._response,
            b"".join(self._chunks),
            request_time=self._request_time,
            response_time=self._response_time,
        )
        self._chunks.clear()
        if not self.outdated:
            self._cache.put(self._key, stored, self._stored)
        self._share(stored)

    def _share(self, stored: Stored) -> None:
        """Answer those who waited, as far as the rules let them use it; the others go alone."""
        now = self._cache.clock()
        status = cache_status(framing.NAME, fwd=self._fwd, collapsed=True)
        followers, self._followers = self._followers, []
        for exchange in followers:
            decision = rules.lookup(exchange.request, (stored,), now)
            if isinstance(decision, rules.Fresh):
                self._cache.answer_from(exchange, stored, now, status)
            else:
                self._go_alone(exchange)

    def _not_modified(self, response: Response, now: float) -> None:
        """RFC 9111 4.3.3, 4.3.4."""
        assert self._stored is not None
        new = rules.freshen(
            self.request,
            self._stored,
            response,
            request_time=self._request_time,
            response_time=now,
        )
        if new is None:
            # It speaks of something else: ask again, without conditions.
            self._stored = None
            self._response = None
            self.request = unconditional_request(self.request)
            self._ask(self._peer())
            return
        self._state = _State.IGNORING
        shared = rules.may_keep(self.request, new).ok
        if shared and not self.outdated:
            self._cache.put(self._key, new, self._stored)
        elif not self.outdated:  # else it is forgotten already, and what is there now is newer
            self._cache.forget(self._key)
        leader, self._leader = self._leader, None
        if leader is not None:
            ttl = rules.time_to_live(new, now)
            kept = shared and not self.outdated
            status = cache_status(framing.NAME, fwd=self._fwd, fwd_status=304, stored=kept, ttl=ttl)
            self._cache.answer_from(leader, new, now, status)
        if shared:
            self._share(new)
        else:
            self._release()

    def _serve_stale(self, now: float) -> bool:
        """Answer those who may have it with what is stored; False if nobody may."""
        stored = self._stored
        if stored is None:
            return False
        status = cache_status(
            framing.NAME,
            fwd=self._fwd,
            ttl=rules.time_to_live(stored, now),
            detail="stale-if-error",
        )
        served = [
            exchange
            for exchange in self._everyone()
            if rules.may_serve_stale_on_error(exchange.request, stored, now)
        ]
        for exchange in served:
            self._cache.answer_from(exchange, stored, now, status)
        if self._leader in served:
            self._leader = None
        self._followers = [one for one in self._followers if one not in served]
        return bool(served)

    def _everyone(self) -> list[Exchange]:
        first = [] if self._leader is None else [self._leader]
        return first + self._followers

    def _peer(self) -> str:
        everyone = self._everyone()
        return everyone[0].connection.peer if everyone else "unknown"

    def _give_up(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _release(self) -> None:
        """Let those who wait go on their own."""
        followers, self._followers = self._followers, []
        for exchange in followers:
            self._go_alone(exchange)

    def _go_alone(self, exchange: Exchange) -> None:
        exchange.solo = True
        self.color.post(self._cache.answer, exchange)

    def _over(self) -> None:
        """Nothing comes any more."""
        self._call = None
        self._leader = None
        self._release()
        self._retire()

    def _retire(self) -> None:
        running = self._cache.fetches.get(self._key)
        if running is not None and self in running:
            running.remove(self)
            if not running:
                del self._cache.fetches[self._key]
