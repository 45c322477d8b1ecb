"""The caching web server: listeners, cache, pool and logs put together, started and stopped."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict

from colorsched.web.accesslog import AccessLog
from colorsched.web.admin import Admin
from colorsched.web.cache import Cache
from colorsched.web.demo import DemoOrigin
from colorsched.web.heads import Heads
from colorsched.web.http1 import Limits
from colorsched.web.listener import Listener
from colorsched.web.origin import Pool
from colorsched.web.site import Site
from colorsched.web.tally import Tallies

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from colorsched import Handle, Runtime
    from colorsched.web.config import Address, Settings, Timeouts
    from colorsched.web.connection import Handler

_LONGEST_SWEEP: Final = 1.0
_SHORTEST_SWEEP: Final = 0.01


class Service:
    """What a server and a demonstration origin have in common: sites, time limits, a soft stop.

    Thread-safe. The stop goes through the color ("service", itself).
    """

    def __init__(self, runtime: Runtime, timeouts: Timeouts, *, grace: float) -> None:
        """`grace` in seconds: how long requests may go on after `stop`."""
        self.runtime: Final = runtime
        self.tallies: Final = Tallies()
        self.listeners: Final[list[Listener]] = []
        self._timeouts = timeouts
        self._grace = grace
        self._sites: list[Site] = []
        self._color = runtime.color(("service", object()))
        self._tick: Handle | None = None
        self._cut: Handle | None = None
        self._interval = min(_LONGEST_SWEEP, max(_SHORTEST_SWEEP, timeouts.shortest() / 4))
        self._stopping = False
        self._stopped = threading.Event()

    def listen(
        self,
        address: Address,
        handler: Handler,
        *,
        name: str,
        limits: Limits | None = None,
        **options: Any,
    ) -> Listener:
        """Bind a listener whose requests `handler` answers. Raises OSError."""
        limits = limits or Limits()
        site = Site(
            handler=handler,
            heads=Heads(self._key_color(name), limits),
            limits=limits,
            timeouts=self._timeouts,
            tallies=self.tallies if name == "key" else Tallies(),
            **options,
        )
        listener = Listener(address, site, color=self.runtime.color)
        self.listeners.append(listener)
        self._sites.append(site)
        return listener

    def _key_color(self, name: str) -> Callable[[Any], Any]:
        """The cache's key colors are those of the store; other listeners' keys are none of them."""
        if name == "key":
            return self.runtime.color
        return lambda key: self.runtime.color((name, key))

    def start(self) -> None:
        """Accept clients."""
        self._color.post(self._sweep)
        for listener in self.listeners:
            listener.start()

    def stop(self) -> None:
        """Accept no more, let running requests end, and cut what is left after the grace period.

        The second call cuts at once.
        """
        self._color.post(self._stop)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped; False if `timeout` seconds pass before."""
        return self._stopped.wait(timeout)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return sum(len(site) for site in self._sites)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop, and all connections know."""
        return self._stopping

    @property
    def buffered(self) -> int:
        """Bytes that clients sent ahead and that wait here."""
        return sum(site.buffered for site in self._sites)

    @property
    def unsent(self) -> int:
        """Bytes of answers that clients have not taken yet, beyond what the system keeps."""
        return sum(site.unsent for site in self._sites)

    def _sweep(self) -> None:
        """Once an interval: whose time is over? One timer for all connections."""
        self.sweep()
        if not self._stopped.is_set():
            self._tick = self._color.call_later(self._interval, self._sweep)

    def sweep(self) -> None:
        """Look after the time limits."""
        for site in self._sites:
            site.expire()

    def _stop(self) -> None:
        if self._stopping:
            self._abort()
            return
        for listener in self.listeners:
            listener.stop()
        self._cut = self._color.call_later(self._grace, self._abort)
        for site in self._sites:
            site.leave(self._look)
        self._stopping = True

    def _abort(self) -> None:
        for site in self._sites:
            site.abort()

    def _look(self) -> None:
        """A site has no connections any more: was it the last?"""
        self._color.post(self._end_if_empty)

    def _end_if_empty(self) -> None:
        if self.connections or self._stopped.is_set():
            return
        self.ended()
        for timer in (self._tick, self._cut):
            if timer is not None:
                timer.cancel()
        self._stopped.set()

    def ended(self) -> None:
        """The last connection is closed."""


class Server(Service):
    """The caching reverse proxy."""

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Binds its listeners; raises OSError, or ValueError for a runtime that is none.

        `clock` tells epoch seconds to the cache's rules. `tls` is how to speak to an https origin;
        the default verifies certificates.
        """
        super().__init__(runtime, settings.timeouts, grace=settings.grace)
        self.settings: Final = settings
        self.log: Final = (
            None
            if settings.access_log is None
            else AccessLog(settings.access_log, runtime.color(("log", object())))
        )
        self.pool: Final = Pool(
            settings.origin,
            color=runtime.color,
            limits=settings.limits,
            timeouts=settings.timeouts,
            keep=settings.pool,
            context=tls,
        )
        self.cache: Final = Cache(settings, color=runtime.color, pool=self.pool, clock=clock)
        self._clock = clock
        self._began = clock()
        self.listener: Final = self.listen(
            settings.listen,
            self.cache,
            name="key",
            limits=settings.limits,
            log=self.log,
            quick=self.cache.quick,
        )
        self.admin: Final = (
            None
            if settings.admin is None
            else self.listen(settings.admin, Admin(self._gather, clock), name="admin")
        )

    def reopen_log(self) -> None:
        """Open the access log anew, after it was rotated."""
        if self.log is not None:
            self.log.reopen()

    def sweep(self) -> None:
        """Look after the time limits, and have the log written."""
        super().sweep()
        self.pool.expire(time.monotonic())
        if self.log is not None:
            self.log.flush()

    def ended(self) -> None:
        """The last client is gone: so may the origin's connections."""
        self.pool.close()
        if self.log is not None:
            self.log.finish()

    def _gather(self, done: Callable[[dict[str, Any]], None]) -> None:
        """Collect the figures; those of the store in the store's color."""
        self.cache.policy_color.dispatch(self._gather_in_store, done)

    def _gather_in_store(self, done: Callable[[dict[str, Any]], None]) -> None:
        done(
            {
                "uptime_seconds": round(self._clock() - self._began, 3),
                "connections": self.connections,
                **self.tallies.total(),
                "store": asdict(self.cache.policy.stats()),
                "fetches": len(self.cache.fetches),
                "origin": self.pool.stats(),
                "runtime": asdict(self.runtime.stats()),
            }
        )


class DemoService(Service):
    """The demonstration origin, listening."""

    def __init__(
        self, runtime: Runtime, address: Address, timeouts: Timeouts, *, delay: float = 0.0
    ) -> None:
        """Binds; raises OSError. `delay` in seconds is added to each answer."""
        super().__init__(runtime, timeouts, grace=0.0)
        self.origin: Final = DemoOrigin(delay=delay)
        self.listener: Final = self.listen(address, self.origin, name="demo")
