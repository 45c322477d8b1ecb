"""The examples print what their docstrings show."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from pages import run_script

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MARK = "It prints::\n"


def shown(example: Path) -> str | None:
    """Return the output that the docstring shows, or None: what depends on times is not shown."""
    doc = ast.get_docstring(ast.parse(example.read_text("utf-8"))) or ""
    _, mark, output = doc.partition(MARK)
    return textwrap.dedent(output).strip("\n") + "\n" if mark else None


WITH_OUTPUT = [example for example in sorted(EXAMPLES.glob("*.py")) if shown(example)]


@pytest.mark.parametrize("example", WITH_OUTPUT, ids=lambda example: example.stem)
def test_the_output_is_the_one_shown(example: Path) -> None:
    assert run_script(example) == shown(example)


def test_most_examples_show_their_output() -> None:
    assert len(WITH_OUTPUT) * 2 > len(list(EXAMPLES.glob("*.py")))
