"""Each promise of the manual has a test with its marker, and each marker a promise."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = {name: (ROOT / "docs" / name).read_text("utf-8") for name in ("reliability.md", "security.md")}
PROMISES = {name: re.findall(r'^\| <a id="([a-z0-9-]+)"></a>', text, re.M) for name, text in PAGES.items()}
SLUGS = [slug for slugs in PROMISES.values() for slug in slugs]


def rows(page: str) -> list[str]:
    """The rows of the page's tables of promises, without their heads."""
    tables = re.findall(r"^\| promise \|.*\n\| ---.*\n((?:\|.*\n)+)", page, re.M)
    return [row for table in tables for row in table.splitlines()]


def marked() -> set[str]:
    """The promises that tests name: `@pytest.mark.promise("…")` on a test or a class of tests."""
    return {
        ast.literal_eval(decorator.args[0])
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.name.lower().startswith("test")
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.promise"
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_row_of_a_table_is_a_named_promise(page: str) -> None:
    assert len(PROMISES[page]) > 20
    assert len(rows(PAGES[page])) == len(PROMISES[page])


def test_no_two_promises_have_one_name() -> None:
    assert len(SLUGS) == len(set(SLUGS))


def test_every_promise_has_a_test_and_every_marker_a_promise() -> None:
    assert marked() == set(SLUGS)
