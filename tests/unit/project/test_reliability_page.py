"""docs/reliability.md promises nothing without a test: those that it names exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::((?:\w+::)?\w+)`", PAGE)))


def names_in(file: Path) -> set[str]:
    """The tests of a file, those of a class with its name before theirs."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names |= {node.name} | {
                f"{node.name}::{inner.name}" for inner in node.body if hasattr(inner, "name")
            }
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return names


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_test_exists(file: str, test: str) -> None:
    assert test in names_in(ROOT / "tests" / file)


def test_every_row_of_a_table_names_one() -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith("|") and not re.match(r"\| (---|promise)", line)
    ]
    assert len(rows) > 20
    assert [row for row in rows if ".py::" not in row] == []
