"""The checker of the contract on records made by hand, and what programs are drawn."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings

from colorsched.errors import ColorschedError
from colorsched.testing.conformance import (
    ContractError,
    Event,
    PlannedError,
    Point,
    Recorder,
    Start,
    check,
)
from colorsched.testing.conformance.actions import POST, SUBMIT, Cancel, Program, serially
from colorsched.testing.conformance.programs import EVERY_WAY, programs


def story(*said: tuple[Any, ...]) -> list[Event]:
    return [Event(*each) for each in said]


def posted(number: int, how: str = POST, key: str = "red") -> list[Event]:
    return story(("posting", number, (how, key)), ("posted", number))


def ran(number: int, key: str = "red") -> list[Event]:
    return story(
        ("begin", number, f"for {number}"), ("enter", number, (key,)),
        ("leave", number), ("end", number),
    )  # fmt: skip


def outcome(number: int, *what: Any) -> list[Event]:
    return [Event("outcome", number, what)]


RAN = ("handle", None)


def test_what_keeps_the_contract_passes() -> None:
    check([*posted(0), *posted(1), *ran(0), *ran(1), *outcome(0, *RAN), *outcome(1, *RAN)])
    check([*posted(0, SUBMIT), *ran(0), *outcome(0, "future", "result", 0)])
    check([*posted(0), Event("cancel", 0, detail=True), *outcome(0, "handle", "cancelled")])
    check([*posted(0), *outcome(0, "handle", "shut down")])
    check([])


def test_colors_may_run_at_once() -> None:
    first, second = ran(0), ran(1, "blue")
    check([*posted(0), *posted(1, key="blue"), *first[:2], *second, *first[2:]])


def test_who_posts_at_the_same_time_may_run_in_either_order() -> None:
    first, second = posted(0), posted(1)
    check([first[0], second[0], first[1], second[1], *ran(1), *ran(0)])


def hold(number: int) -> list[Event]:
    return [*posted(number, "hold"), *ran(number)]


BROKEN: dict[str, tuple[list[Event], Point, str]] = {
    "overlap": (
        [*posted(0), *posted(1), *ran(0)[:2], *ran(1), *ran(0)[2:]],
        Point.SERIAL,
        "post 1 and post 0 ran at once in 'red'",
    ),
    "elsewhere": ([*posted(0), *ran(0, "blue")], Point.SERIAL, "ran in the color 'blue'"),
    "beside a hold": (
        [*posted(0, "hold"), *posted(1), *ran(0)[:3], *ran(1), Event("end", 0)],
        Point.SERIAL,
        "post 1 began in 'red' while hold 0 held it",
    ),
    "overtaken": ([*posted(0), *posted(1), *ran(1), *ran(0)], Point.FIFO, "post 1 ran before"),
    "unseen": (
        [*posted(0), Event("begin", 0, None), *ran(0)[1:]],
        Point.CAUSAL,
        "post 0 saw None",
    ),
    "twice": ([*posted(0), *ran(0), *ran(0)], Point.NOTHING_LOST, "began 2 times"),
    "never": ([*posted(0), *outcome(0, *RAN)], Point.NOTHING_LOST, "post 0 was lost"),
    "never, and nobody says so": (posted(0), Point.NOTHING_LOST, "post 0 was lost"),
    "ran though cancelled": (
        [*posted(0), *ran(0), Event("cancel", 0, detail=True), *outcome(0, "handle", "cancelled")],
        Point.NOTHING_LOST,
        "ran though its handle says 'cancelled'",
    ),
    "cancelled by nobody": (
        [*posted(0), *outcome(0, "handle", "cancelled")],
        Point.NOTHING_LOST,
        "cancel() said []",
    ),
    "cancelled twice": (
        [*posted(0), *story(("cancel", 0, True), ("cancel", 0, True)),
         *outcome(0, "handle", "cancelled")],
        Point.NOTHING_LOST,
        "cancel() said [True, True]",
    ),
    "error to nobody": (
        [*posted(0), *ran(0), Event("raised", 0), *outcome(0, *RAN)],
        Point.NOTHING_LOST,
        "reached the exception handler 0 times",
    ),
    "error twice": (
        [*posted(0), *ran(0), *story(("raised", 0), ("handled", 0), ("handled", 0)),
         *outcome(0, *RAN)],
        Point.NOTHING_LOST,
        "reached the exception handler 2 times",
    ),
    "error of nobody": (
        [Event("foreign", -1, "ValueError()")],
        Point.NOTHING_LOST,
        "nobody raised",
    ),
    "error to the handler too": (
        [*posted(0, SUBMIT), *ran(0), *story(("raised", 0), ("handled", 0)),
         *outcome(0, "future", "error", 0)],
        Point.NOTHING_LOST,
        "reached the exception handler too",
    ),
    "another's result": (
        [*posted(0, SUBMIT), *ran(0), *outcome(0, "future", "result", 1)],
        Point.NOTHING_LOST,
        "instead of ('result', 0)",
    ),
    "an error for a result": (
        [*posted(0, SUBMIT), *ran(0), *outcome(0, "future", "error", 0)],
        Point.NOTHING_LOST,
        "instead of ('result', 0)",
    ),
    "no outcome": (
        [*posted(0, SUBMIT), *ran(0), *outcome(0, "future", "pending")],
        Point.NOTHING_LOST,
        "has no outcome",
    ),
    "a future cancelled by nobody": (
        [*posted(0, SUBMIT), *outcome(0, "future", "cancelled")],
        Point.NOTHING_LOST,
        "nobody did it",
    ),
    "a future that was cancelled and ran": (
        [*posted(0, SUBMIT), *ran(0), Event("cancel", 0, detail=True),
         *outcome(0, "future", "cancelled")],
        Point.NOTHING_LOST,
        "ran though it was cancelled",
    ),
    "a result of nothing": (
        [*posted(0, SUBMIT), *outcome(0, "future", "result", 0)],
        Point.NOTHING_LOST,
        "submit 0 was lost",
    ),
    "not quiet": ([Event("drained", -1, detail=False)], Point.NOTHING_LOST, "drain() gave up"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found(name: str) -> None:
    events, point, what = BROKEN[name]
    with pytest.raises(ContractError) as caught:
        check(events)
    assert caught.value.point is point
    assert what in caught.value.what
    assert str(caught.value).startswith(f"point {point.value} of the contract, ")
    assert isinstance(caught.value, ColorschedError)


def test_records_of_other_processes_are_merged_by_their_time() -> None:
    here, there = Recorder(), Recorder()
    here.note("posting", 0, (SUBMIT, "red"))
    here.note("posted", 0)
    there.events.extend(ran(0))
    here.note("drained", -1, detail=True)
    here.merge(pickle.loads(pickle.dumps(there.events)))
    told = [event.what for event in here.events]
    assert told == ["posting", "posted", "begin", "enter", "leave", "end", "drained"]


def test_an_error_travels_with_what_was_recorded() -> None:
    error = pickle.loads(pickle.dumps(PlannedError(3, tuple(ran(3)))))
    assert (error.number, error.events) == (3, tuple(ran(3)))


def test_the_checker_needs_no_hypothesis() -> None:
    program = "import sys, colorsched.testing.conformance; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# -- programs -------------------------------------------------------------------------------------


def test_the_serial_model_is_not_empty() -> None:
    inner = Start(POST, 0, ((Cancel(1),),))
    script = (Start(POST, 0, ((inner,),)), Start(POST, 0), Start(SUBMIT, 0))
    # 0 posts 3 behind 2; 3 comes too late to cancel 1, which has run.
    assert serially(script) == [0, 1, 2, 3]
    assert serially((Start(POST, 0), Cancel(0), Start(POST, 0))) == [1]


def test_programs_are_of_every_kind() -> None:
    """Or a promise would be tested by nothing."""
    seen: set[str] = set()

    def look(actions: Any) -> None:
        for action in actions:
            seen.add(type(action).__name__)
            if isinstance(action, Start):
                seen.add(action.how)
                for part in action.parts:
                    look(part)

    @settings(max_examples=100, derandomize=True, database=None)
    @given(programs())
    def collect(program: Program) -> None:
        seen.add(f"{len(program.scripts)} posters")
        for script in program.scripts:
            look(script)

    collect()
    assert seen >= {*EVERY_WAY, "Cancel", "Raise", "1 posters", "2 posters", "3 posters"}


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"hows": ("post", "poke")}, r"unknown: \['poke'\]"),
        ({"hows": ("hold",)}, "at least one of post, submit, dispatch, timer"),
        ({"colors": 0}, "colors must be at least 1, not 0"),
        ({"posters": 0}, "posters must be at least 1"),
        ({"depth": 0}, "depth must be at least 1"),
    ],
)
def test_programs_that_cannot_be_are_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        programs(**options)
