"""Functions that the tests of slots run elsewhere: they must be importable there."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from colorsched import colored, current_color, current_runtime, local


def add(left: int, right: int) -> int:
    return left + right


def pid() -> int:
    return os.getpid()


def same(thing: Any) -> Any:
    return thing


def fail(message: str) -> None:
    raise KeyError(message)


def leave() -> None:
    raise SystemExit("in a slot")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_hard(status: int = 3) -> None:
    os._exit(status)


def count() -> int:
    state = local()
    state["calls"] = state.get("calls", 0) + 1
    return int(state["calls"])


def forget() -> None:
    local().clear()


def write(path: str, text: str) -> None:
    """Append a line, in one write, so that lines of several processes do not mix."""
    with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - as simple as can be: it runs in a slot
        file.write(f"{text}\n")


def write_and_die(path: str, text: str, times: int) -> None:
    """Write, and die of it the first so many times."""
    write(path, text)
    if Path(path).read_text("utf-8").splitlines().count(text) <= times:
        die()


def wait_for(path: str, patience: float = 30.0) -> float:
    """Wait until a file is there; return the clock then. The only door between processes."""
    until = time.monotonic() + patience
    while not os.path.exists(path):  # noqa: PTH110 - as above
        if time.monotonic() > until:
            raise TimeoutError(path)
        time.sleep(0.001)
    return time.monotonic()


def start_and_wait(started: str, go_on: str) -> float:
    Path(started).touch()
    return wait_for(go_on)


def meet(folder: str, name: str, count: int, patience: float = 60.0) -> None:
    """Wait until so many are here, each in a slot of its own."""
    Path(folder, name).touch()
    until = time.monotonic() + patience
    while len(os.listdir(folder)) < count:  # noqa: PTH208 - as above
        if time.monotonic() > until:
            raise TimeoutError(f"{name} waits for {count}")
        time.sleep(0.001)


def big(size: int) -> bytes:
    return bytes(size)


def unpicklable() -> Any:
    return lambda: None


def generate() -> Any:
    return (number for number in range(3))


class StubbornError(Exception):
    """An error that can be pickled, and not made again."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__(f"{left}, {right}")


def stubborn() -> None:
    raise StubbornError(1, 2)


def post_more(numbers: list[int], path: str) -> None:
    """Post the rest to this color, one after the other."""
    write(path, str(numbers[0]))
    color = current_color()
    assert color is not None
    if numbers[1:]:
        color.post(post_more, numbers[1:], path)


def post_to(key: str, path: str) -> str:
    current_runtime().color(key).post(write, path, key)
    color = current_color()
    assert color is not None
    return str(color.key)


def ask_for_more() -> None:
    current_runtime().submit(add, 1, 2)


@colored(lambda number: number % 2)
def double(number: int) -> int:
    return 2 * number


@colored("here", where="thread")
def here() -> int:
    return os.getpid()


@colored("there", where="slot")
def there() -> int:
    return os.getpid()


class Account:
    def __init__(self, name: str) -> None:
        self.name = name

    @colored(lambda self, *_: self.name, where="slot")
    def total(self, *amounts: int) -> int:
        return sum(amounts)


class UnpicklableError(Exception):
    """An error that holds what cannot be pickled."""


def raise_unpicklable() -> None:
    raise UnpicklableError(lambda: None)


class NastyError(Exception):
    """An error that fails when it is looked at."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        if self.what == "str":
            raise ValueError("nasty")
        return "nasty"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.what == "reduce":
            raise SystemExit("nasty")
        return NastyError, (self.what,), {"what": self.what}

    def __setstate__(self, state: Any) -> None:
        if self.what == "setstate":
            raise SystemExit("nasty")


def raise_nasty(what: str) -> None:
    raise NastyError(what)


def give_nasty() -> NastyError:
    """Return what leaves the process when it is pickled."""
    return NastyError("reduce")


class Leaves:
    """Leaves the process when it is made again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _exit, ()


def _exit() -> None:
    raise SystemExit("while it is loaded")


def give_coroutine() -> Any:
    async def coroutine() -> None:
        """Never run."""

    return coroutine()


class HereOnly:
    """Cannot be made again in the process whose number it was not made with."""

    def __init__(self, process: int) -> None:
        self.process = process

    def __reduce__(self) -> tuple[Any, ...]:
        return _only_in, (self.process,)


def _only_in(process: int) -> HereOnly:
    if process != os.getpid():
        raise ValueError(f"not in process {os.getpid()}")
    return HereOnly(process)


def die_while_answering(size: int) -> bytes:
    """Give a large answer, and die when a half of it is written."""
    send: Any = Connection._send  # type: ignore[attr-defined]  # what all of its writes go through

    def send_a_half(pipe: Any, data: Any, *rest: Any) -> None:
        if len(data) < size:
            send(pipe, data, *rest)
        else:
            send(pipe, data[: size // 2], *rest)
            die()

    Connection._send = send_a_half  # type: ignore[attr-defined]  # as above
    return bytes(size)


def leave_a_child(path: str) -> int:
    """Fork a process that holds all that this one has, until a file is there."""
    child = os.fork()
    if child == 0:
        try:
            wait_for(path)
        finally:
            os._exit(0)
    return child


def leave_a_child_and_die(path: str) -> None:
    leave_a_child(path)
    die()


def close_everything_and_wait(path: str) -> None:
    os.closerange(3, 256)
    wait_for(path)


def parent() -> int:
    return os.getppid()


def make_here_only() -> HereOnly:
    return HereOnly(os.getpid())


_files: dict[str, int] = {}


def step(path: str, key: int, number: int) -> tuple[int, str, int, int]:
    """Write that it begins; tell who it is, where, which one ran before it there, and how many did.

    By the color's own dictionary: two at once, or a false order, show in it.
    """
    if path not in _files:
        _files[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_files[path], f"{key} {number}\n".encode())
    state = local()
    where = state.setdefault("where", f"{os.getpid()} {time.monotonic_ns()}")
    before = state.get("last", -1)
    state["last"] = number
    state["steps"] = state.get("steps", 0) + 1
    return number, where, before, state["steps"]
