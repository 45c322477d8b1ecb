"""Where callbacks run, as ``Runtime(executor=...)`` and its options say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from colorsched.executors.slots.engines import GivenLanes, slots, usable_cores
from colorsched.executors.slots.jobs import checked_retry
from colorsched.executors.slots.travel import travel_by

if TYPE_CHECKING:
    from colorsched.executors.slots.engines import Engine
    from colorsched.executors.slots.jobs import Retry
    from colorsched.executors.slots.travel import Travel


@frozen
class Placing:
    """How a runtime with slots is to be made."""

    engine: Engine
    travel: Travel
    retry: Retry | None


def placing_for(
    executor: str | slots,
    count: int | None,
    *,
    address: str | None,
    travel: str | None,
    retry: Retry | None,
) -> Placing | None:
    """What ``Runtime``'s options ask for; None if callbacks run on threads alone.

    Raises:
        ValueError: an option that is not for this executor.
        TypeError: ``retry`` is no ``Retry``.
        NoSlots: the executor cannot be had on this interpreter.

    """
    check_executor(executor)
    if executor == "threads":
        _no_address(address, executor)
        for name, value in (("travel", travel), ("retry", retry)):
            if value is not None:
                raise ValueError(
                    f"{name}={value!r} is for slots: give executor='processes', or another one"
                )
        return None
    checked_retry(retry)
    if travel == "reference" and not isinstance(executor, slots):
        raise ValueError(
            f"travel='reference' is for slots([...]) in this process, not for executor={executor!r}"
        )
    way = None if travel is None else travel_by(travel)
    engine = engine_for(executor, count, address)
    try:
        return Placing(engine, travel_by(engine.travel) if way is None else way, retry)
    except BaseException:
        engine.close()
        raise


def engine_for(executor: str | slots, count: int | None, address: str | None) -> Engine:
    """The engine that ``executor=`` names, which was checked; so many slots (None: as fits).

    Raises:
        ValueError: an argument that is not for it.
        NoSlots: it cannot be had on this interpreter.

    """
    if isinstance(executor, slots):
        _no_address(address, "slots")
        if count not in {None, len(executor.lanes)}:
            raise ValueError(
                f"workers={count}, and slots() has {len(executor.lanes)}: leave workers out"
            )
        return GivenLanes(executor.lanes)
    if executor == "ray":
        from colorsched.executors.slots.ray import ray_engine

        return ray_engine(count, address)
    _no_address(address, executor)
    if executor == "processes":
        from colorsched.executors.slots.processes import process_engine

        return process_engine(count or usable_cores())
    from colorsched.executors.slots.interpreters import interpreter_engine

    return interpreter_engine(count or usable_cores())


def check_executor(executor: object) -> None:
    """Refuse an executor that there is not.

    Raises:
        ValueError: there is no such executor.

    """
    names = ("threads", "processes", "interpreters", "ray")
    if not isinstance(executor, slots) and executor not in names:
        raise ValueError(
            f"executor={executor!r}: there are {', '.join(map(repr, names))}, and "
            "slots([...]) of your own"
        )


def _no_address(address: str | None, executor: Any) -> None:
    if address is not None:
        raise ValueError(f"address={address!r} is for executor='ray', not for {executor!r}")
