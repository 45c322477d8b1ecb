"""What a program promises for the whole of a run: always, eventually, and in which order.

A property is a description; each run watches it with a state of its own. It is handed to
``explore(main, properties=[...])``, or to ``promise`` inside the program, where it can speak of
what the program has just made, or to ``Promises``, beside a ``SimRuntime`` of one's own.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from colorsched.current import current_runtime
from colorsched.errors import NoRuntime
from colorsched.events import Observer
from colorsched.ports import here
from colorsched.testing.callees import label_of
from colorsched.testing.errors import CannotSimulate, NeedsWatching, TestingError
from colorsched.testing.observers import Observers
from colorsched.testing.simruntime import SimRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from colorsched.events import Ticket


class PropertyBroken(TestingError, AssertionError):
    """A run did not keep what a property says.

    Attributes:
        name: of the property.
        after: the callback at whose end that showed, such as ``red#3 load``; None: at the end.

    """

    def __init__(self, name: str, what: str, after: str | None) -> None:
        self.name = name
        self.after = after
        super().__init__(f"{name}: {what}")


class NeedsObserver(CannotSimulate):
    """A promise in a run that nobody observes."""


class Watch(Observer):
    """Watches one property in one run."""

    broken: Exception | None = None

    def __init__(self, name: str) -> None:
        self.name = name

    def over(self) -> None:
        """The run has come to its end."""

    def breaks(self, what: str, ticket: Ticket | None, cause: Exception | None = None) -> None:
        """The property is broken; only the first time counts."""
        if self.broken is None:
            after = None if ticket is None else label_of(ticket)
            self.broken = PropertyBroken(self.name, what, after)
            self.broken.__cause__ = cause


@frozen
class Property:
    """What ``always`` and its kin return.

    Attributes:
        name: what reports call it.
        watch: makes the watch of one run, of the name and the virtual time at which it begins.

    """

    name: str
    watch: Callable[[str, float], Watch]


class Promises(Observers):
    """The observer that watches properties.

    ``explore`` has one for each run. With a ``SimRuntime`` of your own::

        with Promises(always(in_balance)) as promises, SimRuntime(observer=promises) as rt:
            ...

    The end of the block raises what was broken. For one thread only, as a ``SimRuntime`` is.

    Args:
        properties: hold from the beginning.
        beside: other observers, told before the properties look.

    """

    def __init__(self, *properties: Property, beside: Iterable[Observer] = ()) -> None:
        super().__init__(beside)
        self.labels: dict[str, bool] = {}
        """What ``sometimes`` has said: whether it ever held, by its label."""
        self._watches: list[Watch] = []
        for each in properties:
            self.promise(each, since=0.0)

    def promise(self, promised: Property, *, since: float) -> None:
        """Watch one more from now on, the virtual time ``since``."""
        watch = promised.watch(promised.name, since)
        self._watches.append(watch)
        self.add(watch)

    def over(self) -> None:
        """Let every property have its last look, as the run has come to its end."""
        for watch in self._watches:
            watch.over()

    @property
    def broken(self) -> Exception | None:
        """What was broken, of the property that was promised first."""
        return next((x.broken for x in self._watches if x.broken is not None), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.over()
        if self.broken is not None and (error is None or isinstance(error, Exception)):
            raise self.broken


def promise(*properties: Property) -> None:
    """Promise properties from now on, inside the program that is tested.

    In ``main(rt)`` they hold for the whole run. In a callback they begin there, and there
    ``eventually`` begins to count.

    Raises:
        NeedsObserver: nobody watches this run.
        NoRuntime: no runtime is current.

    Example::

        def main(rt):
            bank = Bank()
            promise(always(lambda: bank.total() == 100))
            ...

    """
    rt = current_runtime()
    promises = rt._shared.observer
    if not isinstance(promises, Promises):
        if isinstance(rt, SimRuntime) and rt.promises is not None:
            rt.begin_again(NeedsWatching())
        raise NeedsObserver(
            "nobody watches this run: use explore(), or make the runtime with an observer: "
            "with Promises() as promises, SimRuntime(observer=promises) as rt"
        )
    for each in properties:
        promises.promise(each, since=rt.time())


def sometimes(label: str, held: object = True) -> None:  # noqa: FBT002 - sometimes("label", x > 3) reads as it is meant
    """Say that this place is reached, or that ``held`` is true here, under some schedule.

    ``explore`` fails if it never was: a test that never got there has shown nothing about it. Of a
    place that was not reached at all nobody knows, so name it: ``explore(..., expect=["label"])``.
    In a run that nobody watches this does nothing.

    Raises:
        TypeError: the label is no text.

    Example::

        if cache.is_full():
            sometimes("evicts")

    """
    if not isinstance(label, str):
        raise TypeError(f'sometimes({label!r}): the label comes first: sometimes("label", held)')
    try:
        rt = current_runtime()
    except NoRuntime:
        return
    promises = rt._shared.observer
    if promises is None and isinstance(rt, SimRuntime):
        promises = rt.promises
    if isinstance(promises, Promises):
        promises.labels[label] = promises.labels.get(label, False) or bool(held)


# -- always and eventually ----------------------------------------------------------------------


def always(predicate: Callable[[], object], *, name: str | None = None) -> Property:
    """``predicate()`` is true after every step: after every callback, up to its next await.

    It may also raise, to say more. What it reads of shared objects counts as no access.

    Raises:
        TypeError: the predicate cannot be called.

    Example::

        explore(main, properties=[always(lambda: bank.total() == 100)])

    """
    title = name or f"always({title_of(predicate)})"
    return Property(title, lambda name, _since: _Always(name, predicate))


def eventually(
    predicate: Callable[[], object],
    *,
    within: float | None = None,
    steps: int | None = None,
    name: str | None = None,
) -> Property:
    """``predicate()`` becomes true, if only for once: by the end of the run, or earlier.

    Args:
        predicate: looked at after every step, as of ``always``.
        within: so many seconds of virtual time.
        steps: so many steps.
        name: for reports.

    Raises:
        TypeError: the predicate cannot be called.
        ValueError: a limit is not positive.

    Example::

        promise(eventually(lambda: order.shipped, within=5))

    """
    for what, limit in (("within", within), ("steps", steps)):
        if limit is not None and not limit > 0:
            raise ValueError(f"{what} must be positive, not {limit!r}")
    title = name or f"eventually({title_of(predicate)})"
    return Property(title, lambda name, since: _Eventually(name, predicate, since, within, steps))


class _Always(Watch):
    def __init__(self, name: str, predicate: Callable[[], object]) -> None:
        super().__init__(name)
        self._predicate = predicate

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        if ticket.kind != "dispatch":  # a part of the step that dispatched it
            self._look(ticket)

    def over(self) -> None:
        self._look(None)

    def _look(self, ticket: Ticket | None) -> None:
        if self.broken is not None:
            return
        when = "at the end" if ticket is None else f"after {label_of(ticket)}"
        try:
            with _unseen():
                held = self._predicate()
        except Exception as error:  # noqa: BLE001 - a predicate says no by raising, too
            self.breaks(f"does not hold {when}: {_told(error)}", ticket, error)
        else:
            if not held:
                self.breaks(f"does not hold {when}", ticket)


class _Eventually(Watch):
    def __init__(
        self,
        name: str,
        predicate: Callable[[], object],
        since: float,
        within: float | None,
        steps: int | None,
    ) -> None:
        super().__init__(name)
        self._predicate = predicate
        self._since = since
        self._within = within
        self._most = steps
        self._steps = 0
        self._done = False

    def ended(self, ticket: Ticket, error: BaseException | None) -> None:
        if self._done or ticket.kind == "dispatch":
            return
        self._steps += 1
        if self._within is not None and current_runtime().time() > self._since + self._within:
            self._fail(f"it did not become true within {self._within:g} s", ticket)
        elif self._holds(ticket):
            self._done = True
        elif self._steps == self._most:
            self._fail(f"it did not become true within {self._most} steps", ticket)

    def over(self) -> None:
        if not self._done and not self._holds(None):
            self._fail("it did not become true by the end of the run", None)

    def _holds(self, ticket: Ticket | None) -> bool:
        try:
            with _unseen():
                return bool(self._predicate())
        except AssertionError:
            return False
        except Exception as error:  # noqa: BLE001 - not a "not yet": the predicate is broken
            self._done = True
            self.breaks(f"could not be looked at: {_told(error)}", ticket, error)
            return False

    def _fail(self, what: str, ticket: Ticket | None) -> None:
        self._done = True
        self.breaks(what, ticket)


# -- help ---------------------------------------------------------------------------------------


@contextmanager
def _unseen() -> Iterator[None]:
    """What a predicate reads is no access of the callback that has just run."""
    ticket, here.ticket = here.ticket, None
    try:
        yield
    finally:
        here.ticket = ticket


def _told(error: Exception) -> str:
    text = str(error)
    return text if text and isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def title_of(part: Any) -> str:
    """A function or a color's key, as the names of properties have it."""
    if not callable(part):
        return repr(part)
    name: str = getattr(part, "__qualname__", type(part).__qualname__)
    name = name.rpartition("<locals>.")[2]
    code = getattr(part, "__code__", None)
    if name == "<lambda>" and code is not None:
        return f"{PurePath(code.co_filename).name}:{code.co_firstlineno}"
    return name
