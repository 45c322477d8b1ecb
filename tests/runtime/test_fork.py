"""Fork: the child learns that the runtime is its parent's, can make one, and disturbs nobody."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import traceback
from typing import TYPE_CHECKING, Any

from colorsched import ForkedRuntime, Runtime, RuntimeShutdown, current_color
from runtime.processes import finish, in_child
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Callable


def child(work: Callable[[], Any]) -> Any:
    """Fork; give what `work` returns in the child, and fail if it raises there."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            signal.alarm(int(PATIENCE_SECONDS))  # a child that hangs is killed
            with os.fdopen(writer, "w") as pipe:
                json.dump(work(), pipe)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may return into the parent's test
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    assert in_child(pid) == (0, True)
    return json.loads(text)


async def nothing() -> None:
    """Nothing to do."""


DOORS: dict[str, Callable[[Any], object]] = {
    "post": lambda c: c.post(int),
    "submit": lambda c: c.submit(int),
    "spawn": lambda c: c.spawn(nothing()),
    "dispatch": lambda c: c.dispatch(int),
    "call_later": lambda c: c.call_later(0, int),
    "call_at": lambda c: c.call_at(0, int),
    "add_reader": lambda c: c.add_reader(0, int),
    "add_writer": lambda c: c.add_writer(1, int),
    "add_signal_handler": lambda c: c.add_signal_handler(signal.SIGUSR1, int),
}


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except ForkedRuntime as error:
        return "new Runtime in the child" in str(error)
    return False


def test_every_door_refuses_in_the_child_and_the_parent_goes_on(rt: Runtime) -> None:
    old = rt.color("old")

    def work() -> list[str]:
        wrong = [
            f"{name} of {where}"
            for where in (rt, old, rt.color("new"))
            for name, door in DOORS.items()
            if not refused(lambda door=door, where=where: door(where))  # type: ignore[misc]  # bound
        ]
        if not refused(rt.drain):
            wrong.append("drain")
        rt.shutdown()  # harmless
        rt.shutdown(wait=False, cancel_futures=True)
        rt.remove_reader(0)
        rt.stats()
        repr(rt)
        return wrong

    assert child(work) == []
    assert issubclass(ForkedRuntime, RuntimeShutdown)
    assert rt.color("old").submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8


def test_the_child_can_make_a_runtime_of_its_own(rt: Runtime) -> None:
    def work() -> list[Any]:
        with Runtime(workers=2) as runtime:
            timer = threading.Event()
            runtime.call_later(0.001, timer.set)
            return [
                timer.wait(PATIENCE_SECONDS),
                runtime.color("c").submit(pow, 2, 3).result(PATIENCE_SECONDS),
                runtime.spawn(nothing()).result(PATIENCE_SECONDS),
            ]

    assert child(work) == [True, 8, None]
    assert rt.submit(int).result(PATIENCE_SECONDS) == 0


def test_inside_a_with_block_the_child_may_leave_it() -> None:
    with Runtime() as runtime:
        runtime.post(int)

        def work() -> bool:
            runtime.__exit__(None, None, None)
            return True

        assert child(work) is True
        assert runtime.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8


def test_forks_while_other_threads_post_and_time(rt: Runtime) -> None:
    stop = threading.Event()

    def post(number: int) -> None:
        while not stop.is_set():
            rt.color(number).submit(int).result(PATIENCE_SECONDS)
            rt.color(number).call_later(0, int)
            rt.call_later(3600, int).cancel()

    threads = [threading.Thread(target=post, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert child(lambda: refused(lambda: rt.post(int))) is True
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert rt.submit(int).result(PATIENCE_SECONDS) == 0


def test_what_the_child_does_with_its_copies_leaves_the_parents_poller_alone(rt: Runtime) -> None:
    left, right = socket.socketpair()
    with left, right:
        got = threading.Event()

        def read() -> None:
            left.recv(1)
            rt.remove_reader(left)
            got.set()

        rt.add_reader(left, read)
        timer = rt.call_later(3600, int)

        def work() -> list[bool]:
            return [rt.remove_reader(left), timer.cancel()]

        assert child(work) == [False, True]
        right.send(b"x")
        assert got.wait(PATIENCE_SECONDS)
        assert not timer.cancelled()
        timer.cancel()


def test_signals_of_the_child_are_not_the_parents_runtimes(rt: Runtime) -> None:
    got = threading.Event()
    heard: list[str] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append("plain"))
    try:
        rt.add_signal_handler(signal.SIGUSR1, got.set)

        def work() -> list[str]:
            signal.raise_signal(signal.SIGUSR1)
            return heard

        assert child(work) == ["plain"]
        assert not got.is_set()
        signal.raise_signal(signal.SIGUSR1)
        assert got.wait(PATIENCE_SECONDS)
        rt.remove_signal_handler(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_callback_may_fork(rt: Runtime) -> None:
    def fork() -> Any:
        return child(lambda: [current_color() is None, refused(lambda: rt.post(int))])

    assert rt.color("forks").submit(fork).result(PATIENCE_SECONDS) == [True, True]


def test_a_child_that_returns_from_the_callback_runs_no_work_of_the_parent() -> None:
    done = finish("""
        import os, signal
        from colorsched import Runtime
        def fork():
            pid = os.fork()
            if pid:
                print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            else:
                signal.alarm(20)
        with Runtime() as rt:
            color = rt.color("c")
            color.post(fork)
            color.post(os.write, 1, b"behind it\\n")
            rt.color("d").post(os.write, 1, b"beside it\\n")
    """)
    assert done.stderr == ""
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["behind it", "beside it", "status 0"]


def test_a_fork_while_the_parent_drains_and_its_child_exits_normally() -> None:
    done = finish("""
        import os, sys, threading
        from colorsched import Runtime
        rt = Runtime(workers=2)
        gate = threading.Event()
        rt.post(gate.wait)
        draining = threading.Thread(target=rt.drain)
        draining.start()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            sys.exit(5)   # through the interpreter's own exit
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        gate.set()
        draining.join()
        rt.shutdown()
        print("status", status)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "status 5\n", "")


def test_a_gate_held_in_the_parent_does_not_hold_the_child(rt: Runtime) -> None:
    with Gate() as gate:
        rt.post(gate)
        gate.reached()
        assert child(lambda: refused(lambda: rt.submit(int))) is True
