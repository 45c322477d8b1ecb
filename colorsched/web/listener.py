"""A listening socket: accepts in a color of its own, and hands each client to its connection's."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, Final

from colorsched.web.config import Address
from colorsched.web.connection import ClientConnection
from colorsched.web.transport import SocketTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Color
    from colorsched.web.site import Site

_BATCH: Final = 64
"""Clients accepted before others get their turn."""
_BACKLOG: Final = 1024
_PAUSE: Final = 0.25
"""Seconds without accepting after the process or the system ran out of descriptors or memory."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Accepts clients of one address for one site, from `start` to `stop`."""

    def __init__(self, address: Address, site: Site, *, color: Callable[[Any], Color]) -> None:
        """Binds and listens at once. Raises OSError, with the address in its text."""
        self._site = site
        self._make_color = color
        self._sock = _listen(address)
        host, port = self._sock.getsockname()[:2]
        self.address: Final = Address(host, port)
        """Where it listens, with the port that the system chose."""
        self._color = color(("listener", self.address))
        self.stopped = False
        """Whether it accepts no more, for good."""

    def start(self) -> None:
        """Begin to accept."""
        self._color.post(self._resume)

    def stop(self) -> None:
        """Accept no more. Clients in the system's queue are refused."""
        self._color.post(self._stop)

    def _resume(self) -> None:
        if not self.stopped:
            self._color.add_reader(self._sock, self._accept)

    def _stop(self) -> None:
        if not self.stopped:
            self._color.remove_reader(self._sock)
            self._sock.close()
            self.stopped = True

    def _accept(self) -> None:
        for _ in range(_BATCH):
            if self.stopped:
                return
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # that one client gave up before its turn
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                # Trying again at once would fail at once: let connections end meanwhile.
                self._color.remove_reader(self._sock)
                self._color.call_later(_PAUSE, self._resume)
                return
            color = self._make_color(("connection", sock.fileno(), object()))
            color.post(self._begin, sock, color, str(peer[0]))

    def _begin(self, sock: socket.socket, color: Color, peer: str) -> None:
        """In the connection's color."""
        sock.setblocking(False)
        connection = ClientConnection(self._site, color, peer)
        self._site.came(connection)
        connection.start(SocketTransport(sock, color, connection))
        if self._site.leaving:
            connection.leave()


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    if not address.host:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    try:
        sock = socket.create_server(
            (address.host, address.port),
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=not address.host and family == socket.AF_INET6,
        )
    except OSError as error:
        # Not by its number: that of a failed look-up is none of the system's errors.
        reason = (error.strerror or str(error)).partition(" (while attempting")[0]
        raise OSError(error.errno, f"cannot listen on {address}: {reason}") from None
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    return sock
