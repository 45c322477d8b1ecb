"""Make a failing schedule small: fewer choices that are not plain, and a shorter run.

It is delta debugging (Zeller and Hildebrandt, 2002) on the list of choices: what is cut off or set
to the plain choice is not needed for the failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Choices = tuple[int, ...]


#: With fewer deviations a run may have some more choices; so many are looked at.
MORE = 4


def switches(choices: Sequence[int]) -> int:
    """How many choices are not the plain one."""
    return sum(1 for choice in choices if choice)


def minimize(
    choices: Sequence[int],
    fails: Callable[[Choices], Choices | None],
    *,
    most_runs: int = 400,
) -> Choices:
    """The smallest list of choices found that still fails.

    Args:
        choices: those of a run that failed.
        fails: runs the program with the choices given (plain ones after their end) and returns
            those really made, if it failed in the same way; else None.
        most_runs: how often to call it at most.

    """
    return _Minimizer(tuple(choices), fails, most_runs).run()


class _Minimizer:
    def __init__(
        self, choices: Choices, fails: Callable[[Choices], Choices | None], most_runs: int
    ) -> None:
        self._best = choices
        self._fails = fails
        self._left = most_runs
        self._tried: set[Choices] = set()

    def run(self) -> Choices:
        self._try(())
        self._try_single()
        self._cut()
        before = None
        while before != self._best and self._left > 0:
            before = self._best
            self._drop_chunks()
            self._lower()
        return self._best

    def _try(self, candidate: Choices) -> bool:
        """Run a candidate; keep it if it fails and is smaller."""
        candidate = _strip(candidate)
        if self._left <= 0 or candidate in self._tried or _size(candidate) >= _size(self._best):
            return False
        self._tried.add(candidate)
        self._left -= 1
        made = self._fails(candidate)
        if made is None or _size(made) >= _size(self._best):
            return False
        self._best = made
        return True

    def _try_single(self) -> None:
        """One deviation is often enough, and not always one of those that were made."""
        if switches(self._best) < 2:
            return
        for place in range(min(len(self._best) + MORE, self._left // 4)):
            if self._try((*(0,) * place, 1)):
                return

    def _cut(self) -> None:
        """Halve the part of the run in which choices are made, as long as it fails."""
        low, high = 0, len(_strip(self._best))
        while low < high and self._left > 0:
            middle = (low + high) // 2
            if self._try(self._best[:middle]):
                high = min(middle, len(_strip(self._best)))
            else:
                low = middle + 1

    def _drop_chunks(self) -> None:
        places = [place for place, choice in enumerate(self._best) if choice]
        size = len(places)
        while size >= 1 and self._left > 0:
            start = len(places)
            while start > 0 and self._left > 0:
                dropped = set(places[max(start - size, 0) : start])
                candidate = tuple(
                    0 if place in dropped else choice for place, choice in enumerate(self._best)
                )
                if self._try(candidate):
                    places = [place for place, choice in enumerate(self._best) if choice]
                    start = min(start, len(places))
                else:
                    start -= size
            size //= 2

    def _lower(self) -> None:
        place = 0
        while place < len(self._best):  # which a success may shorten
            for lower in range(1, self._best[place]):
                if self._try((*self._best[:place], lower, *self._best[place + 1 :])):
                    break
            place += 1


def _strip(choices: Choices) -> Choices:
    """Without the plain choices at the end."""
    end = len(choices)
    while end and not choices[end - 1]:
        end -= 1
    return choices[:end]


def _size(choices: Choices) -> tuple[int, int, int]:
    return switches(choices), len(_strip(choices)), sum(choices)
