"""Fixtures for tests of asyncio inside colors."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aio_support import COLORS
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aio_support import Everywhere
    from colorsched import Runtime

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.fixture
def everywhere(rt: Runtime) -> Everywhere:
    """Give a function that spawns `main(i)` in each of several colors and returns all results."""

    def run(main: Callable[[int], Coroutine[Any, Any, Any]]) -> list[Any]:
        futures = [rt.color(("everywhere", i)).spawn(main(i)) for i in range(COLORS)]
        return [future.result(PATIENCE_SECONDS) for future in futures]

    return run


@pytest.fixture(scope="session")
def server_tls() -> ssl.SSLContext:
    """Give the settings of a TLS server at `localhost`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture(scope="session")
def client_tls() -> ssl.SSLContext:
    """Give the settings of a client that trusts that server, and checks its name."""
    return ssl.create_default_context(cafile=CERTIFICATE)
