#!/usr/bin/env python3
"""Installs colorsched beside this checkout's sources and runs its tests.

All tests run on the interpreter that starts this script; the quick tier (`-m "not slow"` and few
Hypothesis examples) on every other CPython from 3.11 to 3.15, with and without the GIL, that is
found on PATH or under pyenv, or named with --python. It needs Python 3.11 or newer with pip; the
first run installs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from environments import (
    ROOT,
    Interpreter,
    SetupError,
    clean_environ,
    environment,
    install,
    probe,
    this_interpreter,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TAGS = [
    f"3.{minor}{gil}" for minor in range(11, 16) for gil in ("", "t") if gil == "" or minor > 12
]
QUICK = ("-m", "not slow", "--hypothesis-profile=quick")
# What the tests read besides themselves; the package is not among it.
BESIDE_THE_PACKAGE = (
    "tests",
    "docs",
    "examples",
    "benchmarks",
    "scripts",
    "pyproject.toml",
    "LICENSE",
)


class Outcome(NamedTuple):
    """How the tests ended on one interpreter."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    trouble: str = ""

    @property
    def ok(self) -> bool:
        """Whether tests ran and all went well."""
        return not self.trouble and not self.failed and self.passed > 0

    def __str__(self) -> str:
        """Say it in the words of pytest's own summary."""
        words = f"{self.passed} passed, {self.failed} failed"
        if self.skipped:
            words += f", {self.skipped} skipped"
        return f"{words}; {self.trouble}" if self.trouble else words


def search_path() -> list[Path]:
    """Return the folders where interpreters may lie, those of PATH first."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return [*on_path, *sorted(pyenv.glob("versions/*/bin"), reverse=True)]


def find(tag: str, folders: Iterable[Path]) -> Interpreter | None:
    """Return the first working interpreter of this tag, or None."""
    for folder in folders:
        program = folder / f"python{tag}"
        if os.access(program, os.X_OK):
            try:
                found = probe(str(program))
            except SetupError:  # a pyenv shim of a version that is not switched on, for one
                continue
            if found.tag == tag:
                return found
    return None


def interpreters(known: str, named: Sequence[str], tags: Iterable[str]) -> dict[str, Interpreter]:
    """Return, by tag, the interpreters named and the first one found of each other tag.

    Args:
        known: The tag to leave out.
        named: Programs, by path or name.
        tags: What to search for.

    Raises:
        SetupError: One that is named is not there.
    """
    found: dict[str, Interpreter] = {}
    for name in named:
        path = shutil.which(name)
        if path is None:
            raise SetupError(f"--python {name}: there is no such program")
        interpreter = probe(path)
        found.setdefault(interpreter.tag, interpreter)
    folders = search_path()
    for tag in tags:
        one = None if tag == known or tag in found else find(tag, folders)
        if one:
            found[tag] = one
    return {tag: one for tag, one in found.items() if tag != known}


def count(report: Path) -> Outcome:
    """Read pytest's JUnit report; an outcome in trouble if there is none."""
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - pytest's own file
    except (OSError, ET.ParseError):
        return Outcome(trouble="ended without a report")
    tests, failures, errors, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites)
        for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return Outcome(passed=tests - failed - skipped, failed=failed, skipped=skipped)


def build_wheel(python: Path, folder: Path) -> Path:
    """Build the source archive, and from that the wheel; return the wheel."""
    command: list[str | Path] = [python, "-m", "build", "--outdir", folder, ROOT]
    if subprocess.run(command, stdout=sys.stderr, env=clean_environ(), check=False).returncode:
        raise SetupError("the wheel could not be built; the messages are above")
    return next(folder.glob("*.whl"))


def tests_apart(folder: Path) -> Path:
    """Copy what the tests need, without the package, and return the copy's place."""
    for name in (*BESIDE_THE_PACKAGE, *(page.name for page in ROOT.glob("*.md"))):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder)
    return folder


def prepare(
    interpreter: Interpreter, scratch: Path, *, wheel: bool, extras: Sequence[str]
) -> tuple[Path, Path]:
    """Make an environment for the tests; return its Python and the folder to test in."""
    wanted = ",".join(["test", *extras])
    if not wheel:
        name = wanted.replace(",", "-")
        return environment(name, interpreter, "--editable", f"{ROOT}[{wanted}]"), ROOT
    python = environment("wheel", interpreter, "build")
    built = build_wheel(python, scratch / "dist")
    install(python, interpreter, f"{built}[{wanted}]")
    install(python, interpreter, "--force-reinstall", "--no-deps", str(built))
    place = tests_apart(scratch)
    where = subprocess.run(
        [python, "-c", "import colorsched; print(colorsched.__file__)"],
        cwd=place,
        env=clean_environ(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(where).is_relative_to(python.parent.parent):
        raise SetupError(f"the tests would import {where} instead of the installed wheel")
    return python, place


def run(
    interpreter: Interpreter,
    arguments: Sequence[str],
    *,
    wheel: bool,
    extras: Sequence[str],
    limit: float,
) -> Outcome:
    """Run pytest on one interpreter, its output passed through, and count what it reports."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="colorsched-tests-") as scratch_name:
        scratch = Path(scratch_name)
        report = scratch / "report.xml"
        try:
            python, place = prepare(interpreter, scratch, wheel=wheel, extras=extras)
            status = subprocess.run(
                [python, "-m", "pytest", f"--junit-xml={report}", *arguments],
                cwd=place,
                env=clean_environ(),
                timeout=limit,
                check=False,
            ).returncode
            outcome = count(report)
            if status and outcome.ok:
                outcome = outcome._replace(trouble=f"pytest ended with status {status}")
        except SetupError as error:
            print(error, file=sys.stderr)
            outcome = Outcome(trouble="not set up")
        except subprocess.TimeoutExpired:
            outcome = Outcome(trouble=f"not finished after {limit:g} s")
    return outcome._replace(seconds=time.monotonic() - began)


def table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the rows as lines with aligned columns."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(
            f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
        ).rstrip()


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is not ours is pytest's."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="All other arguments go to pytest, for example: test.py -x -k serial",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="only the quick tier on this interpreter as well")
    add(
        "--others",
        choices=("quick", "full", "none"),
        default="quick",
        help="what to run on the other interpreters that are found (default: the quick tier)",
    )
    add(
        "--python",
        action="append",
        default=[],
        metavar="PATH",
        help="one more interpreter, before those found (may be repeated)",
    )
    add(
        "--require",
        action="append",
        default=[],
        metavar="TAG",
        help="fail if it is not found: 3.14, say, or 3.13t without the GIL (may be repeated)",
    )
    add(
        "--extra",
        action="append",
        default=[],
        metavar="NAME",
        help="install this extra, too, whose tests are skipped without it: ray (may be repeated)",
    )
    add("--wheel", action="store_true", help="test the built wheel in place of the source tree")
    add("--coverage", action="store_true", help="measure branch coverage on this interpreter")
    add("--list", action="store_true", help="show which interpreters would run, and stop")
    add(
        "--limit",
        type=float,
        default=1800.0,
        metavar="SECONDS",
        help="end a run that takes longer on one interpreter (default: 1800)",
    )
    return parser.parse_known_args(arguments)


def rows(
    runs: dict[str, tuple[Interpreter, str]], tags: Iterable[str], outcomes: dict[str, Outcome]
) -> Iterator[Sequence[str]]:
    """Yield the table of interpreters: those that run, with what came of it, and those absent."""
    yield "python", "tests", "result", "interpreter"
    for tag in sorted({*runs, *tags}):
        if tag in runs:
            interpreter, tier = runs[tag]
            outcome = outcomes.get(tag)
            result = f"{outcome}, {outcome.seconds:.0f} s" if outcome else "to run"
            yield tag, tier, result, f"{interpreter.version}, {interpreter.path}"
        else:
            yield tag, "-", "absent", ""


def main() -> int:
    """Run the tests as the command line asks; 0 if all passed on every interpreter."""
    options, passed_on = parse(sys.argv[1:])
    tags = [] if options.others == "none" else TAGS
    try:
        this = this_interpreter()
        others = interpreters(this.tag, options.python, tags)
    except SetupError as error:
        print(f"test.py: {error}", file=sys.stderr)
        return 1
    runs = {this.tag: (this, "quick" if options.quick else "full")}
    tier_of_others = "full" if options.others == "full" else "quick"
    runs.update((tag, (other, tier_of_others)) for tag, other in others.items())

    outcomes: dict[str, Outcome] = {}
    print(*table(rows(runs, [*tags, *options.require], outcomes)), sep="\n", flush=True)
    missing = [tag for tag in options.require if tag not in runs]
    if missing:
        print(f"test.py: not found, but required: {', '.join(missing)}", file=sys.stderr)
        return 1
    if options.list:
        return 0
    for tag, (interpreter, tier) in runs.items():
        print(f"\n== CPython {tag}, {tier} tests ==", flush=True)
        measured = ["--cov", "--cov-report=term"] if options.coverage and tag == this.tag else []
        arguments = [*(QUICK if tier == "quick" else ()), *measured, *passed_on]
        outcomes[tag] = run(
            interpreter,
            arguments,
            wheel=options.wheel,
            extras=options.extra,
            limit=options.limit,
        )

    print()
    print(*table(rows(runs, tags, outcomes)), sep="\n")
    passed = sum(outcome.passed for outcome in outcomes.values())
    # Where the run itself broke, it counts as one failure, so that the last line never hides it.
    failed = sum(outcome.failed or not outcome.ok for outcome in outcomes.values())
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
