"""What our code imports is declared: what comes along with another package may leave with it."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OURS = {"adapters", "benchmarks", "runners", "service", "tests", "wholebody"}
PACKAGES = {"google": "protobuf", "opentelemetry": "opentelemetry-api", "pydantic_core": "pydantic"}
"""Of import names that several packages share, the one that is meant; and of a part, its whole."""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    requirements = project["project"]["dependencies"] + groups["cpu"]
    names = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {normalised(name[0]) for name in names if name}


def imported(folder: str) -> set[str]:
    files = [ROOT / "service.py"] if folder == "service.py" else (ROOT / folder).rglob("*.py")
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - OURS - sys.stdlib_module_names


@pytest.mark.parametrize("folder", ["adapters", "runners", "wholebody", "service.py"])
def test_every_import_is_declared(folder: str) -> None:
    packages = metadata.packages_distributions()
    missing = {
        name
        for name in imported(folder)
        if normalised(PACKAGES.get(name) or (packages.get(name) or [name])[0]) not in declared()
    }
    assert missing == set()
