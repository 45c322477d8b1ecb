"""What runs in a slot, called directly: bounds of a batch, state, posts, outcomes of all kinds."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

import slot_functions
from colorsched import CannotTravel, current_color, current_runtime, local
from colorsched.errors import NotInSlots
from colorsched.executors.slots import inside
from colorsched.executors.slots.inside import FAILED, PACKED, PLAIN, Order, progress, run_batch
from colorsched.executors.slots.travel import Pickle, Reference, pack_call
from colorsched.ports import here
from colorsched.runtime import DEFAULT
from slot_rows import Row, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PICKLE = Pickle()
BY_REFERENCE = Reference()


def calls_of(travel: Pickle | Reference, calls: tuple[Any, ...]) -> list[Any]:
    """Calls ready to travel; each a function, or one with its arguments."""
    parts = [call if isinstance(call, tuple) else (call,) for call in calls]
    return [pack_call(travel, fn, tuple(args), {}) for fn, *args in parts]


def order(*calls: Any, **changes: Any) -> Order:
    """An order of calls by reference."""
    packed = calls_of(BY_REFERENCE, calls)
    made = Order("place/0", 1, "key", packed, [], DEFAULT, "reference", 60.0, 2**20)
    return made._replace(**changes)


def pickled(*calls: Any, **changes: Any) -> Order:
    """An order of calls by pickle."""
    key, default, packed = PICKLE.pack("key"), PICKLE.pack(DEFAULT), calls_of(PICKLE, calls)
    made = Order("place/0", 1, key, packed, [], default, "pickle", 60.0, 2**20)
    return made._replace(**changes)


@pytest.fixture(autouse=True)
def _no_state() -> Iterator[None]:
    inside._states.clear()
    yield
    inside._states.clear()
    assert here.slot is None


# -- how long a batch goes on -----------------------------------------------------------------


def test_callbacks_run_in_order_and_tell_when() -> None:
    ran: list[int] = []
    answer = run_batch(order((ran.append, 1), (ran.append, 2), (ran.append, 3)))
    assert ran == [1, 2, 3]
    assert [outcome[:2] for outcome in rows(answer)] == [(PLAIN, None)] * 3
    times = [time for outcome in rows(answer) for time in (outcome.began, outcome.ended)]
    assert times == sorted(times)


def test_a_batch_whose_time_is_over_runs_its_first_callback() -> None:
    ran: list[int] = []
    answer = run_batch(order((ran.append, 1), (ran.append, 2), seconds=0))
    assert ran == [1]
    assert len(rows(answer)) == 1


def test_outcomes_that_are_large_end_a_batch() -> None:
    answer = run_batch(pickled(*[(slot_functions.big, 100)] * 5, size=250))
    assert len(rows(answer)) == 3 - (len(rows(answer)[0].data) * 2 >= 250)


def test_small_outcomes_are_as_they_are() -> None:
    results = [None, True, 7, 2.5]
    answer = run_batch(pickled(*[(_same, result) for result in results], size=1))
    assert [outcome.data for outcome in rows(answer)] == results
    assert {outcome.kind for outcome in rows(answer)} == {PLAIN}


def test_subclasses_of_small_types_are_packed() -> None:
    (outcome,) = rows(run_batch(pickled((_same, Whole(3)))))
    assert outcome.kind == PACKED
    assert type(pickle.loads(outcome.data)) is Whole


def _same(thing: object) -> object:
    return thing


class Whole(int):
    __slots__ = ()


# -- how far it is ----------------------------------------------------------------------------


def test_progress_is_noted_around_each_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cell:
        value = 0

    cell, seen = Cell(), []
    monkeypatch.setattr(progress, "cell", cell)
    run_batch(order(*[lambda: seen.append(cell.value)] * 3))
    assert seen == [1, 3, 5]
    assert cell.value == 6


# -- state ------------------------------------------------------------------------------------


def test_state_stays_from_batch_to_batch() -> None:
    assert run_batch(order(slot_functions.count, slot_functions.count)).bound
    (outcome,) = rows(run_batch(order(slot_functions.count)))
    assert outcome.data == 3


def test_state_is_of_one_color_in_one_place() -> None:
    run_batch(order(slot_functions.count))
    for other in ({"number": 2}, {"place": "place/1"}):
        (outcome,) = rows(run_batch(order(slot_functions.count, **other)))
        assert outcome.data == 1


def test_state_that_is_empty_is_none() -> None:
    run_batch(order(slot_functions.count))
    assert not run_batch(order(slot_functions.forget)).bound
    assert not run_batch(order(lambda: None)).bound
    assert inside._states == {}


def test_state_of_colors_that_moved_is_dropped() -> None:
    run_batch(order(slot_functions.count))
    run_batch(order(slot_functions.count, number=2))
    assert not run_batch(order(int, number=3, forget=[1, 9])).bound
    assert set(inside._states) == {("place/0", 2)}


def test_a_color_that_comes_back_finds_nothing_old() -> None:
    """It moved away, which its first slot learns with the batch that it comes back with."""
    run_batch(order(slot_functions.count))
    (outcome,) = rows(run_batch(order(slot_functions.count, forget=[1])))
    assert outcome.data == 1


# -- what callbacks find there ----------------------------------------------------------------


def test_posts_come_with_the_outcome_of_their_callback() -> None:
    def post() -> None:
        current_runtime().color("other").post(slot_functions.add, 1, 2)
        color = current_color()
        assert color is not None
        color.post(slot_functions.pid)
        color.dispatch(slot_functions.pid)
        current_runtime().post(slot_functions.pid)
        current_runtime().dispatch(slot_functions.pid)

    first, second = rows(run_batch(order(post, int)))
    assert [(key, name) for key, _, name in first.posts] == [
        ("other", "add"),
        ("key", "pid"),
        ("key", "pid"),
        (DEFAULT, "pid"),
        (DEFAULT, "pid"),
    ]
    assert first.posts[0][1] == (slot_functions.add, (1, 2), {}, None)
    assert second.posts == []


def test_what_a_callback_has_posted_when_it_fails_is_posted() -> None:
    def post_and_fail() -> None:
        current_runtime().post(slot_functions.pid)
        raise KeyError("after that")

    (outcome,) = rows(run_batch(order(post_and_fail)))
    assert outcome.kind == FAILED
    assert len(outcome.posts) == 1


def test_what_is_kept_from_one_batch_posts_with_the_next() -> None:
    kept: list[Any] = []
    run_batch(order(lambda: kept.extend((current_runtime(), current_color()))))
    (outcome,) = rows(run_batch(order(lambda: [each.post(int) for each in kept])))
    assert [key for key, _, _ in outcome.posts] == [DEFAULT, "key"]


def test_what_would_be_posted_by_nobody_is_refused() -> None:
    """Its callback has ended; or it is of another runtime that has slots here."""
    kept: list[Any] = []
    run_batch(order(lambda: kept.extend((current_runtime(), current_color()))))
    for each in kept:
        with pytest.raises(NotInSlots, match="travels with the outcome of the callback"):
            each.post(int)
        (outcome,) = rows(run_batch(order((each.post, int), place="another/0")))
        assert isinstance(failure(outcome, BY_REFERENCE), NotInSlots)
        assert outcome.posts == []


def test_posts_that_cannot_travel_are_refused_where_they_are_made() -> None:
    run_batch(pickled((_post_lambda,)))
    (outcome,) = rows(run_batch(pickled((_post_lambda,))))
    error = failure(outcome)
    assert isinstance(error, CannotTravel)
    assert "<lambda> cannot be sent to a slot" in str(error)
    assert outcome.posts == []


def _post_lambda() -> None:
    current_runtime().post(lambda: None)


def test_a_key_that_cannot_be_hashed_is_refused() -> None:
    (outcome,) = rows(run_batch(order(lambda: current_runtime().color([]))))  # type: ignore[arg-type]  # on purpose
    assert isinstance(failure(outcome, BY_REFERENCE), TypeError)


def test_the_color_is_known_by_its_key() -> None:
    (outcome,) = rows(run_batch(order(lambda: repr(current_color()))))
    assert outcome.data == "<color 'key', seen in a slot>"


def test_a_key_that_did_not_travel_is_told_to_who_asks() -> None:
    one, two = rows(run_batch(order(int, current_color, key=None)))
    assert one.kind == PLAIN
    assert "the key of this color" in str(failure(two, BY_REFERENCE))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: current_runtime().submit(int),
        lambda: current_runtime().spawn(None),  # type: ignore[arg-type]  # refused before it is looked at
        lambda: current_runtime().call_later(1, int),
        lambda: current_runtime().drain(),
        lambda: current_runtime().shutdown(),
        lambda: current_runtime().stats(),
        lambda: current_runtime().color("a").submit(int),
        lambda: current_runtime().color("a").on("thread"),
        lambda: current_runtime().color("a").loop,
        slot_functions.there,
        slot_functions.here,
        lambda: slot_functions.double(3),
    ],
)
def test_there_is_no_more_in_a_slot(ask: Callable[[], object]) -> None:
    (outcome,) = rows(run_batch(order(ask)))
    error = failure(outcome, BY_REFERENCE)
    assert isinstance(error, NotInSlots)
    assert "is not there in a slot, where callbacks can only post()" in str(error)
    assert "travels" not in str(error), "tells of what nobody asked for"


def test_special_attributes_are_missing_as_usual() -> None:
    def look() -> tuple[bool, bool]:
        runtime = current_runtime()
        return hasattr(runtime, "__len__"), hasattr(runtime.color("a"), "__await__")

    (outcome,) = rows(run_batch(order(look)))
    assert outcome.data == (False, False)


def test_local_is_the_same_dictionary_all_along() -> None:
    def look() -> bool:
        return local() is local()

    (outcome,) = rows(run_batch(order(look)))
    assert outcome.data is True


def test_callbacks_see_a_context_of_their_own() -> None:
    from contextvars import ContextVar

    variable: ContextVar[int] = ContextVar("variable", default=0)

    def change() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    answer = run_batch(order(change, change))
    assert [outcome.data for outcome in rows(answer)] == [1, 1]
    assert variable.get() == 0


# -- errors -----------------------------------------------------------------------------------


def failure(outcome: Row, travel: Pickle | Reference = PICKLE) -> BaseException | None:
    assert outcome.kind == FAILED
    packed, _, trace = travel.unpack(outcome.data)
    assert "Traceback" in trace or "Error" in trace
    return None if packed is None else travel.unpack(packed)


def test_errors_travel_with_their_traceback() -> None:
    (outcome,) = rows(run_batch(pickled((slot_functions.fail, "why"))))
    error = failure(outcome)
    assert isinstance(error, KeyError)
    assert error.args == ("why",)
    assert "in fail" in PICKLE.unpack(outcome.data)[2]


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_is_raised_ends_no_batch(leave: type[BaseException]) -> None:
    def go() -> None:
        raise leave

    one, two = rows(run_batch(order(go, int)))
    assert isinstance(failure(one, BY_REFERENCE), leave)
    assert two.data == 0


@pytest.mark.parametrize("fn", [slot_functions.stubborn, slot_functions.raise_unpicklable])
def test_errors_that_cannot_travel_say_what_they_said(fn: Callable[[], object]) -> None:
    one, two = rows(run_batch(pickled((fn,), (slot_functions.add, 1, 2))))
    assert failure(one) is None
    assert "Error" in PICKLE.unpack(one.data)[1]
    assert two.data == 3


@pytest.mark.parametrize("what", ["str", "reduce", "setstate"])
def test_errors_that_fail_when_they_are_looked_at_harm_no_other(what: str) -> None:
    calls = (
        (slot_functions.add, 1, 2),
        (slot_functions.raise_nasty, what),
        (slot_functions.add, 3, 4),
    )
    one, two, three = rows(run_batch(pickled(*calls)))
    assert (one.data, three.data) == (3, 7)
    assert two.kind == FAILED
    assert "NastyError" in PICKLE.unpack(two.data)[1]


def test_a_call_that_cannot_be_loaded_fails_alone() -> None:
    batch = pickled((slot_functions.add, 1, 2), (slot_functions.add, 3, 4))
    batch.calls.insert(1, b"c\nno_such_module\nfunction\n.")
    batch.calls.insert(2, pickle.dumps((slot_functions.add, slot_functions.Leaves(), {}, None)))
    one, two, three, four = rows(run_batch(batch))
    assert (one.data, four.data) == (3, 7)
    assert "could not be loaded in its slot" in str(failure(two))
    assert "must be importable there" in str(failure(two))
    assert "could not be loaded in its slot: SystemExit" in str(failure(three))


def test_results_that_cannot_travel_are_refused() -> None:
    (outcome,) = rows(run_batch(pickled((slot_functions.unpicklable,))))
    error = failure(outcome)
    assert isinstance(error, CannotTravel)
    assert "the result of unpicklable, of type function, cannot be sent back" in str(error)


def test_results_that_leave_when_they_are_packed_are_refused() -> None:
    one, two = rows(run_batch(pickled((slot_functions.give_nasty,), (slot_functions.add, 1, 2))))
    assert isinstance(failure(one), CannotTravel)
    assert two.data == 3


@pytest.mark.parametrize("make", [order, pickled])
def test_coroutines_are_closed_and_refused(make: Callable[..., Order]) -> None:
    """Unclosed, Python would complain, which is an error in these tests."""
    (outcome,) = rows(run_batch(make((slot_functions.give_coroutine,))))
    error = failure(outcome, BY_REFERENCE if make is order else PICKLE)
    assert isinstance(error, CannotTravel)
    assert "coroutines stay in the parent process" in str(error)


def test_slots_within_slots_give_way_to_the_outer_one() -> None:
    """An engine may run a batch on a thread that is in one, of another runtime."""

    def outer() -> tuple[str, str]:
        run_batch(order(int, key="inner", number=7))
        color = current_color()
        assert color is not None
        return "outer", str(color.key)

    (outcome,) = rows(run_batch(order(outer)))
    assert outcome.data == ("outer", "key")
