"""When a stored response answers a request, and which one (RFC 9111 4, 5.2.1; RFC 5861)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorsched.web.messages import get, get_all
from colorsched.web.rules import (
    Decision,
    Fresh,
    GatewayTimeout,
    Miss,
    Revalidate,
    lookup,
    matches,
    may_serve_stale_on_error,
    must_pass,
    store_response,
    with_variant,
)
from colorsched.web.status import Forward
from web.rule_support import NOW, date_after, request, response, stored

FRESH = "Cache-Control: max-age=60"
ETAG = 'ETag: "x"'


@pytest.mark.parametrize(
    ("method", "lines", "expected"),
    [
        pytest.param("GET", [], None, id="4-get"),
        pytest.param("HEAD", [], None, id="4-head"),
        pytest.param("POST", [], Forward.METHOD, id="4-post"),
        pytest.param("OPTIONS", [], Forward.METHOD, id="4-options"),
        pytest.param("get", [], Forward.METHOD, id="9110-9.1-methods-have-case"),
        pytest.param("GET", ["Range: bytes=0-1"], Forward.BYPASS, id="3.3-range"),
        pytest.param("GET", ['If-Range: "x"'], Forward.BYPASS, id="4.3.2-if-range"),
        pytest.param("GET", ['If-Match: "x"'], Forward.BYPASS, id="4.3.2-if-match"),
        pytest.param(
            "GET", ["If-Unmodified-Since: x"], Forward.BYPASS, id="4.3.2-if-unmodified-since"
        ),
        pytest.param("GET", ['If-None-Match: "x"'], None, id="4.3.2-if-none-match"),
        pytest.param("GET", ["If-Modified-Since: x"], None, id="4.3.2-if-modified-since"),
        pytest.param("GET", ["Content-Length: 5"], Forward.BYPASS, id="9110-9.3.1-body"),
        pytest.param("GET", ["Content-Length: 0"], None, id="9110-9.3.1-no-body"),
        pytest.param("GET", ["Transfer-Encoding: chunked"], Forward.BYPASS, id="9110-9.3.1-chunks"),
        pytest.param("GET", ["Connection: keep-alive"], None, id="9110-7.6.1-keep-alive"),
        pytest.param("GET", ["Connection: Close, TE"], None, id="9110-7.6.1-usual"),
        pytest.param(
            "GET",
            ["Connection: Upgrade, HTTP2-Settings"],
            None,
            id="9110-7.8-an-upgrade-is-ignored",
        ),
        pytest.param("GET", ["Range: 0"], Forward.BYPASS, id="3.3-any-range"),
        pytest.param("GET", ["Connection: close, cookie"], Forward.BYPASS, id="9110-7.6.1-named"),
    ],
)
def test_what_passes_by_the_cache(method: str, lines: list[str], expected: Forward | None) -> None:
    assert must_pass(request(*lines, method=method)) is expected


@pytest.mark.parametrize(
    ("asked", "said", "after", "fresh"),
    [
        pytest.param("no-cache", "max-age=60", 1, False, id="5.2.1.4-no-cache"),
        pytest.param("NO-CACHE", "max-age=60", 1, False, id="5.2-case"),
        pytest.param("no-store", "max-age=60", 1, True, id="5.2.1.5-reuse-is-allowed"),
        pytest.param("max-age=0", "max-age=60", 1, False, id="5.2.1.1-zero"),
        pytest.param("max-age=10", "max-age=60", 10, True, id="5.2.1.1-at-the-limit"),
        pytest.param("max-age=10", "max-age=60", 10.5, False, id="5.2.1.1-too-old"),
        pytest.param("max-age=100", "max-age=60", 70, False, id="5.2.1.1-stale-is-stale"),
        pytest.param("max-age=x", "max-age=60", 1, False, id="5.2.1.1-malformed"),
        pytest.param("max-age=9, max-age=0", "max-age=60", 1, False, id="5.2.1.1-contradiction"),
        pytest.param("min-fresh=10", "max-age=60", 50, True, id="5.2.1.3-enough"),
        pytest.param("min-fresh=10", "max-age=60", 51, False, id="5.2.1.3-too-little"),
        pytest.param("min-fresh", "max-age=60", 1, False, id="5.2.1.3-malformed"),
        pytest.param("max-stale=10", "max-age=60", 70, True, id="5.2.1.2-at-the-limit"),
        pytest.param("max-stale=10", "max-age=60", 71, False, id="5.2.1.2-too-stale"),
        pytest.param("max-stale", "max-age=60", 1e6, True, id="5.2.1.2-any"),
        pytest.param("max-stale=x", "max-age=60", 61, False, id="5.2.1.2-malformed"),
        pytest.param("max-stale", "max-age=60, must-revalidate", 61, False, id="5.2.2.2-must"),
        pytest.param("max-stale", "max-age=60, proxy-revalidate", 61, False, id="5.2.2.8-proxy"),
        pytest.param("max-stale", "s-maxage=60", 61, False, id="5.2.2.10-s-maxage"),
        pytest.param("max-stale", "max-age=60, no-cache", 1, False, id="5.2.2.4-no-cache"),
        pytest.param("max-stale, max-age=5", "max-age=60", 61, False, id="5.2.1.1-with-max-stale"),
        pytest.param("max-stale, no-cache", "max-age=60", 61, False, id="5.2.1.4-over-max-stale"),
        pytest.param('x="no-cache"', "max-age=60", 1, True, id="5.2-quoted-is-no-directive"),
        pytest.param("only-if-cached", "max-age=60", 1, True, id="5.2.1.7-have-it"),
    ],
)
def test_what_a_request_asks(asked: str, said: str, after: float, *, fresh: bool) -> None:
    one = stored(f"Cache-Control: {said}")
    decision = lookup(request(f"Cache-Control: {asked}"), [one], NOW + after)
    assert isinstance(decision, Fresh if fresh else Revalidate)
    if isinstance(decision, Fresh):
        assert decision == Fresh(one, int(after))


def test_age_on_arrival_counts_for_what_a_request_asks() -> None:
    one = stored(FRESH, "Age: 30")
    assert isinstance(lookup(request("Cache-Control: max-age=20"), [one], NOW), Revalidate)
    assert isinstance(lookup(request("Cache-Control: min-fresh=31"), [one], NOW), Revalidate)
    assert isinstance(lookup(request("Cache-Control: min-fresh=30"), [one], NOW), Fresh)


@pytest.mark.parametrize(
    ("lines", "fresh"),
    [
        pytest.param(["Pragma: no-cache"], False, id="5.4-pragma"),
        pytest.param(["Pragma: x, No-Cache"], False, id="5.4-in-a-list"),
        pytest.param(["Pragma: x"], True, id="5.4-anything-else"),
        pytest.param(["Pragma: no-cache", "Cache-Control: x"], True, id="5.4-cache-control-wins"),
    ],
)
def test_pragma(lines: list[str], *, fresh: bool) -> None:
    decision = lookup(request(*lines), [stored(FRESH)], NOW)
    assert isinstance(decision, Fresh if fresh else Revalidate)


def forwarded(decision: Decision) -> Forward:
    assert not isinstance(decision, Fresh)
    return decision.fwd


def test_why_a_request_is_forwarded() -> None:
    # 9211-2.2
    fresh, stale = stored(FRESH), stored("Cache-Control: max-age=0")
    other = stored(FRESH, "Vary: a", to=request("A: 1"))
    assert forwarded(lookup(request(), [], NOW)) is Forward.URI_MISS
    assert forwarded(lookup(request(), [other], NOW)) is Forward.VARY_MISS
    assert forwarded(lookup(request(), [stale], NOW)) is Forward.STALE
    assert forwarded(lookup(request("Cache-Control: no-cache"), [fresh], NOW)) is Forward.REQUEST
    assert forwarded(lookup(request("Cache-Control: no-cache"), [stale], NOW)) is Forward.STALE


def test_only_if_cached_is_never_forwarded() -> None:
    # 5.2.1.7
    asked = request("Cache-Control: only-if-cached")
    assert lookup(asked, [], NOW) == GatewayTimeout(Forward.URI_MISS)
    assert lookup(asked, [stored(FRESH)], NOW + 61) == GatewayTimeout(Forward.STALE)


def test_a_miss_asks_for_all_so_that_everybody_can_be_answered() -> None:
    asked = request('If-None-Match: "y"', f"If-Modified-Since: {date_after(-9)}", "Accept: a")
    decision = lookup(asked, [], NOW)
    assert isinstance(decision, Miss)
    assert decision.request == request("Accept: a")


def test_validation_sends_the_stored_validators_instead_of_the_client_s() -> None:
    # 4.3.1
    modified = date_after(-500)
    one = stored(ETAG, f"Last-Modified: {modified}")
    asked = request('If-None-Match: "y", "z"', f"If-Modified-Since: {date_after(0)}", "A: 1")
    decision = lookup(asked, [one], NOW)
    assert isinstance(decision, Revalidate)
    assert decision.stored is one
    sent = decision.request.fields
    assert get_all(sent, b"if-none-match") == [b'"x"']
    assert get_all(sent, b"if-modified-since") == [modified.encode()]
    assert get(sent, b"a") == b"1"


def test_an_empty_entity_tag_is_none() -> None:
    decision = lookup(request(), [stored("ETag: ")], NOW)  # 9110-8.8.3
    assert isinstance(decision, Revalidate)
    assert decision.request == request()


def test_validation_without_validators_sends_no_condition() -> None:
    decision = lookup(request('If-None-Match: "y"'), [stored(FRESH)], NOW + 61)
    assert isinstance(decision, Revalidate)
    assert decision.request == request()


@pytest.mark.parametrize(
    ("vary", "then", "now", "same"),
    [
        pytest.param("A", ["A: 1"], ["A: 1"], True, id="4.1-same"),
        pytest.param("a", ["A: 1"], ["A: 2"], False, id="4.1-other-value"),
        pytest.param("A", ["A: 1"], [], False, id="4.1-now-absent"),
        pytest.param("A", [], ["A: 1"], False, id="4.1-then-absent"),
        pytest.param("A", [], [], True, id="4.1-both-absent"),
        pytest.param("A", [], ["A: "], False, id="4.1-absent-is-not-empty"),
        pytest.param("A", ["A: 1", "B: 2"], ["A: 1", "B: 3"], True, id="4.1-not-named"),
        pytest.param("A, B", ["A: 1", "B: 2"], ["B: 2", "A: 1"], True, id="4.1-order-of-fields"),
        pytest.param("A, B", ["A: 1", "B: 2"], ["A: 1", "B: 3"], False, id="4.1-one-of-two"),
        pytest.param("A, B", ["A: 1", "B: 2"], ["A: 1"], False, id="4.1-one-of-two-absent"),
        pytest.param("A", ["A: 1, 2"], ["A: 1", "A: 2"], True, id="4.1-combined-lines"),
        pytest.param("A", ["A: 1"], ["A:  1 "], True, id="4.1-space-at-the-ends"),
        pytest.param("A", ["A: x"], ["A: X"], False, id="4.1-unknown-fields-have-case"),
        pytest.param("A", ["A: 1, 2"], ["A: 1,2"], False, id="4.1-unknown-fields-have-spaces"),
        pytest.param(
            "Accept-Encoding",
            ["Accept-Encoding: gzip, BR"],
            ["Accept-Encoding: gzip,br"],
            True,
            id="4.1-known-lists-are-normalized",
        ),
        pytest.param(
            "Accept-Encoding",
            ["Accept-Encoding: gzip, br"],
            ["Accept-Encoding: br, gzip"],
            False,
            id="4.1-order-of-members-counts",
        ),
        pytest.param("Accept-Language", ["Accept-Language: en"], [], False, id="4.1-list-absent"),
        pytest.param(
            "Accept-Language",
            ["Accept-Language: en-GB, fr;q=0.5"],
            ["Accept-Language: en-gb,fr;Q=0.5"],
            True,
            id="4.1-languages-ignore-case",
        ),
        pytest.param(
            "Accept-Charset",
            ["Accept-Charset: UTF-8, x"],
            ["Accept-Charset: utf-8,x"],
            True,
            id="4.1-charsets-ignore-case",
        ),
        pytest.param("", ["A: 1"], ["A: 2"], True, id="4.1-empty-vary"),
    ],
)
def test_variants(vary: str, then: list[str], now: list[str], *, same: bool) -> None:
    one = stored(FRESH, f"Vary: {vary}", to=request(*then))
    assert matches(one, request(*now)) is same
    assert isinstance(lookup(request(*now), [one], NOW), Fresh if same else Miss)


def test_each_client_gets_its_variant() -> None:
    asked = [request(f"A: {number}") for number in range(3)]
    variants = [
        stored(FRESH, "Vary: A", to=one, body=get(one.fields, b"a") or b"") for one in asked
    ]
    for one in asked:
        decision = lookup(one, variants, NOW)
        assert isinstance(decision, Fresh)
        assert decision.stored.body == get(one.fields, b"a")


def test_of_several_that_match_the_latest_date_is_taken() -> None:
    # 4.1
    old = stored(FRESH, f"Date: {date_after(-20)}", dated=False)
    new = stored(FRESH, f"Date: {date_after(-10)}", "Vary: A", dated=False)
    for variants in ([old, new], [new, old]):
        assert lookup(request(), variants, NOW) == Fresh(new, 10)
    assert lookup(request("A: 1"), [new, old], NOW) == Fresh(old, 20)


def test_a_new_variant_takes_the_place_of_its_predecessor() -> None:
    first = stored(FRESH, "Vary: A", to=request("A: 1"))
    second = stored(FRESH, "Vary: A", to=request("A: 2"))
    again = stored(FRESH, "Vary: A", to=request("A: 1"))
    assert with_variant((), first) == (first,)
    assert with_variant((first,), second) == (second, first)
    assert with_variant((second, first), again) == (again, second)


def test_a_freshened_variant_takes_the_place_of_the_stored_one() -> None:
    first = stored(FRESH, "Vary: A", to=request("A: 1"))
    wider = stored(FRESH, "Vary: A, B", to=request("A: 1"))  # the 304 brought another Vary
    assert with_variant((first,), wider) == (wider, first)
    assert with_variant((first,), wider, replaces=first) == (wider,)


def test_variants_of_one_key_are_bounded() -> None:
    variants: tuple[object, ...] = ()
    kept = tuple(stored(FRESH, "Vary: A", to=request(f"A: {number}")) for number in range(5))
    for one in kept:
        variants = with_variant(variants, one, limit=3)  # type: ignore[arg-type]  # built here
    assert variants == (kept[4], kept[3], kept[2])


@pytest.mark.parametrize(
    ("said", "asked", "after", "allowed"),
    [
        pytest.param("max-age=9, stale-if-error=5", "", 14, True, id="5861-4-at-the-limit"),
        pytest.param("max-age=9, stale-if-error=5", "", 14.5, False, id="5861-4-too-stale"),
        pytest.param("max-age=9", "stale-if-error=5", 14, True, id="5861-4-the-request-asks"),
        pytest.param("max-age=9", "stale-if-error=5", 15, False, id="5861-4-request-too-stale"),
        pytest.param("max-age=9, stale-if-error=1", "stale-if-error=5", 14, True, id="5861-4-both"),
        pytest.param("max-age=9", "", 10, False, id="4.2.4-not-without-permission"),
        pytest.param("max-age=9, stale-if-error=x", "", 10, False, id="5861-4-malformed"),
        pytest.param("max-age=9, stale-if-error=5, must-revalidate", "", 10, False, id="5.2.2.2"),
        pytest.param("max-age=9, stale-if-error=5, proxy-revalidate", "", 10, False, id="5.2.2.8"),
        pytest.param("s-maxage=9, stale-if-error=5", "", 10, False, id="5.2.2.10-s-maxage"),
        pytest.param("max-age=9, stale-if-error=5, no-cache", "", 1, False, id="5.2.2.4-no-cache"),
        pytest.param("max-age=9, no-cache", "stale-if-error=99", 1, False, id="4.2.4-no-cache"),
    ],
)
def test_stale_on_error(said: str, asked: str, after: float, *, allowed: bool) -> None:
    one = stored(f"Cache-Control: {said}", ETAG)
    asking = request(f"Cache-Control: {asked}") if asked else request()
    assert may_serve_stale_on_error(asking, one, NOW + after) is allowed


REQUEST_DIRECTIVES = [
    *("no-cache", "no-store", "only-if-cached", "max-age=0", "max-age=30", "min-fresh=30"),
    *("max-stale", "max-stale=30", "max-age=x", "stale-if-error=9", "nonsense"),
]
RESPONSE_DIRECTIVES = [
    *("max-age=20", "max-age=60", "no-cache", "must-revalidate", "proxy-revalidate"),
    *("s-maxage=40", "stale-if-error=9"),
]


@given(
    asked=st.sets(st.sampled_from(REQUEST_DIRECTIVES)),
    said=st.sets(st.sampled_from(RESPONSE_DIRECTIVES)),
    after=st.floats(min_value=0, max_value=200),
    waited=st.floats(min_value=0, max_value=20),
)
def test_what_is_used_without_validation_is_always_allowed(
    asked: set[str], said: set[str], after: float, waited: float
) -> None:
    one = stored(f"Cache-Control: {', '.join(sorted(said))}", waited=waited)
    asking = request(f"Cache-Control: {', '.join(sorted(asked))}")
    decision = lookup(asking, [one], NOW + after)
    if isinstance(decision, Fresh):
        stale = NOW + after >= one.born + one.lifetime
        assert "no-cache" not in said | asked
        assert "max-age=0" not in asked or decision.age == 0
        assert not (stale and {"must-revalidate", "proxy-revalidate", "s-maxage=40"} & said)
        assert not stale or asked & {"max-stale", "max-stale=30"}
    elif isinstance(decision, GatewayTimeout):
        assert "only-if-cached" in asked
    else:
        assert isinstance(decision, Revalidate)
        assert "only-if-cached" not in asked


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=30))))
def test_no_request_makes_a_lookup_raise(pairs: list[tuple[bytes, bytes]]) -> None:
    names = [b"cache-control", b"pragma", b"if-none-match", b"if-modified-since", b"connection"]
    known = tuple((names[len(name) % 5], value) for name, value in pairs)
    asking = request().with_fields(known + tuple(pairs))
    answer = response(FRESH, "Vary: pragma, x")
    one = store_response(asking, answer, b"", request_time=NOW, response_time=NOW)
    must_pass(asking)
    lookup(asking, [one], NOW + 1)
    may_serve_stale_on_error(asking, one, NOW + 100)
    assert matches(one, asking)
