"""The corpus of small buggy programs, which belongs to the tests."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.machine import ROOT

if TYPE_CHECKING:
    from corpus.specimen import Specimen


def specimens(*, kind: str | None = None, name: str | None = None) -> list[Specimen]:
    """All specimens, or those of one kind, or the one of that name, in the order of their names."""
    tests = str(ROOT / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    from corpus.corpus import ALL_SPECIMENS

    return [one for one in ALL_SPECIMENS if kind in {None, one.kind} and name in {None, one.name}]
