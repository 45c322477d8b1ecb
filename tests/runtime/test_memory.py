"""An idle color leaves nothing: not in the registry, and not in the process."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colorsched import Runtime
from colorsched.ports import FENCE
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.color import Color

MEBIBYTE = 2**20
WAVE = 20_000


def resident() -> int:
    """Resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def wave(runtime: Runtime, first: int, post: Callable[[Runtime, int], object]) -> None:
    for key in range(first, first + WAVE):
        post(runtime, key)


def by_post(runtime: Runtime, key: int) -> None:
    runtime.color(("used once", key)).post(int)


def by_submit(runtime: Runtime, key: int) -> None:
    runtime.color(("used once", key)).submit(int)


def growth(total: int, post: Callable[[Runtime, int], object]) -> tuple[int, int]:
    """Use so many colors once each: colors alive at the end, and bytes grown since the start."""
    with Runtime(workers=2, max_workers=2) as runtime:
        # What the first wave needs stays, as what the process needs. It waits as a whole before
        # any of it runs: on a busy machine a later one may, and then needs as much.
        with Gate() as one, Gate() as other:
            runtime.color("one").post(one)
            runtime.color("other").post(other)
            one.reached()
            other.reached()
            wave(runtime, -WAVE, post)
        assert runtime.drain(PATIENCE_SECONDS)
        gc.collect()
        before = resident()
        for first in range(0, total, WAVE):
            wave(runtime, first, post)
            assert runtime.drain(PATIENCE_SECONDS)
        gc.collect()
        return runtime.stats().colors, resident() - before


@pytest.mark.parametrize("post", [by_post, by_submit])
def test_many_colors_used_once_leave_nothing(post: Callable[[Runtime, int], object]) -> None:
    colors, grown = growth(100_000, post)
    assert colors <= 64  # the default one, and those kept for a moment since keys come again
    assert grown < 20 * MEBIBYTE


@pytest.mark.slow
def test_a_million_colors_used_once_leave_the_process_as_it_was() -> None:
    """Ten million are the benchmark's (``python -m benchmarks --only memory``): minutes long."""
    colors, grown = growth(1_000_000, by_post)
    assert colors <= 64
    assert grown <= 20 * MEBIBYTE


def test_what_a_callback_held_is_let_go_after_it(rt: Runtime) -> None:
    class Payload:
        pass

    def take(payload: Payload) -> None:
        """Hold it for the time of the call."""

    payload = Payload()
    reference = weakref.ref(payload)
    gc.disable()
    try:
        rt.color("c").post(take, payload)
        rt.color("c").submit(take, payload).result(PATIENCE_SECONDS)
        del payload
        assert rt.drain(PATIENCE_SECONDS)
        assert reference() is None
    finally:
        gc.enable()


def test_a_cancelled_callback_lets_go_at_once(rt: Runtime) -> None:
    class Payload:
        pass

    payload = Payload()
    reference = weakref.ref(payload)
    handle = rt.call_later(3600, print, payload)
    del payload
    handle.cancel()
    gc.collect()
    assert reference() is None


def test_who_looks_through_the_colors_keeps_none_alive_but_the_one_it_looks_at(rt: Runtime) -> None:
    """A worker may be stopped in the middle of its look whether all is quiet."""
    registry = rt._scheduler.registry
    first, second, third = (rt.color(name) for name in ("first", "second", "third"))
    references = [weakref.ref(color) for color in (first, second, third)]
    look = registry.alive()
    assert next(look) is rt._default
    assert next(look) is first
    del first, second, third
    gc.collect()  # on free-threaded builds
    assert [reference() is not None for reference in references] == [True, False, False]
    del look
    gc.collect()
    assert references[0]() is None


def let_go_at_the_limit(held: list[Color]) -> None:
    """Empty a list where no Python function can be called any more."""
    try:
        let_go_at_the_limit(held)
    except RecursionError:
        held.clear()


@pytest.mark.skipif(not FENCE, reason="with the GIL its entry is left for the next look")
def test_a_color_let_go_where_no_function_can_be_called_leaves_nothing(rt: Runtime) -> None:
    """Its weak reference's callback ran into the limit; and so did that of thousands, at once.

    A free-threaded interpreter lets go of what other threads have dropped wherever a function
    begins: in such a callback, too, and in the callback inside that.
    """
    before = rt.stats().colors
    held = [rt.color("held")]
    let_go_at_the_limit(held)
    assert (held, rt.stats().colors) == ([], before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_entry_left_behind_is_taken_out_by_the_next_look(rt: Runtime) -> None:
    before = rt.stats().colors
    held = [rt.color("held")]
    let_go_at_the_limit(held)
    assert held == []
    assert rt.drain(PATIENCE_SECONDS)
    assert rt.stats().colors == before


def test_a_color_lives_as_long_as_somebody_needs_it(rt: Runtime) -> None:
    timer = rt.color("timer").call_later(3600, int)
    held = rt.color("held")
    for number in range(10_000):
        rt.color(number).post(int)
    assert rt.drain(0) is False
    keys = {color.key for color in rt._scheduler.registry.alive()}
    assert {"timer", "held"} <= keys
    assert held.key == "held"
    timer.cancel()
