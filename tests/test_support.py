"""The tests' own tools: a gate holds, opens, and fails instead of hanging."""

from __future__ import annotations

import threading

import pytest

from support import Gate


def test_gate_holds_until_it_is_opened() -> None:
    passed: list[str] = []
    with Gate() as gate:

        def walk() -> None:
            gate()
            passed.append("through")

        walker = threading.Thread(target=walk)
        walker.start()
        gate.reached()
        assert passed == []
    walker.join()
    assert passed == ["through"]


def test_gate_fails_rather_than_hangs() -> None:
    gate = Gate("the door", patience=0.001)
    with pytest.raises(TimeoutError, match="nobody came to the door"):
        gate.reached()
    with pytest.raises(TimeoutError, match="the door was not opened"):
        gate()
