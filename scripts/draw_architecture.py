#!/usr/bin/env python3
"""Draws docs/architecture.svg from the source: the layers, what each is for, and who imports whom.

The layers are those of the import contract in pyproject.toml, the purposes are the first lines of
the packages' docstrings, and the dots are the imports found in the source (those for type checkers
only left out). Run it after a layer was added, or an import between two of them::

    python3 scripts/draw_architecture.py
"""

from __future__ import annotations

import ast
import sys
import tomllib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGE = "colorsched"
FACADE = "__init__"
#: The facade stands below these layers, and above all others; see the contracts.
PROGRAMS = ("cli", "web")

ROW = 34
LINE = 18
NAME = 142
PURPOSE = 624
COLUMN = 32
MARGIN = 14
HEAD = 72
FONT = "system-ui, sans-serif"
GRAY = 'fill="#555"'
DARK = 'fill="#222"'
# The programs, the facade, what users hold, the machinery, what all build on.
COLORS = {
    "cli": "#8a4b08",
    "web": "#8a4b08",
    "testing": "#8a4b08",
    FACADE: "#8c2f54",
    "annotate": "#5b3c88",
    "runtime": "#5b3c88",
    "entry": "#5b3c88",
    "current": "#5b3c88",
    "placed": "#5b3c88",
    "observed": "#5b3c88",
    "color": "#5b3c88",
    "aio": "#2b5d8a",
    "executors": "#2b5d8a",
    "sources": "#2b5d8a",
    "core": "#1f6f6b",
}
PLAIN = "#4a4a4a"


class Layer(NamedTuple):
    """One row of the picture."""

    members: tuple[str, ...]
    """The modules and packages of the layer, as names inside the package."""
    purposes: tuple[str, ...]
    """The first line of each one's docstring."""
    imports: frozenset[str]
    """The names of other layers that its modules import when they run."""
    mentions: frozenset[str]
    """Those that they import for type checkers only."""


def contract(pyproject: Path) -> list[tuple[str, ...]]:
    """Return the layers of the import contract, top down, the facade in its place.

    A layer that may be absent, and is, is left out by `layers`.
    """
    settings = tomllib.loads(pyproject.read_text("utf-8"))["tool"]["importlinter"]
    (rule,) = [one for one in settings["contracts"] if one["type"] == "layers"]
    found = [tuple(part.strip().strip("()") for part in line.split(":")) for line in rule["layers"]]
    place = 1 + max(i for i, members in enumerate(found) if set(members) & set(PROGRAMS))
    return [*found[:place], (FACADE,), *found[place:]]


def members(package: Path) -> set[str]:
    """Return the modules and packages that lie in the package's folder."""
    files = {path.stem for path in package.glob("*.py")}
    return files | {path.parent.name for path in package.glob("*/__init__.py")}


def sources(package: Path, member: str) -> list[Path]:
    """Return the source files of one module or package."""
    folder = package / member
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [package / f"{member}.py"]


def imports(tree: ast.AST, *, typing: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the names that a module imports, each with whether for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute in this package"
            yield node.module, typing
        guard = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        yield from imports(node, typing=typing or guard)


def member_of(name: str) -> str | None:
    """Return which member of the package an imported name belongs to, or None."""
    first, _, rest = name.partition(".")
    return None if first != PACKAGE else rest.partition(".")[0] or FACADE


def layers(package: Path, pyproject: Path) -> list[Layer]:
    """Read the contract and the source; return the layers that exist, top down."""
    found = []
    for names in contract(pyproject):
        present = tuple(name for name in names if name in members(package))
        purposes = []
        used: dict[bool, set[str]] = {False: set(), True: set()}
        for name in present:
            for path in sources(package, name):
                tree = ast.parse(path.read_text("utf-8"))
                if path.stem == name or path == package / name / "__init__.py":
                    purposes.append((ast.get_docstring(tree) or "").partition("\n")[0])
                for imported, typing in imports(tree):
                    other = member_of(imported)
                    if other is not None and other not in present:
                        used[typing].add(other)
        if present:
            mentions = frozenset(used[True] - used[False])
            found.append(Layer(present, tuple(purposes), frozenset(used[False]), mentions))
    return found


def strays(layered: Sequence[Layer]) -> list[str]:
    """Return the imports that don't go down, as lines of text; there should be none."""
    wrong: list[str] = []
    below: set[str] = set()
    for layer in reversed(layered):
        used = layer.imports | layer.mentions
        wrong += [f"{', '.join(layer.members)} imports {name}" for name in sorted(used - below)]
        below |= set(layer.members)
    return wrong


def text(x: float, y: float, words: str, style: str) -> str:
    """Return one line of text."""
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def shown(member: str) -> str:
    """Return how a module or package is called in the picture."""
    return "facade" if member == FACADE else member


def draw(layered: Sequence[Layer]) -> str:
    """Return the picture: a row for each layer, and a dot in the column of each it imports."""
    left = MARGIN + NAME + PURPOSE
    centers = {
        name: left + COLUMN * (i + 0.5) for i, layer in enumerate(layered) for name in layer.members
    }
    tops = [MARGIN + HEAD]
    for layer in layered:
        tops.append(tops[-1] + ROW + LINE * (len(layer.members) - 1) + 6)
    width, height = left + COLUMN * len(layered) + 40, tops[-1] + 40
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg"',
        f' viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        f' font-family="{FONT}" font-size="13">',
        "<title>The layers of colorsched, and which imports which</title>",
        "<!-- made by scripts/draw_architecture.py -->",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for name, top in zip([layer.members[0] for layer in layered], tops, strict=False):
        lines.append(f'<path d="M{centers[name]:g} {HEAD + 12}V{top + 10}" stroke="#ddd"/>')
    for layer, top, bottom in zip(layered, tops, tops[1:], strict=False):
        first = layer.members[0]
        color = COLORS.get(first, PLAIN)
        x, middle = centers[first], (top + bottom - 6) / 2
        label = shown(first) + (", …" if len(layer.members) > 1 else "")
        lines += [
            f'<g class="layer" data-members="{" ".join(layer.members)}">',
            f'<rect x="{MARGIN}" y="{top}" width="{left - MARGIN - 6}" height="{bottom - top - 6}"',
            f' rx="4" fill="{color}" fill-opacity="0.1" stroke="{color}"/>',
        ]
        for i, (name, purpose) in enumerate(zip(layer.members, layer.purposes, strict=True)):
            y = top + 22 + LINE * i
            lines += [
                text(MARGIN + 10, y, shown(name), f'font-weight="600" {DARK}'),
                text(MARGIN + NAME, y, purpose.replace("`", ""), DARK),
            ]
        lines += [
            "</g>",
            text(x, HEAD + 6, label, f'{GRAY} transform="rotate(-45 {x:g} {HEAD + 6})"'),
            f'<rect x="{x - 6:g}" y="{middle - 6:g}" width="12" height="12" fill="{color}"/>',
        ]
        for used, fill in ((layer.imports, color), (layer.mentions, "#fff")):
            # A row of three names is one column, and has one dot.
            lines += [
                f'<circle cx="{dot:g}" cy="{middle:g}" r="5" fill="{fill}" stroke="{color}"/>'
                for dot in sorted({centers[name] for name in used})
                if fill == color or dot not in {centers[name] for name in layer.imports}
            ]
    legend = (
        "■ the layer itself   ● imports, when it runs, the layer of that column   "
        "○ only names its types.   No dot lies left of a ■: all imports go down."
    )
    lines += [text(MARGIN, height - MARGIN, legend, GRAY), "</svg>", ""]
    return "\n".join(lines)


def main() -> int:
    """Draw the picture; refuse if the source breaks the contract."""
    layered = layers(ROOT / PACKAGE, ROOT / "pyproject.toml")
    if wrong := strays(layered):
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    PICTURE.write_text(draw(layered), "utf-8")
    print(f"{PICTURE.relative_to(ROOT)}: {len(layered)} layers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
