"""Runs what the documentation shows: fenced Python blocks of pages, and whole example scripts.

A block that begins with ```python is a program of its own and must end without an error. One that
can't run (it needs a server, it is a fragment) says so: ```python no-run. A block that begins with
```text output, next after a program, is what that program must print.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 120.0
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@frozen
class Program:
    """A runnable block of a page."""

    where: str
    text: str
    output: str | None


def programs(page: Path) -> Iterator[Program]:
    """Yield the runnable blocks of a Markdown page, each with the output shown after it.

    Raises:
        AssertionError: A Python block is marked in a way that is not known, and would never run.
    """
    source = page.read_text("utf-8")
    blocks = list(FENCE.finditer(source))
    for block, following in zip_longest(blocks, blocks[1:]):
        info = block["info"].split()
        line = source.count("\n", 0, block.start("text")) + 1
        known = not info or not info[0].startswith("py") or info == ["python", "no-run"]
        if info == ["python"]:
            shown = following is not None and following["info"].split() == ["text", "output"]
            output = following["text"] if following is not None and shown else None
            yield Program(f"{page.name}:{line}", block["text"], output)
        else:
            assert known, f"{page.name}:{line}: {' '.join(info)!r} is neither run nor marked no-run"


def run_script(path: Path) -> str:
    """Run a script in an interpreter of its own, warnings being errors; return what it printed.

    Raises:
        AssertionError: It failed, or did not end; the text has its output.
    """
    command = [sys.executable, "-W", "error", str(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, cwd=path.parent, check=False
        )
    except subprocess.TimeoutExpired as hung:
        raise AssertionError(f"{path.name} did not end in {SECONDS:g} s: {hung.stdout!r}") from hung
    assert done.returncode == 0, f"{path.name} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def run_page(page: Path, scratch: Path) -> int:
    """Run all programs of a page from a scratch folder; return how many there were.

    Raises:
        AssertionError: One of them failed or printed something else than the page shows.
    """
    number = 0
    for number, program in enumerate(programs(page), start=1):
        script = scratch / f"{page.stem}_{number}.py"
        script.write_text(program.text, "utf-8")
        try:
            printed = run_script(script)
        except AssertionError as error:
            raise AssertionError(f"{program.where}: {error}") from error
        if program.output is not None:
            assert printed == program.output, f"{program.where} prints otherwise than shown"
    return number
