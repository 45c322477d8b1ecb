"""Conditional requests, answers from the store, and freshening by 304 and HEAD (RFC 9111 4.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.web.messages import get, get_all
from colorsched.web.rules import Fresh, freshen, freshen_by_head, lookup, may_keep, serve
from web.rule_support import NOW, date_after, request, response, served_fields, stored

FRESH = "Cache-Control: max-age=60"
ETAG = 'ETag: "x"'
MODIFIED = f"Last-Modified: {date_after(-1000)}"


def test_a_hit_is_the_stored_response_with_its_age() -> None:
    # 4, 5.1
    served = serve(request(), stored(FRESH, ETAG, "Age: 3", body=b"hello"), NOW + 4.7)
    assert served.status == 200
    assert served.body == b"hello"
    assert served.head == (
        b"HTTP/1.1 200 Reason\r\n"
        b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"cache-control: max-age=60\r\n"
        b'etag: "x"\r\n'
        b"content-length: 5\r\n"
        b"age: 7\r\n"
    )


def test_the_age_shown_is_never_below_that_on_arrival() -> None:
    served = serve(request(), stored(FRESH, "Age: 30"), NOW - 100)  # 4.2.3, the clock set back
    assert served_fields(served)[b"age"] == b"30"


def test_head_is_answered_from_what_get_stored() -> None:
    # 9110-9.3.2
    one = stored(FRESH, body=b"hello")
    served = serve(request(method="HEAD"), one, NOW)
    assert served.body == b""
    assert served == type(served)(200, serve(request(), one, NOW).head, b"")
    assert served_fields(served)[b"content-length"] == b"5"


@pytest.mark.parametrize(
    ("lines", "condition", "is_304"),
    [
        pytest.param([ETAG], ['If-None-Match: "x"'], True, id="9110-13.1.2-match"),
        pytest.param([ETAG], ['If-None-Match: "y"'], False, id="9110-13.1.2-other"),
        pytest.param([ETAG], ['If-None-Match: "y", "x"'], True, id="9110-13.1.2-in-a-list"),
        pytest.param(
            [ETAG], ['If-None-Match: "y"', 'If-None-Match: "x"'], True, id="9110-5.3-lines"
        ),
        pytest.param([ETAG], ["If-None-Match: *"], True, id="9110-13.1.2-asterisk"),
        pytest.param([], ["If-None-Match: *"], True, id="9110-13.1.2-asterisk-without-etag"),
        pytest.param([], ['If-None-Match: "x"'], False, id="9110-13.1.2-without-etag"),
        pytest.param([ETAG], ['If-None-Match: W/"x"'], True, id="9110-8.8.3.2-weak-to-strong"),
        pytest.param(
            ['ETag: W/"x"'], ['If-None-Match: "x"'], True, id="9110-8.8.3.2-strong-to-weak"
        ),
        pytest.param(['ETag: W/"x"'], ['If-None-Match: W/"x"'], True, id="9110-8.8.3.2-weak"),
        pytest.param([ETAG], ["If-None-Match: x"], False, id="9110-8.8.3-unquoted"),
        pytest.param(["ETag: x"], ["If-None-Match: x"], True, id="9110-8.8.3-both-unquoted"),
        pytest.param([ETAG], ["If-None-Match: "], False, id="9110-13.1.2-empty"),
        pytest.param(
            [MODIFIED], [f"If-Modified-Since: {date_after(-1000)}"], True, id="9110-13.1.3-same"
        ),
        pytest.param(
            [MODIFIED], [f"If-Modified-Since: {date_after(-9)}"], True, id="9110-13.1.3-later"
        ),
        pytest.param(
            [MODIFIED], [f"If-Modified-Since: {date_after(-1001)}"], False, id="9110-13.1.3-earlier"
        ),
        pytest.param(
            [MODIFIED],
            ["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"],
            True,
            id="9110-5.6.7-rfc850",
        ),
        pytest.param([MODIFIED], ["If-Modified-Since: x"], False, id="9110-13.1.3-invalid"),
        pytest.param(
            [MODIFIED],
            [f"If-Modified-Since: {date_after(0)}", f"If-Modified-Since: {date_after(0)}"],
            False,
            id="9110-13.1.3-more-than-one",
        ),
        pytest.param([], [f"If-Modified-Since: {date_after(0)}"], True, id="4.3.2-date-instead"),
        pytest.param([], [f"If-Modified-Since: {date_after(-1)}"], False, id="4.3.2-date-later"),
        pytest.param(
            [ETAG, MODIFIED],
            ['If-None-Match: "y"', f"If-Modified-Since: {date_after(0)}"],
            False,
            id="9110-13.2.2-none-match-first",
        ),
        pytest.param(
            [ETAG, MODIFIED],
            [f"If-Modified-Since: {date_after(-9000)}", 'If-None-Match: "x"'],
            True,
            id="9110-13.2.2-none-match-first-2",
        ),
    ],
)
def test_a_client_s_condition(lines: list[str], condition: list[str], *, is_304: bool) -> None:
    one = stored(FRESH, *lines)
    for method in ("GET", "HEAD"):
        served = serve(request(*condition, method=method), one, NOW)
        assert served.status == (304 if is_304 else 200)
        assert served.body == (b"" if is_304 or method == "HEAD" else b"body")


@pytest.mark.parametrize("status", [301, 404, 410, 500])
def test_conditions_count_for_successful_responses_only(status: int) -> None:
    one = stored(FRESH, ETAG, status=status)  # 9110-13.2.1
    assert serve(request('If-None-Match: "x"'), one, NOW).status == status


def test_a_304_repeats_what_concerns_caches_and_nothing_else() -> None:
    # 9110-15.4.5
    one = stored(
        *(FRESH, ETAG, MODIFIED, "Vary: A", "Content-Location: /b", f"Expires: {date_after(9)}"),
        *("Content-Type: text/plain", "X-Other: 1", "Set-Cookie: a=b"),
    )
    served = serve(request('If-None-Match: "x"'), one, NOW + 5)
    assert served.head.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert served_fields(served) == {
        b"cache-control": b"max-age=60",
        b"etag": b'"x"',
        b"last-modified": date_after(-1000).encode(),
        b"vary": b"A",
        b"content-location": b"/b",
        b"expires": date_after(9).encode(),
        b"date": date_after(0).encode(),
        b"age": b"5",
    }


LATER = NOW + 100
LATER_DATE = f"Date: {date_after(100)}"


def test_a_304_makes_the_stored_response_fresh_again() -> None:
    # 4.3.4
    one = stored(FRESH, ETAG, "Age: 30", "X-Kept: 1")
    asking = request()
    new = freshen(
        asking,
        one,
        response(ETAG, LATER_DATE, status=304, dated=False),
        request_time=LATER - 2,
        response_time=LATER,
    )
    assert new is not None
    assert new.body is one.body
    assert new.response.status == 200
    assert new.response.reason == b"Reason"
    assert get(new.response.fields, b"x-kept") == b"1"
    assert get_all(new.response.fields, b"date") == [date_after(100).encode()]
    assert lookup(asking, [new], LATER + 5) == Fresh(
        new, 7
    )  # the old Age is gone, the delay counts


@pytest.mark.parametrize(
    ("before", "line", "after"),
    [
        pytest.param("X-A: 1", "X-A: 2", b"2", id="3.2-replaced"),
        pytest.param("X-B: 1", "X-A: 2", b"2", id="3.2-added"),
        pytest.param("X-A: 1", "X-B: 2", b"1", id="3.2-kept"),
        pytest.param("Content-Type: a/b", "Content-Type: c/d", b"c/d", id="3.2-content-type"),
        pytest.param("Content-Length: 4", "Content-Length: 0", b"4", id="3.2-never-the-length"),
        pytest.param("Content-Encoding: br", "Content-Encoding: gzip", b"br", id="3.2-the-coding"),
        pytest.param("Content-Range: a", "Content-Range: b", b"a", id="3.2-the-range"),
        pytest.param("X-A: 1", "Keep-Alive: 5", b"1", id="3.1-hop-by-hop"),
    ],
)
def test_a_304_updates_fields(before: str, line: str, after: bytes) -> None:
    name = (before if after in before.encode() else line).partition(":")[0].lower().encode()
    one = stored(FRESH, ETAG, before)
    new = freshen(
        request(), one, response(ETAG, line, status=304), request_time=LATER, response_time=LATER
    )
    assert new is not None
    assert get_all(new.response.fields, name) == [after]
    assert get(new.response.fields, b"keep-alive") is None


def test_all_lines_of_a_field_are_replaced() -> None:
    one = stored(FRESH, ETAG, "Link: a", "Link: b")
    answer = response(ETAG, "Link: c", "Link: d", status=304)
    new = freshen(request(), one, answer, request_time=LATER, response_time=LATER)
    assert new is not None
    assert get_all(new.response.fields, b"link") == [b"c", b"d"]


def test_a_304_without_date_is_dated_by_its_arrival() -> None:
    one = stored(FRESH, ETAG)
    answer = response(ETAG, status=304, dated=False)
    new = freshen(request(), one, answer, request_time=LATER, response_time=LATER)
    assert new is not None
    assert get_all(new.response.fields, b"date") == [date_after(100).encode()]
    assert new.fresh_until == LATER + 60


@pytest.mark.parametrize(
    ("have", "got", "same"),
    [
        pytest.param([ETAG], [ETAG], True, id="4.3.4-strong"),
        pytest.param([ETAG], ['ETag: "y"'], False, id="4.3.4-other-strong"),
        pytest.param([ETAG, MODIFIED], ['ETag: "y"', MODIFIED], False, id="4.3.4-strong-decides"),
        pytest.param(['ETag: W/"x"'], [ETAG], False, id="4.3.4-strong-is-not-the-weak-one"),
        pytest.param([ETAG], ['ETag: W/"x"'], True, id="4.3.4-weak"),
        pytest.param(['ETag: W/"x"'], ['ETag: W/"x"'], True, id="4.3.4-both-weak"),
        pytest.param([ETAG], ['ETag: W/"y"'], False, id="4.3.4-other-weak"),
        pytest.param([MODIFIED], [ETAG], False, id="4.3.4-a-tag-never-seen"),
        pytest.param([MODIFIED], [MODIFIED], True, id="4.3.4-last-modified"),
        pytest.param(
            [MODIFIED], [f"Last-Modified: {date_after(0)}"], False, id="4.3.4-other-last-modified"
        ),
        pytest.param([MODIFIED], ['ETag: W/"x"'], False, id="4.3.4-a-weak-tag-never-seen"),
        pytest.param([MODIFIED], [], True, id="4.3.4-no-last-modified-contradicts-none"),
        pytest.param([ETAG], [], True, id="4.3.4-no-validator-contradicts-none"),
    ],
)
def test_a_304_about_something_else_freshens_nothing(
    have: list[str], got: list[str], *, same: bool
) -> None:
    one = stored(FRESH, *have)
    answer = response(*got, status=304)
    new = freshen(request(), one, answer, request_time=LATER, response_time=LATER)
    assert (new is not None) is same


def test_a_304_may_end_the_storing() -> None:
    one = stored(FRESH, ETAG)
    answer = response(ETAG, "Cache-Control: no-store", status=304)
    new = freshen(request(), one, answer, request_time=LATER, response_time=LATER)
    assert new is not None
    assert may_keep(request(), one).ok
    assert may_keep(request(), new).reason == "no-store"


def test_a_304_with_another_vary_gives_another_secondary_key() -> None:
    asking = request("A: 1", "B: 2")
    one = stored(FRESH, ETAG, "Vary: A", to=asking)
    answer = response(ETAG, "Vary: A, B", status=304)
    new = freshen(asking, one, answer, request_time=LATER, response_time=LATER)
    assert new is not None
    assert new.vary == ((b"a", b"1"), (b"b", b"2"))


@pytest.mark.parametrize(
    ("lines", "status", "same"),
    [
        pytest.param([ETAG], 200, True, id="4.3.5-same-tag"),
        pytest.param(['ETag: "y"'], 200, False, id="4.3.5-other-tag"),
        pytest.param([ETAG, "Content-Length: 4"], 200, True, id="4.3.5-same-length"),
        pytest.param([ETAG, "Content-Length: 5"], 200, False, id="4.3.5-other-length"),
        pytest.param([ETAG], 410, False, id="4.3.5-other-status"),
    ],
)
def test_freshening_by_head(lines: list[str], status: int, *, same: bool) -> None:
    one = stored(FRESH, ETAG)
    answer = response(*lines, "X-New: 1", status=status)
    new = freshen_by_head(
        request(method="HEAD"), one, answer, request_time=LATER, response_time=LATER
    )
    assert (new is not None) is same
    if new is not None:
        assert get(new.response.fields, b"x-new") == b"1"
        assert new.body == b"body"


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_no_bytes_make_serving_or_freshening_raise(one: bytes, two: bytes, three: bytes) -> None:
    have = stored(FRESH)
    asking = request().with_fields(((b"if-none-match", one), (b"if-modified-since", two)))
    serve(asking, have, NOW)
    serve(asking.with_fields(((b"if-modified-since", three),)), have, NOW)
    answer = response(status=304).with_fields(((b"etag", one), (b"last-modified", two)))
    freshen(asking, have, answer, request_time=NOW, response_time=NOW)
