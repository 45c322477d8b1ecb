"""What callbacks raise: it reaches the handler, the log or the future, and never ends a worker."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime, colored, current_color
from colorsched.events import Observer
from runtime.processes import finish
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched import Color


class Odd(BaseException):
    """Neither an Exception nor one of Python's own."""


class UnprintableError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


KINDS = [
    ValueError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    StopIteration,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    MemoryError,
    Odd,
]


def throw(error: BaseException) -> None:
    raise error


class Caught:
    """An exception handler that remembers what it got, and in which color."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.colors: list[Color | None] = []

    def __call__(self, error: BaseException) -> None:
        self.errors.append(error)
        self.colors.append(current_color())


@pytest.fixture
def caught() -> Caught:
    return Caught()


@pytest.fixture
def runtime(caught: Caught) -> Iterator[Runtime]:
    with Runtime(workers=2, exception_handler=caught) as runtime:
        yield runtime


def by_post(color: Color, error: BaseException) -> None:
    color.post(throw, error)


def by_timer(color: Color, error: BaseException) -> None:
    color.call_later(0, throw, error)


def by_dispatch(color: Color, error: BaseException) -> None:
    other = color._scheduler.registry.get("another")

    def dispatches() -> None:
        assert color.dispatch(throw, error) is None  # raised there, and not here

    other.submit(dispatches).result(PATIENCE_SECONDS)


def by_reader(color: Color, error: BaseException) -> None:
    reader, writer = os.pipe()
    seen = threading.Event()

    def read() -> None:
        color.remove_reader(reader)
        seen.set()
        raise error

    try:
        color.add_reader(reader, read)
        os.write(writer, b"x")
        assert seen.wait(PATIENCE_SECONDS)
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("post", [by_post, by_timer, by_dispatch, by_reader])
def test_the_handler_gets_every_kind_of_exception_in_the_color(
    runtime: Runtime,
    caught: Caught,
    kind: type[BaseException],
    post: Callable[[Color, BaseException], None],
) -> None:
    workers = [t for t in threading.enumerate() if t.name.startswith("colorsched-worker")]
    color = runtime.color("raises")
    error = kind("no")
    post(color, error)
    assert runtime.drain(PATIENCE_SECONDS)
    assert caught.errors == [error]
    assert caught.errors[0] is error
    assert caught.colors == [color]
    assert color.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8
    assert all(worker.is_alive() for worker in workers)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_submitted_function_raises_is_its_futures(
    runtime: Runtime, caught: Caught, kind: type[BaseException]
) -> None:
    error = kind("no")
    future = runtime.submit(throw, error)
    assert future.exception(PATIENCE_SECONDS) is error
    with pytest.raises(kind) as raised:
        future.result()
    assert raised.value is error
    assert runtime.drain(PATIENCE_SECONDS)
    assert caught.errors == []


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not StopIteration])
@pytest.mark.parametrize("how", ["spawn", "hold"])
def test_what_a_coroutine_raises_is_its_futures(
    runtime: Runtime, caught: Caught, kind: type[BaseException], how: str
) -> None:
    error = kind("no")

    async def raises() -> None:
        await asyncio.sleep(0)
        raise error

    color = runtime.color("async")
    future: Any = color.spawn(raises()) if how == "spawn" else color.submit(raises)
    if kind is asyncio.CancelledError:
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(PATIENCE_SECONDS)
        assert future.cancelled()
    else:
        assert future.exception(PATIENCE_SECONDS) is error
    assert runtime.drain(PATIENCE_SECONDS)
    assert caught.errors == []
    assert color.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8


def test_wrong_arguments_of_a_coroutine_function_reach_the_future(runtime: Runtime) -> None:
    async def one(argument: int) -> int:
        return argument

    with pytest.raises(TypeError, match="argument"):
        runtime.submit(one).result(PATIENCE_SECONDS)  # type: ignore[call-overload]  # that is the test
    with pytest.raises(TypeError, match="argument"):
        colored("c")(one)().result(PATIENCE_SECONDS)  # type: ignore[call-arg]  # that is the test


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_is_not_lost_in_a_color_that_has_a_loop(
    runtime: Runtime, caught: Caught, kind: type[BaseException]
) -> None:
    color = runtime.color("async")

    async def ready() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    loop = color.spawn(ready()).result(PATIENCE_SECONDS)  # held, so that the color keeps its loop
    error = kind("no")
    color.post(throw, error)
    assert runtime.drain(PATIENCE_SECONDS)
    assert caught.errors == [error]
    assert color.loop is loop


def test_what_nobody_handles_is_logged_with_its_traceback(
    rt: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    rt.color("purple").post(throw, ValueError("lost?"))
    assert rt.drain(PATIENCE_SECONDS)
    [record] = [record for record in caplog.records if record.name == "colorsched"]
    assert record.levelno == logging.ERROR
    assert "purple" in record.getMessage()
    assert "in throw" in caplog.text
    assert "ValueError: lost?" in caplog.text


def test_a_program_that_configured_no_logging_sees_it_on_stderr() -> None:
    # No NullHandler: as with asyncio, an error that nobody asked for must be seen.
    done = finish("""
        from colorsched import Runtime
        def broken():
            1 / 0
        with Runtime() as rt:
            rt.post(broken)
    """)
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stderr
    assert "in broken" in done.stderr
    assert "<color DEFAULT>" in done.stderr


def test_a_handler_that_raises_is_logged_with_both_tracebacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(error: BaseException) -> None:
        raise Odd("second")

    with Runtime(exception_handler=handler) as runtime:
        runtime.post(throw, ValueError("first"))
        assert runtime.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8
    assert "ValueError: first" in caplog.text
    assert "Odd: second" in caplog.text


def test_not_even_logging_that_raises_ends_a_worker(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("colorsched")

    def broken(record: logging.LogRecord) -> bool:
        raise Odd("the filter")

    logger.addFilter(broken)
    try:
        with Runtime() as runtime:
            runtime.post(throw, UnprintableError())
            assert runtime.submit(pow, 2, 3).result(PATIENCE_SECONDS) == 8
    finally:
        logger.removeFilter(broken)
    assert "Odd: the filter" in capfd.readouterr().err


def test_the_handler_sees_the_context_of_the_callback() -> None:
    name: ContextVar[str] = ContextVar("name")
    seen: list[str] = []

    def fail() -> None:
        name.set("inner")
        raise ValueError("no")

    with Runtime(exception_handler=lambda _: seen.append(name.get())) as runtime:
        runtime.post(fail)
    assert seen == ["inner"]


def test_the_handler_may_post_and_what_that_raises_comes_back_to_it() -> None:
    seen: list[str] = []

    def handler(error: BaseException) -> None:
        seen.append(str(error))
        if len(seen) < 3:
            own.color(len(seen)).post(throw, ValueError(str(len(seen))))

    with Runtime(exception_handler=handler) as own:
        own.post(throw, ValueError("0"))
    assert seen == ["0", "1", "2"]


# -- coroutines that nobody would run ----------------------------------------------------------


async def never() -> None:
    """Posted as if it were a plain function."""


@pytest.mark.parametrize("observer", [None, Observer()])
@pytest.mark.parametrize("way", ["post", "call_later", "dispatch", "held", "add_reader"])
def test_an_async_function_that_was_posted_is_told_and_leaves_no_coroutine(
    way: str, observer: Observer | None
) -> None:
    """It would never run. That of a coroutine nobody awaited is a warning, which fails a test."""
    errors: list[BaseException] = []
    told = threading.Event()

    def tell(error: BaseException) -> None:
        errors.append(error)
        told.set()

    reader, writer = os.pipe()
    with Runtime(workers=1, exception_handler=tell, observer=observer) as rt:
        color = rt.color("a")
        if way == "post":
            color.post(never)
        elif way == "call_later":
            color.call_later(0, never)
        elif way == "dispatch":
            rt.color("b").submit(color.dispatch, never)
        elif way == "held":
            color.submit(_await_turns)
            color.post(never)
        else:
            color.add_reader(reader, never)
            os.write(writer, b"x")
            assert told.wait(PATIENCE_SECONDS)
            color.remove_reader(reader)
    os.close(reader)
    os.close(writer)
    assert isinstance(errors[0], TypeError)
    assert str(errors[0]).startswith("never was posted as a plain function and returned a corout")


async def _await_turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
