"""Deadlock and its kin: somebody waits for what never comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, outcomes, specimen

if TYPE_CHECKING:
    from concurrent.futures import Future

    from colorsched import Runtime
    from colorsched.color import Color


def deadlock01(rt: Runtime, *, fixed: bool) -> Check:
    """Two transfers hold one account each and wait for the other's."""
    money = {name: Shared(10, name=name) for name in ("ann", "bob")}
    transfers: list[Future[None]] = []

    async def transfer(payer: str, payee: str) -> None:
        add(money[payer], -1)
        await rt.color(payee).submit(add, money[payee], 1)

    def begin(payer: str, payee: str) -> None:
        color = rt.color(payer)
        if fixed:
            transfers.append(color.spawn(transfer(payer, payee)))
        else:
            transfers.append(color.submit(transfer, payer, payee))

    rt.color("office 1").post(begin, "ann", "bob")
    late(rt, "tram", 5, rt.color("office 2"), begin, "bob", "ann")

    def check() -> None:
        outcomes(*transfers)()
        assert (money["ann"].get(), money["bob"].get()) == (10, 10)

    return check


def philosophers(rt: Runtime, *, fixed: bool) -> Check:
    """Three philosophers hold their left fork, a color, and wait for the right one."""
    meals = Shared(0, name="meals")
    dinners: list[Future[None]] = []

    async def eat(right: Color) -> None:
        await right.submit(int)
        await rt.color("kitchen").submit(add, meals)

    def sit_down(seat: int) -> None:
        left, right = seat, (seat + 1) % 3
        if fixed and left > right:
            left, right = right, left
        dinners.append(rt.color(("fork", left)).submit(eat, rt.color(("fork", right))))

    for seat in range(3):
        late(rt, f"way to seat {seat}", seat * 2, rt.color(("seat", seat)), sit_down, seat)

    def check() -> None:
        outcomes(*dinners)()
        assert meals.get() == 3

    return check


def blocked_callbacks(rt: Runtime, *, fixed: bool) -> Check:
    """Callbacks of two colors block on each other's work."""
    lines: Shared[tuple[str, ...]] = Shared((), name="lines")
    log = rt.color("log")
    config = rt.color("config")
    calls: list[Future[None]] = []

    def level() -> str:
        return "debug"

    def write(line: str) -> None:
        append(lines, line)

    def log_with_level(line: str) -> None:
        write(f"{config.submit(level).result()}: {line}")

    def reload() -> None:
        if fixed:
            log.post(write, "reloaded")
        else:
            log.submit(write, "reloaded").result()

    def begin() -> None:
        calls.append(config.submit(reload))

    calls.append(log.submit(log_with_level, "start"))
    late(rt, "signal", 4, rt.color("signals"), begin)

    def check() -> None:
        outcomes(*calls)()
        assert sorted(lines.get()) == ["debug: start", "reloaded"]

    return check


def locks_in_both_orders(rt: Runtime, *, fixed: bool) -> Check:
    """Two coroutines of one color take two locks in opposite orders, with an await between."""
    locks = {"table": asyncio.Lock(), "index": asyncio.Lock()}
    done = Shared(0, name="done")
    database = rt.color("database")

    async def update(*names: str) -> None:
        first, second = sorted(names) if fixed else names
        async with locks[first]:
            await rt.color(("disk", first)).submit(int)
            async with locks[second]:
                add(done)

    def begin(*names: str) -> None:
        database.spawn(update(*names))

    database.post(begin, "table", "index")
    late(rt, "network", 4, database, begin, "index", "table")
    return equal(done, 2)


def missed_signal(rt: Runtime, *, fixed: bool) -> Check:
    """A consumer waits for a signal without asking first whether it has been given."""
    goods = Shared(0, name="goods")
    consumed = Shared(0, name="consumed")
    arrived = asyncio.Condition()
    store = rt.color("store")

    async def consume() -> None:
        async with arrived:
            if fixed:
                while not goods.get():
                    await arrived.wait()
            else:
                await arrived.wait()
            add(consumed, goods.get())

    async def produce() -> None:
        async with arrived:
            add(goods)
            arrived.notify()

    def begin_to_consume() -> None:
        store.spawn(consume())

    def begin_to_produce() -> None:
        store.spawn(produce())

    late(rt, "consumer", 1, store, begin_to_consume)
    late(rt, "producer", 2, store, begin_to_produce)
    return equal(consumed, 1)


def nested_monitor(rt: Runtime, *, fixed: bool) -> Check:
    """A reader keeps the lock while it waits for the writer, which needs the lock."""
    value: Shared[str] = Shared("", name="value")
    seen = Shared("", name="seen")
    lock = asyncio.Lock()
    written = asyncio.Event()
    cell = rt.color("cell")

    async def read() -> None:
        if fixed:
            await written.wait()
        async with lock:
            await written.wait()
            seen.set(value.get())

    async def write() -> None:
        async with lock:
            value.set("news")
            written.set()

    def begin_to_write() -> None:
        cell.spawn(write())

    def begin_to_read() -> None:
        cell.spawn(read())

    late(rt, "writer", 1, cell, begin_to_write)
    late(rt, "reader", 2, cell, begin_to_read)
    return equal(seen, "news")


def pulse(rt: Runtime, *, fixed: bool) -> Check:
    """An event is set and cleared at once; who comes to wait a little later never hears of it."""
    woken = Shared(0, name="woken")
    opened = asyncio.Event()
    door = rt.color("door")

    async def wait() -> None:
        await opened.wait()
        add(woken)

    def open_door() -> None:
        opened.set()
        if not fixed:
            opened.clear()

    def come() -> None:
        door.spawn(wait())

    door.post(come)
    late(rt, "visitor", 2, door, come)
    late(rt, "porter", 4, door, open_door)
    return equal(woken, 2)


def join_without_task_done(rt: Runtime, *, fixed: bool) -> Check:
    """A worker that fails does not tell the queue that it is done with the item."""
    source_open = Shared(True, name="source open")
    copied = Shared(0, name="copied")
    failed = Shared(0, name="failed")
    queue: asyncio.Queue[int] = asyncio.Queue()
    pool = rt.color("pool")

    def fetch() -> int:
        if not source_open.get():
            raise ConnectionError("the source is closed")
        return 1

    async def work() -> None:
        for _ in range(2):
            await queue.get()
            try:
                add(copied, await rt.color("source").submit(fetch))
                if not fixed:
                    queue.task_done()
            except ConnectionError:
                add(failed)
            finally:
                if fixed:
                    queue.task_done()

    async def copy() -> None:
        queue.put_nowait(1)
        queue.put_nowait(2)
        await queue.join()

    pool.spawn(work())
    everything = pool.spawn(copy())
    late(rt, "operator", 16, rt.color("source"), source_open.set, False)

    def check() -> None:
        outcomes(everything)()
        assert copied.get() + failed.get() == 2

    return check


def abandoned_sender(rt: Runtime, *, fixed: bool) -> Check:
    """A worker hands its result over by a channel without a buffer; the receiver has given up."""
    finished = Shared(0, name="workers finished")
    waiting = Shared(True, name="receiver waiting")
    channel: asyncio.Queue[str] = asyncio.Queue()
    shop = rt.color("shop")

    async def hand_over() -> None:
        await channel.put("result")
        if not fixed:
            await channel.join()  # without a buffer: until somebody has taken it
        add(finished)

    def receive() -> None:
        if waiting.get() and not channel.empty():
            waiting.set(False)
            channel.get_nowait()
            channel.task_done()

    def work() -> None:
        shop.spawn(hand_over())
        late(rt, "bell", 1, shop, receive)

    def give_up() -> None:
        waiting.set(False)

    late(rt, "worker", 1, shop, work)
    late(rt, "time limit", 5, shop, give_up)
    return equal(finished, 1)


def held_cache(rt: Runtime, *, fixed: bool) -> Check:
    """A cache holds its color while it loads what it misses; the loader asks that cache."""
    entries: Shared[frozenset[str]] = Shared(frozenset(), name="entries")
    cache = rt.color("cache")
    lookups: list[Future[None]] = []

    def fill() -> None:
        entries.set(entries.get() | {"page"})

    def size() -> int:
        return len(entries.get())

    async def load() -> None:
        await cache.submit(size)

    async def look_up() -> None:
        if "page" not in entries.get():
            await rt.color("loader").submit(load)
            fill()

    def begin() -> None:
        lookups.append(cache.spawn(look_up()) if fixed else cache.submit(look_up))

    late(rt, "warm-up", 1, cache, fill)
    late(rt, "browser", 2, rt.color("web"), begin)

    def check() -> None:
        outcomes(*lookups)()
        assert entries.get() == {"page"}

    return check


def spin_for_ever(rt: Runtime, *, fixed: bool) -> Check:
    """A client asks again and again whether the server is up, which a lost wake-up prevents."""
    up = Shared(False, name="server up")
    wanted = Shared(0, name="clients that wait")
    served = Shared(0, name="served")
    server = rt.color("server")

    def ask() -> None:
        if up.get():
            add(served)
        else:
            wanted.set(1)
            if not fixed:
                rt.color("client").post(server.post, ask)

    def start() -> None:
        if fixed or wanted.get():
            up.set(True)
            if fixed and wanted.get():
                ask()

    late(rt, "clients", 1, server, ask)
    late(rt, "operator", 2, server, start)
    return equal(served, 1)


SPECIMENS: tuple[Specimen, ...] = (
    specimen(
        deadlock01,
        source="SCTBench: deadlock01",
        expects="deadlock",
        also=("exception",),
    ),
    specimen(
        philosophers,
        source="SCTBench and CHESS: dining philosophers",
        expects="deadlock",
        also=("exception",),
    ),
    specimen(
        blocked_callbacks,
        source="JaConTeBe: log4j and its configuration wait for each other",
        expects="deadlock",
        also=("exception",),
    ),
    specimen(
        locks_in_both_orders,
        source="JaConTeBe: two locks in opposite orders (dbcp, derby)",
        expects="stall",
        also=("deadlock",),
    ),
    specimen(
        missed_signal, source="SCTBench: sync01 and sync02", expects="stall", also=("deadlock",)
    ),
    specimen(nested_monitor, source="own: nested monitors", expects="stall", also=("deadlock",)),
    specimen(
        pulse, source="asyncio: an event set and cleared", expects="stall", also=("deadlock",)
    ),
    specimen(
        join_without_task_done,
        source="asyncio: Queue.join without task_done",
        expects="stall",
        also=("deadlock",),
    ),
    specimen(
        abandoned_sender,
        source="Go concurrency bugs (Tu et al. 2019): sender left alone by a select",
        expects="stall",
        also=("deadlock",),
    ),
    specimen(
        held_cache,
        source="own: a held color waits for itself on the rare path",
        expects="deadlock",
        also=("exception",),
    ),
    specimen(spin_for_ever, source="own: busy waiting", expects="livelock"),
)
