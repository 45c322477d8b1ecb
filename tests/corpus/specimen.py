"""A small program with a bug and its fixed twin, and what such programs are built of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen, validators

if TYPE_CHECKING:
    from concurrent.futures import Future

    from colorsched import Runtime
    from colorsched.color import Color
    from colorsched.testing import Shared

T = TypeVar("T")

#: Called when the program is quiet; raises AssertionError if its outcome is wrong.
Check = Callable[[], None]

#: Posts the program; may return a check. Or the same as an ``async def``.
Main = Callable[["Runtime"], Any]

#: What a detector can find.
EXPECTATIONS = (
    "race",
    "assertion",
    "exception",
    "deadlock",
    "stall",
    "order",
    "livelock",
    "not linearizable",
)


@frozen(kw_only=True)
class Specimen:
    """A buggy program and its natural repair.

    The buggy one fails under some schedule; the fixed one under none, and it has no races.
    """

    name: str
    kind: str
    """Its module: the kind of bug."""
    source: str
    """Where the idea comes from; "own" if from nowhere else."""
    buggy: Main
    fixed: Main
    expects: str = field(validator=validators.in_(EXPECTATIONS))
    """What a detector should find."""
    also: tuple[str, ...] = ()
    """What else of the same bug may be found first."""
    shows_in_fifo: bool = False
    """Whether the bug is found in the plainest schedule already: all in the order posted."""
    small: bool = False
    """Whether the fixed twin has no waits and few callbacks, so that it can be proved."""


def specimen(
    body: Callable[..., Any],
    *,
    source: str,
    expects: str,
    also: tuple[str, ...] = (),
    name: str | None = None,
    shows_in_fifo: bool = False,
    small: bool = False,
    **mutation: Any,
) -> Specimen:
    """Make a specimen of ``body(rt, *, fixed)``, which is named like it.

    With a ``mutation``, which needs a name of its own, ``body(rt)`` is the correct program and
    ``body(rt, **mutation)`` the buggy one.
    """
    name = body.__name__ if name is None else name
    return Specimen(
        name=name,
        kind=body.__module__.rpartition(".")[2],
        source=source,
        buggy=_named(f"{name}_buggy", body, mutation or {"fixed": False}),
        fixed=_named(f"{name}_fixed", body, {} if mutation else {"fixed": True}),
        expects=expects,
        also=also,
        shows_in_fifo=shows_in_fifo,
        small=small,
    )


def _named(name: str, body: Callable[..., Any], options: dict[str, Any]) -> Main:
    """A function of a runtime alone; an ``async def`` if the body is one."""
    main: Main
    if inspect.iscoroutinefunction(body):

        async def begin(rt: Runtime) -> Any:
            return await body(rt, **options)

        main = begin
    else:

        def post(rt: Runtime) -> Any:
            return body(rt, **options)

        main = post
    main.__name__ = main.__qualname__ = name
    main.__doc__ = body.__doc__
    return main


def late(
    rt: Runtime, way: str, hops: int, color: Color, fn: Callable[..., object], *args: Any
) -> None:
    """Post ``fn(*args)`` by a longer way: through so many callbacks of another color first.

    In the plain order it then comes after what is posted directly; in other orders it need not.
    """
    if hops:
        rt.color(way).post(late, rt, way, hops - 1, color, fn, *args)
    else:
        color.post(fn, *args)


def add(cell: Shared[int], amount: int = 1) -> None:
    """Add to a shared number, by a read and a write."""
    cell.set(cell.get() + amount)


def append(cell: Shared[tuple[T, ...]], item: T) -> None:
    """Append to a shared sequence, by a read and a write."""
    cell.set((*cell.get(), item))


def equal(cell: Shared[T], value: T) -> Check:
    """A check that in the end the cell holds that value."""

    def check() -> None:
        assert cell.get() == value

    return check


def outcomes(*futures: Future[Any]) -> Check:
    """A check that all this work has ended well."""

    def check() -> None:
        for future in futures:
            assert future.done(), f"{future!r} has not ended"
            future.result(0)

    return check
