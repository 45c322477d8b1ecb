"""The testing kit: bugs found in the corpus, schedules a second, proofs, the cost of watching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.groups import testing_corpus, testing_peers, testing_speed
from benchmarks.groups.report import Report

if TYPE_CHECKING:
    from benchmarks.settings import Settings


def run(settings: Settings) -> Report:
    """Measure ``colorsched.testing`` alone, its strategies side by side, and beside its peers."""
    report = Report(name="testing", title=f"The testing kit ({settings.here.label})")
    testing_corpus.run(settings, report)
    testing_peers.run(settings, report)
    testing_speed.run(settings, report)
    return report
