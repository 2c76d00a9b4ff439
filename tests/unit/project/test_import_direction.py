"""Imports point one way: service -> adapters -> wholebody <- runners.

service.py and the command line put the parts together, with the help of adapters/wiring.py: they may see all. The
settings take the names of modes, engines and precisions from runners/config.py, and connections take the trusted
authorities from runners/web_identity.py; both import nothing heavy.
"""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OURS = {"adapters", "runners", "service", "wholebody"}
RUNTIMES = {"onnx", "onnxruntime", "openvino", "tflite"}
FRAMEWORKS = {"aiohttp", "bentoml", "httpx", "requests", "starlette", "uvicorn"}

# package -> top-level modules that it must not import
FORBIDDEN = {
    "wholebody": (OURS - {"wholebody"}) | RUNTIMES | FRAMEWORKS,
    "runners": {"adapters", "service"},
    "adapters": {"runners", "service"} | RUNTIMES,
}
COMPOSITION_ROOTS = {"adapters/cli/": {"runners"}, "adapters/wiring.py": {"runners"}}
LIGHT = {"adapters/settings.py": "runners.config", "adapters/connections.py": "runners.web_identity"}


def imported_modules(source: str, but: str = "") -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module and node.module != but:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_package_imports_only_what_lies_below_it(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules, f"{package}/ has no modules"
    offending: dict[str, list[str]] = {}
    for path in modules:
        relative = path.relative_to(ROOT).as_posix()
        allowed = {m for root, ms in COMPOSITION_ROOTS.items() if relative.startswith(root) for m in ms}
        light = LIGHT.get(relative, "")
        bad = imported_modules(path.read_text(encoding="utf-8"), but=light) & FORBIDDEN[package] - allowed
        if bad:
            offending[relative] = sorted(bad)
    assert offending == {}


@pytest.mark.parametrize("module", LIGHT.values())
def test_what_adapters_take_from_the_runners_imports_nothing_heavy(module: str) -> None:
    imported = imported_modules((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    assert imported <= sys.stdlib_module_names | {"certifi"}


def test_the_check_sees_imports_inside_functions() -> None:
    assert imported_modules("def f():\n    import bentoml.io\n    from adapters.x import y\n") == {
        "bentoml",
        "adapters",
    }
