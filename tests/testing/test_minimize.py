"""The minimizer: what it returns fails, is no larger, and has nothing that is not needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colorsched.testing.minimize import minimize, switches

choices = st.lists(st.integers(0, 3), max_size=30).map(tuple)


@given(choices, st.data())
def test_what_is_needed_stays_and_no_more(made: tuple[int, ...], data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.sampled_from(range(len(made))) if made else st.nothing()))
    needed = {place for place in needed if made[place]}

    def fails(candidate: tuple[int, ...]) -> tuple[int, ...] | None:
        full = candidate + (0,) * (len(made) - len(candidate))
        return full if all(full[place] for place in needed) else None

    best = minimize(made, fails)
    assert fails(best) is not None
    assert {place for place, choice in enumerate(best) if choice} == needed
    assert all(best[place] == 1 for place in needed)


@given(choices, st.integers(1, 30))
def test_never_larger_and_never_more_runs(made: tuple[int, ...], most: int) -> None:
    runs = []

    def fails(candidate: tuple[int, ...]) -> tuple[int, ...] | None:
        runs.append(candidate)
        return candidate if sum(candidate) >= sum(made) // 2 else None

    best = minimize(made, fails, most_runs=most)
    assert len(runs) <= most
    assert switches(best) <= switches(made)
    assert sum(best) >= sum(made) // 2
    assert len(set(runs)) == len(runs)


def test_a_single_deviation_is_found_though_it_was_not_made() -> None:
    def fails(candidate: tuple[int, ...]) -> tuple[int, ...] | None:
        full = (*candidate, 0, 0, 0, 0)[:4]
        return full if full in {(2, 3, 0, 1), (0, 1, 0, 0)} else None

    assert minimize((2, 3, 0, 1), fails) == (0, 1, 0, 0)


def test_what_was_really_made_counts() -> None:
    assert minimize((1, 1), lambda _candidate: (0, 1)) == (0, 1)


def test_a_failure_that_does_not_come_again_is_kept_as_it_is() -> None:
    assert minimize((1, 0, 2), lambda _candidate: None) == (1, 0, 2)


def test_one_deviation_may_stand_where_the_run_that_failed_had_no_choice_any_more() -> None:
    """Main was interrupted there, so its next choices never came."""

    def fails(choices: tuple[int, ...]) -> tuple[int, ...] | None:
        return choices if choices in {(1, 1), (0, 0, 0, 1)} else None

    assert minimize((1, 1), fails) == (0, 0, 0, 1)
