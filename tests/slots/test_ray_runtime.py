"""Slots that are Ray actors, on a cluster of two nodes: the contract, and a node's death."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest

import slot_functions
from colorsched import Retry, Runtime, WorkerLost
from colorsched.executors.ray.cluster import RayCluster
from colorsched.testing import conformance
from colorsched.testing.conformance.witness import witness

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "colorsched[ray]"')
from ray.cluster_utils import Cluster  # noqa: E402 - after the line that skips without it

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
SECONDS = 120.0


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Give a cluster of two nodes, and a connection to it that all tests share."""
    cloudpickle.register_pickle_by_value(slot_functions)  # the nodes' Python does not find it
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        cluster.add_node(**NODE)
        with RayCluster.connect(cluster.address):
            yield cluster
        cluster.shutdown()


@pytest.mark.usefixtures("nodes")
class TestRay(conformance.Conformance):
    callables = "importable"
    shares_memory = False
    batches = True
    examples = 10
    patience = SECONDS

    def make_runtime(self, **options: Any) -> Runtime:
        return Runtime(executor="ray", workers=2, **options)


def test_lambdas_travel_and_slots_are_on_both_nodes(nodes: Cluster, tmp_path: Path) -> None:
    with Runtime(executor="ray", workers=4, address=nodes.address) as rt:
        meet = slot_functions.meet  # a function goes by value, its module would be looked for

        def node(name: str) -> str:
            meet(str(tmp_path), name, 4)
            return str(ray.get_runtime_context().get_node_id())

        futures = [rt.color(n).submit(node, str(n)) for n in range(4)]
        assert len({future.result(SECONDS) for future in futures}) == 2
        base = 40
        assert rt.submit(lambda: base + 2).result(SECONDS) == 42


def test_a_node_dies_and_every_callback_is_accounted_for_in_order(
    nodes: Cluster, tmp_path: Path
) -> None:
    third = nodes.add_node(**NODE)
    colors, slots = 12, 5
    meet, wait_for = slot_functions.meet, slot_functions.wait_for
    met, go_on = tmp_path / "met", tmp_path / "go on"
    met.mkdir()

    def hold(name: str) -> None:
        meet(str(met), name, slots + 1, SECONDS)
        wait_for(str(go_on), SECONDS)

    with Runtime(executor="ray", workers=slots, retry=Retry(5)) as rt:
        held = [rt.color(color).submit(hold, str(color)) for color in range(slots)]
        futures = {
            color: [rt.color(color).submit(witness, n, False, 0.002) for n in range(40)]
            for color in range(colors)
        }
        # Each slot runs something: those of the node that dies, too.
        meet(str(met), "test", slots + 1, SECONDS)
        nodes.remove_node(third, allow_graceful=False)
        go_on.touch()
        for future in held:
            future.result(SECONDS)
        for of_color in futures.values():
            seen = [future.result(SECONDS) for future in of_color]
            assert [one.number for one in seen] == list(range(40))
            assert all(one.alone for one in seen)
            places = [one.place for one in seen]
            for place in set(places):
                turns = [one.turn for one in seen if one.place == place]
                assert turns == sorted(turns)
            # A color that has left a lost slot does not come back to it.
            assert places == sorted(places, key=places.index)
        assert rt.stats().lost >= 1


@pytest.mark.usefixtures("nodes")
def test_what_kills_its_actor_is_lost_and_the_color_goes_on(tmp_path: Path) -> None:
    with Runtime(executor="ray", workers=2) as rt:
        color = rt.color("a")
        lost = color.submit(slot_functions.write_and_die, str(tmp_path / "log"), "ran", 9)
        after = color.submit(pow, 2, 3)
        assert isinstance(lost.exception(SECONDS), WorkerLost)
        # They may have gone together: nobody knows how far an actor came.
        assert isinstance(after.exception(SECONDS), WorkerLost | None)
        assert color.submit(pow, 2, 4).result(SECONDS) == 16
    assert (tmp_path / "log").read_text("utf-8") == "ran\n"


@pytest.mark.usefixtures("nodes")
def test_retry_runs_it_again_and_in_order(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with Runtime(executor="ray", workers=2, retry=Retry(3)) as rt:
        color = rt.color("a")
        first = color.submit(slot_functions.write_and_die, path, "first", 2)
        second = color.submit(slot_functions.write_and_die, path, "second", 0)
        first.result(SECONDS)
        second.result(SECONDS)
    assert (tmp_path / "log").read_text("utf-8").split() == ["first"] * 3 + ["second"]
