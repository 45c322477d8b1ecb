"""Chains: each callback posts the next one of its color; every post is made by a callback."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def step(post: Callable[..., Any], left: int, finish: Callable[[], None]) -> None:
    """The callback of every peer: post the next one, or say that this chain has ended."""
    if left:
        post(step, post, left - 1, finish)
    else:
        finish()


def _on_loop(loop: asyncio.AbstractEventLoop, *, callbacks: int, chains: int) -> dict[str, float]:
    ended: list[None] = []

    def finish() -> None:
        ended.append(None)
        if len(ended) == chains:
            loop.stop()

    post = loop.call_soon
    length = callbacks // chains
    begin = time.perf_counter()
    for _ in range(chains):
        post(step, post, length - 1, finish)
    loop.run_forever()
    seconds = time.perf_counter() - begin
    loop.close()
    return {"count": length * chains, "seconds": seconds}


def call_soon(*, callbacks: int, chains: int) -> dict[str, float]:
    return _on_loop(asyncio.new_event_loop(), callbacks=callbacks, chains=chains)


def uvloop(*, callbacks: int, chains: int) -> dict[str, float]:
    loop = importlib.import_module("uvloop").new_event_loop()
    return _on_loop(loop, callbacks=callbacks, chains=chains)


def colorsched(*, callbacks: int, chains: int, workers: int = 1) -> dict[str, float]:
    from colorsched import Runtime

    ended: list[None] = []
    done = threading.Event()

    def finish() -> None:
        ended.append(None)
        if len(ended) == chains:
            done.set()

    length = callbacks // chains
    with Runtime(workers=workers) as runtime:
        posts = [runtime.color(("chain", number)).post for number in range(chains)]
        begin = time.perf_counter()
        for post in posts:
            post(step, post, length - 1, finish)
        done.wait()
        seconds = time.perf_counter() - begin
    return {"count": length * chains, "seconds": seconds}
