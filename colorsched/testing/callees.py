"""What a callback is: the function behind it, the task it is a step of, and what to call it."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING, Any

from colorsched.core.observed import Planned
from colorsched.testing.trace_names import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from colorsched.events import Ticket

#: Longest name that is shown.
LONGEST = 24


def task_of(fn: Any) -> asyncio.Task[Any] | None:
    """The task that a callback is a step of; None if it is none."""
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner
    if type(fn).__name__.startswith("TaskStep"):
        # asyncio's own wrapper of a first step keeps the task to itself.
        return next((x for x in gc.get_referents(fn) if isinstance(x, asyncio.Task)), None)
    return None


def callee_of(fn: Any) -> Any:
    """The function, or the coroutine, that a callback comes down to."""
    task = task_of(fn)
    if task is not None:
        return task.get_coro()
    while isinstance(fn, partial | Planned):
        fn = fn.func if isinstance(fn, partial) else fn.fn
    return fn


def code_of(callee: Any) -> CodeType | None:
    """The code of a function, a method or a coroutine; None of what is not written in Python."""
    for name in ("__code__", "cr_code", "gi_code", "ag_code"):
        code: CodeType | None = getattr(callee, name, None)
        if code is not None:
            return code
    return getattr(getattr(callee, "__func__", None), "__code__", None)


def is_of(callee: Any, wanted: Any) -> bool:
    """Whether a callback's function or coroutine is ``wanted``, or what a decorator has of it."""
    if callee is wanted or callee == wanted:
        return True
    code = code_of(callee)
    while code is not None and wanted is not None:
        if code_of(wanted) is code:
            return True
        wanted = getattr(wanted, "__wrapped__", None)
    return False


def awaits(coro: Any) -> Iterator[Any]:
    """A suspended coroutine, what it awaits, what that awaits, and so on."""
    while coro is not None:
        yield coro
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)


def short_name(fn: Any) -> str:
    """A callback's name, short; a task's step has that of its coroutine."""
    task = task_of(fn)
    name = name_of(fn if task is None else task.get_coro()).rpartition("<locals>.")[2]
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def is_plumbing(fn: Any) -> bool:
    """Whether a callback is asyncio's, or ours between futures and tasks: no part of a program."""
    if task_of(fn) is not None:
        return False
    module = str(getattr(fn, "__module__", None) or type(fn).__module__)
    return module.partition(".")[0] == "asyncio" or module == "colorsched.aio.tasks"


def label_of(ticket: Ticket) -> str:
    """A callback as reports name it, such as ``red#3 load``."""
    key = ticket.key
    return f"{key if isinstance(key, str) else repr(key)}#{ticket.number} {short_name(ticket.fn)}"
