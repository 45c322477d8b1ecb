"""The end of a server: running requests are finished, others cut; what it says on the way."""

from __future__ import annotations

import gc
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime
from colorsched.web import tally
from colorsched.web.call import Call
from colorsched.web.config import Address, Origin, Settings, Timeouts
from colorsched.web.connection import ClientConnection
from colorsched.web.exchange import Exchange
from colorsched.web.fetch import Fetch
from colorsched.web.passing import Passing
from colorsched.web.server import DemoService, Server
from colorsched.web.tally import Tally
from colorsched.web.transport import SocketTransport
from support import Gate
from web.client import PATIENCE_SECONDS, Message, get, response
from web.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from web.conftest import Site

    Serve = Callable[..., Site]

FRESH = "Cache-Control: max-age=60"


class TestStop:
    def test_running_requests_are_finished_and_idle_connections_closed(self, serve: Serve) -> None:
        gate = Gate()

        def script(message: Message) -> bytes:
            if message.target == "/slow":
                gate()
            return response(b"x", FRESH)

        site = serve(script, grace=PATIENCE_SECONDS)
        with gate, site.client() as running, site.client() as idle:
            assert idle.get("/a").status == 200
            running.ask("/slow")
            gate.reached()
            site.server.stop()
            assert idle.at_end()
            wait_until(site, lambda: site.server.connections == 1)
            wait_until(site, lambda: site.server.listener.stopped)
            with pytest.raises(OSError, match=r"refused|reset"):
                socket.create_connection(("127.0.0.1", site.port), 1)
            assert not site.server.wait(0)
            gate.open()
            answer = running.answer()
            assert (answer.body, answer.headers["connection"]) == (b"x", "close")
            assert running.at_end()
        assert site.server.wait(PATIENCE_SECONDS)

    def test_hits_say_close_while_the_server_stops(self, serve: Serve) -> None:
        """A connection whose request had begun is told, even if the answer is a ready one."""
        site = serve(lambda _: response(b"x", FRESH), grace=PATIENCE_SECONDS)
        with site.client() as client:
            client.get("/a")
            client.get("/a")
            client.send(b"GET /a HTTP/1.1\r\nHo")
            wait_until(site, lambda: site.server.buffered > 0)
            site.server.stop()
            wait_until(site, lambda: site.server.stopping)
            client.send(b"st: test\r\n\r\n")
            assert client.answer().headers["connection"] == "close"
            assert client.at_end()

    @pytest.mark.parametrize("again", [False, True])
    def test_what_does_not_end_is_cut(self, serve: Serve, *, again: bool) -> None:
        """After the grace period, or when told a second time."""
        gate = Gate()

        def script(_: Message) -> bytes:
            gate()
            return response(b"x", FRESH)

        site = serve(script, grace=PATIENCE_SECONDS * 10 if again else 0.01)
        with gate, site.client() as client:
            client.ask("/a")
            gate.reached()
            site.server.stop()
            if again:
                site.server.stop()
            assert client.at_end()
            assert site.server.wait(PATIENCE_SECONDS)


class TestStats:
    def test_they_tell_what_was_done(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"x" * 10, FRESH), admin=Address("127.0.0.1", 0))
        for _ in range(3):
            site.get("/a")
        site.get("/b", {"Content-Length": "0"}, method="POST")
        with site.client() as bad:
            bad.send(b"nonsense\r\n\r\n")
            bad.answer()

        def counted() -> bool:  # which is done when the answer is written
            total = site.server.tallies.total()
            return (total["requests"], total["errors"]) == (4, 1)

        wait_until(site, counted)
        assert site.server.admin is not None
        port = site.server.admin.address.port
        found = get(port, "/-/stats")
        assert found.headers["content-type"] == "application/json"
        figures = json.loads(found.body)
        assert {name: figures[name] for name in ("requests", "hits", "misses", "passes")} == {
            "requests": 4, "hits": 2, "misses": 1, "passes": 1,
        }  # fmt: skip
        assert figures["errors"] == 1
        assert figures["bytes_sent"] == 40
        assert figures["store"]["entries"] == 1
        assert figures["latency_seconds"]["p50"] > 0
        assert figures["runtime"]["workers"] >= 2
        assert get(port, "/-/stats", method="HEAD").body == b""
        assert get(port, "/").status == 404
        posted = get(port, "/-/stats", {"Content-Length": "0"}, method="POST")
        assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")

    def test_a_request_is_counted_when_the_rest_of_its_figures_is(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        early: list[int] = []

        class Watched(Tally):
            """Looks at the others whenever the requests become more."""

            __slots__ = ()

            def __setattr__(self, name: str, value: Any) -> None:
                if name == "requests" and value:
                    kinds = self.hits + self.misses + self.passes
                    if (kinds, sum(self.latency)) != (value, value):
                        early.append(value)
                super().__setattr__(name, value)

        monkeypatch.setattr(tally, "Tally", Watched)
        site = serve(lambda _: response(b"x", FRESH))
        with site.client() as client:
            for _ in range(3):
                client.get("/a")
            client.get("/a", {"Content-Length": "0"}, method="POST")
        wait_until(site, lambda: site.server.tallies.total()["requests"] == 4)
        assert early == []

    def test_they_are_not_served_to_clients(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"from the origin"))
        assert site.get("/-/stats").body == b"from the origin"


class TestAccessLog:
    def test_one_line_a_request(self, serve: Serve, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        # A short time limit makes the sweep, which has the log written, come often.
        timeouts = Timeouts(linger=0.05)
        site = serve(lambda _: response(b"x" * 10, FRESH), access_log=str(path), timeouts=timeouts)
        with site.client() as client:
            client.get("/a", {"Referer": "http://r/", "User-Agent": 'bad"\\\xe9agent'})
            client.get("/a")
            client.get("/a")
            client.send(b"GET /a HTTP/9.9\r\n\r\n")
            client.answer()
        wait_until(site, lambda: path.read_text().count("\n") == 4)
        moved = path.rename(tmp_path / "access.log.1")
        site.server.reopen_log()
        wait_until(site, path.exists)
        site.get("/b")
        wait_until(site, lambda: path.read_text().count("\n") == 1)
        lines = moved.read_text().splitlines() + path.read_text().splitlines()
        assert [line.partition("] ")[2].rpartition(" ")[0] for line in lines] == [
            r'"GET /a HTTP/1.1" 200 10 "http://r/" "bad\"\\\xe9agent" uri-miss',
            '"GET /a HTTP/1.1" 200 10 "-" "-" hit',
            '"GET /a HTTP/1.1" 200 10 "-" "-" hit',
            '"-" 505 90 "-" "-" -',
            '"GET /b HTTP/1.1" 200 10 "-" "-" uri-miss',
        ]
        assert all(line.startswith("127.0.0.1 - - [") for line in lines)

    def test_a_client_that_did_not_wait(self, serve: Serve, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        gate = Gate()

        def script(_: Message) -> bytes:
            gate()
            return response(b"x")

        site = serve(script, access_log=str(path), timeouts=Timeouts(linger=0.05))
        with gate:
            with site.client() as client:
                client.ask("/a")
                gate.reached()
            wait_until(site, lambda: '"GET /a HTTP/1.1" 499 0' in path.read_text())

    def test_a_path_that_cannot_be_opened(self, serve: Serve, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            serve(lambda _: None, access_log=str(tmp_path / "none" / "log"))


class TestDemo:
    def test_what_its_page_promises(self) -> None:
        with Runtime(workers=2) as runtime:
            settings = Settings(origin=Origin("127.0.0.1", 1))
            demo = DemoService(runtime, Address("127.0.0.1", 0), settings.timeouts)
            demo.start()
            port = demo.listener.address.port
            assert b"demonstration origin" in get(port, "/").body
            assert get(port, "/?max-age=5").headers["cache-control"] == "max-age=5"
            assert get(port, "/?cache-control=no-store").headers["cache-control"] == "no-store"
            assert get(port, "/?vary=Accept").headers["vary"] == "Accept"
            assert get(port, "/?delay=0.01").status == 200
            assert get(port, "/status/404").line == "HTTP/1.1 404 Not Found"
            found = get(port, "/bytes/100000")
            assert len(found.body) == 100_000
            assert (
                get(port, "/bytes/100000", {"If-None-Match": found.headers["etag"]}).status == 304
            )
            assert len(get(port, "/stream/3000000").body) == 3_000_000
            assert get(port, "/bytes/nan?delay=-1&max-age=x", method="HEAD").status == 200
            demo.stop()
            assert demo.wait(PATIENCE_SECONDS)

    def test_a_server_can_be_stopped_before_it_started(self) -> None:
        with Runtime(workers=1) as runtime:
            settings = Settings(
                origin=Origin("127.0.0.1", 1), listen=Address("127.0.0.1", 0), grace=0.0
            )
            server = Server(runtime, settings)
            server.stop()
            assert server.wait(PATIENCE_SECONDS)


class TestGarbage:
    def test_what_is_over_is_gone_without_the_collector(self, serve: Serve) -> None:
        """Neither connections nor requests leave reference cycles behind."""

        def script(message: Message) -> bytes | None:
            if message.target == "/broken":
                return None
            return response(b"x" * 100_000, FRESH if message.target == "/a" else "X: y")

        site = serve(script)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with site.client() as client:
                    client.get("/a")
                    client.get("/b")
                    client.get("/a", method="HEAD")
                    client.get("/broken")
                    client.get("/c", {"Content-Length": "0"}, method="POST")
                    client.send(b"POST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
                    client.answer()
                    client.ask("/b")
            wait_until(site, lambda: site.server.connections == 0)
            wait_until(site, lambda: not site.server.cache.fetches)
            kinds = (ClientConnection, SocketTransport, Exchange, Fetch, Passing, Call)
            wait_until(site, lambda: not [one for one in gc.get_objects() if type(one) in kinds])
        finally:
            gc.enable()
