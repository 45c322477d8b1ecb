"""The readers of requests and responses: the same events however the bytes are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colorsched.web.http1 import Limits, MessageError, RequestHead, ResponseHead
from colorsched.web.reader import END, RequestReader, ResponseReader

LIMITS = Limits(request_line=200, fields=400, body=1000)
GET = b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: example.org\r\n"


def events(reader: RequestReader | ResponseReader, pieces: list[bytes]) -> list[object]:
    """Everything the reader tells, with neighboring pieces of a body joined."""
    found: list[object] = []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.pull()) is not None:
            if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += event
            elif isinstance(event, RequestHead):
                found.append((event.request, event.length, event.persistent))
            elif isinstance(event, ResponseHead):
                found.append((event.response, event.length, event.persistent))
            else:
                found.append(event)
    return found


def read(raw: bytes, limits: Limits = LIMITS) -> list[object]:
    return events(RequestReader(limits), [raw])


def head(raw: bytes) -> RequestHead:
    reader = RequestReader(LIMITS)
    reader.feed(raw)
    found = reader.pull()
    assert isinstance(found, RequestHead)
    return found


def refusal(raw: bytes, limits: Limits = LIMITS) -> int:
    with pytest.raises(MessageError) as caught:
        read(raw, limits)
    return caught.value.status


def outcome(reader: RequestReader | ResponseReader, pieces: list[bytes]) -> int | None:
    """The status that the bytes are refused with, or None."""
    try:
        events(reader, pieces)
    except MessageError as error:
        return error.status
    return None


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(marks)]


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
PIPELINE = (
    GET + b"\r\n"
    b"\r\n" + POST + b"Content-Length: 5\r\n\r\nhello"
    b""
    + POST
    + CHUNKED
    + b"4;x=y\r\nwiki\r\n00a\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
    + GET
    + b"\r\n"
)
ANSWERS = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    b"HTTP/1.1 404 Not Found\r\n\r\nto the end"
)


class TestSplits:
    @given(st.lists(st.integers(0, len(PIPELINE)), max_size=12))
    @example(list(range(len(PIPELINE))))
    def test_requests_do_not_depend_on_how_they_arrive(self, places: list[int]) -> None:
        whole = read(PIPELINE)
        assert whole.count(END) == 4
        assert b"hello" in whole
        assert b"wiki0123456789" in whole
        assert events(RequestReader(LIMITS), cut(PIPELINE, places)) == whole

    @given(st.lists(st.integers(0, len(ANSWERS)), max_size=12))
    @example(list(range(len(ANSWERS))))
    def test_responses_do_not_depend_on_how_they_arrive(self, places: list[int]) -> None:
        def reader() -> ResponseReader:
            made = ResponseReader(LIMITS)
            made.expect(b"GET")
            return made

        whole = events(reader(), [ANSWERS])
        assert whole.count(b"abc") == 2
        assert whole[-1] == b"to the end"
        last = reader()
        assert events(last, cut(ANSWERS, places)) == whole
        assert last.feed_eof()
        assert last.pull() is END


class TestGarbage:
    @given(st.lists(st.binary(max_size=60), max_size=5))
    def test_any_bytes_are_events_or_the_named_error(self, pieces: list[bytes]) -> None:
        assert outcome(RequestReader(LIMITS), pieces) in {None, 400, 413, 414, 431, 501, 505}

    @given(st.binary(max_size=80), st.integers(0, len(PIPELINE)), st.integers(0, 20))
    def test_damaged_requests_are_events_or_the_named_error(
        self, noise: bytes, at: int, gap: int
    ) -> None:
        raw = PIPELINE[:at] + noise + PIPELINE[at + gap :]
        assert outcome(RequestReader(LIMITS), [raw]) in {None, 400, 413, 414, 431, 501, 505}

    @given(st.binary(max_size=80), st.integers(0, len(ANSWERS)), st.integers(0, 20))
    def test_damaged_responses_are_events_or_the_named_error(
        self, noise: bytes, at: int, gap: int
    ) -> None:
        reader = ResponseReader(LIMITS)
        reader.expect(b"GET")
        assert outcome(reader, [ANSWERS[:at] + noise + ANSWERS[at + gap :]]) in {None, 502}


class TestHeads:
    def test_a_request_is_read_with_lower_cased_names_and_stripped_values(self) -> None:
        found = head(GET + b"X-One:  a b \t\r\nx-two:\r\n\r\n")
        assert found.request.method == b"GET"
        assert found.request.target == b"/a?b=c"
        assert found.request.authority == b"example.org"
        assert found.request.version == (1, 1)
        assert found.request.fields == (
            (b"host", b"example.org"),
            (b"x-one", b"a b"),
            (b"x-two", b""),
        )
        assert (found.length, found.persistent, found.expects_continue) == (0, True, False)

    @pytest.mark.parametrize(
        ("line", "field", "persistent"),
        [
            (b"GET / HTTP/1.1", b"", True),
            (b"GET / HTTP/1.1", b"Connection: close\r\n", False),
            (b"GET / HTTP/1.1", b"Connection: foo, Close\r\n", False),
            (b"GET / HTTP/1.0", b"", False),
            (b"GET / HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
        ],
    )
    def test_persistence(self, line: bytes, field: bytes, *, persistent: bool) -> None:
        assert head(line + b"\r\nHost: a\r\n" + field + b"\r\n").persistent is persistent

    def test_http_1_0_needs_no_host(self) -> None:
        assert head(b"GET / HTTP/1.0\r\n\r\n").request.authority == b""

    @pytest.mark.parametrize(
        ("line", "target", "authority"),
        [
            (b"GET http://Other:81/p?q HTTP/1.1", b"/p?q", b"Other:81"),
            (b"GET HTTP://other HTTP/1.1", b"/", b"other"),
            (b"GET http://other?q HTTP/1.1", b"/?q", b"other"),
            (b"OPTIONS http://other HTTP/1.1", b"*", b"other"),
            (b"OPTIONS * HTTP/1.1", b"*", b"a"),
            (b'GET /{}|" HTTP/1.1', b'/{}|"', b"a"),
        ],
    )
    def test_forms_of_the_target(self, line: bytes, target: bytes, authority: bytes) -> None:
        found = head(line + b"\r\nHost: a\r\n\r\n").request
        assert (found.target, found.authority) == (target, authority)

    def test_an_upgrade_is_read_as_a_plain_request(self) -> None:
        found = read(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + GET + b"\r\n")
        assert found.count(END) == 2

    def test_expectation(self) -> None:
        assert head(POST + b"Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n").expects_continue
        assert not head(GET + b"Expect: 100-continue\r\n\r\n").expects_continue


class TestRefusals:
    """RFC 9112 2.2, 3, 5, 6, 7.1, 11.2: what has been used to smuggle requests, and its kin."""

    @pytest.mark.parametrize(
        "raw",
        [
            b"\x16\x03\x01\x02\x00\x01",
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            b"GET / HTTP/1.1\rHost: a\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / http/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/11\r\nHost: a\r\n\r\n",
            b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            GET + b"X : y\r\n\r\n",
            GET + b" X: y\r\n\r\n",
            GET + b"X: y\r\n z\r\n\r\n",
            GET + b"X: y\r\n\tz\r\n\r\n",
            GET + b"X: y\x00z\r\n\r\n",
            GET + b"X: y\x0bz\r\n\r\n",
            GET + b"X: y\rz\r\n\r\n",
            GET + b": y\r\n\r\n",
            GET + b"no colon\r\n\r\n",
            GET + b"X\xff: y\r\n\r\n",
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
            POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
            POST + b"Content-Length: 5, 5\r\n\r\n",
            POST + b"Content-Length: +5\r\n\r\n",
            POST + b"Content-Length: -5\r\n\r\n",
            POST + b"Content-Length: 0x5\r\n\r\n",
            POST + b"Content-Length: 5 5\r\n\r\n",
            POST + b"Content-Length:\r\n\r\n",
            POST + b"Content-Length: 9999999999999999999999999\r\n\r\n",
            POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
            POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            POST + b"Transfer-Encoding: chunked, identity\r\n\r\n",
            POST + b"Transfer-Encoding: xchunked\r\n\r\n",
            POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
            POST + b"Transfer-Encoding: chunked;x\r\n\r\n",
            POST + b"Transfer-Encoding: identity\r\n\r\n",
            POST + b"Transfer-Encoding:\r\n\r\n",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            POST + CHUNKED + b"x\r\n",
            POST + CHUNKED + b"\r\n",
            POST + CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"3_0\r\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"ffffffffffffffffff\r\n",
            POST + CHUNKED + b"3\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"3;a\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"3;\x00\r\nabc\r\n0\r\n\r\n",
            POST + CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
            POST + CHUNKED + b"3\r\nabc\n0\r\n\r\n",
            POST + CHUNKED + b"3;" + b"x" * 5000,
            POST + CHUNKED + b"0\r\nbad trailer\r\n\r\n",
            POST + CHUNKED + b"0\r\n\n",
            POST + CHUNKED + b"0\r\n" + b"A: b\r\n" * 100,
        ],
    )
    def test_bad_request(self, raw: bytes) -> None:
        assert refusal(raw) == 400

    @pytest.mark.parametrize(
        ("raw", "status"),
        [
            (b"GET /" + b"a" * 300, 414),
            (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            (GET + b"X: " + b"a" * 1000, 431),
            (GET + b"X: " + b"a" * 400 + b"\r\n\r\n", 431),
            (POST + b"Content-Length: 1001\r\n\r\n", 413),
            (POST + CHUNKED + b"3e8\r\n" + b"a" * 1000 + b"\r\n1\r\n", 413),
            (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
            (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
            (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ],
    )
    def test_other_statuses(self, raw: bytes, status: int) -> None:
        assert refusal(raw) == status

    def test_limits_themselves_are_allowed(self) -> None:
        line = b"GET /" + b"a" * (200 - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"
        assert read(line + b"\r\nHost: a\r\n\r\n")[-1] is END
        assert read(POST + b"Content-Length: 1000\r\n\r\n" + b"a" * 1000)[-1] is END


class TestResponses:
    @pytest.mark.parametrize(
        ("method", "raw", "length"),
        [
            (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 0),
            (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0),
            (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", 0),
            (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 0),
            (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 9),
            (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", None),
            (b"GET", b"HTTP/1.0 200 OK\r\n\r\n", -1),
        ],
    )
    def test_framing(self, method: bytes, raw: bytes, length: int | None) -> None:
        reader = ResponseReader(LIMITS)
        reader.expect(method)
        reader.feed(raw)
        found = reader.pull()
        assert isinstance(found, ResponseHead)
        assert found.length == length
        assert found.persistent is (length != -1)

    @pytest.mark.parametrize(
        "raw",
        [
            b"garbage garbage",
            b"garbage garbage\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\n\n",
            b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 500,
        ],
    )
    def test_refusals(self, raw: bytes) -> None:
        reader = ResponseReader(LIMITS)
        reader.expect(b"GET")
        if raw == b"garbage garbage":
            reader.feed(raw)
            assert reader.pull() is None
            assert not reader.feed_eof()
            return
        with pytest.raises(MessageError) as caught:
            events(reader, [raw])
        assert caught.value.status == 502

    def test_the_end_of_the_connection_ends_only_a_body_that_says_so(self) -> None:
        reader = ResponseReader(LIMITS)
        reader.expect(b"GET")
        events(reader, [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
        assert not reader.feed_eof()
