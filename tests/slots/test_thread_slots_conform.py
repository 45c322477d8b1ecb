"""The contract, kept by the path through slots: threads stand in, so that memory is shared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from colorsched import Runtime, slots
from colorsched.testing import conformance


class TestThreadsAsSlots(conformance.Conformance):
    """Everything the suite has, on four slots in this process."""

    batches = True

    def make_runtime(self, **options: Any) -> Runtime:
        # Four: the suite blocks three colors, and a fourth must run.
        lanes = slots([lambda: ThreadPoolExecutor(1)] * 4)
        return Runtime(executor=lanes, travel="reference", **options)
