"""What is left when nothing can happen any more: who waits for whom, and the circle if any.

Of asyncio's own waits only some tell whom they wait for: a task, a future of colored work, a
``TaskGroup``, ``gather``, and a lock taken by ``async with``. A circle of these is named; of all
others it is said where they wait.
"""

from __future__ import annotations

import asyncio
import gc
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from colorsched.aio.future import ColorFuture
from colorsched.aio.tasks import Bond
from colorsched.ending import running_loops
from colorsched.testing.callees import awaits, short_name
from colorsched.testing.errors import Stalled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from colorsched.testing.errors import Livelock
    from colorsched.testing.simruntime import SimRuntime

    Task = asyncio.Task[Any]


class Deadlocked(Stalled):
    """Coroutines wait for each other in a circle.

    Attributes:
        cycle: who waits for the next one, as text; the first one again at the end.

    """

    def __init__(self, cycle: Sequence[str], waiting: Sequence[str]) -> None:
        super().__init__(waiting)
        self.cycle = tuple(cycle)
        self.args = (f"each waits for the next, so none can go on: {' -> '.join(cycle)}",)


def refuse_leftovers(rt: SimRuntime) -> None:
    """Refuse what ``drain`` would wait for, now that nothing can happen any more.

    Raises:
        Deadlocked: coroutines wait for each other.
        Stalled: something is left that waits for something else.

    """
    waiting = list(leftovers(rt))
    if waiting:
        cycle = find_cycle(rt)
        raise Deadlocked(cycle, waiting) if cycle else Stalled(waiting)


def leftovers(rt: SimRuntime) -> Iterator[str]:
    """Who waits, and where."""
    yield from map(str, rt._simulation.stopped())
    for color in rt._scheduler.registry.alive():
        if color.pending():
            yield f"{color.key!r} has {color.pending()} callbacks behind a coroutine that holds it"
    for task in sorted(rt._shared.live, key=lambda task: task.get_name()):
        yield _label(task)


def explain_livelock(error: Livelock, rt: SimRuntime) -> None:
    """Say who does not get on while others run and run: the starved."""
    starved = [*leftovers(rt)]
    if starved:
        error.add_note("meanwhile, these do not get on: " + "; ".join(starved))


def find_cycle(rt: SimRuntime) -> list[str]:
    """A circle of tasks each of which waits for the next; empty if none is seen."""
    tasks = [task for loop in running_loops(rt._scheduler) for task in asyncio.all_tasks(loop)]
    tasks.sort(key=lambda task: (repr(_color(task)), task.get_name()))
    edges = {task: [x for x in _awaited(task, tasks) if not x.done()] for task in tasks}
    for start in tasks:
        path = _path(start, start, edges)
        if path:
            return [_label(task) for task in (start, *path)]
    return []


def _path(start: Task, goal: Task, edges: dict[Task, list[Task]]) -> list[Task]:
    paths = [(start, list[asyncio.Task[Any]]())]
    seen: set[Task] = set()
    while paths:
        task, path = paths.pop(0)
        for further in edges.get(task, ()):
            if further is goal:
                return [*path, further]
            if further not in seen:
                seen.add(further)
                paths.append((further, [*path, further]))
    return []


def _awaited(task: Task, tasks: Sequence[Task]) -> Iterator[Task]:
    """The tasks that must go on before this one can, as far as they are known."""
    future = getattr(task, "_fut_waiter", None)
    for found in (future, *getattr(future, "_children", ())):
        if isinstance(found, asyncio.Task):
            yield found
    for awaited in awaits(task.get_coro()):
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        owner = None if frame is None else frame.f_locals.get("self")
        if isinstance(owner, asyncio.TaskGroup):
            yield from owner._tasks  # whom its end waits for
        elif isinstance(owner, ColorFuture):
            for callback in owner._done_callbacks:
                bond = getattr(callback, "__self__", None)
                if isinstance(bond, Bond) and bond._task is not None:
                    yield bond._task
        elif isinstance(owner, asyncio.Lock):
            yield from (other for other in tasks if other is not task and _holds(other, owner))


def _holds(task: Task, lock: asyncio.Lock) -> bool:
    """Whether a task is inside ``async with lock``: it has the lock's exit on its stack."""
    for coro in awaits(task.get_coro()):
        frame = getattr(coro, "cr_frame", None)
        if frame is not None and frame.f_locals.get("self") is lock:
            return False  # inside of the lock's own code: it waits for it
    for coro in awaits(task.get_coro()):
        found = gc.get_referents(coro)
        if any(_is_exit(x, lock) for x in found):
            return True
        # CPython 3.14 keeps the two apart.
        leave = type(lock).__aexit__
        if any(x is leave for x in found) and any(x is lock for x in found):
            return True
    return False


def _is_exit(found: Any, lock: asyncio.Lock) -> bool:
    name = getattr(found, "__name__", None)
    return name == "__aexit__" and getattr(found, "__self__", None) is lock


def _color(task: Task) -> object:
    color: Any = getattr(task.get_loop(), "color", None)
    return None if color is None else color.key


def _label(task: Task) -> str:
    """A task, and where in the user's code it waits."""
    frames = [getattr(x, "cr_frame", None) for x in awaits(task.get_coro())]
    own = [
        x for x in frames if x is not None and "asyncio" not in PurePath(x.f_code.co_filename).parts
    ]
    place = f" at line {own[-1].f_lineno} of {own[-1].f_code.co_filename}" if own else ""
    return f"{short_name(task.get_coro())} in {_color(task)!r} waits{place}"
