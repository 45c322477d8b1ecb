"""Timers: what is due at the same time comes in any order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, specimen

if TYPE_CHECKING:
    from colorsched import Runtime
    from colorsched.sources.timers import TimerHandle

#: Short, for real clocks. The programs depend on what is due together, not on how long it takes.
SECONDS = 0.01


def timeout_and_reply(rt: Runtime, *, fixed: bool) -> None:
    """A reply and its time limit both settle the request."""
    settled = Shared("", name="settled by")
    limits: list[TimerHandle] = []
    request = rt.color("request")
    due = rt.time() + SECONDS

    def settle(by: str) -> None:
        if not settled.get():
            settled.set(by)
        elif not fixed:
            raise RuntimeError(f"settled by {settled.get()} and by {by}")

    def arrive() -> None:
        for limit in limits:
            limit.cancel()
        rt.color("network").post(request.post, settle, "reply")

    rt.color("network").call_at(due, arrive)
    limits.append(rt.color("clock").call_at(due, request.post, settle, "time limit"))


def stale_expiry(rt: Runtime, *, fixed: bool) -> Check:
    """The timer of an old login logs out the user who has just renewed it."""
    generation = Shared(1, name="session.generation")
    alive = Shared(True, name="session.alive")
    session = rt.color("session")
    due = rt.time() + SECONDS

    def renew() -> None:
        add(generation)
        alive.set(True)

    def expire(of: int) -> None:
        if not fixed or generation.get() == of:
            alive.set(False)

    rt.color("reaper").call_at(due, session.post, expire, 1)
    rt.color("web").call_at(due, session.post, renew)
    return equal(alive, True)


def debounce(rt: Runtime, *, fixed: bool) -> Check:
    """A keystroke puts off the saving after the one before, which may be on its way already."""
    text = Shared("", name="text")
    saved: Shared[tuple[str, ...]] = Shared((), name="saved")
    timers: list[TimerHandle] = []
    editor = rt.color("editor")
    start = rt.time()

    def press(key: str, when: float) -> None:
        text.set(text.get() + key)
        for timer in timers:
            timer.cancel()
        timers.append(rt.color("clock").call_at(when, editor.post, save, text.get()))

    def save(wanted: str) -> None:
        if not fixed or wanted == text.get():
            append(saved, text.get())

    editor.post(press, "a", start + SECONDS)
    keyboard = rt.color("keyboard")
    keyboard.call_at(start + SECONDS, late, rt, "cable", 1, editor, press, "b", start + 2 * SECONDS)

    def check() -> None:
        assert saved.get() in {("ab",), ("a", "ab")}

    return check


def retried_request(rt: Runtime, *, fixed: bool) -> Check:
    """A request is sent again while the reply to the first is on its way: it is charged twice."""
    charged: Shared[tuple[str, ...]] = Shared((), name="charged")
    replied = Shared(False, name="replied")
    bank = rt.color("bank")
    client = rt.color("client")
    due = rt.time() + SECONDS

    def charge(request: str) -> None:
        if not fixed or request not in charged.get():
            append(charged, request)
        client.post(reply)

    def reply() -> None:
        replied.set(True)

    def send_again() -> None:
        if not replied.get():
            bank.post(charge, "order 1")

    rt.color("network").call_at(due, bank.post, charge, "order 1")
    rt.color("clock").call_at(due, late, rt, "retry", 3, client, send_again)
    return equal(charged, ("order 1",))


def overlapping_ticks(rt: Runtime, *, fixed: bool) -> Check:
    """A job is begun at every tick, whether the one before has ended or not."""
    running = Shared(0, name="jobs running")
    most = Shared(0, name="most at once")
    ended = Shared(0, name="jobs ended")
    jobs = rt.color("jobs")

    async def job() -> None:
        add(running)
        most.set(max(most.get(), running.get()))
        await asyncio.sleep(SECONDS)
        await rt.color("disk").submit(int)
        add(running, -1)
        add(ended)

    def tick() -> None:
        if fixed:
            jobs.submit(job)
        else:
            jobs.spawn(job())

    start = rt.time()
    rt.color("clock").call_at(start + SECONDS, tick)
    rt.color("clock").call_at(start + 2 * SECONDS, late, rt, "second tick", 6, jobs, tick)

    def check() -> None:
        assert (most.get(), ended.get()) == (1, 2)

    return check


def window_reset(rt: Runtime, *, fixed: bool) -> Check:
    """A limiter's timer resets the window while a request that was counted in it is let in."""
    used = Shared(0, name="used in this window")
    window = Shared(1, name="window")
    let_in: Shared[tuple[int, ...]] = Shared((), name="windows of those let in")
    limiter = rt.color("limiter")
    due = rt.time() + SECONDS

    def ask(client: str) -> None:
        if used.get() < 1:
            if fixed:
                enter()
            else:
                rt.color(client).post(limiter.post, enter)

    def enter() -> None:
        add(used)
        append(let_in, window.get())

    def reset() -> None:
        used.set(0)
        add(window)

    rt.color("client 1").call_at(due, limiter.post, ask, "client 1")
    rt.color("client 2").call_at(due, late, rt, "road", 4, limiter, ask, "client 2")
    rt.color("clock").call_at(due, late, rt, "gears", 3, limiter, reset)

    def check() -> None:
        assert len(set(let_in.get())) == len(let_in.get())

    return check


def old_leader(rt: Runtime, *, fixed: bool) -> Check:
    """A leader whose lease has run out writes once more, after its successor has begun."""
    newest = Shared(0, name="newest epoch")
    writes: Shared[tuple[int, ...]] = Shared((), name="epochs of the writes")
    store = rt.color("store")
    due = rt.time() + SECONDS

    def write(epoch: int) -> None:
        if fixed and epoch < newest.get():
            return
        newest.set(epoch)
        append(writes, epoch)

    rt.color("leader").call_at(due, late, rt, "slow network", 1, store, write, 1)
    rt.color("clock").call_at(due, late, rt, "election", 3, store, write, 2)

    def check() -> None:
        assert list(writes.get()) == sorted(writes.get())

    return check


SPECIMENS: tuple[Specimen, ...] = (
    specimen(
        timeout_and_reply,
        source="Node.js concurrency bugs (Wang et al. 2017): time limit and reply",
        expects="exception",
    ),
    specimen(
        stale_expiry,
        source="event-loop web bugs: an old timer ends the renewed session",
        expects="assertion",
    ),
    specimen(
        debounce, source="event-loop web bugs: debouncing that fires twice", expects="assertion"
    ),
    specimen(
        retried_request,
        source="own: a retry of what is not idempotent",
        expects="assertion",
    ),
    specimen(
        overlapping_ticks,
        source="Node.js concurrency bugs (Wang et al. 2017): setInterval and slow work",
        expects="assertion",
    ),
    specimen(window_reset, source="own: a rate limiter's window ends between", expects="assertion"),
    specimen(old_leader, source="own: a lease without a fencing token", expects="assertion"),
)
