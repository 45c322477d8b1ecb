"""A callback that waits for something real: it is named, and the run ends."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.ports import is_asleep
from colorsched.testing import CannotSimulate, SimRuntime, explore, replay, verify
from colorsched.testing.program import Program
from colorsched.testing.strategies import Fifo
from colorsched.testing.watchdog import LOOKS, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable


class Looks:
    """Time as the watchdog has it: it passes while somebody is about to block, and only then."""

    def __init__(self) -> None:
        self.blocks = threading.Event()
        self.count = 0
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        self.blocks.wait()
        self.count += 1
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self.blocks.set()

    def is_set(self) -> bool:
        return self._is_set

    def clear(self) -> None:
        raise NotImplementedError


class Gate:
    """Is never opened. Who waits for it blocks from the first look on, as far as one can see."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks

    def wait(self) -> None:
        self._looks.blocks.set()
        threading.Event().wait()


MAIN = threading.get_ident()


def at_the_gate(thread: int) -> bool:
    """Whether a thread, this one, waits at an event: not if it is on its way there, or back."""
    frame = sys._current_frames()[MAIN]
    return frame.f_code is threading.Condition.wait.__code__ and is_asleep(thread)


def run(
    main: Any,
    looks: Looks,
    is_asleep: Callable[[int], bool] = at_the_gate,
    **options: Any,
) -> None:
    with Watchdog(event=lambda: looks, is_asleep=is_asleep) as watchdog:
        Program(main=main, watchdog=watchdog, **options).run(Fifo())


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("start", ["post", "submit"])
def test_a_callback_that_blocks_is_named(*, observed: bool, start: str) -> None:
    looks = Looks()
    gate = Gate(looks)
    done: list[str] = []

    def fetch() -> None:
        try:
            gate.wait()  # the other one, which would open it, does not run
        finally:
            done.append("cleaned up")

    def main(rt: Any) -> None:
        getattr(rt.color("red"), start)(fetch)
        rt.color("blue").post(done.append, "opened")

    with pytest.raises(CannotSimulate) as caught:
        run(main, looks, observed=observed)
    text = str(caught.value)
    assert "a callback of the color 'red'" in text
    assert "fetch, has blocked for 60 s" in text
    assert "gate.wait()  # the other one" in text
    assert "run_turns" not in text
    assert done == ["cleaned up"]
    assert looks.count >= LOOKS


def test_who_catches_the_interrupt_and_blocks_again_is_interrupted_again() -> None:
    """As does one of whom it was lost in a finalizer, which Python tells nobody but its log."""
    looks = Looks()
    gate = Gate(looks)

    def fetch() -> None:
        try:
            gate.wait()
        except BaseException:  # noqa: BLE001 - that is the test
            pass
        gate.wait()

    with pytest.raises(CannotSimulate, match="fetch, has blocked for 60 s"):
        run(lambda rt: rt.post(fetch) and None, looks)


def test_main_that_blocks_is_named() -> None:
    looks = Looks()
    gate = Gate(looks)

    def main(_rt: Any) -> None:
        gate.wait()

    with pytest.raises(CannotSimulate, match=r"^main has blocked (.|\n)*gate.wait\(\)"):
        run(main, looks)


def test_who_sleeps_only_now_and_then_is_left_alone() -> None:
    looks, gate = Looks(), threading.Event()
    answers = iter([True] * (LOOKS - 2) + [False] + [True] * (LOOKS - 2))

    def is_asleep(_thread: int) -> bool:
        try:
            return next(answers)
        except StopIteration:
            gate.set()
            return False

    def block() -> None:
        looks.blocks.set()
        gate.wait()

    with Watchdog(event=lambda: looks, is_asleep=is_asleep) as watchdog:
        run = Program(main=lambda rt: rt.post(block) and None, watchdog=watchdog).run(Fifo())
    assert run.failure is None


@pytest.mark.parametrize("run", [explore, verify, lambda main: replay("cs1:-/1/", main)])
def test_whoever_runs_schedules_is_watched_and_no_thread_is_left(run: Any) -> None:
    def dogs() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "colorsched-watchdog"]

    seen: list[int] = []

    def main(rt: Any) -> None:
        rt.color("red").post(lambda: seen.append(len(dogs())))

    run(main)
    assert set(seen) == {1}
    assert dogs() == []


def test_a_callback_on_a_thread_of_its_own_is_named_too() -> None:
    """Main has a stack of its own here, and loses patience itself."""
    blocks, opened = threading.Event(), threading.Event()

    def stand_at_the_gate() -> None:
        blocks.set()
        opened.wait()

    def fetch() -> None:
        stand_at_the_gate()  # who sees that it blocks finds it in this line, however slow it is

    def impatient(baton: Any) -> bool:
        blocks.wait()
        return bool(baton.acquire(blocking=False))

    rt = SimRuntime(seed=1)
    rt._simulation.acquire = impatient
    rt.color("red").post(fetch)
    with pytest.raises(
        CannotSimulate, match=r"color 'red'(.|\n)*fetch, has(.|\n)*stand_at_the_gate\(\)"
    ):
        rt.drain()
    opened.set()
    rt.discard()


def test_what_is_not_written_in_python_is_named_too() -> None:
    looks, gate = Looks(), threading.Lock()
    gate.acquire()

    def main(rt: Any) -> None:
        rt.color("red").post(looks.blocks.set)
        rt.color("red").post(gate.acquire)

    # It can't tell from inside that it blocks, so the system is asked.
    with pytest.raises(CannotSimulate, match=r"color 'red', .*acquire.* has blocked"):
        run(main, looks, is_asleep)
