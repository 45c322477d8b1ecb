"""The contract, kept by subinterpreters as slots, where Python has them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from colorsched import Runtime
from colorsched.errors import NoSlots
from colorsched.testing import conformance

if sys.version_info >= (3, 14):

    class TestInterpreters(conformance.Conformance):
        callables = "importable"
        shares_memory = False
        batches = True
        examples = 20

        def make_runtime(self, **options: Any) -> Runtime:
            return Runtime(executor="interpreters", workers=2, **options)

else:

    def test_before_there_are_any_it_is_said_so() -> None:
        with pytest.raises(NoSlots, match=r"needs CPython 3\.14 or newer, and this is 3\."):
            Runtime(executor="interpreters")
