"""The contract where callbacks share no memory with their posters: they tell what they saw."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from colorsched.core.slots import BATCH_MOST
from colorsched.errors import RuntimeShutdown
from colorsched.runtime import DEFAULT
from colorsched.testing.conformance.checker import ContractError, Point
from colorsched.testing.conformance.harness import COLORS, Harness
from colorsched.testing.conformance.witness import (
    ReportedError,
    Seen,
    leave,
    leave_no_state,
    wait_for,
    witness,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class Reported(Harness):
    """The points of the contract, as far as results can tell them."""

    def _submit(
        self, rt: Any, keys: Sequence[Hashable], **options: Any
    ) -> dict[Hashable, list[Any]]:
        futures: dict[Hashable, list[Any]] = defaultdict(list)
        for number, key in enumerate(keys):
            futures[key].append(rt.color(key).submit(witness, number, **options))
        return futures

    def _check_seen(self, futures: dict[Hashable, list[Any]]) -> None:
        """Each color's callbacks ran alone, in the order submitted."""
        for key, of_key in futures.items():
            turns: dict[Any, count[int]] = defaultdict(count)
            ended: dict[str, float] = {}
            for future in of_key:
                if not future.done():
                    raise ContractError(Point.NOTHING_LOST, f"a callback of {key!r} has no outcome")
                seen: Seen = future.result()
                if not seen.alone:
                    raise ContractError(
                        Point.SERIAL, f"{seen.number} of {key!r} ran beside another one of it"
                    )
                if seen.turn != next(turns[seen.place]):
                    raise ContractError(
                        Point.FIFO, f"{seen.number} of {key!r} did not run in its order: {seen}"
                    )
                if seen.began < ended.get(seen.machine, seen.began):
                    raise ContractError(
                        Point.SERIAL,
                        f"{seen.number} of {key!r} began before the last one had ended: {seen}",
                    )
                ended[seen.machine] = seen.ended

    def test_1_and_2_by_results(self) -> None:
        """Callbacks of a color run one at a time, in order, wherever that is."""
        with self._runtime() as rt:
            futures = self._submit(rt, [("color", n % COLORS) for n in range(300)])
            self._drain(rt)
            self._check_seen(futures)

    def test_2_by_results_while_callbacks_take_their_time(self) -> None:
        """Batches that end by time keep the order, too."""
        with self._runtime() as rt:
            futures = self._submit(rt, [("color", n % 2) for n in range(80)], seconds=0.0005)
            self._drain(rt)
            self._check_seen(futures)

    def test_4_by_results_a_color_that_blocks_delays_no_other(self) -> None:
        """While a color is stuck in its callback, others run elsewhere."""
        if not self.blocking:
            self._skip("blocking")
        with TemporaryDirectory() as folder, self._runtime() as rt:
            path = f"{folder}/go on"
            stuck = rt.color("stuck").submit(wait_for, path, self.patience)
            others = self._submit(rt, [("other", n) for n in range(20)])
            try:
                for of_key in others.values():
                    for future in of_key:
                        future.result(self.patience)
            except TimeoutError as error:
                raise ContractError(
                    Point.INDEPENDENT, "while one color blocks, another one does not run"
                ) from error
            finally:
                Path(path).touch()
            if not stuck.result(self.patience):
                raise ContractError(Point.INDEPENDENT, "a color that blocks delays all others")

    def test_4_by_results_a_color_that_fails_delays_no_other(self) -> None:
        """Errors reach their futures, and the color goes on."""
        with self._runtime() as rt:
            color = rt.color("fails")
            outcomes = [color.submit(witness, n, n % 2 == 1) for n in range(10)]
            self._drain(rt)
            for number, future in enumerate(outcomes):
                error = future.exception(self.patience)
                if isinstance(error, ReportedError) != (number % 2 == 1):
                    raise ContractError(
                        Point.NOTHING_LOST, f"callback {number} has the outcome {future!r}"
                    )

    def test_5_by_results_a_busy_color_lets_another_have_its_turn(self) -> None:
        """Where batches are sent, colors with long queues let one with a short one in."""
        if not self.batches:
            self._skip("batches")
        # Each other color may have a batch under way, one in the lap before it is in its line, and
        # one before it in that line: in the slot that it waits for, which results do not tell. So
        # one slot must be within the bound; another one may be as quick as it is.
        most = 3 * BATCH_MOST * COLORS
        with self._runtime() as rt:
            busy = [rt.color(("busy", n % COLORS)).submit(witness, n) for n in range(4 * most)]
            probe = rt.color("probe").submit(witness, len(busy))
            began = set(_done(busy))  # it is ready: what is done later comes before it
            before: list[int] = []
            probe.add_done_callback(lambda _: before.extend(_done(busy)))
            self._drain(rt)
        counts = Counter(_process(busy[place]) for place in before if place not in began)
        ran = min(counts[process] for process in set(map(_process, busy)))
        if ran > most:
            raise ContractError(Point.FAIR, f"{ran} callbacks ran before that of a ready color")

    def test_6_by_results_an_exit_ends_no_worker(self) -> None:
        """``SystemExit`` is an error like any other."""
        with self._runtime() as rt:
            for number in range(4):
                error = rt.color(number).submit(leave).exception(self.patience)
                if not isinstance(error, SystemExit):
                    raise ContractError(Point.NOTHING_LOST, f"SystemExit came back as {error!r}")
                rt.color(number).submit(witness, number).result(self.patience)

    def test_6_by_results_a_shutdown_says_what_it_dropped(self) -> None:
        """All that was accepted has an outcome, and no more is taken."""
        with self._runtime() as rt:
            futures = [rt.color(n % COLORS).submit(witness, n) for n in range(2000)]
            rt.shutdown(cancel_futures=True)
            left = sum(not future.done() for future in futures)
            if left:
                raise ContractError(Point.NOTHING_LOST, f"{left} futures have no outcome")
            try:
                rt.color(0).submit(witness, 0)
            except RuntimeShutdown:
                return
            raise ContractError(Point.NOTHING_LOST, "a runtime that was shut down took a callback")

    def test_7_by_results_idle_colors_leave_nothing(self) -> None:
        """Colors used once are gone."""
        if not self.forgets:
            self._skip("forgets")
        with self._runtime() as rt:
            self._drain(rt)
            before = rt.stats().colors
            for number in range(50):
                rt.color(("used once", number)).submit(leave_no_state, number)
            self._drain(rt)
            gc.collect()
            [left] = self._left(lambda: rt.stats().colors - before)
        if left:
            raise ContractError(Point.NOTHING_LEFT, f"of 50 colors used once {left} are left")

    def test_8_by_results_the_default_color_is_serial(self) -> None:
        """All that names no color runs as in one loop."""
        with self._runtime() as rt:
            futures = {DEFAULT: [rt.submit(witness, n) for n in range(200)]}
            self._drain(rt)
            self._check_seen(futures)


def _done(futures: Sequence[Any]) -> list[int]:
    """The places of those that are done."""
    return [place for place, future in enumerate(futures) if future.done()]


def _process(future: Any) -> tuple[str, int]:
    """Where a witness has run."""
    seen = future.result()
    return seen.machine, seen.place[0]
