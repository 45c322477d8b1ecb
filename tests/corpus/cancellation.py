"""Cancellation: what is given up half-way, or believed to be."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, specimen

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from colorsched import Runtime
    from colorsched.aio.future import ColorFuture


def cancelled_between(rt: Runtime, *, fixed: bool) -> Check:
    """A transfer is cancelled after the debit and before the credit."""
    accounts = {name: Shared(10, name=name) for name in ("ann", "bob")}
    bank = rt.color("bank")

    def move() -> None:
        add(accounts["ann"], -1)
        add(accounts["bob"], 1)

    async def transfer() -> None:
        if fixed:
            await rt.color("audit").submit(int)
            move()
        else:
            add(accounts["ann"], -1)
            await rt.color("audit").submit(int)
            add(accounts["bob"], 1)

    def begin() -> None:
        transfer_future = bank.spawn(transfer())
        late(rt, "client", 6, rt.color("client"), transfer_future.cancel)

    bank.post(begin)

    def check() -> None:
        assert accounts["ann"].get() + accounts["bob"].get() == 20

    return check


def leaked_permit(rt: Runtime, *, fixed: bool) -> Check:
    """A download that is cancelled does not give its permit back; the next one waits for ever."""
    ended: Shared[tuple[str, ...]] = Shared((), name="downloads ended")
    permits = asyncio.Semaphore(1)
    pool = rt.color("pool")

    async def download(name: str) -> None:
        await permits.acquire()
        try:
            await rt.color("network").submit(int)
        except asyncio.CancelledError:
            if fixed:
                permits.release()
            raise
        permits.release()
        append(ended, name)

    def begin_first() -> None:
        future = pool.spawn(download("first"))
        late(rt, "user", 6, rt.color("user"), future.cancel)

    def begin_second() -> None:
        pool.spawn(download("second"))

    pool.post(begin_first)
    late(rt, "later", 8, pool, begin_second)

    def check() -> None:
        assert "second" in ended.get()

    return check


def orphaned_resource(rt: Runtime, *, fixed: bool) -> Check:
    """Who opens a file is cancelled when it is open, and never learns what to close."""
    opened = Shared(0, name="files opened")
    closed = Shared(0, name="files closed")
    disk = rt.color("disk")

    def open_file() -> None:
        add(opened)

    def close_file() -> None:
        add(closed)

    async def use() -> None:
        opening = disk.submit(open_file)
        try:
            await opening
            await rt.color("reader").submit(int)
        except asyncio.CancelledError:
            if fixed:
                disk.post(close_if_open, opening)
            raise
        disk.post(close_file)

    def close_if_open(opening: Future[None]) -> None:
        if opening.done() and not opening.cancelled():
            close_file()

    def begin() -> None:
        using = rt.color("user").spawn(use())
        late(rt, "stop button", 8, rt.color("screen"), using.cancel)

    rt.color("screen").post(begin)

    def check() -> None:
        assert opened.get() == closed.get()

    return check


def swallowed_cancel(rt: Runtime, *, fixed: bool) -> Check:
    """A worker takes its cancellation for a failure of the job, and goes on to the next."""
    jobs = Shared(0, name="jobs")
    queue: asyncio.Queue[int] = asyncio.Queue()
    pool = rt.color("pool")

    async def work() -> None:
        while True:
            item = await queue.get()
            try:
                await rt.color("job").submit(add, jobs, item)
            except (asyncio.CancelledError, OSError):
                if fixed:
                    raise

    def begin() -> None:
        worker = pool.spawn(work())
        queue.put_nowait(1)
        late(rt, "operator", 9, rt.color("operator"), worker.cancel)

    pool.post(begin)

    def check() -> None:
        assert jobs.get() <= 1

    return check


def cancel_not_asked(rt: Runtime, *, fixed: bool) -> Check:
    """An order is refunded since its shipping was cancelled; whether it was, nobody asked."""
    packed = Shared(0, name="packed")
    shipped = Shared(False, name="shipped")
    refunded = Shared(False, name="refunded")
    warehouse = rt.color("warehouse")

    def ship() -> None:
        shipped.set(True)

    def order() -> None:
        warehouse.post(add, packed)
        shipping = warehouse.post(ship)
        rt.color("customer").post(cancel, shipping.cancel)

    def cancel(shipping_cancelled: Callable[[], bool]) -> None:
        if shipping_cancelled() or not fixed:
            refunded.set(True)

    rt.color("shop").post(order)

    def check() -> None:
        assert shipped.get() != refunded.get()

    return check


def shared_work_cancelled(rt: Runtime, *, fixed: bool) -> Check:
    """Two clients await one download; when one of them leaves, it is cancelled for both."""
    got: Shared[tuple[str, ...]] = Shared((), name="clients served")
    results: list[Future[None]] = []

    async def fetch() -> str:
        await rt.color("disk").submit(int)
        await rt.color("disk").submit(int)
        return "file"

    async def serve(name: str, download: ColorFuture[str]) -> None:
        await (asyncio.shield(download) if fixed else download)
        rt.color("door").post(append, got, name)

    def begin() -> None:
        download = rt.color("origin").spawn(fetch())
        results.append(rt.color("ann").spawn(serve("ann", download)))
        leaving = rt.color("bob").spawn(serve("bob", download))
        late(rt, "bob's way", 12, rt.color("bob"), leaving.cancel)

    rt.color("hall").post(begin)

    def check() -> None:
        try:
            for result in results:
                result.result(0)
        except CancelledError as error:
            raise AssertionError("ann was not served") from error
        assert "ann" in got.get()

    return check


async def group_half_done(rt: Runtime, *, fixed: bool) -> Check:
    """One of two writes fails, and its task group cancels the other, which may be done or not."""
    stored: Shared[frozenset[str]] = Shared(frozenset(), name="replicas written")
    store = rt.color("store")

    def write(replica: str) -> None:
        stored.set(stored.get() | {replica})

    def remove() -> None:
        stored.set(frozenset())

    def refuse() -> None:
        raise ConnectionError("replica 2 is down")

    async def write_first() -> None:
        for hop in range(2):
            await rt.color(("line", hop)).submit(int)
        await store.submit(write, "replica 1")

    async def write_second() -> None:
        await rt.color("replica 2").submit(refuse)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(write_first())
            group.create_task(write_second())
    except* ConnectionError:
        if fixed:
            await store.submit(remove)
    return equal(stored, frozenset())


SPECIMENS: tuple[Specimen, ...] = (
    specimen(
        cancelled_between,
        source="asyncio: a task cancelled between two halves of a change",
        expects="assertion",
    ),
    specimen(
        leaked_permit,
        source="asyncio: a semaphore not released on cancellation",
        expects="stall",
        also=("deadlock", "assertion"),
    ),
    specimen(
        orphaned_resource,
        source="asyncio: wait_for that loses what was acquired",
        expects="assertion",
    ),
    specimen(
        swallowed_cancel,
        source="asyncio: CancelledError swallowed by a retry loop",
        expects="stall",
        also=("deadlock",),
    ),
    specimen(
        cancel_not_asked,
        source="Node.js concurrency bugs (Wang et al. 2017): clearTimeout too late",
        expects="assertion",
        small=True,
    ),
    specimen(
        shared_work_cancelled,
        source="asyncio: shared work awaited without shield",
        expects="assertion",
    ),
    specimen(
        group_half_done,
        source="asyncio: a failing TaskGroup leaves half of its work",
        expects="assertion",
    ),
)
