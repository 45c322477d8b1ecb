"""Slots as users meet them: what they can say, what they get, what they are told if it is wrong."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import slot_functions as there
from colorsched import (
    CannotTravel,
    ColorDeadlock,
    DeadLetter,
    NoRuntime,
    Retry,
    Runtime,
    RuntimeShutdown,
    WorkerLost,
    colored,
    current_color,
    current_runtime,
    local,
    run,
    slots,
)
from colorsched.errors import NoSlots
from colorsched.executors.slots import placing, ray
from colorsched.executors.slots.engines import GivenLanes
from colorsched.ports import Doors, here
from colorsched.runtime import enter, leave
from colorsched.sources.poller import open_poller
from colorsched.testing import RaceDetector
from colorsched.testing.conforms import conforms
from colorsched.testing.trace import Recorder
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future


def in_threads(count: int = 2, **options: Any) -> Runtime:
    """A runtime whose slots are threads: quick to make, and callbacks may be any."""
    lanes = slots([lambda: ThreadPoolExecutor(1)] * count)
    return Runtime(executor=lanes, travel="reference", **options)


@pytest.fixture
def rt() -> Iterator[Runtime]:
    with in_threads() as runtime:
        yield runtime


@pytest.fixture(scope="module")
def far() -> Iterator[Runtime]:
    """Slots that share no memory with us."""
    with Runtime(executor="processes", workers=2) as runtime:
        yield runtime


def result(future: Future[Any]) -> Any:
    return future.result(PATIENCE_SECONDS)


# -- making one -------------------------------------------------------------------------------


_no_lane: Any = object
"""What it makes is no executor."""


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"executor": "cores"}, ValueError, "executor='cores': there are 'threads', 'processes'"),
        (
            {"executor": "processes", "address": "auto"},
            ValueError,
            "address='auto' is for executor='ray'",
        ),
        ({"address": "auto"}, ValueError, "is for executor='ray', not for 'threads'"),
        (
            {"executor": "processes", "travel": "reference"},
            ValueError,
            r"travel='reference' is for slots\(\[...\]\) in this process, not for executor='proc",
        ),
        ({"travel": "pickle"}, ValueError, "travel='pickle' is for slots"),
        ({"retry": Retry()}, ValueError, r"retry=Retry\(times=3, dead_letter=None\) is for slots"),
        ({"executor": "processes", "travel": "mail"}, ValueError, "travel='mail': there are"),
        ({"executor": "processes", "retry": 3}, TypeError, "retry must be a Retry, as .*, not 3"),
        ({"executor": "processes", "workers": 0}, ValueError, "workers must be at least 1, not 0"),
        ({"executor": "processes", "workers": 1.5}, TypeError, "workers must be a whole number"),
        ({"executor": "processes", "max_workers": 0}, ValueError, "max_workers must be at least 1"),
        (
            {"executor": slots([ThreadPoolExecutor(1)]), "workers": 2},
            ValueError,
            r"workers=2, and slots\(\) has 1: leave workers out",
        ),
        (
            {"executor": slots([ThreadPoolExecutor(1)]), "address": "x"},
            ValueError,
            "is for executor='ray'",
        ),
        (
            {"executor": slots([_no_lane])},
            TypeError,
            "a slot must be a concurrent.futures.Executor, not",
        ),
        (
            {"executor": slots([lambda: ThreadPoolExecutor(2)])},
            ValueError,
            "a slot has one lane, and .* has 2: order would be",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Runtime(**options)


@pytest.mark.parametrize(
    "options", [{"travel": "mail"}, {"retry": 3}, {"max_workers": 0}, {"exception_handler": 3}]
)
def test_no_cluster_is_joined_for_what_makes_no_sense(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "ray_engine", None)  # to call it is another TypeError
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        Runtime(executor="ray", **options)


@pytest.mark.parametrize(
    ("lanes", "error", "words"),
    [
        ([], ValueError, "at least one executor"),
        ([ThreadPoolExecutor(2)], ValueError, "a slot has one lane, and .* has 2: order would be"),
        ([3], TypeError, "takes executors, and functions that make one, not 3"),
        (ThreadPoolExecutor(1), TypeError, r"slots\(\) takes a list, as slots\(\[...\]\), not <"),
    ],
)
def test_slots_that_make_no_sense_are_refused(
    lanes: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        slots(lanes)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"times": 0}, ValueError, "Retry: times must be at least 1, not 0"),
        ({"times": 1.5}, TypeError, "Retry: times must be a whole number, not 1.5"),
        ({"times": True}, TypeError, "Retry: times must be a whole number, not True"),
        ({"dead_letter": "mail"}, TypeError, "Retry: dead_letter must be callable, not 'mail'"),
    ],
)
def test_retries_that_make_no_sense_are_refused(
    values: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Retry(**values)


def test_lanes_made_before_one_that_fails_are_ended() -> None:
    first = ThreadPoolExecutor(1)

    def fail() -> ThreadPoolExecutor:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        Runtime(executor=slots([lambda: first, fail]))
    with pytest.raises(RuntimeError):
        first.submit(int)


def test_nothing_is_left_open_by_a_runtime_without_its_slots() -> None:
    pollers: list[Any] = []

    def poller() -> Any:
        pollers.append(open_poller())
        return pollers[-1]

    def fail() -> ThreadPoolExecutor:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        Runtime(executor=slots([fail]), doors=Doors(poller=poller))
    with pytest.raises((OSError, ValueError)):
        pollers[0].wait(0)


class Engine(GivenLanes):
    """Tells whether what all its slots share was given back."""

    def __init__(self) -> None:
        super().__init__([ThreadPoolExecutor(1)])
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_an_engine_is_given_back_if_there_is_no_such_travel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine()
    engine.travel = "mail"
    monkeypatch.setattr(placing, "engine_for", lambda *_: engine)
    with pytest.raises(ValueError, match="travel='mail'"):
        Runtime(executor="processes")
    assert engine.closed


@pytest.mark.parametrize("options", [{"max_workers": 0}, {"exception_handler": "mail"}])
def test_no_engine_is_made_for_what_is_refused(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    made: list[object] = []
    monkeypatch.setattr(placing, "engine_for", lambda *_: made.append(Engine()))
    with pytest.raises((TypeError, ValueError), match=r"max_workers|exception_handler"):
        Runtime(executor="processes", **options)
    assert made == []


def test_it_shows_its_slots(rt: Runtime) -> None:
    assert "2 slots>" in repr(rt)
    assert result(rt.color(0).submit(int)) == 0
    stats = rt.stats()
    assert (stats.slots, stats.lost) == (2, 0)
    assert stats.batches >= 1
    with Runtime() as plain:
        assert plain.stats().slots == 0
        assert "slots" not in repr(plain)


def test_run_takes_slots() -> None:
    async def main() -> int:
        answer: int = await current_runtime().color("red").submit(there.pid)
        return answer

    assert run(main(), executor="processes", workers=1) != os.getpid()


def test_it_shuts_the_executors_down() -> None:
    lane = ThreadPoolExecutor(1)
    with Runtime(executor=slots([lane]), travel="reference") as rt:
        assert result(rt.submit(int)) == 0
    with pytest.raises(RuntimeError):
        lane.submit(int)
    with pytest.raises(RuntimeShutdown):
        rt.submit(int)


# -- where things run -------------------------------------------------------------------------


def test_plain_callbacks_run_in_slots_and_all_else_here(far: Runtime) -> None:
    color = far.color("red")

    async def where() -> int:
        return os.getpid()

    assert result(color.submit(there.pid)) != os.getpid()
    assert result(far.submit(there.pid)) != os.getpid()
    assert list(color.map(there.add, (1, 2), (3, 4))) == [4, 6]
    assert result(color.on("slot").submit(there.pid)) != os.getpid()
    assert result(color.on("thread").submit(there.pid)) == os.getpid()
    assert list(color.on("thread").map(os.getppid, ())) == []
    assert result(color.submit(where)) == os.getpid()
    assert result(color.spawn(where())) == os.getpid()
    seen: list[int] = []
    color.call_later(0, lambda: seen.append(os.getpid()))
    assert far.drain(PATIENCE_SECONDS)
    assert seen == [os.getpid()]


def test_a_color_is_an_executor_for_asyncio(far: Runtime) -> None:
    color = far.color("red")

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        places = (color, color.on("thread"), color.on("slot"), color.on("slot", retry=Retry()))
        return [await loop.run_in_executor(place, there.pid) for place in places]

    one, two, three, four = asyncio.run(main())
    assert two == os.getpid()
    assert len({one, three, four}) == 1
    assert one != two


def test_dispatch_posts(rt: Runtime) -> None:
    gate = Gate()
    rt.color("red").on("thread").submit(gate)
    gate.reached()
    handle = rt.color("red").dispatch(int)
    assert handle is not None
    assert handle.cancel()
    gate.open()


def test_threads_and_slots_share_the_order_of_a_color(rt: Runtime) -> None:
    color: Any = rt.color("red")
    seen: list[int] = []
    for number in range(200):
        place = color.on("thread") if number % 3 == 0 else color
        place.submit(seen.append, number)
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == list(range(200))


def test_on_threads_a_color_dispatches_within_a_turn(rt: Runtime) -> None:
    seen: list[str] = []

    def outer() -> None:
        rt.color("other").on("thread").dispatch(seen.append, "inner")
        seen.append("outer")

    result(rt.color("red").on("thread").submit(outer))
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == ["inner", "outer"]


def test_on_threads_a_color_that_cannot_run_at_once_is_posted_to_a_thread(rt: Runtime) -> None:
    """Not to a slot, for which it was not meant, and where it may be unable to go."""
    seen: list[object] = []
    place = rt.color("red").on("thread")
    place.dispatch(lambda: seen.append(here.slot))

    def inside() -> None:
        place.dispatch(lambda: seen.append(here.slot))
        seen.append("first")

    result(place.submit(inside))
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == [None, "first", None]


@pytest.mark.parametrize("where", ["thread", "slot"])
def test_a_part_of_a_color_is_not_shut_down_alone(rt: Runtime, where: Any) -> None:
    with rt.color("red").on(where) as place:
        assert result(place.submit(int)) == 0
    with pytest.raises(RuntimeError, match="a color is not shut down on its own"):
        place.shutdown()


def test_where_that_makes_no_sense_is_refused(rt: Runtime) -> None:
    color: Any = rt.color("red")
    with pytest.raises(ValueError, match="where='moon': there are 'thread' and 'slot'"):
        color.on("moon")
    with pytest.raises(ValueError, match=r"retry is for what is lost with its slot: on\('slot'"):
        color.on("thread", retry=Retry())
    for where in ("thread", "slot"):
        with pytest.raises(TypeError, match="retry must be a Retry, as "):
            color.on(where, retry=3)
    retry: Any = 3
    with pytest.raises(TypeError, match="retry must be a Retry, as "):
        colored("red", retry=retry)


def test_a_runtime_without_slots_says_so() -> None:
    with Runtime() as rt:
        color: Any = rt.color("red")
        assert color.on("thread") is color
        with pytest.raises(NoSlots, match="this runtime has no slots: make it with executor="):
            color.on("slot")
        with pytest.raises(NoSlots, match="no slots"):
            color.on("slot", retry=Retry())
        with pytest.raises(ValueError, match="where='moon'"):
            color.on("moon")
        with pytest.raises(ValueError, match="retry is for"):
            color.on("thread", retry=Retry())
        with pytest.raises(NoSlots, match="no slots"):
            there.there()
        assert result(there.here()) == os.getpid()


# -- what cannot travel -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["post", "submit", "dispatch"])
@pytest.mark.parametrize("of", ["runtime", "color", "retry"])
def test_what_cannot_travel_is_refused_at_once(far: Runtime, of: str, name: str) -> None:
    places: dict[str, Any] = {
        "runtime": far,
        "color": far.color("red"),
        "retry": far.color("red").on("slot", retry=Retry()),
    }
    with pytest.raises(CannotTravel, match=r"<lambda> cannot be sent to a slot: .*color.on"):
        getattr(places[of], name)(lambda: None)


def test_async_functions_go_to_no_slot(rt: Runtime) -> None:
    async def coroutine() -> str:
        return "ran"

    color = rt.color("red")
    for fn in (coroutine, partial(coroutine)):
        with pytest.raises(
            CannotTravel, match=r"post\(\) takes a plain function; the coroutine of"
        ):
            color.post(fn)
        with pytest.raises(CannotTravel, match="coroutines stay in the parent process"):
            color.on("slot", retry=Retry()).submit(fn)
        with pytest.raises(CannotTravel, match="coroutines stay in the parent process"):
            color.on("slot").submit(fn)
        assert result(color.submit(fn)) == "ran"


def test_results_that_cannot_travel_are_told_by_the_future(far: Runtime) -> None:
    error = far.color("red").submit(there.unpicklable).exception(PATIENCE_SECONDS)
    assert isinstance(error, CannotTravel)
    assert "the result of unpicklable" in str(error)
    error = far.color("red").submit(there.generate).exception(PATIENCE_SECONDS)
    assert isinstance(error, CannotTravel)
    assert "of type generator" in str(error)
    assert "coroutine" not in str(error)
    error = far.color("red").submit(there.stubborn).exception(PATIENCE_SECONDS)
    assert isinstance(error, CannotTravel)
    assert "stubborn raised StubbornError: 1, 2" in str(error)


def test_errors_come_back_with_their_traceback(far: Runtime) -> None:
    error = far.color("red").submit(there.fail, "why").exception(PATIENCE_SECONDS)
    assert isinstance(error, KeyError)
    assert "in fail" in str(error.__cause__)
    assert isinstance(far.submit(there.leave).exception(PATIENCE_SECONDS), SystemExit)


def test_errors_of_posts_go_to_the_handler() -> None:
    errors: list[BaseException] = []
    with in_threads(exception_handler=errors.append) as rt:
        rt.color("red").post(there.fail, "why")
        assert rt.drain(PATIENCE_SECONDS)
    assert [type(error) for error in errors] == [KeyError]


def test_a_key_that_cannot_travel_is_no_trouble(far: Runtime) -> None:
    class Key:
        """Local, so that pickle cannot find it."""

    color = far.color(Key())
    assert result(color.submit(there.add, 1, 2)) == 3
    error = color.submit(there.post_to, "other", "/nowhere").exception(PATIENCE_SECONDS)
    assert isinstance(error, CannotTravel)
    assert "the key of this color" in str(error)


# -- colored functions ------------------------------------------------------------------------


@pytest.fixture
def current(far: Runtime) -> Iterator[Runtime]:
    """The far slots, as the current runtime of colored functions."""
    enter(far)
    yield far
    leave(far)


def test_colored_functions_run_where_they_are_to(current: Runtime) -> None:
    assert result(there.here()) == os.getpid()
    assert result(there.there()) != os.getpid()
    assert result(there.double(4)) == 8
    assert there.double.now(4) == 8
    assert result(there.Account("one").total(1, 2)) == 3


def test_colored_functions_that_cannot_travel_are_refused(current: Runtime) -> None:
    @colored("red")
    def inside() -> None:
        """Not importable."""

    @colored("red", where="thread")
    def stays() -> int:
        return os.getpid()

    with pytest.raises(CannotTravel, match="inside cannot be sent to a slot"):
        inside()
    assert result(stays()) == os.getpid()


def test_colored_functions_are_run_again(rt: Runtime) -> None:
    @colored("red", retry=Retry(2))
    def again() -> str:
        color = current_color()
        assert color is not None
        return str(color.key)

    enter(rt)
    try:
        assert result(again()) == "red"
    finally:
        leave(rt)


async def coroutine() -> None:
    """Nothing to do."""


@pytest.mark.parametrize(
    ("options", "fn", "error", "words"),
    [
        ({"where": "moon"}, int, ValueError, "where='moon': there are 'thread' and 'slot'"),
        ({"where": "thread", "retry": Retry()}, int, ValueError, "so where='thread' has none"),
        ({"where": "slot"}, coroutine, TypeError, "is an async function: coroutines stay"),
        ({"retry": Retry()}, coroutine, TypeError, "coroutine is an async function"),
    ],
)
def test_colors_of_functions_that_make_no_sense(
    options: Any, fn: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        colored("red", **options)(fn)


# -- inside -----------------------------------------------------------------------------------


def test_what_callbacks_in_slots_post_is_posted(far: Runtime, tmp_path: Any) -> None:
    path = tmp_path / "written"
    assert result(far.color("red").submit(there.post_to, "blue", str(path))) == "red"
    far.color("chain").post(there.post_more, [1, 2, 3], str(path))
    assert far.drain(PATIENCE_SECONDS)
    assert sorted(path.read_text("utf-8").split()) == ["1", "2", "3", "blue"]


def test_there_is_no_more_in_a_slot(far: Runtime) -> None:
    error = far.submit(there.ask_for_more).exception(PATIENCE_SECONDS)
    assert type(error).__name__ == "NotInSlots"
    assert "submit is not there in a slot" in str(error)


def test_local_stays_with_the_color(far: Runtime) -> None:
    color = far.color("local")
    assert [result(color.submit(there.count)) for _ in range(3)] == [1, 2, 3]
    assert result(far.color("other").submit(there.count)) == 1
    assert result(color.on("thread").submit(there.count)) == 1, "there are two"
    result(color.submit(there.forget))
    assert result(color.submit(there.count)) == 1


def test_local_outside_of_callbacks_is_refused() -> None:
    with pytest.raises(NoRuntime, match=r"local\(\) is the dictionary of the color that runs"):
        local()


def test_context_variables_come_along_by_reference(rt: Runtime) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="nobody")
    variable.set("poster")
    assert result(rt.color("red").submit(variable.get)) == "poster"


# -- coroutines -------------------------------------------------------------------------------


def test_a_coroutine_awaits_slots_and_blocks_nobody(rt: Runtime) -> None:
    gate, seen = Gate(), []

    async def waits() -> None:
        await rt.color("slow").submit(gate)
        seen.append("waited")

    color = rt.color("red")
    future = color.spawn(waits())
    gate.reached()
    result(color.on("thread").submit(seen.append, "beside"))
    gate.open()
    result(future)
    assert seen == ["beside", "waited"]


def test_a_spawned_coroutine_may_await_slots_of_its_own_color(rt: Runtime) -> None:
    async def waits() -> int:
        number: int = await rt.color("red").submit(pow, 2, 3)
        return number

    assert result(rt.color("red").spawn(waits())) == 8


def test_a_held_color_awaits_slots_of_others(rt: Runtime) -> None:
    seen: list[str] = []

    async def holds() -> None:
        seen.append(await rt.color("blue").submit(str, "held"))

    color = rt.color("red")
    color.submit(holds)
    color.submit(seen.append, "after")
    assert rt.drain(PATIENCE_SECONDS)
    assert seen == ["held", "after"]


def test_a_held_color_that_awaits_its_own_slot_is_a_deadlock(rt: Runtime) -> None:
    async def holds() -> None:
        await rt.color("red").submit(int)

    with pytest.raises(ColorDeadlock, match="'red' -> 'red'"):
        result(rt.color("red").submit(holds))


@pytest.mark.parametrize("name", ["drain", "shutdown"])
def test_a_callback_in_a_slot_of_this_process_cannot_wait_for_all(rt: Runtime, name: str) -> None:
    with pytest.raises(ColorDeadlock, match="'red' -> 'red'"):
        result(rt.color("red").submit(getattr(rt, name)))


def test_a_callback_that_waits_for_its_own_slot_is_a_deadlock(rt: Runtime) -> None:
    color = rt.color("red")
    with pytest.raises(ColorDeadlock):
        result(color.on("thread").submit(lambda: color.submit(int).result()))


# -- retries and cancelling, with real processes ----------------------------------------------


def test_a_dead_letter_comes_in_the_color_before_the_next_callback(tmp_path: Any) -> None:
    letters: list[DeadLetter] = []
    seen: list[Any] = []

    def dead(letter: DeadLetter) -> None:
        color = current_color()
        letters.append(letter)
        seen.append(None if color is None else color.key)

    path = str(tmp_path / "written")
    with Runtime(executor="processes", workers=1, retry=Retry(1, dead)) as rt:
        color = rt.color("red")
        poison = color.submit(there.write_and_die, path, "poison", 99)
        color.on("thread").submit(lambda: seen.append("next"))
        assert isinstance(poison.exception(PATIENCE_SECONDS), WorkerLost)
        assert rt.drain(PATIENCE_SECONDS)
    assert seen == ["red", "next"]
    (letter,) = letters
    assert letter.fn is there.write_and_die
    assert (letter.key, letter.args, letter.attempts) == ("red", (path, "poison", 99), 2)


def test_cancelled_in_time_it_does_not_run(rt: Runtime) -> None:
    gate, color = Gate(), rt.color("red")
    color.on("thread").submit(gate)
    gate.reached()
    handle, future = color.post(int), color.submit(int)
    assert handle.cancel()
    assert handle.cancelled()
    assert future.cancel()
    gate.open()
    assert rt.drain(PATIENCE_SECONDS)
    assert future.cancelled()


# -- observers --------------------------------------------------------------------------------


def test_a_race_detector_says_once_that_it_does_not_see_slots(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with in_threads(observer=RaceDetector(lock=threading.RLock())) as rt:
        for _ in range(3):
            rt.color("red").post(int)
        assert rt.drain(PATIENCE_SECONDS)
    (told,) = (r.getMessage() for r in caplog.records if "RaceDetector" in r.getMessage())
    assert "does not see what callbacks touch in slots, such as <post 1 int in 'red'>" in told


# -- traces -----------------------------------------------------------------------------------


def recorded(play: Callable[[Runtime], None], **options: Any) -> list[Any]:
    with Recorder() as recorder, in_threads(observer=recorder, **options) as rt:
        play(rt)
        assert rt.drain(PATIENCE_SECONDS)
    conforms(recorder)
    return [event for event in recorder if event.ticket]


def test_a_trace_has_what_ran_in_slots() -> None:
    def play(rt: Runtime) -> None:
        color = rt.color("red")
        for number in range(30):
            (color if number % 2 else color.on("thread")).submit(int)
        rt.color("blue").submit(_post)

    events = recorded(play)
    kinds = [event.what for event in events]
    assert kinds.count("posted") == kinds.count("started") == kinds.count("ended") == 32


def _post() -> None:
    current_runtime().color("green").post(int)


def test_a_trace_has_what_was_cancelled() -> None:
    def play(rt: Runtime) -> None:
        gate, color = Gate(), rt.color("red")
        color.on("thread").submit(gate)
        gate.reached()
        assert color.post(int).cancel()
        assert color.submit(int).cancel()
        gate.open()

    events = recorded(play)
    assert [event.what for event in events].count("dropped") == 2


def test_a_trace_has_what_was_lost(tmp_path: Any) -> None:
    with (
        Recorder() as recorder,
        Runtime(
            executor="processes", workers=1, observer=recorder, exception_handler=lambda _: None
        ) as rt,
    ):
        color = rt.color("red")
        color.post(there.add, 1, 2)
        color.post(there.die)
        color.post(there.add, 3, 4)
        retried = color.on("slot", retry=Retry(2)).submit(
            there.write_and_die, str(tmp_path / "written"), "one", 1
        )
        result(retried)
        assert rt.drain(PATIENCE_SECONDS)
    conforms(recorder)
    kinds = [event.what for event in recorder if event.ticket]
    assert kinds.count("posted") == 4
    assert kinds.count("dropped") >= 1
    assert kinds.count("ended") + kinds.count("dropped") == 4


# -- waiting in slots that are threads ----------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[Runtime]:
    lanes = slots([lambda: ThreadPoolExecutor(1)] * 2)
    with Runtime(executor=lanes, travel="reference") as runtime:
        yield runtime


def test_a_callback_that_waits_for_its_own_color_is_told(threads: Runtime) -> None:
    color = threads.color("red")
    waits = color.submit(lambda: color.submit(int).result())
    with pytest.raises(ColorDeadlock, match="'red' -> 'red'"):
        waits.result(PATIENCE_SECONDS)


def test_a_circle_through_slots_is_told_and_what_is_none_goes_on(threads: Runtime) -> None:
    red, blue = threads.color("red"), threads.color("blue")
    back = red.submit(lambda: blue.submit(lambda: red.submit(int).result()).result())
    # Whoever comes last closes the circle, and is told.
    circle = "'blue' -> 'red' -> 'blue'|'red' -> 'blue' -> 'red'"
    with pytest.raises(ColorDeadlock, match=circle):
        back.result(PATIENCE_SECONDS)
    assert red.submit(lambda: blue.submit(int, "7").result()).result(PATIENCE_SECONDS) == 7
