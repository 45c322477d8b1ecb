"""Hand-made streams of a runtime's events, for the observers under test."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from colorsched.events import ADDS, Observer, Ticket
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator


def work() -> None:
    """What the callbacks of a stream would run."""


class Thing:
    """Something shared."""


class Place(NamedTuple):
    """Where in a program an access is."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}, {self.function}"


class Stream:
    """Tells observers what a runtime would, one event after the other.

    Methods that say what a callback does take its ticket first; None is the outside.
    """

    def __init__(self, *observers: Any) -> None:
        self.observers = observers
        self._numbers = count(1)

    @contextmanager
    def _as(self, ticket: Ticket | None) -> Iterator[None]:
        before, here.ticket = here.ticket, ticket
        try:
            yield
        finally:
            here.ticket = before

    def _tell(self, ticket: Ticket | None, event: str, *args: object) -> None:
        with self._as(ticket):
            for observer in self.observers:
                handle = getattr(observer, event, None)
                if handle is not None:
                    handle(*args)

    def _ticket(self, by: Ticket | None, key: Hashable, kind: str) -> Ticket:
        return Ticket(Observer(), next(self._numbers), key, work, kind, by)

    def post(self, by: Ticket | None, key: Hashable, kind: str = "post") -> Ticket:
        ticket = self._ticket(by, key, kind)
        self._tell(by, "posted", ticket)
        return ticket

    def start(self, ticket: Ticket) -> Ticket:
        self._tell(ticket, "started", ticket)
        return ticket

    def end(self, ticket: Ticket) -> None:
        self._tell(ticket, "ended", ticket, None)

    def run(self, by: Ticket | None, key: Hashable, kind: str = "post") -> Ticket:
        """Post and start one."""
        return self.start(self.post(by, key, kind))

    def plan(self, by: Ticket | None, key: Hashable) -> Ticket:
        plan = self._ticket(by, key, "plan")
        self._tell(by, "planned", plan)
        return plan

    def fire(self, plan: Ticket, kind: str = "timer") -> Ticket:
        """Run what was planned, posted by nobody."""
        ticket = self.run(None, plan.key, kind)
        ticket.plan = plan
        self._tell(ticket, "recalled", plan)
        return ticket

    def drop(self, ticket: Ticket) -> None:
        self._tell(None, "dropped", ticket, "cancelled")

    def complete(self, by: Ticket | None, future: object) -> None:
        self._tell(by, "completed", future)

    def join(self, by: Ticket | None, future: object) -> None:
        self._tell(by, "joined", future)

    def release(self, by: Ticket | None, lock: object) -> None:
        self._tell(by, "released", lock)

    def acquire(self, by: Ticket | None, lock: object) -> None:
        self._tell(by, "acquired", lock)

    def settle(self) -> None:
        self._tell(None, "settled")

    def read(self, by: Ticket | None, thing: object, line: int = 0, part: object = "x") -> None:
        self._access(by, thing, part, write=False, line=line)

    def write(self, by: Ticket | None, thing: object, line: int = 0, part: object = "x") -> None:
        self._access(by, thing, part, write=True, line=line)

    def add(self, by: Ticket | None, thing: object, line: int = 0, part: object = "x") -> None:
        self._access(by, thing, part, write=ADDS, line=line)

    def _access(
        self, by: Ticket | None, thing: object, part: object, *, write: int, line: int
    ) -> None:
        site = Place("src/app.py", line, "work")
        self._tell(by, "accessed", by, thing, part, write, f"thing.{part}", site)
