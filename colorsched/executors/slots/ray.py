"""Slots that are Ray actors, on this machine or on several: ``executors.ray`` makes the lanes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from colorsched.executors.ray.cluster import RayCluster
from colorsched.executors.slots.engines import MadeLanes, usable_cores

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


class RayLanes(MadeLanes):
    """Lanes of one cluster, which is left with the last of them."""

    travel = "cloudpickle"

    def __init__(self, cluster: RayCluster, count: int) -> None:
        super().__init__([partial(cluster.make_lane, index) for index in range(count)])
        self._cluster = cluster

    def start(self) -> list[Executor]:
        try:
            return super().start()
        except BaseException:
            self._cluster.close()
            raise

    def starting(self, lane: Executor) -> Future[Any]:
        # It may have to wait for a place; who goes there meanwhile would wait with it.
        return lane.submit(int)

    def replace(self, index: int) -> Executor | None:
        lane = super().replace(index)
        assert lane is not None
        self.starting(lane).result()
        return lane

    def close(self) -> None:
        self._cluster.close()


def ray_engine(count: int | None, address: str | None) -> RayLanes:
    """So many actors. None: as many as the usable cores, or as a cluster that is joined has CPUs.

    Raises:
        MissingExtra: Ray is not installed.
        ClusterUnreachable: no Ray cluster answers at the address.

    """
    cluster = RayCluster.connect(address, lanes=count or usable_cores())
    return RayLanes(cluster, count or max(cluster.capacity(), 1))
