"""The picture of the layers is true: it shows the import contract and the packages there are."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

import colorsched

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from draw_architecture import PICTURE, contract, draw, layers, strays  # noqa: E402 - found there

if TYPE_CHECKING:
    from collections.abc import Callable

# Where it is installed: the tests of the wheel run without the source tree.
PACKAGE = Path(colorsched.__file__).parent
PYPROJECT = ROOT / "pyproject.toml"
SVG = "{http://www.w3.org/2000/svg}"


def picture() -> list[tuple[str, ...]]:
    """Return the layers as the picture shows them, top down."""
    found = ET.parse(PICTURE).getroot().iter(f"{SVG}g")
    return [tuple(group.attrib["data-members"].split()) for group in found]


def test_the_picture_shows_every_package_on_disk() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    shown = [name for layer in picture() for name in layer]
    assert sorted(shown) == sorted((modules | packages) - {"__main__"})


def test_the_picture_shows_the_layers_of_the_import_contract() -> None:
    (rule,) = [
        one
        for one in tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
        if one["type"] == "layers"
    ]
    shown = [layer for layer in picture() if layer != ("__init__",)]
    present = {name for layer in shown for name in layer}
    wanted = [tuple(line.replace("(", "").replace(")", "").split(" : ")) for line in rule["layers"]]
    assert shown == [layer for layer in wanted if present & {*layer}]


def test_the_picture_is_up_to_date() -> None:
    drawn = draw(layers(PACKAGE, PYPROJECT))
    assert PICTURE.read_text("utf-8") == drawn, "run python3 scripts/draw_architecture.py"


def test_all_imports_go_down() -> None:
    assert strays(layers(PACKAGE, PYPROJECT)) == []


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., Path]:
    """Make a package of the real one's shape from the text of its modules."""

    def make(**texts: str) -> Path:
        folder = tmp_path / "colorsched"
        folder.mkdir()
        for names in contract(PYPROJECT):
            for name in names:
                (folder / f"{name}.py").write_text(texts.get(name, f'"""{name}."""\n'), "utf-8")
        return folder

    return make


def test_an_import_that_goes_up_is_found(package: Callable[..., Path]) -> None:
    text = "def late():\n    from colorsched.runtime import Runtime\n"
    assert strays(layers(package(core=text), PYPROJECT)) == ["core imports runtime"]


def test_an_import_for_type_checkers_is_told_apart(package: Callable[..., Path]) -> None:
    text = "if TYPE_CHECKING:\n    from colorsched.core import x\nimport colorsched.ports\n"
    found = {layer.members[0]: layer for layer in layers(package(sources=text), PYPROJECT)}
    assert found["sources"].imports == {"ports"}
    assert found["sources"].mentions == {"core"}
