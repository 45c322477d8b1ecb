"""Bursts: many empty callbacks posted at once into one order, then run."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor


def empty() -> None:
    """The callback of every peer."""


def _on_loop(loop: asyncio.AbstractEventLoop, *, callbacks: int) -> dict[str, float]:
    post = loop.call_soon
    begin = time.perf_counter()
    for _ in range(callbacks):
        post(empty)
    post(loop.stop)
    loop.run_forever()
    seconds = time.perf_counter() - begin
    loop.close()
    return {"count": callbacks, "seconds": seconds}


def call_soon(*, callbacks: int) -> dict[str, float]:
    return _on_loop(asyncio.new_event_loop(), callbacks=callbacks)


def uvloop(*, callbacks: int) -> dict[str, float]:
    return _on_loop(importlib.import_module("uvloop").new_event_loop(), callbacks=callbacks)


def call_soon_threadsafe(*, callbacks: int) -> dict[str, float]:
    """The way of asyncio in from another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    post = loop.call_soon_threadsafe
    begin = time.perf_counter()
    for _ in range(callbacks):
        post(empty)
    post(loop.stop)
    thread.join()
    seconds = time.perf_counter() - begin
    loop.close()
    return {"count": callbacks, "seconds": seconds}


def thread_pool(*, callbacks: int) -> dict[str, float]:
    """One thread of concurrent.futures keeps the order, and makes a future of every call."""
    with ThreadPoolExecutor(1) as pool:
        post = pool.submit
        begin = time.perf_counter()
        for _ in range(callbacks):
            post(empty)
        post(empty).result()
        seconds = time.perf_counter() - begin
    return {"count": callbacks, "seconds": seconds}


def colorsched(*, callbacks: int) -> dict[str, float]:
    """Posted by this thread, run by the one worker."""
    from colorsched import Runtime

    done = threading.Event()
    with Runtime(workers=1) as runtime:
        post = runtime.color("burst").post
        begin = time.perf_counter()
        for _ in range(callbacks):
            post(empty)
        post(done.set)
        done.wait()
        seconds = time.perf_counter() - begin
    return {"count": callbacks, "seconds": seconds}


def colorsched_inside(*, callbacks: int) -> dict[str, float]:
    """Posted by a callback, as call_soon's burst is posted by the loop's own thread."""
    from colorsched import Runtime

    done = threading.Event()
    with Runtime(workers=1) as runtime:
        post = runtime.color("burst").post

        def burst() -> None:
            for _ in range(callbacks):
                post(empty)
            post(done.set)

        begin = time.perf_counter()
        runtime.post(burst)
        done.wait()
        seconds = time.perf_counter() - begin
    return {"count": callbacks, "seconds": seconds}
