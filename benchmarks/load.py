"""Load on a server: wrk, single requests that are checked, and many idle connections."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

from attrs import define

from benchmarks.arithmetic import WrkResult, parse_wrk
from benchmarks.servers import CouldNotStartError, Server, pinned

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUEST = b"GET /object HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def exchange(connection: socket.socket, request: bytes = REQUEST) -> bytes:
    """Send one request over an open connection, read the whole answer; it must state its length.

    Raises:
        RuntimeError: if the server closed the connection, or sent no length.
    """
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection, received)
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    if len(lengths) != 1:
        raise RuntimeError(f"the answer states no single length: {head[:200]!r}")
    while len(body) < lengths[0]:
        body += _receive(connection, received)
    return head + b"\r\n\r\n" + body


def _receive(connection: socket.socket, so_far: bytes) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise RuntimeError(f"the server closed the connection after {so_far[:200]!r}")
    return data


def assert_hit(server: Server) -> None:
    """Warm a cache, then check that the second answer came from it, whole.

    Raises:
        RuntimeError: if the second answer is no hit: the figures would measure the origin.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        exchange(connection)
        answer = exchange(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    lowered = head.lower()
    hit = b"x-cache: hit" in lowered or b"x-cache: 1" in lowered or b"; hit" in lowered
    if not head.startswith(b"HTTP/1.1 200") or len(body) != 1024 or not hit:
        raise RuntimeError(f"{server.label} answered no hit of 1 KiB: {head[:300]!r}")


@define
class Load:
    """One run of wrk on a server: what wrk saw, and what both sides used of the processor."""

    result: WrkResult
    server_cpu: float
    """Share of one core the server used."""
    wrk_cpu: float
    """Share of one core wrk used; near one, wrk was the limit."""


def wrk(
    server: Server, *, seconds: int, connections: int, cpus: Sequence[int] | None = None
) -> Load:
    """Load `server` over keep-alive connections from one thread.

    Raises:
        CouldNotStartError: if wrk is not installed.
        ValueError: if it printed no figures, or the server answered nothing.
    """
    if shutil.which("wrk") is None:
        raise CouldNotStartError("wrk is not installed")
    command = pinned(
        cpus,
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "--timeout",
            "10s",
            server.address,
        ],
    )
    used = server.cpu_seconds()
    before = os.times()
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    after = os.times()
    own = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    elapsed = after.elapsed - before.elapsed
    result = parse_wrk(finished.stdout + finished.stderr)
    if not result.rate:
        raise ValueError(f"it answered no request; wrk met {result.errors:,} errors")
    return Load(
        result=result,
        server_cpu=(server.cpu_seconds() - used) / elapsed,
        wrk_cpu=own / elapsed,
    )


def idle_connections(server: Server, *, count: int) -> tuple[int, int]:
    """Open `count` connections, use each once, leave all open; resident bytes before and with them.

    Raises:
        RuntimeError: if the server closed one.
    """
    before = server.resident()
    connections: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            connections.append(connection)
            exchange(connection)
        with_them = server.resident()
        exchange(connections[0])  # the oldest is still served
    finally:
        for connection in connections:
            # Reset instead of closing in order: 10,000 ports would stay in TIME_WAIT for a minute.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
    return before, with_them
