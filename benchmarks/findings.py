"""What searches for bugs found: how many, how soon, how small; arithmetic alone."""

from __future__ import annotations

import math
import re
import statistics
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NUMBER = re.compile(r"schedule (\d+) of \d+ ")

#: Where curves are read: so many schedules.
READINGS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@frozen(kw_only=True)
class Finding:
    """One search for one bug, with one seed."""

    name: str
    kind: str
    seed: int
    number: int | None
    """The schedule that found it, counted from 1; None: it was not found."""
    seconds: float
    switches: int | None = None
    """How many choices of the minimized schedule are not the plain one."""

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Finding:
        """The finding that a child wrote as JSON; what else it wrote is left out."""
        return cls(
            name=answer["name"],
            kind=answer["kind"],
            seed=answer["seed"],
            number=answer["number"],
            seconds=answer["seconds"],
            switches=answer.get("switches"),
        )


def schedule_number(report: str) -> int:
    """Which schedule it was that failed, by the first line of the report.

    Raises:
        ValueError: the report does not say.
    """
    said = _NUMBER.match(report)
    if said is None:
        raise ValueError(f"this report names no schedule: {report[:80]!r}")
    return int(said.group(1))


@frozen(kw_only=True)
class Hunt:
    """Several searches together: of one kind of bug, or by one strategy."""

    bugs: int
    """How many different ones were looked for."""
    found: float
    """How many of them a seed finds, on average."""
    share: float
    """The part of all searches that found theirs."""
    first_hit: float
    """The median schedule number; infinite if most searches found nothing."""
    seconds: float
    """The median search."""
    longest: float
    """The slowest search, in seconds."""
    switches: float | None
    """The median of minimized schedules; None if none was minimized."""
    missed: tuple[str, ...]
    """The bugs that some seed did not find."""

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Hunt:
        """Sum up.

        Raises:
            ValueError: there is no finding.
        """
        all_of_them = list(findings)
        if not all_of_them:
            raise ValueError("there is nothing to sum up: no search was made")
        bugs = {finding.name for finding in all_of_them}
        hits = [finding for finding in all_of_them if finding.number is not None]
        switches = [finding.switches for finding in hits if finding.switches is not None]
        share = len(hits) / len(all_of_them)
        return cls(
            bugs=len(bugs),
            found=share * len(bugs),
            share=share,
            first_hit=statistics.median(
                math.inf if finding.number is None else finding.number for finding in all_of_them
            ),
            seconds=statistics.median(finding.seconds for finding in all_of_them),
            longest=max(finding.seconds for finding in all_of_them),
            switches=statistics.median(switches) if switches else None,
            missed=tuple(sorted({f.name for f in all_of_them if f.number is None})),
        )

    def cells(self) -> list[str]:
        """As a row under ``HUNT_HEADS``."""
        return [
            f"{self.bugs}",
            f"{self.found:.1f}",
            f"{100 * self.share:.1f} %",
            "none" if math.isinf(self.first_hit) else f"{self.first_hit:g}",
            f"{1000 * self.seconds:.1f} ms",
            f"{self.longest:.2f} s",
            "-" if self.switches is None else f"{self.switches:g}",
        ]


HUNT_HEADS = ("bugs", "found", "share", "first hit", "time", "longest", "switches")


def curve(findings: Sequence[Finding], at: Sequence[int] = READINGS) -> list[float]:
    """How many bugs are found within so many schedules, on average over the seeds."""
    bugs = {finding.name for finding in findings}
    return [
        sum(finding.number is not None and finding.number <= many for finding in findings)
        * len(bugs)
        / max(len(findings), 1)
        for many in at
    ]
