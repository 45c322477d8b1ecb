"""The answers of slots, whose columns travel, as rows that tests can read and make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from colorsched.executors.slots.inside import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Row(NamedTuple):
    """What became of one callback."""

    kind: int
    data: Any = None
    began: int = 1
    ended: int = 2
    posts: Sequence[Any] = ()


def rows(answer: Answer) -> list[Row]:
    """An answer by callbacks."""
    return [
        Row(kind, data, answer.times[place], answer.times[place + 1], answer.posts.get(place, []))
        for place, (kind, data) in enumerate(zip(answer.kinds, answer.data, strict=True))
    ]


def answer_of(rows: Iterable[Row], *, bound: bool = False) -> Answer:
    """The answer with these rows."""
    rows = list(rows)
    return Answer(
        bytes(row.kind for row in rows),
        [row.data for row in rows],
        [row.began for row in rows[:1]] + [row.ended for row in rows],
        {place: list(row.posts) for place, row in enumerate(rows) if row.posts},
        bound,
    )
