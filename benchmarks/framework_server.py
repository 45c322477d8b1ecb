"""Two well-known Python servers answering the same kibibyte, without any cache: for scale.

Run as ``python -m benchmarks.framework_server aiohttp`` or ``… uvicorn``.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.protocol_server import BODY, listen, say

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable


async def application(
    scope: dict[str, Any],
    _receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The smallest ASGI application that answers it."""
    if scope["type"] != "http":
        return
    headers = [(b"content-length", b"1024"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def on_uvicorn(listener: socket.socket) -> None:
    """By uvicorn: httptools, asyncio's loop, no access log."""
    uvicorn = importlib.import_module("uvicorn")
    configuration = uvicorn.Config(
        application,
        http="httptools",
        loop="asyncio",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
    say(listener)
    uvicorn.Server(configuration).run(sockets=[listener])


def on_aiohttp(listener: socket.socket) -> None:
    """By aiohttp's server, no access log."""
    web = importlib.import_module("aiohttp.web")

    async def answer(_request: Any) -> Any:
        return web.Response(body=BODY, content_type="text/plain")

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/object", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        say(listener)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    {"uvicorn": on_uvicorn, "aiohttp": on_aiohttp}[sys.argv[1]](listen())
