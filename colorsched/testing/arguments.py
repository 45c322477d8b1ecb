"""What the kit's entry points are given, checked before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from colorsched.testing.faults import Faults
from colorsched.testing.properties import Property

if TYPE_CHECKING:
    from collections.abc import Callable


def check_main(main: object) -> None:
    """Refuse what is no program.

    Raises:
        TypeError: it cannot be called with a runtime.

    """
    if inspect.iscoroutine(main):
        main.close()
        raise TypeError("main is a coroutine: pass the async function itself, without calling it")
    if not callable(main):
        raise TypeError(f"main must be a function that takes a runtime, not {main!r}")
    try:
        inspect.signature(main).bind(object())
    except TypeError as error:
        name = getattr(main, "__qualname__", repr(main))
        raise TypeError(f"main must take one argument, the runtime; {name}: {error}") from None
    except ValueError:
        return  # a built-in without a signature: it will say so itself


def check_count(name: str, value: object, *, least: int = 1) -> None:
    """Refuse what is no count.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is too small.

    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def check_conditions(properties: Any, faults: object, expect: object = ()) -> None:
    """Refuse properties, faults and labels that are none.

    Raises:
        TypeError: one of them is something else.

    """
    if isinstance(properties, Property) or not isinstance(properties, Iterable):
        raise TypeError(f"properties takes several: properties=[always(...)], not {properties!r}")
    for wanted in properties if isinstance(properties, list | tuple) else ():
        if not isinstance(wanted, Property):
            raise TypeError(
                f"a property is made by always, eventually, never_overlap, happens_before or "
                f"linearized; this is none: {wanted!r}"
            )
    if faults is not None and not isinstance(faults, Faults):
        raise TypeError(f"faults must be Faults(...), not {faults!r}")
    if isinstance(expect, str):
        raise TypeError(f"expect takes several labels: expect=[{expect!r}]")


def check_result(result: object) -> Callable[[], Any] | None:
    """The check that main returned, if it returned one.

    Raises:
        TypeError: it returned a plain value, as ``return check()`` does.

    """
    if isinstance(result, bool | int | float | str):
        raise TypeError(
            f"main returned {result!r}; it may return a check, a function that is called at the "
            "end: return check, without calling it"
        )
    return result if callable(result) else None
