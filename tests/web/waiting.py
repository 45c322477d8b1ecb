"""Waiting for states of a server that nothing announces, without sleeping."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from web.client import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from web.conftest import Site


def wait_until(site: Site, met: Callable[[], bool]) -> None:
    """Wait for a state, by looking at it after each turn of the server's runtime."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if met():
            return
        site.server.runtime.submit(int).result()
    raise AssertionError("the server never came to the state that was waited for")


def wait_for_followers(site: Site, count: int) -> None:
    """Wait until `count` requests wait for the one fetch."""

    def met() -> bool:
        fetches = list(itertools.chain.from_iterable(site.server.cache.fetches.copy().values()))
        return len(fetches) == 1 and fetches[0].waiting == count

    wait_until(site, met)
