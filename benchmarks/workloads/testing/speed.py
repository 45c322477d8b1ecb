"""Schedules a second: of small programs that are explored, run for real, or proved."""

from __future__ import annotations

import random
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from colorsched import Runtime
from colorsched.testing import NoChoice, Shared, explore
from colorsched.testing.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    Tree = tuple[int, int, bool, list["Tree"]]
    """A callback: its color, the object it touches, whether it writes, and what it posts then."""


def _empty(_cell: Shared[int]) -> None:
    pass


def _count(cell: Shared[int]) -> None:
    cell.set(cell.get() + 1)


def _grid(*, colors: int, callbacks: int, shared: bool) -> Callable[[Any], None]:
    """So many colors, each with so many callbacks; each callback reads and writes, or nothing."""
    fn = _count if shared else _empty

    def main(rt: Any) -> None:
        for number in range(colors):
            cell = Shared(0, name="cell")
            post = rt.color(number).post
            for _ in range(callbacks):
                post(fn, cell)

    return main


def explored(
    *, colors: int, callbacks: int, shared: bool, races: bool, strategy: str, schedules: int
) -> dict[str, Any]:
    """Explore it."""
    warnings.simplefilter("ignore", NoChoice)
    main = _grid(colors=colors, callbacks=callbacks, shared=shared)
    explore(main, schedules=20, races=races, strategy=strategy)
    begin = time.perf_counter()
    explore(main, schedules=schedules, races=races, strategy=strategy)
    return {"count": schedules, "seconds": time.perf_counter() - begin}


def kept(*, colors: int, callbacks: int, shared: bool, runs: int) -> dict[str, Any]:
    """Run it again and again on one real runtime with one worker."""
    main = _grid(colors=colors, callbacks=callbacks, shared=shared)
    with Runtime(workers=1) as rt:
        begin = time.perf_counter()
        for _ in range(runs):
            main(rt)
            rt.drain()
        seconds = time.perf_counter() - begin
    return {"count": runs, "seconds": seconds}


def fresh(*, colors: int, callbacks: int, shared: bool, runs: int) -> dict[str, Any]:
    """Run it on a real runtime that is made anew each time, as each schedule has its own."""
    main = _grid(colors=colors, callbacks=callbacks, shared=shared)
    begin = time.perf_counter()
    for _ in range(runs):
        with Runtime(workers=1) as rt:
            main(rt)
            rt.drain()
    return {"count": runs, "seconds": time.perf_counter() - begin}


def bare(*, colors: int, callbacks: int, shared: bool, runs: int) -> dict[str, Any]:
    """Call its callbacks one after the other, with no runtime: the least it costs."""
    fn = _count if shared else _empty
    begin = time.perf_counter()
    for _ in range(runs):
        for _ in range(colors):
            cell = Shared(0, name="cell")
            for _ in range(callbacks):
                fn(cell)
    return {"count": runs, "seconds": time.perf_counter() - begin}


def proved(*, programs: int, most: int, objects: int, budget: int, seed: int) -> dict[str, Any]:
    """Verify random programs without waits; `most` callbacks each."""
    rolls = random.Random(seed)
    verdicts: list[dict[str, Any]] = []
    begin = time.perf_counter()
    while len(verdicts) < programs:
        forest = [_tree(rolls, objects, depth=2) for _ in range(rolls.randint(1, 3))]
        if not 2 <= _size(forest) <= most:
            continue
        # Their accesses are not ordered, on purpose: that is what makes the classes.
        verdict = verify(_play(forest, objects), budget=budget, races=False)
        verdicts.append(
            {
                "callbacks": _size(forest),
                "result": verdict.result,
                "schedules": verdict.schedules,
                "classes": verdict.classes,
            }
        )
    return {
        "count": sum(int(verdict["schedules"]) for verdict in verdicts),
        "seconds": time.perf_counter() - begin,
        "verdicts": verdicts,
    }


def _tree(rolls: random.Random, objects: int, *, depth: int) -> Tree:
    children = (
        [_tree(rolls, objects, depth=depth - 1) for _ in range(rolls.randint(0, 2))]
        if depth
        else []
    )
    return rolls.randrange(3), rolls.randrange(objects), rolls.random() < 0.5, children


def _size(forest: list[Tree]) -> int:
    return sum(1 + _size(tree[3]) for tree in forest)


def _play(forest: list[Tree], count: int) -> Callable[[Any], None]:
    def main(rt: Any) -> None:
        objects = [Shared(0, name=f"x{number}") for number in range(count)]

        def run(tree: Tree) -> None:
            _, target, writes, children = tree
            if writes:
                _count(objects[target])
            else:
                objects[target].get()
            post(children)

        def post(trees: list[Tree]) -> None:
            for tree in trees:
                rt.color(tree[0]).post(run, tree)

        post(forest)

    return main


def watched(
    *, watcher: str, sample: float, colors: int, callbacks: int, work: int
) -> dict[str, Any]:
    """Run chains on two workers of a real runtime, beside an observer.

    Each color has one chain: a callback posts the next. Each callback reads and writes something
    shared, and counts to `work`.
    """
    observer = _watcher(watcher, sample)
    left = threading.Semaphore(0)
    length = callbacks // colors

    def step(color: Any, cell: Shared[int], again: int) -> None:
        _count(cell)
        for _ in range(work):
            pass
        if again:
            color.post(step, color, cell, again - 1)
        else:
            left.release()

    with Runtime(workers=2, observer=observer) as rt:
        begin = time.perf_counter()
        for number in range(colors):
            color = rt.color(number)
            color.post(step, color, Shared(0, name="cell"), length - 1)
        for _ in range(colors):
            left.acquire()
        seconds = time.perf_counter() - begin
    return {"count": length * colors, "seconds": seconds}


def _watcher(name: str, sample: float) -> Any:
    from colorsched.events import Observer
    from colorsched.testing import RaceDetector
    from colorsched.testing.conforms import ConformanceMonitor
    from colorsched.testing.trace import Recorder

    makers: dict[str, Callable[[], Observer | None]] = {
        "none": lambda: None,
        "nothing": Observer,
        "races": lambda: RaceDetector(sample=sample),
        "recorder": Recorder,
        "monitor": ConformanceMonitor,
    }
    return makers[name]()
