"""Accesses to shared objects: how every instrument reports one, and how one place is silenced.

An access is reported to the observer of the callback that runs on the calling thread; outside of
a callback, or with no observer attached, nothing happens. Who reports says the object (``target``),
which part of it (``part``, a hashable; see ``operations`` for those of containers), and a name for
people. The observer tells objects apart by ``id()``, and must therefore keep each one alive for as
long as it remembers the id: a strong reference for the length of a run. (Weak ones would not do:
a plain ``list`` or ``dict`` has none.)
"""

from __future__ import annotations

import asyncio
import collections
import copy
import dataclasses
import inspect
import json
import os
import random
import reprlib
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Self, TypeVar, cast

import attr

from colorsched.events import ADDS, told
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import CodeType, FrameType

P = ParamSpec("P")
R = TypeVar("R")

#: The file name that generated methods are given, so that an access is told as their caller's.
GENERATED = "<colorsched.testing>"


class Site(NamedTuple):
    """A place in the program, where an access was made.

    It is made for every access, so it keeps the code object and finds the line when asked.
    ``str(site)`` is ``file:line, function``. Sites are equal when they are the same instruction.
    """

    code: CodeType
    instruction: int

    @property
    def file(self) -> str:
        """The path of the source file."""
        return self.code.co_filename

    @property
    def line(self) -> int:
        """The line number, from 1; the function's first one where the compiler kept none."""
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end:
                return line or self.code.co_firstlineno
        return self.code.co_firstlineno

    @property
    def function(self) -> str:
        """The qualified name of the function."""
        return self.code.co_qualname

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Site)
            and self.code is other.code
            and self.instruction == other.instruction
        )

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        # A code object is alike another by its contents, which takes long to find out.
        return hash((id(self.code), self.instruction))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}, {self.function}"


#: Code that acts for its caller when it copies, compares, prints or goes through an object.
_HELPERS = (
    GENERATED,
    *(f"{Path(module.__file__ or '').parent}{os.sep}" for module in (attr, collections, json)),
    *(module.__file__ or GENERATED for module in (copy, dataclasses, random, reprlib)),
    Mapping.get.__code__.co_filename,
)
_KIT = str(Path(__file__).parent) + os.sep
_PACKAGE = str(Path(__file__).parent.parent) + os.sep


#: Whose code a file is: the program's; of what acts for its caller, the kit or what copies or
#: compares; the runtime's.
_PROGRAM, _HELPER, _RUNTIME = range(3)


class _Owners(dict[str, int]):
    """Whose code each file is."""

    def __missing__(self, filename: str) -> int:
        found = _PROGRAM
        if filename.startswith((_KIT, *_HELPERS)):
            found = _HELPER
        elif filename.startswith(_PACKAGE):
            found = _RUNTIME
        self[filename] = found
        return found


_owners = _Owners()


def is_of_the_kit(frame: FrameType) -> bool:
    """Whether a frame runs code of colorsched's own."""
    return frame.f_code.co_filename.startswith(_PACKAGE)


def site_of(frame: FrameType | None) -> Site:
    """The place of the first frame from ``frame`` outwards that belongs to the program."""
    assert frame is not None
    found = frame
    while _owners[found.f_code.co_filename] == _HELPER:
        if found.f_back is None:
            break
        found = found.f_back
    return Site(found.f_code, found.f_lasti)


def note_poster(ticket: Any) -> None:
    """Note where a callback is posted, or planned, if it has no place of its own in the program.

    Of ``color.post(shared.set, 1)`` nothing else in the program is to be seen. To be called while
    the poster posts.
    """
    kind, fn = ticket.kind, ticket.fn
    if kind == "timer" or kind == "io":  # noqa: PLR1714 - half the time of a look into a set
        return  # nobody posts it; who planned it did
    while type(fn) is partial:
        fn = fn.func
    code = getattr(fn, "__code__", None)
    if code is None and kind == "loop":
        return  # a task's step: its coroutine has
    if code is not None and _owners[code.co_filename] != _HELPER:
        return
    frame = _getframe(2)
    while _owners[frame.f_code.co_filename] != _PROGRAM and frame.f_back is not None:
        frame = frame.f_back
    ticket.site = Site(frame.f_code, frame.f_lasti)


def _posted_at(ticket: Any, site: Site) -> Site:
    """Where it was posted, as far as that is known; else the place itself."""
    plan = getattr(ticket, "plan", None)
    return getattr(ticket, "site", None) or getattr(plan, "site", None) or site


_getframe = sys._getframe
_new_site = tuple.__new__

#: What need not be told again. The most frequent accesses look here before they call read or write.
told_now = told.get


def read(target: object, part: Hashable, name: str) -> None:
    """Report that the running callback reads ``part`` of ``target``, called ``name``.

    Called by the kit's instruments only, so the caller's caller is the first to look at.
    """
    known = told_now().reads
    if known and (id(target), part) in known:
        return
    ticket = here.ticket
    if ticket is None:
        return
    frame = _getframe(2)
    if _silences.get() and _is_silent(ticket, frame):
        return
    code = frame.f_code
    while (owner := _owners[code.co_filename]) == _HELPER and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    # Not through NamedTuple's own constructor, which takes twice as long.
    site = _new_site(Site, (code, frame.f_lasti))
    if owner == _RUNTIME:
        site = _posted_at(ticket, site)
    now = ticket.observer.accessed(ticket, target, part, False, name, site)
    if now is not None:
        now.reads.add((id(target), part))
        told.set(now)


def write(target: object, part: Hashable, name: str) -> None:
    """Report that the running callback writes ``part`` of ``target``, called ``name``.

    Called by the kit's instruments only, so the caller's caller is the first to look at.
    """
    known = told_now().writes
    if known and (id(target), part) in known:
        return
    ticket = here.ticket
    if ticket is None:
        return
    frame = _getframe(2)
    if _silences.get() and _is_silent(ticket, frame):
        return
    code = frame.f_code
    while (owner := _owners[code.co_filename]) == _HELPER and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    # Not through NamedTuple's own constructor, which takes twice as long.
    site = _new_site(Site, (code, frame.f_lasti))
    if owner == _RUNTIME:
        site = _posted_at(ticket, site)
    now = ticket.observer.accessed(ticket, target, part, True, name, site)
    if now is not None:
        now.writes.add((id(target), part))
        told.set(now)


def add(target: object, part: Hashable, name: str) -> None:
    """Report a write that commutes with others reported so, as additions to a set do.

    Called by the kit's instruments only, as :func:`write`.
    """
    ticket = here.ticket
    if ticket is None:
        return
    frame = _getframe(2)
    if not (_silences.get() and _is_silent(ticket, frame)):
        site = site_of(frame)
        if _owners[site.file] == _RUNTIME:
            site = _posted_at(ticket, site)
        ticket.observer.accessed(ticket, target, part, ADDS, name, site)


# -- silence ----------------------------------------------------------------------------------


class _Silence(NamedTuple):
    benign: benign
    owner: object
    key: object


_silences: ContextVar[tuple[_Silence, ...]] = ContextVar("silences", default=())


def _owner() -> tuple[object, object]:
    """Who runs: the task, which stays itself across awaits, or else the callback; and its color."""
    ticket = here.ticket
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return (ticket if task is None else task), getattr(ticket, "key", None)


def _is_silent(ticket: Any, frame: FrameType) -> bool:
    # A callback posted or dispatched inside inherits the context, and so the silences, but it is
    # not who asked for them.
    owner, key = _owner()
    for silence in reversed(_silences.get()):
        if silence.owner is owner and silence.key == key:
            ticket.observer.silenced(ticket, silence.benign.reason, site_of(frame))
            return True
    return False


class benign:  # noqa: N801 - used like a function, as contextlib's own are
    """Say that the accesses of one place race and do no harm: they are not reported.

    A context manager and a decorator, of functions and coroutine functions. It holds for the
    callback or coroutine that enters it, across its awaits, and for what that calls; not for
    callbacks that it posts or dispatches, nor for tasks that it starts. An observer is told of each
    access left out by ``silenced(ticket, reason, site)``.

        with benign("a lost count does no harm"):
            stats.hits += 1

    Args:
        reason: why it does no harm, for the report.

    Raises:
        ValueError: the reason is empty.
        TypeError: the reason is no string, or a generator function is decorated.

    """

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str):
            raise TypeError(f'benign({reason!r}): give the reason, as benign("why it is harmless")')
        if not reason.strip():
            raise ValueError("benign needs a reason, such as benign('a lost count does no harm')")
        self.reason = reason

    def __enter__(self) -> Self:
        _silences.set((*_silences.get(), _Silence(self, *_owner())))
        return self

    def __exit__(self, *_: object) -> None:
        entered = list(_silences.get())
        owner, _key = _owner()
        for index in reversed(range(len(entered))):
            if entered[index].benign is self and entered[index].owner is owner:
                del entered[index]
                break
        _silences.set(tuple(entered))

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: what it accesses is not reported."""
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise TypeError(
                f"benign can't decorate the generator {fn.__qualname__}, whose caller runs between "
                "its steps: use `with benign(...)` around the accesses inside"
            )
        if inspect.iscoroutinefunction(fn):

            @wraps(fn)
            async def waiting(*args: P.args, **kwargs: P.kwargs) -> Any:
                with benign(self.reason):
                    return await fn(*args, **kwargs)

            return cast("Callable[P, R]", waiting)

        @wraps(fn)
        def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
            with benign(self.reason):
                return fn(*args, **kwargs)

        return quiet
