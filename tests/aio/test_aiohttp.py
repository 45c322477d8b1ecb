"""aiohttp's client and server run unchanged in colors, and between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from colorsched import Color, colored, current_color
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_support import Everywhere
    from colorsched import Runtime

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(*routes: web.RouteDef) -> tuple[str, web.AppRunner]:
    """Start a server in this color and return its address."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    return f"http://{host}:{port}", runner


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {request.match_info['name']}")


async def echo(request: web.Request) -> web.Response:
    return web.json_response({"got": await request.json()})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for n in range(20):
        await response.write(f"{n} ".encode() * 1000)
    await response.write_eof()
    return response


async def chat(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data.upper())
    return socket


ROUTES = (
    web.get("/hello/{name}", hello),
    web.post("/echo", echo),
    web.get("/stream", stream),
    web.get("/chat", chat),
)


async def visit(address: str, name: str) -> list[Any]:
    """Use all of a server, on one session."""
    seen: list[Any] = []
    async with aiohttp.ClientSession(address) as session:
        async with session.get(f"/hello/{name}") as response:
            seen.append(await response.text())
        async with session.post("/echo", json={"name": name}) as response:
            seen.append((await response.json())["got"])
        async with session.get("/stream") as response:
            seen.append(len(await response.read()))
        async with session.ws_connect("/chat") as socket:
            await socket.send_str(name)
            seen.append(await socket.receive_str())
        answers = await asyncio.gather(*(session.get(f"/hello/{n}") for n in range(10)))
        seen.append([await answer.text() for answer in answers])
    return seen


def what_is_seen(name: str) -> list[Any]:
    """Return what `visit` is to return."""
    many = [f"hello {n}" for n in range(10)]
    length = sum(len(f"{n} ") * 1000 for n in range(20))
    return [f"hello {name}", {"name": name}, length, name.upper(), many]


def test_server_and_client_in_each_of_several_colors(everywhere: Everywhere) -> None:
    async def main(i: int) -> list[Any]:
        address, runner = await serve(*ROUTES)
        seen = await visit(address, f"visitor {i}")
        await runner.cleanup()
        return seen

    assert everywhere(main) == [what_is_seen(f"visitor {i}") for i in range(5)]


def test_server_in_one_color_and_clients_in_others(rt: Runtime, everywhere: Everywhere) -> None:
    home = rt.color("server")
    address, runner = home.spawn(serve(*ROUTES)).result(PATIENCE_SECONDS)

    async def main(i: int) -> list[Any]:
        return await visit(address, f"visitor {i}")

    assert everywhere(main) == [what_is_seen(f"visitor {i}") for i in range(5)]
    home.spawn(runner.cleanup()).result(PATIENCE_SECONDS)


def test_handlers_await_work_of_other_colors(rt: Runtime, everywhere: Everywhere) -> None:
    home = rt.color("server")
    counts: dict[str, int] = {}
    colors: set[Color | None] = set()

    @colored(lambda name: ("counter", name))
    def count(name: str) -> int:
        colors.add(current_color())
        counts[name] = counts.get(name, 0) + 1
        return counts[name]

    @colored(lambda name: ("counter", name))
    async def count_slowly(name: str) -> int:
        before = counts.get(name, 0)
        await asyncio.sleep(0)
        counts[name] = before + 1
        return counts[name]

    async def handle(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        answer = f"{await count(name)} {await count_slowly(name)}"
        assert current_color() is home
        return web.Response(text=answer)

    address, runner = home.spawn(serve(web.get("/{name}", handle))).result(PATIENCE_SECONDS)

    async def main(i: int) -> None:
        async with aiohttp.ClientSession(address) as session:
            for _ in range(10):
                async with session.get(f"/{i % 2}") as response:
                    assert response.status == 200
                    await response.read()

    everywhere(main)
    home.spawn(runner.cleanup()).result(PATIENCE_SECONDS)
    assert counts == {"0": 60, "1": 40}
    assert colors == {rt.color(("counter", "0")), rt.color(("counter", "1"))}


def test_application_contexts_and_a_client_that_leaves(rt: Runtime) -> None:
    story: list[str] = []

    async def main() -> None:
        left = asyncio.Event()

        async def resources(_: web.Application) -> AsyncIterator[None]:
            story.append("up")
            yield
            story.append("down")

        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b"x" * 65536)
            finally:
                left.set()

        app = web.Application()
        app.cleanup_ctx.append(resources)
        app.router.add_get("/endless", endless)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        async with aiohttp.ClientSession() as session:
            response = await session.get(f"http://{host}:{port}/endless")
            await response.content.readexactly(1_000_000)
            response.close()
        await left.wait()
        await runner.cleanup()

    rt.color("all").spawn(main()).result(PATIENCE_SECONDS)
    assert story == ["up", "down"]
