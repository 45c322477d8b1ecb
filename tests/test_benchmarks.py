"""The benchmark's own arithmetic: medians, ratios, Zipf keys, tables, and reading what wrk says."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks import arithmetic, tables
else:
    # Last on the path: an installed colorsched must still win over the source tree.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    arithmetic = importlib.import_module("benchmarks.arithmetic")
    tables = importlib.import_module("benchmarks.tables")
    sys.path.pop()

WRK = """Running 5s test @ http://127.0.0.1:8080/object
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   801.41us  210.20us   9.85ms   95.65%
    Req/Sec    78.77k     3.19k   84.66k    72.55%
  Latency Distribution
     50%  780.00us
     75%    0.85ms
     90%    0.95ms
     99%    1.21ms
  399628 requests in 5.10s, 506.06MB read
Requests/sec:  78343.50
Transfer/sec:     99.21MB
"""


def test_the_spread_is_the_median_between_its_extremes() -> None:
    spread = arithmetic.Spread.of([5.0, 1.0, 9.0])
    assert (spread.median, spread.low, spread.high, spread.runs) == (5.0, 1.0, 9.0, 3)


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        arithmetic.Spread.of([])


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was half as fast in the second round: both slowed, the ratio did not.
    spread = arithmetic.ratio([200.0, 100.0, 210.0], [100.0, 50.0, 100.0])
    assert (spread.median, spread.low, spread.high) == (2.0, 2.0, 2.1)


def test_rounds_that_one_side_missed_do_not_count() -> None:
    assert arithmetic.ratio([2.0, 4.0], [1.0]).runs == 1


def test_the_remark_names_the_extremes_and_the_best_runs() -> None:
    said = arithmetic.ratio_remark([100.0, 50.0], [50.0, 50.0])
    assert said == "1.00-2.00, best runs 2.00"


def test_a_ratio_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        arithmetic.ratio([1.0], [0.0])


def test_zipf_keys_are_the_same_each_time_and_fall_off_as_asked() -> None:
    drawn = arithmetic.zipf_indices(count=20_000, keys=100, exponent=1.0, seed=7)
    assert drawn == arithmetic.zipf_indices(count=20_000, keys=100, exponent=1.0, seed=7)
    counts = Counter(drawn)
    harmonic = sum(1 / rank for rank in range(1, 101))
    for rank in (1, 2, 10):
        assert counts[rank - 1] == pytest.approx(20_000 / harmonic / rank, rel=0.15)
    assert set(drawn) <= set(range(100))


def test_exponent_zero_draws_all_keys_alike() -> None:
    counts = Counter(arithmetic.zipf_indices(count=30_000, keys=3, exponent=0.0, seed=7))
    assert all(count == pytest.approx(10_000, rel=0.05) for count in counts.values())


def test_a_load_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        arithmetic.zipf_indices(count=1, keys=0, exponent=1.0, seed=7)


def test_wrk_is_read_in_milliseconds() -> None:
    result = arithmetic.parse_wrk(WRK)
    assert result == arithmetic.WrkResult(rate=78343.5, p50=0.78, p99=1.21, errors=0)


def test_what_went_wrong_under_wrk_is_counted() -> None:
    said = WRK + "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
    said += "  Non-2xx or 3xx responses: 10\n"
    assert arithmetic.parse_wrk(said).errors == 17


def test_a_wrk_that_could_not_connect_is_an_error() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        arithmetic.parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [(512, "512"), (9_999, "9999"), (48_211, "48.2 k"), (1_312_000, "1.31 M"), (2e7, "20.0 M")],
)
def test_counts_are_read_at_a_glance(value: float, text: str) -> None:
    assert arithmetic.human_count(value) == text


def test_sizes_keep_their_sign() -> None:
    assert arithmetic.human_bytes(-4_100) == "-4.1 KB"


def test_columns_line_up_under_their_heads() -> None:
    lines = tables.table(["peer", "rate"], [["asyncio", "1"], ["us", "1234567"]]).splitlines()
    assert lines == [
        "peer        rate",
        "-------  -------",
        "asyncio        1",
        "us       1234567",
    ]


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells under 1 heads"):
        tables.table(["a"], [["1", "2"]])


def test_the_largest_bar_is_full_and_none_vanishes() -> None:
    assert tables.bar(2.0, largest=2.0, width=10) == "#" * 10
    assert tables.bar(0.001, largest=2.0, width=10) == "#"


@pytest.mark.parametrize(
    ("measured", "at_most", "word"),
    [
        (1.25, False, "reached"),
        (1.246, False, "reached"),
        (1.24, False, "MISSED"),
        (1.25, True, "reached"),
        (1.26, True, "MISSED"),
        (None, False, "not measured"),
    ],
)
def test_a_target_is_reached_missed_or_not_measured(
    measured: float | None,
    *,
    at_most: bool,
    word: str,
) -> None:
    verdict = tables.Verdict(what="x", measured=measured, asked=1.25, at_most=at_most)
    assert verdict.cells()[3] == word
