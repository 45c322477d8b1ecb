"""Multicore Python by color: callbacks of one color run in order, different colors in parallel.

A map, from the top down; each layer imports only from those below it::

    cli, web            the caching web server
    testing             explore schedules, find races, prove order, replay failures
    annotate            @colored
    runtime, color      Runtime, and a color as users hold it; observed: what tells an observer
    aio                 a color as an asyncio event loop; holds; futures
    executors           worker threads, the monitor
    sources             descriptors, timers, signals
    core                color queues, turns, stealing; no threads, clocks or sockets
    events, errors, ports
"""

from colorsched.aio.future import ColorFuture
from colorsched.annotate import colored
from colorsched.color import Color
from colorsched.core.handle import Handle
from colorsched.errors import (
    ColorDeadlock,
    ColorschedError,
    ForkedRuntime,
    NoRuntime,
    RuntimeShutdown,
)
from colorsched.runtime import DEFAULT, Runtime, current_color, current_runtime, run

__all__ = [
    "DEFAULT",
    "Color",
    "ColorDeadlock",
    "ColorFuture",
    "ColorschedError",
    "ForkedRuntime",
    "Handle",
    "NoRuntime",
    "Runtime",
    "RuntimeShutdown",
    "colored",
    "current_color",
    "current_runtime",
    "run",
]
__version__ = "0.1.0"
