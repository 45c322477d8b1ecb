"""Races: two colors touch one object, and nothing orders them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, outcomes, specimen

if TYPE_CHECKING:
    from colorsched import Runtime


def counter(rt: Runtime, *, fixed: bool) -> Check:
    """Requests count themselves, each in its own color."""
    hits = Shared(0, name="hits")
    for client in ("client 1", "client 2", "client 3"):
        color = rt.color("counter" if fixed else client)
        rt.color(client).post(color.post, add, hits)
    return equal(hits, 3)


def wronglock(rt: Runtime, *, fixed: bool) -> Check:
    """One writer uses another color than the rest."""
    data = Shared(0, name="data")
    rt.color("data").post(add, data)
    rt.color("data").post(add, data)
    rt.color("data" if fixed else "date").post(add, data)
    return equal(data, 3)


def circular_buffer(rt: Runtime, *, fixed: bool) -> Check:
    """A producer and a consumer, in colors of their own, both count what the buffer holds."""
    held = Shared(0, name="items held")
    slots = [Shared(0, name=f"slot {index}") for index in range(2)]
    got: Shared[tuple[int, ...]] = Shared((), name="items got")
    producer = rt.color("buffer" if fixed else "producer")
    consumer = rt.color("buffer" if fixed else "consumer")

    def put(index: int) -> None:
        slots[index % 2].set(index + 1)
        add(held)
        rt.color("bell").post(consumer.post, get, index)

    def get(index: int) -> None:
        add(held, -1)
        append(got, slots[index % 2].get())

    producer.post(put, 0)
    producer.post(put, 1)
    return equal(got, (1, 2))


def token_ring(rt: Runtime, *, fixed: bool) -> Check:
    """Each member computes its token from its neighbor's, whether that is ready or not."""
    tokens = [Shared(0, name=f"token {member}") for member in range(4)]

    def pass_on(member: int) -> None:
        tokens[member].set(tokens[member - 1].get() + 1)
        if fixed and member < 3:
            rt.color(("member", member + 1)).post(pass_on, member + 1)

    if fixed:
        rt.color(("member", 1)).post(pass_on, 1)
    else:
        for member in (1, 2, 3):
            rt.color(("member", member)).post(pass_on, member)
    return equal(tokens[3], 3)


def lazy_table(rt: Runtime, *, fixed: bool) -> Check:
    """Whoever comes first makes the table of traces; two may be first."""
    table: Shared[int | None] = Shared(None, name="table")
    made = Shared(0, name="tables made")

    def trace() -> None:
        if table.get() is None:
            add(made)
            table.set(made.get())

    for module in ("parser", "printer"):
        rt.color("trace" if fixed else module).post(trace)
    return equal(made, 1)


def after_handoff(rt: Runtime, *, fixed: bool) -> Check:
    """A message is changed after it was handed on."""
    message = Shared("draft", name="message")
    sent = Shared("", name="sent")

    def send() -> None:
        sent.set(message.get())

    def write() -> None:
        if fixed:
            message.set("final")
        rt.color("sender").post(send)
        if not fixed:
            message.set("final")

    rt.color("writer").post(write)
    return equal(sent, "final")


def loop_variable(rt: Runtime, *, fixed: bool) -> Check:
    """A loop posts closures over its one variable, which goes on changing."""
    index = Shared(0, name="index")
    seen: Shared[tuple[int, ...]] = Shared((), name="indices seen")

    def note(value: int) -> None:
        append(seen, value)

    def look() -> None:
        note(index.get())

    def loop() -> None:
        for number in range(3):
            index.set(number)
            if fixed:
                rt.color("worker").post(note, number)
            else:
                rt.color("worker").post(look)

    rt.color("loop").post(loop)
    return equal(seen, (0, 1, 2))


def rare_path(rt: Runtime, *, fixed: bool) -> Check:
    """Only a buyer who finds the shelf empty touches the list of orders to come."""
    stock = Shared(1, name="stock")
    backlog: Shared[tuple[str, ...]] = Shared((), name="backlog")
    refilled = Shared(False, name="refilled")
    shelf = rt.color("shelf")
    office = rt.color("shelf" if fixed else "office")

    def buy(cart: str) -> None:
        if stock.get():
            add(stock, -1)
        else:
            append(backlog, cart)

    def refill() -> None:
        add(stock)
        refilled.set(True)

    def order() -> None:
        if backlog.get():
            backlog.set(())

    shelf.post(buy, "cart 1")
    office.post(order)
    late(rt, "truck", 1, shelf, refill)
    late(rt, "queue", 2, shelf, buy, "cart 2")
    return equal(refilled, True)


def announced_early(rt: Runtime, *, fixed: bool) -> Check:
    """A page is announced before its last line is written; who comes late enough reads it."""
    announced = Shared(False, name="page announced")
    page = Shared("", name="page")
    shown = Shared("", name="page shown")
    store = rt.color("store")

    def render() -> None:
        page.set("head")
        if fixed:
            page.set("head and body")
        store.post(announce)
        if not fixed:
            page.set("head and body")

    def announce() -> None:
        announced.set(True)

    def ask() -> None:
        if announced.get():
            rt.color("view").post(show)

    def show() -> None:
        shown.set(page.get())

    late(rt, "browser", 1, store, ask)
    rt.color("renderer").post(render)

    def check() -> None:
        assert shown.get() in {"", "head and body"}

    return check


async def unwaited_children(rt: Runtime, *, fixed: bool) -> Check:
    """A parent sums up what its children computed, without waiting for them."""
    parts = [Shared(0, name=f"part {child}") for child in range(3)]
    total = Shared(0, name="total")

    def compute(child: int) -> None:
        parts[child].set(child + 1)

    children = [rt.color(("child", child)).submit(compute, child) for child in range(3)]
    if fixed:
        for future in children:
            await future
    total.set(sum(part.get() for part in parts))
    return equal(total, 6)


def callback_of_future(rt: Runtime, *, fixed: bool) -> Check:
    """A future's callback runs where its work ended, not in the color that added it."""
    progress: Shared[tuple[str, ...]] = Shared((), name="progress")
    screen = rt.color("screen")

    def download() -> str:
        return "file"

    def start() -> None:
        append(progress, "started")
        future = rt.color("network").submit(download)
        if fixed:
            future.add_done_callback(lambda done: screen.post(append, progress, done.result(0)))
        else:
            future.add_done_callback(lambda done: append(progress, done.result(0)))
        append(progress, "waiting")

    screen.post(start)
    return equal(progress, ("started", "waiting", "file"))


def statistics(rt: Runtime, *, fixed: bool) -> Check:
    """A report reads two counters of a color from its own, after a nudge that orders one."""
    served = Shared(0, name="served")
    failed = Shared(0, name="failed")
    report = Shared((0, 0), name="report")
    server = rt.color("server")
    reporter = rt.color("reporter")

    def serve() -> None:
        add(served)
        if fixed:
            add(failed)
        reporter.post(write, served.get(), failed.get())
        if not fixed:
            add(failed)

    def write(good: int, bad: int) -> None:
        report.set((good, bad if fixed else failed.get()))

    server.post(serve)
    server.post(serve)
    return equal(report, (2, 2))


async def session_of_request(rt: Runtime, *, fixed: bool) -> Check:
    """Two requests of one user run in a color each and change the user's one session."""
    visits = Shared(0, name="session.visits")

    async def handle() -> None:
        seen = visits.get()
        await rt.color("database").submit(int)
        visits.set(seen + 1)

    if fixed:
        first = rt.color("user").submit(handle)
        second = rt.color("user").submit(handle)
    else:
        first = rt.color("request 1").submit(handle)
        second = rt.color("request 2").submit(handle)
    ended = outcomes(first, second)

    def check() -> None:
        ended()
        assert visits.get() == 2

    return check


SPECIMENS: tuple[Specimen, ...] = (
    specimen(
        counter,
        source="own: a counter touched by every request",
        expects="race",
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        wronglock,
        source="SCTBench: wronglock_N",
        expects="race",
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        circular_buffer,
        source="SCTBench: circularBuffer",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        token_ring,
        source="SCTBench: token_ring",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        lazy_table,
        source="Inspect: ctrace, the table made at first use",
        expects="race",
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        after_handoff,
        source="own: a message changed after the post",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        loop_variable,
        source="Go concurrency bugs (Tu et al. 2019): a loop variable captured",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
        small=True,
    ),
    specimen(rare_path, source="own: a race on the rare path alone", expects="race", small=True),
    specimen(
        announced_early,
        source="Go concurrency bugs (Tu et al. 2019): sent before it is complete",
        expects="race",
        also=("assertion",),
        small=True,
    ),
    specimen(
        unwaited_children,
        source="Go concurrency bugs (Tu et al. 2019): a WaitGroup not waited for",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
    ),
    specimen(
        callback_of_future,
        source="asyncio: add_done_callback on a future of another thread",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
    ),
    specimen(
        statistics,
        source="JaConTeBe: statistics read outside of their lock",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        session_of_request,
        source="asyncio: one session shared by concurrent requests",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
    ),
)
