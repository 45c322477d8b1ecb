"""The contract, kept by processes as slots."""

from __future__ import annotations

from typing import Any

from colorsched import Runtime
from colorsched.testing import conformance


class TestProcesses(conformance.Conformance):
    callables = "importable"
    shares_memory = False
    batches = True
    examples = 20

    def make_runtime(self, **options: Any) -> Runtime:
        return Runtime(executor="processes", workers=2, **options)
