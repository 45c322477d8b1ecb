"""Both pollers keep the same promises; the runtime works on either."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colorsched import Runtime
from colorsched.ports import READ, WRITE, Doors, Poller
from colorsched.sources.poller import EpollPoller, SelectorPoller, open_poller
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def with_poll() -> SelectorPoller:
    return SelectorPoller(selectors.PollSelector())


POLLERS = [EpollPoller, SelectorPoller, with_poll]


@pytest.fixture(params=POLLERS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    poller: Poller = request.param()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


Pair = tuple[socket.socket, socket.socket]


def ready(poller: Poller, fd: int, *, timeout: float = 0) -> int:
    """What the poller reports of `fd`, as a mask; wake-ups and others are left out."""
    mask = 0
    for found, events in poller.wait(timeout):
        if found == fd:
            mask |= (READ if events != WRITE else 0) | (WRITE if events != READ else 0)
    return mask


def settle(poller: Poller) -> None:
    """Take what wake-ups there are."""
    poller.wake()
    poller.wait(PATIENCE_SECONDS)


def test_it_reports_what_is_ready_as_long_as_it_is(poller: Poller, pair: Pair) -> None:
    left, right = pair
    poller.arm(left.fileno(), READ)
    settle(poller)
    assert ready(poller, left.fileno()) == 0
    right.send(b"x")
    assert ready(poller, left.fileno(), timeout=PATIENCE_SECONDS) == READ
    assert ready(poller, left.fileno()) == READ
    left.recv(1)
    assert ready(poller, left.fileno()) == 0


def test_the_mask_can_be_changed_and_taken_back(poller: Poller, pair: Pair) -> None:
    left, right = pair
    fd = left.fileno()
    right.send(b"x")
    poller.arm(fd, WRITE)
    settle(poller)
    assert ready(poller, fd) == WRITE
    poller.arm(fd, READ | WRITE)
    settle(poller)
    assert ready(poller, fd) == READ | WRITE
    poller.arm(fd, READ)
    settle(poller)
    assert ready(poller, fd) == READ
    poller.disarm(fd)
    settle(poller)
    assert ready(poller, fd) == 0


def test_disarming_the_unknown_or_closed_is_no_error(poller: Poller) -> None:
    reader, writer = os.pipe()
    poller.disarm(reader)
    poller.arm(reader, READ)
    settle(poller)
    os.close(reader)
    os.close(writer)
    poller.disarm(reader)
    poller.disarm(12345)
    settle(poller)


def test_a_number_that_was_closed_and_given_out_anew_can_be_armed(poller: Poller) -> None:
    number, old_writer = os.pipe()
    other, writer = os.pipe()
    poller.arm(number, READ)
    settle(poller)
    os.dup2(other, number)  # closed and given out in one, so that no other thread gets the number
    os.close(other)
    os.close(old_writer)
    try:
        poller.arm(number, READ)
        settle(poller)
        assert ready(poller, number) == 0
        os.write(writer, b"x")
        assert ready(poller, number, timeout=PATIENCE_SECONDS) == READ
    finally:
        os.close(number)
        os.close(writer)


def test_a_hang_up_is_reported(poller: Poller, pair: Pair) -> None:
    left, right = pair
    poller.arm(left.fileno(), READ)
    settle(poller)
    right.close()
    assert ready(poller, left.fileno(), timeout=PATIENCE_SECONDS) & READ


def test_regular_files_and_closed_descriptors_are_refused(poller: Poller) -> None:
    with Path(__file__).open("rb") as file, pytest.raises(PermissionError):
        poller.arm(file.fileno(), READ)
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        poller.arm(reader, READ)


def test_a_wake_is_remembered_and_many_are_one(poller: Poller) -> None:
    for _ in range(10_000):  # more than any pipe or socket holds
        poller.wake()
    poller.wait(PATIENCE_SECONDS)
    assert list(poller.wait(0)) == []


@pytest.mark.parametrize("change", ["wake", "arm"])
def test_another_thread_brings_the_waiting_one_out(poller: Poller, pair: Pair, change: str) -> None:
    left, right = pair
    found = threading.Event()

    def wait() -> None:
        if change == "wake":
            poller.wait(None)
        else:
            while not ready(poller, left.fileno(), timeout=PATIENCE_SECONDS):
                pass
        found.set()

    right.send(b"x")
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    if change == "wake":
        poller.wake()
    else:
        poller.arm(left.fileno(), READ)
    assert found.wait(PATIENCE_SECONDS)
    thread.join(PATIENCE_SECONDS)


def test_waking_a_closed_poller_is_harmless() -> None:
    poller = SelectorPoller()
    poller.close()
    poller.wake()


def test_this_platform_has_epoll() -> None:
    poller = open_poller()
    assert isinstance(poller, EpollPoller)
    poller.close()


@pytest.mark.parametrize("make", POLLERS)
def test_a_runtime_runs_on_it(make: Callable[[], Poller]) -> None:
    left, right = socket.socketpair()
    with left, right, Runtime(workers=2, doors=Doors(poller=make)) as runtime:
        left.setblocking(False)
        got: list[bytes] = []
        all_there = threading.Event()

        def read() -> None:
            got.append(left.recv(1))
            if len(got) == 100:
                runtime.color("r").remove_reader(left)
                all_there.set()

        runtime.color("r").add_reader(left, read)
        for number in range(100):
            right.send(bytes([number]))
        assert all_there.wait(PATIENCE_SECONDS)
        assert got == [bytes([number]) for number in range(100)]
        written = threading.Event()

        def write() -> None:
            runtime.color("w").remove_writer(left)
            written.set()

        runtime.color("w").add_writer(left, write)
        assert written.wait(PATIENCE_SECONDS)
        assert runtime.color("t").call_later(0.001, int)
        assert runtime.drain(PATIENCE_SECONDS)
