"""color_test and the plugin of pytest: composed, overridden, failures run again elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colorsched.testing import Faults, NeverHeld, PropertyBroken, always, color_test

if TYPE_CHECKING:
    from pathlib import Path

# An environment that was made before the plugin was told of names it here.
INSTALLED = any(found.name == "colorsched" for found in entry_points(group="pytest11"))
PLUGIN = [] if INSTALLED else ["-p", "colorsched_pytest"]

BUGGY = """
import pytest
from hypothesis import given, settings, strategies as st
from colorsched.testing import Shared
from colorsched.testing import Faults, NeverHeld, PropertyBroken, always, color_test

@pytest.fixture
def names():
    return ["red", "blue"]

@color_test
def test_order(rt, names):
    seen = []
    for name in names:
        rt.color(name).post(seen.append, name)
    def check():
        assert seen == names
    return check

class TestInClass:
    @pytest.mark.parametrize("last", ["a b/c", "ü[1]"])
    @color_test(schedules=100)
    def test_param(self, rt, last, names):
        seen = []
        for name in [*names, last]:
            rt.color(name).post(seen.append, name)
        def check():
            assert seen[-1] == last
        return check

@color_test
def test_race(rt):
    total = Shared(0, name="total")
    rt.color("red").post(total.set, 1)
    rt.color("blue").post(total.set, 2)

@color_test
async def test_async(rt):
    seen = []
    async def note(name):
        seen.append(name)
    a, b = rt.color("red").spawn(note("a")), rt.color("blue").spawn(note("b"))
    await a
    await b
    assert seen == ["a", "b"]

@color_test
def test_fine(rt):
    seen = []
    rt.color("red").post(seen.append, 1)
    rt.color("blue").post(len, "")
    rt.drain()
    assert seen == [1]
"""
FAILING = {
    "test_order": "assert seen == names",
    "test_param": "assert seen[-1] == last",
    "test_race": "race",
    "test_async": 'assert seen == ["a", "b"]',
}


def run(folder: Path, *arguments: str, hashing: str = "0") -> str:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COVERAGE"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environ | {"PYTHONHASHSEED": hashing},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (folder / "test_buggy.py").write_text(BUGGY, "utf-8")
    return folder, run(folder)


def schedules_in(output: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'--colorsched-replay="(cs1:[^"]+)"', output)))


def test_failures_are_told(suite: tuple[Path, str]) -> None:
    _, output = suite
    assert "5 failed, 1 passed" in output
    for text in FAILING.values():
        assert text in output
    assert "['blue', 'red'] == ['red', 'blue']" in output, "pytest's rewriting"
    assert "deviation from FIFO" in output
    assert "Captured schedule call" in output
    assert re.search(r"colorsched: \d+ schedules explored in 6 tests", output)
    assert len(schedules_in(output)) == 5


def test_a_failure_is_run_again_in_a_fresh_process(suite: tuple[Path, str]) -> None:
    folder, output = suite
    for schedule in schedules_in(output):
        again = run(folder, f"--colorsched-replay={schedule}", hashing="7")
        assert "1 failed, 5 deselected" in again, again
        assert schedules_in(again) == [schedule]
        name = next(name for name in FAILING if f"::{name}" in schedule)
        assert FAILING[name] in again


def test_a_schedule_that_fits_nothing_is_refused(suite: tuple[Path, str]) -> None:
    folder, _ = suite
    assert "begins with cs1:" in run(folder, "--colorsched-replay=nonsense")
    assert "no color_test" in run(folder, "--colorsched-replay=cs1:test_buggy.py::gone/3/1=1")
    assert "testing.replay" in run(folder, "--colorsched-replay=cs1:-/3/1=1")
    assert "must be at least 1" in run(folder, "--colorsched-schedules=0")


def test_the_command_line_overrides(suite: tuple[Path, str]) -> None:
    folder, _ = suite
    output = run(folder, "-k", "fine", "--colorsched-schedules=17", "--colorsched-seed=3")
    assert "colorsched: 17 schedules explored in 1 tests" in output


def test_the_plugin_imports_nothing_of_the_package() -> None:
    script = "import sys, colorsched_pytest; print({'colorsched', 'hypothesis'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def in_order(rt: Any, names: list[str]) -> Any:
    seen: list[str] = []
    for name in names:
        rt.color(name).post(seen.append, name)

    def check() -> None:
        assert seen == names

    return check


def above(**options: Any) -> Any:
    @settings(max_examples=25, database=None, deadline=None)
    @given(names=st.lists(st.sampled_from("abc"), max_size=6))
    @color_test(**options)
    def test(rt: Any, names: list[str]) -> Any:
        return in_order(rt, names)

    return test


def below(**options: Any) -> Any:
    @color_test(**options)
    @settings(max_examples=25, database=None, deadline=None)
    @given(names=st.lists(st.sampled_from("abc"), max_size=6))
    def test(rt: Any, names: list[str]) -> Any:
        return in_order(rt, names)

    return test


@pytest.mark.parametrize("make", [above, below])
def test_given_above_and_below(make: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        make()()
    notes = "\n".join(caught.value.__notes__)
    assert "names=['a', 'b']" in notes or "names=['b', 'a']" in notes
    assert "1 deviation from FIFO" in notes
    with pytest.raises(AssertionError):
        make(schedules=200)()


def test_examples_share_the_schedules() -> None:
    runs: dict[int, int] = {}

    @settings(max_examples=25, database=None, deadline=None)
    @given(number=st.integers())
    @color_test(schedules=250)
    def test(rt: Any, number: int) -> None:
        rt.color("a").post(len, "")
        rt.color("b").post(len, "")
        runs[number] = runs.get(number, 0) + 1

    test()
    assert set(runs.values()) == {10}


def test_what_is_no_color_test_is_refused() -> None:
    with pytest.raises(TypeError, match="no argument rt"):
        color_test(lambda: None)
    with pytest.raises(ValueError, match="schedules must be at least 1, not 0"):
        color_test(schedules=0)
    with pytest.raises(ValueError, match="no strategy 'best'"):
        color_test(strategy="best")


def test_properties_faults_and_expectations_are_those_of_explore() -> None:
    seen: list[int] = []

    def small() -> bool:
        return len(seen) < 2

    @color_test(properties=[always(small)], schedules=2)
    def breaks(rt: Any) -> None:
        seen.clear()
        for number in range(3):
            rt.color("a").post(seen.append, number)

    with pytest.raises(PropertyBroken):
        breaks()

    @color_test(expect=["never"], schedules=2)
    def expects(rt: Any) -> None:
        rt.color("a").post(int)

    with pytest.raises(NeverHeld, match="never"):
        expects()

    def work(done: list[int]) -> None:
        done.append(1)

    @color_test(faults=Faults(raise_at={"work": ZeroDivisionError}), schedules=50)
    def fails(rt: Any) -> Any:
        done: list[int] = []
        rt.color("a").post(work, done)
        rt.color("b").post(work, done)

        def check() -> None:
            assert len(done) == 2, "a fault"

        return check

    with pytest.raises(AssertionError, match="a fault"):
        fails()
