"""The scripts find interpreters and say clearly what is missing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
# The version nobody runs the tests with, so that a made-up interpreter of it is never this one.
VERSION, TAG = ("3.12.77", "3.12") if sys.version_info[:2] != (3, 12) else ("3.13.77", "3.13")
THIS_TAG = ".".join(platform.python_version_tuple()[:2])


def call(
    script: str, *arguments: str, folders: tuple[Path, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a script with only these folders on PATH, and no pyenv."""
    environ = {
        **os.environ,
        "PATH": os.pathsep.join(map(str, folders)),
        "PYENV_ROOT": os.devnull,
    }
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)


def program(folder: Path, tag: str, *, prints: str, status: int = 0) -> Path:
    """Make a program that looks like an interpreter: it prints one line."""
    folder.mkdir(exist_ok=True)
    path = folder / f"python{tag}"
    path.write_text(f"#!/bin/sh\necho '{prints}'\nexit {status}\n", "utf-8")
    path.chmod(0o755)
    return path


def interpreter(folder: Path, tag: str, version: str, *, free_threaded: bool = False) -> Path:
    answer = f'["{folder}/python{tag}", "{version}", {str(free_threaded).lower()}]'
    return program(folder, tag, prints=answer)


def row(listing: str, tag: str) -> list[str]:
    return next(line.split() for line in listing.splitlines() if line.split()[:1] == [tag])


def test_the_first_that_works_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "shims", TAG, prints="not switched on", status=127)
    interpreter(tmp_path / "wrong", TAG, "3.10.1")
    right = interpreter(tmp_path / "right", TAG, VERSION)
    interpreter(tmp_path / "late", TAG, VERSION)
    folders = tuple(tmp_path / name for name in ("none", "shims", "wrong", "right", "late"))
    done = call("test.py", "--list", folders=folders)
    assert done.returncode == 0, done.stderr
    assert row(done.stdout, TAG) == [TAG, "quick", "to", "run", f"{VERSION},", str(right)]
    assert row(done.stdout, "3.15t") == ["3.15t", "-", "absent"]


def test_free_threaded_builds_are_told_apart(tmp_path: Path) -> None:
    interpreter(tmp_path, "3.14t", "3.14.77", free_threaded=True)
    interpreter(tmp_path, "3.15t", "3.15.77", free_threaded=False)
    listing = call("test.py", "--list", "--others", "full", folders=(tmp_path,)).stdout
    assert row(listing, "3.14t")[1:4] == ["full", "to", "run"]
    assert row(listing, "3.15t") == ["3.15t", "-", "absent"]


def test_a_required_interpreter_that_is_absent_is_an_error() -> None:
    done = call("test.py", "--list", "--others", "none", "--require", "3.99")
    assert done.returncode == 1
    assert "not found, but required: 3.99" in done.stderr


def test_named_interpreters_must_be_there(tmp_path: Path) -> None:
    done = call("test.py", "--list", "--python", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert "there is no such program" in done.stderr


def test_named_interpreters_must_work(tmp_path: Path) -> None:
    broken = program(tmp_path, TAG, prints="", status=1)
    done = call("test.py", "--list", "--python", str(broken))
    assert done.returncode == 1
    assert f"{broken} is no working Python" in done.stderr


@pytest.mark.parametrize("name", ["serve.py", "test.py"])
def test_an_old_interpreter_is_told_so(name: str) -> None:
    path = str(SCRIPTS / name)
    code = (
        f"import runpy, sys; sys.argv = [{path!r}]; sys.path.insert(0, {str(SCRIPTS)!r});"
        "import environments as e; e.OLDEST = (3, 99);"
        f"runpy.run_path({path!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        f"colorsched needs Python 3.11 or newer, but {sys.executable} is {THIS_TAG}" in done.stderr
    )
