"""Fixtures of the web server's tests: a server on a free port, in front of a scripted origin."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from colorsched import Runtime
from colorsched.web.config import Address, Origin, Settings, Timeouts
from colorsched.web.server import Server
from web.client import PATIENCE_SECONDS, Client, Headers, Message, Script, ScriptedOrigin, get

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

NOON = 1_700_000_000.0

SWEEPS_OFTEN = Timeouts(linger=0.05)
"""A short time limit that does not matter makes the look after all of them come often."""


@define
class Clock:
    """Epoch seconds that pass when the test says so."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@define
class Site:
    """A running server, its origin and its clock."""

    server: Server
    origin: ScriptedOrigin
    clock: Clock
    failures: list[BaseException] = field(factory=list)

    @property
    def port(self) -> int:
        return self.server.listener.address.port

    def client(self) -> Client:
        return Client(self.port)

    def get(self, target: str, headers: Headers | None = None, *, method: str = "GET") -> Message:
        return get(self.port, target, headers, method=method)


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Give a function that starts a server; afterwards each stops, and nothing may have failed."""
    begun: list[tuple[Runtime, Site]] = []

    def start(
        script: Script, *, workers: int = 2, tls: ssl.SSLContext | None = None, **settings: Any
    ) -> Site:
        failures: list[BaseException] = []
        runtime = Runtime(workers=workers, exception_handler=failures.append)
        origin = ScriptedOrigin(script)
        clock = Clock()
        settings.setdefault("origin", Origin("127.0.0.1", origin.port))
        settings.setdefault("grace", 0.0)
        listen = Address("127.0.0.1", 0)
        server = Server(runtime, Settings(listen=listen, **settings), clock=clock, tls=tls)
        site = Site(server, origin, clock, failures)
        begun.append((runtime, site))
        server.start()
        return site

    yield start
    for runtime, site in begun:
        site.server.stop()
        stopped = site.server.wait(PATIENCE_SECONDS)
        site.origin.stop()
        drained = runtime.drain(PATIENCE_SECONDS)
        story = "" if drained else f"not drained: {runtime.stats()}"  # which the end changes
        runtime.shutdown()
        told = "".join("".join(traceback.format_exception(one)) for one in site.failures)
        assert not site.failures, told
        assert stopped, f"{site.server.connections} connections are left"
        assert drained, story
