"""Accesses: who is told of them, where they are said to be, and how one place is silenced."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Iterator  # noqa: TC003 - a generator function's annotation, looked up
from typing import Any

import pytest

from access_recorder import Recorder
from colorsched import Runtime
from colorsched.events import Observer, Ticket
from colorsched.testing.access import Site, benign
from colorsched.testing.observers import Observers
from colorsched.testing.shared import Shared


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def box() -> Shared[int]:
    return Shared(0, name="box")


def line_here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_outside_of_callbacks_nothing_is_told(recorder: Recorder, box: Shared[int]) -> None:
    box.set(box.get() + 1)
    assert recorder.accesses == []


def test_an_access_tells_what_where_and_how_it_is_called(
    recorder: Recorder, box: Shared[int]
) -> None:
    with recorder.watching():
        box.get()
        read_at = line_here() - 1
        box.set(3)
    (first, second) = recorder.accesses
    assert first[:4] == (box, "value", False, "box")
    assert second[:4] == (box, "value", True, "box")
    site = first[4]
    assert site.line == read_at
    assert site.file == __file__
    assert site.function == "test_an_access_tells_what_where_and_how_it_is_called"
    assert str(site) == f"{__file__}:{read_at}, {site.function}"
    assert second[4].line == read_at + 2


def test_sites_are_equal_when_they_are_one_instruction(
    recorder: Recorder, box: Shared[int]
) -> None:
    with recorder.watching():
        for _ in range(2):
            box.get()
        box.get()
    first, again, other = (site for *_, site in recorder.accesses)
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert first != tuple(first)
    assert len({first, again, other}) == 2


def test_an_instruction_without_a_line_is_in_its_functions_first() -> None:
    code = line_here.__code__
    assert Site(code, 10**6).line == code.co_firstlineno


# -- silence ------------------------------------------------------------------------------------


def test_silenced_accesses_are_told_with_their_reason(recorder: Recorder, box: Shared[int]) -> None:
    with recorder.watching():
        with benign("only a hint"):
            box.get()
        assert recorder.accesses == []
        box.get()
    assert len(recorder.accesses) == 1
    assert recorder.silences == [
        ("only a hint", "test_silenced_accesses_are_told_with_their_reason")
    ]


def test_one_of_several_observers_is_told_of_silences(box: Shared[int]) -> None:
    class Listener(Observer):
        told: str = ""

        def silenced(self, ticket: Ticket, reason: str, site: object) -> None:
            self.told = reason

    def quietly() -> None:
        with benign("only a hint"):
            box.get()

    listener = Listener()
    with Runtime(workers=1, observer=Observers([Observer(), listener])) as rt:
        rt.post(quietly)
    assert listener.told == "only a hint"


def test_silences_nest(recorder: Recorder, box: Shared[int]) -> None:
    again = benign("again")
    with recorder.watching():
        with again:
            with benign("inner"), again:
                box.get()
            box.get()
        box.get()
    assert len(recorder.accesses) == 1
    assert [reason for reason, _ in recorder.silences] == ["again", "again"]


def test_the_innermost_silence_gives_the_reason(recorder: Recorder, box: Shared[int]) -> None:
    with recorder.watching(), benign("outer"):
        with benign("inner"):
            box.get()
        box.get()
    assert [reason for reason, _ in recorder.silences] == ["inner", "outer"]


def test_a_callback_that_a_coroutine_dispatches_is_not_silenced(
    recorder: Recorder, box: Shared[int]
) -> None:
    async def quiet() -> None:
        with benign("mine"), recorder.watching("blue"):
            box.get()

    with recorder.watching("red"):
        asyncio.run(quiet())
    assert len(recorder.accesses) == 1


def test_a_callback_posted_inside_is_not_silenced(recorder: Recorder, box: Shared[int]) -> None:
    with recorder.watching(), benign("mine"):
        context = contextvars.copy_context()
    with recorder.watching():
        context.run(box.get)
    assert len(recorder.accesses) == 1


def test_a_callback_dispatched_inside_is_not_silenced(recorder: Recorder, box: Shared[int]) -> None:
    with recorder.watching("red"), benign("mine"):
        with recorder.watching("blue"):
            box.get()
        box.get()
    assert len(recorder.accesses) == 1


def test_a_coroutine_is_silenced_across_its_awaits_and_no_other(
    recorder: Recorder, box: Shared[int]
) -> None:
    async def quiet() -> None:
        with benign("mine"):
            box.set(1)
            child = asyncio.create_task(loud())
            # Each step is a callback with a ticket of its own.
            with recorder.watching():
                await asyncio.sleep(0)
                box.set(2)
            await child

    async def loud() -> None:
        box.get()

    async def both() -> None:
        await asyncio.gather(quiet(), loud())

    with recorder.watching():
        asyncio.run(both())
    assert {
        (write, site.function.rpartition(".")[2]) for *_, write, _, site in recorder.accesses
    } == {(False, "loud")}
    assert len(recorder.silences) == 2


def test_benign_decorates_functions_and_coroutine_functions(
    recorder: Recorder, box: Shared[int]
) -> None:
    @benign("a hint")
    def glance() -> int:
        return box.get()

    @benign("a hint")
    async def peek(steps: int) -> int:
        await asyncio.sleep(0)
        return box.get() + steps

    with recorder.watching():
        assert glance() == 0
        assert asyncio.run(peek(2)) == 2
        assert recorder.accesses == []
        box.get()
    assert glance.__name__ == "glance"
    assert len(recorder.accesses) == 1
    assert len(recorder.silences) == 2


def test_an_exception_ends_the_silence(recorder: Recorder, box: Shared[int]) -> None:
    with recorder.watching():
        with pytest.raises(KeyError), benign("mine"):
            raise KeyError
        box.get()
    assert len(recorder.accesses) == 1


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_silence_needs_a_reason(reason: str) -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        benign(reason)


def test_benign_without_a_reason_is_explained() -> None:
    def glance() -> None: ...

    unexpected: Any = glance
    with pytest.raises(TypeError, match="give the reason"):
        benign(unexpected)


def test_a_generator_is_not_decorated() -> None:
    def steps() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match=r"generator .*steps.* inside"):
        benign("no")(steps)
