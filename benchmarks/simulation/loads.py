"""Which colors get which callbacks, and who posts them."""

from __future__ import annotations

import itertools
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.arithmetic import zipf_indices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Source(Enum):
    """Who posts."""

    CHAINS = "chains"
    """Each callback posts the next of its own color; every color begins with one."""
    POSTERS = "posters"
    """Threads outside, each as fast as it can."""
    HOPS = "hops"
    """Each callback posts the next one, to a color that the load draws."""
    DESCRIPTORS = "descriptors"
    """Connections: each asks again, some time after its answer."""


@frozen(kw_only=True)
class Load:
    """Work for a runtime: ``callbacks`` of ``seconds`` each over ``colors``.

    Colors take turns, unless ``exponent`` draws them by Zipf's law or ``hot`` gives that share of
    all callbacks to one of them.
    """

    label: str
    colors: int
    callbacks: int
    seconds: float
    source: Source = Source.POSTERS
    exponent: float = 0.0
    hot: float = 0.0
    posters: int = 1
    burst: int = 0
    """Posters pause after so many posts (0: never) ..."""
    pause: float = 0.0
    """... for so long."""
    tokens: int = 0
    """Hops under way at a time."""
    think: float = 0.0
    """From an answer to the same connection's next request."""

    def keys(self, seed: int) -> Sequence[int]:
        """The color of each callback, in the order of posting."""
        if self.exponent:
            return zipf_indices(
                count=self.callbacks, keys=self.colors, exponent=self.exponent, seed=seed
            )
        if self.hot:
            return list(itertools.islice(self._with_a_hot_one(), self.callbacks))
        if self.colors == self.callbacks:
            return range(self.callbacks)
        return [number % self.colors for number in range(self.callbacks)]

    def _with_a_hot_one(self) -> Iterator[int]:
        """The hot color as evenly as its share allows, the others in turns between."""
        owed = 0.0
        other = 0
        while True:
            owed += self.hot
            if owed >= 1.0:
                owed -= 1.0
                yield 0
            else:
                other = other % (self.colors - 1) + 1
                yield other
