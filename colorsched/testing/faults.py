"""Faults: what may go wrong in a run, where, and how often.

That nothing goes wrong is choice 0 before every step that could; whatever else is one more recorded
choice of the schedule. So faults are replayed, and those that a failure does not need are taken out
by the minimizer like any other deviation.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from colorsched.testing.errors import TestingError
from colorsched.testing.injector import Injector
from colorsched.testing.unmet import both_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colorsched.events import Ticket
    from colorsched.testing.simruntime import SimRuntime
    from colorsched.testing.strategies import Strategy
    from colorsched.testing.unmet import Unmet

    Predicate = Callable[[Ticket], object]
    #: A chance for every step; or names of functions; or what says whether a step is meant.
    Where = float | str | Iterable[str] | Predicate
    Thrown = BaseException | type[BaseException]


class InjectedFault(TestingError, RuntimeError):
    """The exception that ``raise_at`` throws if it is told of no other."""


@frozen
class Target:
    """At which steps a fault may happen, and with which chance."""

    names: tuple[str, ...] | None
    """Of functions; None: any."""
    predicate: Predicate | None
    chance: float

    def meets(self, name: str, ticket: Ticket) -> bool:
        """Whether it may happen at this step, of a callback with this qualified name."""
        if self.predicate is not None:
            return bool(self.predicate(ticket))
        return self.names is None or any(each in self.names for each in both_names(name))

    def __str__(self) -> str:
        if self.predicate is not None:
            return "?"
        return "*" if self.names is None else ",".join(self.names)


def _seconds(given: Iterable[float]) -> tuple[float, ...]:
    return tuple(given)


KINDS = ("cancel", "delay", "starve", "lose_worker", "jump")


@frozen(kw_only=True)
class Faults:
    """What may go wrong in the runs of an exploration.

    Each of the kinds is given *where*: a chance from 0 to 1 at every step; or a function's name,
    or several, for the steps of its callbacks and coroutines; or a predicate of the step's ticket
    (``ticket.key``, ``ticket.fn``). Named and other chosen places have the chance ``rate``.

    Args:
        cancel: a callback that was posted is cancelled, or the task of a coroutine.
        delay: a color does not go on for some of the ``seconds``.
        raise_at: exceptions thrown into a callback at its start, or into a coroutine at its await:
            where, or a mapping from there to exceptions.
        starve: from here on a color goes on only when no other can.
        lose_worker: submitted or spawned work is lost with its worker, before it begins or when all
            is done but the telling: its future gets ``WorkerLost``.
        jump: the clock jumps forward by some of the ``seconds``, over timers that then are late.
        seconds: how far clocks jump and how long delays are.
        rate: the chance at chosen places.
        most: so many faults in one run at most.
        seed: draws them.

    An injected exception that goes unseen (as of posted callbacks) is no failure by itself; what it
    leads to is, and that ``main`` raises it. The coroutine of ``main`` is spared, but for time.

    Raises:
        ValueError: a chance is not between 0 and 1, a number is not positive.
        TypeError: that is no place for faults, or no exception.

    >>> str(Faults(cancel=0.1, raise_at={"load": OSError}))
    'cancel=*;raise_at=load:builtins.OSError;seconds=0.001,1,60;most=2'

    """

    cancel: Where = 0.0
    delay: Where = 0.0
    raise_at: Where | Mapping[Any, Thrown] = 0.0
    starve: Where = 0.0
    lose_worker: Where = 0.0
    jump: Where = 0.0
    seconds: tuple[float, ...] = field(default=(0.001, 1.0, 60.0), converter=_seconds)
    rate: float = 0.2
    most: int = 2
    seed: int = 0
    targets: Mapping[str, Target] = field(init=False, repr=False, eq=False)
    thrown: Sequence[tuple[Target, Thrown]] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not self.seconds or min(self.seconds) <= 0:
            raise ValueError(f"seconds must be positive, not {self.seconds!r}")
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most!r}")
        _check_chance("rate", self.rate)
        targets = {kind: self._target(kind, getattr(self, kind)) for kind in KINDS}
        where = self.raise_at
        thrown = where.items() if isinstance(where, Mapping) else [(where, InjectedFault)]
        pairs = [(self._target("raise_at", place), error) for place, error in thrown]
        for _, error in pairs:
            kind = error if isinstance(error, type) else type(error)
            if not issubclass(kind, BaseException) or issubclass(kind, StopIteration):
                raise TypeError(f"raise_at throws exceptions, not {error!r}")
        object.__setattr__(self, "targets", {k: t for k, t in targets.items() if t is not None})
        object.__setattr__(self, "thrown", [(t, e) for t, e in pairs if t is not None])
        if not self.targets and not self.thrown:
            raise ValueError("these faults never happen: give a chance or a place, as cancel=0.1")

    def _target(self, kind: str, where: object) -> Target | None:
        if isinstance(where, int | float):
            _check_chance(kind, where)
            return Target(None, None, where) if where else None
        if isinstance(where, str):
            return Target((where,), None, self.rate)
        if callable(where):
            return Target(None, where, self.rate)
        if isinstance(where, Iterable):
            names = tuple(where)
            if names and all(isinstance(name, str) for name in names):
                return Target(names, None, self.rate)
        raise TypeError(
            f"{kind} takes a chance, a function's name or several, or a predicate of a ticket, "
            f"not {where!r}"
        )

    def into(
        self,
        rt: SimRuntime,
        strategy: Strategy,
        *,
        spare: Callable[..., object] | None = None,
        unmet: Unmet | None = None,
    ) -> Injector:
        """Let faults happen in a simulated runtime that has an observer.

        Args:
            rt: which has not run yet.
            strategy: decides; one without a method ``fault`` never lets any happen.
            spare: the coroutine of this function is not cancelled, lost or thrown into.
            unmet: is told which of them could have happened.

        """
        return Injector(self, rt, strategy, spare, unmet)

    def __str__(self) -> str:
        """What a schedule says about them: which faults may happen where, not how likely."""
        parts = [f"{kind}={self.targets[kind]}" for kind in KINDS if kind in self.targets]
        if self.thrown:
            parts.append("raise_at=" + ",".join(f"{t}:{_named(e)}" for t, e in self.thrown))
        parts.append("seconds=" + ",".join(f"{x:g}" for x in self.seconds))
        return ";".join([*parts, f"most={self.most}"])

    @property
    def replayable(self) -> bool:
        """Whether the text says all that a replay needs."""
        return "?" not in str(self)

    @classmethod
    def parse(cls, text: str) -> Faults:
        """The faults that a schedule tells of.

        Raises:
            ValueError: the text is damaged, or does not say all (it has a ``?``).

        """
        given: dict[str, Any] = {}
        for part in text.split(";"):
            kind, equals, value = part.partition("=")
            if not equals or "?" in value:
                raise ValueError(f"these faults are not told in full: {text!r}")
            if kind == "seconds":
                given[kind] = tuple(map(float, value.split(",")))
            elif kind == "most":
                given[kind] = int(value)
            elif kind == "raise_at":
                given[kind] = _parse_thrown(value)
            elif kind in KINDS:
                given[kind] = 1.0 if value == "*" else tuple(value.split(","))
            else:
                raise ValueError(f"there are no faults of the kind {kind!r}")
        return cls(**given)


class WithFaults:
    """A strategy that lets faults happen, each with its chance."""

    def __init__(self, strategy: Strategy, seed: int) -> None:
        self.choose = strategy.choose
        self.interrupt = strategy.interrupt
        self._random = random.Random(seed).random

    def fault(self, options: Sequence[Any]) -> int:
        """The place of what happens; 0: nothing does."""
        for place, option in enumerate(options):
            if option is not None and self._random() < option.chance:
                return place
        return 0


def _check_chance(kind: str, chance: float) -> None:
    if not 0 <= chance <= 1:
        raise ValueError(f"{kind} is a chance, from 0 to 1, not {chance!r}")


def _named(error: Thrown) -> str:
    if not isinstance(error, type) or "<" in error.__qualname__:
        return "?"
    return f"{error.__module__}.{error.__qualname__}"


def _parse_thrown(text: str) -> Mapping[Any, Thrown]:
    thrown: dict[Any, Thrown] = {}
    names: list[str] = []
    for item in text.split(","):
        name, colon, path = item.partition(":")
        names.append(name)
        if colon:
            module, _, qualname = path.rpartition(".")
            try:
                error = getattr(importlib.import_module(module), qualname)
            except (ImportError, AttributeError) as problem:
                raise ValueError(f"the exception {path} is not found: {problem}") from problem
            thrown[1.0 if names == ["*"] else tuple(names)] = error
            names = []
    if names:
        raise ValueError(f"no exception is told for {names}")
    return thrown
