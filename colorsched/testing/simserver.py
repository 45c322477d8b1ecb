"""What listens on a simulated network: asyncio's servers, without sockets."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from colorsched.testing.wire import RESET

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from colorsched.aio.loop import ColorLoop
    from colorsched.testing.network import Network
    from colorsched.testing.wire import SimTransport

    Factory = Callable[[], asyncio.BaseProtocol]

#: Hosts that mean "this machine", and those that mean "under any name".
LOCAL = "127.0.0.1"
LOOPBACK = frozenset(("localhost", "::1", "ip6-localhost", LOCAL))
WILDCARDS = frozenset((None, "", "0.0.0.0", "::"))  # noqa: S104 - nothing is bound: it is simulated


class SimServer(asyncio.AbstractServer):
    """What ``create_server`` gives: as asyncio's own, without sockets."""

    def __init__(self, network: Network, loop: ColorLoop, factory: Factory) -> None:
        self._network = network
        self.loop = loop
        self._factory = factory
        self._context = copy_context()
        self._serving = False
        self._open = True
        self.addresses: list[Any] = []
        self._connections: dict[SimTransport, None] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None

    def bind(self, host: str | None, port: int) -> None:
        """Take an address, and listen there.

        Raises:
            OSError: it is in use.

        """
        address = ("0.0.0.0" if host in WILDCARDS else host, port or self._network.free_port())  # noqa: S104 - simulated
        self._take(address)

    def bind_path(self, path: Any) -> None:
        """Take the path of a Unix socket, and listen there."""
        self._take(os.fspath(path))

    def _take(self, address: Any) -> None:
        servers = self._network.servers
        key = address_key(address)
        taken = key in servers
        if isinstance(key, tuple):
            others = [other for other in servers if not isinstance(other, str)]
            taken = taken or any(
                port == key[1] and (host == "" or key[0] == "") for host, port in others
            )
        if taken:
            raise OSError(errno.EADDRINUSE, f"address {address!r} is already in use")
        servers[key] = self
        self.addresses.append(address)
        self._serving = True

    def accept(self, end: SimTransport) -> None:
        """A connection has come: a callback of the server's color."""
        if not self._open:
            self._network.carry(end, RESET)
            end.lose(None)
            return
        self._connections[end] = None
        end.on_lost = self._gone
        try:
            end.start(self._factory())
        except Exception as error:  # noqa: BLE001 - as of asyncio's servers, whatever it is
            end._fail(error)

    def _gone(self, end: SimTransport) -> None:
        self._connections.pop(end, None)
        self._wake()

    def _wake(self) -> None:
        if not self._open and not self._connections:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                resolve(waiter)

    # -- asyncio's servers ------------------------------------------------------------------------

    @property
    def sockets(self) -> tuple[SimSocket, ...]:
        """What it listens on, as far as ``getsockname()`` goes."""
        return tuple(map(SimSocket, self.addresses)) if self._open else ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """As asyncio's."""
        return self.loop

    def is_serving(self) -> bool:
        """As asyncio's."""
        return self._serving

    async def start_serving(self) -> None:
        """As asyncio's."""
        self._serving = self._open

    def pause(self) -> None:
        """Do not listen before ``start_serving``."""
        self._serving = False

    async def serve_forever(self) -> None:
        """As asyncio's."""
        if self._forever is not None or not self._open:
            raise RuntimeError(f"server {self!r} is serving for ever already, or closed")
        await self.start_serving()
        self._forever = self.loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self) -> None:
        """As asyncio's: connections stay open."""
        if not self._open:
            return
        self._open = self._serving = False
        for address in self.addresses:
            del self._network.servers[address_key(address)]
        if self._forever is not None:
            self._forever.cancel()
        self._wake()

    def close_clients(self) -> None:
        """As asyncio's, from CPython 3.13 on."""
        for end in list(self._connections):
            end.close()

    def abort_clients(self) -> None:
        """As asyncio's, from CPython 3.13 on."""
        for end in list(self._connections):
            end.abort()

    async def wait_closed(self) -> None:
        """As asyncio's: from CPython 3.12 on it waits for the connections, too."""
        if sys.version_info < (3, 12) or (not self._open and not self._connections):
            return
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter


class SimSocket:
    """What is left of a server's socket: its address."""

    def __init__(self, address: Any) -> None:
        self._address = address

    def getsockname(self) -> Any:
        """The address."""
        return self._address

    def __repr__(self) -> str:
        return f"<SimSocket {self._address!r}>"


def normal(name: Hashable) -> Hashable:
    """A host's one name."""
    return LOCAL if name in LOOPBACK else name


def address_key(address: Any) -> Any:
    """What an address is looked up by; its host is ``""`` if it means any."""
    if isinstance(address, str):
        return address
    host, port = address[:2]
    return "" if host in WILDCARDS else normal(host), port


def resolve(future: asyncio.Future[None]) -> None:
    """Let go on who awaits it, if somebody does still."""
    if not future.done():
        future.set_result(None)
