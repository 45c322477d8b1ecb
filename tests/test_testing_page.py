"""The reference of the testing kit has every name of it, with its real signature."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import colorsched.testing

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "reference/testing.md").read_text("utf-8")
ERRORS = (DOCS / "reference/errors.md").read_text("utf-8")
SHOWN = dict(re.findall(r"^### `([\w.]+)(\(.*\))`$", PAGE, re.MULTILINE))

# Defaults that a signature cannot show as they are written.
NAMED = {
    "<built-in function monotonic_ns>": "time.monotonic_ns",
    "<class 'concurrent.futures._base.CancelledError'>": "concurrent.futures.CancelledError",
}


def plain(function: object) -> str:
    """Return a signature as the page shows it: without annotations."""
    signature = inspect.signature(function)  # type: ignore[arg-type]  # asked of callables only
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    text = str(inspect.Signature(parameters))
    for shown, written in NAMED.items():
        text = text.replace(shown, written)
    return text


@pytest.mark.parametrize("name", colorsched.testing.__all__)
def test_every_name_of_the_kit_is_explained(name: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert f"`{name}" in prose or f"`{name}" in ERRORS


@pytest.mark.parametrize("heading", sorted(SHOWN))
def test_the_signature_is_the_real_one(heading: str) -> None:
    module, _, name = heading.rpartition(".")
    found = getattr(importlib.import_module(module or "colorsched.testing"), name)
    assert SHOWN[heading] == plain(found)


def test_the_import_shown_is_of_every_name() -> None:
    imported = PAGE.partition("from colorsched.testing import (")[2].partition(")")[0]
    assert re.findall(r"\w+", imported) == sorted(colorsched.testing.__all__)


def test_every_error_of_the_kit_is_explained() -> None:
    errors = {
        name
        for name in colorsched.testing.__all__
        if isinstance(found := getattr(colorsched.testing, name), type)
        and issubclass(found, Exception)
    }
    assert {name for name in errors if f"`{name}`" not in ERRORS} == set()
