"""Links between the pages lead somewhere: to a file that is there, and a heading in it.

ARCHITECTURE.md names source files and tests; those are there too.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import colorsched

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings}


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for path, anchor in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(f"{path}#{anchor}" if anchor else path)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_what_the_architecture_names_is_there() -> None:
    package = Path(colorsched.__file__).parent
    named = re.findall(r"`([\w/]+\.(?:py|md|toml))`", (ROOT / "ARCHITECTURE.md").read_text("utf-8"))
    folder = ""
    missing = []
    for name in named:
        # "web/fetch.py, origin.py" names two of one folder.
        folder = name.rpartition("/")[0] or folder
        places = (ROOT / name, package.parent / name, package / name, package / folder / name)
        if not any(place.is_file() for place in places):
            missing.append(name)
    assert len(named) > 30
    assert missing == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n[a](page.md#a-page) [b](#nowhere) [c](gone.md)\n```\n[d](code.md)\n```\n",
        "utf-8",
    )
    assert broken(page) == ["#nowhere", "gone.md"]
