"""``run``: a coroutine, a runtime for it, and the end of both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from colorsched.runtime import Runtime, enter, leave
from colorsched.sources.signals import Bell

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from colorsched.executors.slots.engines import slots
    from colorsched.executors.slots.jobs import Retry

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T],
    *,
    workers: int | None = None,
    max_workers: int | None = None,
    exception_handler: Callable[[BaseException], object] | None = None,
    executor: str | slots = "threads",
    address: str | None = None,
    travel: str | None = None,
    retry: Retry | None = None,
) -> T:
    """Run a coroutine in the default color of a new runtime, and return its result.

    It is to a runtime what ``asyncio.run`` is to an event loop: when ``main`` ends, other
    coroutines are cancelled and awaited, work that was posted still runs, and the runtime is shut
    down. Ctrl-C cancels ``main`` too and is raised when all have ended; a second one is raised at
    once. The options are those of ``Runtime``.

    Raises:
        TypeError: ``main`` is not a coroutine.
        RuntimeError: called where an event loop runs, which it would block.

    >>> import asyncio
    >>> async def main():
    ...     await asyncio.sleep(0)
    ...     return "done"
    >>> run(main())
    'done'

    """
    if not asyncio.iscoroutine(main):
        raise TypeError(f"run() takes a coroutine, got {main!r}. Call the async function: run(f())")
    if asyncio._get_running_loop() is not None:
        main.close()
        raise RuntimeError(
            "run() cannot be called where an event loop runs: await the coroutine, or spawn() it"
        )
    try:
        runtime = Runtime(
            workers,
            max_workers,
            exception_handler=exception_handler,
            executor=executor,
            address=address,
            travel=travel,
            retry=retry,
        )
    except BaseException:
        main.close()
        raise
    enter(runtime)
    try:
        done = Bell(runtime._doors)
        # Before main begins, since it may handle a signal at once: that needs this thread.
        with runtime._hub.signals.main.attending(done):
            future = runtime.spawn(main)
            future.add_done_callback(lambda _: done.ring())
            runtime._wait(done, None)
        return future.result()
    finally:
        # An interrupt comes here too: main is then cancelled with the other coroutines. Work is
        # taken until they have ended, since they may need some to clean up.
        try:
            runtime._ending.cancel_coroutines()
            runtime.shutdown()
        except BaseException:
            runtime.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            leave(runtime)
