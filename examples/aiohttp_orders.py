"""An aiohttp server whose orders run in order for each account, and in parallel between accounts.

aiohttp runs unchanged in the default color. Its handler awaits a colored coroutine: that holds the
account's color to its end, so an account's orders follow each other, awaits included.

It prints::

    orders placed: 24
    ann: 8 orders, one at a time: True
    bob: 8 orders, one at a time: True
    eve: 8 orders, one at a time: True
"""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession, web

from colorsched import colored, run

ACCOUNTS = ["ann", "bob", "eve"]
ORDERS = 8

journal: dict[str, list[str]] = {name: [] for name in ACCOUNTS}


@colored(lambda account, _number: ("account", account))
async def place(account: str, number: int) -> int:
    """Two steps with an await between them, which no other order of the account can enter."""
    journal[account].append(f"begin {number}")
    await asyncio.sleep(0.005)
    journal[account].append(f"end {number}")
    return len(journal[account]) // 2


async def handle(request: web.Request) -> web.Response:
    """Answer once the order is placed. It runs in aiohttp's color and only awaits the account's."""
    placed = await place(request.match_info["account"], int(request.match_info["number"]))
    return web.json_response({"placed": placed})


async def main() -> list[int]:
    """Serve, order from all accounts at once, and stop."""
    app = web.Application()
    app.router.add_post("/{account}/{number}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]

    async with ClientSession(f"http://{host}:{port}") as session:

        async def order(account: str, number: int) -> int:
            async with session.post(f"/{account}/{number}") as response:
                answer: dict[str, int] = await response.json()
                return answer["placed"]

        counts = await asyncio.gather(
            *(order(account, number) for number in range(ORDERS) for account in ACCOUNTS)
        )
    await runner.cleanup()
    return counts


if __name__ == "__main__":
    counts = run(main())
    print("orders placed:", len(counts))
    for account, lines in journal.items():
        pairs = zip(lines[::2], lines[1::2], strict=True)
        apart = all(begin[6:] == end[4:] for begin, end in pairs)
        print(f"{account}: {len(lines) // 2} orders, one at a time: {apart}")
