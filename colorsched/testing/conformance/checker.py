"""The ordering contract, held against recorded events. It knows nothing of how a runtime works."""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import Factory, define

from colorsched.errors import ColorschedError
from colorsched.testing.conformance.actions import HOLD, IN_ORDER, SPAWN, SUBMIT

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from colorsched.testing.conformance.record import Event


class Point(Enum):
    """The eight points of the contract, ``docs/reference/contract.md``."""

    SERIAL = 1
    FIFO = 2
    CAUSAL = 3
    INDEPENDENT = 4
    FAIR = 5
    NOTHING_LOST = 6
    NOTHING_LEFT = 7
    SAME_AS_SERIAL = 8

    def __str__(self) -> str:
        return f"point {self.value} of the contract, {self.name.lower().replace('_', ' ')}"


class ContractError(ColorschedError, AssertionError):
    """A promise was broken: ``point`` says which one."""

    def __init__(self, point: Point, what: str) -> None:
        super().__init__(point, what)
        self.point = point
        self.what = what

    def __str__(self) -> str:
        return f"{self.point}: {self.what}"


@define(eq=False)
class _Story:
    """All that is recorded of one callback."""

    number: int
    how: str
    key: Hashable
    told: defaultdict[str, list[tuple[int, Any]]] = Factory(lambda: defaultdict(list))
    """By kind of event: the places in the record, and the details."""

    def place(self, what: str) -> int | None:
        """Where the first event of a kind stands."""
        return self.told[what][0][0] if self.told[what] else None

    def times(self, what: str) -> int:
        return len(self.told[what])

    def details(self, what: str) -> list[Any]:
        return [detail for _, detail in self.told[what]]

    def __str__(self) -> str:
        return f"{self.how} {self.number}"


def check(events: Sequence[Event]) -> None:
    """Look for what the contract forbids.

    Args:
        events: what happened, in order; see `Recorder`. Every callback in it has been posted in it.

    Raises:
        ContractError: the first promise found broken, and by what.

    >>> from colorsched.testing.conformance import Event, check
    >>> check([Event("posting", 0, ("post", "red")), Event("posted", 0), Event("drained", -1, True),
    ...        Event("outcome", 0, ("handle", None))])
    Traceback (most recent call last):
    colorsched.testing.conformance.checker.ContractError: point 6 of the contract, nothing lost: \
post 0 was lost

    """
    stories = _stories(events)
    for event in events:
        if event.what == "drained" and not event.detail:
            raise ContractError(Point.NOTHING_LOST, "not all was done in time: drain() gave up")
        if event.what == "foreign":
            raise ContractError(
                Point.NOTHING_LOST, f"the exception handler got {event.detail}, which nobody raised"
            )
    _check_stretches(events, stories)
    _check_holds(events, stories)
    _check_order(stories.values())
    for story in stories.values():
        _check_story(story)


def _stories(events: Sequence[Event]) -> dict[int, _Story]:
    stories = {
        event.number: _Story(event.number, *event.detail)
        for event in events
        if event.what == "posting"
    }
    for place, event in enumerate(events):
        if event.number in stories:
            stories[event.number].told[event.what].append((place, event.detail))
    return stories


def _check_stretches(events: Iterable[Event], stories: dict[int, _Story]) -> None:
    """At most one stretch of a color at a time, and in no other color."""
    inside: dict[Hashable, _Story] = {}
    for event in events:
        if event.what == "enter":
            story = stories[event.number]
            key = story.key
            if event.detail is not None and event.detail != (key,):
                raise ContractError(
                    Point.SERIAL, f"{story} of {key!r} ran in the color {event.detail[0]!r}"
                )
            if key in inside:
                raise ContractError(
                    Point.SERIAL, f"{story} and {inside[key]} ran at once in {key!r}"
                )
            inside[key] = story
        elif event.what == "leave":
            inside.pop(stories[event.number].key, None)


def _check_holds(events: Iterable[Event], stories: dict[int, _Story]) -> None:
    """While a coroutine holds a color no posted callback of it begins."""
    held: dict[Hashable, _Story] = {}
    for event in events:
        if event.what not in ("begin", "end"):
            continue
        story = stories[event.number]
        key = story.key
        if event.what == "end":
            if held.get(key) is story:
                del held[key]
        elif story.how != SPAWN:
            if key in held:
                raise ContractError(
                    Point.SERIAL, f"{story} began in {key!r} while {held[key]} held it"
                )
            if story.how == HOLD:
                held[key] = story


def _check_order(stories: Iterable[_Story]) -> None:
    """What was posted before another one's posting had begun runs before that one."""
    colors: dict[Hashable, list[tuple[int, int, int, _Story]]] = defaultdict(list)
    for story in stories:
        posting, posted, began = map(story.place, ("posting", "posted", "begin"))
        if (
            story.how in IN_ORDER
            and posting is not None
            and posted is not None
            and began is not None
        ):
            colors[story.key].append((posting, posted, began, story))
    for among in colors.values():
        for _, posted, began, first in among:
            for posting, _, earlier, second in among:
                if posted < posting and earlier < began:
                    raise ContractError(
                        Point.FIFO, f"{second} ran before {first}, which was posted earlier"
                    )


def _check_story(story: _Story) -> None:
    began, ended = story.times("begin"), story.times("end")
    if began != ended or began > 1:
        raise ContractError(
            Point.NOTHING_LOST, f"{story} began {began} times and ended {ended} times"
        )
    for seen in story.details("begin"):
        if seen != f"for {story.number}":
            raise ContractError(
                Point.CAUSAL, f"{story} saw {seen!r} of what its poster wrote before posting"
            )
    if not began and not story.times("outcome"):
        raise ContractError(Point.NOTHING_LOST, f"{story} was lost")
    for kind, *outcome in story.details("outcome"):
        if kind == "future":
            _check_future(story, began=bool(began), outcome=outcome)
        else:
            _check_handle(story, began=bool(began), reason=outcome[0])


def _check_handle(story: _Story, *, began: bool, reason: str | None) -> None:
    if began == (reason is not None):
        state = f"ran though its handle says {reason!r}" if began else "was lost"
        raise ContractError(Point.NOTHING_LOST, f"{story} {state}")
    cancels = story.details("cancel")
    if (reason == "cancelled") != any(cancels) or sum(cancels) > 1:
        raise ContractError(
            Point.NOTHING_LOST,
            f"{story}: its handle says {reason!r}, and cancel() said {cancels}",
        )
    if story.times("handled") != story.times("raised"):
        raise ContractError(
            Point.NOTHING_LOST,
            f"the error of {story} reached the exception handler {story.times('handled')} times",
        )


def _check_future(story: _Story, *, began: bool, outcome: Sequence[Any]) -> None:
    state = outcome[0]
    if state == "pending":
        raise ContractError(Point.NOTHING_LOST, f"{story} has no outcome")
    if story.times("handled"):
        raise ContractError(
            Point.NOTHING_LOST, f"the error of {story} reached the exception handler too"
        )
    if state == "cancelled":
        if began and story.how == SUBMIT:
            raise ContractError(Point.NOTHING_LOST, f"{story} ran though it was cancelled")
        if not any(story.details("cancel")):
            raise ContractError(Point.NOTHING_LOST, f"{story} is cancelled, and nobody did it")
        return
    if not began:
        raise ContractError(Point.NOTHING_LOST, f"{story} was lost")
    expected = ("error" if story.times("raised") else "result", story.number)
    if tuple(outcome) != expected:
        raise ContractError(
            Point.NOTHING_LOST, f"{story} has the outcome {outcome!r} instead of {expected!r}"
        )
