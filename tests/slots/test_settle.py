"""What becomes of a batch: outcomes, posts and losses, by a table and by scenes."""

from __future__ import annotations

import pickle
from contextvars import Context, copy_context
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, field

import slot_functions
from colorsched import CannotTravel, DeadLetter, Retry, RuntimeShutdown, WorkerLost
from colorsched.aio.future import ColorFuture
from colorsched.core.slots import Slot
from colorsched.core.waits import WaitGraph
from colorsched.events import Observer, Ran, Ticket
from colorsched.executors.slots.inside import FAILED, PACKED, PLAIN, Failure
from colorsched.executors.slots.jobs import Batch, Job
from colorsched.executors.slots.settle import STARTS, RemoteTraceback, Settler
from colorsched.executors.slots.travel import Pickle, pack_call
from colorsched.ports import here
from slot_rows import Row, answer_of

PICKLE = Pickle()
RED: Any = SimpleNamespace(key="red")


@define
class Desk:
    """A settler, and all that it tells."""

    failures: list[BaseException] = field(factory=list)
    posts: list[tuple[Any, Any, str]] = field(factory=list)
    refuses: BaseException | None = None
    settler: Settler = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.settler = Settler(PICKLE, self.failures.append, self._post)

    def _post(self, key: Any, call: Any, name: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.posts.append((key, call, name))


def future() -> ColorFuture[Any]:
    import threading

    made: ColorFuture[Any] = ColorFuture(RED, WaitGraph(threading.RLock()))
    made.set_running_or_notify_cancel()
    return made


def job(retry: Retry | None = None, fn: Any = slot_functions.add, *args: Any, **more: Any) -> Job:
    call = pack_call(PICKLE, slot_functions.add, args or (1, 2), {})
    return Job(fn, future(), call, retry, copy_context(), **more)


def posted(context: Context | None = None) -> Job:
    """A job without a future."""
    call = pack_call(PICKLE, slot_functions.add, (1, 2), {})
    return Job(slot_functions.add, None, call, None, context or copy_context())


def batch(*jobs: Job, outcomes: list[Row] | None = None, **changes: Any) -> Batch:
    return Batch(RED, Slot(0), list(jobs), 0, answer=answer_of(outcomes or []), **changes)


def lost(*jobs: Job, came: tuple[int, int] | None) -> Batch:
    return batch(*jobs, lost="process 7 was ended by SIGKILL", came=came)


def outcome(kind: int, data: Any = None, posts: Any = ()) -> Row:
    return Row(kind, data, posts=tuple(posts))


def error_of(done: Job) -> BaseException | None:
    assert done.future is not None
    assert done.future.done(), "nobody told what became of it"
    return done.future.exception()


# -- outcomes ---------------------------------------------------------------------------------


def test_outcomes_reach_their_futures_and_the_rest_is_to_run() -> None:
    one, two, three = job(), job(), job()
    told = batch(one, two, three, outcomes=[outcome(PLAIN, 3), outcome(PACKED, PICKLE.pack([4]))])
    assert Desk().settler.settle(told) == [three]
    assert one.future is not None
    assert two.future is not None
    assert (one.future.result(), two.future.result()) == (3, [4])
    assert three.future is not None
    assert not three.future.done()


def test_errors_say_where_they_were_raised() -> None:
    failed = job()
    trace = "Traceback: over there\n"
    packed = PICKLE.pack(Failure(PICKLE.pack(KeyError("why")), "KeyError: 'why'", trace))
    Desk().settler.settle(batch(failed, outcomes=[outcome(FAILED, packed)]))
    error = error_of(failed)
    assert isinstance(error, KeyError)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "over there" in str(error.__cause__)


def test_errors_that_did_not_travel_are_told_by_what_they_said() -> None:
    failed = job()
    packed = PICKLE.pack(Failure(None, "StubbornError: 1, 2", "trace"))
    Desk().settler.settle(batch(failed, outcomes=[outcome(FAILED, packed)]))
    assert isinstance(error_of(failed), CannotTravel)
    assert "add raised StubbornError: 1, 2; the error itself cannot be sent back" in str(
        error_of(failed)
    )


@pytest.mark.parametrize(
    "data",
    [b"no pickle", pickle.dumps(slot_functions.Leaves()), pickle.dumps(slot_functions.HereOnly(0))],
    ids=["garbage", "leaves", "not here"],
)
@pytest.mark.parametrize("kind", [PACKED, FAILED])
def test_outcomes_that_cannot_be_read_harm_no_other(kind: int, data: bytes) -> None:
    one, two = job(), job()
    Desk().settler.settle(batch(one, two, outcomes=[outcome(kind, data), outcome(PLAIN, 1)]))
    assert isinstance(error_of(one), CannotTravel)
    assert "the outcome of add cannot be read here" in str(error_of(one))
    assert error_of(two) is None


def test_an_error_that_is_made_again_as_something_else_is_told() -> None:
    failed = job()
    packed = PICKLE.pack(Failure(PICKLE.pack("no error"), "text", "trace"))
    Desk().settler.settle(batch(failed, outcomes=[outcome(FAILED, packed)]))
    assert isinstance(error_of(failed), CannotTravel)


def test_without_a_future_errors_go_to_the_handler() -> None:
    desk = Desk()
    packed = PICKLE.pack(Failure(PICKLE.pack(KeyError("why")), "text", "trace"))
    told = batch(posted(), posted(), outcomes=[outcome(FAILED, packed), outcome(PLAIN, 1)])
    assert desk.settler.settle(told) == []
    (error,) = desk.failures
    assert isinstance(error, KeyError)


def test_done_callbacks_harm_no_other() -> None:
    """What they raise is logged by the future, but for exits, which it lets through."""
    desk, jobs = Desk(), [job(), job(), job()]
    called: list[object] = []

    def leave(_: object) -> None:
        raise SystemExit("from a done-callback")

    for each in jobs:
        assert each.future is not None
        each.future.add_done_callback(leave)
    assert jobs[2].future is not None
    jobs[2].future.add_done_callback(called.append)
    packed = PICKLE.pack(Failure(PICKLE.pack(KeyError("why")), "text", "trace"))
    told = batch(*jobs, outcomes=[outcome(PLAIN, 1), outcome(FAILED, packed), outcome(PLAIN, 3)])
    desk.settler.settle(told)
    assert [type(error) for error in desk.failures] == [SystemExit] * 3
    assert [type(error_of(each)) for each in jobs] == [type(None), KeyError, type(None)]


def test_an_engine_that_failed_is_told_to_all_that_are_left() -> None:
    one, two, three = job(), job(), posted()
    desk, error = Desk(), MemoryError("engine")
    told = batch(one, two, three, outcomes=[outcome(PLAIN, 3)], failed=error)
    assert desk.settler.settle(told) == []
    assert error_of(one) is None
    assert error_of(two) is error
    assert desk.failures == [error]


# -- posts ------------------------------------------------------------------------------------


def test_posts_are_made_in_order() -> None:
    desk = Desk()
    posts = [(PICKLE.pack("a"), b"1", "one"), (PICKLE.pack("b"), b"2", "two")]
    desk.settler.settle(batch(job(), outcomes=[outcome(PLAIN, 1, posts)]))
    assert desk.posts == [("a", b"1", "one"), ("b", b"2", "two")]


def test_posts_that_come_too_late_are_told() -> None:
    desk, late = Desk(refuses=RuntimeShutdown("late")), job()
    told = batch(late, outcomes=[outcome(PLAIN, 1, [(PICKLE.pack("a"), b"1", "one")])])
    desk.settler.settle(told)
    assert desk.failures == [desk.refuses]
    assert error_of(late) is None


@pytest.mark.parametrize("key", [b"no pickle", pickle.dumps(slot_functions.Leaves())])
def test_posts_whose_key_cannot_be_read_harm_no_other(key: bytes) -> None:
    desk, one, two = Desk(), job(), job()
    posts = [(key, b"1", "one"), (PICKLE.pack("b"), b"2", "two")]
    told = batch(one, two, outcomes=[outcome(PLAIN, 1, posts), outcome(PLAIN, 2)])
    assert desk.settler.settle(told) == []
    assert [name for _, _, name in desk.posts] == ["two"]
    assert len(desk.failures) == 1
    assert error_of(one) is error_of(two) is None


# -- losses -----------------------------------------------------------------------------------

KEPT, LOST = "kept", "lost"


@pytest.mark.parametrize(
    ("came", "retry", "fates"),
    [
        # Nothing was begun: all are sent again, with or without a retry.
        ((0, 0), None, [KEPT, KEPT, KEPT]),
        ((0, 0), Retry(1), [KEPT, KEPT, KEPT]),
        # One ran when the slot died: at most once, it is lost; the others were not begun.
        ((0, 1), None, [LOST, KEPT, KEPT]),
        ((0, 1), Retry(1), [KEPT, KEPT, KEPT]),
        # Some had ended, and their outcomes are lost with the slot.
        ((1, 2), None, [LOST, LOST, KEPT]),
        ((1, 2), Retry(1), [KEPT, KEPT, KEPT]),
        ((2, 2), None, [LOST, LOST, KEPT]),
        ((3, 3), None, [LOST, LOST, LOST]),
        ((3, 3), Retry(1), [KEPT, KEPT, KEPT]),
        # Nobody knows how far it came: all may have run.
        (None, None, [LOST, LOST, LOST]),
        (None, Retry(1), [KEPT, KEPT, KEPT]),
    ],
)
def test_who_is_lost(came: tuple[int, int] | None, retry: Retry | None, fates: list[str]) -> None:
    desk, jobs = Desk(), [job(retry) for _ in range(3)]
    again = desk.settler.settle(lost(*jobs, came=came))
    assert again == [each for each, fate in zip(jobs, fates, strict=True) if fate == KEPT]
    for each, fate in zip(jobs, fates, strict=True):
        if fate == LOST:
            assert isinstance(error_of(each), WorkerLost)
        else:
            assert each.future is not None
            assert not each.future.done()
    assert desk.failures == []


@pytest.mark.parametrize(
    ("came", "running", "words"),
    [
        (
            (0, 1),
            "add in color 'red'",
            "its slot was lost while it ran add in color 'red' (process 7 was ended by SIGKILL)",
        ),
        ((1, 1), "nothing", "add ran to its end, and its outcome is lost: its slot was lost while"),
        (None, "one of 1 callbacks in color 'red'", "nobody knows how far add came"),
    ],
)
def test_what_is_told_of_a_loss(came: tuple[int, int] | None, running: str, words: str) -> None:
    one = job()
    Desk().settler.settle(lost(one, came=came))
    error = error_of(one)
    assert isinstance(error, WorkerLost)
    assert error.running == running
    assert words in str(error)


def test_a_lost_post_is_told_to_the_handler() -> None:
    desk = Desk()
    desk.settler.settle(lost(posted(), came=(0, 1)))
    (error,) = desk.failures
    assert isinstance(error, WorkerLost)


def test_retries_have_an_end_and_then_a_dead_letter() -> None:
    letters: list[DeadLetter] = []
    desk, poison = Desk(), job(Retry(2, letters.append), slot_functions.add, 5, 6)
    for _ in range(2):
        assert desk.settler.settle(lost(poison, came=(0, 1))) == [poison]
    assert desk.settler.settle(lost(poison, came=(0, 1))) == []
    (letter,) = letters
    assert letter.key == "red"
    assert letter.fn is slot_functions.add
    assert (letter.args, letter.kwargs, letter.attempts) == ((5, 6), {}, 3)
    assert letter.error is error_of(poison)
    assert "add was begun 3 times" in str(letter.error)


def test_only_who_ran_is_blamed() -> None:
    retry = Retry(1)
    first, poison, behind = job(retry), job(retry), job(retry)
    settler = Desk().settler
    assert settler.settle(lost(first, poison, behind, came=(1, 2))) == [first, poison, behind]
    assert [each.losses for each in (first, poison, behind)] == [0, 1, 0]
    assert settler.settle(lost(poison, behind, came=(0, 1))) == [behind]


def test_among_several_nobody_is_blamed_if_it_is_not_known_who_ran() -> None:
    one, two = job(Retry(1)), job(Retry(1))
    settler = Desk().settler
    for _ in range(3):
        assert settler.settle(lost(one, two, came=None)) == [one, two]
    assert settler.settle(lost(one, came=None)) == [one]
    assert settler.settle(lost(one, came=None)) == []


def test_who_ends_the_slot_with_its_answer_is_blamed_for_it() -> None:
    one = job(Retry(1))
    settler = Desk().settler
    assert settler.settle(lost(one, came=(1, 1))) == [one]
    assert settler.settle(lost(one, came=(1, 1))) == []


def test_a_slot_that_cannot_start_is_given_up() -> None:
    letters: list[DeadLetter] = []
    desk, one, two = Desk(), job(), job(Retry(9, letters.append))
    for _ in range(STARTS - 1):
        assert desk.settler.settle(lost(one, two, came=(0, 0))) == [one, two]
    assert desk.settler.settle(lost(one, two, came=(0, 0))) == []
    assert f"add was to run in {STARTS} slots, and none of them began it" in str(error_of(one))
    (letter,) = letters
    assert letter.attempts == 0


def test_who_stands_behind_those_that_kill_is_not_given_up() -> None:
    """A slot that began something could start, so it is no fault of those behind."""
    settler, behind = Desk().settler, job()
    for _ in range(STARTS + 2):
        assert settler.settle(lost(job(), behind, came=(0, 1))) == [behind]
    for _ in range(STARTS - 1):
        assert settler.settle(lost(behind, came=(0, 0))) == [behind]
    assert settler.settle(lost(job(), behind, came=(0, 1))) == [behind]
    assert settler.settle(lost(behind, came=(0, 0))) == [behind]


def test_errors_of_dead_letters_harm_no_other() -> None:
    def fail(_: DeadLetter) -> None:
        raise SystemExit("no mail today")

    desk, one, two = Desk(), job(Retry(1, fail), losses=1), job(Retry(1, fail), losses=1)
    unreadable = job(Retry(1, fail), losses=1)
    unreadable.call = b"no pickle"
    for each in (one, unreadable, two):
        assert desk.settler.settle(lost(each, came=(0, 1))) == []
        assert isinstance(error_of(each), WorkerLost)
    assert [type(error) for error in desk.failures] == [
        SystemExit,
        pickle.UnpicklingError,
        SystemExit,
    ]


def test_dead_letters_see_the_context_of_their_poster() -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="nobody")
    seen: list[str] = []
    context = copy_context()
    context.run(variable.set, "poster")
    poison = posted(context)
    poison.retry, poison.losses = Retry(1, lambda _: seen.append(variable.get())), 1
    Desk().settler.settle(lost(poison, came=(0, 1)))
    assert seen == ["poster"]


def test_done_callbacks_of_who_is_lost_harm_no_other() -> None:
    def leave(_: object) -> None:
        raise SystemExit

    desk, one, two = Desk(), job(), job()
    assert one.future is not None
    one.future.add_done_callback(leave)
    desk.settler.settle(lost(one, two, came=(1, 2)))
    assert isinstance(error_of(two), WorkerLost)
    assert len(desk.failures) == 1


# -- observers --------------------------------------------------------------------------------


class Notes(Observer):
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def ran(self, ticket: Ticket, ran: Ran, error: BaseException | None) -> None:
        self.seen.append(("ran", ticket.number, ran, type(error)))

    def dropped(self, ticket: Ticket, why: str) -> None:
        self.seen.append(("dropped", ticket.number, why))


def ticket(notes: Observer, number: int) -> Ticket:
    return Ticket(notes, number, "red", slot_functions.add, "post", None)


def test_the_observer_is_told_what_ran_and_what_was_lost() -> None:
    notes = Notes()
    packed = PICKLE.pack(Failure(PICKLE.pack(KeyError("why")), "text", "trace"))
    one, two, three = (job(None, ticket(notes, number)) for number in (1, 2, 3))
    settler = Desk().settler
    told = batch(one, two, outcomes=[outcome(PLAIN, 1), outcome(FAILED, packed)], arrived=9)
    settler.settle(told)
    settler.settle(lost(three, came=(0, 1)))
    assert notes.seen == [
        ("ran", 1, Ran(0, 1, 2), type(None)),
        ("ran", 2, Ran(0, 2, 2), KeyError),
        ("dropped", 3, "lost"),
    ]
    assert here.ticket is None


def test_posts_and_errors_are_of_the_callback_that_made_them() -> None:
    notes, by, of = Notes(), [], []
    settler = Settler(PICKLE, lambda _: of.append(here.failed), lambda *_: by.append(here.ticket))
    packed = PICKLE.pack(Failure(PICKLE.pack(KeyError("why")), "text", "trace"))
    posts = [(PICKLE.pack("a"), b"1", "one")]
    failing = posted()
    failing.fn = ticket(notes, 5)
    settler.settle(batch(failing, outcomes=[outcome(FAILED, packed, posts)]))
    assert by == of == [failing.fn]
    here.failed = None


def test_by_default_an_observer_is_told_as_of_any_callback() -> None:
    class Plain(Observer):
        def __init__(self) -> None:
            self.seen: list[tuple[str, int]] = []

        def started(self, ticket: Ticket) -> None:
            self.seen.append(("started", ticket.number))

        def ended(self, ticket: Ticket, error: BaseException | None) -> None:
            self.seen.append(("ended", ticket.number))

    plain = Plain()
    Desk().settler.settle(batch(job(None, ticket(plain, 1)), outcomes=[outcome(PLAIN, 1)]))
    assert plain.seen == [("started", 1), ("ended", 1)]


def test_a_lost_one_is_named_by_its_function_though_it_is_observed() -> None:
    one = job(None, ticket(Notes(), 1))
    Desk().settler.settle(lost(one, came=(0, 1)))
    error = error_of(one)
    assert isinstance(error, WorkerLost)
    assert error.running == "add in color 'red'"
