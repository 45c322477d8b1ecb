"""The names in a trace: of colors, as text that is the same in every process, and of functions."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from colorsched.core.observed import Planned
from colorsched.runtime import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Hashable


def name_of(fn: Any) -> str:
    """What to call a function: a partial or a timer by what it calls, a task's step by that."""
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, asyncio.Task):
        fn = owner.get_coro()
    while isinstance(fn, partial | Planned):
        fn = fn.func if isinstance(fn, partial) else fn.fn
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__


class Texts:
    """Colors' keys as text: the same in every process, and different for different keys.

    Of the types that say all in their ``repr`` that is the text. Other keys are remembered: their
    type's name is put before it, addresses are left out, and of two that would read the same the
    second gets a number.
    """

    def __init__(self) -> None:
        self._texts: dict[Hashable, str] = {DEFAULT: "DEFAULT"}
        self._times: Counter[str] = Counter()

    def of(self, key: Hashable) -> str:
        """The text of a key."""
        if _is_plain(key):
            return repr(key)
        text = self._texts.get(key)
        if text is None:
            try:
                shown = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(key))
            except Exception:  # noqa: BLE001 - a key of the user's that cannot be shown
                shown = "?"
            name = type(key).__qualname__
            text = shown if name in shown else f"{name} {shown}"
            self._times[text] += 1
            if self._times[text] > 1:
                text = f"{text} #{self._times[text]}"
            self._texts[key] = text
        return text


def _is_plain(key: object) -> bool:
    kind = type(key)
    return kind in _PLAIN or (kind is tuple and all(_is_plain(item) for item in key))  # type: ignore[attr-defined]  # a tuple has items


_PLAIN = frozenset({str, int, bytes, float, complex, bool, type(None)})
