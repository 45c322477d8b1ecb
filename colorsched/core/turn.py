"""The hot path: one worker's lap over its ready colors, a turn for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.core.handle import CLAIM, EndTurn, HandOver, tell, unawaited
from colorsched.core.policy import LOOK_EVERY, STRETCHES, TURN_SECONDS
from colorsched.ports import FENCE, set_running_loop

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from colorsched.core.handle import Handle
    from colorsched.core.queue import ColorQueue
    from colorsched.core.scheduler import Lane


def run_turns(  # noqa: C901 - fused on purpose: a call more for each callback costs a tenth
    lane: Lane,
    most: int,
    clock: Callable[[], float],
    until: float,
    stretches: tuple[tuple[None, ...], ...] = STRETCHES,
) -> None:
    """Give up to ``most`` ready colors of the lane a turn each, and stop early after ``until``.

    ``stretches``: how many callbacks a turn may run, in the stretches between looks at the clock.

    Whatever a callback raises goes to the scheduler's ``failed`` and no further. Returns early too
    when the monitor has counted this worker out.
    """
    ready = lane.ready
    failed = lane.scheduler.failed
    now = clock()
    for turn in range(1, most + 1):
        try:
            color = ready.popleft()
        except IndexError:
            return
        lane.color = color
        lane.turns += 1
        loop = None if color._loop is None else color._loop()
        if loop is not lane.loop:
            lane.loop = loop
            set_running_loop(loop)
        try:
            if color._aside is not None:
                _run_around_hold(color, failed, clock, sum(map(len, stretches)))
            else:
                queue = color._queue
                for stretch in stretches:
                    for _ in stretch:
                        if not queue:
                            break
                        handle = queue.popleft()
                        try:
                            context = handle.pop(CLAIM)
                        except IndexError:
                            continue  # cancelled
                        fn, args = handle
                        try:
                            # A call with *args costs three times one without.
                            if not args:
                                result = context.run(fn)
                            elif len(args) == 1:
                                result = context.run(fn, args[0])
                            elif len(args) == 2:
                                first, second = args
                                result = context.run(fn, first, second)
                            elif len(args) == 3:
                                first, second, third = args
                                result = context.run(fn, first, second, third)
                            else:
                                result = context.run(fn, *args)
                            if result is not None:
                                unawaited(result, fn)
                                result = None
                        except EndTurn:
                            break
                        except BaseException as error:  # noqa: BLE001 - must not reach another callback
                            tell(failed, error, context)
                    else:
                        if not queue:
                            break
                        # ``now`` is a little old, so a turn after slow ones may end early.
                        before, now = now, clock()
                        if now < before + TURN_SECONDS:
                            now = before
                            continue
                    break
                # Let go of the last callback before the color: nothing of it may outlive its turn.
                handle = fn = args = context = first = second = third = result = None  # type: ignore[assignment]
        except HandOver as found:
            # Whoever takes it owns the color from here on; it may be in its next turn already.
            handle, loop, lane.color = found.handle, None, None
            fn = args = context = first = second = third = result = None
            lane.scheduler.hand_over(color, handle)
            del found, handle
        else:
            loop = lane.color = None
            if color._queue or color._aside is not None:
                if color.release():
                    ready.append(color)
            else:
                lane.recent.append(color)
                color._token.append(1)
                if FENCE:
                    color._queue.rotate(0)
                if color._queue and color.claim():
                    ready.append(color)
        del color
        if turn % LOOK_EVERY == 0:
            now = clock()
        if now > until or lane.stuck:
            return


def _run_around_hold(  # noqa: C901 - as above: it is one step of the same path
    color: ColorQueue,
    failed: Callable[[BaseException], None],
    clock: Callable[[], float],
    most: int,
) -> None:
    """A turn of a color that is held, or was: callbacks that waited for the hold come first.

    While it is held only the callbacks of its own loop run; the others are put aside, in order,
    each of them once. A turn in which the color gets or loses its holder goes on by the new rule.
    """
    queue = color._queue
    aside: deque[Handle] = color._aside if color._aside is not None else color._queue
    until = clock() + TURN_SECONDS
    for _ in range(most):
        if clock() > until:
            break
        if color._hold is None and aside:
            handle = aside.popleft()
        elif queue:
            handle = queue.popleft()
            if color._hold is not None and not handle.inner:
                aside.append(handle)
                continue
        else:
            break
        try:
            context = handle.pop(CLAIM)
        except IndexError:
            continue  # cancelled
        try:
            result = context.run(handle[0], *handle[1])
            if result is not None:
                unawaited(result, handle[0])
                result = None
        except EndTurn:
            continue
        except BaseException as error:  # noqa: BLE001 - as in run_turns
            tell(failed, error, context)
    if color._hold is None and not aside:
        color._aside = None
    # CPython 3.12 and 3.13 keep this frame with the traceback of a coroutine that failed below it.
    del color, queue, aside
    handle = context = result = None  # type: ignore[assignment]
