"""The reference has every public name, with its real signature, and the real fairness bound."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import colorsched
from colorsched import Color, ColorFuture, Handle, Runtime
from colorsched.core.policy import fairness_bound
from colorsched.events import Stats

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "reference/api.md").read_text("utf-8")
HEADING = re.compile(r"^### `([\w.]+)(\(.*\))?`$", re.MULTILINE)
SHOWN = dict(HEADING.findall(PAGE))
CLASSES = {cls.__name__: cls for cls in (Runtime, Color, Handle, ColorFuture)}

# Public to the scheduler, not to users.
SCHEDULERS = {
    "claim", "future_type", "home", "inner", "is_idle", "make_aside", "needs", "pending",
    "post_handle", "post_inner", "release", "runnable", "running_loop", "subject", "travels",
}  # fmt: skip


def plain(function: object) -> str:
    """Return a signature as the page shows it: without annotations and self."""
    signature = inspect.signature(function)  # type: ignore[arg-type]  # asked of callables only
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    text = str(inspect.Signature(parameters))
    # Without self, a marker of what is positional-only would be left alone in front.
    return text.replace("(/, ", "(")


def own(cls: type) -> set[str]:
    """Return the public names that colorsched itself defines on a class."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith("colorsched")
        for name in vars(base)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("name", colorsched.__all__)
def test_every_name_of_the_facade_is_explained(name: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert f"`{name}" in prose


@pytest.mark.parametrize("cls", CLASSES.values())
def test_every_method_has_its_heading(cls: type) -> None:
    mine = own(cls) - SCHEDULERS - {"key"}
    shown = {name.partition(".")[2] for name in SHOWN if name.startswith(f"{cls.__name__}.")}
    missing = mine - shown
    assert not missing, f"give it a heading in api.md, or an underscore: {missing}"
    assert shown - mine == ({"map"} if cls is Color else set())


# Executor's own, which has one parameter more from CPython 3.14 on.
@pytest.mark.parametrize("heading", sorted(SHOWN.keys() - {"Color.map"}))
def test_the_signature_is_the_real_one(heading: str) -> None:
    first, _, rest = heading.partition(".")
    found = getattr(colorsched, first)
    if rest:
        found = inspect.getattr_static(CLASSES[first], rest)
    expected = plain(found) if callable(found) else ""
    assert SHOWN[heading] == expected


def test_every_field_of_stats_is_explained() -> None:
    table = PAGE.partition("### `Runtime.stats()`")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {
        field.name for field in Stats.__attrs_attrs__
    }


@pytest.mark.parametrize("page", ["reference/contract.md", "explanation/turns.md"])
def test_the_fairness_bound_is_the_published_one(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert f"more than {fairness_bound(1)} turns for each worker thread" in text
    assert all(fairness_bound(workers) == workers * fairness_bound(1) for workers in range(1, 65))
