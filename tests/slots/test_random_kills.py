"""Slots killed at random, over and over: every callback is accounted for, and order is kept.

Who is killed when is drawn beforehand and decided by how many callbacks have come back, not by
time. What was under way at that moment is up to the machine; what must hold is the same in any
case.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from attrs import Factory, define

import slot_functions
from colorsched import DeadLetter, Retry, Runtime, WorkerLost
from support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

SEED = 20_240_229

#: So many callbacks are posted ahead, at most.
AHEAD = 4000


@define
class Account:
    """What became of each callback, by color, in the order in which it was told."""

    kill_every: int
    rolls: random.Random
    pids: Any = None
    """Gives the processes that there are now."""
    told: dict[int, list[tuple[int, Any]]] = Factory(lambda: defaultdict(list))
    """Of each color: number and outcome. Done-callbacks run in the color, so no lock is needed."""
    letters: list[tuple[Any, int]] = Factory(list)
    room: threading.Semaphore = Factory(lambda: threading.Semaphore(AHEAD))
    killed: int = 0
    _count: int = 0
    _lock: threading.Lock = Factory(threading.Lock)

    def note(self, key: int, number: int, future: Future[Any]) -> None:
        error = future.exception(0)
        self.told[key].append((number, error if error is not None else future.result(0)))
        self.room.release()
        with self._lock:
            self._count += 1
            if self._count % self.kill_every:
                return
            victim = self.rolls.choice(self.pids())
            self.killed += 1
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)

    def note_letter(self, letter: DeadLetter) -> None:
        self.letters.append((letter.key, letter.args[2]))


def play(path: Path, callbacks: int, colors: int, kills: int, retry: int | None) -> Account:
    """Post so many callbacks to so many colors, at random, while slots are killed."""
    rolls = random.Random(SEED)
    account = Account(-(-callbacks // (kills + 1)), random.Random(SEED + 1))
    policy = None if retry is None else Retry(retry, account.note_letter)
    numbers: dict[int, int] = defaultdict(int)
    with Runtime(executor="processes", workers=2, retry=policy) as rt:
        engines: Any = rt._slots._lanes._lanes  # type: ignore[union-attr]  # it has slots
        account.pids = lambda: [lane.pid for lane in list(engines.values())]
        for _ in range(callbacks):
            assert account.room.acquire(timeout=2 * PATIENCE_SECONDS), f"stuck: {rt.stats()}"
            key = rolls.randrange(colors)
            number = numbers[key]
            numbers[key] += 1
            future = rt.color(key).submit(slot_functions.step, str(path), key, number)
            future.add_done_callback(
                lambda future, key=key, number=number: account.note(key, number, future)  # type: ignore[misc]  # bound
            )
        assert rt.drain(4 * PATIENCE_SECONDS), f"stuck: {rt.stats()}"
        assert rt.stats().lost > kills / 4, "hardly anything was lost"
    assert sum(map(len, account.told.values())) == callbacks
    for key, told in account.told.items():
        check(key, numbers[key], told)
    check_written(path, account, 1 if retry is None else retry + 1)
    return account


def check(key: int, count: int, told: list[tuple[int, Any]]) -> None:
    """All of a color were told, in order; and what ran is what that order says."""
    assert [number for number, _ in told] == list(range(count)), f"{key}: not told in order"
    place: str | None = None
    last = -1
    for number, outcome in told:
        if isinstance(outcome, WorkerLost):
            continue
        ran, where, before, steps = outcome
        assert ran == number
        if where == place:
            # Nothing of this color ran in between, but what was told of.
            assert before == last, f"{key}: {before} ran before {number}, and {last} was told of"
        else:
            # A new life of its state: who ran before in this one would have been told of.
            assert (before, steps) == (-1, 1), f"{key}: {before} ran before {number}, unseen"
            place = where
        last = number


def check_written(path: Path, account: Account, most: int) -> None:
    """What callbacks wrote when they began: how often each did, and in which order."""
    written: dict[int, list[int]] = defaultdict(list)
    for line in path.read_text("utf-8").splitlines():
        of, which = line.split()
        written[int(of)].append(int(which))
    for key, told in account.told.items():
        times = Counter(written[key])
        ran = {number for number, outcome in told if not isinstance(outcome, WorkerLost)}
        assert ran <= set(times), f"{key}: was told of what never ran"
        assert max(times.values()) <= most, f"{key}: ran too often"
        if most == 1:
            assert written[key] == sorted(written[key]), f"{key}: ran out of order"


def lost(account: Account) -> list[tuple[int, int]]:
    return [
        (key, number)
        for key, told in account.told.items()
        for number, outcome in told
        if isinstance(outcome, WorkerLost)
    ]


def test_some_at_most_once(tmp_path: Path) -> None:
    account = play(tmp_path / "written", 3000, 60, 6, None)
    assert account.killed == 6
    assert account.letters == []
    assert len(lost(account)) < 3000 / 2


def test_some_with_retries(tmp_path: Path) -> None:
    account = play(tmp_path / "written", 3000, 60, 6, 3)
    assert sorted(account.letters) == sorted(lost(account))
    assert len(account.letters) < 10, "hardly any is killed four times by chance"


@pytest.mark.slow
def test_many_at_most_once(tmp_path: Path) -> None:
    account = play(tmp_path / "written", 100_000, 300, 60, None)
    assert account.killed == 60
    assert len(lost(account)) < 60 * 600, "more were lost than were under way"


@pytest.mark.slow
def test_many_with_retries(tmp_path: Path) -> None:
    account = play(tmp_path / "written", 100_000, 300, 60, 3)
    assert sorted(account.letters) == sorted(lost(account))
    assert len(account.letters) < 100
