"""How long responses stay fresh and how old they are (RFC 9111 4.2, 5.1, 5.2, 5.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.web.directives import request_directives, response_directives
from colorsched.web.rules import Fresh, Revalidate, current_age, lookup, time_to_live
from web.rule_support import DATE, NOW, date_after, fields, request, stored

FOREVER = 2.0**31
PAST = f"Expires: {date_after(-100)}"
SOON = f"Expires: {date_after(100)}"


@pytest.mark.parametrize(
    ("lines", "lifetime"),
    [
        pytest.param(["Cache-Control: max-age=60"], 60, id="4.2.1-max-age"),
        pytest.param(["Cache-Control: MAX-AGE=60"], 60, id="5.2-case"),
        pytest.param(["Cache-Control: max-age=60, s-maxage=10"], 10, id="5.2.2.10-s-maxage-first"),
        pytest.param(["Cache-Control: s-maxage=90, max-age=60"], 90, id="5.2.2.10-whatever-order"),
        pytest.param(["Cache-Control: max-age=60", PAST], 60, id="5.3-max-age-over-expires"),
        pytest.param(["Cache-Control: max-age=60", "Expires: 0"], 60, id="5.3-over-bad-expires"),
        pytest.param(["Cache-Control: max-age=0", SOON], 0, id="5.2.2.1-zero-over-expires"),
        pytest.param(["Cache-Control: s-maxage=0, max-age=60"], 0, id="5.2.2.10-zero"),
        pytest.param([SOON], 100, id="5.3-expires-less-date"),
        pytest.param([PAST], 0, id="5.3-past"),
        pytest.param([f"Expires: {date_after(0)}"], 0, id="5.3-equal-to-date"),
        pytest.param(["Expires: 0"], 0, id="5.3-zero-is-past"),
        pytest.param(["Expires: tomorrow"], 0, id="5.3-invalid-is-past"),
        pytest.param([SOON, SOON], 100, id="4.2.1-same-expires-twice"),
        pytest.param([SOON, PAST], 0, id="4.2.1-contradicting-expires"),
        pytest.param([], 0, id="4.2.2-nothing-explicit-heuristic-off"),
        pytest.param([f"Last-Modified: {date_after(-9e6)}"], 0, id="4.2.2-no-heuristic"),
        pytest.param(["Cache-Control: max-age"], 0, id="4.2.1-no-argument"),
        pytest.param(["Cache-Control: max-age="], 0, id="4.2.1-empty-argument"),
        pytest.param(["Cache-Control: s-maxage=x, max-age=60"], 0, id="4.2.1-bad-s-maxage"),
        pytest.param(["Cache-Control: max-age=6a"], 0, id="4.2.1-not-a-number"),
        pytest.param(["Cache-Control: max-age=a6"], 0, id="4.2.1-not-a-number-2"),
        pytest.param(["Cache-Control: max-age=6.5"], 0, id="4.2.1-fraction"),
        pytest.param(["Cache-Control: max-age=-6"], 0, id="4.2.1-negative"),
        pytest.param(["Cache-Control: max-age= 6"], 0, id="5.2-space-after-equals"),
        pytest.param(["Cache-Control: max-age =6"], 0, id="5.2-space-before-equals"),
        pytest.param(["Cache-Control: max-age='6'"], 0, id="5.2-single-quotes"),
        pytest.param(['Cache-Control: max-age="60"'], 60, id="5.2-quoted-form"),
        pytest.param(["Cache-Control: max-age=0060"], 60, id="1.2.2-leading-zeros"),
        pytest.param(["Cache-Control: max-age=60, max-age=60"], 60, id="4.2.1-twice-the-same"),
        pytest.param(["Cache-Control: max-age=60, max-age=6"], 0, id="4.2.1-twice-different"),
        pytest.param(
            ["Cache-Control: max-age=6", "Cache-Control: max-age=60"], 0, id="4.2.1-two-lines"
        ),
        pytest.param(["Cache-Control: max-age=99999999999"], FOREVER, id="1.2.2-very-large"),
        pytest.param(
            ['Cache-Control: x="max-age=60", max-age=6'], 6, id="5.2-quoted-is-no-directive"
        ),
        pytest.param(["Cache-Control: max-age=60, unknown=1"], 60, id="5.2.3-unknown-ignored"),
    ],
)
def test_lifetime(lines: list[str], lifetime: float) -> None:
    assert stored(*lines).lifetime == lifetime


def test_expires_counts_from_the_arrival_where_date_is_missing_or_invalid() -> None:
    # 9110-6.6.1
    assert stored(SOON, dated=False, at=NOW + 10).lifetime == 90
    assert stored(SOON, "Date: yesterday", dated=False, at=NOW + 10).lifetime == 90


@pytest.mark.parametrize(
    ("lines", "dated", "waited", "age"),
    [
        pytest.param([], True, 0, 0, id="4.2.3-new"),
        pytest.param([], False, 0, 0, id="4.2.3-no-date"),
        pytest.param(["Age: 30"], True, 0, 30, id="4.2.3-age"),
        pytest.param(["Age: 30"], True, 5, 35, id="4.2.3-response-delay"),
        pytest.param([], True, 5, 5, id="4.2.3-delay-alone"),
        pytest.param([f"Date: {date_after(-40)}"], False, 0, 40, id="4.2.3-apparent-age"),
        pytest.param([f"Date: {date_after(-40)}", "Age: 30"], False, 0, 40, id="4.2.3-larger"),
        pytest.param([f"Date: {date_after(-20)}", "Age: 30"], False, 0, 30, id="4.2.3-larger-2"),
        pytest.param([f"Date: {date_after(40)}"], False, 0, 0, id="4.2.3-date-in-the-future"),
        pytest.param(["Date: yesterday", "Age: 30"], False, 0, 30, id="4.2.3-invalid-date"),
        pytest.param(["Age: 7, 0"], True, 0, 7, id="5.1-first-member"),
        pytest.param(["Age: 7", "Age: 9"], True, 0, 7, id="5.1-first-line"),
        pytest.param(["Age: abc"], True, 0, 0, id="5.1-invalid-ignored"),
        pytest.param(["Age: -7"], True, 0, 0, id="5.1-negative-ignored"),
        pytest.param(["Age: 7.0"], True, 0, 0, id="5.1-fraction-ignored"),
        pytest.param(["Age: "], True, 0, 0, id="5.1-empty-ignored"),
        pytest.param(["Age: 99999999999"], True, 0, FOREVER, id="1.2.2-very-large"),
    ],
)
def test_age_on_arrival(lines: list[str], waited: float, age: float, *, dated: bool) -> None:
    one = stored(*lines, dated=dated, waited=waited)
    assert one.initial_age == age
    assert current_age(one, NOW) == age


def test_a_response_made_and_received_in_one_second_is_not_old() -> None:
    assert stored(at=NOW + 0.9).initial_age == 0  # 4.2.3


def test_age_grows_with_the_time_in_store() -> None:
    one = stored("Cache-Control: max-age=60", "Age: 10")
    assert current_age(one, NOW + 7.9) == 17  # 4.2.3, 1.2.2: whole seconds
    assert time_to_live(one, NOW + 7.9) == 42
    assert time_to_live(one, NOW + 50.5) == -1


def test_a_clock_set_back_makes_nothing_younger_than_on_arrival() -> None:
    one = stored("Cache-Control: max-age=60", "Age: 10")
    assert current_age(one, NOW - 3600) == 10
    decision = lookup(request(), [one], NOW - 3600)
    assert decision == Fresh(one, 10)


@pytest.mark.parametrize(
    ("lines", "after", "fresh"),
    [
        pytest.param(["Cache-Control: max-age=60"], 59.9, True, id="4.2-before-the-end"),
        pytest.param(["Cache-Control: max-age=60"], 60, False, id="4.2-at-the-end"),
        pytest.param(["Cache-Control: max-age=60", "Age: 59"], 0.5, True, id="4.2-old-on-arrival"),
        pytest.param(["Cache-Control: max-age=60", "Age: 60"], 0, False, id="4.2-stale-on-arrival"),
        pytest.param([SOON], 99.9, True, id="5.3-before-expires"),
        pytest.param([SOON], 100, False, id="5.3-at-expires"),
        pytest.param(["Cache-Control: max-age=60, no-cache"], 0, False, id="5.2.2.4-no-cache"),
        pytest.param(
            ['Cache-Control: max-age=60, no-cache="x"'], 0, False, id="5.2.2.4-no-cache-fields"
        ),
        pytest.param(["Cache-Control: max-age=60, must-revalidate"], 9, True, id="5.2.2.2-fresh"),
        pytest.param(["Cache-Control: max-age=60", "Pragma: no-cache"], 9, True, id="5.4-pragma"),
    ],
)
def test_fresh_or_not(lines: list[str], after: float, *, fresh: bool) -> None:
    one = stored(*lines)
    decision = lookup(request(), [one], NOW + after)
    assert isinstance(decision, Fresh if fresh else Revalidate)
    # The same with a directive that asks for nothing, which takes the longer way.
    decision = lookup(request("Cache-Control: no-transform"), [one], NOW + after)
    assert isinstance(decision, Fresh if fresh else Revalidate)


SECONDS = st.integers(min_value=0, max_value=10**6)


@given(
    lifetime=SECONDS,
    age=SECONDS,
    waited=st.floats(min_value=0, max_value=1e3),
    after=st.floats(min_value=0, max_value=1e6),
)
def test_fresh_means_younger_than_the_lifetime(
    lifetime: int, age: int, waited: float, after: float
) -> None:
    one = stored(f"Cache-Control: max-age={lifetime}", f"Age: {age}", waited=waited)
    now = NOW + after
    is_fresh = isinstance(lookup(request(), [one], now), Fresh)
    # Written the long way, from the formulas of 4.2.3, less the rounding of large floats.
    current = age + waited + after
    if abs(current - lifetime) > 1e-3:
        assert is_fresh == (current < lifetime)
    assert abs(current_age(one, now) - current) < 1.001


@given(st.binary(max_size=60))
def test_no_bytes_make_the_directives_raise(value: bytes) -> None:
    for name in (b"cache-control", b"pragma"):
        request_directives(((name, value), (name, value)))
        response_directives(((name, value), (name, value)))


NAMES = ["no-store", "no-cache", "private", "public", "must-revalidate", "proxy-revalidate"]
NAMES += ["must-understand"]


@given(st.sets(st.sampled_from(NAMES)))
def test_directives_count_in_any_case_and_line(names: set[str]) -> None:
    said = response_directives(fields(*(f"Cache-Control: {name.upper()}" for name in names), DATE))
    for name in names:
        assert getattr(said, name.replace("-", "_"))
    for name in set(NAMES) - names:
        assert not getattr(said, name.replace("-", "_"))
