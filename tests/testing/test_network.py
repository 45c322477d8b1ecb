"""Connections in a simulation are made of memory; what happens to them is the schedule's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.testing import CannotSimulate, RaceDetector, Shared, SimRuntime
from colorsched.testing.network import Network
from colorsched.testing.strategies import Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = range(8)


@pytest.fixture
def sim() -> Iterator[SimRuntime]:
    with SimRuntime(seed=1) as runtime:
        yield runtime


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(10):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(handler: Any = echo, host: str = "localhost", port: int = 80) -> Any:
    return await asyncio.start_server(handler, host, port)


async def ask(text: bytes, port: int = 80) -> bytes:
    reader, writer = await asyncio.open_connection("localhost", port)
    for i in range(0, len(text), 7):
        writer.write(text[i : i + 7])
        await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "options",
    [{}, {"latency": 0.5}, {"latency": (0.1, 2.0), "split": 0.7, "join": 0.5}],
)
def test_many_clients_of_an_echo_server(seed: int, options: Any) -> None:
    texts = [bytes([i]) * 40 + b"end" for i in range(5)]
    with SimRuntime(seed=seed, network=Network(**options)) as rt:
        rt.color("server").spawn(serve()).result()
        answers = [rt.color(text).spawn(ask(text)) for text in texts]
        assert [answer.result() for answer in answers] == texts
        rt.settle()
        assert not rt.network.ends


def test_the_seed_decides_and_a_recording_repeats() -> None:
    def play(rt: SimRuntime) -> tuple[Any, ...]:
        log: list[bytes] = []

        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                log.append(data)
            writer.close()

        with rt:
            rt.color("server").spawn(serve(note)).result()
            done = [rt.color(i).spawn(ask(b"%d" % i * 20)) for i in range(3)]
            for one in done:
                one.result()
            return (tuple(log), rt.time(), rt.choices)

    def options() -> Network:
        return Network(latency=(0.0, 1.0), split=0.5, join=0.5, seed=4)

    runs = [play(SimRuntime(seed=seed, network=options())) for seed in SEEDS]
    assert runs[3] == play(SimRuntime(seed=3, network=options()))
    assert len(set(runs)) > 1
    again = play(SimRuntime(strategy=Recorded(runs[3][2]), network=options()))
    assert again == runs[3]


def test_a_slow_reader_stops_the_writer(sim: SimRuntime) -> None:
    written = []

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=100, low=20)
        for i in range(10):
            writer.write(b"x" * 60)
            await writer.drain()
            written.append(i)
        writer.close()

    sim.color("server").spawn(serve(flood)).result()
    peer = sim.network.connect(80)
    peer.pause()
    sim.settle()
    assert written == [0]
    assert peer.received == b""
    peer.resume()
    sim.settle()
    assert written == list(range(10))
    assert peer.received == b"x" * 600
    assert peer.eof


def test_half_closed_still_receives(sim: SimRuntime) -> None:
    sim.color("server").spawn(serve()).result()
    peer = sim.network.connect(80)
    peer.write(b"one")
    peer.write_eof()
    sim.settle()
    assert (bytes(peer.received), peer.eof, peer.closed) == (b"one", True, False)
    peer.close()
    sim.settle()
    assert (peer.closed, peer.error) == (True, None)


def test_refused_in_use_and_free_ports(sim: SimRuntime) -> None:
    color = sim.color("server")
    with pytest.raises(ConnectionRefusedError):
        color.spawn(ask(b"")).result()
    server = color.spawn(serve()).result()
    with pytest.raises(OSError, match="in use"):
        color.spawn(serve(host="127.0.0.1")).result()
    with pytest.raises(OSError, match="in use"):
        color.spawn(serve(host="0.0.0.0")).result()
    other = color.spawn(serve(host="elsewhere")).result()
    assert other.is_serving()
    free = [color.spawn(serve(port=0)).result().sockets[0].getsockname()[1] for _ in range(2)]
    assert free == [49152, 49153]
    color.post(server.close)
    sim.settle()
    with pytest.raises(ConnectionRefusedError):
        sim.network.connect(80)
    color.spawn(serve()).result()  # the port is free again


def test_a_reset_reaches_both_ends(sim: SimRuntime) -> None:
    errors = []

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionResetError as error:
            errors.append(error)

    sim.color("server").spawn(serve(wait)).result()
    first, second = sim.network.connect(80), sim.network.connect(80)
    sim.settle()
    first.reset()
    sim.settle()
    assert len(errors) == 1
    assert sim.network.reset(80) == 1
    sim.settle()
    assert len(errors) == 2
    assert isinstance(second.error, ConnectionResetError)


def test_all_connections_are_reset_each_once(sim: SimRuntime) -> None:
    sim.color("server").spawn(serve()).result()
    peers = [sim.network.connect(80) for _ in range(3)]
    sim.settle()
    assert sim.network.reset(81) == 0
    assert sim.network.reset() == 3
    sim.settle()
    assert all(isinstance(peer.error, ConnectionResetError) for peer in peers)


@pytest.mark.parametrize("latency", [0, 1])
def test_what_the_sender_did_happened_before_the_bytes_came(latency: float) -> None:
    for seed in SEEDS:
        detector = RaceDetector()
        network = Network(latency=latency)
        with SimRuntime(seed=seed, network=network, observer=detector) as rt:
            value = Shared(0, name="value")

            async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(1)
                assert value.get() == 1  # noqa: B023 - called in this round of the loop
                writer.close()

            async def send() -> None:
                _, writer = await asyncio.open_connection("localhost", 80)
                value.set(1)  # noqa: B023 - called in this round of the loop
                writer.write(b"x")
                writer.close()

            rt.color("server").spawn(serve(read)).result()
            rt.color("client").spawn(send()).result()
            rt.settle()
            assert not rt.failures
        assert not detector.races


def test_resets_by_chance() -> None:
    broken = 0
    for seed in SEEDS:
        with SimRuntime(seed=seed, network=Network(reset=0.3)) as rt:
            rt.color("server").spawn(serve()).result()
            future = rt.color("client").spawn(ask(b"hello, world"))
            broken += isinstance(future.exception(), ConnectionResetError)
    assert 0 < broken < len(SEEDS)


def test_timeouts_are_of_virtual_time(sim: SimRuntime) -> None:
    listener = sim.network.listen(99)

    async def client() -> float:
        reader, writer = await asyncio.open_connection("localhost", 99)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 3600)
        writer.close()
        return asyncio.get_running_loop().time()

    assert sim.spawn(client()).result() == 3600
    sim.settle()
    assert listener.accepted[0].eof
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        sim.network.connect(99)


def test_a_partition_keeps_what_is_sent_until_it_is_healed(sim: SimRuntime) -> None:
    sim.color("server").spawn(serve()).result()
    sim.network.partition("server", "client")

    async def impatient() -> bytes:
        return await asyncio.wait_for(ask(b"hello"), 5)

    with pytest.raises(TimeoutError):
        sim.color("client").spawn(impatient()).result()
    assert sim.color("other").spawn(ask(b"hi")).result() == b"hi"
    waiting = sim.color("client").spawn(ask(b"hello"))
    sim.settle()
    assert not waiting.done()
    sim.network.heal()
    assert waiting.result() == b"hello"


def test_a_server_of_protocols_and_what_transports_say(sim: SimRuntime) -> None:
    events: list[Any] = []

    class Upper(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            events.append(transport.get_extra_info("peername")[1])

        def data_received(self, data: bytes) -> None:
            self.transport.write(data.upper())

        def connection_lost(self, exc: Exception | None) -> None:
            events.append(exc)

    async def start() -> Any:
        loop = asyncio.get_running_loop()
        return await loop.create_server(Upper, None, 80)

    server = sim.color("server").spawn(start()).result()
    assert server.sockets[0].getsockname() == ("0.0.0.0", 80)
    peer = sim.network.connect(80, "any.example")
    peer.write(b"abc")
    sim.settle()
    assert peer.received == b"ABC"
    assert peer.transport.get_extra_info("peername") == ("any.example", 80)
    peer.close()
    sim.settle()
    assert events == [peer.transport.get_extra_info("sockname")[1], None]


def test_a_protocol_that_fails_loses_its_connection_alone(sim: SimRuntime) -> None:
    told: list[Any] = []

    class Bad(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise ValueError(data)

    async def start() -> Any:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        return loop, await loop.create_server(Bad, "localhost", 80)

    kept = sim.color("server").spawn(start()).result()
    bad, good = sim.network.connect(80), sim.network.connect(80)
    bad.write(b"x")
    sim.settle()
    assert [type(error) for error in told] == [ValueError]
    assert isinstance(bad.error, ConnectionResetError)
    assert not good.closed
    del kept


def test_unix_sockets(sim: SimRuntime) -> None:
    async def start() -> Any:
        return await asyncio.start_unix_server(echo, "/run/app.sock")

    async def client() -> bytes:
        reader, writer = await asyncio.open_unix_connection("/run/app.sock")
        writer.write(b"unix")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    sim.color("server").spawn(start()).result()
    assert sim.color("client").spawn(client()).result() == b"unix"


def test_what_is_not_simulated_says_so(sim: SimRuntime) -> None:
    async def tls() -> None:
        await asyncio.open_connection("localhost", 80, ssl=True)

    async def datagrams() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol)

    async def child() -> None:
        await asyncio.create_subprocess_exec("true")

    for refused in (tls, datagrams, child):
        with pytest.raises(CannotSimulate):
            sim.spawn(refused()).result()


@pytest.mark.parametrize("options", [{"latency": -1}, {"latency": (2, 1)}, {"split": 2}])
def test_options_out_of_range(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Network(**options)


def test_a_network_belongs_to_one_runtime() -> None:
    network = Network()
    with SimRuntime(network=network):
        pass
    with pytest.raises(ValueError, match="another SimRuntime"):
        SimRuntime(network=network)


def test_bytes_do_not_come_before_their_time() -> None:
    with SimRuntime(seed=1, network=Network(latency=1)) as rt:
        listener = rt.network.listen(99)

        async def send() -> None:
            _, writer = await asyncio.open_connection("localhost", 99)
            writer.write(b"a")
            await asyncio.sleep(0.75)
            writer.write(b"b")
            await asyncio.sleep(0.5)
            assert listener.accepted[0].received == b"a"
            await asyncio.sleep(1)
            assert listener.accepted[0].received == b"ab"
            writer.close()

        rt.spawn(send()).result()
