"""From what ``benchmarks.workloads.calibrating`` measured to the costs of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from benchmarks.children import Case, take_turns
from benchmarks.simulation.costs import Costs, SlotCosts
from colorsched.core.policy import CALLBACKS_PER_TURN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.children import Outcome
    from benchmarks.machine import Interpreter
    from benchmarks.settings import Settings

FEW_COLORS = 4
MANY_COLORS = 5_000
BATCH = 512
ITERATIONS = 5_000


@frozen(kw_only=True)
class Calibration:
    """What one interpreter on this machine costs."""

    costs: Costs
    slots: SlotCosts | None
    """None where the parent has no GIL: that is not modeled."""
    crowding: float
    """How many times longer plain work takes while a second process computes, too."""
    iteration: float
    """Seconds that one iteration of the spinning loop takes."""


def calibrate(settings: Settings, interpreter: Interpreter, *, cores: int) -> Calibration:
    """Measure every cost in fresh processes, and take the quickest: neighbors only slow.

    Raises:
        RuntimeError: if one of the measurements failed.
    """
    count = settings.pick(full=100_000, quick=30_000)
    filled, chains = "calibrating:filled", "chains:colorsched"
    threads = 2 if cores > 1 and not interpreter.gil else 1
    chain = {"callbacks": 2 * count, "chains": 100}
    work = {"callbacks": 400, "iterations": ITERATIONS}
    piece = {"count": settings.pick(full=2_000, quick=500), "iterations": ITERATIONS}
    few = {"colors": FEW_COLORS, "each": count // FEW_COLORS}
    cases = [
        Case("few colors", filled, few),
        Case("few colors, more posters", filled, {**few, "posters": threads}),
        Case("many colors", filled, {"colors": MANY_COLORS, "each": 1}),
        Case("chains", chains, chain),
        Case("chains, more workers", chains, {**chain, "workers": threads}),
        Case("plain work", "spinning:plain_threads", {**work, "workers": 1}),
        Case("a piece alone", "spinning:crowded", {**piece, "processes": 1}),
        Case("a piece of two", "spinning:crowded", {**piece, "processes": 2}),
        Case("wakes", "calibrating:wakes", {"times": settings.pick(full=200, quick=50)}),
        Case("steps", "calibrating:steps"),
        Case("handoff", "calibrating:handoff", {"times": settings.pick(full=5_000, quick=1_000)}),
        Case("one object", "calibrating:one_object", {"times": 10 * count, "threads": threads}),
        Case("descriptors", "calibrating:descriptors", {"count": 400}),
    ]
    if interpreter.gil:
        cases += _slot_cases(count)
    outcomes = take_turns(interpreter, settings.dependencies, cases, rounds=settings.rounds)
    for outcome in outcomes.values():
        if outcome.absent is not None:
            raise RuntimeError(f"calibration: {outcome.case.label} {outcome.absent}")
    return costs_of(Measured(outcomes), gil=interpreter.gil, threads=threads)


def _slot_cases(count: int) -> list[Case]:
    steps = "calibrating_slots"
    few = {"colors": FEW_COLORS, "each": count // FEW_COLORS}
    return [
        Case("slots, few colors", f"{steps}:filled", few),
        Case("slots, many colors", f"{steps}:filled", {"colors": MANY_COLORS, "each": 1}),
        Case("single batches", f"{steps}:lane", {"batch": 1, "batches": count // 50}),
        Case("full batches", f"{steps}:lane", {"batch": BATCH, "batches": count // 500}),
        Case("looks", f"{steps}:looks"),
    ]


class Measured:
    """The quickest of what was measured."""

    def __init__(self, outcomes: Mapping[str, Outcome]) -> None:
        self._answers: dict[str, list[dict[str, Any]]] = {
            label: outcome.answers for label, outcome in outcomes.items()
        }

    def value(self, label: str, name: str) -> float:
        """The least of one of the figures."""
        return min(float(answer[name]) for answer in self._answers[label])

    def each(self, label: str, name: str = "seconds") -> float:
        """The least seconds for one unit of work."""
        return min(float(answer[name]) / float(answer["count"]) for answer in self._answers[label])


def costs_of(measured: Measured, *, gil: bool, threads: int) -> Calibration:
    """Take the parts out of what was measured together.

    A callback of a full turn costs its own part and a small share of the turn's, one that is alone
    in its turn all of it; so two measurements give the two costs. What can't be below zero is
    not, though noise may have it so.
    """
    value, each = measured.value, measured.each
    full, alone = each("few colors"), each("many colors")
    turn = max(0.0, alone - full) * CALLBACKS_PER_TURN / (CALLBACKS_PER_TURN - 1)
    callback = max(0.0, full - turn / CALLBACKS_PER_TURN)
    post = value("few colors", "posting")
    ready = max(0.0, value("many colors", "posting") - post)
    chain = each("chains")
    crowding = max(1.0, each("a piece of two") / each("a piece alone"))
    sharing = max(0.0, threads * each("chains, more workers") - crowding * chain)
    more_posters = value("few colors, more posters", "posting")
    handoff = each("handoff")
    costs = Costs(
        gil=gil,
        interval=value("handoff", "interval"),
        switch=handoff if gil else 0.0,
        post=post,
        ready=ready,
        post_inside=max(0.0, chain - full),
        turn=turn,
        callback=callback,
        handoff=handoff,
        unpark=max(0.0, value("wakes", "post") - post - ready),
        wake=max(0.0, value("wakes", "wake") - value("wakes", "post")),
        poll=value("descriptors", "look"),
        deliver=each("descriptors"),
        sharing=sharing if threads > 1 else 0.0,
        post_sharing=max(0.0, more_posters - crowding * post) if threads > 1 else 0.0,
        line=each("one object") if threads > 1 else 0.0,
        **{
            name: value("steps", name)
            for name in ("lap", "look", "seek", "steal", "lock", "lock_look", "doze", "spin")
        },
    )
    return Calibration(
        costs=costs,
        slots=slot_costs_of(measured, costs) if gil else None,
        crowding=crowding,
        iteration=each("plain work") / ITERATIONS,
    )


def slot_costs_of(measured: Measured, costs: Costs) -> SlotCosts:
    """The same for slots: batches of one callback and full ones give the part of each.

    The slot's own thread makes the batches here. What it does besides is what it does with a batch
    that is made beforehand, but for sending it. The worker takes each color twice, to hand it over
    and to settle its batch; that is not told apart, and counted half and half.
    """
    value, each = measured.value, measured.each
    single, full = "single batches", "full batches"
    many, few = "slots, many colors", "slots, few colors"
    share = value(few, "batches") / value(few, "count")

    def in_parent(thread: str) -> tuple[float, float]:
        alone = value(many, thread)
        rest = max(0.0, value(few, thread) - share * alone) / (1 - share)
        return max(0.0, alone - rest), rest

    def on_the_way(name: str) -> tuple[float, float]:
        alone = value(single, name)
        rest = max(0.0, value(full, name) - alone) / (BATCH - 1)
        return max(0.0, alone - rest), rest

    worker, settle_each = in_parent("worker")
    lane, lane_each = in_parent("lane")
    there, there_each = on_the_way("there")
    both, both_each = on_the_way("all")
    carry, carry_each = max(0.0, both - there), max(0.0, both_each - there_each)
    away = each(single) - value(single, "all")
    callback = max(0.0, each(full) - value(full, "all") - away) / (BATCH - 1)
    post = value(few, "posting")
    return SlotCosts(
        interval=costs.interval,
        switch=costs.switch,
        unpark=costs.unpark,
        wake=costs.wake,
        relax=costs.spin,
        post=post,
        ready=max(0.0, value(many, "posting") - post),
        send=max(0.0, lane - carry),
        send_each=max(0.0, lane_each - carry_each),
        carry=carry,
        carry_each=carry_each,
        hand_over=worker / 2,
        settle=worker / 2,
        settle_each=settle_each,
        enter_look=value("looks", "enter"),
        steal_look=value("looks", "steal"),
        trip=max(0.0, away - callback),
        callback=callback,
    )
