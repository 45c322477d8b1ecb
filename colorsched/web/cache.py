"""The cache in front of one origin: looks up, collapses and stores, each key in its own color.

A request comes in its connection's color and goes on by `dispatch` to its key's: at once if the
key is idle, else in order. There `rules` decide, and a `Fetch` asks the origin for all who want
the same. What bypasses the cache is a `Passing` in the connection's color. The store's accounts
live in a color of their own.
"""

from __future__ import annotations

import weakref
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from colorsched.web import framing, rules
from colorsched.web.fetch import Fetch
from colorsched.web.fields import format_date
from colorsched.web.heads import Ready
from colorsched.web.messages import get, serialize_fields, without
from colorsched.web.passing import Passing
from colorsched.web.status import Forward, cache_status
from colorsched.web.store import Entry, Policy, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color
    from colorsched.web.config import Settings
    from colorsched.web.connection import ClientConnection
    from colorsched.web.exchange import Exchange
    from colorsched.web.heads import Known
    from colorsched.web.messages import Request
    from colorsched.web.origin import Pool
    from colorsched.web.stored import Stored

_READY_BODY: Final = 4096
"""Bodies up to this size are kept joined to their heads in a ready answer."""
ALONE_SECONDS: Final = 10.0
"""How long requests for a key are not collapsed after its answer turned out not to be storable."""
_SECRETS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


class Cache:
    """Answers requests from the store and the origin. One for all connections."""

    def __init__(
        self,
        settings: Settings,
        *,
        color: Callable[[Any], Color],
        pool: Pool,
        clock: Callable[[], float],
    ) -> None:
        """`color` makes colors; `clock` tells epoch seconds."""
        self.settings: Final = settings
        self.pool: Final = pool
        self.clock: Final = clock
        self.fetches: Final[dict[bytes, list[Fetch]]] = {}
        """Those under way; each list is touched only in its key's color."""
        self.policy: Final = Policy(capacity=settings.cache_size)
        self.policy_color: Final = color("store")
        self._color = color
        self._table = Table()
        self._alone: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._table)

    # In the connection's color.

    def handle(self, exchange: Exchange) -> None:
        """Answer a request."""
        known, request = exchange.known, exchange.request
        if request.method in {b"TRACE", b"OPTIONS"}:
            forwards = get(request.fields, b"max-forwards")
            if forwards is not None and forwards.isdigit():
                if not forwards.strip(b"0"):
                    self._answer_here(exchange)
                    return
                exchange.request = _one_hop_less(request, int(forwards.lstrip(b"0")[:9]))
        if known.bypass is not None:
            Passing(self, exchange, known.bypass).start()
            return
        exchange.answerer = self
        known.color.dispatch(self.answer, exchange)

    def client_gone(self, exchange: Exchange) -> None:
        """Its client went away: whoever fetches for it alone may stop."""
        exchange.known.color.dispatch(self._left, exchange)

    def invalidate(self, key: bytes) -> None:
        """Forget what is stored under `key`, and do not store what was asked already. Any color."""
        self._color(("key", key)).dispatch(self._invalidate, key)

    def _answer_here(self, exchange: Exchange) -> None:
        """Max-Forwards is 0: we are the last to receive it (RFC 9110 7.6.2, 9.3.7, 9.3.8)."""
        request = exchange.request
        now = self.clock()
        if request.method == b"OPTIONS":
            head = b"HTTP/1.1 204 No Content\r\nallow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n"
            exchange.connection.respond(exchange, 204, head, b"", "-")
            return
        fields = without(request.fields, _SECRETS)
        body = b"%b %b HTTP/%d.%d\r\n" % (request.method, request.target, *request.version)
        body += serialize_fields(fields) + b"\r\n"
        head = (
            b"HTTP/1.1 200 OK\r\ndate: %b\r\ncontent-type: message/http\r\ncontent-length: %d\r\n"
            % (format_date(now), len(body))
        )
        exchange.connection.respond(exchange, 200, head, body, "-")

    # In the key's color.

    def quick(self, connection: ClientConnection, known: Known) -> None:
        """Give the ready answer of `known`, if it still is what the rules would say."""
        entry = self._table.find(known.key)
        ready = known.ready
        if (
            entry is not None
            and ready is not None
            and ready.entry() is entry
            and ready.since <= self.clock() < ready.until
        ):
            entry.visited = True
            at = ready.variant
            body = None if at < 0 else entry.variants[at].body
            if connection.inside == get_ident():
                # We run inside the connection's own turn: its methods are ours to call.
                connection.quick_answer = True
                connection.quick(known, ready, body)
            else:
                connection.color.post(connection.quick, known, ready, body)
            return
        if connection.inside == get_ident():
            connection.quick_answer = False
        else:
            connection.color.post(connection.take_slowly, known)

    def answer(self, exchange: Exchange) -> None:
        """Look up and decide."""
        if exchange.gone:
            return
        try:
            self._decide(exchange)
        except Exception:
            # No time limit watches over a request that is being worked at: end it here.
            exchange.connection.color.post(exchange.connection.failed, exchange)
            raise

    def _decide(self, exchange: Exchange) -> None:
        key, request = exchange.known.key, exchange.request
        now = self.clock()
        entry = self._table.find(key)
        decision = rules.lookup(request, () if entry is None else entry.variants, now)
        if isinstance(decision, rules.Fresh):
            assert entry is not None
            self._hit(exchange, entry, decision.stored, now)
        elif isinstance(decision, rules.GatewayTimeout):
            why = "only a cached response was wanted, and there is none (only-if-cached)"
            self.refuse(exchange, 504, why, decision.fwd)
        elif request.method == b"HEAD":
            freshened = decision.stored if isinstance(decision, rules.Revalidate) else None
            after = None if freshened is None else partial(self._freshen_by_head, freshened)
            exchange.connection.color.dispatch(
                Passing(self, exchange, decision.fwd, afterwards=after).start
            )
        else:
            running = self.fetches.get(key)
            if running and not exchange.solo and self._may_collapse(exchange, now):
                variants = () if entry is None else entry.variants
                for fetch in running:
                    if fetch.suits(request, variants):
                        fetch.join(exchange)
                        return
            fetch = Fetch(self, exchange, decision)
            self.fetches.setdefault(key, []).append(fetch)
            fetch.start()

    def answer_from(self, exchange: Exchange, stored: Stored, now: float, status: bytes) -> None:
        """Answer with `stored`, and `status` as the Cache-Status member."""
        served = rules.serve(exchange.request, stored, now)
        connection = exchange.connection
        label = status.decode("ascii")
        connection.color.dispatch(
            connection.respond,
            exchange,
            served.status,
            served.head + self.status_line(status),
            served.body,
            _short(label),
        )

    def refuse(self, exchange: Exchange, status: int, why: str, fwd: Forward) -> None:
        """Answer with an error of our own. Any color."""
        said = cache_status(framing.NAME, fwd=fwd)
        head, body = framing.plain(status, why, now=self.clock(), extra=self.status_line(said))
        connection = exchange.connection
        connection.color.dispatch(connection.respond, exchange, status, head, body, fwd.value)

    def status_line(self, status: bytes) -> bytes:
        """The Cache-Status field line, if it is wanted."""
        return b"cache-status: %b\r\n" % status if self.settings.cache_status else b""

    def put(self, key: bytes, stored: Stored, replaces: Stored | None) -> bool:
        """Store; False if it is too large for the store."""
        previous = self._table.find(key)
        variants = () if previous is None else previous.variants
        entry = Entry(key, rules.with_variant(variants, stored, replaces=replaces))
        if entry.size > self.policy.largest:
            entry = Entry(key, (stored,))
            if entry.size > self.policy.largest:
                return False
        self._table.put(entry)
        self.policy_color.post(self._insert, entry, previous)
        self._alone.pop(key, None)
        return True

    def forget(self, key: bytes) -> None:
        """Drop what is stored under `key`."""
        entry = self._table.find(key)
        if entry is not None and self._table.drop(entry):
            self.policy_color.post(self.policy.remove, entry)

    def leave_alone(self, key: bytes, now: float) -> None:
        """The origin's answer for `key` cannot be shared: collapse nothing for a while."""
        if len(self._alone) > 10_000:
            self._alone.clear()
        self._alone[key] = now + ALONE_SECONDS

    def _may_collapse(self, exchange: Exchange, now: float) -> bool:
        """Whether to wait for a fetch of someone else: not if the request has wishes of its own."""
        return exchange.known.timeless and self._alone.get(exchange.known.key, 0.0) < now

    def _hit(self, exchange: Exchange, entry: Entry, stored: Stored, now: float) -> None:
        entry.visited = True
        known, request = exchange.known, exchange.request
        ttl = rules.time_to_live(stored, now)
        status = cache_status(framing.NAME, hit=True, ttl=ttl)
        if known.timeless:
            # Until the age has one more second nothing of the answer changes, but for freshness.
            served = rules.serve(request, stored, now)
            age = rules.current_age(stored, now)
            line = framing.connection_line(
                persistent=known.head.persistent, version=request.version
            )
            wire = served.head + self.status_line(status) + line + b"\r\n"
            joined = len(served.body) <= _READY_BODY
            known.ready = Ready(
                entry=weakref.ref(entry),
                since=now,
                until=min(stored.fresh_until, stored.born + age + 1),
                wire=wire + served.body if joined else wire,
                variant=-1 if joined else entry.variants.index(stored),
                status=served.status,
                sent=len(served.body),
            )
        self.answer_from(exchange, stored, now, status)

    def _freshen_by_head(
        self, stored: Stored, request: Request, response: Any, asked_at: float, now: float
    ) -> None:
        """A HEAD told of what is stored (RFC 9111 4.3.5). In any color."""
        key = rules.cache_key(request)
        self._color(("key", key)).dispatch(
            self._apply_head, key, stored, request, response, asked_at, now
        )

    def _apply_head(
        self,
        key: bytes,
        stored: Stored,
        request: Request,
        response: Any,
        asked_at: float,
        now: float,
    ) -> None:
        entry = self._table.find(key)
        if entry is None or stored not in entry.variants:
            return
        new = rules.freshen_by_head(
            request, stored, response, request_time=asked_at, response_time=now
        )
        if new is None or not rules.may_keep(request, new).ok or not self.put(key, new, stored):
            self.forget(key)

    def _left(self, exchange: Exchange) -> None:
        for fetch in tuple(self.fetches.get(exchange.known.key, ())):
            fetch.leave(exchange)

    def _invalidate(self, key: bytes) -> None:
        self.forget(key)
        for fetch in self.fetches.get(key, ()):
            fetch.outdated = True

    # In the store's color.

    def _insert(self, entry: Entry, previous: Entry | None) -> None:
        for victim in self.policy.insert(entry, replaces=previous):
            self._color(("key", victim.key)).post(self._table.drop, victim)


def _one_hop_less(request: Request, forwards: int) -> Request:
    """`request` with its Max-Forwards decremented (RFC 9110 7.6.2)."""
    fields = without(request.fields, {b"max-forwards"})
    return evolve(request, fields=(*fields, (b"max-forwards", b"%d" % (forwards - 1))))


def _short(status: str) -> str:
    """What a Cache-Status member says, in one word, for the log."""
    word = status.partition("; ")[2].partition(";")[0]
    return word.removeprefix("fwd=")
