"""What pytest loads of colorsched: its options and hooks, and nothing of the package until used.

It stands beside the package because importing anything inside would import the package, in every
run of pytest, before coverage is measured.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colorsched.testing import SimRuntime

SCHEDULES = "colorsched_schedules"
COVERAGE = "colorsched_coverage"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that begin with ``--colorsched``."""
    group = parser.getgroup("colorsched", "tests under many schedules")
    group.addoption(
        "--colorsched-replay",
        metavar="SCHEDULE",
        help="run one schedule (cs1:..., as a failing test printed it) of the test that it names",
    )
    group.addoption(
        "--colorsched-schedules",
        metavar="N",
        type=int,
        help="how many schedules every color_test explores, whatever it says itself",
    )
    group.addoption(
        "--colorsched-seed",
        metavar="N",
        type=int,
        help="the seed of every color_test, whatever it says itself",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse bad options before any test runs."""
    count = config.getoption("colorsched_schedules")
    if count is not None and count < 1:
        raise pytest.UsageError(f"--colorsched-schedules must be at least 1, not {count}")
    if config.getoption("colorsched_replay"):
        _replayed(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only the test whose schedule is to be replayed."""
    if not config.getoption("colorsched_replay"):
        return
    name = _replayed(config)
    chosen = [item for item in items if item.nodeid == name and _color_test(item)]
    if not chosen:
        raise pytest.UsageError(
            f"no color_test {name!r} was collected; run pytest where its path begins"
        )
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Tell a color_test what the command line asks, and keep what it found."""
    test = _color_test(item)
    asked = (
        nullcontext()
        if test is None
        else test.asked(
            nodeid=item.nodeid,
            replay=item.config.getoption("colorsched_replay"),
            schedules=item.config.getoption("colorsched_schedules"),
            seed=item.config.getoption("colorsched_seed"),
        )
    )
    with asked as findings:
        try:
            yield
        finally:
            if findings is not None:
                item.user_properties.append((SCHEDULES, findings.schedules))
                if findings.coverage:
                    item.user_properties.append((COVERAGE, findings.coverage))
                if findings.story:
                    item.add_report_section("call", "schedule", findings.story)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how many schedules were explored; with -v, what they covered."""
    reports = [
        report
        for name in ("passed", "failed")
        for report in terminalreporter.stats.get(name, [])
        if getattr(report, "when", None) == "call"
    ]
    found = [(report.nodeid, dict(report.user_properties)) for report in reports]
    found = [(nodeid, notes) for nodeid, notes in found if SCHEDULES in notes]
    if not found:
        return
    total = sum(notes[SCHEDULES] for _, notes in found)
    terminalreporter.write_line(f"colorsched: {total} schedules explored in {len(found)} tests")
    if config.get_verbosity() > 0:
        for nodeid, notes in found:
            if COVERAGE in notes:
                terminalreporter.write_line(f"  {nodeid}: {notes[COVERAGE]}")


@pytest.fixture
def sim_runtime() -> Iterator[SimRuntime]:
    """Give a ``SimRuntime``; the test fails if a callback raised, or waits for ever."""
    from colorsched.testing import SimRuntime

    with SimRuntime() as runtime:
        yield runtime
        runtime.drain()
    if runtime.failures:
        raise runtime.failures[0]


def _color_test(item: pytest.Item) -> Any:
    return getattr(getattr(item, "obj", None), "color_test", None)


def _replayed(config: pytest.Config) -> str:
    """The test that the schedule names."""
    from urllib.parse import unquote

    from colorsched.testing.schedule import BadSchedule, Schedule

    try:
        program = Schedule.parse(config.getoption("colorsched_replay")).program
    except BadSchedule as error:
        raise pytest.UsageError(str(error)) from None
    if "::" not in program:
        raise pytest.UsageError(
            "this schedule is not of a color_test: run it by colorsched.testing.replay(schedule)"
        )
    return unquote(program)
