"""Slots that are processes: how they end, what ends with them, and what does not."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from multiprocessing.context import SpawnProcess
from pathlib import Path
from pickle import PicklingError
from typing import TYPE_CHECKING, Any

import pytest

import slot_functions as there
from colorsched import ForkedRuntime, Retry, Runtime, WorkerLost
from colorsched.executors.slots import processes
from colorsched.executors.slots.processes import BOOTING, LaneLost, ProcessLane
from runtime.processes import in_child
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def rt() -> Iterator[Runtime]:
    """Two processes for all tests that leave them in order: those lost are replaced."""
    with Runtime(executor="processes", workers=2) as runtime:
        yield runtime


def result(future: Future[Any]) -> Any:
    return future.result(PATIENCE_SECONDS)


def lost(future: Future[Any]) -> WorkerLost:
    error = future.exception(PATIENCE_SECONDS)
    assert isinstance(error, WorkerLost), error
    return error


def await_end(pid: int) -> None:
    """Wait until a process is gone, whoever's child it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_SECONDS)
        assert ready, f"process {pid} goes on"
    finally:
        os.close(descriptor)


# -- one lane ---------------------------------------------------------------------------------


def test_a_lane_without_room_for_an_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread must not end, with somebody waiting for ever."""

    class NoRoom:
        def __init__(self, pipe: Any) -> None:
            self._pipe = pipe

        def recv_bytes(self) -> bytes:
            self._pipe.recv_bytes()
            raise MemoryError

        def __getattr__(self, name: str) -> Any:
            return getattr(self._pipe, name)

    monkeypatch.setattr(processes, "END_SECONDS", 0)
    lane = ProcessLane()
    monkeypatch.setattr(lane, "_pipe", NoRoom(lane._pipe))
    with pytest.raises(LaneLost):
        lane.submit(int).result(PATIENCE_SECONDS)
    lane.shutdown()


# -- what happens to a process ----------------------------------------------------------------


def test_callbacks_run_in_other_processes(rt: Runtime) -> None:
    assert result(rt.color("red").submit(there.pid)) != os.getpid()
    assert result(rt.color("red").submit(there.parent)) == os.getpid()


@pytest.mark.parametrize(
    ("fn", "how"),
    [(there.die, "was ended by SIGKILL"), (there.exit_hard, "exited with status 3")],
)
def test_a_process_that_ends_in_a_callback(rt: Runtime, fn: Any, how: str) -> None:
    color = rt.color(f"lost by {how}")
    before = rt.stats().lost
    one, two, three = color.submit(there.add, 1, 2), color.submit(fn), color.submit(there.add, 3, 4)
    error = lost(two)
    assert error.running == f"{fn.__name__} in color 'lost by {how}'"
    assert how in str(error)
    if not isinstance(one.exception(PATIENCE_SECONDS), WorkerLost):
        assert result(one) == 3
    assert result(three) == 7
    assert rt.stats().lost == before + 1


def test_a_process_that_is_killed_in_the_middle_of_its_answer(rt: Runtime) -> None:
    error = lost(rt.color("large").submit(there.die_while_answering, 20_000_000))
    assert "die_while_answering ran to its end, and its outcome is lost" in str(error)
    assert len(result(rt.color("large").submit(there.big, 20_000_000))) == 20_000_000


def test_a_process_that_is_killed_while_it_is_idle(rt: Runtime) -> None:
    pid = result(rt.color("idle").submit(there.pid))
    os.kill(pid, signal.SIGKILL)
    await_end(pid)
    assert result(rt.color("idle").submit(there.add, 1, 2)) == 3
    assert result(rt.color("idle").submit(there.pid)) != pid


def test_a_process_whose_child_holds_all_that_it_had(rt: Runtime, tmp_path: Path) -> None:
    """The end of the pipe must be seen though a forked process goes on."""
    go_on = tmp_path / "go on"
    try:
        lost(rt.color("fork").submit(there.leave_a_child_and_die, str(go_on)))
    finally:
        go_on.touch()


def test_a_process_that_closes_its_pipe_and_goes_on(rt: Runtime, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    try:
        lost(rt.color("closes").submit(there.close_everything_and_wait, str(go_on)))
    finally:
        go_on.touch()


def test_what_kills_is_run_again_if_it_is_to_be(rt: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "written"
    color = rt.color("again").on("slot", retry=Retry(2))
    first = color.submit(there.write_and_die, str(path), "one", 2)
    second = color.submit(there.write, str(path), "two")
    result(first)
    result(second)
    assert path.read_text("utf-8").split() == ["one", "one", "one", "two"]


# -- lanes by themselves ----------------------------------------------------------------------


def test_a_lane_takes_calls_until_its_process_is_lost() -> None:
    lane = ProcessLane()
    try:
        assert result(lane.submit(there.add, 1, 2)) == 3
        with pytest.raises(KeyError, match="why"):
            result(lane.submit(there.fail, "why"))
        with pytest.raises((AttributeError, PicklingError), match="lambda"):
            result(lane.submit(there.unpicklable))
        assert isinstance(lane.submit(there.die).exception(PATIENCE_SECONDS), LaneLost)
        with pytest.raises(LaneLost, match="was ended by SIGKILL"):
            lane.submit(there.add, 1, 2)
        assert lane.came() == (0, 0)
    finally:
        lane.shutdown()
    with pytest.raises(RuntimeError, match="was shut down"):
        lane.submit(there.add, 1, 2)
    lane.shutdown()


def test_a_process_that_starts_while_it_is_given_a_call_is_seen_to_have_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its death would be told with the advice for processes that cannot start."""

    class Cell:
        """The process sets it right after somebody has read it for the first time."""

        def __init__(self) -> None:
            self._value = BOOTING

        @property
        def value(self) -> int:
            found, self._value = self._value, 0
            return found

        @value.setter
        def value(self, value: int) -> None:
            self._value = value

    lane, cell = ProcessLane(), Cell()
    monkeypatch.setattr(lane, "_cell", cell)
    try:
        assert result(lane.submit(there.add, 1, 2)) == 3
        assert cell.value != BOOTING
    finally:
        lane.shutdown()


def test_a_shutdown_cancels_calls_that_wait(tmp_path: Path) -> None:
    lane, started, go_on = ProcessLane(), tmp_path / "started", tmp_path / "go on"
    running = lane.submit(there.start_and_wait, str(started), str(go_on))
    there.wait_for(str(started))
    waits = [lane.submit(there.add, 1, n) for n in range(3)]
    lane.shutdown(wait=False, cancel_futures=True)
    go_on.touch()
    assert result(running) > 0
    assert all(future.cancelled() for future in waits)
    pid = lane.pid
    lane.shutdown()
    assert pid is not None
    await_end(pid)


def test_an_answer_that_cannot_be_read_is_no_loss() -> None:
    lane = ProcessLane()
    try:
        with pytest.raises(ValueError, match="not in process"):
            lane.submit(there.make_here_only).result(PATIENCE_SECONDS)
        assert result(lane.submit(there.add, 1, 2)) == 3
    finally:
        lane.shutdown()


# -- programs ---------------------------------------------------------------------------------


def program(folder: Path, text: str) -> list[str]:
    path = folder / "program.py"
    path.write_text(text, "utf-8")
    return [sys.executable, "-W", "ignore::DeprecationWarning", str(path)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TESTS)}


def finish(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. One that hangs is killed, and raises `TimeoutExpired`."""
    return subprocess.run(
        program(folder, text),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
        env=environment(),
    )


def test_a_main_module_without_its_guard_is_told_of(tmp_path: Path) -> None:
    done = finish(
        tmp_path,
        """
from colorsched import Runtime
with Runtime(executor="processes", workers=1) as rt:
    print(rt.color(0).submit(pow, 2, 3).exception())
""",
    )
    assert done.returncode == 0, done.stderr
    assert "pow was to run in 3 slots, and none of them began it" in done.stdout
    assert "before it had started" in done.stdout
    assert "if __name__ == '__main__':" in done.stdout


def test_what_the_main_module_defines_can_travel(tmp_path: Path) -> None:
    done = finish(
        tmp_path,
        """
from colorsched import Runtime
def double(number):
    return 2 * number
if __name__ == "__main__":
    with Runtime(executor="processes", workers=1) as rt:
        print(rt.color(0).submit(double, 4).result())
""",
    )
    assert (done.stdout, done.stderr) == ("8\n", "")


def test_a_module_that_is_not_there_is_told_to_who_waits(tmp_path: Path) -> None:
    done = finish(
        tmp_path,
        """
import sys, types
from colorsched import Runtime
if __name__ == "__main__":
    module = types.ModuleType("only_here")
    exec("def fn(): pass", module.__dict__)
    sys.modules["only_here"] = module
    with Runtime(executor="processes", workers=1) as rt:
        rt.color(0).submit(pow, 2, 3).result()
        print(rt.color(0).submit(module.fn).exception())
""",
    )
    assert "could not be loaded in its slot: ModuleNotFoundError" in done.stdout, done.stderr


def test_a_forgotten_runtime_ends_with_the_interpreter(tmp_path: Path) -> None:
    """Within seconds, and without a word, though a callback never ends and is to be retried."""
    done = finish(
        tmp_path,
        f"""
from colorsched import Retry, Runtime
import slot_functions
if __name__ == "__main__":
    rt = Runtime(executor="processes", workers=2, retry=Retry())
    pid = rt.color(1).submit(slot_functions.pid).result()
    rt.color(1).post(slot_functions.wait_for, {str(tmp_path / "never")!r}, 1e9)
    other = rt.color(0).submit(slot_functions.pid).result()
    print(pid, other)
""",
    )
    assert (done.returncode, done.stderr) == (0, "")
    for pid in done.stdout.split():
        await_end(int(pid))


ORPHANS = """
import sys
from colorsched import Runtime
import slot_functions
if __name__ == "__main__":
    rt = Runtime(executor="processes", workers=2)
    pids = [rt.color(n).submit(slot_functions.pid).result() for n in range(2)]
    rt.color(0).post(slot_functions.wait_for, sys.argv[1], 2.0)
    print(*pids, flush=True)
    sys.stdin.read()
"""


def test_a_parent_that_is_killed_leaves_no_orphan(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*program(tmp_path, ORPHANS), str(tmp_path / "go on")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.kill()
        process.wait(PATIENCE_SECONDS)
    (tmp_path / "go on").touch()
    for pid in pids:
        await_end(pid)


INTERRUPTED = """
import signal, sys
from contextlib import suppress
from colorsched import Runtime
import slot_functions
if __name__ == "__main__":
    # What a shell starts in the background inherits that it is deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Runtime(executor="processes", workers=1) as rt:
        before = rt.color(0).submit(slot_functions.pid).result()
        running = rt.color(0).submit(slot_functions.wait_for, sys.argv[1])
        try:
            print("ready", flush=True)
            while not running.done():  # a signal that comes just before a wait does not end it
                with suppress(TimeoutError):
                    running.result(0.05)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        running.result()
        print(rt.color(0).submit(slot_functions.pid).result() == before)
"""


def test_an_interrupt_of_all_leaves_slots_alone(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*program(tmp_path, INTERRUPTED), str(tmp_path / "go on")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
    finally:
        (tmp_path / "go on").touch()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (out, err, process.returncode) == ("True\n", "", 0)


def test_an_interrupt_while_they_are_ended_at_the_exit_keeps_nobody(tmp_path: Path) -> None:
    """A second Ctrl-C, in the second that their callbacks have: they are ended at once."""
    done = finish(
        tmp_path,
        """
import pathlib, signal, sys
import slot_functions
from colorsched import Runtime
from colorsched.executors.slots import processes

def hang(path):
    pathlib.Path(path).touch()
    signal.pause()

def interrupted(timeout):
    raise KeyboardInterrupt

if __name__ == "__main__":
    rt = Runtime(executor="processes", workers=2)
    for slot in range(2):
        rt.color(slot).post(hang, f"{__file__}.{slot}")
        slot_functions.wait_for(f"{__file__}.{slot}")
    for lane in processes._lanes:
        lane._thread.join = interrupted
""",
    )
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode == 0


def test_ctrl_c_leaves_a_process_alone_that_has_just_been_started() -> None:
    """Before it can say so itself: a signal that comes while Python starts would end it."""
    lane = ProcessLane()
    assert lane.pid is not None
    os.kill(lane.pid, signal.SIGINT)
    try:
        assert lane.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8
        # What callbacks start is as if nothing had been: it can be interrupted.
        blocked = lane.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ())
        assert signal.SIGINT not in blocked.result(PATIENCE_SECONDS)
    finally:
        lane.shutdown()


FIRST = """
import os, signal
from colorsched.executors.slots.processes import ProcessLane
if __name__ == "__main__":
    lane = ProcessLane()
    os.kill(lane.pid, signal.SIGINT)
    print(lane.submit(pow, 2, 3).result())
    lane.shutdown()
"""


def test_the_first_process_of_a_program_is_left_alone_too(tmp_path: Path) -> None:
    """It is started after the tracker of multiprocessing, which unblocks the signal again."""
    done = subprocess.run(
        program(tmp_path, FIRST),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("8\n", "", 0)


# -- forks ------------------------------------------------------------------------------------


def test_a_child_forked_while_a_process_starts_holds_no_pipe_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the death of that process would end no wait, as long as the child goes on."""
    reader, writer = os.pipe()
    children: list[int] = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            signal.alarm(int(PATIENCE_SECONDS))  # a child that hangs is killed
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        children.append(child)

    forking = threading.Thread(target=fork)
    start = SpawnProcess.start

    def started(process: SpawnProcess) -> None:
        start(process)
        forking.start()
        forking.join(0.1)  # it is to wait until the start is over, and it is here no more

    monkeypatch.setattr(SpawnProcess, "start", started)
    try:
        lane = ProcessLane()
        forking.join(PATIENCE_SECONDS)
        with pytest.raises(LaneLost):
            lane.submit(there.die).result(PATIENCE_SECONDS)
        lane.shutdown()
    finally:
        os.close(writer)
        os.close(reader)
        for child in children:
            os.waitpid(child, 0)


def test_a_forked_child_learns_whose_the_slots_are_and_holds_nothing_up() -> None:
    """And the parent shuts down while that child goes on."""
    reader, writer = os.pipe()
    go_on, told = os.pipe()
    runtime = Runtime(executor="processes", workers=1)
    pid_there = result(runtime.color(0).submit(there.pid))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(int(PATIENCE_SECONDS))  # a child that hangs is killed
            os.close(told)
            try:
                runtime.color(0).post(there.pid)
            except ForkedRuntime as error:
                words = str(error)
            else:
                words = "posted"
            runtime.shutdown()
            with Runtime(executor="processes", workers=1) as own:
                answer = own.color(0).submit(there.parent).result()
            os.write(writer, json.dumps([words, answer == os.getpid()]).encode() + b"\n")
            os.read(go_on, 1)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    os.close(go_on)
    with os.fdopen(reader) as pipe:
        words, own = json.loads(pipe.readline())
    assert "Make a new Runtime in the child" in words
    assert own
    assert result(runtime.color(0).submit(there.pid)) == pid_there
    runtime.shutdown(wait=False)
    await_end(pid_there)
    os.close(told)
    assert in_child(child) == (0, True)


def test_a_forked_child_that_exits_says_nothing_of_slots(tmp_path: Path) -> None:
    done = finish(
        tmp_path,
        """
import os, sys
from colorsched import Runtime
if __name__ == "__main__":
    with Runtime(executor="processes", workers=1) as rt:
        rt.color(0).submit(pow, 2, 3).result()
        child = os.fork()
        if child == 0:
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
