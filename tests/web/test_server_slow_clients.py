"""Clients that ask and do not read: what they may occupy, and what becomes of their requests."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from colorsched.web.config import Origin, Timeouts
from colorsched.web.connection import ClientConnection
from web.client import Client, Message, Wire, response
from web.conftest import SWEEPS_OFTEN
from web.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from web.conftest import Site

    Serve = Callable[..., Site]

FRESH = "Cache-Control: max-age=60"
SIZE = 7_000_000
"""More than the buffers of both sockets hold."""


def script(message: Message) -> bytes:
    if message.target == "/big":
        return response(b"x" * SIZE, FRESH)
    return response(b"y", "Cache-Control: no-store")


def deaf(site: Site) -> Client:
    """A client that has not taken its large answer yet, and the only one."""
    site.get("/big")
    wait_until(site, lambda: site.server.connections == 0)
    client = site.client()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
    return client


def test_who_takes_no_answers_gets_no_more_requests_taken(serve: Serve) -> None:
    site = serve(script)
    with deaf(site) as client:
        client.ask("/big")
        wait_until(site, lambda: site.server.unsent > 0)
        client.ask("/passed", {"If-Match": "*"})  # in a packet of its own
        wait_until(site, lambda: site.server.buffered > 0)
        assert len(site.origin.asked) == 1
        assert len(client.answer().body) == SIZE
        assert client.answer().body == b"y"


@pytest.mark.parametrize("ready", [False, True])
def test_the_time_to_take_an_answer_does_not_wait_for_the_idle_one(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, *, ready: bool
) -> None:
    site = serve(script, timeouts=SWEEPS_OFTEN)
    if ready:
        site.get("/big")
    with deaf(site) as client:
        # Not before: the others take all of theirs, however slow they are.
        limits = Timeouts(write=0.05, idle=1000.0)
        monkeypatch.setattr(site.server._sites[0], "timeouts", limits)
        client.ask("/big")
        asked = 3 if ready else 2
        wait_until(site, lambda: site.server.tallies.total()["requests"] == asked)
        wait_until(site, lambda: site.server.connections == 0)


def test_who_took_all_of_it_late_may_go_on(serve: Serve) -> None:
    """The watch over what is unsent ends when nothing is."""
    site = serve(script, timeouts=SWEEPS_OFTEN)
    with site.client() as client:
        for _ in range(3):
            assert len(client.get("/big").body) == SIZE
        (connection,) = site.server._sites[0]._connections

        def watch() -> None:
            connection._watch_writing()
            connection.deadline = 0.0  # all of its time has passed

        def is_idle() -> bool:
            return connection._expire is ClientConnection._close and connection.deadline > 0

        connection.color.submit(watch).result()
        wait_until(site, is_idle)
        assert len(client.get("/big").body) == SIZE


def test_an_early_answer_survives_the_end_of_the_connection(serve: Serve) -> None:
    """The client reads it only after we stopped waiting for the rest of its upload."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with Wire(listener.accept()[0]) as wire:
                wire.read_head()
                wire.send(response(b"x" * 500_000, status="403 Forbidden"))
                wire.at_end()

        thread = threading.Thread(target=answer)
        thread.start()
        origin = Origin("127.0.0.1", listener.getsockname()[1])
        site = serve(script, origin=origin, timeouts=Timeouts(linger=0.01))
        with site.client() as client:
            client.send(b"POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\npart")
            thread.join()
            wait_until(site, lambda: site.server.connections == 0)
            assert len(client.answer().body) == 500_000
            assert client.at_end()


def test_what_is_behind_the_last_request_is_not_carried_out(serve: Serve) -> None:
    """A client that asked for `Connection: close` gets no later request processed (9112 9.6)."""
    site = serve(script)
    with deaf(site) as client:
        client.send(
            b"GET /big HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
            b"POST /never HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
        )
        wait_until(site, lambda: site.server.unsent > 0)
        (connection,) = site.server._sites[0]._connections

        def mostly_taken() -> None:
            """What the transport does when little is left."""
            assert connection._transport is not None
            connection._transport.paused = False
            connection.resume_writing()
            assert connection._busy is None

        connection.color.submit(mostly_taken).result()
        assert len(client.answer().body) == SIZE
        assert client.at_end()
    assert site.origin.targets() == ["/big"]
