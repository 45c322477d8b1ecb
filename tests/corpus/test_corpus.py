"""The kit against the corpus: every bug is found, and no fixed twin is accused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colorsched.testing import ScheduleFailed, explore
from colorsched.testing.verification import verify
from corpus.corpus import ALL_SPECIMENS

if TYPE_CHECKING:
    from corpus.specimen import Specimen

SMALL = [specimen for specimen in ALL_SPECIMENS if specimen.small]

each = pytest.mark.parametrize("specimen", ALL_SPECIMENS, ids=lambda specimen: specimen.name)


@each
def test_the_bug_is_found(specimen: Specimen) -> None:
    with pytest.raises(ScheduleFailed) as caught:
        explore(specimen.buggy, schedules=1000)
    failure = caught.value.failure
    kinds = {failure.kind, "race" if failure.races else failure.kind}
    assert kinds & {specimen.expects, *specimen.also}, failure


@each
def test_the_fixed_twin_is_not_accused(specimen: Specimen) -> None:
    explore(specimen.fixed, schedules=200)


@each
def test_the_plain_schedule_shows_what_it_is_said_to_show(specimen: Specimen) -> None:
    if specimen.shows_in_fifo:
        with pytest.raises(ScheduleFailed):
            explore(specimen.buggy, schedules=1, strategy="fifo", shrink=False)
    else:
        explore(specimen.buggy, schedules=1, strategy="fifo")


@pytest.mark.parametrize("specimen", SMALL, ids=lambda specimen: specimen.name)
def test_small_twins_are_proved(specimen: Specimen) -> None:
    assert verify(specimen.fixed).result == "proved"


def test_most_bugs_hide_from_the_plain_schedule() -> None:
    hidden = [specimen for specimen in ALL_SPECIMENS if not specimen.shows_in_fifo]
    assert len(hidden) >= len(ALL_SPECIMENS) / 2


def test_names_tell_specimens_apart_and_are_sorted() -> None:
    names = [specimen.name for specimen in ALL_SPECIMENS]
    assert names == sorted(set(names))
