"""The registry: all specimens, sorted by name."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from corpus import (
    atomicity,
    cancellation,
    coroutines,
    deadlock,
    mutants,
    mutants_flow,
    order,
    races,
    timers,
)

if TYPE_CHECKING:
    from corpus.specimen import Specimen

_MODULES = (
    atomicity,
    cancellation,
    coroutines,
    deadlock,
    mutants,
    mutants_flow,
    order,
    races,
    timers,
)

ALL_SPECIMENS: tuple[Specimen, ...] = tuple(
    sorted(chain.from_iterable(module.SPECIMENS for module in _MODULES), key=lambda one: one.name)
)
