"""What a group hands to the command: text, verdicts and raw figures; and the tables they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import Factory, define

from benchmarks.arithmetic import Spread, ratio, ratio_remark
from benchmarks.tables import Verdict, rate_cell, ratio_cell, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.children import Outcome


@define
class Report:
    """One group's results."""

    name: str
    title: str
    sections: list[str] = Factory(list)
    verdicts: list[Verdict] = Factory(list)
    data: dict[str, Any] = Factory(dict)

    def add(self, *lines: str) -> None:
        """Append a paragraph or a table."""
        self.sections.append("\n".join(lines))

    def keep(self, key: str, outcomes: Mapping[str, Outcome]) -> None:
        """Keep the raw answers for the JSON file."""
        self.data[key] = {
            label: {"answers": outcome.answers, "absent": outcome.absent}
            for label, outcome in outcomes.items()
        }


def compare(
    outcomes: Mapping[str, Outcome], *, mine: Sequence[str], unit: str = "callbacks/s"
) -> str:
    """A table of rates, and for each case in `mine` how many times the row's rate it is."""
    heads = ["", f"{unit}, median (min-max)", *(f"{label} is" for label in mine)]
    rows = []
    notes = []
    for label, outcome in outcomes.items():
        if not outcome.answers:
            rows.append([label, "absent", *("-" for _ in mine)])
            notes.append(f"{label}: {outcome.absent}")
            continue
        cells = [label, rate_cell(Spread.of(outcome.rates))]
        for own in mine:
            comparable = own != label and outcomes[own].answers
            cells.append(
                ratio_cell(ratio(outcomes[own].rates, outcome.rates)) if comparable else "-"
            )
        rows.append(cells)
    return "\n".join([table(heads, rows), *notes])


def verdict(
    outcomes: Mapping[str, Outcome],
    what: str,
    mine: str,
    theirs: str,
    asked: float,
    *,
    remark: str = "",
) -> Verdict:
    """The ratio of two cases beside the one that is asked for."""
    own, other = outcomes[mine], outcomes[theirs]
    if own.answers and other.answers:
        spread = ratio(own.rates, other.rates)
        seen = ratio_remark(own.rates, other.rates)
        return Verdict(
            what=what,
            measured=spread.median,
            asked=asked,
            remark=f"{seen}; {remark}" if remark else seen,
        )
    missing = own if not own.answers else other
    return Verdict(what=what, measured=None, asked=asked, remark=f"{missing.case.label} is absent")
