"""Tight loops that access state and do nothing else; a benchmark instruments this module."""

from __future__ import annotations

from typing import Any

count = 0


class Point:
    """Has a field."""

    def __init__(self) -> None:
        self.x = 0


def attributes(point: Any, times: int) -> None:
    """Read and write an attribute."""
    for _ in range(times):
        point.x = point.x + 1


def augmented(point: Any, times: int) -> None:
    """Read and write an attribute in one statement."""
    for _ in range(times):
        point.x += 1


def items(table: Any, times: int) -> None:
    """Read and write the value of a key."""
    for _ in range(times):
        table["x"] = table["x"] + 1


def variables(_: Any, times: int) -> None:
    """Read and write a global variable."""
    global count  # noqa: PLW0603 - to access one is what it is for
    for _ in range(times):
        count = count + 1


#: The accesses that a round of a loop makes: a read and a write.
ACCESSES = 2
