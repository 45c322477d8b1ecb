"""A cache that asks for each key once, however many want it: the heart of `colorsched serve`.

A key's entry is touched in the key's color only. A reader that finds the color idle looks the
entry up at once, inside its own turn (`dispatch`); the first to miss starts the fetch, and who
comes meanwhile is answered from it, in order.

It prints::

    answers: 150
    fetched: / /news /sport
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from colorsched import Runtime, current_color

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color

READERS = 50
KEYS = ["/", "/news", "/sport"]


class Cache:
    """Values by key; `fetch` is slow and may block."""

    def __init__(self, rt: Runtime, fetch: Callable[[str], str]) -> None:
        self._rt = rt
        self._fetch = fetch
        self._values: dict[str, str] = {}
        self._waiting: dict[str, list[Callable[[str], object]]] = {}

    def get(self, key: str, answer: Callable[[str], object]) -> None:
        """Call `answer(value)` in the color of the caller. Call it inside a callback."""
        reader = current_color()
        assert reader is not None, "get() is called inside a callback"
        self._rt.color(("key", key)).dispatch(self._look_up, key, reader, answer)

    def _look_up(self, key: str, reader: Color, answer: Callable[[str], object]) -> None:
        """In the key's color."""

        def tell(value: str) -> None:
            reader.post(answer, value)

        if key in self._values:
            tell(self._values[key])
        elif key in self._waiting:
            self._waiting[key].append(tell)
        else:
            self._waiting[key] = [tell]
            # In a color of its own, so that the key's color stays free while it blocks.
            self._rt.color(("fetch", key)).post(self._fetch_now, key)

    def _fetch_now(self, key: str) -> None:
        self._rt.color(("key", key)).post(self._store, key, self._fetch(key))

    def _store(self, key: str, value: str) -> None:
        """In the key's color again."""
        self._values[key] = value
        for tell in self._waiting.pop(key):
            tell(value)


def main() -> None:
    """Let many readers ask for a few keys at once."""
    fetched: list[str] = []
    answers: list[str] = []

    def slow(key: str) -> str:
        fetched.append(key)
        time.sleep(0.05)
        return f"page {key}"

    with Runtime(workers=2) as rt:
        cache = Cache(rt, slow)
        for n in range(READERS):
            for key in KEYS:
                rt.color(("reader", n)).post(cache.get, key, answers.append)
    print("answers:", len(answers))
    print("fetched:", *sorted(fetched))


if __name__ == "__main__":
    main()
