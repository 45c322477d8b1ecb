"""What the tests of asyncio in colors share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

COLORS = 5


class Everywhere(Protocol):
    """Runs a coroutine function in several colors at once."""

    def __call__(self, main: Callable[[int], Coroutine[Any, Any, Any]]) -> list[Any]: ...


async def until(holds: Callable[[], object]) -> None:
    """Let other tasks of this loop run until a condition holds."""
    while not holds():  # noqa: ASYNC110 - there is nobody who would set an event
        await asyncio.sleep(0)
