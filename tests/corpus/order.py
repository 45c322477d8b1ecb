"""Order: something is relied on to come first that nothing makes come first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, equal, late, specimen

if TYPE_CHECKING:
    from colorsched import Runtime


def late_listener(rt: Runtime, *, fixed: bool) -> Check:
    """A listener is registered after the work that tells it has been started."""
    listening = Shared(False, name="listening")
    heard = Shared(0, name="events heard")
    emitter = rt.color("emitter")

    def register() -> None:
        listening.set(True)

    def emit() -> None:
        if listening.get():
            add(heard)

    if fixed:
        emitter.post(register)
    late(rt, "socket", 2, emitter, emit)
    if not fixed:
        late(rt, "set-up", 1, emitter, register)
    return equal(heard, 1)


def stale_reply(rt: Runtime, *, fixed: bool) -> Check:
    """Suggestions for what was typed before arrive after those for what is typed now."""
    shown = Shared("", name="shown")
    newest = Shared(0, name="newest shown")
    page = rt.color("page")

    def show(number: int, reply: str) -> None:
        if fixed and number < newest.get():
            return
        newest.set(number)
        shown.set(reply)

    def ask(number: int, text: str) -> None:
        late(rt, f"server {number}", number, page, show, number, text)

    page.post(ask, 1, "c")
    page.post(ask, 2, "co")
    return equal(shown, "co")


def use_before_load(rt: Runtime, *, fixed: bool) -> None:
    """A button can be pressed before the script that handles it has been loaded."""
    loaded = Shared(False, name="script loaded")
    pressed = Shared(0, name="presses kept")
    page = rt.color("page")

    def load() -> None:
        loaded.set(True)
        for _ in range(pressed.get()):
            handle()

    def handle() -> None:
        if not loaded.get():
            raise NameError("submit_form is not defined")

    def press() -> None:
        if fixed and not loaded.get():
            add(pressed)
        else:
            handle()

    late(rt, "network", 1, page, load)
    late(rt, "user", 2, page, press)


def use_after_close(rt: Runtime, *, fixed: bool) -> Check:
    """A connection is closed while a write to it is on its way."""
    is_open = Shared(True, name="connection open")
    unsent = Shared(0, name="writes refused")
    written = Shared(0, name="writes")
    connection = rt.color("connection")

    def write() -> None:
        if is_open.get():
            add(written)
        elif fixed:
            add(unsent)
        else:
            raise BrokenPipeError("write to a closed connection")

    def close() -> None:
        is_open.set(False)

    late(rt, "reply", 2, connection, write)
    late(rt, "time limit", 3, connection, close)

    def check() -> None:
        assert written.get() + unsent.get() == 1

    return check


def become(rt: Runtime, *, fixed: bool) -> Check:
    """An actor is told by one sender how to behave, by another what to do; it drops the work."""
    ready = Shared(False, name="ready")
    stash: Shared[tuple[str, ...]] = Shared((), name="stash")
    done: Shared[tuple[str, ...]] = Shared((), name="jobs done")
    actor = rt.color("actor")

    def configure() -> None:
        ready.set(True)
        for job in stash.get():
            append(done, job)
        stash.set(())

    def work(job: str) -> None:
        if ready.get():
            append(done, job)
        elif fixed:
            append(stash, job)

    late(rt, "supervisor", 1, actor, configure)
    late(rt, "client", 2, actor, work, "job")
    return equal(done, ("job",))


def interleaved_messages(rt: Runtime, *, fixed: bool) -> Check:
    """Two senders write head and body as two messages; an actor pairs them as they come."""
    head = Shared("", name="head")
    letters: Shared[tuple[tuple[str, str], ...]] = Shared((), name="letters")
    mailbox = rt.color("mailbox")

    def take_head(name: str) -> None:
        head.set(name)

    def take_body(name: str) -> None:
        append(letters, (head.get(), name))

    def take_letter(name: str) -> None:
        take_head(name)
        take_body(name)

    def send(name: str) -> None:
        if fixed:
            mailbox.post(take_letter, name)
        else:
            mailbox.post(take_head, name)
            rt.color(name).post(mailbox.post, take_body, name)

    rt.color("ann").post(send, "ann")
    late(rt, "tram", 3, rt.color("bob"), send, "bob")

    def check() -> None:
        assert sorted(letters.get()) == [("ann", "ann"), ("bob", "bob")]

    return check


def publish_before_save(rt: Runtime, *, fixed: bool) -> Check:
    """Readers are told of an article at the same time as it is sent to be saved."""
    saved = Shared(False, name="article saved")
    missing = Shared(0, name="articles not found")
    store = rt.color("store")

    def save() -> None:
        saved.set(True)
        if fixed:
            rt.color("feed").post(tell)

    def tell() -> None:
        late(rt, "reader", 1, store, read)

    def read() -> None:
        if not saved.get():
            add(missing)

    def publish() -> None:
        rt.color("editor").post(store.post, save)
        if not fixed:
            rt.color("feed").post(tell)

    rt.color("web").post(publish)
    return equal(missing, 0)


def close_before_flush(rt: Runtime, *, fixed: bool) -> Check:
    """The log is closed when all workers have begun, rather than when they have ended."""
    lines = Shared(0, name="lines")
    is_open = Shared(True, name="log open")
    ended = Shared(0, name="workers ended")
    log = rt.color("log")

    def line() -> None:
        if is_open.get():
            add(lines)

    def close() -> None:
        is_open.set(False)

    def end() -> None:
        add(ended)
        if fixed and ended.get() == 2:
            close()

    def work(worker: str) -> None:
        rt.color(worker).post(log.post, line)
        rt.color(worker).post(log.post, end)

    rt.color("worker 1").post(work, "worker 1")
    rt.color("worker 2").post(work, "worker 2")
    if not fixed:
        late(rt, "main", 4, log, close)
    return equal(lines, 2)


def waitgroup_add_inside(rt: Runtime, *, fixed: bool) -> Check:
    """Workers count themselves in when they begin, so the count may be zero before the last."""
    running = Shared(2 if fixed else 0, name="workers running")
    results = Shared(0, name="results")
    summary: Shared[tuple[int, ...]] = Shared((), name="summary")
    group = rt.color("group")

    def begin(worker: str) -> None:
        if not fixed:
            add(running)
        rt.color(worker).post(group.post, end)

    def end() -> None:
        add(results)
        add(running, -1)
        if running.get() == 0:
            append(summary, results.get())

    rt.color("worker 1").post(group.post, begin, "worker 1")
    rt.color("worker 2").post(group.post, begin, "worker 2")
    return equal(summary, (2,))


def mkdirp(rt: Runtime, *, fixed: bool) -> Check:
    """Two callers find that a folder is missing, and both make it."""
    exists = Shared(False, name="folder exists")
    made = Shared(0, name="folders made")
    disk = rt.color("disk")

    def look(caller: str) -> None:
        if not exists.get():
            rt.color(caller).post(disk.post, make)

    def make() -> None:
        if exists.get() and not fixed:
            raise FileExistsError("the folder exists")
        if not exists.get():
            exists.set(True)
            add(made)

    disk.post(look, "upload")
    late(rt, "second upload", 3, disk, look, "thumbnail")
    return equal(made, 1)


def double_callback(rt: Runtime, *, fixed: bool) -> None:
    """A request calls back on its error and on its end, and both may come."""
    answered = Shared(False, name="answered")
    request = rt.color("request")

    def done() -> None:
        if answered.get():
            if fixed:
                return
            raise RuntimeError("the callback was called twice")
        answered.set(True)

    def reset() -> None:
        # A reset that comes first ends the request; one that comes after the end is an error too.
        if fixed or answered.get():
            done()

    late(rt, "peer", 1, request, reset)
    late(rt, "body", 2, request, done)


SPECIMENS: tuple[Specimen, ...] = (
    specimen(
        late_listener,
        source="Node.fz (Davis et al. 2017): listener registered late",
        expects="assertion",
        small=True,
    ),
    specimen(
        stale_reply,
        source="event-loop web bugs: replies to a search box out of order",
        expects="assertion",
        small=True,
    ),
    specimen(
        use_before_load,
        source="WebRacer (Petrov et al. 2012): function race",
        expects="exception",
        small=True,
    ),
    specimen(
        use_after_close,
        source="Node.js concurrency bugs (Wang et al. 2017): write after close",
        expects="exception",
        small=True,
    ),
    specimen(
        become,
        source="Akka (Hedden and Zhao 2018): become race",
        expects="assertion",
        small=True,
    ),
    specimen(
        interleaved_messages,
        source="actor bugs (Torres Lopez et al. 2018): message interleaving",
        expects="assertion",
    ),
    specimen(publish_before_save, source="own: told before it is saved", expects="assertion"),
    specimen(
        close_before_flush,
        source="Dthreads: a log closed before its writers are done",
        expects="assertion",
    ),
    specimen(
        waitgroup_add_inside,
        source="Go concurrency bugs (Tu et al. 2019): WaitGroup.Add inside the goroutine",
        expects="assertion",
        small=True,
    ),
    specimen(
        mkdirp,
        source="Node.fz (Davis et al. 2017): check-then-act in mkdirp",
        expects="exception",
        small=True,
    ),
    specimen(
        double_callback,
        source="Node.js concurrency bugs (Wang et al. 2017): double callback",
        expects="exception",
        small=True,
    ),
)
