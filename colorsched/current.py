"""What is current where code runs: its runtime, its color, its color's dictionary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colorsched.errors import NoRuntime
from colorsched.ports import here
from colorsched.runtime import entered, entered_here

if TYPE_CHECKING:
    from colorsched.color import Color
    from colorsched.runtime import Runtime


def current_runtime() -> Runtime:
    """The runtime of the callback that calls, else the one whose ``with`` block was entered last.

    A block that the calling thread has entered comes before those of other threads.

    Raises:
        NoRuntime: there is none.

    """
    if here.slot is not None and not entered_here.stack:
        inside: Runtime = here.slot.runtime  # what there is of one in a slot
        return inside
    lane = here.lane
    if lane is not None:
        runtime: Runtime | None = lane.scheduler.runtime()
        if runtime is not None:
            return runtime
    try:
        return (entered_here.stack or entered)[-1]
    except IndexError:
        raise NoRuntime(
            "no runtime is current: call this inside `with Runtime():` or inside a callback"
        ) from None


def current_color() -> Color | None:
    """The color whose callback calls this; None outside of callbacks.

    In a slot it has ``key`` and ``post``, and no more.
    """
    if here.slot is not None:
        inside: Color = here.slot.color
        return inside
    lane = here.lane
    return None if lane is None else lane.color


def local() -> dict[Any, Any]:
    """The running color's own dictionary, in the process where its callbacks run.

    What a callback puts there the next one of its color finds, also after the color was idle: a
    connection, a model, a cache. In a slot it is lost with that, and when the color moves, which it
    does while it is idle if its slot is busy and another one is not; so take it for a cache, and
    fill it again (``local().setdefault``). Callbacks in a slot, and those of the same color in the
    parent process, have two. An empty one costs nothing.

    Raises:
        NoRuntime: called outside of callbacks.

    >>> from colorsched import Runtime
    >>> def count():
    ...     local()["calls"] = local().get("calls", 0) + 1
    ...     return local()["calls"]
    >>> with Runtime() as rt:
    ...     [rt.color("red").submit(count).result() for _ in range(3)]
    [1, 2, 3]

    """
    state: dict[Any, Any]
    if here.slot is not None:
        state = here.slot.local()
        return state
    lane = here.lane
    color = None if lane is None else lane.color
    if lane is None or color is None:
        raise NoRuntime("local() is the dictionary of the color that runs: call it in a callback")
    state = lane.scheduler.locals.of(color.key)
    return state
