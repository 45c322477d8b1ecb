"""One request to the origin, and who gets its answer: both ends of a talk with the origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from attrs import define, field

from colorsched.web.framing import LAST_CHUNK, chunk

if TYPE_CHECKING:
    from colorsched import Color
    from colorsched.web.http1 import ResponseHead
    from colorsched.web.origin import OriginConnection

_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class Receiver(Protocol):
    """Who gets the origin's answer. Each method is called in `color`, and told of which call.

    What a call was about to say when it was canceled may still arrive: compare the call.
    """

    @property
    def color(self) -> Color:
        """The color of the callbacks."""

    def origin_ready(self, call: Call) -> None:
        """The request's body may be sent (again)."""

    def origin_full(self, call: Call) -> None:
        """Hold the request's body back."""

    def origin_interim(self, call: Call, head: ResponseHead) -> None:
        """An interim response (1xx, but neither 100 nor 101) came."""

    def origin_head(self, call: Call, head: ResponseHead) -> None:
        """The final response's head came."""

    def origin_data(self, call: Call, data: bytes, *, last: bool) -> None:
        """A piece of the response's body came; the `last` one if nothing else is called after."""

    def origin_end(self, call: Call) -> None:
        """The response is complete, and its last piece did not say so."""

    def origin_failed(self, call: Call, status: int, why: str) -> None:
        """There is no response, or no whole one: 502 or 504, and the reason in words."""


@define(eq=False)
class Call:
    """One request to the origin, from any color; over after `origin_end` or `origin_failed`."""

    receiver: Receiver
    method: bytes
    head: bytes
    """The request's head, as it goes on the wire."""
    length: int | None = 0
    """The length of the body to come by `send`; None: chunked."""
    connection: OriginConnection = field(init=False)

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does (RFC 9110 9.2.2)."""
        return self.length == 0 and self.method in _IDEMPOTENT

    def pause(self) -> None:
        """Read no more of the response for now."""
        self.connection.color.dispatch(self.connection.pause, self)

    def resume(self) -> None:
        """Read on."""
        self.connection.color.dispatch(self.connection.resume, self)

    def taken(self, size: int) -> None:
        """So many bytes of the response are stored, or handed to the client's transport.

        To be called for all pieces but the last: what is not confirmed is read ahead only so far.
        """
        self.connection.color.dispatch(self.connection.taken, self, size)

    def cancel(self) -> None:
        """Give the response up. What is on its way to the receiver still arrives."""
        self.connection.color.dispatch(self.connection.cancel, self)

    def send(self, data: bytes) -> None:
        """A piece of the request's body. Call it in the receiver's color."""
        framed = data if self.length is not None else chunk(data)
        if self.connection.color.dispatch(self.connection.send, self, framed) is not None:
            # It is queued: hold the client until the connection's color has caught up.
            self.receiver.origin_full(self)
            self.connection.color.dispatch(self.connection.caught_up, self)

    def finish(self) -> None:
        """The request's body is complete."""
        last = b"" if self.length is not None else LAST_CHUNK
        self.connection.color.dispatch(self.connection.finish, self, last)
