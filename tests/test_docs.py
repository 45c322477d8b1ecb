"""What the documentation shows runs: pages, examples and docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import colorsched
from pages import run_page, run_script

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(colorsched.__path__, "colorsched.")
    if not module.name.endswith(".__main__")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


def test_examples_run(subtests: pytest.Subtests) -> None:
    for example in EXAMPLES:
        with subtests.test(example.name):
            run_script(example)


@pytest.mark.parametrize("name", ["colorsched", *MODULES])
def test_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert result.failed == 0


def page_with(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    return page


def test_a_broken_block_is_found(tmp_path: Path) -> None:
    page = page_with(tmp_path, "# Title\n\n```python\nprint(1)\n```\n\n```python\n1 / 0\n```\n")
    with pytest.raises(AssertionError, match=r"(?s)page\.md:8.*ZeroDivisionError"):
        run_page(page, tmp_path)


def test_a_warning_is_found(tmp_path: Path) -> None:
    page = page_with(tmp_path, "```python\nimport warnings\nwarnings.warn('old')\n```\n")
    with pytest.raises(AssertionError, match="UserWarning: old"):
        run_page(page, tmp_path)


@pytest.mark.parametrize("shown", ["2", "", "1\n1"])
def test_a_wrong_output_is_found(tmp_path: Path, shown: str) -> None:
    page = page_with(tmp_path, f"```python\nprint(1)\n```\nprints\n```text output\n{shown}\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:2 prints otherwise"):
        run_page(page, tmp_path)


def test_an_unknown_mark_is_found(tmp_path: Path) -> None:
    page = page_with(tmp_path, "```python norun\n1 / 0\n```\n")
    with pytest.raises(AssertionError, match="neither run nor marked"):
        run_page(page, tmp_path)


@pytest.mark.parametrize("mark", ["file=shop", "file=shop.py twice", "tests=test_shop.py"])
def test_an_unknown_name_is_found(tmp_path: Path, mark: str) -> None:
    page = page_with(tmp_path, f"```python {mark}\n1 / 0\n```\n")
    with pytest.raises(AssertionError, match="neither run nor marked"):
        run_page(page, tmp_path)


def test_named_blocks_are_there_for_those_after_them(tmp_path: Path) -> None:
    page = page_with(
        tmp_path,
        "```python file=shop.py\nprice = 7\n```\n"
        "```python\nimport shop\nprint(shop.price, shop.__file__)\n```\n"
        "```text output\n7 shop.py\n```\n"
        "```python file=shop.py\nprice = 8\n```\n"
        "```python test=test_shop.py\nimport shop\ndef test():\n    assert shop.price == 8\n```\n",
    )
    assert run_page(page, tmp_path) == 4


FAILING = "```python test=test_shop.py\ndef test():\n    assert 1 == 2\n    assert 3 == 4\n```\n"


def test_tests_that_fail_are_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"(?s)page\.md:2.*assert 1 == 2"):
        run_page(page_with(tmp_path, FAILING), tmp_path)


def test_tests_may_be_shown_to_fail(tmp_path: Path) -> None:
    shown = f"{FAILING}\n```text fails\n>   assert 1 == 2\nE   assert 1 == 2\n```\n"
    assert run_page(page_with(tmp_path, shown), tmp_path) == 1


@pytest.mark.parametrize("shown", ["E   assert 3 == 4", "E   assert 1 == 2\n>   assert 1 == 2"])
def test_tests_that_fail_otherwise_than_shown_are_found(tmp_path: Path, shown: str) -> None:
    page = page_with(tmp_path, f"{FAILING}\n```text fails\n{shown}\n```\n")
    with pytest.raises(AssertionError, match="does not say"):
        run_page(page, tmp_path)


def test_tests_that_should_fail_and_pass_are_found(tmp_path: Path) -> None:
    page = page_with(
        tmp_path,
        "```python test=test_shop.py\ndef test():\n    pass\n```\n```text fails\nE\n```\n",
    )
    with pytest.raises(AssertionError, match="did not fail as shown"):
        run_page(page, tmp_path)


def test_what_is_right_or_marked_passes(tmp_path: Path) -> None:
    page = page_with(
        tmp_path,
        "```python\nprint(1)\n```\n```text output\n1\n```\n"
        "```python no-run\n1 / 0\n```\n```console\n$ false\n```\n```python\nprint(2)\n```\n",
    )
    assert run_page(page, tmp_path) == 2


def test_a_broken_example_is_found(tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    example.write_text("raise SystemExit('gone')\n", "utf-8")
    with pytest.raises(AssertionError, match=r"(?s)example\.py failed.*gone"):
        run_script(example)
