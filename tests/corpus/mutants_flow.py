"""Mutants of correct programs, one fault each: a pipeline, a job queue, sessions, a fan-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, outcomes, specimen

if TYPE_CHECKING:
    from colorsched import Runtime


def pipeline(rt: Runtime, *, mutation: str = "") -> Check:
    """Three stages with a color each keep the order of the items, and of the end behind them."""
    written: Shared[tuple[str, ...]] = Shared((), name="written")
    late_items = Shared(0, name="items after the end")
    ended = Shared(False, name="ended")

    def parse(item: str) -> None:
        color = ("enrich", item) if mutation == "wrong color" else "enrich"
        rt.color(color).post(enrich, item)

    def enrich(item: str) -> None:
        rt.color("write").post(write, item)

    def write(item: str) -> None:
        if ended.get():
            add(late_items)
        append(written, item)

    def end_parse() -> None:
        rt.color("enrich").post(rt.color("write").post, end)

    def end() -> None:
        ended.set(True)

    rt.color("parse").post(parse, "a")
    rt.color("parse").post(parse, "b")
    if mutation == "early end":
        late(rt, "source", 4, rt.color("write"), end)
    elif not mutation:
        rt.color("parse").post(end_parse)

    def check() -> None:
        assert written.get() == ("a", "b")
        assert late_items.get() == 0

    return check


def jobs(rt: Runtime, *, mutation: str = "") -> Check:  # noqa: C901 - a program with its mutants
    """Two workers claim jobs; one that fails is put back and tried again."""
    queue: Shared[tuple[str, ...]] = Shared(("a", "b"), name="queue")
    tries = {job: Shared(0, name=f"tries of {job}") for job in ("a", "b")}
    outputs = {job: Shared("", name=f"output of {job}") for job in ("a", "b")}
    finished: Shared[tuple[str, ...]] = Shared((), name="outputs of jobs that have ended")
    desk = rt.color("desk")

    def peek() -> str | None:
        return queue.get()[0] if queue.get() else None

    def remove(job: str) -> None:
        queue.set(tuple(other for other in queue.get() if other != job))

    def claim() -> str | None:
        job = peek()
        if job is not None:
            remove(job)
        return job

    def attempt(job: str) -> None:
        add(tries[job])
        if job == "b" and tries[job].get() == 1:
            raise ConnectionError("try again")
        outputs[job].set(job.upper())

    def put_back(job: str) -> None:
        append(queue, job)

    def finish(job: str) -> None:
        append(finished, outputs[job].get())

    async def work() -> None:
        while True:
            if mutation == "split callback":
                job = await desk.submit(peek)
                if job is not None:
                    await desk.submit(remove, job)
            else:
                job = await desk.submit(claim)
            if job is None:
                return
            try:
                trying = rt.color(("job", job)).submit(attempt, job)
                if mutation != "dropped await":
                    await trying
            except ConnectionError:
                await desk.submit(put_back, job)
            else:
                await desk.submit(finish, job)

    def begin(worker: str) -> None:
        rt.color(worker).spawn(work())

    rt.color("gate").post(begin, "worker 1")
    late(rt, "way", 45, rt.color("gate"), begin, "worker 2")

    def check() -> None:
        assert sorted(finished.get()) == ["A", "B"]

    return check


def sessions(rt: Runtime, *, mutation: str = "") -> Check:
    """A user's requests hold the user's color, so that each finds the session as it was left."""
    cart: Shared[tuple[str, ...]] = Shared((), name="session.cart")
    user = rt.color(("user", "ann"))

    async def put_in(item: str) -> None:
        items = cart.get()
        await rt.color(("price", item)).submit(int)
        cart.set((*items, item))

    def begin(item: str) -> None:
        if mutation == "spawned":
            user.spawn(put_in(item))
        elif mutation == "wrong color":
            rt.color(("request", item)).submit(put_in, item)
        else:
            user.submit(put_in, item)

    rt.color("web").post(begin, "tea")
    late(rt, "network", 6, rt.color("web"), begin, "milk")

    def check() -> None:
        assert sorted(cart.get()) == ["milk", "tea"]

    return check


def fan_in(rt: Runtime, *, mutation: str = "") -> Check:
    """Three sensors report to one color, which publishes the sum when all have done so."""
    total = Shared(0, name="total")
    ended = Shared(0, name="sensors ended")
    published: Shared[tuple[int, ...]] = Shared((), name="published")
    center = rt.color("center")

    def measure(sensor: int) -> None:
        if mutation == "wrong color":
            add(total, sensor)
            center.post(end)
        elif mutation == "split callback":
            rt.color(("scale", sensor)).post(center.post, add, total, sensor)
            late(rt, f"end of {sensor}", 2, center, end)
        elif mutation == "swapped posts":
            center.post(end)
            center.post(add, total, sensor)
        else:
            center.post(add, total, sensor)
            center.post(end)

    def end() -> None:
        add(ended)
        if ended.get() == 3:
            append(published, total.get())

    for sensor in (1, 2, 3):
        rt.color(("sensor", sensor)).post(measure, sensor)
    return equal(published, (6,))


async def gathered(rt: Runtime, *, mutation: str = "") -> Check:
    """Shards are counted in their colors, awaited, and summed up by who asked."""
    counts = [Shared(0, name=f"count of shard {shard}") for shard in range(3)]
    total = Shared(0, name="total")
    awaited = counts[:-1] if mutation == "dropped await" else counts
    futures = [
        rt.color(("shard", shard)).submit(add, count, shard + 1)
        for shard, count in enumerate(counts)
    ]
    for future, _ in zip(futures, awaited, strict=False):
        await future
    total.set(sum(count.get() for count in counts))

    def check() -> None:
        outcomes(*futures)()
        assert total.get() == 6

    return check


SPECIMENS: tuple[Specimen, ...] = (
    specimen(
        pipeline,
        name="pipeline_wrong_color",
        source="mutant of a pipeline: wrong color, the item's instead of the stage's",
        mutation="wrong color",
        expects="assertion",
        small=True,
    ),
    specimen(
        pipeline,
        name="pipeline_early_end",
        source="mutant of a pipeline: wrong color, the end takes a shortcut",
        mutation="early end",
        expects="assertion",
        small=True,
    ),
    specimen(
        jobs,
        name="jobs_split_callback",
        source="mutant of a job queue: split callback",
        mutation="split callback",
        expects="assertion",
    ),
    specimen(
        jobs,
        name="jobs_dropped_await",
        source="mutant of a job queue: dropped await",
        mutation="dropped await",
        expects="race",
        also=("assertion", "exception"),
        shows_in_fifo=True,
    ),
    specimen(
        sessions,
        name="sessions_spawned",
        source="mutant of a session store: spawn, which does not hold the color",
        mutation="spawned",
        expects="assertion",
    ),
    specimen(
        sessions,
        name="sessions_wrong_color",
        source="mutant of a session store: wrong color",
        mutation="wrong color",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
    ),
    specimen(
        fan_in,
        name="fan_in_wrong_color",
        source="mutant of a fan-in: wrong color",
        mutation="wrong color",
        expects="race",
        shows_in_fifo=True,
    ),
    specimen(
        fan_in,
        name="fan_in_split_callback",
        source="mutant of a fan-in: split callback",
        mutation="split callback",
        expects="assertion",
    ),
    specimen(
        fan_in,
        name="fan_in_swapped_posts",
        source="mutant of a fan-in: swapped posts",
        mutation="swapped posts",
        expects="assertion",
        shows_in_fifo=True,
    ),
    specimen(
        gathered,
        name="gathered_dropped_await",
        source="mutant of a fan-in of coroutines: dropped await",
        mutation="dropped await",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
    ),
)
