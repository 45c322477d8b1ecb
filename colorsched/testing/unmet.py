"""Which faults that were asked for by a function's name found no place to happen."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colorsched.testing.faults import Faults, Target

#: How many names of callbacks are told at most, for each that is not among them.
MOST_NAMES = 3


class NoFault(UserWarning):
    """A fault asked for by name could not happen in any schedule: they show nothing about it."""


class Unmet:
    """Is told of an exploration's steps, and what could have gone wrong there.

    Args:
        faults: those asked for.

    """

    def __init__(self, faults: Faults) -> None:
        places = [*faults.targets.items(), *(("raise_at", target) for target, _ in faults.thrown)]
        self.left = {(kind, name): False for kind, target in places for name in target.names or ()}
        """Kinds and names for which there was no place yet; whether such a function was seen."""
        self._seen: dict[str, None] = {}

    def saw(self, qualname: str) -> None:
        """Count a step, of a function with this qualified name."""
        if qualname not in self._seen:
            self._seen[qualname] = None
            for kind, name in self.left:
                self.left[kind, name] |= name in both_names(qualname)

    def met(self, kind: str, target: Target, qualname: str) -> None:
        """Something of this kind could have happened to such a step."""
        for name in both_names(qualname):
            if name in (target.names or ()):
                self.left.pop((kind, name), None)

    def tell(self) -> str:
        """What did not happen, and why; nothing if there was a place for all."""
        return "; ".join(self._stories())

    def _stories(self) -> Iterator[str]:
        names = sorted({qualname.rpartition(".")[2] for qualname in self._seen})
        for (kind, name), seen in self.left.items():
            if seen:
                yield f"{kind}={name!r}: there was no place for it: {_WHERE[kind]}"
                continue
            near = get_close_matches(name.rpartition(".")[2], names, MOST_NAMES, 0.4)
            some = near or names[:MOST_NAMES]
            known = "nearest are" if near else "there are"
            told = f"; {known} {', '.join(some)}" if some else ""
            yield f"{kind}={name!r}: no callback or coroutine has that name{told}"


def both_names(qualname: str) -> tuple[str, str]:
    """What a function may be called by: its qualified name, or the last part of it."""
    return qualname, qualname.rpartition(".")[2]


#: Where a fault can happen, if not at every step.
_WHERE = {
    "cancel": "it happens to what was posted, and to tasks other than main's",
    "jump": "it happens where a timer is set",
    "lose_worker": "it happens to what was submitted or spawned, before it begins",
    "raise_at": "it happens at a callback's start, or where a coroutine, not main's, waits for a "
    "future",
}
