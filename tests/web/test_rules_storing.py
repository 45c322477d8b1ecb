"""Which responses are stored, and what of them (RFC 9111 3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.web.messages import Response, get, get_all
from colorsched.web.rules import end_to_end, may_keep, may_store, store_response
from web.rule_support import DATE, NOW, date_after, fields, request, response, stored

FRESH = "Cache-Control: max-age=60"
ETAG = 'ETag: "x"'
AUTHORIZED = "Authorization: Basic Zm9vOmJhcg=="


@pytest.mark.parametrize(
    ("asked", "status", "said", "reason"),
    [
        pytest.param([], 200, [FRESH], None, id="3-max-age"),
        pytest.param([], 200, ["Cache-Control: s-maxage=60"], None, id="3-s-maxage"),
        pytest.param([], 200, [f"Expires: {date_after(60)}"], None, id="3-expires"),
        pytest.param([], 200, [ETAG], None, id="3-default-status-with-validator"),
        pytest.param([], 200, [f"Last-Modified: {date_after(-9)}"], None, id="3-last-modified"),
        pytest.param(
            [], 200, ["Cache-Control: no-cache", ETAG], None, id="5.2.2.4-no-cache-stored"
        ),
        pytest.param([], 200, [], "neither freshness nor validator", id="3-nothing-to-reuse-it-by"),
        pytest.param(
            [], 200, ["Cache-Control: max-age=0"], "neither freshness nor validator", id="3-useless"
        ),
        pytest.param(
            [], 200, ["Expires: 0"], "neither freshness nor validator", id="5.3-useless-expires"
        ),
        pytest.param(
            [],
            200,
            [f"Expires: {date_after(-9)}"],
            "neither freshness nor validator",
            id="5.3-past",
        ),
        pytest.param(
            [], 200, ["Cache-Control: max-age=0, stale-if-error=9"], None, id="5861-4-useful"
        ),
        pytest.param([], 200, ["Cache-Control: max-age=60, no-store"], "no-store", id="5.2.2.5"),
        pytest.param([], 200, ["Cache-Control: max-age=60, NO-STORE"], "no-store", id="5.2-case"),
        pytest.param(
            [], 200, [FRESH, "Cache-Control: no-store"], "no-store", id="5.2.2.5-second-line"
        ),
        pytest.param([], 200, ["Cache-Control: max-age=60, private"], "private", id="5.2.2.7"),
        pytest.param(
            [], 200, ['Cache-Control: max-age=60, private="x"'], "private", id="5.2.2.7-fields"
        ),
        pytest.param(
            [], 200, ["Cache-Control: public, private, max-age=60"], "private", id="4.2.1-conflict"
        ),
        pytest.param(["Cache-Control: no-store"], 200, [FRESH], "request no-store", id="5.2.1.5"),
        pytest.param(["Cache-Control: no-cache"], 200, [FRESH], None, id="5.2.1.4-is-stored"),
        pytest.param([AUTHORIZED], 200, [FRESH], "authorization", id="3.5-authorization"),
        pytest.param(
            [AUTHORIZED], 200, ["Cache-Control: max-age=60, public"], None, id="3.5-public"
        ),
        pytest.param([AUTHORIZED], 200, ["Cache-Control: s-maxage=60"], None, id="3.5-s-maxage"),
        pytest.param(
            [AUTHORIZED], 200, ["Cache-Control: max-age=60, must-revalidate"], None, id="3.5-must"
        ),
        pytest.param(
            [AUTHORIZED],
            200,
            ["Cache-Control: max-age=60, proxy-revalidate"],
            "authorization",
            id="3.5-proxy-revalidate-is-not-enough",
        ),
        pytest.param([], 200, [FRESH, "Vary: *"], "vary *", id="4.1-asterisk"),
        pytest.param([], 200, [FRESH, "Vary: , *"], "vary *", id="4.1-asterisk-after-nothing"),
        pytest.param([], 200, [FRESH, "Vary: A", "Vary: *, b"], "vary *", id="4.1-second-line"),
        pytest.param([], 200, [FRESH, "Vary: A, B"], None, id="4.1-names"),
        pytest.param([], 200, [FRESH, "Set-Cookie: a=b"], "set-cookie", id="7.3-cookie"),
        pytest.param(
            [], 200, ["Cache-Control: public, max-age=60", "Set-Cookie: a=b"], None, id="7.3-public"
        ),
        pytest.param(
            [], 200, ["Cache-Control: s-maxage=60", "Set-Cookie: a=b"], None, id="7.3-s-maxage"
        ),
        pytest.param(["Cookie: a=b"], 200, [FRESH], None, id="7.3-a-request-cookie-is-no-reason"),
        pytest.param([], 206, [FRESH, "Content-Range: bytes 0-1/2"], "partial content", id="3.3"),
        pytest.param([], 304, [FRESH], "not modified", id="3-304"),
        pytest.param([], 100, [FRESH], "interim status", id="3-100-is-not-final"),
        pytest.param([], 103, [FRESH], "interim status", id="3-103-is-not-final"),
        pytest.param([], 599, [FRESH], None, id="3-unknown-status-with-freshness"),
        pytest.param(
            [], 599, ["Cache-Control: max-age=60, must-understand"], "must-understand", id="5.2.2.3"
        ),
        pytest.param(
            [],
            599,
            ["Cache-Control: max-age=60, must-understand, no-store"],
            "must-understand",
            id="5.2.2.3-unknown-with-no-store",
        ),
        pytest.param(
            [],
            200,
            ["Cache-Control: max-age=60, must-understand, no-store"],
            None,
            id="5.2.2.3-understood-overrides-no-store",
        ),
        pytest.param([], 500, [FRESH], None, id="3-error-with-freshness"),
    ],
)
def test_storing(asked: list[str], status: int, said: list[str], reason: str | None) -> None:
    verdict = may_store(request(*asked), response(*said, status=status))
    assert (verdict.ok, verdict.reason) == (reason is None, reason or "storable")


BY_DEFAULT = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}


@pytest.mark.parametrize(
    "status", [200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400]
)
def test_statuses_stored_by_default(status: int) -> None:
    check_default(status)


@pytest.mark.parametrize(
    "status", [401, 403, 404, 405, 410, 414, 418, 429, 500, 501, 502, 503, 504]
)
def test_error_statuses_stored_by_default(status: int) -> None:
    check_default(status)


def check_default(status: int) -> None:
    """RFC 9110 15.1: without explicit freshness, only these; with any, or with public, all."""
    verdict = may_store(request(), response(ETAG, status=status))
    assert verdict.ok == (status in BY_DEFAULT)
    assert may_store(request(), response(FRESH, status=status)).ok
    assert may_store(request(), response(ETAG, "Cache-Control: public", status=status)).ok


def test_which_statuses_must_understand_lets_in() -> None:
    # 5.2.2.3: the final ones of RFC 9110 and RFC 7725, less 206 and 304
    answers = {
        status: response("Cache-Control: max-age=60, must-understand", status=status)
        for status in range(100, 600)
    }
    understood = {status for status, answer in answers.items() if may_store(request(), answer).ok}
    expected = {200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308}
    expected |= {*range(400, 418), 421, 422, 426, 451, *range(500, 506)}
    assert understood == expected


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "get"])
def test_only_get_is_stored(method: str) -> None:
    verdict = may_store(request(method=method), response(FRESH))  # 3, 9110-9.1: case counts
    assert (verdict.ok, verdict.reason) == (False, "method")


def test_what_a_head_request_freshened_may_stay() -> None:
    one = stored(FRESH)
    assert may_keep(request(method="HEAD"), one).ok  # 4.3.4
    assert not may_keep(request(), stored("Cache-Control: no-store")).ok


HOP_BY_HOP = [
    "Connection: x-named, close",
    "X-Named: 1",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Trailer: x-sum",
    "Transfer-Encoding: chunked",
    "Upgrade: h2c",
    "Proxy-Authenticate: Basic",
    "Proxy-Authentication-Info: x",
    "Proxy-Authorization: x",
]


def test_fields_of_one_connection_are_not_stored() -> None:
    one = stored(FRESH, *HOP_BY_HOP, "X-Other: 2")  # 3.1
    names = {name for name, _ in one.response.fields}
    assert names == {b"cache-control", b"x-other", b"date", b"content-length"}
    assert b"x-named" not in one.head
    assert b"x-other: 2\r\n" in one.head


def test_fields_of_one_connection_are_not_forwarded() -> None:
    kept = end_to_end(fields("Host: a", "X-Other: 2", *HOP_BY_HOP))
    assert kept == fields("Host: a", "X-Other: 2")  # 9110-7.6.1


def test_connection_cannot_take_the_fields_that_frame_a_message() -> None:
    lines = ["Host: a", "Content-Length: 5"]
    assert end_to_end(fields("Connection: host, content-length", *lines)) == fields(*lines)


def test_age_is_not_stored_and_the_length_is_that_of_the_body() -> None:
    one = stored(FRESH, "Age: 5", "Content-Length: 999", body=b"12345")  # 4.2.3, 9110-8.6
    assert get(one.response.fields, b"age") is None
    assert get_all(one.response.fields, b"content-length") == [b"5"]
    assert one.body == b"12345"


def test_an_empty_response_has_a_length_but_204_has_none() -> None:
    assert get(stored(FRESH, status=205, body=b"").response.fields, b"content-length") == b"0"
    assert get(stored(FRESH, status=204, body=b"").response.fields, b"content-length") is None


@pytest.mark.parametrize("line", ["Date: yesterday", "X-No-Date: 1"])
def test_a_missing_or_invalid_date_becomes_that_of_the_arrival(line: str) -> None:
    one = stored(FRESH, line, dated=False, at=NOW + 5.5)  # 9110-6.6.1
    assert get_all(one.response.fields, b"date") == [date_after(5).encode()]


def test_a_valid_date_stays() -> None:
    one = stored(FRESH, at=NOW + 50)
    assert get_all(one.response.fields, b"date") == [DATE.removeprefix("Date: ").encode()]


def test_fields_that_appear_twice_are_stored_twice_in_order() -> None:
    one = stored("Cache-Control: public, max-age=9", "Set-Cookie: a=1", "Set-Cookie: b=2")
    assert get_all(one.response.fields, b"set-cookie") == [b"a=1", b"b=2"]


def test_the_head_is_written_whole_but_for_its_end() -> None:
    one = stored(FRESH)
    assert one.head == (
        b"HTTP/1.1 200 Reason\r\n"
        b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"cache-control: max-age=60\r\n"
        b"content-length: 4\r\n"
    )


def test_what_counts_as_size_grows_with_everything_that_is_kept() -> None:
    small = stored(FRESH)
    assert stored(FRESH, body=b"b" * 1004).size >= small.size + 1000
    assert stored(FRESH, "X: " + "x" * 1000).size >= small.size + 2000
    cookie = request("Cookie: " + "x" * 1000)
    assert stored(FRESH, "Vary: Cookie", to=cookie).size >= small.size + 1000


DIRECTIVES = [
    *("no-store", "private", "public", "max-age=9", "s-maxage=0", "must-understand", "no-cache"),
    *("must-revalidate", "stale-if-error=9", 'private="x"', "max-age=x", "nonsense"),
]
CONTROL = st.lists(st.sampled_from(DIRECTIVES)).map(", ".join)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    asked=CONTROL,
    said=CONTROL,
    status=st.integers(min_value=100, max_value=599),
    extra=st.sets(st.sampled_from(["Vary: *", "Vary: a", ETAG, "Set-Cookie: a=b", "Expires: 0"])),
    authorized=st.booleans(),
)
def test_nothing_forbidden_is_ever_stored(
    method: str, asked: str, said: str, status: int, extra: set[str], *, authorized: bool
) -> None:
    lines = [AUTHORIZED] if authorized else []
    asking = request(f"Cache-Control: {asked}", *lines, method=method)
    answer = response(f"Cache-Control: {said}", *sorted(extra), status=status)
    if not may_store(asking, answer).ok:
        return
    assert method == "GET"
    assert status >= 200
    assert status not in {206, 304}
    assert "private" not in said
    assert "no-store" not in asked.split(", ")
    assert "no-store" not in said or "must-understand" in said
    assert "Vary: *" not in extra
    shared = "public" in said or "s-maxage" in said
    assert not authorized or shared or "must-revalidate" in said
    assert "Set-Cookie: a=b" not in extra or shared


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=30))))
def test_no_fields_make_storing_raise(pairs: list[tuple[bytes, bytes]]) -> None:
    names = [b"cache-control", b"vary", b"date", b"age", b"expires", b"connection"]
    known = tuple((names[len(name) % 6], value) for name, value in pairs)
    answer = Response(200, b"OK", known + tuple(pairs))
    may_store(request(), answer)
    one = store_response(request(), answer, b"", request_time=NOW, response_time=NOW)
    assert one.head.endswith(b"\r\n")
