"""One request and its answer on a client connection, and who may answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, field

if TYPE_CHECKING:
    from colorsched.web.connection import ClientConnection
    from colorsched.web.heads import Known
    from colorsched.web.http1 import RequestHead
    from colorsched.web.messages import Request


class Uploader(Protocol):
    """Who takes a request's body. Called in the client connection's color."""

    def body_data(self, data: bytes) -> None:
        """A piece of the body, without framing."""

    def body_end(self) -> None:
        """The body is complete."""


class Flow(Protocol):
    """Where a response's body comes from, as far as a slow client must hold it up. Any color."""

    def pause(self) -> None:
        """Send no more for now."""

    def resume(self) -> None:
        """Send again."""

    def taken(self, size: int) -> None:
        """So many bytes have been handed to the client's transport."""


class Answerer(Protocol):
    """Whoever works at an answer, to be told when the client is gone. In the connection's color."""

    def client_gone(self, exchange: Exchange) -> None:
        """Nobody waits for this answer any more."""


@define(eq=False)
class Exchange:
    """A request under way. Owned by its connection's color, but for `solo`, the key's own."""

    connection: ClientConnection
    known: Known
    started: float
    """When it began, by the monotonic clock."""
    answerer: Answerer | None = None
    flow: Flow | None = None
    """What to pause when the client is slow, or None to let it run."""
    uploader: Uploader | None = None
    """Who gets the request's body; None: not yet, it stays unread."""
    uploaded: bool = False
    """Whether the request was read to its end."""
    continued: bool = False
    """Whether 100 (Continue) was sent."""
    answered: bool = False
    """Whether the answer's head was written."""
    length: int | None = None
    """The length of the answer's body, if it is known and comes in pieces."""
    chunked: bool = False
    without_body: bool = False
    gone: bool = False
    """Whether the client went away. Read by others, who may see it late."""
    solo: bool = False
    """Whether it asks the origin on its own, as sharing an answer has failed once."""
    status: int = 0
    sent: int = 0
    label: str = "-"
    """What the cache did, for the access log."""
    request: Request = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.request = self.known.head.request

    def unlink(self) -> None:
        """It is over: let go of whoever worked at it, so that no cycle is left to collect."""
        self.answerer = self.flow = self.uploader = None

    @property
    def head(self) -> RequestHead:
        """The request's head with its framing."""
        return self.known.head
