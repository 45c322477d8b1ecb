"""Primary keys, and what unsafe methods invalidate (RFC 9111 2, 4.4)."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colorsched.web.messages import Request, Response
from colorsched.web.rules import cache_key, invalidated_keys
from web.rule_support import request, response


@pytest.mark.parametrize(
    ("authority", "target", "same"),
    [
        pytest.param(b"example.com", b"/a", True, id="2-same"),
        pytest.param(b"EXAMPLE.com", b"/a", True, id="9110-4.2.3-host-case"),
        pytest.param(b"example.com:80", b"/a", True, id="9110-4.2.3-default-port"),
        pytest.param(b"example.com:8080", b"/a", False, id="9110-4.2.3-other-port"),
        pytest.param(b"example.org", b"/a", False, id="2-other-host"),
        pytest.param(b"example.com", b"/A", False, id="9110-4.2.3-path-case"),
        pytest.param(b"example.com", b"/a?", False, id="2-empty-query"),
        pytest.param(b"example.com", b"/a?b", False, id="2-query"),
        pytest.param(b"example.com", b"/%61", False, id="2-as-received"),
    ],
)
def test_keys(authority: bytes, target: bytes, *, same: bool) -> None:
    other = Request(b"GET", target, authority)
    assert (cache_key(other) == cache_key(request())) is same


def test_head_asks_for_what_get_stored() -> None:
    assert cache_key(request(method="HEAD")) == cache_key(request())  # 4, 9110-9.3.2


HERE = b"example.com/a/b"


@pytest.mark.parametrize(
    ("method", "status", "lines", "keys"),
    [
        pytest.param("POST", 200, [], [HERE], id="4.4-post"),
        pytest.param("PUT", 201, [], [HERE], id="4.4-put"),
        pytest.param("DELETE", 204, [], [HERE], id="4.4-delete"),
        pytest.param("PATCH", 303, [], [HERE], id="4.4-redirects-are-no-errors"),
        pytest.param("M-SEARCH", 200, [], [HERE], id="4.4-unknown-methods"),
        pytest.param("post", 200, [], [HERE], id="9110-9.1-methods-have-case"),
        pytest.param("GET", 200, ["Location: /c"], [], id="4.4-get-is-safe"),
        pytest.param("HEAD", 200, [], [], id="9110-9.2.1-head"),
        pytest.param("OPTIONS", 200, [], [], id="9110-9.2.1-options"),
        pytest.param("TRACE", 200, [], [], id="9110-9.2.1-trace"),
        pytest.param("POST", 400, ["Location: /c"], [], id="4.4-client-error"),
        pytest.param("POST", 500, [], [], id="4.4-server-error"),
        pytest.param("POST", 100, [], [], id="4.4-interim"),
        pytest.param("POST", 200, ["Location: /c"], [HERE, b"example.com/c"], id="4.4-path"),
        pytest.param(
            "POST", 200, ["Location: c?d=e"], [HERE, b"example.com/a/c?d=e"], id="4.4-rel"
        ),
        pytest.param("POST", 200, ["Location: ../c"], [HERE, b"example.com/c"], id="4.4-dots"),
        pytest.param("POST", 200, ["Location: ?q"], [HERE, b"example.com/a/b?q"], id="4.4-query"),
        pytest.param("POST", 200, ["Location: /c#d"], [HERE, b"example.com/c"], id="4.4-fragment"),
        pytest.param("POST", 200, ["Location: "], [HERE], id="4.4-empty"),
        pytest.param(
            "POST",
            200,
            ["Content-Location: http://example.com/c"],
            [HERE, b"example.com/c"],
            id="4.4-content-location",
        ),
        pytest.param(
            "POST",
            200,
            ["Location: /c", "Content-Location: /d"],
            [HERE, b"example.com/c", b"example.com/d"],
            id="4.4-both",
        ),
        pytest.param(
            "POST",
            200,
            ["Location: http://EXAMPLE.com:80"],
            [HERE, b"example.com/"],
            id="9110-4.2.3-normalized",
        ),
        pytest.param(
            "POST",
            200,
            ["Location: https://example.com:443/c"],
            [HERE, b"example.com/c"],
            id="4.4-behind-tls",
        ),
        pytest.param("POST", 200, ["Location: http://example.org/c"], [HERE], id="4.4-other-host"),
        pytest.param(
            "POST", 200, ["Location: http://example.com:81/c"], [HERE], id="4.4-other-port"
        ),
        pytest.param(
            "POST", 200, ["Location: http://example.com@example.org/"], [HERE], id="4.4-user-info"
        ),
        pytest.param("POST", 200, ["Location: //example.org/c"], [HERE], id="4.4-no-scheme"),
        pytest.param("POST", 200, ["Location: mailto:a@example.com"], [HERE], id="4.4-no-http"),
        pytest.param("POST", 200, ["Location: http://[/c"], [HERE], id="4.4-no-uri"),
    ],
)
def test_invalidation(method: str, status: int, lines: list[str], keys: list[bytes]) -> None:
    asked = request(method=method, target="/a/b")
    assert list(invalidated_keys(asked, response(*lines, status=status))) == keys


def test_the_default_port_in_the_request_is_no_other_origin() -> None:
    asked = evolve(request(method="POST"), authority=b"Example.com:80")  # 9110-4.2.3
    answer = response("Location: http://example.com/c")
    assert invalidated_keys(asked, answer) == (b"example.com/a", b"example.com/c")


@given(st.binary(), st.binary())
def test_no_reference_makes_it_raise(target: bytes, reference: bytes) -> None:
    asked = evolve(request(method="POST"), target=b"/" + target)
    answer = Response(200, b"OK", ((b"location", reference), (b"content-location", reference)))
    assert invalidated_keys(asked, answer)[0] == cache_key(asked)
