"""Aligned tables, text bars and verdicts: what the benchmark prints, built as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.arithmetic import Spread, human_count

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads: the first flush left, the others flush right."""
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"a row of {len(row)} cells under {len(heads)} heads: {list(row)!r}")
    widths = [max(len(line[i]) for line in (heads, *rows)) for i in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = cells
        parts = [first.ljust(widths[0])]
        parts += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(heads), rule, *(line(row) for row in rows)])


def bar(value: float, *, largest: float, width: int = 40) -> str:
    """A bar of text, `width` characters long for the largest value."""
    if largest <= 0:
        return ""
    return "#" * max(1, round(width * value / largest))


def rate_cell(spread: Spread) -> str:
    """Callbacks a second: the median and, in brackets, the slowest and the fastest run."""
    return f"{human_count(spread.median)} ({human_count(spread.low)}-{human_count(spread.high)})"


def ratio_cell(spread: Spread) -> str:
    """A ratio: the median and, in brackets, the smallest and the largest of the rounds."""
    return f"{spread.median:.2f} x ({spread.low:.2f}-{spread.high:.2f})"


@frozen
class Verdict:
    """One figure that is asked for, and what came out. It is printed, never enforced."""

    what: str
    measured: float | None
    """None: could not be measured here."""
    asked: float
    at_most: bool = False
    unit: str = "x"
    remark: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the figure was reached; None if it could not be measured."""
        if self.measured is None:
            return None
        seen = round(self.measured, 2)  # as it is printed
        return seen <= self.asked if self.at_most else seen >= self.asked

    def cells(self) -> list[str]:
        """The verdict as a row: what, asked, measured, reached or missed, remark."""
        sign = "<=" if self.at_most else ">="
        word = {True: "reached", False: "MISSED", None: "not measured"}[self.reached]
        measured = "-" if self.measured is None else f"{self.measured:.2f} {self.unit}"
        return [self.what, f"{sign} {self.asked:g} {self.unit}", measured, word, self.remark]


VERDICT_HEADS = ("asked for", "target", "measured", "", "")
