"""Descriptors: one callback at a time, in the color, for as long as they are ready and watched."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime, current_color
from colorsched.core.policy import TURNS_BETWEEN_POLLS
from colorsched.ports import Doors
from colorsched.sources.poller import EpollPoller
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


def test_a_reader_runs_in_its_color_with_its_context_until_removed(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    name: ContextVar[str] = ContextVar("name", default="none")
    color = rt.color("reader")
    seen: list[Any] = []
    done = threading.Event()

    def read(*args: int) -> None:
        seen.append((args, left.recv(1), name.get(), current_color() is color))
        if len(seen) == 3:
            assert color.remove_reader(left) is True
            assert color.remove_reader(left) is False
            done.set()

    token = name.set("added")
    color.add_reader(left, read, 1, 2)
    name.reset(token)
    right.send(b"abcd")
    assert done.wait(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == [((1, 2), byte, "added", True) for byte in (b"a", b"b", b"c")]


def test_a_pipe_is_read_by_its_number_and_written_by_its_file(rt: Runtime) -> None:
    reader, writer = os.pipe()
    got: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        data = os.read(reader, 100)
        got.append(data)
        if not data:
            rt.remove_reader(reader)
            done.set()

    def write() -> None:
        rt.remove_writer(file)
        file.write(b"hello")
        file.close()

    with os.fdopen(writer, "wb", buffering=0) as file:
        rt.add_reader(reader, read)
        rt.add_writer(file, write)
        assert done.wait(PATIENCE_SECONDS)
    os.close(reader)
    assert b"".join(got) == b"hello"


def test_a_busy_color_gets_one_callback_and_later_the_next(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    color = rt.color("busy")
    runs: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        runs.append(left.recv(1))
        if runs[-1] == b"2":
            color.remove_reader(left)
            done.set()

    with Gate() as gate:
        color.post(gate)
        gate.reached()
        color.add_reader(left, read)
        right.send(b"1")
        while not color.pending():
            pass
        right.send(b"2")
        for _ in range(20):  # the poller goes round; level-triggered, it would report it each time
            rt.color("witness").call_later(0, int)
            rt.color("witness").submit(int).result(PATIENCE_SECONDS)
        assert color.pending() == 1
        assert runs == []
    assert done.wait(PATIENCE_SECONDS)
    assert runs == [b"1", b"2"]


def test_the_poller_does_not_go_on_about_a_busy_color(pair: Pair) -> None:
    left, right = pair
    reports: list[int] = []

    class Recording(EpollPoller):
        def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
            found = super().wait(timeout)
            reports.extend(fd for fd, _ in found)
            return found

    with Runtime(workers=2, doors=Doors(poller=Recording)) as rt:
        color = rt.color("busy")
        ran = threading.Event()

        def read() -> None:
            left.recv(1)
            rt.remove_reader(left)
            ran.set()

        with Gate() as gate:
            color.post(gate)
            gate.reached()
            color.add_reader(left, read)
            right.send(b"x")
            for _ in range(50):  # rounds of the poller
                tick = threading.Event()
                rt.color("tick").call_later(0, tick.set)
                assert tick.wait(PATIENCE_SECONDS)
            # Seen by a poll that began before it was added, posted, noted, disarmed: then no more.
            assert 1 <= reports.count(left.fileno()) <= 4
        assert ran.wait(PATIENCE_SECONDS)


def test_a_long_wait_does_not_make_the_next_lap_look_again() -> None:
    now = 0.0
    looks = 0
    seen: list[int] = []
    done = threading.Event()

    class LongWait(EpollPoller):
        def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
            nonlocal now, looks
            found = super().wait(timeout)
            if timeout == 0:
                looks += 1
            elif found:
                now += 1.0
            return found

    def read(left: socket.socket) -> None:
        left.recv(1)
        seen.append(looks)
        if len(seen) == TURNS_BETWEEN_POLLS + 1:
            done.set()

    doors = Doors(poller=LongWait, clock=lambda: now)
    with (
        contextlib.ExitStack() as stack,
        Runtime(workers=1, max_workers=1, doors=doors) as rt,
    ):
        with Gate() as gate:  # so that one wait finds them all
            rt.post(gate)
            gate.reached()
            for number in range(TURNS_BETWEEN_POLLS + 1):
                left, right = (stack.enter_context(end) for end in socket.socketpair())
                right.send(b"x")
                rt.color(number).add_reader(left, read, left)
        assert done.wait(PATIENCE_SECONDS)
    assert len(set(seen)) == 1  # no look at the descriptors while some of those found had not run


def test_what_a_poll_saw_before_the_callback_ended_is_old(pair: Pair) -> None:
    left, right = pair
    reading, ended, again = Gate(), threading.Event(), threading.Event()
    begun = threading.Event()
    story: list[bytes | str] = []

    class SlowToTell(EpollPoller):
        """What it sees while the callback runs it tells only when that has ended."""

        def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
            found = super().wait(timeout)
            if begun.is_set() and any(fd == left.fileno() for fd, _ in found):
                reading.open()
                assert ended.wait(PATIENCE_SECONDS)
            return found

    def read() -> None:
        begun.set()
        reading()
        try:
            story.append(left.recv(10))
        except BlockingIOError:
            story.append("a blocking socket would block now")
        if len(story) == 2:
            again.set()

    with Runtime(workers=2, doors=Doors(poller=SlowToTell)) as rt:
        color = rt.color("reader")
        color.add_reader(left, read)
        right.send(b"once")
        reading.reached()
        color.post(ended.set)
        assert ended.wait(PATIENCE_SECONDS)
        assert rt.drain(PATIENCE_SECONDS)
        right.send(b"twice")
        assert again.wait(PATIENCE_SECONDS)
    assert story == [b"once", b"twice"]


def test_two_callbacks_of_one_descriptor_never_run_at_once(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    inside = 0
    most = 0
    count = 0
    done = threading.Event()
    color = rt.color("c")

    def read() -> None:
        nonlocal inside, most, count
        inside += 1
        most = max(most, inside)
        rt.color("other").submit(int).result(PATIENCE_SECONDS)
        left.recv(1)
        count += 1
        inside -= 1
        if count == 200:
            color.remove_reader(left)
            done.set()

    color.add_reader(left, read)
    for _ in range(200):
        right.send(b"x")
    assert done.wait(PATIENCE_SECONDS)
    assert most == 1


def test_both_directions_of_a_socket_in_two_colors(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    got, wrote = threading.Event(), threading.Event()
    reading, writing = rt.color("reading"), rt.color("writing")

    def read() -> None:
        assert left.recv(1) == b"x"
        rt.remove_reader(left)
        got.set()

    def write() -> None:
        rt.remove_writer(left)
        wrote.set()

    reading.add_reader(left, read)
    writing.add_writer(left, write)
    assert wrote.wait(PATIENCE_SECONDS)
    assert not got.is_set()
    right.send(b"x")  # removing the writer left the reader
    assert got.wait(PATIENCE_SECONDS)


def test_a_new_callback_replaces_the_old_one_in_whatever_color(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    seen: list[str] = []
    done = threading.Event()

    def second() -> None:
        left.recv(1)
        seen.append("second")
        rt.remove_reader(left)
        done.set()

    with Gate() as gate:
        first = rt.color("first")
        first.post(gate)
        gate.reached()
        first.add_reader(left, seen.append, "first")
        right.send(b"x")
        while not first.pending():
            pass
        rt.color("second").add_reader(left, second)
        assert done.wait(PATIENCE_SECONDS)
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == ["second"]  # not even the one that was pending already


def test_removed_from_another_color_what_is_pending_does_not_run(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    color = rt.color("busy")
    seen: list[str] = []
    with Gate() as gate:
        color.post(gate)
        gate.reached()
        color.add_reader(left, seen.append, "read")
        right.send(b"x")
        while not color.pending():
            pass
        assert rt.color("other").submit(rt.remove_reader, left).result(PATIENCE_SECONDS) is True
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == []
    assert rt.remove_reader(left) is False
    assert rt.remove_writer(left) is False


def test_a_reader_that_raises_is_called_again(pair: Pair) -> None:
    left, right = pair
    errors: list[BaseException] = []
    done = threading.Event()
    runs = 0

    def read() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            rt.remove_reader(left)
            done.set()
        raise ValueError(runs)

    with Runtime(exception_handler=errors.append) as rt:
        rt.add_reader(left, read)
        right.send(b"x")
        assert done.wait(PATIENCE_SECONDS)
    assert [error.args for error in errors] == [(1,), (2,), (3,)]


def test_a_hang_up_is_read_as_an_end(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    end = threading.Event()

    def read() -> None:
        assert left.recv(1) == b""
        rt.remove_reader(left)
        end.set()

    rt.add_reader(left, read)
    right.close()
    assert end.wait(PATIENCE_SECONDS)


def test_a_writer_hears_that_nobody_reads(rt: Runtime) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(65536))
    broken = threading.Event()

    def write() -> None:
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
        rt.remove_writer(writer)
        broken.set()

    rt.add_writer(writer, write)
    os.close(reader)
    assert broken.wait(PATIENCE_SECONDS)
    os.close(writer)


def test_a_descriptor_closed_under_the_poller_and_its_number_given_out_anew(rt: Runtime) -> None:
    stale: list[str] = []
    for _ in range(20):
        number, old_writer = os.pipe()
        other, writer = os.pipe()
        rt.color("old").add_reader(number, stale.append, "stale")
        # Closed and given out in one: between two steps the monitor may open a file of its own.
        os.dup2(other, number)
        os.close(other)
        os.close(old_writer)
        got = threading.Event()

        def read(number: int = number, got: threading.Event = got) -> None:
            os.read(number, 1)
            rt.remove_reader(number)
            got.set()

        rt.color("new").add_reader(number, read)
        os.write(writer, b"x")
        assert got.wait(PATIENCE_SECONDS)
        os.close(number)
        os.close(writer)
    assert stale == []


def test_a_descriptor_closed_without_removing_it_disturbs_nobody(rt: Runtime, pair: Pair) -> None:
    left, right = pair
    reader, writer = os.pipe()
    rt.add_reader(reader, int)
    os.close(reader)
    os.close(writer)
    got = threading.Event()

    def read() -> None:
        left.recv(1)
        rt.remove_reader(left)
        got.set()

    rt.add_reader(left, read)
    right.send(b"x")
    assert got.wait(PATIENCE_SECONDS)
    assert rt.remove_reader(reader) is True


def test_closed_while_its_callback_is_pending(rt: Runtime) -> None:
    reader, writer = os.pipe()
    color = rt.color("c")
    ran = threading.Event()
    with Gate() as gate:
        color.post(gate)
        gate.reached()
        color.add_reader(reader, ran.set)
        os.write(writer, b"x")
        while not color.pending():
            pass
        os.close(reader)
        os.close(writer)
    assert ran.wait(PATIENCE_SECONDS)
    assert color.remove_reader(reader) is True


def test_a_regular_file_is_refused(rt: Runtime) -> None:
    with Path(__file__).open("rb") as file:
        with pytest.raises(OSError, match="not permitted"):
            rt.add_reader(file, int)
        assert rt.remove_reader(file) is False


@pytest.mark.parametrize("wrong", [-1, "x", None, 3.5, True, 10**12, object()])
def test_what_is_no_descriptor_is_refused(rt: Runtime, wrong: Any) -> None:
    for call in (rt.add_reader, rt.add_writer):
        with pytest.raises(ValueError, match="Invalid file"):
            call(wrong, int)
    for remove in (rt.remove_reader, rt.remove_writer):
        with pytest.raises(ValueError, match="Invalid file"):
            remove(wrong)


def test_a_closed_one_is_refused(rt: Runtime, pair: Pair) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        rt.add_reader(reader, int)
    pair[0].close()
    with pytest.raises(ValueError, match="-1"):
        rt.add_reader(pair[0], int)


def test_many_sockets_at_once_lose_no_byte(rt: Runtime) -> None:
    pairs = [socket.socketpair() for _ in range(50)]
    got: list[bytearray] = [bytearray() for _ in pairs]
    ends = threading.Semaphore(0)

    def read(number: int) -> None:
        data = pairs[number][0].recv(7)
        got[number] += data
        if not data:
            rt.color(number).remove_reader(pairs[number][0])
            ends.release()

    def send(number: int) -> None:
        for start in range(0, 200, 10):
            pairs[number][1].sendall(bytes(range(start, start + 10)))
        pairs[number][1].close()

    for number, (left, _) in enumerate(pairs):
        left.setblocking(False)
        rt.color(number).add_reader(left, read, number)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(50)))
    for _ in pairs:
        assert ends.acquire(timeout=PATIENCE_SECONDS)
    assert all(bytes(data) == bytes(range(200)) for data in got)
    for left, _ in pairs:
        left.close()


def test_shutdown_forgets_readers_and_leaves_descriptors_open(pair: Pair) -> None:
    left, right = pair
    runtime = Runtime()
    runtime.add_reader(left, int)
    runtime.shutdown()
    right.send(b"x")
    assert left.recv(1) == b"x"
    assert runtime.remove_reader(left) is False


def test_a_runtime_gives_its_own_descriptors_back() -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    Runtime().shutdown()
    gc.collect()  # else what other tests have left may be closed meanwhile
    before = opened()
    for _ in range(5):
        Runtime().shutdown()
    assert opened() == before
