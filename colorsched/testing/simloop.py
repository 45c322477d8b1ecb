"""The asyncio loop of a color in a simulation: its connections are those of a simulated network."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from colorsched.aio.loop import ColorLoop
from colorsched.testing.errors import Aborted, CannotSimulate
from colorsched.testing.simserver import SimServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.testing.network import Network
    from colorsched.testing.simserver import Factory
    from colorsched.testing.wire import SimTransport


class SimLoop(ColorLoop):
    """As ``ColorLoop``; servers and connections are made of memory."""

    def _join_turn(self) -> None:
        """Nothing: a turn is one callback here."""

    @property
    def network(self) -> Network:
        """That of the runtime."""
        network: Network = self.color._scheduler.runtime().network
        return network

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's; but who was thrown out at the end of a run did not fail."""
        if not isinstance(context.get("exception"), Aborted):
            super().call_exception_handler(context)

    async def create_server(  # type: ignore[override]  # as asyncio's, without the options of sockets
        self,
        protocol_factory: Factory,
        host: Any = None,
        port: int | None = None,
        *,
        sock: Any = None,
        ssl: Any = None,
        start_serving: bool = True,
        **_options: Any,
    ) -> SimServer:
        """As asyncio's, on the simulated network."""
        self._refuse_real(sock, ssl)
        server = SimServer(self.network, self, protocol_factory)
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        try:
            for name in hosts:
                server.bind(name, port or 0)
        except OSError:
            server.close()
            raise
        return self._begun(server, start_serving=start_serving)

    async def create_unix_server(  # type: ignore[override]  # as asyncio's, without the options of sockets
        self,
        protocol_factory: Factory,
        path: Any = None,
        *,
        sock: Any = None,
        ssl: Any = None,
        start_serving: bool = True,
        **_options: Any,
    ) -> SimServer:
        """As asyncio's, on the simulated network; the path is not one of the file system."""
        self._refuse_real(sock, ssl)
        server = SimServer(self.network, self, protocol_factory)
        server.bind_path(path)
        return self._begun(server, start_serving=start_serving)

    def _begun(self, server: SimServer, *, start_serving: bool) -> SimServer:
        if not start_serving:
            server.pause()
        return server

    async def create_connection(
        self,
        protocol_factory: Factory,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        local_addr: tuple[str, int] | None = None,
        **_options: Any,
    ) -> tuple[SimTransport, Any]:
        """As asyncio's, on the simulated network."""
        self._refuse_real(sock, ssl)
        if host is None or port is None:
            raise ValueError("host and port was not specified and no sock specified")
        end = await self.network.dial(self, (host, int(port)), local_addr)
        protocol = protocol_factory()
        end.start(protocol)
        return end, protocol

    async def create_unix_connection(
        self,
        protocol_factory: Factory,
        path: Any = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        **_options: Any,
    ) -> tuple[SimTransport, Any]:
        """As asyncio's, on the simulated network."""
        self._refuse_real(sock, ssl)
        end = await self.network.dial(self, os.fspath(path), None)
        protocol = protocol_factory()
        end.start(protocol)
        return end, protocol

    async def getaddrinfo(self, host: Any, port: Any, **_options: Any) -> Any:
        """Every name is known, and stands for itself."""
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, socket.IPPROTO_TCP, "", (host, int(port or 0)))]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """As :meth:`getaddrinfo`."""
        return str(sockaddr[0]), str(sockaddr[1])

    def _refuse_real(self, sock: Any, ssl: Any) -> None:
        if sock is not None:
            raise CannotSimulate(
                "a simulated network has no sockets: give host and port, or a path, not sock="
            )
        if ssl:
            raise CannotSimulate(
                "a simulated network has no TLS: leave ssl= out when the program is simulated, and "
                "test the encryption on a real Runtime"
            )


def _refusing(name: str, advice: str) -> Callable[..., Any]:
    async def refuse(_loop: SimLoop, *_args: Any, **_options: Any) -> Any:
        raise CannotSimulate(f"{name}() is of the real world, which a simulation has not: {advice}")

    refuse.__name__ = name
    refuse.__doc__ = "Refuse: raises ``CannotSimulate``."
    return refuse


STREAMS = "use streams or protocols (open_connection, start_server, create_connection)"
for _name, _advice in {
    **dict.fromkeys(
        (
            "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall",
            "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile",
            "connect_accepted_socket",
        ),
        STREAMS,
    ),
    "create_datagram_endpoint": f"put the datagrams behind an interface of yours, or {STREAMS}",
    "start_tls": "leave TLS out when the program is simulated",
    "subprocess_exec": "put the child process behind an interface of yours",
    "subprocess_shell": "put the child process behind an interface of yours",
}.items():  # fmt: skip
    setattr(SimLoop, _name, _refusing(_name, _advice))
