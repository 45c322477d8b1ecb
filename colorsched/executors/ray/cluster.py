"""A Ray cluster to run lanes in: several machines, or this one alone.

Ray has one connection a process. So the connection is shared: whoever comes first makes it, the
last to leave ends it; one that was there before is used as it is, and left.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import wait
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from colorsched.errors import ClusterUnreachable, MissingExtra
from colorsched.executors.ray.actor import LaneActor
from colorsched.executors.ray.lane import SECONDS_TO_END, Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger("colorsched")

#: What the object store of a local cluster may take, in bytes, as far as it is used: values over
#: 100 KB go there, and to disk if there are too many. Ray's own default is 30 % of the machine.
STORE_BYTES = 256 * 2**20

#: How long a machine may take to answer when the cluster is joined. Ray would try for minutes.
SECONDS_TO_ANSWER = 5.0

#: Seconds between two looks at whether lanes have started, and Ray is still there.
SECONDS_BETWEEN_LOOKS = 0.25

#: How an HTTP/2 client begins: the preface, and settings of which there are none (RFC 9113, 3.4).
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


class RayCluster:
    """A connection to a Ray cluster, that makes lanes in it. Use :meth:`connect`.

    Do not call ``ray.shutdown()`` while it is open. Its lanes are lost then, if Ray does not end
    the process at once, which it may if it is used while it is shut down.

    Example::

        with RayCluster.connect(lanes=2) as cluster:
            lane = cluster.make_lane(0)
            print(lane.submit(pow, 2, 10).result())

    """

    def __init__(self, connection: object, *, lane_cpus: float, start_seconds: float) -> None:
        import ray

        self._connection = connection
        self._lane_cpus = lane_cpus
        self.start_seconds = start_seconds
        self._actor = ray.remote(
            num_cpus=lane_cpus,
            # A lost one is replaced by a new lane: only there it is known what must not run twice.
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1,
            # Over all machines, rather than filling one after the other.
            scheduling_strategy="SPREAD",
        )(LaneActor)
        self._lock = threading.Lock()
        self._lanes: set[Lane] = set()
        self._closed = False
        self._todo: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.later = self._todo.put
        self._thread = threading.Thread(target=self._serve, name="colorsched-ray", daemon=True)
        self._thread.start()
        # Before Ray's own, which was registered earlier: see close.
        atexit.register(self.close)

    @classmethod
    def connect(
        cls,
        address: str | None = None,
        *,
        lanes: int = 1,
        lane_cpus: float = 1.0,
        start_seconds: float = 60.0,
    ) -> RayCluster:
        """Join a Ray cluster, or start one on this machine.

        If the process is connected to Ray already, that connection is used, whatever ``address``.

        Args:
            address: ``"host:port"`` of the cluster's head; ``"auto"`` for the one that this machine
                is a node of; None for what ``RAY_ADDRESS`` says, and without that, for a cluster of
                its own on this machine, which ends with the last connection of this process.
            lanes: How many lanes a cluster of its own is to have room for.
            lane_cpus: The CPUs that Ray sets aside for each lane; fractions are fine.
            start_seconds: How long a lane may take to start. If the cluster grows by itself, longer
                than a new machine takes.

        Raises:
            MissingExtra: Ray is not installed.
            ClusterUnreachable: No Ray cluster answers at the address.
            ValueError: A number is out of range, or the address is of a kind that is not taken.

        """
        if lanes < 1 or not lane_cpus > 0 or not start_seconds > 0:
            raise ValueError("lanes, lane_cpus and start_seconds must be above 0")
        connection = _shared.enter(address, cpus=math.ceil(lanes * lane_cpus))
        try:
            return cls(connection, lane_cpus=lane_cpus, start_seconds=start_seconds)
        except BaseException:
            _shared.leave(connection)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def make_lane(self, index: int) -> Lane:
        """Start an actor, and return the executor over it, at once; calls wait until it runs.

        Raises:
            RuntimeError: The cluster was closed, or this process is no longer connected to Ray.

        """
        with self._lock:
            if self._closed or not self.is_connected():
                raise RuntimeError("this connection to a Ray cluster has ended: make a new one")
            lane = Lane(index, self._actor.remote, self)
            self._lanes.add(lane)
        return lane

    def capacity(self) -> int:
        """Return how many lanes the cluster has CPUs for, taken or not."""
        return sum(int(cpus / self._lane_cpus) for cpus in _cpus_of_nodes())

    def close(self) -> None:
        """End all lanes, whatever they do; and the connection, if it was made here."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        lanes = tuple(self._lanes)
        # Kept until Ray has been shut down: to let go of an answer while it is ends the process.
        answers = [answer for lane in lanes for answer in tuple(lane.unanswered)]
        for lane in lanes:
            lane.give_up("the connection to the cluster was closed")
        wait(answers, SECONDS_TO_END)
        self.later(lambda: None)  # so that the thread sees it
        if threading.current_thread() is not self._thread:
            self._thread.join()
        _shared.leave(self._connection)

    def is_connected(self) -> bool:
        """Tell whether this process still has the connection that this was made with."""
        return _connection() is self._connection

    def forget(self, lane: Lane) -> None:
        """Look after a lane no more: it has ended."""
        self._lanes.discard(lane)

    def _serve(self) -> None:
        """Take answers, and look at the lanes from time to time; on a thread of its own."""
        look = time.monotonic()
        while not self._closed:
            try:
                action = self._todo.get(timeout=max(look - time.monotonic(), 0.0))
            except Empty:
                action = self._look
                look = time.monotonic() + SECONDS_BETWEEN_LOOKS
            try:
                action()
            except Exception:  # the others must not wait for ever for one that went wrong
                log.exception("Exception in the thread that looks after the lanes of a Ray cluster")

    def _look(self) -> None:
        now = time.monotonic()
        for lane in tuple(self._lanes):
            lane.look(now)

    def missing(self) -> str:
        """Say what keeps a lane from starting."""
        import ray

        needed = f"it needs {self._lane_cpus:g} CPU"
        try:
            nodes = _cpus_of_nodes()
            free = ray.available_resources().get("CPU", 0.0)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lane's calls must not hang
            return f"{needed}, and the cluster does not say what it has: {error!r}"
        largest = max(nodes, default=0.0)
        if largest < self._lane_cpus:
            return f"{needed} on one node, and the largest of the cluster has {largest:g}"
        told = f"{needed}, and {free:g} of the {sum(nodes):g} CPU of the cluster are free"
        if free < self._lane_cpus:
            return f"{told}. Use fewer lanes, or add nodes (ray start --address=...)"
        return f"{told}. Why its process is slow, /tmp/ray/session_latest/logs may tell"


class _Shared:
    """The connection of this process to Ray, and who uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: Counter[object] = Counter()
        self._made: object = None
        """The connection that was made here; None: there is none, or it is somebody else's."""

    def enter(self, address: str | None, *, cpus: int) -> object:
        """Connect if there is no connection; return what stands for it."""
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("Ray", extra="ray") from error
        with self._lock:
            if not ray.is_initialized():
                _init(address, cpus)
                self._made = _connection()
            connection = _connection()
            self._users[connection] += 1
            return connection

    def leave(self, connection: object) -> None:
        """Disconnect if the connection was made here, and nobody else uses it."""
        import ray

        with self._lock:
            self._users[connection] -= 1
            if self._users[connection] > 0:
                return
            del self._users[connection]
            if connection is self._made:
                self._made = None
                if connection is _connection():
                    ray.shutdown()


_shared = _Shared()


def _connection() -> object:
    """Return what stands for the connection that this process has to Ray now; None without one.

    Ray's public names for it are asked of its core, which ends the process when it is asked while
    another thread shuts it down.
    """
    import ray

    return ray._private.worker.global_worker.node if ray.is_initialized() else None


def _cpus_of_nodes() -> list[float]:
    import ray

    return [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]


def _init(address: str | None, cpus: int) -> None:
    """Join the cluster at an address, or start one."""
    import ray

    found = _resolve(address)
    options: dict[str, Any] = {"address": found}
    if found is None:
        # "local", since Ray takes None for any cluster that it finds on the machine.
        options = {
            "address": "local",
            "num_cpus": cpus,
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }
    else:
        _knock(found)
    try:
        with _unchanged_process():
            ray.init(**options, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ray.exceptions.RayError) as error:
        what = (
            f"join the Ray cluster at {found}" if found else "start a Ray cluster on this machine"
        )
        raise ClusterUnreachable(f"could not {what}: {error.__cause__ or error}") from error


def _resolve(address: str | None) -> str | None:
    """Return the host and port to connect to; None to start a cluster."""
    named = os.environ.get("RAY_ADDRESS") if address in {None, "auto"} else address
    named = named or address
    if named in {None, "local"}:
        return None
    if "://" in named:
        raise ValueError(
            f"{named!r}: colorsched joins a cluster as a driver, not through a Ray Client server."
            " Run it on a node of the cluster, with the host:port of its head, or 'auto'"
        )
    # Ray knows what runs on this machine, and what localhost is called in its own tables.
    from ray._private import services

    try:
        found: str = services.canonicalize_bootstrap_address(named)
    except (ConnectionError, ValueError, OSError) as error:
        raise ClusterUnreachable(f"no Ray cluster at {named!r}: {error}") from error
    return found


def _knock(address: str) -> None:
    """Raise ClusterUnreachable unless a server of Ray's kind answers.

    Ray itself tries for minutes: over two, measured, where nobody listens.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER) as door:
            if os.environ.get("RAY_USE_TLS", "0").lower() in {"1", "true"}:
                return  # it says nothing before the handshake, which is Ray's to make
            door.sendall(HTTP2_HELLO)
            # A server begins with its settings: a length of three bytes, and the kind, 4.
            if door.recv(9)[3:4] == b"\x04":
                return
            why = "what listens there is no Ray head"
    except OSError as error:
        why = str(error)
    raise ClusterUnreachable(
        f"no Ray cluster at {address}: {why}. `ray start --head` prints the address to use"
    )


@contextmanager
def _unchanged_process() -> Iterator[None]:
    """Undo what ``ray.init`` does here: to the handler of SIGTERM, and to Ray's log."""
    ray_log = logging.getLogger("ray")
    level = ray_log.level
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    finally:
        ray_log.setLevel(level)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
