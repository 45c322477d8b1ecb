"""Who may share an answer: over real sockets, with an origin that stands at gates."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from support import Gate
from web.client import Message, response
from web.waiting import wait_for_followers, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from web.conftest import Site

    Serve = Callable[..., Site]

FRESH = "Cache-Control: max-age=60"


@pytest.mark.parametrize("secret", ["Set-Cookie: session=1", "Cache-Control: private"])
def test_a_304_that_is_for_one_client_is_for_no_other(serve: Serve, secret: str) -> None:
    gate = Gate()
    stale = "Cache-Control: max-age=0"

    def script(message: Message) -> bytes:
        if "if-none-match" not in message.headers:
            return response(b"body", stale, 'ETag: "v"')
        gate()
        head = f'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\n{FRESH}\r\nX-One: 1\r\n{secret}\r\n\r\n'
        return head.encode()

    site = serve(script)
    site.get("/a")
    with gate, ExitStack() as stack:
        clients = [stack.enter_context(site.client()) for _ in range(3)]
        clients[0].ask("/a")
        gate.reached()
        for client in clients[1:]:
            client.ask("/a")
        wait_for_followers(site, 2)
        gate.open()
        leader, *others = [client.answer() for client in clients]
    assert (leader.status, leader.body, leader.headers["x-one"]) == (200, b"body", "1")
    assert "stored" not in leader.cache
    for other in others:
        assert (other.status, other.body) == (200, b"body")
        assert "x-one" not in other.headers
    assert len(site.origin.asked) == 4


@pytest.mark.parametrize("host", ["SHOP.example", "shop.example:80"])
def test_the_origin_sees_the_host_that_the_key_has(serve: Serve, host: str) -> None:
    """Else it could answer them differently, and the first one would be for all."""
    site = serve(lambda message: response(message.headers["host"].encode(), FRESH))
    with site.client() as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode())
        assert client.answer().body == b"shop.example"
    assert site.origin.asked[0].headers["x-forwarded-host"] == "shop.example"


def test_a_ready_answer_that_waits_for_its_connection_stays_as_it_was(serve: Serve) -> None:
    """A hit is decided in the key's color; it is written later, after what is stored changed."""
    size = 10_000

    def script(_: Message) -> bytes:
        return response(b"%d" % (size % 7) * size, FRESH)

    site = serve(script, workers=4)
    at_key, at_connection = Gate("key"), Gate("connection")
    with at_key, at_connection, site.client() as slow, ExitStack() as stack:
        for _ in range(3):
            slow.get("/a")
        (connection,) = site.server._sites[0]._connections
        other = stack.enter_context(site.client())
        site.server.runtime.color(("key", b"test/a")).post(at_key)
        at_key.reached()
        slow.ask("/a")
        wait_until(site, lambda: connection._busy is not None)
        connection.color.post(at_connection)
        at_connection.reached()  # behind the turn that asked: its question is at the key now
        at_key.open()
        size = 20
        other.get("/a", {"Content-Length": "0"}, method="POST")
        for _ in range(3):
            assert len(other.get("/a").body) == 20
        at_connection.open()
        assert slow.answer().body == b"4" * 10_000
        assert slow.get("/a").body == b"6" * 20


@pytest.mark.parametrize("wish", [{"Cache-Control": "no-store"}, {"Authorization": "Basic eA=="}])
def test_a_clients_own_wish_does_not_end_sharing_for_the_others(
    serve: Serve, wish: dict[str, str]
) -> None:
    gate = Gate()

    def script(message: Message) -> bytes:
        if "x-gate" in message.headers:
            gate()
        return response(b"x", FRESH)

    site = serve(script)
    site.get("/a", wish)
    with gate, site.client() as first, site.client() as second:
        first.ask("/a", {"X-Gate": "1"})
        gate.reached()
        second.ask("/a")
        wait_for_followers(site, 1)
        gate.open()
        assert first.answer().body == second.answer().body == b"x"
    assert len(site.origin.asked) == 2


def test_nobody_waits_for_what_a_client_wants_stored_nowhere(serve: Serve) -> None:
    gate = Gate()

    def script(message: Message) -> bytes:
        if "cache-control" in message.headers:
            gate()
        return response(b"x", FRESH)

    site = serve(script)
    with gate, site.client() as secretive:
        secretive.ask("/a", {"Cache-Control": "no-store"})
        gate.reached()
        assert site.get("/a").body == b"x"
        gate.open()
        assert secretive.answer().body == b"x"


def test_a_body_too_large_that_only_a_follower_waited_for_leaves_no_fetch(serve: Serve) -> None:
    """The leader goes while the body comes; the body turns out too large to be stored."""
    gate = Gate()

    def script(_: Message) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
        if len(site.origin.asked) == 1:
            gate()
        for _chunk in range(20):
            yield b"400\r\n" + b"x" * 1024 + b"\r\n"
        yield b"0\r\n\r\n"

    site = serve(script, max_object=10_000)
    with gate, site.client() as follower:
        with site.client() as leader:
            leader.ask("/a")
            gate.reached()
            follower.ask("/a")
            wait_for_followers(site, 1)
        wait_until(site, lambda: site.server.connections == 1)
        gate.open()
        assert len(follower.answer().body) == 20 * 1024
    wait_until(site, lambda: not site.server.cache.fetches)


def test_a_body_of_unknown_length_that_nobody_waits_for_is_given_up(serve: Serve) -> None:
    gate = Gate()

    def script(_: Message) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nbegun"  # ends by closing
        gate()

    site = serve(script)
    with gate:
        with site.client() as client:
            client.ask("/a")
            assert client.read_head()[0] == "HTTP/1.1 200 OK"
        wait_until(site, lambda: not site.server.cache.fetches)
        wait_until(site, lambda: site.server.pool.stats()["open"] == 0)
