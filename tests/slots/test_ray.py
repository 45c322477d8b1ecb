"""Lanes that are Ray actors: on one cluster of two nodes, both on this machine."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from colorsched.errors import ClusterUnreachable
from colorsched.executors.ray.cluster import RayCluster
from colorsched.executors.ray.actor import Place, Raised, failure
from colorsched.executors.ray.lane import Lane, LaneLost

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "colorsched[ray]"')
from ray import cloudpickle, exceptions  # noqa: E402 - after the line that skips without it
from ray.cluster_utils import Cluster  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

# Whoever waits this long hangs: far beyond what any machine needs.
SECONDS = 60.0
NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Give a cluster of two nodes, of two CPUs each."""
    # A worker could import this module by no name.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        cluster.add_node(**NODE)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def joined(nodes: Cluster) -> Iterator[RayCluster]:
    with RayCluster.connect(nodes.address, lane_cpus=1) as cluster:
        yield cluster
    assert not ray.is_initialized()


@pytest.fixture
def lane(joined: RayCluster) -> Iterator[Lane]:
    with joined.make_lane(0) as made:
        yield made


class TestCalls:
    def test_run_one_at_a_time_in_order(self, lane: Lane) -> None:
        futures = [lane.submit(_append, number) for number in range(20)]
        assert [future.result(SECONDS) for future in futures] == [
            list(range(number + 1)) for number in range(20)
        ]

    def test_closures_and_keywords_travel(self, lane: Lane) -> None:
        base = 40
        assert lane.submit(lambda *, more: base + more, more=2).result(SECONDS) == 42

    def test_run_on_the_main_thread_of_a_process_of_their_own(self, lane: Lane) -> None:
        def where() -> tuple[int, bool]:
            return os.getpid(), threading.current_thread() is threading.main_thread()

        pid, is_main = lane.submit(where).result(SECONDS)
        assert lane.place is not None
        assert (pid, is_main) == (lane.place.pid, True)
        assert pid != os.getpid()


def _append(number: int) -> list[int]:
    """Append to a list that lives in the actor's process."""
    box: list[int] = sys.__dict__.setdefault("_appended", [])
    box.append(number)
    return list(box)


class Picky(Exception):  # noqa: N818 - an example
    """It can be pickled, and not be made again: its pickle has one argument."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one + two)


class TestWhatCallsRaise:
    def test_comes_back_as_itself_with_its_traceback(self, lane: Lane) -> None:
        def fail() -> None:
            raise KeyError("no such order")

        error = lane.submit(fail).exception(SECONDS)
        assert type(error) is KeyError
        assert error.args == ("no such order",)
        assert "in fail" in str(error.__cause__)

    def test_system_exit_ends_no_lane(self, lane: Lane) -> None:
        with pytest.raises(SystemExit):
            lane.submit(sys.exit, 3).result(SECONDS)
        assert lane.submit(len, "abc").result(SECONDS) == 3

    def test_what_cannot_travel_is_told(self, lane: Lane) -> None:
        def unpicklable() -> None:
            error = ValueError("mine")
            error.lock = threading.Lock()  # type: ignore[attr-defined] # any attribute may be set
            raise error

        def picky() -> None:
            raise Picky(1, 2)

        with pytest.raises(
            RuntimeError, match=r"raised ValueError\('mine'\), which can't be pickl"
        ):
            lane.submit(unpicklable).result(SECONDS)
        with pytest.raises(RuntimeError, match=r"raised Picky\(3\), which can't be unpickled"):
            lane.submit(picky).result(SECONDS)

    def test_arguments_and_results_that_cannot_travel(self, lane: Lane) -> None:
        with pytest.raises(TypeError, match="pickle"):
            lane.submit(repr, threading.Lock()).result(SECONDS)
        with pytest.raises(TypeError, match="pickle"):
            lane.submit(lambda: threading.Lock()).result(SECONDS)  # noqa: PLW0108 - to be called there
        assert lane.submit(len, "abc").result(SECONDS) == 3


class TestShutdown:
    def test_runs_what_was_submitted_and_frees_the_place(self, joined: RayCluster) -> None:
        assert joined.capacity() == 4
        # Were one of them not freed, the fifth would not start.
        for index in range(5):
            lane = joined.make_lane(index)
            futures = [lane.submit(pow, 2, exponent) for exponent in range(3)]
            lane.shutdown()
            assert [future.result(0) for future in futures] == [1, 2, 4]
            with pytest.raises(RuntimeError, match=f"lane {index} was shut down"):
                lane.submit(len, "")

    def test_cancels_what_waits(self, lane: Lane, tmp_path: Any) -> None:
        begun, go = tmp_path / "begun", tmp_path / "go"
        os.mkfifo(begun)
        os.mkfifo(go)
        running = lane.submit(_meet, str(begun), str(go))
        begun.read_text()
        waiting = lane.submit(len, "abc")
        assert not running.cancel()
        lane.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(CancelledError):
            waiting.result(SECONDS)
        go.write_text("")
        assert running.result(SECONDS) == "met"

    def test_of_a_lane_that_has_not_started(self, joined: RayCluster) -> None:
        lane = joined.make_lane(0)
        future = lane.submit(len, "abc")
        lane.shutdown(cancel_futures=True)
        assert future.cancelled()


def _meet(begun: str, go: str) -> str:
    """Tell that it has begun, and go on when told to: each is a pipe with a name."""
    with open(begun, "w") as pipe:  # noqa: PTH123 - as short as can be
        pipe.write("")
    with open(go) as pipe:  # noqa: PTH123 - the same
        pipe.read()
    return "met"


class TestLoss:
    def test_of_the_process(self, joined: RayCluster) -> None:
        lane = joined.make_lane(7)
        lane.submit(len, "").result(SECONDS)
        running, waiting = lane.submit(os._exit, 3), lane.submit(len, "abc")
        errors = [future.exception(SECONDS) for future in (running, waiting)]
        assert [getattr(error, "may_have_run", None) for error in errors] == [True, False]
        assert lane.place is not None
        process = rf"lane 7 of the Ray cluster \(process {lane.place.pid} on {lane.place.host}\)"
        for call in (running.result, waiting.result, lambda: lane.submit(len, "abc")):
            with pytest.raises(LaneLost, match=f"^{process} was lost: "):
                call()
        lane.shutdown()
        with joined.make_lane(7) as new:
            assert new.submit(len, "abc").result(SECONDS) == 3

    def test_of_an_idle_process_is_found_before_the_next_call(self, joined: RayCluster) -> None:
        lane = joined.make_lane(0)
        lane.submit(len, "").result(SECONDS)
        assert lane.place is not None
        os.kill(lane.place.pid, signal.SIGKILL)
        lane.look(math.inf)
        assert lane._ended.wait(SECONDS)
        with pytest.raises(LaneLost) as caught:
            lane.submit(len, "abc")
        assert not caught.value.may_have_run

    def test_of_a_node(self, nodes: Cluster, joined: RayCluster) -> None:
        mortal = nodes.add_node(**NODE, resources={"mortal": 2})
        lanes = [joined.make_lane(index) for index in range(6)]  # all CPUs there are
        for lane in lanes:
            lane.submit(len, "").result(SECONDS)
        assert {lane.place.node for lane in lanes if lane.place} == {
            node.node_id for node in nodes.list_all_nodes()
        }
        there = [lane for lane in lanes if lane.place and lane.place.node == mortal.node_id]
        here = [lane for lane in lanes if lane not in there]
        blocked = [lane.submit(signal.pause) for lane in there]
        nodes.remove_node(mortal, allow_graceful=False)
        for future in blocked:
            with pytest.raises(LaneLost, match="was lost") as caught:
                future.result(SECONDS)
            assert caught.value.may_have_run
        for lane in here:
            assert lane.submit(len, "abc").result(SECONDS) == 3
        here.pop().shutdown()
        with joined.make_lane(0) as new:
            assert new.submit(len, "abc").result(SECONDS) == 3
            assert new.place is not None
            assert new.place.node != mortal.node_id
        for lane in here:
            lane.shutdown()


class TestNoPlace:
    def test_no_node_is_large_enough(self, joined: RayCluster) -> None:
        with RayCluster.connect(lane_cpus=100, start_seconds=0.1) as cluster:
            future = cluster.make_lane(0).submit(len, "abc")
            wanted = r"did not start within 0.1 s: it needs 100 CPU on one node, and the largest "
            with pytest.raises(LaneLost, match=wanted + "of the cluster has 2") as caught:
                future.result(SECONDS)
            assert not caught.value.may_have_run

    def test_all_are_taken(self, joined: RayCluster) -> None:
        with (
            RayCluster.connect(lane_cpus=2) as first,
            RayCluster.connect(lane_cpus=2, start_seconds=0.5) as second,
        ):
            for index in range(2):
                first.make_lane(index).submit(len, "").result(SECONDS)
            future = second.make_lane(0).submit(len, "abc")
            with pytest.raises(LaneLost, match=r"it needs 2 CPU, and [01] of the \d CPU of"):
                future.result(SECONDS)


class TestConnection:
    def test_is_shared_and_the_last_one_ends_it(self, joined: RayCluster) -> None:
        with RayCluster.connect() as other:
            assert other.make_lane(0).submit(len, "abc").result(SECONDS) == 3
        assert ray.is_initialized()  # for `joined` is there
        with pytest.raises(RuntimeError, match="has ended"):
            other.make_lane(1)
        with joined.make_lane(0) as lane:
            assert lane.submit(len, "abc").result(SECONDS) == 3

    def test_closing_gives_up_what_runs(self, joined: RayCluster) -> None:
        cluster = RayCluster.connect()
        lane = cluster.make_lane(0)
        lane.submit(len, "").result(SECONDS)
        future = lane.submit(signal.pause)
        cluster.close()
        with pytest.raises(LaneLost, match="the connection to the cluster was closed"):
            future.result(SECONDS)

    def test_a_local_cluster_is_quiet_and_ends(self) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", LOCAL],
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
            env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        )
        assert (done.stdout, done.stderr, done.returncode) == (LOCAL_PRINTS, "", 0)


LOCAL = """
import logging, signal, sys
from colorsched.executors.ray.cluster import RayCluster

if __name__ == "__main__":
    with RayCluster.connect(lanes=2) as cluster:
        assert "ray" in sys.modules
        print(cluster.capacity(), cluster.make_lane(0).submit(lambda: 6 * 7).result(60))
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        lane = cluster.make_lane(1)
        lane.submit(len, "").result(60)
        future = lane.submit(signal.pause)
        import ray
    print(type(future.exception(60)).__name__)
    print(ray.is_initialized())
    # This one is left open, and its lane busy.
    lane = RayCluster.connect().make_lane(0)
    print(lane.submit(len, "abc").result(60))
    lane.submit(signal.pause)
"""
LOCAL_PRINTS = """\
2 42
True
LaneLost
False
3
"""


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Give the address of a server that answers to anything with the same words."""
    with socket.create_server(("", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(SECONDS)


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process look like one that has no connection to Ray."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


class TestWrongAddress:
    def test_nobody_listens(self, unconnected: None, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(ClusterUnreachable, match=r"refused.*ray start --head"):
                RayCluster.connect(address)
            monkeypatch.setenv("RAY_ADDRESS", address)
            with pytest.raises(ClusterUnreachable, match="refused"):
                RayCluster.connect()

    def test_somebody_else_listens(self, unconnected: None) -> None:
        redis = listening(b"-ERR unknown command 'PRI'\r\n")
        with redis as address, pytest.raises(ClusterUnreachable, match="there is no Ray head"):
            RayCluster.connect(address)

    @pytest.mark.parametrize("address", ["no-such-host.invalid:6379", "127.0.0.1"])
    def test_is_none(self, unconnected: None, address: str) -> None:
        with pytest.raises(ClusterUnreachable, match="no Ray cluster at"):
            RayCluster.connect(address)

    def test_of_another_kind(self, unconnected: None) -> None:
        with pytest.raises(ValueError, match="not through a Ray Client server"):
            RayCluster.connect("ray://127.0.0.1:10001")

    @pytest.mark.parametrize("wrong", [{"lanes": 0}, {"lane_cpus": 0}, {"start_seconds": 0}])
    def test_numbers_out_of_range(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="above 0"):
            RayCluster.connect(**wrong)


class TestJudgment:
    @pytest.mark.parametrize("kind", exceptions.RAY_EXCEPTION_TYPES, ids=lambda kind: kind.__name__)
    def test_a_lane_is_lost_unless_it_is_known_to_live(self, kind: type[BaseException]) -> None:
        if kind is not exceptions.RayTaskError:
            assert failure(kind.__new__(kind)) is None

    def test_a_lane_that_is_known_to_live(self) -> None:
        cause = TypeError("can't be pickled")
        assert failure(exceptions.RayTaskError("run", "", cause)) is cause
        assert failure(exceptions.RaySystemError(cause)) is cause
        assert failure(exceptions.RaySystemError("the raylet is gone")) is None


class FakeMethod:
    """A method of an actor whose answers a test gives."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def remote(self, *args: Any) -> FakeMethod:
        self.asked.append(Future())
        return self

    def future(self) -> Future[Any]:
        return self.asked[-1]


class FakeActor:
    def __init__(self) -> None:
        self.place, self.run, self.__ray_terminate__ = FakeMethod(), FakeMethod(), FakeMethod()


class Stage:
    """A lane over a fake actor that runs, and its home."""

    start_seconds = 1000.0

    def __init__(self) -> None:
        self.actors: list[FakeActor] = []
        self.connected = True
        self.forgotten: list[Lane] = []
        self.lane = Lane(0, self.make_actor, self)

    @classmethod
    def started(cls) -> Stage:
        stage = cls()
        stage.actor.place.asked[0].set_result(Place(1, "here", "node"))
        return stage

    @property
    def actor(self) -> FakeActor:
        return self.actors[-1]

    def make_actor(self) -> FakeActor:
        self.actors.append(FakeActor())
        return self.actor

    def is_connected(self) -> bool:
        return self.connected

    def later(self, action: Callable[[], None]) -> None:
        action()

    def missing(self) -> str:
        return "nothing"

    def forget(self, lane: Lane) -> None:
        self.forgotten.append(lane)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Give the list of actors that are killed from now on, rather than kill them."""
    actors: list[object] = []
    monkeypatch.setattr(ray, "kill", actors.append)
    return actors


class TestRareAnswers:
    def test_an_actor_that_cannot_be_asked_is_killed_before_its_call_fails(
        self, killed: list[object]
    ) -> None:
        stage = Stage.started()
        future = stage.lane.submit(len, "abc")
        stage.actor.run.asked[0].set_exception(
            exceptions.ActorUnavailableError("socket closed", None)
        )
        assert killed == [stage.actor]
        assert not future.done()
        stage.actor.place.asked[1].set_exception(exceptions.ActorDiedError())
        with pytest.raises(LaneLost, match="may or may not have been executed"):
            future.result(0)

    def test_an_actor_put_on_a_dead_node_is_made_again(self, killed: list[object]) -> None:
        stage = Stage()
        future = stage.lane.submit(len, "abc")
        stage.actor.place.asked[0].set_exception(exceptions.ActorDiedError())
        assert len(stage.actors) == 2
        stage.actor.place.asked[0].set_result(Place(1, "here", "node"))
        stage.actor.run.asked[0].set_result(3)
        assert future.result(0) == 3

    def test_an_actor_that_fails_to_begin_is_not(self, killed: list[object]) -> None:
        stage = Stage()
        future = stage.lane.submit(len, "abc")
        failed = exceptions.RayTaskError("__init__", "ImportError: no colorsched", ImportError())
        stage.actor.place.asked[0].set_exception(exceptions.ActorDiedError(failed))
        with pytest.raises(LaneLost, match=r"could not start: .* no colorsched$") as caught:
            future.result(0)
        assert not caught.value.may_have_run
        assert killed == [stage.actor]

    def test_an_answer_that_comes_after_all_changes_nothing(self, killed: list[object]) -> None:
        stage = Stage.started()
        future = stage.lane.submit(len, "abc")
        stage.connected = False
        stage.lane.look(0.0)
        stage.actor.run.asked[0].set_result(3)
        with pytest.raises(LaneLost, match="no longer connected"):
            future.result(0)
        assert stage.forgotten == [stage.lane]
        assert killed == []  # nobody is there to be told

    def test_an_actor_that_does_not_end_is_killed(self, killed: list[object]) -> None:
        stage = Stage.started()
        stage.lane.shutdown(wait=False)
        stage.lane.look(0.0)
        assert killed == []
        stage.lane.look(math.inf)
        assert killed == [stage.actor]
        stage.lane.shutdown()  # and this does not wait for ever

    def test_nothing_is_sent_without_a_connection(self, killed: list[object]) -> None:
        stage = Stage.started()
        stage.connected = False
        future = stage.lane.submit(len, "abc")
        stage.lane.look(0.0)
        assert stage.actor.run.asked == []
        with pytest.raises(LaneLost):
            future.result(0)

    def test_an_exception_that_is_none(self) -> None:
        raised = Raised(cloudpickle.dumps("no exception"), "text", "told")
        assert isinstance(raised.revive(), RuntimeError)
