"""Runs what the documentation shows: fenced Python blocks of pages, and whole example scripts.

A block that begins with ```python is a program of its own and must end without an error. One that
can't run (it needs a server, it is a fragment) says so: ```python no-run. A block that begins with
```text output, next after a program, is what that program must print.

The programs of a page lie in one folder. ```python file=shop.py gives a program a name, so that
those after it can import it. ```python test=test_shop.py is a module of tests for pytest; they must
pass, unless ```text fails comes next: then they must fail, and what pytest says must have the lines
shown, in that order.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from itertools import zip_longest
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 120.0
# An environment that was made before the package had its plugin for pytest is told of it.
INSTALLED = any(found.name == "colorsched" for found in entry_points(group="pytest11"))
PLUGIN = [] if INSTALLED else ["-p", "colorsched_pytest"]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@frozen
class Program:
    """A runnable block of a page.

    Attributes:
        where: page and line.
        text: the block.
        name: of its file; None: it needs none.
        tests: whether it is pytest that runs it.
        output: what it must print.
        fails: lines that pytest must say when it fails.

    """

    where: str
    text: str
    name: str | None = None
    tests: bool = False
    output: str | None = None
    fails: str | None = None


def programs(page: Path) -> Iterator[Program]:
    """Yield the runnable blocks of a Markdown page, each with the output shown after it.

    Raises:
        AssertionError: A Python block is marked in a way that is not known, and would never run.
    """
    source = page.read_text("utf-8")
    blocks = list(FENCE.finditer(source))
    for block, following in zip_longest(blocks, blocks[1:]):
        line = source.count("\n", 0, block.start("text")) + 1
        where = f"{page.name}:{line}"
        language, *marks = block["info"].split() or [""]
        mark = marks[0] if len(marks) == 1 else ""
        kind, _, name = mark.partition("=")
        named = kind in {"file", "test"} and name.endswith(".py")
        if language == "python" and (not marks or named):
            shown = () if following is None else tuple(following["info"].split())
            text = "" if following is None else following["text"]
            yield Program(
                where,
                block["text"],
                name or None,
                kind == "test",
                text if shown == ("text", "output") else None,
                text if shown == ("text", "fails") else None,
            )
        elif language.startswith("py"):
            known = language == "python" and marks == ["no-run"]
            assert known, f"{where}: {block['info']!r} is neither run nor marked no-run"


def run_script(path: Path) -> str:
    """Run a script in an interpreter of its own, warnings being errors; return what it printed.

    Raises:
        AssertionError: It failed, or did not end; the text has its output.
    """
    done = run([sys.executable, "-B", "-W", "error", str(path)], path)
    assert done.returncode == 0, f"{path.name} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def run_tests(path: Path, fails: str | None) -> None:
    """Run a module of tests with pytest.

    Raises:
        AssertionError: They failed; or they did not, or not in the way that ``fails`` shows.
    """
    pytest = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = run([*pytest, *PLUGIN, path.name], path)
    if fails is None:
        assert done.returncode == 0, f"{path.name} failed:\n{done.stdout}{done.stderr}"
        return
    assert done.returncode == 1, f"{path.name} did not fail as shown:\n{done.stdout}{done.stderr}"
    said = iter(done.stdout.splitlines())
    for line in fails.splitlines():
        found = any(line.split() == other.split() for other in said)
        assert found, f"{path.name} does not say {line!r}, or not there:\n{done.stdout}"


def run(command: list[str], path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command beside the script at ``path``, whose folder is left out of what it prints.

    Raises:
        AssertionError: It did not end.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, cwd=path.parent, check=False
        )
    except subprocess.TimeoutExpired as hung:
        raise AssertionError(f"{path.name} did not end in {SECONDS:g} s: {hung.stdout!r}") from hung
    done.stdout = done.stdout.replace(f"{path.parent}/", "")
    return done


def run_page(page: Path, scratch: Path) -> int:
    """Run all programs of a page from a scratch folder; return how many there were.

    Raises:
        AssertionError: One of them failed or printed something else than the page shows.
    """
    number = 0
    for number, program in enumerate(programs(page), start=1):
        script = scratch / (program.name or f"{page.stem}_{number}.py")
        script.write_text(program.text, "utf-8")
        try:
            if program.tests:
                run_tests(script, program.fails)
                continue
            printed = run_script(script)
        except AssertionError as error:
            raise AssertionError(f"{program.where}: {error}") from error
        if program.output is not None:
            assert printed == program.output, f"{program.where} prints otherwise than shown"
    return number
