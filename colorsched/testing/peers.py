"""The test's ends of connections: bytes injected by the test, and those that it gets."""

from __future__ import annotations

import asyncio
from typing import Any


class Peer(asyncio.Protocol):
    """The test's end of a connection to the program."""

    def __init__(self) -> None:
        self.received = bytearray()
        """All bytes that have come."""
        self.eof = False
        """The program will send no more."""
        self.closed = False
        self.error: Exception | None = None
        """What broke the connection, if that is not how it was meant to end."""
        self.transport: Any = None

    def write(self, data: bytes) -> None:
        """Send bytes to the program."""
        self.transport.write(data)

    def write_eof(self) -> None:
        """Send no more; what the program sends still comes."""
        self.transport.write_eof()

    def close(self) -> None:
        """End the connection."""
        self.transport.close()

    def reset(self) -> None:
        """Break the connection: the program gets a ``ConnectionResetError``."""
        self.transport.abort()

    def pause(self) -> None:
        """Take no more bytes until ``resume``: the program's writes pile up."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """Take bytes again."""
        self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        self.received += data

    def eof_received(self) -> bool:
        """Called by the transport; this end stays open."""
        self.eof = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport."""
        self.closed = True
        self.error = exc


class Listener:
    """Where the test listens for connections of the program."""

    port: int

    def __init__(self) -> None:
        self.accepted: list[Peer] = []
        """A peer for each connection that has come."""

    def add(self) -> Peer:
        """Make the next peer."""
        peer = Peer()
        self.accepted.append(peer)
        return peer

    def close(self) -> None:
        """Listen no more."""
