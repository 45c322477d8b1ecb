"""A network in memory, for programs that run in a ``SimRuntime``: its order is the schedule's."""

from __future__ import annotations

import errno
import random
from contextvars import copy_context
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from colorsched.testing.peers import Listener, Peer
from colorsched.testing.simserver import LOCAL, SimServer, address_key, normal, resolve
from colorsched.testing.wire import RESET, Parcel, SimTransport

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Hashable, Sequence

    from colorsched.aio.loop import ColorLoop
    from colorsched.testing.simruntime import SimRuntime

    Address = tuple[str, int] | str

#: Ports are given out from here, in order: those that IANA leaves to everybody.
FIRST_FREE_PORT = 49152


class Network:
    """What the connections of one ``SimRuntime`` are made of, and what goes wrong with them.

    asyncio's ``start_server``, ``open_connection``, ``loop.create_server``,
    ``loop.create_connection`` and their Unix kin work as ever in a ``SimRuntime``, without a
    socket: what is written arrives as a callback in the color of the other end. Any host name is
    known. By default nothing is lost, nothing takes time, and what is written at once arrives at
    once; the options change that, all drawn from the seed.

    Args:
        latency: seconds of virtual time on the way; a pair: drawn between the two. What is
            written to one connection stays in order.
        split: how likely it is that bytes written at once arrive in pieces, 0 to 1.
        join: how likely it is that bytes come together with those written after them.
        reset: how likely each write is to break its connection.
        seed: draws all that; None: the seed of the runtime.

    Raises:
        ValueError: an option is out of range.

    >>> import asyncio
    >>> from colorsched.testing import SimRuntime
    >>> async def echo(reader, writer):
    ...     writer.write(await reader.read())
    ...     writer.close()
    >>> async def serve():
    ...     server = await asyncio.start_server(echo, "localhost", 7)
    >>> with SimRuntime(seed=1, network=Network(latency=0.5)) as rt:
    ...     rt.color("server").spawn(serve()).result()
    ...     peer = rt.network.connect(7)
    ...     peer.write(b"hello")
    ...     peer.write_eof()
    ...     rt.settle()
    ...     bytes(peer.received), rt.time()
    (b'hello', 1.0)

    """

    def __init__(
        self,
        *,
        latency: float | tuple[float, float] = 0.0,
        split: float = 0.0,
        join: float = 0.0,
        reset: float = 0.0,
        seed: int | None = None,
    ) -> None:
        low, high = latency if isinstance(latency, tuple) else (latency, latency)
        if not 0 <= low <= high:
            raise ValueError(f"latency must be seconds, or a pair of them in order: {latency!r}")
        for name, chance in (("split", split), ("join", join), ("reset", reset)):
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} is a chance, from 0 to 1, not {chance!r}")
        self._latency = (low, high)
        self._split, self._join, self._reset = split, join, reset
        self._seed = seed
        self._random = random.Random(seed)
        self._runtime: SimRuntime | None = None
        self._ports = count(FIRST_FREE_PORT)
        self._peers = count(1)
        self._cuts: set[frozenset[Hashable]] = set()
        self._held: list[Callable[[], None]] = []
        self.servers: dict[Address, SimServer] = {}
        """Who listens, by address; a host of ``""`` is any."""
        self.ends: dict[SimTransport, None] = {}
        """All ends of open connections, in the order in which they were made."""

    def attach(self, runtime: SimRuntime, seed: int | None) -> None:
        """Belong to a runtime, from now on.

        Raises:
            ValueError: it belongs to another one.

        """
        if self._runtime is not None:
            raise ValueError("this Network belongs to another SimRuntime: make one for each")
        self._runtime = runtime
        if self._seed is None:
            self._random.seed(seed or 0)

    # -- for tests --------------------------------------------------------------------------------

    def connect(self, port: int | str, host: str = LOCAL) -> Peer:
        """Connect to a server of the program, from the test; ``port``: or the path of a socket.

        Raises:
            ConnectionRefusedError: nobody listens there.

        """
        loop = self._peer_loop()
        address: Address = port if isinstance(port, str) else (host, port)
        peer = Peer()
        self.link(loop, address, None).start(peer)
        return peer

    def listen(self, port: int = 0, host: str = LOCAL) -> Listener:
        """Listen, from the test, for connections of the program.

        Raises:
            OSError: the address is in use.

        """
        listener = Listener()
        server = SimServer(self, self._peer_loop(), listener.add)
        server.bind(host, port)
        listener.port = server.addresses[0][1]
        listener.close = server.close  # type: ignore[method-assign]  # what there is to close
        return listener

    def _peer_loop(self) -> ColorLoop:
        assert self._runtime is not None
        return self._runtime.color(f"test {next(self._peers)}")._get_loop()

    def partition(self, one: Hashable, other: Hashable) -> None:
        """Keep what is sent between the two, connecting too, until ``heal``.

        Each goes by a host or by the key of a color.
        """
        self._cuts.add(frozenset((normal(one), normal(other))))

    def heal(self) -> None:
        """End all partitions; what was kept goes on its way."""
        self._cuts.clear()
        held, self._held = self._held, []
        for send in held:
            send()

    def reset(self, port: int | str | None = None) -> int:
        """Break the connections to a port (or path), or all; returns how many."""
        broken: set[SimTransport] = set()
        for end in self.ends:
            name = end.get_extra_info("sockname")
            listens = port is None or port == (name if isinstance(name, str) else name[1])
            if listens and end.peer not in broken and not end._lost:
                broken.add(end)
                self._break(end)
        return len(broken)

    def _break(self, end: SimTransport) -> None:
        for one in (end, end.peer):
            parcel = Parcel(RESET)
            one.inbox.append(parcel)
            self._send(end.names, end.peer.names, one, partial(one.arrive, parcel))

    # -- connections ------------------------------------------------------------------------------

    def free_port(self) -> int:
        """The next port that nobody has."""
        return next(self._ports)

    def listener(self, address: Address) -> SimServer:
        """Who listens there.

        Raises:
            ConnectionRefusedError: nobody.

        """
        found = self.servers.get(address_key(address))
        if found is None and isinstance(address, tuple):
            found = self.servers.get(("", address[1]))
        if found is None or not found.is_serving():
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {address!r}")
        return found

    def link(self, loop: ColorLoop, address: Address, local: Any) -> SimTransport:
        """Connect a loop to who listens at an address; returns its end."""
        server = self.listener(address)
        if isinstance(address, str):
            mine: Any = ""
            host: Hashable = address
        else:
            mine = tuple(local) if local is not None else (LOCAL, 0)
            mine = (mine[0], mine[1] or self.free_port())
            host = address[0]
        names = frozenset((normal(mine[0] if mine else ""), loop.color.key))
        end = SimTransport(loop, self, names, mine)
        other = SimTransport(
            server.loop, self, frozenset((normal(host), server.loop.color.key)), address
        )
        end.peer, other.peer = other, end
        for one in (end, other):
            one._extra["peername"] = one.peer.get_extra_info("sockname")  # type: ignore[attr-defined]  # not in typeshed
            self.ends[one] = None
        self._send(names, other.names, other, partial(server.accept, other))
        return end

    async def dial(self, loop: ColorLoop, address: Address, local: Any) -> SimTransport:
        """As ``link``, in the time it takes."""
        host = address if isinstance(address, str) else address[0]
        mine = LOCAL if local is None else local[0]
        names = frozenset((normal(mine), loop.color.key))
        there = loop.create_future()
        server = self.servers.get(address_key(address))
        others = {normal(host)} | ({server.loop.color.key} if server is not None else set())
        # There and back: the other end may have what we send before we know that it is there.
        self._send(names, frozenset(others), loop, partial(resolve, there), trips=2)
        await there
        return self.link(loop, address, local)

    # -- what travels -----------------------------------------------------------------------------

    def carry(self, sender: SimTransport, content: bytes | str) -> None:
        """Take bytes, or an end, to the other end of a connection."""
        receiver = sender.peer
        draw = self._random.random
        if isinstance(content, bytes) and self._reset and draw() < self._reset:
            self._break(sender)
            return
        pieces = [content]
        if isinstance(content, bytes) and self._split and len(content) > 1 and draw() < self._split:
            cut = 1 + int(draw() * (len(content) - 1))
            pieces = [content[:cut], content[cut:]]
        for piece in pieces:
            parcel = Parcel(piece)
            receiver.inbox.append(parcel)
            arrive = partial(receiver.arrive, parcel)
            self._send(sender.names, receiver.names, receiver, arrive)

    def join(self, content: bytes, inbox: deque[Parcel]) -> bytes:
        """Bytes that are delivered, perhaps with those that come next."""
        while inbox and inbox[0].arrived and isinstance(inbox[0].content, bytes):
            if not self._join or self._random.random() >= self._join:
                break
            content += inbox.popleft().content  # type: ignore[operator]  # bytes, as was just asked
        return content

    def _send(
        self,
        names: frozenset[Hashable],
        others: frozenset[Hashable],
        to: SimTransport | ColorLoop,
        arrive: Callable[[], object],
        *,
        trips: int = 1,
    ) -> None:
        loop = to.loop if isinstance(to, SimTransport) else to
        context = to._context if isinstance(to, SimTransport) else copy_context()
        cut = any(
            (one in names and other in others) or (one in others and other in names)
            for one, other in map(_both, self._cuts)
        )
        low, high = self._latency
        seconds = low if low == high else self._random.uniform(low, high)
        if not seconds and not cut:
            loop.call_soon(arrive, context=context)
            return
        # An observer is to see that this comes from the sender, though a timer posts it.
        plan = getattr(loop.color, "_plan", None)
        fn: Any = arrive if plan is None else plan(arrive)

        def go() -> None:
            loop.call_later(trips * seconds, fn, context=context)

        if cut:
            self._held.append(go)
        else:
            go()


def _both(cut: frozenset[Hashable]) -> Sequence[Hashable]:
    pair = tuple(cut)
    return pair if len(pair) == 2 else pair * 2
