"""A runtime on a stage: what tests of schedules set up, watch and look for."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from attrs import define, field

from colorsched.current import current_color
from colorsched.runtime import Runtime
from colorsched.testing.stage.actors import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from colorsched.core.scheduler import Scheduler
    from colorsched.testing.stage.actors import Actor
    from colorsched.testing.stage.policies import Policy


def unfinished(scheduler: Scheduler) -> str | None:
    """Tell what work lies there that somebody who sleeps should be doing; None: there is none.

    For `Stage.unfinished`; takes no step.
    """
    if scheduler.sleepers and any(_length(lane.ready) for lane in scheduler.lanes):
        return "colors are ready while a worker sleeps"
    if scheduler.waking and not any(not lane.asleep for lane in scheduler.lanes):
        return "a worker is said to be waking, and none is"
    for color in scheduler.registry.alive():
        if _length(color._queue) and _length(color._token):
            return f"{color} has callbacks, and nobody owns it"
    return misplaced(scheduler)


def misplaced(scheduler: Scheduler) -> str | None:
    """Tell which worker is in two places at once; None: none is. Takes no step."""
    for lane in scheduler.lanes:
        if scheduler.sleepers.count(lane) + scheduler.reserve.count(lane) > 1:
            return f"worker {lane.index} is among the sleepers or in reserve twice"
        if lane in scheduler.reserve and lane.color is not None:
            return f"worker {lane.index} runs a turn while it is in reserve"
    return None


def _length(container: Any) -> int:
    length: int = container.peek()
    return length


@define
class Scene:
    """One run: a runtime on a stage, its colors' callbacks, and what they did."""

    stage: Stage
    rt: Runtime
    errors: list[BaseException]
    ran: list[Any] = field(factory=list)
    running: dict[Hashable, Any] = field(factory=dict)

    def work(self, name: Any) -> None:
        """The callback: takes a while, and fails if another one of its color runs meanwhile."""
        color = current_color()
        assert color is not None
        assert color.key not in self.running, f"{name} runs beside {self.running[color.key]}"
        self.running[color.key] = name
        self.stage.step(f"works on {name}")
        self.ran.append(name)
        del self.running[color.key]

    def actor(self, target: Callable[[], object], name: str = "actor") -> Actor:
        """Start another thread."""
        return self.stage.start(target, name)

    def ran_of(self, prefix: object) -> list[Any]:
        """What ran, of the names that begin with ``prefix``, in the order in which it ran."""
        return [name for name in self.ran if name[0] == prefix]


def scene(
    play: Callable[[Scene], None],
    *,
    workers: int = 2,
    max_workers: int | None = None,
    make: Callable[..., Runtime] = Runtime,
    check: Callable[[Scheduler], str | None] = unfinished,
) -> Callable[[Policy], None]:
    """Make a scenario for `explore` or `sample`.

    Args:
        play: what happens, given the `Scene`; the runtime is shut down after it. It raises what it
            finds wrong.
        workers: of the runtime.
        max_workers: of the runtime.
        make: makes the runtime; one with a planted bug, for example.
        check: asked whenever everybody sleeps; see `unfinished`.

    >>> from colorsched.testing.stage import explore, scene
    >>> def play(scene):
    ...     scene.rt.color("a").post(scene.work, "first")
    ...     assert scene.rt.drain()
    ...     assert scene.ran == ["first"]
    >>> explore(scene(play, workers=1), departures=0).schedules
    1

    """

    def scenario(policy: Policy) -> None:
        stage = Stage(policy)
        errors: list[BaseException] = []

        def main() -> None:
            rt = make(workers, max_workers, doors=stage.doors(), exception_handler=errors.append)
            scheduler = rt._scheduler
            stage.unfinished = lambda: check(scheduler)
            play(Scene(stage, rt, errors))
            rt.shutdown()
            assert not any(_length(lane.ready) for lane in scheduler.homes), "left among the ready"

        gc.disable()  # a collection would come at other points in a replay
        try:
            stage.run(main)
        finally:
            gc.enable()
        if errors:
            raise errors[0]

    return scenario
