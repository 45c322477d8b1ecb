"""Streams, servers, datagrams, TLS, pipes and sockets are asyncio's own, in a color."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aio_support import Everywhere
    from colorsched import Runtime

    Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

CHUNK = bytes(range(256)) * 1024


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every line with itself, in capitals; a line of digits with so many chunks."""
    while line := await reader.readline():
        if line.strip().isdigit():
            for _ in range(int(line)):
                writer.write(CHUNK)
                await writer.drain()
        else:
            writer.write(line.upper())
            await writer.drain()
    writer.close()
    await writer.wait_closed()


async def talk(open_it: Open, name: str) -> list[bytes]:
    """Say some lines on a new connection and return the answers."""
    reader, writer = await open_it()
    answers = []
    for n in range(3):
        writer.write(f"{name} {n}\n".encode())
        await writer.drain()
        answers.append(await reader.readline())
    writer.write(b"4\n")
    assert await reader.readexactly(4 * len(CHUNK)) == 4 * CHUNK
    if writer.can_write_eof():
        writer.write_eof()
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    return answers


def answers_to(name: str) -> list[bytes]:
    """Return what `talk` is to be answered."""
    return [f"{name} {n}\n".upper().encode() for n in range(3)]


async def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def test_server_and_clients_in_one_color_each(everywhere: Everywhere) -> None:
    async def main(i: int) -> list[list[bytes]]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = await port_of(server)
        async with server:
            clients = [
                talk(lambda: asyncio.open_connection("127.0.0.1", port), f"{i} {n}")
                for n in range(3)
            ]
            return await asyncio.gather(*clients)

    assert everywhere(main) == [[answers_to(f"{i} {n}") for n in range(3)] for i in range(5)]


def test_server_in_one_color_and_clients_in_others(rt: Runtime, everywhere: Everywhere) -> None:
    home = rt.color("server")

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(echo, "127.0.0.1", 0)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        await server.wait_closed()

    server = home.spawn(serve()).result(PATIENCE_SECONDS)
    port = server.sockets[0].getsockname()[1]

    async def main(i: int) -> list[bytes]:
        return await talk(lambda: asyncio.open_connection("127.0.0.1", port), f"from {i}")

    assert everywhere(main) == [answers_to(f"from {i}") for i in range(5)]
    home.spawn(stop(server)).result(PATIENCE_SECONDS)


def test_a_connection_accepted_in_one_color_can_be_served_in_another(rt: Runtime) -> None:
    async def serve() -> list[bytes]:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        client = loop.create_task(
            talk(lambda: asyncio.open_connection("127.0.0.1", port), "handed over")
        )
        accepted, _ = await loop.sock_accept(listener)
        listener.close()
        await rt.color("connection").spawn(echo_on(accepted))
        return await client

    async def echo_on(accepted: socket.socket) -> None:
        await echo(*await asyncio.open_connection(sock=accepted))

    assert rt.color("listener").spawn(serve()).result(PATIENCE_SECONDS) == answers_to("handed over")


def test_tls(
    everywhere: Everywhere, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def main(i: int) -> list[bytes]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_tls)
        port = await port_of(server)
        async with server:
            return await talk(
                lambda: asyncio.open_connection(
                    "127.0.0.1", port, ssl=client_tls, server_hostname="localhost"
                ),
                f"secret {i}",
            )

    assert everywhere(main) == [answers_to(f"secret {i}") for i in range(5)]


def test_start_tls_upgrades_a_connection(
    everywhere: Everywhere, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(server_tls)
        await echo(reader, writer)

    async def main(i: int) -> list[bytes]:
        server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
        port = await port_of(server)

        async def open_it() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(client_tls, server_hostname="localhost")
            return reader, writer

        async with server:
            return await talk(open_it, f"upgraded {i}")

    assert everywhere(main) == [answers_to(f"upgraded {i}") for i in range(5)]


def test_a_certificate_that_is_not_trusted_is_refused(
    rt: Runtime, server_tls: ssl.SSLContext
) -> None:
    async def main() -> str:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_tls)
        port = await port_of(server)
        async with server:
            with pytest.raises(OSError, match="certificate verify failed") as caught:
                await asyncio.open_connection("localhost", port, ssl=True, family=socket.AF_INET)
        return type(caught.value).__name__

    name = rt.spawn(main()).result(PATIENCE_SECONDS)
    assert name == "SSLCertVerificationError"


def test_unix_sockets(everywhere: Everywhere, tmp_path: Path) -> None:
    async def main(i: int) -> list[bytes]:
        path = tmp_path / f"socket-{i}"
        server = await asyncio.start_unix_server(echo, path)
        async with server:
            return await talk(lambda: asyncio.open_unix_connection(path), f"unix {i}")

    assert everywhere(main) == [answers_to(f"unix {i}") for i in range(5)]


class Datagrams(asyncio.DatagramProtocol):
    """Keeps what arrives, and answers with `answer` if there is one."""

    def __init__(self, answer: Callable[[bytes], bytes] | None = None) -> None:
        self.answer = answer
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if self.answer is not None:
            self.transport.sendto(self.answer(data), address)
        self.arrived.put_nowait(data)


def test_datagrams(everywhere: Everywhere) -> None:
    async def main(i: int) -> bytes:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(bytes.upper), local_addr=("127.0.0.1", 0)
        )
        client, protocol = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=server.get_extra_info("sockname")
        )
        client.sendto(f"packet {i}".encode())
        answer = await protocol.arrived.get()
        client.close()
        server.close()
        return answer

    assert everywhere(main) == [f"PACKET {i}".encode() for i in range(5)]


def test_socket_methods_of_the_loop(everywhere: Everywhere) -> None:
    async def main(i: int) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await loop.sock_connect(client, listener.getsockname())
            served, _ = await accepting
            with served:
                sending = loop.create_task(loop.sock_sendall(client, CHUNK))
                data = bytearray(len(CHUNK))
                view = memoryview(data)
                while view:
                    view = view[await loop.sock_recv_into(served, view) :]
                await sending
                assert data == CHUNK
                await loop.sock_sendall(served, f"done {i}".encode())
                return await loop.sock_recv(client, 100)

    assert everywhere(main) == [f"done {i}".encode() for i in range(5)]


def test_a_cancelled_read_leaves_the_socket_usable(rt: Runtime) -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(left, 10), 0.001)
            await loop.sock_sendall(right, b"after all")
            return await loop.sock_recv(left, 10)

    assert rt.spawn(main()).result(PATIENCE_SECONDS) == b"after all"


def test_sendfile(everywhere: Everywhere, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CHUNK * 3)

    async def main(_: int) -> bool:
        async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with path.open("rb") as file:
                await asyncio.get_running_loop().sendfile(writer.transport, file)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(send, "127.0.0.1", 0)
        port = await port_of(server)
        async with server:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            data = await reader.read()
            writer.close()
            await writer.wait_closed()
        return data == CHUNK * 3

    assert all(everywhere(main))


def test_pipes(everywhere: Everywhere) -> None:
    async def main(i: int) -> bytes:
        loop = asyncio.get_running_loop()
        out, into = os.pipe()
        reader = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(out, "rb", 0)
        )
        writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(into, "wb", 0))
        writing.write(f"through {i}\n".encode())
        line = await reader.readline()
        writing.close()
        assert await reader.read() == b""
        reading.close()
        return line

    assert everywhere(main) == [f"through {i}\n".encode() for i in range(5)]


def test_add_reader_and_writer_of_the_loop(everywhere: Everywhere) -> None:
    async def main(_: int) -> list[str]:
        loop = asyncio.get_running_loop()
        story: list[str] = []
        left, right = socket.socketpair()
        with left, right:
            done = asyncio.Event()

            def readable() -> None:
                story.append(f"read {left.recv(10).decode()}")
                if len(story) == 3:
                    done.set()
                else:
                    loop.call_later(0.001, right.send, b"twice")

            def writable() -> None:
                story.append("written")
                assert loop.remove_writer(right)
                right.send(b"once")

            loop.add_reader(left, readable)
            loop.add_writer(right, writable)
            await done.wait()
            assert loop.remove_reader(left)
            assert not loop.remove_reader(left)
            assert not loop.remove_writer(right)
        return story

    assert everywhere(main) == [["written", "read once", "read twice"]] * 5


def test_a_socket_with_a_transport_is_not_to_be_watched(rt: Runtime) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with right:
            reader, writer = await asyncio.open_connection(sock=left)
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(left, print)
            del reader
            writer.close()
            await writer.wait_closed()

    rt.spawn(main()).result(PATIENCE_SECONDS)


def test_names_are_resolved(everywhere: Everywhere) -> None:
    async def main(_: int) -> Any:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        name = await loop.getnameinfo(
            ("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        )
        return found[0][4], name

    assert everywhere(main) == [(("127.0.0.1", 80), ("127.0.0.1", "80"))] * 5


def test_a_refused_connection(rt: Runtime) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]

        async def main() -> None:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

        rt.spawn(main()).result(PATIENCE_SECONDS)
