"""Multicore Python by color: callbacks of one color run in order, different colors in parallel.

A map, from the top down; each layer imports only from those below it::

    cli, web            the caching web server
    testing             explore schedules, find races, prove order, replay failures
    annotate, entry     @colored; run(): what asyncio.run is to a loop
    runtime, current    Runtime; what is current where code runs
    color               a color as users hold it; observed: what tells an observer; placed: what
                        goes to slots
    aio                 a color as an asyncio event loop; holds; futures
    executors           worker threads, the monitor; slots: processes, interpreters, Ray
    sources             descriptors, timers, signals
    core                color queues, turns, stealing; no threads, clocks or sockets
    events, errors, ports
"""

from colorsched.aio.future import ColorFuture
from colorsched.annotate import colored
from colorsched.color import Color
from colorsched.core.handle import Handle
from colorsched.current import current_color, current_runtime, local
from colorsched.entry import run
from colorsched.errors import (
    CannotTravel,
    ColorDeadlock,
    ColorschedError,
    ForkedRuntime,
    NoRuntime,
    RuntimeShutdown,
    WorkerLost,
)
from colorsched.executors.slots.engines import slots
from colorsched.executors.slots.jobs import DeadLetter, Retry
from colorsched.runtime import DEFAULT, Runtime

__all__ = [
    "DEFAULT",
    "CannotTravel",
    "Color",
    "ColorDeadlock",
    "ColorFuture",
    "ColorschedError",
    "DeadLetter",
    "ForkedRuntime",
    "Handle",
    "NoRuntime",
    "Retry",
    "Runtime",
    "RuntimeShutdown",
    "WorkerLost",
    "colored",
    "current_color",
    "current_runtime",
    "local",
    "run",
    "slots",
]
__version__ = "0.1.0"
