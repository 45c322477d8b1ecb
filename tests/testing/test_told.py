"""What an observer was told is not told again: only as long as that would say nothing new."""

from __future__ import annotations

import contextvars
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from colorsched import current_color
from colorsched.events import NOTHING, Told, told
from colorsched.testing import RaceDetector, Shared, SimRuntime, replay, shared
from colorsched.testing.exploration import ScheduleFailed

if TYPE_CHECKING:
    from collections.abc import Callable


class Counting(RaceDetector):
    """Counts what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def accessed(self, *access: Any) -> Told | None:
        self.count += 1
        return super().accessed(*access)


class Tireless(RaceDetector):
    """Wants to be told everything."""

    def accessed(self, *access: Any) -> Told | None:
        super().accessed(*access)
        return None


@shared
@define(eq=False)
class Account:
    total: int = 0
    items: dict[object, int] = field(factory=lambda: dict.fromkeys(range(3), 0))
    row: list[int] = field(factory=lambda: [0, 0, 0])


def test_a_loop_tells_its_accesses_once_or_twice() -> None:
    account = Account()

    def work() -> None:
        for _ in range(100):
            account.total += 1
            account.items[0] += 1
            account.row[0] += 1

    with SimRuntime(observer=Counting()) as rt:
        rt.color("red").post(work)
        rt.drain()
        counting: Any = rt._shared.observer
        assert counting.count < 30


def test_after_a_post_it_is_told_again() -> None:
    """Else the race with what was posted would go unseen."""
    account = Account()

    def work(other: Any) -> None:
        for _ in range(3):
            account.total = 1
        other.post(lambda: account.total)
        account.total = 2

    detector = RaceDetector()
    with SimRuntime(observer=detector) as rt:
        rt.color("red").post(work, rt.color("blue"))
    assert [race.name for race in detector.races] == ["Account.total"]


def test_two_colors_that_share_a_context_tell_their_own() -> None:
    account, context = Account(), contextvars.copy_context()

    def work() -> None:
        for _ in range(3):
            account.total = 1

    def begin() -> None:
        color = current_color()
        assert color is not None
        color.loop.call_soon(work, context=context)

    detector = RaceDetector()
    with SimRuntime(observer=detector) as rt:
        rt.color("red").post(begin)
        rt.color("blue").post(begin)
    assert [race.name for race in detector.races] == ["Account.total"]


def test_exception_handlers_of_two_colors_tell_their_own() -> None:
    account = Account()

    def handle(_error: BaseException) -> None:
        for _ in range(3):
            account.total = 1

    def fail() -> None:
        raise ValueError

    detector = RaceDetector()
    with SimRuntime(observer=detector, exception_handler=handle) as rt:
        rt.color("red").post(fail)
        rt.color("blue").post(fail)
    assert [race.name for race in detector.races] == ["Account.total"]


def test_main_tells_its_own_each_time_and_leaves_nothing_in_the_context() -> None:
    account = Account()

    def main(rt: Any) -> None:
        rt.color("red").post(lambda: account.total)
        for _ in range(3):
            account.total = 1

    another = Told()  # of a callback that this is called from
    another.writes.add((id(account), "total"))
    told.set(another)
    for _ in range(2):
        with pytest.raises(ScheduleFailed) as caught:
            replay("cs1:-/0/", main)
        assert [race.name for race in caught.value.failure.races] == ["Account.total"]
        assert told.get() is NOTHING


def test_who_hashes_badly_fails_as_in_the_plain_container() -> None:
    class Odd:
        def __hash__(self) -> int:
            raise TypeError("odd")

    account = Account()
    failed: list[str] = []

    def work() -> None:
        for _ in range(3):
            account.items[0] = account.items[0] + account.row[0]
            account.row[0] = 1
        accesses: list[Callable[[Any], object]] = [
            lambda wrong: account.items[wrong],
            lambda wrong: account.items.__setitem__(wrong, 1),
            lambda wrong: wrong in account.items,
        ]
        wrongs: list[Any] = [[], Odd()]
        for wrong in wrongs:
            for access in accesses:
                try:
                    access(wrong)
                except TypeError as error:
                    failed.append(str(error))
        assert account.row[0:1] == [1]
        account.row[0:1] = [5]
        assert account.row == [5, 0, 0]

    with SimRuntime(observer=RaceDetector()) as rt:
        rt.color("red").submit(work).result()
    assert len(failed) == 6
    # CPython 3.14 says more than the object does.
    assert all("odd" in text for text in failed[3:])


OPERATIONS: list[Callable[[Account, Shared[int], int], object]] = [
    lambda a, _s, _n: a.total,
    lambda a, _s, n: setattr(a, "total", n),
    lambda a, _s, n: a.items.get(n),
    lambda a, _s, n: n in a.items,
    lambda a, _s, n: a.items.__setitem__(n, 1),
    lambda a, _s, n: a.items.pop(n, None),
    lambda a, _s, _n: list(a.items),
    lambda a, _s, n: a.row[n % len(a.row)] if a.row else None,
    lambda a, _s, n: a.row.__setitem__(0, n) if a.row else None,
    lambda a, _s, n: a.row.append(n),
    lambda a, _s, _n: a.row.pop() if a.row else None,
    lambda _a, s, _n: s.get(),
    lambda _a, s, n: s.set(n),
]


def _races(program: int, detector: RaceDetector) -> set[str]:
    """The names of what races in a random program, of few things and many repetitions."""
    rolls = Random(program)
    accounts = [Account() for _ in range(2)]
    box = Shared(0, name="box")

    def work(rt: Any, depth: int) -> None:
        places = [
            (rolls.choice(accounts), rolls.choice(OPERATIONS), rolls.randrange(3))
            for _ in range(rolls.randrange(1, 3))
        ]
        for _ in range(rolls.randrange(1, 5)):
            for account, operation, number in places:
                operation(account, box, number)
            if depth and rolls.random() < 0.3:
                rt.color(rolls.randrange(3)).post(work, rt, depth - 1)

    with SimRuntime(seed=program, observer=detector) as rt:
        for _ in range(2):
            rt.color(rolls.randrange(3)).post(work, rt, 2)
    return {race.name for race in detector.races}


def test_random_programs_have_the_races_that_they_have_when_all_is_told() -> None:
    racy = clean = 0
    for program in range(300):
        found = _races(program, RaceDetector())
        assert found == _races(program, Tireless()), program
        racy += bool(found)
        clean += not found
    assert racy > 30
    assert clean > 30
