"""Cache-Status (RFC 9211) as a structured field (RFC 9651)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.web.status import Forward, cache_status, hit_format


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"hit": True}, b"cache; hit", id="9211-2.1-hit"),
        pytest.param({"hit": True, "ttl": -5}, b"cache; hit; ttl=-5", id="9211-2.5-stale-hit"),
        pytest.param({"fwd": Forward.URI_MISS}, b"cache; fwd=uri-miss", id="9211-2.2-fwd"),
        pytest.param(
            {"fwd": Forward.STALE, "fwd_status": 304, "ttl": 60},
            b"cache; fwd=stale; fwd-status=304; ttl=60",
            id="9211-2.3-fwd-status",
        ),
        pytest.param(
            {"fwd": Forward.MISS, "stored": True}, b"cache; fwd=miss; stored", id="9211-2.6-stored"
        ),
        pytest.param(
            {"fwd": Forward.MISS, "collapsed": True},
            b"cache; fwd=miss; collapsed",
            id="9211-2.4-collapsed",
        ),
        pytest.param(
            {"hit": True, "key": "example.com/a"}, b'cache; hit; key="example.com/a"', id="9211-2.7"
        ),
        pytest.param(
            {"hit": True, "detail": "memory"}, b"cache; hit; detail=memory", id="9211-2.8-token"
        ),
        pytest.param(
            {"hit": True, "detail": 'a "b" \\'},
            b'cache; hit; detail="a \\"b\\" \\\\"',
            id="9211-2.8-string",
        ),
        pytest.param(
            {"hit": True, "key": "é\n"}, b'cache; hit; key="%C3%A9%0A"', id="9651-3.3.3-ascii-only"
        ),
        pytest.param(
            {"hit": True, "ttl": 10**20}, b"cache; hit; ttl=999999999999999", id="9651-3.3.1-range"
        ),
        pytest.param({}, b"cache", id="9211-2-nothing-to-say"),
    ],
)
def test_members(options: dict[str, Any], expected: bytes) -> None:
    assert cache_status("cache", **options) == expected


def test_a_name_that_is_no_token_becomes_a_string() -> None:
    assert cache_status("my cache", hit=True) == b'"my cache"; hit'
    assert cache_status("", hit=True) == b'""; hit'
    assert cache_status("9", hit=True) == b'"9"; hit'


@pytest.mark.parametrize(
    "options",
    [
        {"hit": True, "fwd": Forward.MISS},
        {"fwd_status": 200},
        {"stored": True},
        {"collapsed": True},
        {"hit": True, "stored": True},
    ],
)
def test_parameters_that_contradict_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fwd"):
        cache_status("cache", **options)


@given(st.text(), st.integers(min_value=-(10**12), max_value=10**12))
def test_the_format_of_hits_writes_what_the_function_writes(name: str, ttl: int) -> None:
    assert hit_format(name) % ttl == cache_status(name, hit=True, ttl=ttl)


@given(st.text(), st.text(), st.text())
def test_any_text_gives_printable_ascii(name: str, key: str, detail: str) -> None:
    value = cache_status(name, hit=True, key=key, detail=detail)
    assert all(32 <= byte <= 126 for byte in value)
