"""What becomes of an exception that a callback raised and nobody waits for."""

from __future__ import annotations

import inspect
import logging
import traceback
from typing import TYPE_CHECKING

from colorsched.core.queue import ColorQueue
from colorsched.core.turn import run_turns
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("colorsched")

#: The files whose frames may stand between a worker and what it runs.
_OWN_FRAMES = {run_turns.__code__.co_filename, ColorQueue.dispatch.__code__.co_filename}


class Failures:
    """Tells a callback's exception to whom it may concern: its loop, the handler, or the log."""

    def __init__(self, handler: Callable[[BaseException], object] | None) -> None:
        self._handler = handler

    def tell(self, error: BaseException) -> None:
        """A callback raised. Called in its color, with its loop, if it has one, as the running."""
        before, here.ticket, here.failed = here.ticket, here.failed or here.ticket, None
        try:
            self._hand_on(error)
        except BaseException:  # noqa: BLE001 - whatever the handler raises, the worker must live
            try:
                log.exception("The exception handler failed on %r", error)
            except BaseException:  # noqa: BLE001 - logging fails too, and the worker must live
                traceback.print_exc()
        finally:
            here.ticket = before

    def _hand_on(self, error: BaseException) -> None:
        lane = here.lane
        color = None if lane is None else lane.color
        loop = None if color is None else color.running_loop()
        if loop is not None and loop._exception_handler is not None:
            message = f"Exception in a callback of {color!r}"
            loop.call_exception_handler({"message": message, "exception": error})
        elif isinstance(error, (SystemExit, KeyboardInterrupt)) and _left_coroutine(error):
            log.debug("%r left a task, which keeps it for who awaits it", error)
        elif self._handler is not None:
            self._handler(error)
        else:
            log.error("Exception in a callback of %r", color, exc_info=error)


def _left_coroutine(error: BaseException) -> bool:
    """Whether an error came out of a coroutine: its task keeps it, and raises it once more."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename in _OWN_FRAMES:
        tb = tb.tb_next
    return tb is not None and bool(tb.tb_frame.f_code.co_flags & inspect.CO_COROUTINE)
