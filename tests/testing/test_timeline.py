"""The picture of a run, to the letter."""

from __future__ import annotations

import asyncio
from typing import Any

from colorsched.testing.program import Program
from colorsched.testing.strategies import Fifo, Recorded
from colorsched.testing.timeline import STEPS, WIDTH, Narrated, Timeline


def load() -> None: ...
def save() -> None: ...
def bump() -> None: ...


def main(rt: Any) -> None:
    def begin() -> None:
        rt.color("blue").post(bump)
        rt.color("red").post(save)

    rt.color("red").post(begin)
    rt.color("red").post(load)


def drawn(program: Any, *choices: int) -> tuple[Timeline, Narrated]:
    timeline = Timeline()
    narrated = Narrated(choices, timeline)
    assert Program(main=program).run(narrated, timeline).failure is None
    return timeline, narrated


def test_a_plain_run() -> None:
    timeline, narrated = drawn(main)
    assert timeline.draw() == (
        "red   |#1 begin |........|#2 load |#4 save |\nblue  |.........|#3 bump |........|........|"
    )
    assert narrated.tell() == "the plain schedule: no deviation from FIFO"


def test_deviations_are_told_by_who_was_first() -> None:
    def two(rt: Any) -> None:
        rt.color("red").post(load)
        rt.color("blue").post(save)

    assert drawn(two, 0, 0, 1)[1].tell() == "1 deviation from FIFO: blue#2 before red#1"
    plain = "1 deviation from FIFO: red#1 before what main does next"
    assert drawn(two, 1)[1].tell() == plain


def test_long_runs_are_folded_and_show_their_end() -> None:
    def many(rt: Any) -> None:
        for _ in range(STEPS + 5):
            rt.color("red").post(load)

    lines = drawn(many)[0].draw().splitlines()
    assert lines[0] == "... 5 steps before"
    assert all(len(line) <= WIDTH for line in lines)
    assert sum(line.count("load") for line in lines) == STEPS


def test_nothing_ran() -> None:
    assert Timeline().draw() == "nothing ran"


def test_differences() -> None:
    def other(rt: Any) -> None:
        rt.color("red").post(load)

    one, two = Timeline(), Timeline()
    Program(main=main).run(Fifo(), one)
    Program(main=other).run(Recorded(()), two)
    assert one.difference(one) is None
    assert one.difference(two) == "step 0 was red#1 begin in the one and red#1 load in the other"


def test_what_asyncio_does_between_the_steps_is_left_out() -> None:
    async def main(rt: Any) -> None:
        await rt.color("blue").submit(bump)
        await asyncio.sleep(1)

    timeline, _ = drawn(main)
    picture = timeline.draw()
    assert "bump" in picture
    assert picture.count("main") == 4
    assert "_set" not in picture
    assert len(timeline) > picture.count("#")
