"""What runs in a slot: a batch of one color's callbacks; and what these find there.

This is imported wherever slots are: in other processes, interpreters, on other machines. There each
callback gets an empty context, since context variables do not travel.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from contextvars import Context
from functools import lru_cache
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from colorsched.errors import CannotTravel, NotInSlots
from colorsched.events import name_of
from colorsched.executors.slots.travel import describe, pack_call, travel_by
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from colorsched.executors.slots.travel import Travel

    Posted = tuple[Any, Any, str]
    """A callback posted in a slot: its color's key and its call, packed, and its name."""

#: What an outcome is: a value as it is, one that was packed, or an error (a packed ``Failure``).
PLAIN, PACKED, FAILED = 0, 1, 2

#: Values of these types are no trouble to any engine, and take little room.
SMALL: Final = frozenset({type(None), bool, int, float})


class Order(NamedTuple):
    """A batch as it travels to its slot."""

    place: str
    """The runtime and the slot, as one name: a process may serve several of both."""
    number: int
    """The color's, in that place."""
    key: Any
    """The color's key, packed; None if it cannot travel."""
    calls: list[Any]
    """The callbacks, packed."""
    forget: list[int]
    """Colors that have moved elsewhere: their state is to be dropped."""
    default: Any
    """The key of the default color, packed."""
    travel: str
    seconds: float
    """No callback is begun after so long ..."""
    size: int
    """... or after so many bytes of outcomes."""


class Answer(NamedTuple):
    """What comes back: what became of the first callbacks of an order, as many as were run.

    In columns, which are a tenth of the work to pickle that a record for each would be.
    """

    kinds: bytes
    """Of each callback: what ``data`` is."""
    data: list[Any]
    times: list[int]
    """When the first one began and when each one ended, which is when the next one began, in
    nanoseconds of the slot's monotonic clock."""
    posts: dict[int, list[Posted]]
    """What callbacks posted, by their places."""
    bound: bool
    """The color has state here."""


class Failure(NamedTuple):
    """An error as it travels back."""

    error: Any
    """Packed; None if it cannot travel."""
    text: str
    trace: str


class Progress(threading.local):
    """Where this process notes how far it is with its batch, for who finds it dead.

    ``cell`` is shared memory on the one thread of a process of ours, and None elsewhere. Its value
    is twice the number of callbacks that have ended, and one more while another one runs.
    """

    cell: Any = None


progress = Progress()

_states: dict[tuple[str, int], dict[Any, Any]] = {}
"""The state of each color that has some, by place and number."""


class Inside:
    """What a callback in a slot knows of where it is; ``here.slot`` while it runs."""

    def __init__(self, order: Order, travel: Travel) -> None:
        self._order = order
        self.travel = travel
        self.posts: list[Posted] = []
        self.runtime = SlotRuntime(self)

    def local(self) -> dict[Any, Any]:
        """The color's dictionary."""
        return _states.setdefault((self._order.place, self._order.number), {})

    @property
    def color(self) -> SlotSideColor:
        """The color that runs here."""
        if self._order.key is None:
            raise CannotTravel("the key of this color cannot be sent to a slot, so it has no name")
        return SlotSideColor(self, self.travel.unpack(self._order.key))

    def default(self) -> Hashable:
        """The key of the default color."""
        key: Hashable = self.travel.unpack(self._order.default)
        return key

    def now(self) -> Inside:
        """What runs on this thread for the same runtime: whoever asks may be kept from before.

        Raises:
            NotInSlots: nothing does, so what is posted here would travel with nobody's outcome.

        """
        running: Inside | None = here.slot
        if running is None or running.runtime_name() != self.runtime_name():
            raise NotInSlots(
                "post() travels with the outcome of the callback that calls it, in a slot of the "
                "same runtime: call it there, before the callback ends, and not on other threads"
            )
        return running

    def runtime_name(self) -> str:
        """Whose slot this is."""
        return self._order.place.partition("/")[0]

    def post(self, key: Hashable, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Keep a callback, to be posted in the parent process when the one that runs has ended."""
        call = pack_call(self.travel, fn, args, {})
        self.posts.append((self.travel.pack(key), call, name_of(fn)))


class SlotRuntime:
    """The runtime as a callback in a slot sees it: it can post, and no more.

    What it posts travels with its outcome: it is posted when the callback has ended, in order. If
    the callback is lost with its worker, so is what it posted. It may be kept, and used by later
    callbacks.
    """

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def color(self, key: Hashable) -> SlotSideColor:
        """The color of a key."""
        hash(key)
        return SlotSideColor(self._inside, key)

    def post(self, fn: Callable[..., object], /, *args: Any) -> None:
        """Post to the default color."""
        self._inside.now().post(self._inside.default(), fn, args)

    dispatch = post

    def __getattr__(self, name: str) -> NoReturn:
        _refuse(name)

    def __repr__(self) -> str:
        return "<Runtime, seen in a slot>"


class SlotSideColor:
    """A color as a callback in a slot sees it."""

    def __init__(self, inside: Inside, key: Hashable) -> None:
        self._inside = inside
        self.key = key

    @property
    def travels(self) -> str:
        """Asked by colored functions, which are refused at their next step."""
        return ""

    def post(self, fn: Callable[..., object], /, *args: Any) -> None:
        """Run ``fn(*args)`` in this color, in a slot, after the callback that posts it."""
        self._inside.now().post(self.key, fn, args)

    dispatch = post

    def __getattr__(self, name: str) -> NoReturn:
        _refuse(name)

    def __repr__(self) -> str:
        return f"<color {self.key!r}, seen in a slot>"


def _refuse(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotInSlots(
        f"{name} is not there in a slot, where callbacks can only post(). What waits, as submit(), "
        "colored functions (call fn.now()) and coroutines do, and timers, descriptors and signals "
        "are the parent process's: do it there (where='thread'), or return what is to be done next."
    )


@lru_cache
def _way(name: str) -> Travel:
    return travel_by(name)


def run_batch(order: Order) -> Answer:
    """Run the callbacks of an order, one after the other, until its time is over."""
    travel = _way(order.travel)
    for number in order.forget:
        _states.pop((order.place, number), None)
    inside = Inside(order, travel)
    before, here.slot = here.slot, inside
    cell = progress.cell
    now = time.monotonic_ns()
    until = now + round(order.seconds * 1e9)
    kinds = bytearray()
    everything: list[Any] = []
    times = [now]
    posts: dict[int, list[Posted]] = {}
    size = 0
    try:
        for place, call in enumerate(order.calls):
            if cell is not None:
                cell.value = 2 * place + 1
            kind, data = _run(travel, call)
            if cell is not None:
                cell.value = 2 * place + 2
            kinds.append(kind)
            everything.append(data)
            if inside.posts:
                posts[place], inside.posts = inside.posts, []
            if kind != PLAIN and isinstance(data, bytes):
                size += len(data)
            now = time.monotonic_ns()
            times.append(now)
            if now >= until or size >= order.size:
                break
    finally:
        here.slot = before
    state = (order.place, order.number)
    if state in _states and not _states[state]:
        del _states[state]
    return Answer(bytes(kinds), everything, times, posts, state in _states)


def drop_state(place: str) -> None:
    """Drop all state of a place that is no more. Only slots of this process have left any here."""
    for key in [key for key in _states.copy() if key[0] == place]:
        _states.pop(key, None)


def _run(travel: Travel, call: Any) -> tuple[int, Any]:
    try:
        fn, args, kwargs, context = travel.unpack_call(call)
    except BaseException as error:  # noqa: BLE001 - whatever unpickling raises is for the poster
        reason = CannotTravel(
            f"a callback could not be loaded in its slot: {describe(error)}. What it is made of "
            "must be importable there, by the same names; what is defined below "
            "`if __name__ == '__main__':` is not."
        )
        return FAILED, pack_failure(travel, reason, error)
    try:
        result = (context or Context()).run(fn, *args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it belongs to who waits for it, whatever it is
        return FAILED, pack_failure(travel, error, error)
    if type(result) in SMALL:
        return PLAIN, result
    try:
        # To asyncio a generator is a coroutine, before CPython 3.12.
        if asyncio.iscoroutine(result) and not isinstance(result, GeneratorType):
            result.close()
            raise TypeError("a coroutine; coroutines stay in the parent process")
        return PACKED, travel.pack(result)
    except BaseException as error:  # noqa: BLE001 - whatever pickling raises is for the poster
        refusal = CannotTravel(
            f"the result of {name_of(fn)}, of type {type(result).__name__}, cannot be sent back "
            f"from its slot: {describe(error)}. Return what can be pickled, or run it in the "
            "parent process, color.on('thread')."
        )
        return FAILED, pack_failure(travel, refusal, error)


def pack_failure(travel: Travel, error: BaseException, cause: BaseException) -> Any:
    """An error ready to travel; its traceback as text."""
    trace = "".join(traceback.format_exception(cause))
    try:
        packed = travel.pack(error)
        travel.unpack(packed)  # many errors can be pickled and not made again
    except BaseException:  # noqa: BLE001 - then what it said must do
        packed = None
    return travel.pack(Failure(packed, describe(error), trace))
