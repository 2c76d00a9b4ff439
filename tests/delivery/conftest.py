"""Fixtures of the delivery checks: the programs that `.ci/delivery` installs, and rendered manifests."""

import copy
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools" / "delivery"

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a deployment needs of a checkout, to be changed at will: deploy.sh writes there while it runs."""
    folder = tmp_path / "checkout"
    for name in ("k8s", ".github"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "deploy.sh", folder)
    return folder


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """A program by name. Missing: a failure where CI is set, else a skip that says how to install it."""

    def find(name: str) -> str:
        path = TOOLS / "bin" / name
        if not path.exists():
            message = f"{name} is not installed: run .ci/delivery --install-only"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        return str(path)

    return find


@pytest.fixture(scope="session")
def node_package(tool: Callable[[str], str]) -> Callable[[str], Path]:
    """The folder of the npm packages `checks` or `release`."""

    def find(name: str) -> Path:
        tool("node")
        path = TOOLS / "npm" / name
        if not (path / "node_modules").exists():
            message = f"the npm packages of {name} are not installed: run .ci/delivery --install-only"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        return path

    return find


@pytest.fixture(scope="session")
def schemas() -> Path:
    path = ROOT.parent / "shared" / "schemas"
    if not path.exists():
        pytest.skip("no schemas of custom resources: the folder shared/schemas is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def render(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render an overlay, with components added after the ones that it names. A warning is a failure."""
    rendered: dict[tuple[str, tuple[str, ...]], list[Manifest]] = {}

    def run(environment: str, components: tuple[str, ...] = ()) -> list[Manifest]:
        key = (environment, components)
        if key not in rendered:
            folder = tmp_path_factory.mktemp("k8s")
            shutil.copytree(ROOT / "k8s", folder / "k8s")
            overlay = folder / "k8s/overlays" / environment
            kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
            kustomization["components"] += [f"../../components/{name}" for name in components]
            (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
            result = subprocess.run(
                [tool("kubectl"), "kustomize", str(overlay)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert result.returncode == 0, result.stderr
            assert result.stderr == "", f"rendering {environment} with {components} warns"
            rendered[key] = list(yaml.load_all(result.stdout, Loader=yaml.CSafeLoader))
        return copy.deepcopy(rendered[key])

    return run
