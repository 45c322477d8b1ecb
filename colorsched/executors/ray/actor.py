"""The process at a lane's other end, and how what happened there comes back.

What a call raises comes back as a value, pickled beside its traceback (:class:`Raised`), never as
an exception of Ray's. What Ray itself raises is read by :func:`failure`. Only what tells for
certain that the actor lives and the call is over is the call's failure:

- ``RayTaskError``: its arguments could not be read there, or its result not be pickled; the cause.
- ``RaySystemError`` that carries an exception: its result could not be read here; that exception.

All else means that the lane is lost: the actor or its node died (``ActorDiedError``,
``NodeDiedError``, ``WorkerCrashedError``, ``LocalRayletDiedError``, ``OutOfMemoryError``), may be
alive and can't be asked (``ActorUnavailableError``), never got its place
(``ActorUnschedulableError``, ``RuntimeEnvSetupError``, a removed placement group), or the answer is
gone with where it was kept (``ObjectLostError``, ``OwnerDiedError`` and their kin). So does what
Ray may add one day: a lane is given up if nobody knows what it does.
"""

from __future__ import annotations

import os
import pickle
import traceback
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class RemoteTraceback(Exception):  # noqa: N818 - named as the standard library's own
    """The cause of an exception raised by a call in an actor: its text is the traceback there."""


@frozen
class Place:
    """Where a lane's actor is: process, machine, and Ray's name of the node."""

    pid: int
    host: str
    node: str


@frozen
class Raised:
    """What a call raised, on its way back; ``pickled`` is None if it can't be."""

    pickled: bytes | None
    text: str
    told: str

    def revive(self) -> BaseException:
        """Return the exception itself; a RuntimeError that tells of it if it can't be made here."""
        error: object = None
        try:
            error = None if self.pickled is None else pickle.loads(self.pickled)  # noqa: S301 - from our own actor
        except Exception as problem:  # noqa: BLE001 - unpickling runs code of the exception's class
            return self._told(f"can't be unpickled ({problem!r})")
        if not isinstance(error, BaseException):
            return self._told("can't be pickled")
        error.__cause__ = RemoteTraceback(f'\n"""\n{self.text}"""')
        return error

    def _told(self, why: str) -> RuntimeError:
        error = RuntimeError(f"the call raised {self.told}, which {why}")
        error.__cause__ = RemoteTraceback(f'\n"""\n{self.text}"""')
        return error


class LaneActor:
    """What runs in the actor's process: one call after the other, on its main thread."""

    def place(self) -> Place:
        """Tell where this is."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        return Place(os.getpid(), ray.util.get_node_ip_address(), node)

    def run(self, fn: Callable[..., Any], args: Iterable[Any], kwargs: dict[str, Any]) -> object:
        """Run a call; return its result, or a Raised."""
        try:
            return fn(*args, **kwargs)
        # SystemExit, too: it would end the actor, and ends no worker of any other kind.
        except BaseException as error:  # noqa: BLE001 - it belongs to who submitted the call
            from ray import cloudpickle

            try:
                pickled = cloudpickle.dumps(error)
            except Exception:  # noqa: BLE001 - pickling runs code of the exception's class
                pickled = None
            return Raised(pickled, "".join(traceback.format_exception(error)), repr(error))


def failure(error: BaseException) -> BaseException | None:
    """Return what a call is to raise for an exception of Ray's; None if its lane is lost."""
    from ray import exceptions

    if isinstance(error, exceptions.RayTaskError):
        cause: BaseException = error.cause
        return cause
    carried = getattr(error, "client_exc", None)
    if isinstance(error, exceptions.RaySystemError) and isinstance(carried, Exception):
        return carried
    return None
