"""What a runtime says about itself, and what it says when it is made wrongly."""

from __future__ import annotations

import logging
import threading
from typing import Any

import attrs
import pytest

from colorsched import DEFAULT, Runtime
from colorsched.runtime import SPARES, default_workers
from support import PATIENCE_SECONDS, Gate

NAMES = {
    "workers", "spares", "colors", "ready", "pending", "timers", "turns", "steals", "parks",
    "slots", "batches", "lost",
}  # fmt: skip


def test_its_fields_are_counts_and_cannot_be_changed(rt: Runtime) -> None:
    stats = rt.stats()
    fields = attrs.asdict(stats)
    assert set(fields) == NAMES
    assert all(type(value) is int and value >= 0 for value in fields.values())
    for name in fields:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(stats, name, 1)
    assert not hasattr(stats, "__dict__")


def test_they_tell_what_waits_and_what_ran(rt: Runtime) -> None:
    with Gate() as one, Gate() as two:
        blocked, other = rt.color("blocked"), rt.color("other")
        blocked.post(one)
        other.post(two)
        one.reached()
        two.reached()
        for _ in range(5):
            blocked.post(int)
        timer = rt.call_later(3600, int)
        during = rt.stats()
        assert during.pending == 5
        assert during.timers == 1
        assert during.colors >= 3  # and the default one
        assert during.workers >= 2
        timer.cancel()
    assert rt.drain(PATIENCE_SECONDS)
    after = rt.stats()
    assert (after.pending, after.ready, after.timers) == (0, 0, 0)
    assert after.turns >= during.turns
    assert after.parks > 0


def test_ready_counts_colors_without_a_worker() -> None:
    with Runtime(workers=1, max_workers=1) as runtime:
        with Gate() as gate:
            runtime.post(gate)
            gate.reached()
            colors = [runtime.color(number) for number in range(7)]
            for color in colors:
                color.post(int)
                color.post(int)
            stats = runtime.stats()
            assert (stats.ready, stats.pending) == (7, 14)
        assert runtime.drain(PATIENCE_SECONDS)
        assert runtime.stats().turns >= 8


def test_counters_of_workers_that_ended_are_kept() -> None:
    runtime = Runtime(workers=2)
    for number in range(100):
        runtime.color(number).post(int)
    assert runtime.drain(PATIENCE_SECONDS)
    before = runtime.stats()
    runtime.shutdown()
    after = runtime.stats()
    assert after.turns >= before.turns >= 100
    assert (after.workers, after.ready, after.pending) == (0, 0, 0)


@pytest.mark.parametrize("name", ["workers", "max_workers"])
@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (0, ValueError, "must be at least 1, not 0"),
        (-3, ValueError, "must be at least 1, not -3"),
        ("2", TypeError, "must be a whole number, not '2'"),
        (2.0, TypeError, "must be a whole number, not 2.0"),
        (True, TypeError, "must be a whole number, not True"),
    ],
)
def test_wrong_numbers_of_workers(name: str, value: Any, error: type[Exception], says: str) -> None:
    before = threading.active_count()
    with pytest.raises(error, match=f"{name} {says}"):
        Runtime(**{name: value})
    assert threading.active_count() == before


def test_fewer_threads_at_most_than_workers() -> None:
    with pytest.raises(ValueError, match=r"max_workers=2 is less than workers=3.*spares"):
        Runtime(3, 2)


def test_a_handler_that_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="exception_handler must be callable, not 'print'"):
        Runtime(exception_handler="print")  # type: ignore[arg-type]  # that is the test


def test_the_defaults() -> None:
    with Runtime() as runtime:
        assert runtime.stats().workers == default_workers() == runtime._workers.count
        assert runtime._workers.most == default_workers() + SPARES
        assert repr(runtime) == f"<Runtime running, {default_workers()} workers>"
    assert repr(runtime).startswith("<Runtime shut down")
    assert repr(DEFAULT) == "DEFAULT"
    # An application decides what happens to our log; we add no handler of our own.
    assert logging.getLogger("colorsched").handlers == []


def test_a_key_must_be_hashable_and_gives_one_color(rt: Runtime) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        rt.color([])  # type: ignore[arg-type]  # that is the test
    color = rt.color(("a", 1))
    assert rt.color(("a", 1)) is color
    assert color.key == ("a", 1)
    assert rt.color(DEFAULT).key is DEFAULT
    assert repr(color) == "<color ('a', 1)>"
    assert rt.color(1) is rt.color(1.0) is rt.color(True)  # equal keys are one
