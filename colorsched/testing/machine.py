"""``ColorStateMachine``: a state machine of Hypothesis whose rules are posted to colors."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from hypothesis import stateful
from hypothesis import strategies as st

from colorsched.testing.errors import TestingError
from colorsched.testing.oracles import refuse_leftovers
from colorsched.testing.races import RaceDetector
from colorsched.testing.simruntime import SimRuntime
from colorsched.testing.strategies import Fifo, make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from colorsched.testing.strategies import Strategy

#: Larger seeds find no more, and read worse.
LARGEST_SEED = 2**16 - 1


class Raced(TestingError, AssertionError):
    """Posted rules raced: nothing orders two accesses."""


def rule(
    *, color: Hashable | Callable[..., Hashable] = None, targets: Any = (), **arguments: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Make a rule that is posted to a color; it runs when the machine settles.

    A rule with a target puts the future of its result into the bundle, at once.

    Args:
        color: a key, or a function of the machine and the rule's arguments that returns one. None:
            a rule of Hypothesis' own kind, which runs at once.
        targets: as of ``hypothesis.stateful.rule``.
        arguments: as of ``hypothesis.stateful.rule``, ``target`` among them.

    """
    bundles = tuple(targets)
    if "target" in arguments:
        bundles += (arguments.pop("target"),)

    def decorate(fn: Callable[..., Any]) -> Any:
        made = stateful.rule(targets=bundles, **arguments)
        if color is None:
            return made(fn)

        @functools.wraps(fn)
        def post(self: ColorStateMachine, **values: Any) -> Any:
            key = color(self, **values) if callable(color) else color
            to = self.runtime.color(key)
            if inspect.iscoroutinefunction(fn):
                future = to.spawn(fn(self, **values))
            else:
                future = to.submit(fn, self, **values)
            self._resting = False
            return future if bundles else None

        return made(post)

    return decorate


class ColorStateMachine(stateful.RuleBasedStateMachine):
    """A ``RuleBasedStateMachine`` whose rules may carry colors.

    Such rules are posted, and wait; Hypothesis draws when the machine settles, and a seed that
    orders what runs then. Invariants hold at rest: they are checked only when nothing is posted.
    In the end all is settled, and nothing may be left that waits, raced, or failed unseen.

    ``runtime`` is its ``SimRuntime``. A class that has ``__init__`` calls ``super().__init__()``,
    and one that has ``teardown`` calls ``super().teardown()``.

    >>> from hypothesis import strategies as st
    >>> class Accounts(ColorStateMachine):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.balance = {"ann": 0, "bob": 0}
    ...
    ...     @rule(account=st.sampled_from(["ann", "bob"]), color=lambda self, account: account)
    ...     def pay_in(self, account):
    ...         self.balance[account] += 1
    >>> TestAccounts = Accounts.TestCase

    """

    def __init__(self) -> None:
        super().__init__()
        self._order = _Order()
        self._races = RaceDetector()
        self._resting = True
        self._failed = False
        self._check: Callable[[], object] = list  # none yet
        self.runtime = SimRuntime(
            strategy=self._order, observer=self._races, exception_handler=_collected
        )

    def settle(self, seed: int = 0) -> None:
        """Let everything happen that can, in an order drawn from a seed; 0: all in turn.

        Raises:
            Raced: two accesses raced.
            Exception: what a rule raised.

        """
        self._failed = True  # until it is seen that it has not
        self._order.now = make_strategy("random", seed, length=0) if seed else Fifo()
        try:
            self.runtime.settle()
        finally:
            self._order.now = Fifo()
        if self.runtime.failures:
            raise self.runtime.failures[0]
        for future in self.runtime.futures:
            if future.done() and not future.asked and not future.cancelled():
                error = future.exception(0)
                if error is not None:
                    raise error
        if self._races.races:
            raise Raced(self._races.races[0].explain())
        self._failed = False
        self._resting = True

    @stateful.rule(seed=st.integers(0, LARGEST_SEED))
    @stateful.precondition(lambda self: not self._resting)
    def settle_in_some_order(self, seed: int) -> None:
        """Settle; Hypothesis draws when, and the order."""
        self.settle(seed)

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        """Check them, but only at rest."""
        self._check = functools.partial(super().check_invariants, *args, **kwargs)
        if self._resting:
            self._check()

    def teardown(self) -> None:
        """Settle, and look at what is left."""
        try:
            if self._failed:
                return  # with the error that Hypothesis has seen
            if not self._resting:
                self.settle()
                self._check()
            refuse_leftovers(self.runtime)
        finally:
            self.runtime.discard()


class _Order:
    """Posts run nothing; what runs while the machine settles is up to a strategy drawn for it."""

    now: Strategy = Fifo()

    def choose(self, options: Sequence[Any]) -> int:
        return self.now.choose(options)

    def interrupt(self, options: Sequence[Any]) -> int:
        return self.now.interrupt(options)


def _collected(_error: BaseException) -> None:
    """The runtime keeps failures; settling raises them."""
