"""Coroutines: state that is kept over an await is not what it was, and awaits are forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, outcomes, specimen

if TYPE_CHECKING:
    from concurrent.futures import Future

    from colorsched import Runtime


def state_over_await(rt: Runtime, *, fixed: bool) -> Check:
    """A wallet's coroutine remembers the balance over an await, and writes what it computed."""
    balance = Shared(0, name="balance")
    wallet = rt.color("wallet")

    async def deposit(amount: int) -> None:
        seen = balance.get()
        await rt.color(("audit", amount)).submit(int)
        balance.set(seen + amount)

    def begin(amount: int) -> None:
        if fixed:
            wallet.submit(deposit, amount)
        else:
            wallet.spawn(deposit(amount))

    wallet.post(begin, 1)
    late(rt, "post office", 5, wallet, begin, 10)
    return equal(balance, 11)


def stampede(rt: Runtime, *, fixed: bool) -> Check:
    """Two requests miss the same page in the cache, and both load it."""
    entries: Shared[dict[str, str]] = Shared({}, name="entries")
    loads = Shared(0, name="loads")
    cache = rt.color("cache")

    def load() -> str:
        add(loads)
        return "page"

    async def get() -> None:
        if "key" not in entries.get():
            page = await rt.color("origin").submit(load)
            entries.set({"key": page})

    def begin() -> None:
        if fixed:
            cache.submit(get)
        else:
            cache.spawn(get())

    cache.post(begin)
    late(rt, "second browser", 5, cache, begin)
    return equal(loads, 1)


def lock_let_go(rt: Runtime, *, fixed: bool) -> Check:
    """The lock protects the look and the change, but not the await between them."""
    seats = Shared(1, name="seats")
    lock = asyncio.Lock()
    hall = rt.color("hall")

    async def book_quickly() -> None:
        async with lock:
            free = seats.get()
        if free:
            await rt.color("payment").submit(int)
            async with lock:
                add(seats, -1)

    async def book() -> None:
        async with lock:
            if seats.get():
                await rt.color("payment").submit(int)
                add(seats, -1)

    def begin() -> None:
        hall.spawn(book() if fixed else book_quickly())

    hall.post(begin)
    late(rt, "second visitor", 6, hall, begin)
    return equal(seats, 0)


async def dropped_await(rt: Runtime, *, fixed: bool) -> Check:
    """The order is saved and the mail is sent, but nobody waits for the saving."""
    saved = Shared(False, name="order saved")
    mails: Shared[tuple[str, ...]] = Shared((), name="mails")
    database = rt.color("database")

    def save() -> None:
        saved.set(True)

    async def save_by_pool() -> None:
        await database.submit(save)

    def find() -> None:
        rt.color("mail").post(append, mails, "thanks" if saved.get() else "no such order")

    async def order() -> None:
        saving = rt.color("pool").submit(save_by_pool)
        if fixed:
            await saving
        late(rt, "template", 2, database, find)

    await rt.color("shop").submit(order)
    return equal(mails, ("thanks",))


def changed_while_iterated(rt: Runtime, *, fixed: bool) -> Check:
    """A message goes to all listeners, with an await for each; one leaves meanwhile."""
    listeners: Shared[dict[str, int]] = Shared({"ann": 0, "bob": 0, "cyd": 0}, name="listeners")
    told = Shared(0, name="told")
    room = rt.color("room")
    sent: list[Future[None]] = []

    async def tell_all() -> None:
        names = tuple(listeners.get()) if fixed else listeners.get()
        for name in names:
            await rt.color(name).submit(int)
            add(told)

    def leave(name: str) -> None:
        names = listeners.get()
        del names[name]
        listeners.set(names)

    def begin() -> None:
        sent.append(room.spawn(tell_all()))

    room.post(begin)
    late(rt, "cyd's way", 20, room, leave, "cyd")

    def check() -> None:
        outcomes(*sent)()
        assert told.get() >= 2

    return check


def two_refreshes(rt: Runtime, *, fixed: bool) -> Check:
    """Two calls find their token expired; each fetches one, and that ends the other's."""
    valid = Shared(0, name="valid token")
    token = Shared(0, name="token held")
    refused = Shared(0, name="calls refused")
    client = rt.color("client")
    lock = asyncio.Lock()

    def issue() -> int:
        add(valid)
        return valid.get()

    async def refresh() -> None:
        if token.get() == 0:
            token.set(await rt.color("issuer").submit(issue))

    async def call() -> None:
        if fixed:
            async with lock:
                await refresh()
        else:
            await refresh()
        await rt.color("issuer").submit(use, token.get())

    def use(shown: int) -> None:
        if shown != valid.get():
            add(refused)

    def begin() -> None:
        client.spawn(call())

    client.post(begin)
    late(rt, "second tab", 6, client, begin)
    return equal(refused, 0)


def reconnect_twice(rt: Runtime, *, fixed: bool) -> Check:
    """Reader and writer both notice that the line is down, and both connect again."""
    up = Shared(False, name="line up")
    connecting = Shared(False, name="connecting")
    connections = Shared(0, name="connections")
    line = rt.color("line")

    async def connect() -> None:
        if up.get() or (fixed and connecting.get()):
            return
        connecting.set(True)
        await rt.color("network").submit(int)
        add(connections)
        up.set(True)

    def begin() -> None:
        line.spawn(connect())

    late(rt, "reader", 1, line, begin)
    late(rt, "writer", 6, line, begin)
    return equal(connections, 1)


async def gather_order(rt: Runtime, *, fixed: bool) -> Check:
    """Parts are written down as they come, and read as if they came in order."""
    parts: Shared[tuple[int, ...]] = Shared((), name="parts")

    async def fetch(number: int) -> int:
        for _ in range(number):
            await rt.color(("server", number)).submit(int)
        if not fixed:
            append(parts, number)
        return number

    numbers = await asyncio.gather(fetch(1), fetch(2), fetch(3))
    if fixed:
        parts.set(tuple(numbers))
    return equal(parts, (1, 2, 3))


async def first_completed(rt: Runtime, *, fixed: bool) -> Check:
    """Two mirrors are asked; the one that loses is forgotten, and writes its answer later."""
    answer = Shared("", name="answer")
    wins = Shared(0, name="answers written")

    async def ask(mirror: str, *steps: int) -> str:
        for step in steps:
            await rt.color((mirror, step)).submit(int)
        if not fixed:
            answer.set(mirror)
            add(wins)
        return mirror

    tasks = [asyncio.create_task(ask("near", 1)), asyncio.create_task(ask("far", 1, 2, 3))]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    won = next(task for task in tasks if task in done)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if fixed:
        answer.set(won.result())
        add(wins)
    return equal(wins, 1)


def producer_ends_early(rt: Runtime, *, fixed: bool) -> Check:
    """The consumer stops when the queue is empty, rather than when all has been produced."""
    consumed = Shared(0, name="consumed")
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    plant = rt.color("plant")

    async def produce() -> None:
        for number in (1, 2):
            queue.put_nowait(number)
            await rt.color("machine").submit(int)
        queue.put_nowait(None)

    async def consume() -> None:
        while await queue.get() is not None:
            add(consumed)
            await rt.color("packer").submit(int)
            if not fixed and queue.empty():
                break

    plant.spawn(produce())
    plant.spawn(consume())
    return equal(consumed, 2)


SPECIMENS: tuple[Specimen, ...] = (
    specimen(state_over_await, source="asyncio: shared state over an await", expects="assertion"),
    specimen(stampede, source="asyncio: cache stampede", expects="assertion"),
    specimen(lock_let_go, source="asyncio: lock not held across the await", expects="assertion"),
    specimen(dropped_await, source="asyncio: dropped await", expects="assertion"),
    specimen(
        changed_while_iterated,
        source="asyncio: a set of websockets changed during a broadcast",
        expects="exception",
    ),
    specimen(two_refreshes, source="asyncio: a token refreshed by two calls", expects="assertion"),
    specimen(reconnect_twice, source="asyncio: two tasks connect again", expects="assertion"),
    specimen(
        gather_order,
        source="Node.js concurrency bugs (Wang et al. 2017): results as they come",
        expects="assertion",
    ),
    specimen(
        first_completed,
        source="asyncio: wait(FIRST_COMPLETED) and the task that lost",
        expects="assertion",
    ),
    specimen(
        producer_ends_early,
        source="SCTBench: queue, empty taken for ended",
        expects="assertion",
    ),
)
