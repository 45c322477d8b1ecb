"""The command line: what it prints, how it ends, and how it says what is wrong."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import colorsched
from colorsched import cli
from colorsched.web.config import (
    Address,
    ConfigError,
    Origin,
    Settings,
    parse_address,
    parse_duration,
    parse_host,
    parse_origin,
    parse_size,
)
from web.client import PATIENCE_SECONDS, Client, get

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command as a process, once it has said how to try it; and what it printed so far."""
    command = [sys.executable, "-m", "colorsched.cli", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("try: "):
                    break
            yield process, lines
        finally:
            process.kill()


def port_of(line: str) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
    assert found, line
    return int(found[1])


SERVE = ("serve", "--listen", "127.0.0.1:0")


class TestServe:
    def test_it_says_what_it_found_and_serves(self) -> None:
        with running(*SERVE, "--admin", "127.0.0.1:0", "--workers", "2") as (process, lines):
            assert re.fullmatch(
                rf"colorsched {re.escape(colorsched.__version__)} on CPython [0-9.]+"
                r" (with the GIL|free-threaded), 2 workers",
                lines[0],
            )
            port = port_of(lines[1])
            assert lines[1].startswith("listening on http://127.0.0.1:")
            assert "a demonstration" in lines[2]
            assert lines[-1] == f"try: curl -i http://127.0.0.1:{port}/"
            assert get(port, "/").cache.startswith("colorsched; fwd=uri-miss")
            assert get(port, "/").cache.startswith("colorsched; hit")
            # An answer is counted when it is written, which is a moment after it is read here.
            admin = port_of(lines[4])
            hits = (json.loads(get(admin, "/-/stats").body)["hits"] for _ in range(10_000))
            assert 1 in hits
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_lets_running_requests_end(self, number: signal.Signals) -> None:
        with running(*SERVE, "--demo-delay", "0.2") as (process, lines):
            port = port_of(lines[1])
            with Client(port) as client:
                client.ask("/bytes/5")
                # A second request that is answered shows that the first one has begun.
                get(port, "/bytes/4")
                client.answer()
                client.ask("/bytes/6")
                get(port, "/bytes/3")
                process.send_signal(number)
                assert client.answer().body == b"xxxxxx"
            assert process.wait(PATIENCE_SECONDS) == 0

    def test_a_second_signal_cuts(self) -> None:
        with running(*SERVE, "--demo-delay", "1h") as (process, lines):
            with Client(port_of(lines[1])) as client, Client(port_of(lines[1])) as idle:
                client.ask("/")
                idle.ask("/b", {"Cache-Control": "only-if-cached"})
                assert idle.answer().status == 504
                process.send_signal(signal.SIGTERM)
                assert idle.at_end()
                process.send_signal(signal.SIGINT)
                assert client.at_end()
            assert process.wait(PATIENCE_SECONDS) == 0

    def test_the_demonstration_origin_alone(self) -> None:
        with running("origin", "--listen", "127.0.0.1:0") as (process, lines):
            assert get(port_of(lines[1]), "/bytes/7").body == b"xxxxxxx"
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 0

    def test_the_log_on_standard_output(self) -> None:
        with running(*SERVE, "--access-log", "-") as (process, lines):
            get(port_of(lines[1]), "/some/page")
            process.send_signal(signal.SIGTERM)
            assert process.stdout is not None
            assert '"GET /some/page HTTP/1.1" 200' in process.stdout.read()
            assert process.wait(PATIENCE_SECONDS) == 0


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["serve", "--origin", "localhost:9000"], "is no origin"),
            (["serve", "--origin", ""], "'' is no origin"),
            (["serve", "--origin", "http://a/path"], "must end after host and port"),
            (["serve", "--origin", "ftp://a"], "is no origin"),
            (["serve", "--listen", "8080x"], "is not an address"),
            (["serve", "--listen", "::1:80"], "in brackets"),
            (["serve", "--cache-size", "64Q"], "is not a size"),
            (["serve", "--cache-size", "64"], "at least 1M"),
            (["serve", "--max-object", "0"], "at least 1 byte"),
            (["serve", "--read-timeout", "soon"], "is not a duration"),
            (["serve", "--read-timeout", "0"], "above 0 seconds"),
            (["serve", "--workers", "0"], "from 1 to 1024"),
            (["serve", "--host-header", "a/b"], "is no host"),
            (["serve", "--no-such-option"], "unrecognized arguments"),
            (["dance"], "invalid choice"),
        ],
    )
    def test_wrong_usage_is_one_clear_line_and_2(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("colorsched")
        assert said in last

    def test_an_address_in_use_is_one_clear_line_and_1(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for command in (["serve"], ["serve", "--origin", "http://a"], ["origin"]):
                assert cli.main([*command, "--listen", f"127.0.0.1:{port}"]) == 1
                assert capsys.readouterr().err == (
                    f"colorsched: cannot listen on 127.0.0.1:{port}: Address already in use\n"
                )

    def test_a_name_that_cannot_be_looked_up(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def create_server(address: object, **_: object) -> None:
            # As the original does; -2 is a number of getaddrinfo's.
            raise OSError(
                -2, f"Name or service not known (while attempting to bind on address {address!r})"
            )

        monkeypatch.setattr(socket, "create_server", create_server)
        assert cli.main(["serve", "--origin", "http://a", "--listen", "no.such.host:80"]) == 1
        assert capsys.readouterr().err == (
            "colorsched: cannot listen on no.such.host:80: Name or service not known\n"
        )

    def test_a_log_that_cannot_be_opened(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main([*SERVE, "--access-log", "/no/such/folder/log"]) == 1
        assert "/no/such/folder/log: No such file or directory" in capsys.readouterr().err

    def test_without_a_command_it_helps(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main([]) == 2
        assert "colorsched serve" in capsys.readouterr().out

    @pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["origin", "--help"]])
    def test_help(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 0
        assert "usage: colorsched" in capsys.readouterr().out

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["--version"])
        assert capsys.readouterr().out == f"colorsched {colorsched.__version__}\n"

    def test_without_its_extra(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "httptools", None)
        assert cli.main(["serve"]) == 1
        assert "pip install 'colorsched[web]'" in capsys.readouterr().err
        with pytest.raises(SystemExit) as caught:
            cli.main(["serve", "--help"])
        assert caught.value.code == 0


class TestReaders:
    def test_sizes(self) -> None:
        assert [parse_size(text) for text in ("0", "10", "2k", "3M", "1g", "4KiB", " 5 MB ")] == [
            0, 10, 2048, 3 << 20, 1 << 30, 4096, 5 << 20,
        ]  # fmt: skip

    def test_durations(self) -> None:
        texts = ("5", "0.5", ".5s", "250ms", "2m", "1h")
        assert [parse_duration(text) for text in texts] == [5, 0.5, 0.5, 0.25, 120, 3600]

    def test_addresses(self) -> None:
        assert parse_address("80") == Address("127.0.0.1", 80)
        assert parse_address(":80") == Address("", 80)
        assert parse_address("[::1]:80") == Address("::1", 80)
        assert str(parse_address("[::1]:80")) == "[::1]:80"
        with pytest.raises(ConfigError):
            parse_address("a:65536")

    def test_origins(self) -> None:
        assert parse_origin("http://a") == Origin("a", 80)
        assert parse_origin("https://a/") == Origin("a", 443, tls=True)
        assert parse_origin("http://[::1]:9000").authority == b"[::1]:9000"
        assert str(parse_origin("https://a")) == "https://a"
        for text in ("http://", "http://a:x", "http://a?q", "http://u@a", "//a", "http://é"):
            with pytest.raises(ConfigError):
                parse_origin(text)

    def test_hosts(self) -> None:
        assert parse_host(None) is None
        assert parse_host("a:80") == b"a:80"

    def test_settings_are_checked(self) -> None:
        with pytest.raises(ConfigError, match="grace"):
            Settings(origin=Origin("a", 80), grace=-1)
        with pytest.raises(ValueError, match="65535"):
            Address("a", 70000)


def test_it_listens_on_every_host_if_told_so() -> None:
    with running("serve", "--listen", ":0") as (process, lines):
        port = int(lines[-1].rstrip("/").rpartition(":")[2])
        assert get(port, "/").status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
