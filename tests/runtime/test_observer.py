"""An observer is told of every callback, from its post to its end, whatever posted it."""

from __future__ import annotations

import asyncio
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime
from colorsched.core.observed import LINEAGE
from colorsched.events import Observer, Ticket
from colorsched.ports import here
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Log(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def posted(self, ticket: Ticket) -> None:
        self.told.append(("posted", ticket))

    def started(self, ticket: Ticket) -> None:
        self.told.append(("started", ticket))

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        self.told.append(("ended" if error is None else f"raised {error}", ticket))

    def dropped(self, ticket: Ticket, why: str) -> None:
        self.told.append((why, ticket))

    def planned(self, ticket: Ticket) -> None:
        self.told.append(("planned", ticket))

    def recalled(self, ticket: Ticket) -> None:
        self.told.append(("recalled", ticket))

    def completed(self, future: object) -> None:
        self.told.append(("completed", future))

    def joined(self, future: object) -> None:
        self.told.append(("joined", future))

    def of(self, key: object) -> list[tuple[str, str]]:
        """What was told of one color's tickets."""
        return [
            (what, ticket.kind)
            for what, ticket in self.told
            if isinstance(ticket, Ticket) and ticket.key == key
        ]

    def ticket(self, key: object, what: str = "posted") -> Ticket:
        return next(x for y, x in self.told if y == what and isinstance(x, Ticket) and x.key == key)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def watched(log: Log) -> Iterator[Runtime]:
    with Runtime(workers=2, observer=log, exception_handler=lambda _: None) as rt:
        yield rt


WHOLE = [("posted", "post"), ("started", "post"), ("ended", "post")]


def test_a_callback_from_post_to_end_and_who_posted_it(watched: Runtime, log: Log) -> None:
    a, b = watched.color("a"), watched.color("b")
    here_seen = []

    def first() -> None:
        here_seen.append(here.ticket)
        b.post(int)

    a.post(first)
    assert watched.drain(PATIENCE_SECONDS)
    assert log.of("a") == WHOLE
    assert log.of("b") == WHOLE
    assert here_seen == [log.ticket("a")]
    assert log.ticket("a").by is None
    assert log.ticket("b").by is log.ticket("a")
    assert log.ticket("a").fn is first
    assert here.ticket is None


def test_what_it_raised(watched: Runtime, log: Log) -> None:
    def fail() -> None:
        raise ValueError("no")

    watched.color("a").post(fail)
    assert watched.drain(PATIENCE_SECONDS)
    assert log.of("a")[-1] == ("raised no", "post")


@pytest.mark.parametrize("wrong", [3, Observer, print])
def test_what_is_no_observer_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"observer must be a colorsched\.events\.Observer, not"):
        Runtime(observer=wrong)


def test_a_cancelled_one_is_dropped_and_never_starts(log: Log) -> None:
    with Runtime(workers=1, observer=log) as rt:
        color = rt.color("a")

        def cancel_next() -> None:
            assert handles[0].cancel()

        handles = []
        go = threading.Event()
        color.post(go.wait, PATIENCE_SECONDS)
        color.post(cancel_next)
        handles.append(color.post(int))
        go.set()
    assert ("cancelled", "post") in log.of("a")
    assert [what for what, _ in log.of("a")].count("started") == 2


def test_who_cancels_again_is_told_so_and_raises_nothing(watched: Runtime) -> None:
    timer = watched.color("a").call_later(PATIENCE_SECONDS, int)
    assert [timer.cancel(), timer.cancel()] == [True, False]


def test_dispatch_runs_inside_its_poster(watched: Runtime, log: Log) -> None:
    a, b = watched.color("a"), watched.color("b")
    a.post(b.dispatch, int)
    assert watched.drain(PATIENCE_SECONDS)
    assert [(what, t.kind) for what, t in log.told if isinstance(t, Ticket)] == [
        ("posted", "post"),
        ("started", "post"),
        ("posted", "dispatch"),
        ("started", "dispatch"),
        ("ended", "dispatch"),
        ("ended", "post"),
    ]
    assert log.ticket("b").by is log.ticket("a")


def test_a_timer_is_planned_by_one_and_posted_by_nobody(watched: Runtime, log: Log) -> None:
    a, b = watched.color("a"), watched.color("b")
    a.post(b.call_later, 0, int)
    assert watched.drain(PATIENCE_SECONDS)
    assert log.of("b") == [
        ("planned", "plan"),
        ("posted", "timer"),
        ("started", "timer"),
        ("recalled", "plan"),
        ("ended", "timer"),
    ]
    assert log.ticket("b", "planned").by is log.ticket("a")
    assert log.ticket("b").by is None


def test_a_reader_gets_a_ticket_each_time(watched: Runtime, log: Log) -> None:
    left, right = socket.socketpair()
    seen = threading.Semaphore(0)
    with left, right:
        color = watched.color("a")

        def read() -> None:
            left.recv(1)
            seen.release()

        color.add_reader(left, read)
        for _ in range(2):
            right.send(b"x")
            assert seen.acquire(timeout=PATIENCE_SECONDS)
        color.submit(color.remove_reader, left).result(PATIENCE_SECONDS)
    tickets = [t for what, t in log.told if what == "started" and t.kind == "io"]
    assert len({ticket.number for ticket in tickets}) == 2
    assert ("recalled", "plan") in log.of("a")


def test_a_hold_and_what_waits_behind_it(watched: Runtime, log: Log) -> None:
    color = watched.color("a")

    async def hold() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    color.submit(hold)
    future = color.submit(int)
    future.result(PATIENCE_SECONDS)
    told = log.of("a")
    assert told.count(("started", "post")) == 2
    assert [what for what, kind in told if kind == "loop"].count("started") >= 3
    last = max(i for i, (_, kind) in enumerate(told) if kind == "loop")
    assert told.index(("started", "post"), 3) > last - 3
    assert [what for what, x in log.told if x is future] == ["completed", "joined"]


def test_awaiting_joins(watched: Runtime, log: Log) -> None:
    async def main() -> int:
        future = watched.color("b").submit(int)
        await future
        assert future.done()
        return await future

    assert watched.spawn(main()).result(PATIENCE_SECONDS) == 0
    assert [what for what, x in log.told if what == "joined"].count("joined") >= 2


def test_what_shutdown_drops_is_told(log: Log) -> None:
    rt = Runtime(workers=1, max_workers=1, observer=log)  # else a spare might run what is behind
    gate = threading.Event()
    rt.color("a").post(gate.wait, PATIENCE_SECONDS)
    rt.color("b").post(int)
    rt.shutdown(wait=False, cancel_futures=True)
    gate.set()
    rt.shutdown()
    assert ("shut down", "post") in log.of("b")
    assert ("started", "post") not in log.of("b")


def test_a_first_step_behind_a_hold_has_a_ticket(log: Log) -> None:
    begun: list[Any] = []

    async def hold() -> None:
        await asyncio.sleep(0)

    async def first() -> None:
        begun.append(here.ticket)

    with Runtime(workers=1, observer=log) as rt:
        color = rt.color("a")
        color.submit(hold)
        color.spawn(first()).result(PATIENCE_SECONDS)
    assert begun[0].kind == "loop"
    assert begun[0].by.kind == "post"


def test_what_the_exception_handler_posts_comes_from_the_callback(log: Log) -> None:
    def fail() -> None:
        raise ValueError("no")

    def handle(_error: BaseException) -> None:
        rt.color("b").post(int)

    with Runtime(workers=1, observer=log, exception_handler=handle) as rt:
        rt.color("a").post(fail)
        assert rt.drain(PATIENCE_SECONDS)
    assert log.ticket("b").by is log.ticket("a")


@pytest.mark.parametrize("how", ["post", "dispatch"])
def test_who_posts_itself_for_ever_keeps_few_of_its_past(how: str) -> None:
    alive: weakref.WeakSet[Ticket] = weakref.WeakSet()
    most = 0

    class Count(Observer):
        def posted(self, ticket: Ticket) -> None:
            alive.add(ticket)

    # One thread: without the GIL a thread frees what it made, even if another one drops it last.
    with Runtime(workers=1, max_workers=1, observer=Count()) as rt:
        left = iter(range(1000))

        def again() -> None:
            nonlocal most
            most = max(most, len(alive))
            number = next(left, None)
            if number is not None:
                rt.color(number % 3).post(getattr(rt.color("other"), how), again)

        rt.post(again)
    assert LINEAGE <= most <= 5 * LINEAGE  # of posts twice as many, and what they dispatch


def test_a_dispatched_callback_is_not_cut_off_from_its_dispatcher() -> None:
    class By(Observer):
        seen: list[Ticket | None] = []  # noqa: RUF012 - of this test only

        def ended(self, ticket: Ticket, error: BaseException | None) -> None:
            if ticket.kind == "dispatch":
                self.seen.append(ticket.by)

    by = By()
    with Runtime(workers=2, observer=by) as rt:
        done = threading.Event()

        def chain(left: int) -> None:
            if left:
                rt.color(left % 2).post(chain, left - 1)
            else:
                done.set()

        def inside() -> None:
            chain(5 * LINEAGE)
            assert done.wait(PATIENCE_SECONDS)

        rt.color("outer").post(lambda: rt.color("inner").dispatch(inside))
    assert [ticket and ticket.key for ticket in by.seen] == ["outer"]
