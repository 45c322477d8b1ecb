"""Atomicity: what belongs in one callback is spread over several, and others come in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, specimen

if TYPE_CHECKING:
    from colorsched import Runtime


def account(rt: Runtime, *, fixed: bool) -> Check:
    """Two cash machines: each asks for the balance, decides, and has its result written."""
    balance = Shared(100, name="balance")
    bank = rt.color("bank")

    def ask(machine: str, amount: int) -> None:
        rt.color(machine).post(decide, amount, balance.get())

    def decide(amount: int, seen: int) -> None:
        if seen >= amount:
            bank.post(write, seen - amount)

    def write(value: int) -> None:
        balance.set(value)

    def withdraw(_machine: str, amount: int) -> None:
        if balance.get() >= amount:
            add(balance, -amount)

    step = withdraw if fixed else ask
    bank.post(step, "machine 1", 30)
    late(rt, "street", 3, bank, step, "machine 2", 50)
    return equal(balance, 20)


def bluetooth_driver(rt: Runtime, *, fixed: bool) -> Check:  # noqa: C901 - a program with its repair
    """A driver counts requests under way, and stops when there are none; one slips in."""
    stopping = Shared(False, name="stopping")
    stopped = Shared(False, name="stopped")
    pending = Shared(0, name="pending")
    after_stop = Shared(0, name="requests after the stop")
    driver = rt.color("driver")

    def enter() -> None:
        if not stopping.get():
            rt.color("request").post(driver.post, begin)

    def begin() -> None:
        add(pending)
        if stopped.get():
            add(after_stop)
        rt.color("request").post(driver.post, leave)

    def enter_and_begin() -> None:
        if not stopping.get():
            begin()

    def leave() -> None:
        add(pending, -1)
        settle()

    def stop() -> None:
        stopping.set(True)
        settle()

    def settle() -> None:
        if stopping.get() and pending.get() == 0:
            stopped.set(True)

    driver.post(enter_and_begin if fixed else enter)
    late(rt, "user", 4, driver, stop)
    return equal(after_stop, 0)


def bounded_buffer(rt: Runtime, *, fixed: bool) -> Check:
    """Producers ask whether there is room, and put later."""
    held = Shared(0, name="items held")
    taken = Shared(0, name="items taken")
    blocked: Shared[tuple[str, ...]] = Shared((), name="producers that wait")
    buffer = rt.color("buffer")

    def ask(producer: str) -> None:
        if held.get() < 1:
            rt.color(producer).post(buffer.post, put)
        else:
            append(blocked, producer)

    def put() -> None:
        if held.get() >= 1:
            raise OverflowError("the buffer is full")
        add(held)
        rt.color("consumer").post(buffer.post, take)

    def ask_and_put(producer: str) -> None:
        if held.get() < 1:
            put()
        else:
            append(blocked, producer)

    begin = ask_and_put if fixed else ask

    def take() -> None:
        add(held, -1)
        add(taken)
        if blocked.get():
            first, *others = blocked.get()
            blocked.set(tuple(others))
            begin(first)

    buffer.post(begin, "producer 1")
    late(rt, "road", 4, buffer, begin, "producer 2")
    return equal(taken, 2)


def lazy01(rt: Runtime, *, fixed: bool) -> Check:
    """A guard is to see the data before two writers have changed it."""
    data = Shared(0, name="data")
    seen = Shared(-1, name="seen by the guard")
    color = rt.color("data")

    def guard() -> None:
        seen.set(data.get())

    if fixed:
        color.post(guard)
    late(rt, "writer 1", 2, color, add, data, 1)
    late(rt, "writer 2", 2, color, add, data, 2)
    if not fixed:
        late(rt, "guard", 1, color, guard)

    def check() -> None:
        assert seen.get() < 3

    return check


def twostage(rt: Runtime, *, fixed: bool) -> Check:
    """Two halves of one state live in two colors; a reader sees the first half alone."""
    first = Shared(0, name="first")
    second = Shared(0, name="second")
    seen: Shared[tuple[int, int]] = Shared((0, 0), name="seen")
    one = rt.color("state" if fixed else "first")
    two = rt.color("state" if fixed else "second")

    def write() -> None:
        one.post(first.set, 1)
        two.post(second.set, 2)

    def write_both() -> None:
        first.set(1)
        second.set(2)

    def read_first() -> None:
        two.post(read_second, first.get())

    def read_second(half: int) -> None:
        seen.set((half, second.get()))

    def read_both() -> None:
        seen.set((first.get(), second.get()))

    if fixed:
        rt.color("writer").post(one.post, write_both)
    else:
        rt.color("writer").post(write)
    late(rt, "reader", 2, one, read_both if fixed else read_first)

    def check() -> None:
        assert seen.get() in {(0, 0), (1, 2)}

    return check


def reorder(rt: Runtime, *, fixed: bool) -> Check:
    """Setters post one half of the state after the other to one color; a checker comes between."""
    a = Shared(0, name="a")
    b = Shared(0, name="b")
    torn = Shared(0, name="torn states seen")
    state = rt.color("state")

    def set_a() -> None:
        a.set(1)
        if fixed:
            set_b()
        else:
            rt.color("setter").post(state.post, set_b)

    def set_b() -> None:
        b.set(-1)

    def look() -> None:
        if a.get() + b.get() != 0:
            add(torn)

    state.post(set_a)
    late(rt, "checker", 3, state, look)
    return equal(torn, 0)


def stack_pop(rt: Runtime, *, fixed: bool) -> Check:
    """Two workers see that the stack is not empty, and pop its only item."""
    items: Shared[tuple[str, ...]] = Shared(("job",), name="items")
    empty = Shared(0, name="found empty")
    stack = rt.color("stack")

    def look(worker: str) -> None:
        if items.get():
            rt.color(worker).post(stack.post, pop)
        else:
            add(empty)

    def pop() -> None:
        if not items.get():
            raise IndexError("pop from an empty stack")
        items.set(items.get()[:-1])

    def look_and_pop(_worker: str) -> None:
        if items.get():
            pop()
        else:
            add(empty)

    step = look_and_pop if fixed else look
    stack.post(step, "worker 1")
    late(rt, "corridor", 3, stack, step, "worker 2")
    return equal(empty, 1)


def work_steal_queue(rt: Runtime, *, fixed: bool) -> Check:
    """A thief looks at the head and claims it later; the owner has taken it meanwhile."""
    items: Shared[tuple[int, ...]] = Shared((1, 2), name="items")
    done: Shared[tuple[int, ...]] = Shared((), name="items done")
    queue = rt.color("queue")

    def own() -> None:
        if items.get():
            item = items.get()[-1]
            items.set(items.get()[:-1])
            append(done, item)
            late(rt, "owner", 1, queue, own)

    def peek() -> None:
        if items.get():
            rt.color("thief").post(queue.post, claim, items.get()[0])

    def claim(item: int) -> None:
        items.set(tuple(other for other in items.get() if other != item))
        append(done, item)

    def steal() -> None:
        if items.get():
            claim(items.get()[0])

    queue.post(steal if fixed else peek)
    late(rt, "owner", 2, queue, own)

    def check() -> None:
        assert sorted(done.get()) == [1, 2]

    return check


def string_buffer(rt: Runtime, *, fixed: bool) -> Check:
    """One buffer is appended to another: its length is asked first, its characters later."""
    text = Shared("abc", name="text")
    joined = Shared("", name="joined")
    source = rt.color("source")
    target = rt.color("target")

    def length() -> None:
        target.post(source.post, characters, len(text.get()))

    def characters(count: int) -> None:
        if count > len(text.get()):
            raise IndexError(f"{count} characters of {text.get()!r}")
        target.post(joined.set, text.get()[:count])

    def snapshot() -> None:
        characters(len(text.get()))

    source.post(snapshot if fixed else length)
    late(rt, "editor", 3, source, text.set, "")

    def check() -> None:
        assert joined.get() in {"", "abc"}

    return check


def airline(rt: Runtime, *, fixed: bool) -> Check:
    """Three agents sell two seats: each looks for a free one, lets it be paid, and sells it."""
    sold = Shared(0, name="seats sold")
    seats = rt.color("seats")

    def look(agent: str) -> None:
        if sold.get() < 2:
            rt.color(agent).post(seats.post, add, sold)

    def sell(_agent: str) -> None:
        if sold.get() < 2:
            add(sold)

    step = sell if fixed else look
    seats.post(step, "agent 1")
    seats.post(step, "agent 2")
    late(rt, "phone", 3, seats, step, "agent 3")
    return equal(sold, 2)


def double_close(rt: Runtime, *, fixed: bool) -> None:
    """Two users see the channel open, and both close it."""
    closed = Shared(False, name="channel closed")
    channel = rt.color("channel")

    def look(user: str) -> None:
        if not closed.get():
            rt.color(user).post(channel.post, close)

    def close() -> None:
        if closed.get():
            raise RuntimeError("close of a closed channel")
        closed.set(True)

    def close_once(_user: str) -> None:
        if not closed.get():
            close()

    step = close_once if fixed else look
    channel.post(step, "sender")
    late(rt, "signal", 3, channel, step, "receiver")


SPECIMENS: tuple[Specimen, ...] = (
    specimen(account, source="SCTBench: account", expects="assertion", small=True),
    specimen(
        bluetooth_driver,
        source="SCTBench and CHESS: bluetooth driver",
        expects="assertion",
        small=True,
    ),
    specimen(bounded_buffer, source="SCTBench: boundedBuffer", expects="exception"),
    specimen(lazy01, source="SCTBench: lazy01", expects="assertion", small=True),
    specimen(twostage, source="SCTBench: twostage_N", expects="assertion", small=True),
    specimen(reorder, source="SCTBench: reorder_N", expects="assertion", small=True),
    specimen(stack_pop, source="SCTBench: stack", expects="exception", small=True),
    specimen(work_steal_queue, source="CHESS: WorkStealQueue", expects="assertion"),
    specimen(string_buffer, source="SCTBench: stringbuffer-jdk1.4", expects="exception"),
    specimen(airline, source="IBM benchmark: airline", expects="assertion"),
    specimen(
        double_close,
        source="Go concurrency bugs (Tu et al. 2019): a channel closed twice",
        expects="exception",
        small=True,
    ),
)
