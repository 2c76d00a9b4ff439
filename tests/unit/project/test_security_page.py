"""What docs/security.md promises is shown by tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)*)`", PAGE)))


def rows() -> list[str]:
    """The guarantees, one row each."""
    promised = PAGE.partition("## What is guaranteed")[2].partition("## For operators")[0]
    lines = [line for line in promised.splitlines() if line.startswith("|")]
    return [line for line in lines if not re.match(r"\| (guarantee|---) ", line)]


def defined_in(body: list[ast.stmt], names: list[str]) -> bool:
    """Tell whether nested classes and functions of these names are defined."""
    if not names:
        return True
    for node in body:
        named = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if named and node.name == names[0]:
            return defined_in(node.body, names[1:])
    return False


@pytest.mark.parametrize("row", rows())
def test_every_guarantee_names_a_test(row: str) -> None:
    assert re.search(r"`tests/[\w/]+\.py", row.rstrip("| ").rpartition(" | ")[2])


@pytest.mark.parametrize("named", NAMED)
def test_every_test_that_is_named_exists(named: str) -> None:
    path, *names = named.split("::")
    source = (ROOT / path).read_text("utf-8")

    assert defined_in(ast.parse(source).body, names)
    assert not names or names[-1].startswith("test_")


def test_there_are_guarantees() -> None:
    assert len(rows()) > 20
    assert len(NAMED) > 30
