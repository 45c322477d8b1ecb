"""The server and its origin: streaming in bounded memory, keep-alive and retries, failures."""

from __future__ import annotations

import itertools
import resource
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.web.config import Origin, Timeouts
from colorsched.web.http1 import Limits
from support import Gate
from web.client import Message, Wire, response
from web.conftest import SWEEPS_OFTEN
from web.waiting import wait_for_followers, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from web.conftest import Site

    Serve = Callable[..., Site]

FRESH = "Cache-Control: max-age=60"
PIECE = b"0123456789abcdef" * 4096


def peak_memory() -> int:
    """The largest resident size so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def pieces(count: int, *lines: str, chunked: bool) -> Iterator[bytes]:
    """A long response, made as it is sent."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {count * len(PIECE)}"
    yield "\r\n".join(["HTTP/1.1 200 OK", framing, *lines, "", ""]).encode()
    for _ in range(count):
        yield b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    if chunked:
        yield b"0\r\n\r\n"


class TestStreaming:
    @pytest.mark.parametrize("line", [FRESH, "Cache-Control: no-store"])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body_larger_than_is_stored_flows_through(
        self, serve: Serve, line: str, *, chunked: bool
    ) -> None:
        count = 2400  # 150 MiB
        site = serve(lambda _: pieces(count, line, chunked=chunked), max_object=1 << 20)
        before = peak_memory()
        with site.client() as client:
            client.ask("/a")
            _, headers = client.read_head()
            assert ("transfer-encoding" in headers) is chunked
            size = 0
            if chunked:
                while length := int(client.read_line(), 16):
                    size += len(client.read(length + 2)) - 2
            else:
                while size < count * len(PIECE):
                    size += len(client.read(len(PIECE)))
            assert size == count * len(PIECE)
        assert peak_memory() - before < 64 << 20
        assert len(site.server.cache) == 0

    def test_a_slow_client_holds_up_the_origin(self, serve: Serve) -> None:
        sent = 0

        def script(_: Message) -> Iterator[bytes]:
            nonlocal sent
            for piece in pieces(1000, "Cache-Control: no-store", chunked=False):
                yield piece
                sent += 1

        site = serve(script)
        with site.client() as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.ask("/a")
            client.read_head()
            wait_until(site, lambda: site.server.pool.stats()["paused"] == 1)
            assert sent < 900  # the systems' buffers between here and there are far smaller
            for _ in range(1000):
                assert client.read(len(PIECE)) == PIECE

    def test_equal_pieces_are_all_passed_on(self, serve: Serve) -> None:
        """One-byte pieces may be one and the same object."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        body = b"1\r\na\r\n" * 9 + b"0\r\n\r\n"
        for line in (FRESH, "Cache-Control: no-store"):
            raw = head + line.encode() + b"\r\n\r\n" + body
            site = serve(lambda _, raw=raw: raw)
            with site.client() as client:
                assert [client.get("/a").body for _ in range(2)] == [b"aaaaaaaaa"] * 2

    def test_early_hints_are_passed_on(self, serve: Serve) -> None:
        site = serve(
            lambda _: (
                b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close, x-hop\r\n"
                b"X-Hop: 1\r\nContent-Length: 5\r\n\r\n" + response(b"x", FRESH)
            )
        )
        with site.client() as client:
            hints = client.get("/a")
            assert hints.status == 103
            assert hints.headers == {"link": "</a.css>"}
            assert client.answer().body == b"x"
            client.send(b"GET /b HTTP/1.0\r\n\r\n")
            assert client.answer().status == 200


class TestKeepAlive:
    def test_connections_are_used_again(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"x", "Cache-Control: no-store"))
        assert [site.get(f"/{number}").status for number in range(10)] == [200] * 10
        assert site.origin.connections == 1

    def test_a_connection_that_went_stale_is_replaced(self, serve: Serve) -> None:
        """The origin reads the request on the old connection, and hangs up: asked once more."""
        hang_up = False

        def script(_: Message) -> bytes | None:
            nonlocal hang_up
            if hang_up:
                hang_up = False
                return None
            return response(b"x", "Cache-Control: no-store")

        site = serve(script)
        assert site.get("/a").body == b"x"
        hang_up = True
        assert site.get("/b").body == b"x"
        assert site.origin.targets() == ["/a", "/b", "/b"]

    def test_it_is_asked_only_once_more(self, serve: Serve) -> None:
        alive = True
        site = serve(lambda _: response(b"x", "Cache-Control: no-store") if alive else None)
        assert site.get("/a").body == b"x"
        alive = False
        assert site.get("/b").status == 502
        assert site.origin.targets() == ["/a", "/b", "/b"]

    def test_what_may_not_be_repeated_is_sent_once_on_a_new_connection(self, serve: Serve) -> None:
        site = serve(lambda message: None if message.method == "POST" else response(b"x"))
        site.get("/a")
        assert site.get("/b", {"Content-Length": "0"}, method="POST").status == 502
        assert site.origin.targets() == ["/a", "/b"]
        assert site.origin.connections == 2

    def test_connections_that_the_origin_closes_are_forgotten(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"x", "Cache-Control: no-store"))
        site.get("/a")
        site.origin.hang_up()
        wait_until(site, lambda: site.server.pool.stats()["open"] == 0)
        assert site.get("/b").body == b"x"


class TestFailures:
    def test_nobody_listens(self, serve: Serve) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        site = serve(lambda _: None, origin=Origin("127.0.0.1", port))
        with site.client() as client:
            for _ in range(2):
                answer = client.get("/a")
                assert (answer.status, answer.cache) == (502, "colorsched; fwd=uri-miss")
            posted = client.get("/a", {"Content-Length": "0"}, method="POST")
            assert (posted.status, posted.cache) == (502, "colorsched; fwd=method")

    def test_there_is_no_such_host(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        look_up = socket.getaddrinfo

        def known(host: str, *rest: Any, **options: Any) -> Any:
            # As a name server would, which may be slow where there is no network.
            if host == "no-such-host.invalid":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return look_up(host, *rest, **options)

        monkeypatch.setattr(socket, "getaddrinfo", known)
        site = serve(lambda _: None, origin=Origin("no-such-host.invalid", 80))
        assert site.get("/a").status == 502

    @pytest.mark.parametrize(
        "said",
        [
            None,
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        ],
    )
    def test_it_talks_nonsense_or_not_at_all(self, serve: Serve, said: bytes | None) -> None:
        site = serve(lambda message: response(b"x") if message.target == "/b" else said)
        with site.client() as client:
            assert client.get("/a").status == 502
            assert client.get("/b").status == 200

    @pytest.mark.parametrize("line", [FRESH, "Cache-Control: no-store"])
    @pytest.mark.parametrize(
        "said",
        [
            "Content-Length: 9\r\n{}\r\n\r\npart",
            "Transfer-Encoding: chunked\r\n{}\r\n\r\n4\r\npart\r\n",
            "Transfer-Encoding: chunked\r\n{}\r\n\r\n4\r\npart\r\nzz\r\n",
        ],
    )
    def test_it_breaks_off(self, serve: Serve, said: str, line: str) -> None:
        def script(_: Message) -> bytes:
            head = f"HTTP/1.1 200 OK\r\nConnection: close\r\n{said.format(line)}"
            return head.encode()

        site = serve(script)
        for _ in range(2):
            with site.client() as client, pytest.raises(EOFError):
                client.get("/a")
        assert len(site.server.cache) == 0

    def test_those_who_waited_for_what_broke_off_ask_again(self, serve: Serve) -> None:
        gate = Gate()
        count = itertools.count(1)

        def script(_: Message) -> Iterator[bytes]:
            if next(count) == 1:
                yield response(b"whole and more", "Connection: close", FRESH)[:-5]
                gate()
                return
            yield response(b"whole", FRESH)

        site = serve(script)
        with gate, site.client() as leader, site.client() as follower:
            leader.ask("/a")
            leader.read_head()
            follower.ask("/a")
            wait_for_followers(site, 1)
            gate.open()
            assert follower.answer().body == b"whole"
            with pytest.raises(EOFError):
                leader.read(14)

    def test_it_does_not_answer_in_time(self, serve: Serve) -> None:
        gate = Gate()

        def script(_: Message) -> bytes:
            gate()
            return response(b"x", FRESH)

        site = serve(script, timeouts=Timeouts(origin=0.05))
        with gate, site.client() as client:
            answer = client.get("/a")
            assert (answer.status, answer.cache) == (504, "colorsched; fwd=uri-miss")
            assert client.get("/a", {"Content-Length": "0"}, method="POST").status == 504

    def test_it_stops_in_the_middle(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, stopped = Gate("begun"), Gate("stopped")

        def script(_: Message) -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npa"
            begun()
            yield b"rt"
            stopped()

        site = serve(script, timeouts=SWEEPS_OFTEN)
        with stopped, begun, site.client() as client:
            client.ask("/a")
            _, headers = client.read_head()
            # Only from now on: an origin whose first bytes are late is answered for by a 504.
            monkeypatch.setattr(site.server.pool, "timeouts", Timeouts(origin=0.05))
            begun.open()
            with pytest.raises(EOFError):
                client.read_body(headers, to_end=True)

    def test_it_does_not_accept_in_time(self, serve: Serve) -> None:
        # A full backlog: the system drops what comes after, without a word.
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            port = listener.getsockname()[1]
            fillers = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                fillers.append(filler)
            site = serve(
                lambda _: None, origin=Origin("127.0.0.1", port), timeouts=Timeouts(connect=0.05)
            )
            assert site.get("/a").status == 504
            for filler in fillers:
                filler.close()

    def test_a_head_too_large_is_not_swallowed(self, serve: Serve) -> None:
        site = serve(lambda _: response(b"x", "X: " + "x" * 500), limits=Limits(fields=400))
        assert site.get("/a").status == 502

    @pytest.mark.parametrize("late", [False, True])
    def test_idle_chatter_is_no_answer(self, serve: Serve, *, late: bool) -> None:
        """What the origin says unasked, at once or later, must not answer the next request."""
        answered = Gate()
        unasked = response(b"unasked")

        def script(_: Message) -> Iterator[bytes]:
            said = response(b"one", "Cache-Control: no-store")
            if late:
                yield said
                answered()
                yield unasked
            else:
                yield said + unasked

        site = serve(script)
        with answered:
            assert site.get("/a").body == b"one"
        # Before it has come, nobody could tell it from an answer to the next request.
        wait_until(site, lambda: site.server.pool.stats()["open"] == 0)
        assert site.get("/b").body == b"one"


class TestTls:
    def test_an_https_origin(self, serve: Serve, tmp_path: Path) -> None:
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        where = ["-keyout", str(key), "-out", str(certificate)]
        name = ["-addext", "subjectAltName=DNS:localhost"]
        subprocess.run([*make.split(), *name, *where], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]

        def answer() -> None:
            for _ in range(2):
                sock, _ = listener.accept()
                try:
                    wire = Wire(context.wrap_socket(sock, server_side=True))
                except ssl.SSLError:
                    sock.close()  # a client that does not trust us
                    continue
                with wire:
                    wire.read_head()
                    wire.send(response(b"secret" * 100_000, FRESH))
                    wire.at_end()

        thread = threading.Thread(target=answer)
        thread.start()
        trusting = ssl.create_default_context(cafile=str(certificate))
        origin = Origin("localhost", port, tls=True)
        site = serve(lambda _: None, origin=origin, tls=trusting)
        assert site.get("/a").body == b"secret" * 100_000
        assert site.get("/a").cache.startswith("colorsched; hit")
        site.server.pool.close()
        strict = serve(lambda _: None, origin=origin)
        refused = strict.get("/a")
        assert refused.status == 502
        assert b"certificate" in refused.body
        thread.join()
        listener.close()


def test_an_origin_whose_name_can_be_no_hosts(serve: Serve) -> None:
    site = serve(lambda _: response(b"x"), origin=Origin("a..b", 80))
    answer = site.get("/a")
    assert answer.status == 502
    assert b"no connection to the origin" in answer.body
