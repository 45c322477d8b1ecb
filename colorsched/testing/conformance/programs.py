"""Random programs of colored callbacks, as a Hypothesis strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from colorsched.testing.conformance.actions import (
    CALLBACKS,
    DISPATCH,
    HOLD,
    POST,
    SPAWN,
    SUBMIT,
    TIMER,
    Action,
    Cancel,
    Program,
    Raise,
    Start,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_WAY = (POST, SUBMIT, DISPATCH, TIMER, HOLD, SPAWN)


def programs(
    hows: Sequence[str] = EVERY_WAY, *, colors: int = 4, posters: int = 3, depth: int = 3
) -> st.SearchStrategy[Program]:
    """Programs of one or more posters, each with a list of actions.

    An action posts a callback, starts a timer or a coroutine in some color, cancels what was
    started before, or raises. What is started has a list of actions of its own.

    Args:
        hows: the ways in which things are started: ``"post"``, ``"submit"``, ``"dispatch"``,
            ``"timer"``, ``"hold"`` (a submitted coroutine), ``"spawn"``.
        colors: how many there are; the first is the default color (see `run`).
        posters: at most so many.
        depth: how deep what is started starts others.

    Raises:
        ValueError: a way is unknown, no way starts plain callbacks, or a number is too small.

    """
    unknown = [how for how in hows if how not in EVERY_WAY]
    if unknown:
        raise ValueError(f"unknown: {unknown}. What there is: {', '.join(EVERY_WAY)}")
    if not any(how in CALLBACKS for how in hows):
        raise ValueError(f"at least one of {', '.join(CALLBACKS)} must be among the hows")
    for name, number in (("colors", colors), ("posters", posters), ("depth", depth)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, not {number}")
    script = st.lists(_actions(depth, hows, colors), min_size=1, max_size=5).map(tuple)
    return st.builds(Program, st.lists(script, min_size=1, max_size=posters).map(tuple))


def _actions(depth: int, hows: Sequence[str], colors: int) -> st.SearchStrategy[Action]:
    """Actions that nest so deep."""
    cancel: st.SearchStrategy[Action] = st.builds(Cancel, st.integers(0, 30))
    if not depth:
        return cancel
    body = _bodies(depth - 1, hows, colors)
    color = st.integers(0, colors - 1)
    seconds = st.sampled_from((0.0, 0.0, 0.0005))
    callbacks = st.sampled_from([how for how in hows if how in CALLBACKS])
    starts = [st.builds(Start, callbacks, color, st.tuples(body), seconds)]
    coroutines = [how for how in hows if how not in CALLBACKS]
    if coroutines:
        parts = st.lists(body, min_size=1, max_size=3).map(tuple)
        starts.append(st.builds(Start, st.sampled_from(coroutines), color, parts, seconds))
    return st.one_of(starts[0], *starts, cancel)


def _bodies(depth: int, hows: Sequence[str], colors: int) -> st.SearchStrategy[tuple[Action, ...]]:
    """What a callback, or a part of a coroutine, does."""
    actions = st.lists(_actions(depth, hows, colors), max_size=3 if depth else 1)
    # At the end, so that it cuts nothing off.
    ends = st.sampled_from(((), (), (), (), (Raise(),)))
    return st.builds(lambda actions, end: (*actions, *end), actions, ends)
