"""The cache over real sockets: hits, collapse, revalidation, variants, invalidation, stale use."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from colorsched.web.cache import ALONE_SECONDS
from support import Gate
from web.client import Message, response
from web.waiting import wait_for_followers, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from web.conftest import Site

    Serve = Callable[..., Site]

FRESH = "Cache-Control: max-age=60"


def numbered(*lines: str) -> Callable[[Message], bytes]:
    """An origin whose answers are numbered."""
    count = itertools.count(1)
    return lambda _: response(b"%d" % next(count), *lines)


class TestHits:
    def test_the_second_answer_comes_from_the_store(self, serve: Serve) -> None:
        site = serve(numbered(FRESH))
        with site.client() as client:
            first, second = client.get("/a"), client.get("/a")
        assert (first.status, first.body) == (200, b"1")
        assert first.cache == "colorsched; fwd=uri-miss; fwd-status=200; stored"
        assert "age" not in first.headers
        assert (second.status, second.body) == (200, b"1")
        assert second.cache == "colorsched; hit; ttl=60"
        assert second.headers["age"] == "0"
        assert len(site.origin.asked) == 1

    def test_age_and_freshness_follow_the_clock(self, serve: Serve) -> None:
        site = serve(numbered(FRESH))
        with site.client() as client:
            ages = []
            for seconds in (0, 0.4, 0.4, 0.4, 50, 8.79):
                site.clock.now += seconds
                ages.append(client.get("/a").headers.get("age"))
            assert ages == [None, "0", "0", "1", "51", "59"]
            site.clock.now += 0.02
            assert client.get("/a").body == b"2"

    def test_a_large_body_is_stored_and_comes_back_whole(self, serve: Serve) -> None:
        body = bytes(range(256)) * 4096
        site = serve(lambda _: response(body, FRESH))
        assert site.get("/a").body == body
        with site.client() as client:
            for _ in range(3):
                again = client.get("/a")
                assert again.body == body
                assert again.cache.startswith("colorsched; hit")

    def test_head_is_answered_from_what_get_stored(self, serve: Serve) -> None:
        site = serve(numbered(FRESH))
        site.get("/a")
        with site.client() as client:
            for _ in range(3):
                head = client.get("/a", method="HEAD")
                assert (head.status, head.headers["content-length"]) == (200, "1")
                assert head.cache.startswith("colorsched; hit")
            assert client.get("/a").body == b"1"

    def test_a_condition_that_holds_is_answered_304_from_the_store(self, serve: Serve) -> None:
        site = serve(numbered(FRESH, 'ETag: "v"'))
        site.get("/a")
        with site.client() as client:
            for _ in range(3):
                found = client.get("/a", {"If-None-Match": '"v"'})
                assert (found.status, found.headers["etag"], found.body) == (304, '"v"', b"")
            assert client.get("/a", {"If-None-Match": '"w"'}).status == 200
        assert len(site.origin.asked) == 1

    def test_hosts_and_queries_are_kept_apart(self, serve: Serve) -> None:
        site = serve(numbered(FRESH))
        with site.client() as client:
            assert client.get("/a").body == b"1"
            assert client.get("/a?x").body == b"2"
            client.send(b"GET http://other/a HTTP/1.1\r\nHost: test\r\n\r\n")
            assert client.answer().body == b"3"
            client.send(b"GET /a HTTP/1.1\r\nHost: OTHER:80\r\n\r\n")
            assert client.answer().body == b"3"

    def test_what_must_not_be_stored_is_not(self, serve: Serve) -> None:
        site = serve(numbered("Cache-Control: no-store"))
        assert [site.get("/a").body for _ in range(3)] == [b"1", b"2", b"3"]

    def test_cache_status_can_be_left_out(self, serve: Serve) -> None:
        site = serve(numbered(FRESH), cache_status=False)
        with site.client() as client:
            assert [client.get("/a").headers.get("cache-status") for _ in range(3)] == [None] * 3

    def test_only_if_cached(self, serve: Serve) -> None:
        site = serve(numbered(FRESH))
        wish = {"Cache-Control": "only-if-cached"}
        assert site.get("/a", wish).status == 504
        site.get("/a")
        assert site.get("/a", wish).status == 200
        assert len(site.origin.asked) == 1

    def test_a_client_may_insist_on_a_new_answer(self, serve: Serve) -> None:
        site = serve(numbered(FRESH))
        with site.client() as client:
            client.get("/a")
            client.get("/a")
            assert client.get("/a", {"Cache-Control": "no-cache"}).body == b"2"
            assert client.get("/a").body == b"2"

    def test_what_does_not_fit_makes_room_or_stays_out(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"x" * 100_000, FRESH), cache_size=1 << 20)
        for number in range(30):
            assert len(site.get(f"/{number}").body) == 100_000
        policy = site.server.cache.policy
        wait_until(site, lambda: policy.stats().entries + policy.stats().evicted == 30)
        assert policy.stats().bytes <= 1 << 20
        wait_until(site, lambda: len(site.server.cache) == policy.stats().entries == 10)
        assert site.get("/29").cache.startswith("colorsched; hit")
        assert site.get("/0").cache.startswith("colorsched; fwd")


class TestCollapse:
    def test_one_fetch_answers_all_who_wait(self, serve: Serve) -> None:
        gate = Gate()

        def script(_: Message) -> bytes:
            gate()
            return response(b"once", FRESH)

        site = serve(script)
        clients = [site.client() for _ in range(20)]
        with gate:
            clients[0].ask("/a")
            gate.reached()
            for client in clients[1:]:
                client.ask("/a")
            wait_for_followers(site, 19)
            gate.open()
            answers = [client.answer() for client in clients]
        assert [answer.body for answer in answers] == [b"once"] * 20
        assert [answer.cache for answer in answers[1:]] == [
            "colorsched; fwd=uri-miss; collapsed"
        ] * 19
        assert len(site.origin.asked) == 1
        for client in clients:
            client.close()

    @pytest.mark.parametrize(
        "lines", [("Cache-Control: private",), ("Cache-Control: max-age=0", 'ETag: "v"')]
    )
    def test_what_cannot_be_shared_is_asked_for_by_each_at_once(
        self, serve: Serve, lines: tuple[str, ...]
    ) -> None:
        first, others = Gate("first"), Gate("others")
        count = itertools.count(1)

        def script(_: Message) -> bytes:
            number = next(count)
            (first if number == 1 else others)()
            return response(b"%d" % number, *lines)

        site = serve(script)
        clients = [site.client() for _ in range(5)]
        with first, others:
            clients[0].ask("/a")
            first.reached()
            for client in clients[1:]:
                client.ask("/a")
            wait_for_followers(site, 4)
            first.open()
            assert clients[0].answer().body == b"1"
            # All four stand at the gate together: they do not wait for each other.
            wait_until(site, lambda: len(site.origin.asked) == 5)
            others.open()
            bodies = {client.answer().body for client in clients[1:]}
        assert bodies == {b"2", b"3", b"4", b"5"}
        for client in clients:
            client.close()

    def test_nobody_waits_for_a_key_whose_answers_cannot_be_shared(self, serve: Serve) -> None:
        """Once that is known, requests go side by side from the start; after a while, as before."""
        gates = {"/a": Gate("a"), "/b": Gate("b")}

        def script(message: Message) -> bytes:
            if "x-gate" in message.headers:
                gates[message.target]()
            return response(b"x", "Cache-Control: private")

        site = serve(script)
        site.get("/a")
        with gates["/a"] as gate, site.client() as first, site.client() as second:
            first.ask("/a", {"X-Gate": "1"})
            gate.reached()
            second.ask("/a", {"X-Gate": "1"})
            wait_until(site, lambda: len(site.origin.asked) == 3)
            gate.open()
            assert first.answer().status == second.answer().status == 200
        site.get("/b")
        site.clock.now += ALONE_SECONDS + 1
        with gates["/b"] as gate, site.client() as first, site.client() as second:
            first.ask("/b", {"X-Gate": "1"})
            gate.reached()
            second.ask("/b", {"X-Gate": "1"})
            wait_for_followers(site, 1)
            gate.open()
            assert first.answer().status == second.answer().status == 200

    def test_a_leader_that_vanishes_does_not_take_the_answer_with_it(self, serve: Serve) -> None:
        gate = Gate()

        def script(_: Message) -> bytes:
            gate()
            return response(b"once", FRESH)

        site = serve(script)
        with gate, site.client() as follower:
            with site.client() as leader:
                leader.ask("/a")
                gate.reached()
                follower.ask("/a")
                wait_for_followers(site, 1)
            wait_until(site, lambda: site.server.connections == 1)
            gate.open()
            assert follower.answer().body == b"once"
        assert len(site.origin.asked) == 1

    def test_a_fetch_that_nobody_waits_for_is_given_up(self, serve: Serve) -> None:
        gate = Gate()

        def script(_: Message) -> bytes:
            gate()
            return response(b"once", FRESH)

        site = serve(script)
        with gate:
            with site.client() as client:
                client.ask("/a")
                gate.reached()
            wait_until(site, lambda: not site.server.cache.fetches)
            wait_until(site, lambda: site.server.pool.stats()["open"] == 0)
        assert site.get("/a").cache.startswith("colorsched; fwd")
        assert len(site.origin.asked) == 2

    def test_variants_do_not_wait_for_each_other(self, serve: Serve) -> None:
        gate = Gate()

        def script(message: Message) -> bytes:
            language = message.headers.get("accept-language", "")
            if language == "slow":
                gate()
            return response(language.encode(), FRESH, "Vary: Accept-Language")

        site = serve(script)
        site.get("/a", {"Accept-Language": "de"})
        with gate, site.client() as slow:
            slow.ask("/a", {"Accept-Language": "slow"})
            gate.reached()
            assert site.get("/a", {"Accept-Language": "en"}).body == b"en"
            gate.open()
            assert slow.answer().body == b"slow"

    def test_who_waited_for_another_variant_asks_again(self, serve: Serve) -> None:
        gate = Gate()

        def script(message: Message) -> bytes:
            gate()
            return response(message.headers["x-a"].encode(), FRESH, "Vary: X-A")

        site = serve(script)
        with gate, site.client() as one, site.client() as two:
            one.ask("/a", {"X-A": "1"})
            gate.reached()
            two.ask("/a", {"X-A": "2"})
            wait_for_followers(site, 1)
            gate.open()
            assert (one.answer().body, two.answer().body) == (b"1", b"2")


class TestVariants:
    def test_each_variant_is_stored(self, serve: Serve) -> None:
        count = itertools.count(1)
        site = serve(lambda _: response(b"%d" % next(count), FRESH, "Vary: Accept-Encoding"))
        with site.client() as client:
            for _ in range(3):
                assert client.get("/a", {"Accept-Encoding": "gzip"}).body == b"1"
                assert client.get("/a", {"Accept-Encoding": "br"}).body == b"2"
                assert client.get("/a").body == b"3"


class TestRevalidation:
    def test_a_304_freshens_what_is_stored(self, serve: Serve) -> None:
        def script(message: Message) -> bytes:
            if message.headers.get("if-none-match") == '"v"':
                return b'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\nContent-Length: 4\r\n\r\n'
            return response(b"body", FRESH, 'ETag: "v"')

        site = serve(script)
        with site.client() as client:
            assert client.get("/a").body == b"body"
            site.clock.now += 100
            again = client.get("/a")
            assert (again.status, again.body) == (200, b"body")
            assert again.cache == "colorsched; fwd=stale; fwd-status=304; stored; ttl=60"
            assert client.get("/a").cache == "colorsched; hit; ttl=60"
        assert len(site.origin.asked) == 2
        assert site.origin.connections == 1

    def test_a_304_about_something_else_is_not_believed(self, serve: Serve) -> None:
        answers: Iterator[bytes] = iter(
            [
                response(b"old", FRESH, 'ETag: "v"'),
                b'HTTP/1.1 304 Not Modified\r\nETag: "w"\r\n\r\n',
                response(b"new", FRESH, 'ETag: "w"'),
            ]
        )
        site = serve(lambda _: next(answers))
        assert site.get("/a").body == b"old"
        site.clock.now += 100
        assert site.get("/a").body == b"new"
        assert "if-none-match" not in site.origin.asked[2].headers

    def test_a_new_answer_replaces_the_old(self, serve: Serve) -> None:
        site = serve(numbered(FRESH, 'ETag: "v"'))
        assert site.get("/a").body == b"1"
        site.clock.now += 100
        again = site.get("/a")
        assert again.body == b"2"
        assert again.cache == "colorsched; fwd=stale; fwd-status=200; stored"
        assert site.get("/a").body == b"2"

    def test_the_clients_own_condition_is_judged_after_the_revalidation(self, serve: Serve) -> None:
        def script(message: Message) -> bytes:
            if "if-none-match" in message.headers:
                return b'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\n\r\n'
            return response(b"body", FRESH, 'ETag: "v"')

        site = serve(script)
        site.get("/a")
        site.clock.now += 100
        assert site.get("/a", {"If-None-Match": '"v"'}).status == 304
        site.clock.now += 100
        assert site.get("/a", {"If-None-Match": '"x"'}).status == 200

    def test_a_head_that_tells_of_a_change_drops_what_is_stored(self, serve: Serve) -> None:
        length = "1"

        def script(message: Message) -> bytes:
            if message.method == "HEAD":
                return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{FRESH}\r\n\r\n".encode()
            return response(b"x", FRESH)

        site = serve(script)
        site.get("/a")
        site.clock.now += 100
        assert site.get("/a", method="HEAD").headers["content-length"] == "1"
        wait_until(site, lambda: site.get("/a").cache.startswith("colorsched; hit"))
        length = "2"
        site.clock.now += 100
        site.get("/a", method="HEAD")
        wait_until(site, lambda: len(site.server.cache) == 0)


class TestInvalidation:
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_an_unsafe_request_drops_what_is_stored(self, serve: Serve, method: str) -> None:
        site = serve(numbered(FRESH))
        with site.client() as client:
            assert client.get("/a").body == b"1"
            assert client.get("/a").body == b"1"
            assert client.get("/a", {"Content-Length": "0"}, method=method).body == b"2"
            assert client.get("/a").body == b"3"

    def test_location_is_dropped_too_and_errors_drop_nothing(self, serve: Serve) -> None:
        def script(message: Message) -> bytes:
            if message.method == "POST":
                status = "500 No" if message.target == "/fail" else "201 Created"
                return response(b"", "Location: /a", status=status)
            return response(b"x", FRESH)

        site = serve(script)
        with site.client() as client:
            client.get("/a")
            client.get("/fail", {"Content-Length": "0"}, method="POST")
            assert client.get("/a").cache.startswith("colorsched; hit")
            client.get("/b", {"Content-Length": "0"}, method="POST")
            assert client.get("/a").cache.startswith("colorsched; fwd")

    def test_what_was_asked_before_is_not_stored_after(self, serve: Serve) -> None:
        gate = Gate()
        count = itertools.count(1)

        def script(message: Message) -> bytes:
            number = next(count)
            if number == 1:
                gate()
            return response(b"%d %s" % (number, message.method.encode()), FRESH)

        site = serve(script)
        with gate, site.client() as early, site.client() as writer:
            early.ask("/a")
            gate.reached()
            assert writer.get("/a", {"Content-Length": "0"}, method="POST").status == 200
            gate.open()
            assert early.answer().body == b"1 GET"
            assert writer.get("/a").body == b"3 GET"


class TestStaleIfError:
    @pytest.mark.parametrize("failure", ["503", "hang up", "gone"])
    def test_the_stored_answer_stands_in(self, serve: Serve, failure: str) -> None:
        broken = False

        def script(_: Message) -> bytes | None:
            if not broken:
                return response(b"good", "Cache-Control: max-age=10, stale-if-error=100")
            return response(b"bad", status="503 Busy") if failure == "503" else None

        site = serve(script)
        assert site.get("/a").body == b"good"
        broken = True
        if failure == "gone":
            site.origin.stop()
            wait_until(site, lambda: site.server.pool.stats()["open"] == 0)
        site.clock.now += 50
        stale = site.get("/a")
        assert (stale.status, stale.body, stale.headers["age"]) == (200, b"good", "50")
        assert "stale-if-error" in stale.cache
        site.clock.now += 100
        assert site.get("/a").status == {"503": 503}.get(failure, 502)
