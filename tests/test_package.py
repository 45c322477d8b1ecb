"""The package as users install it: its metadata, its facade, and what importing it brings along."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import colorsched

META = importlib.metadata.metadata("colorsched")


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules in memory after a statement in a fresh interpreter."""
    script = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_two_dependencies_and_no_more() -> None:
    required = importlib.metadata.requires("colorsched") or []
    names = {
        re.split(r"[^\w-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line
    }
    assert names == {"attrs", "sortedcontainers"}


def test_python_versions() -> None:
    assert META["Requires-Python"] == ">=3.11"
    classifiers = META.get_all("Classifier") or []
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 16)} <= {
        *classifiers
    }


def test_types_are_shipped() -> None:
    assert (Path(colorsched.__file__).parent / "py.typed").is_file()


def test_importing_the_package_needs_no_extra() -> None:
    extras = {"httptools", "aiohttp", "pytest", "hypothesis"}
    assert not imported_by("import colorsched") & extras


def test_importing_leaves_the_gil_off() -> None:
    script = "import colorsched, sys; print(getattr(sys, '_is_gil_enabled', lambda: True)())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert done.stdout.strip() == str(not free_threaded)


@pytest.mark.parametrize("name", colorsched.__all__)
def test_the_facade_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(colorsched, name))


def test_one_version() -> None:
    assert colorsched.__version__ == importlib.metadata.version("colorsched")
