"""HTTP/1.1 between clients and the server: framing, order, limits, time limits, refusals."""

from __future__ import annotations

import re
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from colorsched.web.config import Origin, Timeouts
from colorsched.web.http1 import Limits
from support import Gate
from web.client import Client, Message, Wire, response
from web.conftest import SWEEPS_OFTEN
from web.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from web.conftest import Site

    Serve = Callable[..., Site]

FRESH = "Cache-Control: max-age=60"
HOST = b"Host: test\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: test\r\n"


def echo(message: Message) -> bytes:
    """Answers with what it was asked, and is not stored."""
    text = f"{message.line}|{message.body.decode()}".encode()
    return response(text, "Cache-Control: no-store")


class TestOrder:
    def test_pipelined_requests_are_answered_in_order(self, serve: Serve) -> None:
        site = serve(lambda message: response(message.target.encode(), FRESH))
        targets = [f"/{number % 7}" for number in range(200)]
        with site.client() as client:
            client.send(
                b"".join(b"GET %s HTTP/1.1\r\n%s\r\n" % (t.encode(), HOST) for t in targets)
            )
            assert [client.answer().body.decode() for _ in targets] == targets
        assert len(site.origin.asked) == 7

    def test_bodies_among_pipelined_requests(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            client.send(
                b"POST /1 HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\none"
                b"POST /2 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                b"1\r\nt\r\n2;x\r\nwo\r\n0\r\nTrailer: x\r\n\r\n"
                b"GET /3 HTTP/1.1\r\n" + HOST + b"\r\n"
            )
            bodies = [client.answer().body for _ in range(3)]
        assert bodies == [b"POST /1 HTTP/1.1|one", b"POST /2 HTTP/1.1|two", b"GET /3 HTTP/1.1|"]

    def test_a_client_that_sends_far_ahead_is_bounded(self, serve: Serve) -> None:
        gate = Gate()

        def script(message: Message) -> bytes:
            if message.target == "/a":
                gate()
            return response(b"x", FRESH)

        site = serve(script)
        request = b"GET /a HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 5000 + b"\r\n\r\n"
        count = 2000
        with gate, site.client() as client:
            sender = threading.Thread(target=client.send, args=(request * count,))
            sender.start()
            gate.reached()
            wait_until(site, lambda: site.server.buffered > 1 << 16)
            for _ in range(20):
                site.get("/b")
            assert site.server.buffered < 1 << 18
            gate.open()
            assert all(client.answer().body == b"x" for _ in range(count))
            sender.join()

    def test_a_client_that_takes_no_answers_gets_no_more(self, serve: Serve) -> None:
        """Answers of many pipelined requests do not pile up in memory."""
        site = serve(lambda _: response(b"x" * 100_000, FRESH))
        count = 500
        with site.client() as client:
            client.get("/a")
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.send((b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n") * count)
            wait_until(site, lambda: site.server.unsent > 1 << 16)
            for _ in range(20):
                site.get("/b")
            assert site.server.unsent < 1 << 19
            assert all(len(client.answer().body) == 100_000 for _ in range(count))


class TestConnections:
    def test_http_1_0_closes_unless_it_asks_not_to(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"x", FRESH))
        for _ in range(3):
            with site.client() as client:
                client.send(b"GET /a HTTP/1.0\r\nHost: test\r\n\r\n")
                assert client.answer().headers["connection"] == "close"
                assert client.at_end()
            with site.client() as client:
                for _ in range(3):
                    client.send(b"GET /a HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n")
                    assert client.answer().headers["connection"] == "keep-alive"

    def test_connection_close_is_answered_and_done(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"x", FRESH))
        for _ in range(3):
            with site.client() as client:
                assert client.get("/a", {"Connection": "close"}).headers["connection"] == "close"
                assert client.at_end()

    def test_a_body_of_unknown_length_is_chunked_or_ends_with_the_connection(
        self, serve: Serve
    ) -> None:
        def script(_: Message) -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n"
            yield b"Transfer-Encoding: chunked\r\n\r\n"
            yield b"3\r\nabc\r\n"
            yield b"3\r\ndef\r\n0\r\n\r\n"

        site = serve(script)
        with site.client() as client:
            answer = client.get("/a")
            assert answer.headers["transfer-encoding"] == "chunked"
            assert answer.body == b"abcdef"
            client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.answer()
            assert "transfer-encoding" not in answer.headers
            assert (answer.headers["connection"], answer.body) == ("close", b"abcdef")

    def test_an_origin_that_closes_at_the_end(self, serve: Serve) -> None:
        site = serve(lambda _: b"HTTP/1.0 200 OK\r\nCache-Control: max-age=9\r\n\r\nto the end")
        with site.client() as client:
            assert client.get("/a").body == b"to the end"
            assert client.get("/a").headers["content-length"] == "10"

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "200 OK"])
    def test_answers_without_a_body_do_not_disturb_the_next(
        self, serve: Serve, method: str, status: str
    ) -> None:
        def script(message: Message) -> bytes:
            if message.target == "/next":
                return response(b"next")
            length = "" if status.startswith("204") else "Content-Length: 5\r\n"
            body = "" if message.method == "HEAD" or not status.startswith("200") else "12345"
            return f"HTTP/1.1 {status}\r\n{length}\r\n{body}".encode()

        site = serve(script)
        with site.client() as client:
            for _ in range(2):
                answer = client.get("/a", method=method)
                assert answer.line == f"HTTP/1.1 {status}"
                assert client.get("/next").body == b"next"


class TestFields:
    def test_what_the_origin_sees(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            client.get(
                "/a?b",
                {
                    "Connection": "X-Hop, Keep-Alive",
                    "X-Hop": "1",
                    "Keep-Alive": "timeout=5",
                    "TE": "trailers",
                    "Upgrade": "websocket",
                    "Proxy-Authorization": "secret",
                    "X-Forwarded-For": "192.0.2.1",
                    "X-Forwarded-Proto": "https",
                    "Via": "1.0 before",
                    "X-End": "kept",
                },
            )
        (asked,) = site.origin.asked
        assert asked.line == "GET /a?b HTTP/1.1"
        assert asked.headers == {
            "host": "test",
            "x-end": "kept",
            "x-forwarded-for": "192.0.2.1, 127.0.0.1",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "test",
            "via": "1.0 before, 1.1 colorsched",
        }

    def test_what_the_client_sees(self, serve: Serve) -> None:
        site = serve(
            lambda _: response(
                b"x",
                "Connection: X-Hop",
                "X-Hop: 1",
                "Keep-Alive: timeout=5",
                "Proxy-Authenticate: x",
                "Upgrade: h2c",
                "X-End: kept",
                FRESH,
            )
        )
        with site.client() as client:
            for _ in range(3):
                headers = client.get("/a").headers
                assert headers["x-end"] == "kept"
                assert "date" in headers
                hops = {"x-hop", "keep-alive", "proxy-authenticate", "upgrade", "connection"}
                assert not hops & set(headers)

    def test_connection_cannot_take_away_what_frames_a_message(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            client.send(
                b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: Content-Length, Host\r\n"
                b"Content-Length: 3\r\n\r\nabc"
            )
            assert client.answer().body == b"POST /a HTTP/1.1|abc"
        assert site.origin.asked[0].headers["host"] == "test"

    def test_the_host_header_can_be_set(self, serve: Serve) -> None:
        site = serve(echo, host=b"inner:81")
        site.get("/a")
        headers = site.origin.asked[0].headers
        assert (headers["host"], headers["x-forwarded-host"]) == ("inner:81", "test")

    def test_an_http_1_0_request_without_host_gets_the_origins(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            client.send(b"GET /a HTTP/1.0\r\n\r\n")
            client.answer()
        assert site.origin.asked[0].headers["host"] == f"127.0.0.1:{site.origin.port}"

    def test_an_upgrade_is_declined_by_ignoring_it(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            wish = {"Connection": "Upgrade", "Upgrade": "websocket"}
            assert client.get("/a", wish).status == 200
            assert client.get("/b").status == 200


class TestMethods:
    def test_options_star_and_absolute_targets(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            assert client.get("*", method="OPTIONS").body == b"OPTIONS * HTTP/1.1|"
            assert client.get("http://other", method="OPTIONS").body == b"OPTIONS * HTTP/1.1|"
            assert client.get("http://other/x").body == b"GET /x HTTP/1.1|"
        assert [asked.headers["host"] for asked in site.origin.asked] == ["test", "other", "other"]

    def test_max_forwards(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            zero = {"Max-Forwards": "0", "Cookie": "secret", "X-A": "b"}
            trace = client.get("/a", zero, method="TRACE")
            assert trace.headers["content-type"] == "message/http"
            assert trace.body.startswith(b"TRACE /a HTTP/1.1\r\nhost: test\r\n")
            assert b"x-a: b" in trace.body
            assert b"secret" not in trace.body
            options = client.get("*", zero, method="OPTIONS")
            assert (options.status, "GET" in options.headers["allow"]) == (204, True)
            assert not site.origin.asked
            assert client.get("/a", {"Max-Forwards": "0" * 5000}, method="TRACE").status == 200
            client.get("/a", {"Max-Forwards": "3"}, method="TRACE")
            client.get("/a", {"Max-Forwards": "0" * 10 + "3"}, method="TRACE")
        assert [one.headers["max-forwards"] for one in site.origin.asked] == ["2", "2"]


class TestUploads:
    def test_expect_100_continue(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            client.send(
                b"PUT /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.answer().line == "HTTP/1.1 100 Continue"
            client.send(b"body")
            assert client.answer().body == b"PUT /a HTTP/1.1|body"
        assert "expect" not in site.origin.asked[0].headers

    def test_a_refused_expectation_needs_no_body(self, serve: Serve) -> None:
        site = serve(echo, limits=Limits(body=10))
        with site.client() as client:
            client.send(
                b"PUT /a HTTP/1.1\r\n"
                + HOST
                + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.answer().status == 413
            assert client.at_end()
        assert not site.origin.asked

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_large_body_streams_through(self, serve: Serve, *, chunked: bool) -> None:
        site = serve(lambda message: response(b"%d" % len(message.body)))
        body = b"0123456789abcdef" * 500_000
        with site.client() as client:
            framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 8000000"
            client.send(b"POST /a HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n")
            if chunked:
                for start in range(0, len(body), 100_000):
                    client.send(b"%x\r\n" % 100_000 + body[start : start + 100_000] + b"\r\n")
                client.send(b"0\r\n\r\n")
            else:
                client.send(body)
            assert client.answer().body == b"8000000"
        assert site.origin.asked[0].body == body
        framed = site.origin.asked[0].headers
        assert ("transfer-encoding" in framed) is chunked

    def test_an_early_answer_ends_the_upload(self, serve: Serve) -> None:
        """The origin answers before it has the body: the client gets the answer, then the end."""
        listener = socket.create_server(("127.0.0.1", 0))

        def answer() -> None:
            with Wire(listener.accept()[0]) as wire:
                wire.read_head()
                wire.send(response(b"no", status="403 Forbidden"))
                wire.at_end()

        thread = threading.Thread(target=answer)
        thread.start()
        site = serve(echo, origin=Origin("127.0.0.1", listener.getsockname()[1]))
        with site.client() as client:
            client.send(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\npart")
            answered = client.answer()
            assert (answered.status, answered.headers["connection"]) == (403, "close")
            assert client.at_end()
        thread.join()
        listener.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("raw", "status"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"nonsense\r\n\r\n", 400),
            (b"GET / HTTP/1.1\nHost: a\n\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
            (PUT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (PUT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
            (b"GET /" + b"x" * 9000, 414),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 50000, 431),
            (PUT + b"Content-Length: 99999999999\r\n\r\n", 413),
            (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
            (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            (PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
            (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ],
    )  # fmt: skip
    def test_it_is_said_why_and_the_connection_ends_and_others_go_on(
        self, serve: Serve, raw: bytes, status: int
    ) -> None:
        site = serve(lambda _: response(b"x", FRESH))
        with site.client() as other:
            assert other.get("/a").status == 200
            with site.client() as client:
                client.send(raw)
                answer = client.answer()
                assert (answer.status, answer.headers["connection"]) == (status, "close")
                assert re.fullmatch(rb"%d [A-Za-z -]+: .+\n" % status, answer.body)
                assert client.at_end()
            assert other.get("/a").body == b"x"
        assert len(site.origin.asked) == 1

    def test_a_bad_body_is_refused_in_the_middle(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            client.send(
                b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc"
            )
            client.send(b"X\r\n")
            assert client.answer().status == 400
            assert client.at_end()
        assert not site.origin.asked

    def test_a_chunked_body_above_the_limit(self, serve: Serve) -> None:
        site = serve(echo, limits=Limits(body=10))
        with site.client() as client:
            client.send(b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            client.send(b"8\r\n12345678\r\n8\r\n12345678\r\n")
            assert client.answer().status == 413
            assert client.at_end()

    def test_what_follows_a_refused_request_is_not_read_as_one(self, serve: Serve) -> None:
        site = serve(echo)
        with site.client() as client:
            client.send(
                b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked"
                b"\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
            )
            assert client.answer().status == 400
            assert client.at_end()
        assert not site.origin.asked


@pytest.mark.parametrize(
    ("method", "broken"), [("GET", "rules.lookup"), ("POST", "framing.request_head")]
)
def test_a_mistake_of_ours_ends_the_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, method: str, broken: str
) -> None:
    """No time limit watches over a request that is being worked at, so it must not be forgotten."""

    def mistaken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("our mistake")

    site = serve(echo)
    with site.client() as client:
        with monkeypatch.context() as patch:
            patch.setattr(f"colorsched.web.{broken}", mistaken)
            assert client.get("/a", {"Content-Length": "0"}, method=method).status == 500
        assert client.at_end()
    assert site.get("/a").status == 200
    wait_until(site, lambda: bool(site.failures))  # told after the client was
    assert [str(failure) for failure in site.failures] == ["our mistake"]
    site.failures.clear()


class TestTimeLimits:
    @pytest.mark.parametrize(
        "raw",
        [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\nG"],
    )
    def test_a_head_that_does_not_end(self, serve: Serve, raw: bytes) -> None:
        site = serve(echo, timeouts=Timeouts(head=0.05))
        with site.client() as client:
            client.send(raw)
            assert client.answer().status == 408
            assert client.at_end()

    def test_a_body_that_does_not_come(self, serve: Serve) -> None:
        site = serve(echo, timeouts=Timeouts(body=0.05))
        with site.client() as client:
            client.send(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\npart")
            assert client.answer().status == 408
            assert client.at_end()

    def test_a_body_that_stops_is_the_clients_fault_not_the_origins(self, serve: Serve) -> None:
        site = serve(echo, timeouts=Timeouts(body=0.5, origin=0.02))
        with site.client() as client:
            client.send(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\npart")
            assert client.answer().status == 408

    def test_an_idle_connection_is_closed_without_a_word(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = serve(lambda _: response(b"x", FRESH), timeouts=SWEEPS_OFTEN)
        with site.client() as client:
            client.get("/a")
            # From its next answer on: a client that is slow to ask would be closed before.
            monkeypatch.setattr(site.server._sites[0], "timeouts", Timeouts(idle=0.05))
            assert client.get("/a").status == 200
            assert client.at_end()
        with site.client() as silent:
            assert silent.at_end()

    def test_a_client_that_takes_nothing_is_cut(self, serve: Serve) -> None:
        size = 30_000_000
        site = serve(
            lambda _: response(b"x" * size, "Cache-Control: no-store"),
            timeouts=Timeouts(write=0.05),
        )
        with site.client() as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.ask("/a")
            line, headers = client.read_head()
            assert line == "HTTP/1.1 200 OK"
            wait_until(site, lambda: site.server.connections == 0)
            with pytest.raises((EOFError, ConnectionResetError)):
                client.read(int(headers["content-length"]))


def test_a_client_that_gave_up_disturbs_nobody(serve: Serve) -> None:
    gate = Gate()

    def script(message: Message) -> bytes:
        if message.target == "/slow":
            gate()
        return response(b"x", FRESH)

    site = serve(script)
    with gate:
        gone = Client(site.port)
        gone.ask("/slow")
        gate.reached()
        gone.close()
        wait_until(site, lambda: site.server.connections == 0)
        assert site.get("/a").body == b"x"
