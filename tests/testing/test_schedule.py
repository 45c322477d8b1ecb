"""Schedules as text: there and back, and damaged texts are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.testing.schedule import BadSchedule, Schedule

names = st.sampled_from(["-", "shop:main", "shop.orders:Test.main"])
faults = st.sampled_from(["", "cancel=*;seconds=1;most=2"])


@given(names, st.lists(st.integers(0, 12), max_size=600), faults)
def test_round_trip(program: str, choices: list[int], told: str) -> None:
    schedule = Schedule(program, tuple(choices), told)
    text = str(schedule)
    assert Schedule.parse(text) == schedule
    assert Schedule.parse(f"  {text}\n") == schedule
    assert "\n" not in text
    assert len(text) < 60 + len(told) + 4 * len(choices)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5=1",
        "cs2:-/5/",
        "cs1:",
        "cs1:-/5",
        "cs1:-/x/",
        "cs1:-/-1/",
        "cs1:-/5/5=1",
        "cs1:-/5/-1=1",
        "cs1:-/5/2",
        "cs1:-/5/2=x",
        "cs1:-/5/2=-1",
        "cs1:-/1_0/2=1",
        "cs1:-/99999999999999/",
        "cs1:-/5/~",
        "cs1:-/5/~AAAA",
        "cs1:-/5/~%%%",
        "cs1:-/5/+",
    ],
)
def test_damaged(text: str) -> None:
    with pytest.raises(BadSchedule):
        Schedule.parse(text)


@given(st.text(alphabet="cs1:-/=,~+0129ab", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        Schedule.parse("cs1:" + text)
    except BadSchedule:
        pass


def program(_rt: Any) -> None: ...


def test_programs_are_named_where_they_can_be_found() -> None:
    def inner(_rt: Any) -> None: ...

    named = Schedule.of(program, (1,))
    assert named.program == f"{__name__}:program"
    assert Schedule.of(inner, ()).program == "-"
    assert Schedule.of(lambda _rt: None, ()).program == "-"
    assert Schedule("json:dumps", ()).main().__name__ == "dumps"


@pytest.mark.parametrize("name", ["-", "no_such_module:main", "json:no_such", "json:dumps.x"])
def test_programs_that_are_not_there(name: str) -> None:
    with pytest.raises(BadSchedule, match="replay\\(schedule, main\\)"):
        Schedule(name, ()).main()
