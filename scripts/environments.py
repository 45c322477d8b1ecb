"""Makes the virtual environments that the other scripts run in, with the standard library alone.

    python3 scripts/environments.py dev    # one with the extra "dev"; prints its Python

An environment lives in `.venvs/` of the checkout. It is made once, and made anew only when
`pyproject.toml`, the checkout's place or the interpreter it was made with has changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
PROBE = (
    "import json, platform, sys, sysconfig; print(json.dumps([sys.executable,"
    " platform.python_version(), bool(sysconfig.get_config_var('Py_GIL_DISABLED'))]))"
)
PIP_OPTIONS = ("-qq", "--prefer-binary", "--no-input", "--disable-pip-version-check")


class SetupError(Exception):
    """Something that the person at the keyboard has to mend; its text says how."""


class Interpreter(NamedTuple):
    """A CPython that was found and answered."""

    path: str
    version: str
    free_threaded: bool

    @property
    def release(self) -> tuple[int, int]:
        """Its minor version, as numbers."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)

    @property
    def tag(self) -> str:
        """Its minor version, as its program is named: `3.13`, or `3.13t` without the GIL."""
        return "{}.{}{}".format(*self.release, "t" if self.free_threaded else "")


def probe(path: str) -> Interpreter:
    """Ask the interpreter at a path what it is; SetupError if it does not answer."""
    try:
        answer = subprocess.run(
            [path, "-c", PROBE], capture_output=True, text=True, timeout=60, check=True
        )
        return Interpreter(*json.loads(answer.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        words = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise SetupError(f"{path} is no working Python: {words[0]}") from error


def this_interpreter() -> Interpreter:
    """Return the interpreter that runs this script, or raise SetupError if it is too old."""
    found = probe(sys.executable)
    if found.release < OLDEST:
        raise SetupError(
            f"colorsched needs Python 3.11 or newer, but {found.path} is {found.version}."
            f" Start this script with a newer one: python3.11 {' '.join(sys.argv)}"
        )
    return found


def environment(name: str, interpreter: Interpreter, *packages: str) -> Path:
    """Return the Python of a virtual environment in which packages are installed.

    Args:
        name: What the environment is for; with the interpreter's tag, the name of its folder.
        interpreter: What to make it with.
        packages: Arguments of `pip install`.

    Raises:
        SetupError: It could not be made; the text says what to do.
    """
    folder = ROOT / ".venvs" / f"{name}-{interpreter.tag}"
    python = folder / "bin" / "python"
    stamp = folder / "made-from.json"
    metadata = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    wanted = json.dumps([interpreter, str(ROOT), packages, metadata])
    with _lock(folder.with_suffix(f"{folder.suffix}.lock")):
        if stamp.is_file() and stamp.read_text("utf-8") == wanted and _succeeds(python, "pass"):
            return python
        print(
            f"Making {folder} with CPython {interpreter.version} ...", file=sys.stderr, flush=True
        )
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder, interpreter.path)
        install(python, interpreter, *packages)
        stamp.write_text(wanted, "utf-8")
    return python


def install(python: Path, interpreter: Interpreter, *packages: str) -> None:
    """Install packages in an environment, wheels before source archives.

    Args:
        python: The environment's Python.
        interpreter: What it was made with; its pip stands in where the environment has none.
        packages: Arguments of `pip install`.

    Raises:
        SetupError: pip failed; its own messages are on stderr.
    """
    inside = _succeeds(python, "import pip")
    pip: list[str | Path]
    pip = [python, "-m", "pip"] if inside else [interpreter.path, "-m", "pip", "--python", python]
    _run(
        [*pip, "install", *PIP_OPTIONS, *packages],
        "pip could not install what is needed; its messages are above. Is there a network, or a"
        " package index that pip is told of (PIP_INDEX_URL, PIP_FIND_LINKS)?",
    )


def clean_environ() -> dict[str, str]:
    """Return the process's environment without what would lead Python to other packages."""
    return {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}


def _make(folder: Path, python: str) -> None:
    """Make a virtual environment, with pip if the interpreter brings one along."""
    if not _succeeds(python, "import venv"):
        raise SetupError(f"{python} has no module venv. On Debian: apt-get install python3-venv")
    # Debian's Python has no ensurepip until python3-venv is installed; its pip helps from outside.
    bundled = _succeeds(python, "import ensurepip")
    if not bundled and not _succeeds(python, "import pip"):
        raise SetupError(
            f"{python} has neither pip nor ensurepip. On Debian: apt-get install python3-venv"
        )
    _run(
        [python, "-m", "venv", *([] if bundled else ["--without-pip"]), folder],
        f"{python} could not make a virtual environment in {folder}; its messages are above.",
    )


def _succeeds(python: str | Path, statement: str) -> bool:
    """Tell whether an interpreter starts and runs a statement."""
    try:
        done = subprocess.run(
            [python, "-c", statement], capture_output=True, env=clean_environ(), check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _run(command: Sequence[str | Path], failure: str) -> None:
    """Run a command, its output on stderr; SetupError with these words if it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=clean_environ(), check=False
    )
    if done.returncode:
        raise SetupError(failure)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one script at a time make an environment; another one waits and finds it made."""
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise SetupError(f"{path.parent} can't be written: {error.strerror}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Make the environment of the extra named on the command line; print its Python."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    extra = sys.argv[1]
    try:
        print(environment(extra, this_interpreter(), "--editable", f"{ROOT}[{extra}]"))
    except SetupError as error:
        print(f"environments.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
