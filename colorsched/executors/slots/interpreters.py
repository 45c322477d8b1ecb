"""Slots that are subinterpreters, each with a lock of its own (CPython 3.14 and later)."""

from __future__ import annotations

import concurrent.futures
import sys
from multiprocessing import spawn
from typing import TYPE_CHECKING, Any

from colorsched.errors import NoSlots
from colorsched.executors.slots.engines import MadeLanes

if TYPE_CHECKING:
    from concurrent.futures import Executor


def interpreter_engine(count: int) -> MadeLanes:
    """So many interpreters.

    Raises:
        NoSlots: this Python cannot do that.

    """
    pool: Any = getattr(concurrent.futures, "InterpreterPoolExecutor", None)
    if pool is None:
        version = ".".join(map(str, sys.version_info[:2]))
        raise NoSlots(
            f"executor='interpreters' needs CPython 3.14 or newer, and this is {version}: "
            "use executor='processes'"
        )
    main = _main()

    def make() -> Executor:
        lane: Executor = pool(
            1, thread_name_prefix="colorsched-slot", initializer=prepare, initargs=(main,)
        )
        return lane

    return MadeLanes([make] * count)


def _main() -> dict[str, Any]:
    """How the main module is found again, as ``multiprocessing`` tells its children."""
    data = spawn.get_preparation_data("colorsched-slot")
    return {
        key: value
        for key, value in data.items()
        if key.startswith("init_main") or key == "sys_path"
    }


def prepare(main: dict[str, Any]) -> None:
    """Make the main module importable, as it is in a process: what it defines travels by name."""
    if "sys_path" in main:
        sys.path[:] = main["sys_path"]
    if "init_main_from_name" in main:
        spawn._fixup_main_from_name(main["init_main_from_name"])  # type: ignore[attr-defined]  # what multiprocessing's children do
    elif "init_main_from_path" in main:
        spawn._fixup_main_from_path(main["init_main_from_path"])  # type: ignore[attr-defined]  # as above
