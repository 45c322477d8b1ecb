"""Slots that are lost, replaced, or cannot be: on lanes that the test drives, step by step."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Future
from concurrent.futures import wait as wait_for_all
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import DeadLetter, Retry, RuntimeShutdown, WorkerLost, current_color, local
from colorsched.executors.slots import inside
from colorsched.executors.slots.lanes import PAUSES
from slots.lanes import DrivenLane, Maker, driven
from support import PATIENCE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_state_is_left() -> Iterator[None]:
    """Slots of this process keep the state of their colors in it, and must not leave it there."""
    inside._states.clear()
    yield
    assert inside._states == {}


def result(future: Future[Any]) -> Any:
    return future.result(PATIENCE_SECONDS)


def error(future: Future[Any]) -> BaseException | None:
    return future.exception(PATIENCE_SECONDS)


# -- one slot, lost at each moment ------------------------------------------------------------


def test_lost_before_it_is_sent() -> None:
    maker = Maker()
    with driven(maker) as play:
        maker.next().broken = True
        future = play.rt.color("red").submit(pow, 2, 3)
        maker.next().next().run()
        assert result(future) == 8
        assert play.rt.stats().lost == 1
    assert play.pauses.seconds[0] == PAUSES[1], "a slot that cannot start is replaced in a hurry"


def test_lost_while_it_runs() -> None:
    """At most once: who ran is told what it was, and those behind run in another slot."""
    maker = Maker()
    with driven(maker) as play:
        color = play.rt.color("red")
        gate = Gate()
        color.on("thread").submit(gate)
        gate.reached()
        futures = [color.submit(pow, 2, n) for n in range(4)]
        gate.open()
        call = maker.next().next()
        assert call.size == 4
        call.lose((1, 2))
        after = maker.next()
        one = after.next()
        assert one.size == 1, "one after the other, to know who is to blame if it happens again"
        one.run()
        after.next().run()
        assert isinstance(error(futures[0]), WorkerLost)
        assert "pow ran to its end, and its outcome is lost" in str(error(futures[0]))
        lost = error(futures[1])
        assert isinstance(lost, WorkerLost)
        assert lost.running == "pow in color 'red'"
        assert "unplugged" in str(lost)
        assert [result(future) for future in futures[2:]] == [4, 8]
    assert play.pauses.seconds == [PAUSES[0]], "the first attempt is made at once"


def test_lost_while_it_answers() -> None:
    maker = Maker()
    with driven(maker) as play:
        future = play.rt.color("red").submit(pow, 2, 3)
        maker.next().next().lose((1, 1))
        lost = error(future)
        assert isinstance(lost, WorkerLost)
        assert lost.running == "nothing"


def test_lost_and_nobody_knows_how_far_it_came() -> None:
    maker = Maker()
    with driven(maker, retry=Retry(2)) as play:
        color = play.rt.color("red")
        gate = Gate()
        color.on("thread").submit(gate)
        gate.reached()
        futures = [color.submit(pow, 2, n) for n in range(3)]
        gate.open()
        maker.next().next().lose()
        lane = maker.next()
        for size in (1, 2):
            call = lane.next()
            assert call.size == size
            call.run()
        assert [result(future) for future in futures] == [1, 2, 4]


def test_retries_end_with_a_dead_letter_and_those_behind_wait_for_it() -> None:
    maker, letters, seen = Maker(), [], []

    def dead(letter: DeadLetter) -> None:
        letters.append(letter)
        color = current_color()
        assert color is not None
        seen.append(color.key)

    with driven(maker) as play:
        color = play.rt.color("red")
        poison = color.on("slot", retry=Retry(2, dead)).submit(pow, 2, 3)
        behind = color.submit(lambda: len(letters))
        for _ in range(3):
            lane = maker.next()
            lane.next().lose((0, 1))
        maker.next().next().run()
        assert isinstance(error(poison), WorkerLost)
        assert result(behind) == 1
        assert seen == ["red"]
        assert (letters[0].fn, letters[0].attempts) == (pow, 3)


# -- several slots ----------------------------------------------------------------------------


def test_while_a_slot_is_replaced_others_run_what_waits() -> None:
    gate = Gate()
    maker = Maker()

    def slow() -> DrivenLane:
        if not maker.first:
            gate()
        return maker()

    other = DrivenLane()
    with driven(slow, other) as play, gate:
        home = _at_home(play, 0)
        future = play.rt.color(home).submit(pow, 2, 3)
        maker.next().next().lose((0, 0))
        gate.reached()
        other.next().run()
        assert result(future) == 8
        gate.open()
        maker.next()


def _at_home(play: Any, index: int) -> int:
    """A key whose color goes to a slot first."""
    slots = play.rt._slots.lines.slots
    return next(key for key in range(9) if slots[key % len(slots)].index == index)


def test_who_has_lost_its_state_waits_for_no_replacement() -> None:
    gate, maker, other = Gate(), Maker(), DrivenLane()

    def slow() -> DrivenLane:
        if not maker.first:
            gate()
        return maker()

    with driven(slow, other) as play, gate:
        key = _at_home(play, 0)
        first = maker.next()
        bind(play, first, key)
        lost = play.rt.color(key + 2).submit(int)
        play.comes(key + 2, waits=False)
        color: Any = play.rt.color(key)
        color.live = True  # as if it had had more to run
        moved = color.submit(remember)
        play.comes(key, waits=True)
        first.next().lose((0, 1))
        gate.reached()
        other.next().run()
        assert result(moved) == 1
        assert isinstance(error(lost), WorkerLost)
        clear(play, other, key)


def test_who_waits_for_a_slot_that_is_not_replaced_goes_elsewhere() -> None:
    given, other = DrivenLane(), DrivenLane()
    with driven(given, other) as play:
        zero, one = _at_home(play, 0), _at_home(play, 1)
        first = play.rt.color(zero).submit(pow, 2, 1)
        play.comes(zero, waits=False)
        second = play.rt.color(one).submit(pow, 2, 2)
        play.comes(one, waits=False)
        third = play.rt.color(zero + 2).submit(pow, 2, 3)
        play.comes(zero + 2, waits=True)
        given.next().lose((0, 1))
        other.next().run()
        other.next().run()
        assert isinstance(error(first), WorkerLost)
        assert (result(second), result(third)) == (4, 8)
        for thread in threading.enumerate():
            if thread.name == "colorsched-slot":  # it told the first, and has more to do
                thread.join(PATIENCE_SECONDS)
        assert play.rt.stats().slots == 1


# -- replacing --------------------------------------------------------------------------------


def test_replacing_is_tried_again_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    maker = Maker(fails=len(PAUSES) - 1)
    with driven(maker) as play:
        future = play.rt.color("red").submit(pow, 2, 3)
        maker.next().next().lose((0, 0))
        maker.next().next().run()
        assert result(future) == 8
    assert play.pauses.seconds == [PAUSES[1], *PAUSES]
    assert sum("cannot be replaced: OSError('no room')" in text for text in caplog.messages) == 3


@pytest.mark.parametrize("kind", [OSError, SystemExit])
def test_a_slot_that_can_never_be_replaced_is_given_up(kind: type[BaseException]) -> None:
    maker, other = Maker(fails=99, error=kind("no room")), DrivenLane()
    with driven(maker, other) as play:
        zero = _at_home(play, 0)
        future = play.rt.color(zero).submit(pow, 2, 3)
        play.comes(zero, waits=False)
        maker.next().next().lose((0, 0))
        other.next().run()
        assert result(future) == 8
        again = play.rt.color(zero).submit(pow, 2, 4)
        other.next().run()
        assert result(again) == 16


@pytest.mark.parametrize("given", [True, False])
def test_without_any_slot_everything_fails_at_once(given: bool) -> None:  # noqa: FBT001 - a parameter
    lane = DrivenLane()
    maker = Maker(fails=99)
    with driven(lane if given else maker) as play:
        color = play.rt.color("red")
        running = color.submit(pow, 2, 3)
        call = (lane if given else maker.next()).next()
        play.comes("red", waits=False)
        waits = [play.rt.color(n).submit(pow, 2, n) for n in range(3)]
        for n in range(3):
            assert play.entered.get(timeout=PATIENCE_SECONDS)[1], f"{n} does not wait"
        behind = color.submit(pow, 2, 4)
        call.lose((0, 1))
        assert isinstance(error(running), WorkerLost)
        for future in (*waits, behind, play.rt.color("new").submit(pow, 2, 5)):
            lost = error(future)
            assert isinstance(lost, WorkerLost)
            assert "there is no slot left to run it: the last one cannot be replaced" in str(lost)
            assert "Make a new Runtime" in str(lost)
        handle = color.post(pow, 2, 6)
        play.quiet()
        assert not handle.cancelled()
        assert [type(error) for error in play.failures] == [WorkerLost]
        assert play.rt.color("red").on("thread").submit(pow, 2, 7).result() == 128


def test_no_thread_to_replace_a_slot_on() -> None:
    """The slot is given up; what was to run in it runs elsewhere, or is told."""
    from colorsched import Runtime, slots
    from colorsched.ports import Doors, start_thread
    from colorsched.sources.poller import open_poller

    def no_more(target: Any, name: str) -> Any:
        if name == "colorsched-slot":
            raise RuntimeError("can't start new thread")
        return start_thread(target, name)

    maker, other = Maker(), Maker()
    doors = Doors(poller=open_poller, thread=no_more)
    with Runtime(executor=slots([maker, other]), travel="reference", doors=doors) as rt:
        future, behind = rt.color(0).submit(pow, 2, 3), rt.color(0).submit(pow, 2, 4)
        first, second = maker.next(), other.next()
        call = first.next()
        call.lose((0, 1))
        assert isinstance(error(future), WorkerLost)
        second.next().run()
        if call.size == 1:
            assert result(behind) == 16
        second.broken = True
        last = rt.color(1).submit(pow, 2, 5)
        assert isinstance(error(last), WorkerLost)
        assert rt.drain(PATIENCE_SECONDS)


def test_no_thread_to_replace_a_slot_on_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody would be told otherwise: who adds a callback to a future hears of no failure."""
    from colorsched import Runtime, slots
    from colorsched.executors.slots.engines import MadeLanes
    from colorsched.ports import Doors, start_thread
    from colorsched.sources.poller import open_poller

    def no_more(target: Any, name: str) -> Any:
        if name == "colorsched-slot":
            raise RuntimeError("can't start new thread")
        return start_thread(target, name)

    starting: Future[Any] = Future()
    monkeypatch.setattr(MadeLanes, "starting", lambda *_: starting)
    doors = Doors(poller=open_poller, thread=no_more)
    with Runtime(executor=slots([Maker()]), travel="reference", doors=doors) as rt:
        future = rt.color("red").submit(int)
        starting.set_exception(OSError("no room"))
        assert "no slot left" in str(error(future))


# -- cancelling -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["handle", "future"])
def test_cancelled_before_its_batch_is_made(how: str) -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        busy = play.rt.color("busy").submit(int)
        play.comes("busy", waits=False)
        color = play.rt.color("red")
        handle, future = color.post(pow, 2, 3), color.submit(pow, 2, 3)
        last = color.submit(pow, 2, 4)
        play.comes("red", waits=True)
        if how == "handle":
            assert handle.cancel()
            assert not handle.cancel()
            assert handle.reason == "cancelled"
        else:
            assert future.cancel()
        lane.next().run()
        call = lane.next()
        assert call.size == 2
        call.run()
        assert result(last) == 16
        assert result(busy) == 0
        assert future.cancelled() == (how == "future")
        assert not wait_for_all([future], timeout=0).not_done


def test_all_of_a_color_cancelled_while_it_waits() -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        play.rt.color("busy").post(int)
        play.comes("busy", waits=False)
        handle = play.rt.color("red").post(pow, 2, 3)
        play.comes("red", waits=True)
        last = play.rt.color("last").submit(pow, 2, 4)
        play.comes("last", waits=True)
        assert handle.cancel()
        lane.next().run()
        lane.next().run()
        assert result(last) == 16


def test_in_its_batch_it_is_too_late_to_cancel() -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        handle = play.rt.color("red").post(int)
        call = lane.next()
        future = play.rt.color("blue").submit(int)
        assert not handle.cancel()
        assert not handle.cancelled()
        call.run()
        call = lane.next()
        assert future.running()
        assert not future.cancel()
        call.run()
        assert result(future) == 0


def test_who_is_cancelled_waits_for_no_slot() -> None:
    """What stands behind it on a thread need not wait until a slot has time for nothing."""
    lane = DrivenLane()
    with driven(lane) as play:
        play.rt.color("busy").post(int)
        call = lane.next()
        color, gate = play.rt.color("red"), Gate()
        color.on("thread").submit(gate)
        gate.reached()
        assert color.post(int).cancel()
        behind = color.on("thread").submit(int)
        gate.open()
        assert result(behind) == 0
        call.run()


# -- shutting down ----------------------------------------------------------------------------


def test_a_shutdown_cancels_what_waits_in_lines_and_waits_for_what_runs() -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        running = play.rt.color("busy").submit(pow, 2, 3)
        call = lane.next()
        play.comes("busy", waits=False)
        futures = [play.rt.color(n).submit(int) for n in range(3)]
        handle = play.rt.color("posted").post(int)
        for _ in range(4):
            assert play.entered.get(timeout=PATIENCE_SECONDS)[1]
        play.rt.shutdown(wait=False, cancel_futures=True)
        for future in futures:
            with pytest.raises(CancelledError):
                future.result(PATIENCE_SECONDS)
        assert handle.reason == "shut down"
        assert not lane.over.is_set(), "a slot that runs something is ended"
        call.run()
        assert result(running) == 8
        assert lane.over.wait(PATIENCE_SECONDS)


def test_a_shutdown_lets_what_was_accepted_run() -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        futures = [play.rt.color(n).submit(pow, 2, n) for n in range(3)]
        call = lane.next()
        play.rt.shutdown(wait=False)
        with pytest.raises(RuntimeShutdown):
            play.rt.color("late").submit(int)
        call.run()
        for _ in range(2):
            lane.next().run()
        assert [result(future) for future in futures] == [1, 2, 4]


def test_posts_of_a_callback_that_ends_after_the_shutdown_are_told() -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        from colorsched import current_runtime

        def late() -> str:
            current_runtime().color("late").post(int)
            return "ran"

        future = play.rt.color("red").submit(late)
        call = lane.next()
        play.rt.shutdown(wait=False)
        call.run()
        assert result(future) == "ran"
        assert play.rt._ending._ended.wait(PATIENCE_SECONDS, lambda: None)
        assert [type(each) for each in play.failures] == [RuntimeShutdown]


@pytest.mark.parametrize("cancel", [False, True])
def test_a_shutdown_while_a_slot_is_replaced(cancel: bool) -> None:  # noqa: FBT001 - a parameter
    gate, maker = Gate(), Maker()

    def slow() -> DrivenLane:
        if not maker.first:
            gate()
        return maker()

    with driven(slow) as play, gate:
        lost = play.rt.color("red").submit(pow, 2, 3)
        behind = play.rt.color("red").submit(pow, 2, 4)
        call = maker.next().next()
        sent = call.size
        call.lose((0, 1))
        gate.reached()
        play.rt.shutdown(wait=False, cancel_futures=cancel)
        gate.open()
        assert isinstance(error(lost), WorkerLost)
        lane = maker.next()
        if sent == 1 and cancel:
            with pytest.raises(CancelledError):
                behind.result(PATIENCE_SECONDS)
        else:  # as far as anybody knows it had been started
            lane.next().run()
            assert result(behind) == 16
        assert lane.over.wait(PATIENCE_SECONDS)


def test_an_idle_slot_that_is_replaced_meanwhile_is_ended_too() -> None:
    gate, maker = Gate(), Maker()

    def slow() -> DrivenLane:
        if not maker.first:
            gate()
        return maker()

    with driven(slow) as play, gate:
        lost = play.rt.color("red").submit(pow, 2, 3)
        maker.next().next().lose((0, 1))
        gate.reached()
        assert isinstance(error(lost), WorkerLost)
        play.rt.shutdown(wait=False)
        gate.open()
        assert maker.next().over.wait(PATIENCE_SECONDS)


# -- engines of all kinds ---------------------------------------------------------------------


def test_answers_that_are_there_already() -> None:
    """A lane may run everything where it is given. A line of those that wait must not pile up."""

    class FirstHeld(DrivenLane):
        """Holds its first call, and runs the others at once."""

        first = True

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = super().submit(fn, *args, **kwargs)
            if self.first:
                self.first = False
            else:
                self.next().run()
            return future

    lane = FirstHeld()
    with driven(lane) as play:
        play.rt.color("first").post(int)
        play.comes("first", waits=False)
        futures = [play.rt.color(number).submit(pow, number, 1) for number in range(3000)]
        for _ in futures:
            assert play.entered.get(timeout=PATIENCE_SECONDS)[1]
        lane.next().run()
        assert [result(future) for future in futures] == list(range(3000))
        more = play.rt.color("first").submit(pow, 2, 3)
        assert result(more) == 8
        assert play.failures == []


@pytest.mark.parametrize(
    "odd",
    [TypeError("odd"), TimeoutError(), KeyboardInterrupt("odd"), SystemExit("odd")],
    ids=lambda error: type(error).__name__,
)
def test_an_engine_that_fails_of_a_batch_and_goes_on(odd: BaseException) -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        color = play.rt.color("red")
        future = color.submit(int)
        lane.next().fail(odd)
        assert error(future) is odd
        again = color.submit(pow, 2, 3)
        lane.next().run()
        assert result(again) == 8


def test_old_state_is_not_found_again_after_an_engine_that_failed() -> None:
    """Nobody knows what a batch without an answer has left: so all of its color's is dropped."""
    zero, one = DrivenLane(), DrivenLane()
    with driven(zero, one) as play:
        key = _at_home(play, 0)
        color = play.rt.color(key)
        bind(play, zero, key)
        failed = color.submit(remember)
        zero.next().fail(OSError("odd"))
        assert isinstance(error(failed), OSError)
        busy = [play.rt.color(key + 2).submit(int)]
        call = zero.next()
        away = color.submit(remember)
        one.next().run()
        assert result(away) == 1
        call.run()
        busy.append(play.rt.color(_at_home(play, 1)).submit(int))
        call = one.next()
        back = color.submit(remember)
        zero.next().run()
        assert result(back) == 1
        call.run()
        assert [result(future) for future in busy] == [0, 0]
        clear(play, zero, key)


def test_what_a_batch_was_to_forget_is_forgotten_by_the_next_if_it_fails() -> None:
    zero, one = DrivenLane(), DrivenLane()
    with driven(zero, one) as play:
        key = _at_home(play, 0)
        bind(play, zero, key)
        play.rt.color(key + 2).post(int)
        call = zero.next()
        moved = play.rt.color(key).submit(remember)
        one.next().run()
        assert result(moved) == 1
        call.run()
        failed = play.rt.color(key + 2).submit(int)
        call = zero.next()
        dropped = call.order.forget
        assert dropped
        call.fail(OSError("odd"))
        assert isinstance(error(failed), OSError)
        play.rt.color(key + 2).post(int)
        call = zero.next()
        assert set(dropped) < set(call.order.forget)
        call.run()
        clear(play, one, key)


@pytest.mark.parametrize("answer", [None, 7, (), ([], False, "more")])
def test_an_engine_that_answers_nonsense(answer: object) -> None:
    lane = DrivenLane()
    with driven(lane) as play:
        future = play.rt.color("red").submit(int)
        lane.next().future.set_result(answer)
        assert isinstance(error(future), (TypeError, ValueError))


def test_an_engine_whose_calls_are_cancelled_is_lost() -> None:
    maker = Maker()
    with driven(maker) as play:
        future = play.rt.color("red").submit(pow, 2, 3)
        call = maker.next().next()
        call.lane.progress = (0, 0)
        call.fail(CancelledError())
        maker.next().next().run()
        assert result(future) == 8


@pytest.mark.parametrize("error", [OSError("odd"), SystemExit("odd")])
def test_an_engine_that_takes_nothing_is_lost(error: BaseException) -> None:
    class Odd(DrivenLane):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            raise error

    lanes: list[DrivenLane] = [DrivenLane(), Odd()]
    second = lanes[0]
    with driven(lanes.pop) as play:
        future = play.rt.color("red").submit(pow, 2, 3)
        second.next().run()
        assert result(future) == 8


def test_a_key_that_would_exit_when_it_is_pickled_loses_no_color() -> None:
    class Odd:
        def __reduce__(self) -> Any:
            raise SystemExit("odd")

    lane = DrivenLane()
    with driven(lane, travel="pickle") as play:
        future = play.rt.color(Odd()).submit(pow, 2, 3)
        lane.next().run()
        assert result(future) == 8


def test_an_engine_that_returns_no_future_is_lost() -> None:
    class Odd(DrivenLane):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return None

    second = DrivenLane()
    lanes: list[DrivenLane] = [second, Odd()]
    with driven(lanes.pop) as play:
        future = play.rt.color("red").submit(pow, 2, 3)
        second.next().run()
        assert result(future) == 8


@pytest.mark.parametrize("what", ["shutdown", "came", "too far", "nonsense"])
def test_an_engine_that_fails_when_it_is_lost(what: str) -> None:
    class Odd(DrivenLane):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
            if what == "shutdown":
                raise RuntimeError("odd")

        def came(self) -> Any:
            if what == "came":
                raise RuntimeError("odd")
            if what == "nonsense":
                return 1
            return (9, 9) if what == "too far" else (0, 1)

    second = DrivenLane()
    first = Odd()
    lanes: list[DrivenLane] = [second, first]
    with driven(lanes.pop) as play:
        lost = play.rt.color("red").submit(pow, 2, 3)
        first.next().lose()
        assert isinstance(error(lost), WorkerLost)
        future = play.rt.color("red").submit(pow, 2, 4)
        second.next().run()
        assert result(future) == 16


def test_engines_that_fail_at_the_end_keep_nobody_from_ending() -> None:
    class Odd(DrivenLane):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
            raise RuntimeError("odd")

    other = DrivenLane()
    with driven(Odd(), other):
        pass
    assert other.over.is_set()


# -- bound colors -----------------------------------------------------------------------------


def remember() -> int:
    state = local()
    state["times"] = state.get("times", 0) + 1
    return int(state["times"])


def bind(play: Any, lane: DrivenLane, key: object) -> None:
    future = play.rt.color(key).submit(remember)
    lane.next().run()
    assert result(future) == 1
    play.comes(key, waits=False)


def clear(play: Any, lane: DrivenLane, *keys: object) -> None:
    for key in keys:
        future = play.rt.color(key).submit(lambda: local().clear())
        lane.next().run()
        result(future)


def test_a_bound_color_goes_elsewhere_though_the_default_color_is_busy() -> None:
    """Who looks after those that wait must not wait itself."""
    lanes = [DrivenLane(), DrivenLane(), DrivenLane()]
    with driven(*lanes) as play:
        default: Any = play.rt._default
        first, home, free = (lanes[(default.home + turn) % 3] for turn in range(3))
        key = _at_home(play, lanes.index(home))
        bind(play, home, key)
        busy = [play.rt.submit(int)]
        calls = [first.next()]
        busy.append(play.rt.color(key + 3).submit(int))
        calls.append(home.next())
        moved = play.rt.color(key).submit(remember)
        free.next().run()
        assert result(moved) == 1, "its state came along"
        for call, future in zip(calls, busy, strict=True):
            call.run()
            assert result(future) == 0
        clear(play, free, key)


def test_state_of_a_slot_of_this_process_is_gone_with_it() -> None:
    maker = Maker()
    with driven(maker) as play:
        color = play.rt.color("red")
        first = color.submit(remember)
        lane = maker.next()
        lane.next().run()
        assert result(first) == 1
        lost = color.submit(remember)
        lane.next().lose((0, 1))
        assert isinstance(error(lost), WorkerLost)
        again = color.submit(remember)
        maker.next().next().run()
        assert result(again) == 1
        # And at the end nothing of it is left: see the fixture.


def test_a_color_that_was_idle_may_move_though_it_had_more_to_run_once() -> None:
    """What it had was for a thread, or was cancelled; and then it was idle."""
    zero, one = DrivenLane(), DrivenLane()
    with driven(zero, one) as play:
        color = play.rt.color(0)
        future = color.submit(remember)
        call = zero.next()
        thread, cancelled = color.on("thread").submit(int), color.post(int)
        assert cancelled.cancel()
        call.run()
        assert result(future) == 1
        assert result(thread) == 0
        play.quiet()
        play.rt.color(2).post(int)
        blocker = zero.next()
        moved = color.submit(remember)
        call = one.next()
        call.run()
        assert result(moved) == 1
        blocker.run()
        clear(play, one, 0)


def test_losses_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "colorsched")
    lane = DrivenLane()
    with driven(lane) as play:
        future = play.rt.color("red").submit(int)
        lane.next().lose((0, 1))
        assert isinstance(error(future), WorkerLost)
        assert isinstance(error(play.rt.color("red").submit(int)), WorkerLost)
    assert caplog.messages[0] == "slot 0 is lost: unplugged"
    assert "slot 0 is not replaced: its executor was given" in caplog.messages[1]


def test_no_thread_is_left() -> None:
    maker = Maker()
    before = set(threading.enumerate())
    with driven(maker) as play:
        future = play.rt.color("red").submit(int)
        maker.next().next().lose((0, 1))
        assert isinstance(error(future), WorkerLost)
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_a_broken_lane_says_so_once_more() -> None:
    """What the driven lane itself does, since all of this is built on it."""
    lane = DrivenLane()
    lane.broken = True
    with pytest.raises(BrokenExecutor):
        lane.submit(int)
