"""Short ways to write requests, responses and stored responses in the tests of the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.web.fields import format_date
from colorsched.web.messages import Fields, Request, Response, normalized
from colorsched.web.rules import store_response

if TYPE_CHECKING:
    from colorsched.web.rules import Served
    from colorsched.web.stored import Stored

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the moment the tests take for the present."""

DATE = f"Date: {format_date(NOW).decode()}"


def fields(*lines: str) -> Fields:
    """Fields from lines like `Name: value`."""
    pairs = [line.partition(":") for line in lines]
    return normalized((name.encode("latin-1"), value.encode("latin-1")) for name, _, value in pairs)


def request(*lines: str, method: str = "GET", target: str = "/a") -> Request:
    return Request(method.encode(), target.encode(), b"example.com", fields(*lines))


def response(*lines: str, status: int = 200, dated: bool = True) -> Response:
    """A response made now, with a Date unless told otherwise."""
    return Response(status, b"Reason", fields(*lines, *([DATE] if dated else [])))


def stored(
    *lines: str,
    to: Request | None = None,
    body: bytes = b"body",
    status: int = 200,
    dated: bool = True,
    at: float = NOW,
    waited: float = 0.0,
) -> Stored:
    """A stored response that arrived at `at`, `waited` seconds after it was asked for."""
    return store_response(
        to or request(),
        response(*lines, status=status, dated=dated),
        body,
        request_time=at - waited,
        response_time=at,
    )


def date_after(seconds: float) -> str:
    """The HTTP date that many seconds from the tests' present."""
    return format_date(NOW + seconds).decode()


def served_fields(served: Served) -> dict[bytes, bytes]:
    """The fields of a served head, checked to be whole lines."""
    assert served.head.endswith(b"\r\n")
    lines = served.head.split(b"\r\n")[1:-1]
    return {name: value for name, _, value in (line.partition(b": ") for line in lines)}
