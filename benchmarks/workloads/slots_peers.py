"""Order per key on other runtimes with processes: the ways their users keep it.

An actor of Ray is a process and one of Dask a place in a process, so keys share a bounded number of
them: the key's hash chooses, and calls of one poster to one actor run in the order made.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import time
from typing import Any

from benchmarks.workloads.keyed import load
from benchmarks.workloads.slots import nothing, warm_up


class Stripe:
    """The keys of one actor."""

    def run(self) -> None:
        """Run the empty callback."""
        nothing()


def ray_actors(*, items: int, keys: int, exponent: float, workers: int) -> dict[str, float]:
    """Ray: as many actors as workers."""
    ray = importlib.import_module("ray")
    names = load(items=items, keys=keys, exponent=exponent)
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # nobody else's cluster is met
        ray.init(
            address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False,
            logging_level=logging.ERROR, _temp_dir=folder,
        )  # fmt: skip
        try:
            actors = [ray.remote(Stripe).remote() for _ in range(workers)]
            ray.get([actor.run.remote() for actor in actors])
            begin = time.perf_counter()
            results = [actors[hash(name) % workers].run.remote() for name in names]
            ray.get(results)
            seconds = time.perf_counter() - begin
        finally:
            ray.shutdown()
    return {"count": items, "seconds": seconds}


def _client(workers: int) -> Any:
    distributed = importlib.import_module("distributed")
    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None
    )
    client = distributed.Client(cluster)
    warm_up(lambda _number, fn, *args: client.submit(fn, *args, pure=False), workers)
    return client


def dask_actors(*, items: int, keys: int, exponent: float, workers: int) -> dict[str, float]:
    """Dask: as many actors as workers."""
    client = _client(workers)
    names = load(items=items, keys=keys, exponent=exponent)
    try:
        places = list(client.scheduler_info()["workers"])
        made = [client.submit(Stripe, actor=True, workers=[place], pure=False) for place in places]
        actors = [future.result() for future in made]
        begin = time.perf_counter()
        results = [actors[hash(name) % workers].run() for name in names]
        for result in results:
            result.result()
        return {"count": items, "seconds": time.perf_counter() - begin}
    finally:
        client.cluster.close()
        client.close()


def after(_before: object) -> None:
    """The empty callback that waits for the one before."""


def dask_chains(*, items: int, keys: int, exponent: float, workers: int) -> dict[str, float]:
    """Dask: each task of a key depends on the one before; order by construction, on any worker."""
    client = _client(workers)
    names = load(items=items, keys=keys, exponent=exponent)
    try:
        last: dict[str, Any] = {}
        begin = time.perf_counter()
        futures = []
        for name in names:
            last[name] = client.submit(after, last.get(name), pure=False)
            futures.append(last[name])
        client.gather(futures)
        return {"count": items, "seconds": time.perf_counter() - begin}
    finally:
        client.cluster.close()
        client.close()
