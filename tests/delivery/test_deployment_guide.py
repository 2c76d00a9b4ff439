"""docs/deployment.md promises only what is there."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

GUIDE = (Path(__file__).parents[2] / "docs/deployment.md").read_text()
SNIPPETS = re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[f"snippet-{number}" for number in range(len(SNIPPETS))])
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_yaml_for_an_overlay_renders(
    root: Path, tool: Callable[[str], str], tmp_path: Path, environment: str, snippet: str
) -> None:
    shutil.copytree(root / "k8s", tmp_path / "k8s")
    path = tmp_path / "k8s/overlays" / environment / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(kustomization | yaml.safe_load(snippet)))
    before = subprocess.run(
        [tool("kubectl"), "kustomize", str(root / "k8s/overlays" / environment)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    after = subprocess.run(
        [tool("kubectl"), "kustomize", str(path.parent)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert after.returncode == 0, after.stderr
    assert after.stderr == ""
    assert after.stdout != before.stdout, "the snippet changes nothing"


def test_every_component_is_described(root: Path) -> None:
    folders = {path.parent.name for path in (root / "k8s/components").glob("*/kustomization.yaml")}
    assert folders - {"hosts"} == set(re.findall(r"^\| `([a-z-]+)` \|", GUIDE, flags=re.MULTILINE))


def test_every_path_exists(root: Path) -> None:
    paths = set(re.findall(r"(?<![\w/.-])((?:k8s|\.ci|docs)/[\w./-]+)", GUIDE))
    assert len(paths) > 5
    assert [path for path in sorted(paths) if not (root / path).exists()] == []


def test_every_make_target_exists(root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), flags=re.MULTILINE))
    called = set(re.findall(r"(?:^|`)make ([a-z-]+)", GUIDE, flags=re.MULTILINE))
    assert called
    assert called <= targets


def test_the_command_for_the_secret_is_the_one_that_deploy_sh_prints(root: Path) -> None:
    script = (root / "deploy.sh").read_text()
    for line in ("read -r LABEL_STUDIO_URL; read -rs LABEL_STUDIO_API_TOKEN", "--from-env-file=/dev/stdin"):
        assert line in GUIDE
        assert line in script


@pytest.mark.parametrize("workflow", ["ci.yml", "release.yml", "deploy.yml", "lock.yml", "push-bento.yml"])
def test_every_workflow_is_described(root: Path, workflow: str) -> None:
    assert f"| `{workflow}` |" in GUIDE
    assert {path.name for path in (root / ".github/workflows").glob("*.yml")} >= {workflow}
