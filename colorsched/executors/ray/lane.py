"""A lane that is a Ray actor: an executor of one thread, in a process on some machine of a cluster.

**One call at a time is with Ray**; the others wait here, in order. So what waits can be cancelled,
and when the actor is lost it is known of each call whether it may have run. An idle actor is asked
for a sign of life from time to time, so that most losses are found before a call is sent.

**All happens on the cluster's thread**, handed there by Ray's own, on which Ray's callbacks run: a
call to Ray there that needs an answer (to kill an actor, to make one) would wait for itself.

**Lost, or failed?** What the call raised, or what ``actor.failure`` reads as certainly its own,
is the call's failure. All else that Ray raises means that the lane is lost.
``ActorUnavailableError``, too: Ray says that the actor may come back; but the call may be running
there, or have run, so to send it again could run it twice, and to send another, run two at once.
Such an actor is killed, and its call fails only when Ray has taken note of that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define

from colorsched.executors.ray.actor import Raised, failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched.executors.ray.actor import Place

#: How long an actor that was asked to end may take before it is killed: exit handlers run then.
SECONDS_TO_END = 5.0

#: Seconds between two signs of life of an idle actor.
SECONDS_BETWEEN_SIGNS = 2.0


class LaneLost(BrokenExecutor):
    """The actor behind a lane is gone, or never was; the text says which, where, and why.

    ``may_have_run``: whether the call may have been done, in whole or in part.
    """

    def __init__(self, text: str, *, may_have_run: bool) -> None:
        self.may_have_run = may_have_run
        super().__init__(text)


@define(eq=False)
class Call:
    """A submitted call."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any]


class Home(Protocol):
    """What a lane needs of its cluster."""

    @property
    def start_seconds(self) -> float: ...
    def is_connected(self) -> bool: ...
    def later(self, action: Callable[[], None]) -> None:
        """Run an action on the cluster's thread."""
        ...

    def missing(self) -> str:
        """Say what keeps a lane from starting."""
        ...

    def forget(self, lane: Lane) -> None: ...


class Lane(Executor):
    """An executor over one Ray actor; its calls run one at a time, in the order submitted.

    Made by ``RayCluster.make_lane``. Calls may be submitted at once; they wait until the actor
    runs. If it does not within the cluster's ``start_seconds``, or is lost later, the calls in
    flight fail with :class:`LaneLost`, and so does ``submit`` from then on. Callbacks of its
    futures run on the cluster's thread: they may make lanes and submit, and must not wait.

    Attributes:
        place: where the actor runs; None until it does.
        unanswered: what the actor was asked, and has not answered.

    """

    def __init__(self, index: int, make_actor: Callable[[], Any], home: Home) -> None:
        self._name = f"lane {index}"
        self._make_actor = make_actor
        self._actor = make_actor()
        self._home = home
        self._lock = threading.Lock()
        self._waiting: deque[Call] = deque()
        self._running: Call | None = None
        self._lost: str | None = None
        self._closing = False
        self._ending = False
        self._ended = threading.Event()
        self._due = time.monotonic() + home.start_seconds
        """When the actor must have started, or ended, or is to give a sign of life."""
        self.place: Place | None = None
        self.unanswered: set[Future[Any]] = set()
        self._ask(self._actor.place, (), self._started)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call; it, its arguments and its result travel by Ray's cloudpickle.

        Raises:
            LaneLost: the actor is gone.
            RuntimeError: the lane was shut down.

        """
        call = Call(fn, args, kwargs, Future())
        with self._lock:
            if self._lost is not None:
                raise LaneLost(self._lost, may_have_run=False)
            if self._closing:
                raise RuntimeError(f"{self._name} was shut down")
            self._waiting.append(call)
        self._send()
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """End the actor when all calls are done; cancel those that wait if ``cancel_futures``."""
        with self._lock:
            self._closing = True
            cancelled = tuple(self._waiting) if cancel_futures else ()
            if cancel_futures:
                self._waiting.clear()
        for call in cancelled:
            call.future.cancel()
        self._send()
        if wait:
            self._ended.wait()

    def give_up(self, why: str) -> None:
        """Kill the actor, whatever it does; its calls fail with :class:`LaneLost`, told why."""
        self._lose(f"{self._describe()} was given up: {why}")

    def look(self, now: float) -> None:
        """Do what is due; give the lane up if Ray is gone. Called from time to time."""
        if not self._home.is_connected():
            self.give_up("this process is no longer connected to Ray")
        elif now < self._due:
            return
        elif self._ending:
            self._end()
        elif self.place is None:
            text = f"did not start within {self._home.start_seconds:g} s: {self._home.missing()}"
            self._lose(f"{self._describe()} {text}")
        else:
            self._due = now + SECONDS_BETWEEN_SIGNS
            if self._running is None:
                self._ask_for_sign()

    def _ask_for_sign(self) -> None:
        try:
            self._ask(self._actor.place, (), self._signed)
        except _NotConnected:
            return  # the next look finds it so

    def _signed(self, sign: Future[Place]) -> None:
        if (error := sign.exception()) is not None:
            self._unanswered(error)

    def _started(self, place: Future[Place]) -> None:
        """Begin to send calls: the actor runs."""
        error = place.exception()
        if error is not None:
            if not self._starts_again(error):
                self._lose(f"{self._describe()} could not start: {_last_line(error)}", error)
            return
        self.place = place.result()
        self._send()

    def _starts_again(self, error: BaseException) -> bool:
        """Make another actor, if this one got no further than to its node, and there is time.

        For some seconds after a node died, Ray may put actors there. Nothing was sent to this one.
        """
        from ray import exceptions

        if not isinstance(error, exceptions.RayActorError) or error.actor_init_failed:
            return False
        with self._lock:
            if self._lost is not None or self._ending or time.monotonic() >= self._due:
                return False
        if not self._home.is_connected():
            return False
        self._actor = self._make_actor()
        self._ask(self._actor.place, (), self._started)
        return True

    def _send(self) -> None:
        """Give the actor its next call, if it is free; end it if there will be none."""
        while (call := self._next()) is not None:
            try:
                wanted = (call.fn, call.args, call.kwargs)
                self._ask(self._actor.run, wanted, partial(self._answered, call))
                return
            except _NotConnected:
                return  # the next look finds it so
            # What can't be pickled is the caller's to hear, as from other executors: in the future.
            except Exception as error:  # noqa: BLE001 - pickling runs code of the arguments' classes
                if self._is_over(call):
                    call.future.set_exception(error)

    def _next(self) -> Call | None:
        with self._lock:
            if self._running is not None or self._lost is not None:
                return None
            while self.place is not None and self._waiting:
                call = self._waiting.popleft()
                if call.future.set_running_or_notify_cancel():
                    self._running = call
                    return call
            ends = self._closing and not self._waiting and not self._ending
            if ends:
                self._ending = True
                self._due = time.monotonic() + SECONDS_TO_END
        if ends:
            self._ask_to_end()
        return None

    def _answered(self, call: Call, answer: Future[Any]) -> None:
        error = answer.exception()
        result = answer.result() if error is None else None
        if error is not None:
            own = failure(error)
            if own is None:
                self._unanswered(error)
                return
            error = own
        elif isinstance(result, Raised):
            error = result.revive()
        if not self._is_over(call):
            return  # it was given up, and told so
        self._send()
        if error is None:
            call.future.set_result(result)
        else:
            call.future.set_exception(error)

    def _is_over(self, call: Call) -> bool:
        """Make room for the next call; False if this one was given up meanwhile."""
        with self._lock:
            if self._running is not call:
                return False
            self._running = None
        return True

    def _unanswered(self, error: BaseException) -> None:
        from ray import exceptions

        lost = f"{self._describe()} was lost: {_last_line(error)}"
        if isinstance(error, exceptions.ActorUnavailableError):
            # It may be running still. Once it is killed, Ray answers for it: then it is lost.
            self._kill()
            try:
                self._ask(self._actor.place, (), lambda _: self._lose(lost, error))
                return
            except _NotConnected:
                pass
        self._lose(lost, error)

    def _lose(self, text: str, cause: BaseException | None = None) -> None:
        with self._lock:
            if self._lost is not None or self._ended.is_set():
                return
            self._lost = text
            running, self._running = self._running, None
            waiting = tuple(self._waiting)
            self._waiting.clear()
        self._kill()
        if running is not None:
            running.future.set_exception(_lane_lost(text, cause, may_have_run=True))
        for call in waiting:
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(_lane_lost(text, cause, may_have_run=False))
        self._done()

    def _ask_to_end(self) -> None:
        """Ask the actor to end when it has nothing to do, as it has; exit handlers run there."""
        if self.place is None:
            self._end()
            return
        try:
            self._ask(self._actor.__ray_terminate__, (), lambda _: self._end())
        except _NotConnected:
            self._end()

    def _end(self) -> None:
        """Kill the actor if it is not dead yet, and be done with it."""
        self._kill()
        self._done()

    def _done(self) -> None:
        self._home.forget(self)
        self._ended.set()

    def _ask(
        self, method: Any, args: tuple[Any, ...], answered: Callable[[Future[Any]], None]
    ) -> None:
        """Call a method of the actor; what it answers is taken on the cluster's thread.

        Raises:
            _NotConnected: Ray is gone. To ask it all the same would start a new cluster.

        """
        from ray.exceptions import RayError

        if not self._home.is_connected():
            raise _NotConnected
        try:
            answer = method.remote(*args).future()
        except RayError as error:
            raise _NotConnected from error
        self.unanswered.add(answer)
        answer.add_done_callback(lambda done: self._home.later(partial(self._take, done, answered)))

    def _take(self, answer: Future[Any], answered: Callable[[Future[Any]], None]) -> None:
        self.unanswered.discard(answer)
        answered(answer)

    def _kill(self) -> None:
        import ray

        if self._home.is_connected():
            try:
                ray.kill(self._actor)
            except (ray.exceptions.RayError, ValueError):
                return  # of a connection that has ended, and the actor with it

    def _describe(self) -> str:
        if self.place is None:
            return f"{self._name} of the Ray cluster"
        return f"{self._name} of the Ray cluster (process {self.place.pid} on {self.place.host})"


class _NotConnected(Exception):  # noqa: N818 - never leaves this module
    """The process has no connection to Ray any more, or another one."""


def _lane_lost(text: str, cause: BaseException | None, *, may_have_run: bool) -> LaneLost:
    error = LaneLost(text, may_have_run=may_have_run)
    error.__cause__ = cause
    return error


def _last_line(error: BaseException) -> str:
    """Return why, in short: Ray's texts begin with a list of names, and end with the reason."""
    return (str(error).strip() or repr(error)).splitlines()[-1].strip()
