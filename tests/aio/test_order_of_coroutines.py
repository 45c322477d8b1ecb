"""Coroutines begin in the order in which they were posted, among callbacks of their color."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import Gate

if TYPE_CHECKING:
    from colorsched import Runtime


def test_spawned_and_held_coroutines_begin_in_their_place(rt: Runtime) -> None:
    color = rt.color("a")
    begun: list[int] = []

    async def begin(number: int) -> None:
        begun.append(number)

    with Gate() as gate:
        color.post(gate)
        gate.reached()
        color.post(begun.append, 1)
        color.spawn(begin(2))
        color.post(begun.append, 3)
        color.submit(begin, 4)
        color.spawn(begin(5))
        color.post(begun.append, 6)
        color.submit(begin, 7)
        color.submit(begin, 8)
        color.spawn(begin(9))
        color.post(begun.append, 10)
    assert rt.drain(30)
    assert begun == list(range(1, 11))


def test_a_task_factory_that_fails_is_told_to_who_waits(rt: Runtime) -> None:
    color = rt.color("a")

    def fail(loop: object, coro: object, **options: object) -> None:
        raise LookupError("no task today")

    async def begin() -> None:
        """Never begun."""

    def prepare() -> None:
        color.loop.set_task_factory(fail)  # type: ignore[arg-type]  # that is the point

    loop = color.loop
    color.submit(prepare).result(30)
    assert isinstance(color.spawn(begin()).exception(30), LookupError)
    assert isinstance(color.submit(begin).exception(30), LookupError)
    assert color.submit(pow, 2, 2).result(30) == 4
    del loop
