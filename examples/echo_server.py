"""An echo server with asyncio streams, each connection in a color of its own.

`asyncio.start_server` serves all its connections in the color that called it: in order, one thing
at a time, on one worker at a time. To let connections run in parallel, accept in one color and give
each accepted socket a coroutine in its own. The handler is the same in both.

It prints::

    answers: 100
    colors that answered: 20
    one color for each connection: True
"""

from __future__ import annotations

import asyncio
import socket

from colorsched import Runtime, current_color

CLIENTS = 20
LINES = 5


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send each line back, with the name of the color that handles it."""
    color = current_color()
    assert color is not None, "it runs in a color"
    while line := await reader.readline():
        writer.write(b"%s: %s" % (str(color.key).encode(), line))
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve(connection: socket.socket) -> None:
    """Give the socket asyncio's streams, in the loop of the color this runs in."""
    reader, writer = await asyncio.open_connection(sock=connection)
    await echo(reader, writer)


class EchoServer:
    """Accepts in the color "accept"; connection n lives in the color "client n"."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._accepted = 0
        self.port: int = self._listener.getsockname()[1]
        self._color = rt.color("accept")
        self._color.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # that client is gone
        connection.setblocking(False)
        self._accepted += 1
        self._rt.color(f"client {self._accepted}").spawn(serve(connection))

    def stop(self) -> None:
        """Accept no more."""
        self._color.submit(self._stop).result()

    def _stop(self) -> None:
        self._color.remove_reader(self._listener)
        self._listener.close()


async def client(port: int, number: int) -> list[bytes]:
    """Send some lines and return the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for line in range(LINES):
        writer.write(b"line %d of %d\n" % (line, number))
        answers.append(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answers


async def main(port: int) -> list[list[bytes]]:
    """Run all clients, on a plain asyncio loop."""
    return await asyncio.gather(*(client(port, number) for number in range(CLIENTS)))


if __name__ == "__main__":
    with Runtime() as rt:
        server = EchoServer(rt)
        answers = asyncio.run(main(server.port))
        server.stop()
    colors = {line.partition(b":")[0] for lines in answers for line in lines}
    print("answers:", sum(map(len, answers)))
    print("colors that answered:", len(colors))
    print(
        "one color for each connection:",
        all(len({a.partition(b":")[0] for a in one}) == 1 for one in answers),
    )
