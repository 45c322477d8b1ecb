"""Parsers of field values: the RFC's forms, malformed ones, and that no bytes make them raise."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.web.fields import (
    MAX_DELTA,
    field_names,
    format_date,
    parse_date,
    parse_delta,
    parse_directives,
    parse_etags,
    split_list,
    weakly_equal,
)
from colorsched.web.messages import combined, get, get_all, normalized, serialize_fields, without

NOV_6_1994 = 784_111_777.0
NOW = 1_790_000_000.0  # in September 2026


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"a, b", [b"a", b"b"], id="9110-5.6.1-plain"),
        pytest.param(b",, a ,\t,b,", [b"a", b"b"], id="9110-5.6.1.2-empty-members"),
        pytest.param(b"", [], id="9110-5.6.1-nothing"),
        pytest.param(b'a="x, y", b', [b'a="x, y"', b"b"], id="9110-5.6.4-quoted-comma"),
        pytest.param(rb'a="x\", y", b', [rb'a="x\", y"', b"b"], id="9110-5.6.4-escaped-quote"),
        pytest.param(b'a="x, y', [b'a="x, y'], id="9110-5.6.4-never-closed"),
        pytest.param(b'a="x\\', [b'a="x\\'], id="9110-5.6.4-ends-in-backslash"),
    ],
)
def test_lists(value: bytes, expected: list[bytes]) -> None:
    assert split_list(value) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([b"No-Cache"], [(b"no-cache", None)], id="9111-5.2-case"),
        pytest.param([b"max-age=5"], [(b"max-age", b"5")], id="9111-5.2-token"),
        pytest.param([b'max-age="5"'], [(b"max-age", b"5")], id="9111-5.2-quoted-form"),
        pytest.param([rb'x="a\"b"'], [(b"x", b'a"b')], id="9110-5.6.4-unescaped"),
        pytest.param([b'x="a'], [(b"x", b"a")], id="9110-5.6.4-never-closed"),
        pytest.param([b'x="'], [(b"x", b"")], id="9110-5.6.4-only-a-quote"),
        pytest.param([b"x="], [(b"x", b"")], id="9111-5.2-empty-argument"),
        pytest.param([b"a", b"b=1"], [(b"a", None), (b"b", b"1")], id="9110-5.3-two-lines"),
        pytest.param([b"a=1, a=2"], [(b"a", b"1"), (b"a", b"2")], id="9111-4.2.1-duplicates-kept"),
        pytest.param(
            [b'ext="max-age=9, no-store", max-age=1'],
            [(b"ext", b"max-age=9, no-store"), (b"max-age", b"1")],
            id="9111-5.2-directives-in-quotes-are-none",
        ),
        pytest.param([b"max-age =5"], [(b"max-age ", b"5")], id="9111-5.2-space-before-equals"),
    ],
)
def test_directives(values: list[bytes], expected: list[tuple[bytes, bytes | None]]) -> None:
    assert parse_directives(values) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"0", 0, id="9111-1.2.2-zero"),
        pytest.param(b"003600", 3600, id="9111-1.2.2-leading-zeros"),
        pytest.param(b"2147483647", MAX_DELTA - 1, id="9111-1.2.2-below-the-limit"),
        pytest.param(b"2147483649", MAX_DELTA, id="9111-1.2.2-above-the-limit"),
        pytest.param(b"9" * 10_000, MAX_DELTA, id="9111-1.2.2-ten-thousand-digits"),
        pytest.param(b"", None, id="9111-1.2.2-empty"),
        pytest.param(b"-1", None, id="9111-1.2.2-negative"),
        pytest.param(b"+1", None, id="9111-1.2.2-sign"),
        pytest.param(b"1.0", None, id="9111-1.2.2-fraction"),
        pytest.param(b"1_0", None, id="9111-1.2.2-underscore"),
        pytest.param(b"'5'", None, id="9111-1.2.2-single-quotes"),
        pytest.param(b"5a", None, id="9111-1.2.2-trailing-letter"),
        pytest.param(b"5\n", None, id="9111-1.2.2-trailing-newline"),
        pytest.param(
            "\N{ARABIC-INDIC DIGIT FIVE}".encode(), None, id="9111-1.2.2-digits-of-another-script"
        ),
        pytest.param(None, None, id="9111-1.2.2-no-argument"),
    ],
)
def test_seconds(value: bytes | None, expected: int | None) -> None:
    assert parse_delta(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT", NOV_6_1994, id="9110-5.6.7-imf"),
        pytest.param(b"Sunday, 06-Nov-94 08:49:37 GMT", NOV_6_1994, id="9110-5.6.7-rfc850"),
        pytest.param(b"Sun Nov  6 08:49:37 1994", NOV_6_1994, id="9110-5.6.7-asctime"),
        pytest.param(b"Wed Nov 16 08:49:37 1994", NOV_6_1994 + 864_000, id="9110-5.6.7-asctime-16"),
        pytest.param(b"SUN, 06 nOV 1994 08:49:37 gmt", NOV_6_1994, id="9110-5.6.7-case"),
        pytest.param(
            b"Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800.0, id="9110-5.6.7-leap-second"
        ),
        pytest.param(b"Thu, 01 Jan 1970 00:00:00 GMT", 0.0, id="9110-5.6.7-epoch"),
        pytest.param(b"Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799.0, id="9110-5.6.7-far"),
        pytest.param(b"Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800.0, id="9110-5.6.7-early"),
        pytest.param(b"Tuesday, 06-Nov-29 08:49:37 GMT", 1_888_649_377.0, id="9110-5.6.7-yy-2029"),
        pytest.param(b"Sunday, 06-Nov-77 08:49:37 GMT", 247_654_177.0, id="9110-5.6.7-yy-1977"),
        pytest.param(b"0", None, id="9111-5.3-zero"),
        pytest.param(b"-1", None, id="9111-5.3-minus-one"),
        pytest.param(b"", None, id="9111-5.3-empty"),
        pytest.param(None, None, id="9111-5.3-absent"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 UTC", None, id="9110-5.6.7-utc"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 AEST", None, id="9110-5.6.7-zone"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37", None, id="9110-5.6.7-no-zone"),
        pytest.param(b"Sun, 06 Nov 94 08:49:37 GMT", None, id="9110-5.6.7-two-digit-imf"),
        pytest.param(b"Sun 06 Nov 1994 08:49:37 GMT", None, id="9110-5.6.7-no-comma"),
        pytest.param(b"Sun, 06  Nov  1994 08:49:37 GMT", None, id="9110-5.6.7-spaces"),
        pytest.param(b"Sun, 06-Nov-1994 08:49:37 GMT", None, id="9110-5.6.7-dashes"),
        pytest.param(b"Sun, 06 Nov 1994 08.49.37 GMT", None, id="9110-5.6.7-periods"),
        pytest.param(b"Sun, 06 Nov 1994 8:49:37 GMT", None, id="9110-5.6.7-short-hour"),
        pytest.param(b"Sun, 31 Feb 1994 08:49:37 GMT", None, id="9110-5.6.7-february-31"),
        pytest.param(b"Sunday, 31-Feb-94 08:49:37 GMT", None, id="9110-5.6.7-rfc850-february-31"),
        pytest.param(b"Sun, 00 Nov 1994 08:49:37 GMT", None, id="9110-5.6.7-day-0"),
        pytest.param(b"Sun, 06 Nov 0000 08:49:37 GMT", None, id="9110-5.6.7-year-0"),
        pytest.param(b"Sun, 06 Nov 1994 24:00:00 GMT", None, id="9110-5.6.7-hour-24"),
        pytest.param(b"Sun, 06 Nov 1994 08:60:00 GMT", None, id="9110-5.6.7-minute-60"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:61 GMT", None, id="9110-5.6.7-second-61"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT\n", None, id="9110-5.6.7-newline"),
    ],
)
def test_dates(value: bytes | None, expected: float | None) -> None:
    assert parse_date(value, now=NOW) == expected


@given(st.integers(min_value=-62_135_596_800, max_value=253_402_300_799))
def test_a_written_date_reads_as_the_same_moment(moment: int) -> None:
    assert parse_date(format_date(moment), now=NOW) == moment


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_dates_are_written_as_the_standard_library_writes_them(moment: int) -> None:
    assert format_date(moment).decode() == formatdate(moment, usegmt=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"a"', [b'"a"'], id="9110-8.8.3-strong"),
        pytest.param(b'W/"a"', [b'W/"a"'], id="9110-8.8.3-weak"),
        pytest.param(b'""', [b'""'], id="9110-8.8.3-empty-tag"),
        pytest.param(b'"a" , W/"b",,"c",', [b'"a"', b'W/"b"', b'"c"'], id="9110-13.1.2-list"),
        pytest.param(b'"a,b"', [b'"a,b"'], id="9110-8.8.3-comma-inside"),
        pytest.param(b'"a\\"', [b'"a\\"'], id="9110-8.8.3-backslash-is-no-escape"),
        pytest.param(b'"\xfc"', [b'"\xfc"'], id="9110-8.8.3-obs-text"),
        pytest.param(b'w/"a"', [], id="9110-8.8.3-lower-case-mark"),
        pytest.param(b"a", [], id="9110-8.8.3-unquoted"),
        pytest.param(b'"a" "b"', [], id="9110-8.8.3-no-comma"),
        pytest.param(b'"a b"', [], id="9110-8.8.3-space-inside"),
        pytest.param(b"*", [], id="9110-13.1.2-asterisk-is-no-tag"),
        pytest.param(b"", [], id="9110-8.8.3-nothing"),
    ],
)
def test_entity_tags(value: bytes, expected: list[bytes]) -> None:
    assert parse_etags(value) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(b'W/"1"', b'W/"1"', True, id="9110-8.8.3.2-both-weak"),
        pytest.param(b'W/"1"', b'W/"2"', False, id="9110-8.8.3.2-weak-different"),
        pytest.param(b'W/"1"', b'"1"', True, id="9110-8.8.3.2-one-weak"),
        pytest.param(b'"1"', b'"1"', True, id="9110-8.8.3.2-both-strong"),
    ],
)
def test_weak_comparison(one: bytes, other: bytes, *, same: bool) -> None:
    assert weakly_equal(one, other) is same
    assert weakly_equal(other, one) is same


def test_field_names_are_lower_cased_and_each_named_once() -> None:
    assert field_names([b"Accept, X-A", b"", b"accept,,*"]) == [b"accept", b"x-a", b"*"]


@given(st.binary())
def test_no_bytes_make_a_parser_raise(value: bytes) -> None:
    split_list(value)
    parse_directives([value, value])
    parse_delta(value)
    parse_date(value, now=NOW)
    parse_etags(value)
    field_names([value])


DATE_PIECES = st.sampled_from(
    [
        b"Sun",
        b"Sunday",
        b", ",
        b" ",
        b"06",
        b" 6",
        b"99",
        b"Nov",
        b"-",
        b"1994",
        b"08:49:37",
        b"GMT",
    ]
)


@given(st.lists(DATE_PIECES, max_size=12), st.floats(min_value=0, max_value=4e9))
def test_no_near_date_makes_the_parser_raise(pieces: list[bytes], now: float) -> None:
    parse_date(b"".join(pieces), now=now)


TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1).map(str.encode)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(str.encode)


def quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@given(st.lists(st.tuples(TOKEN, st.none() | TEXT)))
def test_written_directives_read_as_they_were(directives: list[tuple[bytes, bytes | None]]) -> None:
    written = b", ".join(
        name if argument is None else name + b"=" + quoted(argument)
        for name, argument in directives
    )
    assert parse_directives([written]) == directives


@given(st.lists(st.text(st.characters(codec="latin-1", categories=["L", "N"])), max_size=5))
def test_written_entity_tags_read_as_they_were(opaque: list[str]) -> None:
    tags = [quoted(text.encode("latin-1")) for text in opaque]
    assert parse_etags(b", ".join(tags)) == tags


PAIRS = normalized([(b"Accept", b" a "), (b"X", b"1"), (b"accept", b"\tb")])


def test_fields_are_normalized_and_found() -> None:
    assert PAIRS == ((b"accept", b"a"), (b"x", b"1"), (b"accept", b"b"))
    assert get(PAIRS, b"accept") == b"a"
    assert get(PAIRS, b"none") is None
    assert get_all(PAIRS, b"accept") == [b"a", b"b"]
    assert combined(PAIRS, b"accept") == b"a, b"
    assert combined(PAIRS, b"x") == b"1"
    assert combined(PAIRS, b"none") is None
    assert without(PAIRS, {b"accept"}) == ((b"x", b"1"),)
    assert serialize_fields(PAIRS) == b"accept: a\r\nx: 1\r\naccept: b\r\n"
