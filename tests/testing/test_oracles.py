"""What is left when nothing can happen any more, and why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from colorsched.testing.program import Program
from colorsched.testing.strategies import Fifo


@pytest.mark.parametrize("apart", [True, False])
def test_a_callback_that_is_stopped_for_ever_is_a_stall(*, apart: bool) -> None:
    def main(rt: Any) -> None:
        async def wait() -> None:
            await asyncio.Event().wait()

        def block() -> None:
            rt.color("z").submit(wait).result()

        rt.color("a").post(block)

    failure = Program(main=main, apart=apart).run(Fifo()).failure
    assert failure is not None
    assert failure.kind == "stall"
    assert "'a' waits for the result of work in 'z'" in str(failure)
