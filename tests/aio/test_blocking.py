"""Threads, executors and child processes, awaited in colors."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from colorsched import Color, Runtime, current_color, run
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from aio_support import Everywhere


def test_to_thread_carries_the_context(everywhere: Everywhere) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def main(i: int) -> tuple[int, Color | None, bool]:
        variable.set(i)
        here = threading.get_ident()

        def work() -> tuple[int, Color | None, bool]:
            return variable.get(), current_color(), threading.get_ident() == here

        return await asyncio.to_thread(work)

    assert everywhere(main) == [(i, None, False) for i in range(5)]


def test_run_in_executor(rt: Runtime, everywhere: Everywhere) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        async def main(i: int) -> list[object]:
            loop = asyncio.get_running_loop()
            other = rt.color(("worker", i))
            return [
                await loop.run_in_executor(None, pow, i, 2),
                await loop.run_in_executor(pool, pow, i, 3),
                await loop.run_in_executor(other, pow, i, 4),
                await loop.run_in_executor(other, current_color) is other,
            ]

        assert everywhere(main) == [[i**2, i**3, i**4, True] for i in range(5)]


def test_the_default_executor_can_be_set(rt: Runtime) -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine")

    async def main() -> str:
        asyncio.get_running_loop().set_default_executor(pool)
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    assert rt.spawn(main()).result(PATIENCE_SECONDS).startswith("mine")


def test_shutdown_waits_for_calls_in_the_pool() -> None:
    gate = Gate("in the pool")
    done: list[str] = []

    def work() -> None:
        gate()
        done.append(threading.current_thread().name)

    async def main() -> None:
        task = asyncio.ensure_future(asyncio.to_thread(work))
        await asyncio.sleep(0)
        gate.reached()
        task.cancel()
        asyncio.get_running_loop().call_soon(gate.open)

    run(main(), workers=1)
    assert len(done) == 1


def test_cancelling_the_call_of_another_colors_executor(rt: Runtime) -> None:
    busy = rt.color("busy")
    ran: list[int] = []
    with Gate("busy") as gate:
        busy.post(gate)
        gate.reached()

        async def main() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(
                    asyncio.get_running_loop().run_in_executor(busy, ran.append, 1), 0.001
                )

        rt.color("waits").spawn(main()).result(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    assert ran == []


SCRIPT = "import sys; data = sys.stdin.read(); print(data.upper()); sys.exit(len(data))"


def test_subprocess_exec(everywhere: Everywhere) -> None:
    async def main(i: int) -> tuple[bytes, int | None]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", SCRIPT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate(b"x" * i)
        return out.strip(), process.returncode

    assert everywhere(main) == [(b"X" * i, i) for i in range(5)]


def test_subprocess_shell(everywhere: Everywhere) -> None:
    async def main(i: int) -> tuple[bytes, int]:
        process = await asyncio.create_subprocess_shell(
            f"echo said {i}; exit {i}", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        return await process.stdout.read(), await process.wait()

    assert everywhere(main) == [(f"said {i}\n".encode(), i) for i in range(5)]


def test_killing_a_subprocess(rt: Runtime) -> None:
    async def main() -> int:
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        process.terminate()
        return await process.wait()

    assert rt.spawn(main()).result(PATIENCE_SECONDS) == -signal.SIGTERM


def test_signal_handlers_of_the_loop() -> None:
    async def main() -> tuple[str, Color | None, bool]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[str] = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, arrived.set_result, "arrived")
        os.kill(os.getpid(), signal.SIGUSR1)
        answer = await arrived
        return answer, current_color(), loop.remove_signal_handler(signal.SIGUSR1)

    before = signal.getsignal(signal.SIGUSR1)
    answer, color, removed = run(main(), workers=2)
    assert (answer, removed) == ("arrived", True)
    assert color is not None
    assert signal.getsignal(signal.SIGUSR1) is before


def test_bad_signal_handlers_are_refused_as_asyncio_does() -> None:
    async def handler() -> None:
        """Never called."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TypeError, match="coroutines cannot be used"):
            loop.add_signal_handler(signal.SIGUSR1, handler)
        with pytest.raises(RuntimeError, match="cannot be caught"):
            loop.add_signal_handler(signal.SIGKILL, print)
        with pytest.raises(ValueError, match="signal"):
            loop.add_signal_handler(9999, print)
        assert not loop.remove_signal_handler(signal.SIGUSR2)

    run(main())
