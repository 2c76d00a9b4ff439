"""Tests use what is public: a private name of our own may change with no test in the way."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CODE = [ROOT / "service.py", *(file for room in ("adapters", "runners", "wholebody", "benchmarks", "tests")
                               for file in (ROOT / room).rglob("*.py"))]  # fmt: skip
SETTERS = {"setattr", "getattr", "delattr", "hasattr"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined_in(tree: ast.AST) -> Iterator[str]:
    """The names of functions, classes, and what is assigned to, in modules and in objects."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store(), value=ast.Name(id="self")):
                yield node.attr


def used_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that are reached from outside: by a dot, an import, or a string in `monkeypatch.setattr`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute():
                yield node.lineno, node.attr
            case ast.ImportFrom():
                yield from ((node.lineno, name.name) for name in node.names)
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in SETTERS:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield from ((node.lineno, part) for part in argument.value.split("."))


def test_no_private_name_of_our_own_is_reached_into() -> None:
    own = {name for file in CODE for name in defined_in(ast.parse(file.read_text())) if is_private(name)}
    found = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in TESTS
        for line, name in used_in(ast.parse(file.read_text()))
        if is_private(name) and name in own
    ]
    assert found == []
