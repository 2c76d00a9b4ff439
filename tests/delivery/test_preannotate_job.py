"""k8s/jobs: predictions for a whole project as an Indexed Job."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from adapters.cli.app import app
from adapters.cli.preannotate import CANNOT_GO_ON, SOME_FAILED

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]


VARIANTS = ["gpu", "embedded", "baked-models"]


@pytest.fixture(scope="module")
def rendered(
    root: Path, tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """k8s/jobs with these components uncommented, as one text."""

    def run(*components: str) -> str:
        folder = tmp_path_factory.mktemp("jobs") / "jobs"
        shutil.copytree(root / "k8s/jobs", folder)
        path = folder / "kustomization.yaml"
        for name in components:
            line = f"  # - components/{name}\n"
            assert line in path.read_text()
            path.write_text(path.read_text().replace(line, line.replace("# ", "")))
        result = subprocess.run(
            [tool("kubectl"), "kustomize", str(folder)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert result.stderr == "", "rendering warns"
        return result.stdout

    return run


@pytest.fixture(scope="module")
def text(rendered: Callable[..., str]) -> str:
    return rendered()


@pytest.fixture
def manifests(text: str) -> dict[str, Manifest]:
    """What is rendered, by kind: there is one of each."""
    found = list(yaml.safe_load_all(text))
    by_kind = {manifest["kind"]: manifest for manifest in found}
    assert len(by_kind) == len(found)
    return by_kind


@pytest.fixture
def job(manifests: dict[str, Manifest]) -> dict[str, Any]:
    return manifests["Job"]["spec"]


@pytest.fixture
def pod(job: dict[str, Any]) -> dict[str, Any]:
    return job["template"]["spec"]


@pytest.fixture
def service(render: Render) -> dict[str, Any]:
    """The pod of the service in production."""
    (deployment,) = [m for m in render("production") if m["kind"] == "Deployment"]
    return deployment["spec"]["template"]


@pytest.mark.parametrize("version", ["1.32.0", "1.37.0"])
def test_kubernetes_accepts_every_field(
    rendered: Callable[..., str], tool: Callable[[str], str], tmp_path: Path, version: str
) -> None:
    for variant in ["", *VARIANTS]:
        (tmp_path / f"job{variant}.yaml").write_text(rendered(*[variant] if variant else []))
    files = [str(path) for path in tmp_path.glob("job*.yaml")]
    result = subprocess.run(
        [tool("kubernetes-validate"), "--strict", "--no-warn", "--kubernetes-version", version, *files],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_command_line_is_one_that_the_command_understands(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    arguments = [argument.replace("$(JOB_COMPLETION_INDEX)", "3") for argument in container["args"]]
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
    wrong = CliRunner().invoke(app, [*arguments, "--no-such-option"])
    assert wrong.exit_code == 2, "options are read before anything else"


def test_the_shards_of_all_pods_are_the_whole_project(job: dict[str, Any], pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    (shard,) = [argument for argument in container["args"] if "JOB_COMPLETION_INDEX" in argument]
    assert shard == f"$(JOB_COMPLETION_INDEX)/{job['completions']}"
    assert job["parallelism"] == job["completions"]
    assert job["completionMode"] == "Indexed"


def test_the_program_is_where_the_image_has_it(root: Path, pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert container["command"] == ["python", "-m", "adapters.cli"]
    assert (root / "adapters/cli/__main__.py").exists()
    assert container["workingDir"] == "/home/bentoml/bento/src"
    assert "adapters/**" in yaml.safe_load((root / "bentofile.yaml").read_text())["include"]


def test_a_pod_that_failed_is_replaced_unless_the_next_would_fail_the_same(job: dict[str, Any]) -> None:
    ignored, final = job["podFailurePolicy"]["rules"]
    assert ignored == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert final["action"] == "FailIndex"
    assert final["onExitCodes"]["values"] == [2, SOME_FAILED]
    assert CANNOT_GO_ON not in final["onExitCodes"]["values"]
    assert job["backoffLimitPerIndex"] > 0
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a failure policy asks for it"


def test_it_predicts_what_the_service_predicts(
    manifests: dict[str, Manifest], pod: dict[str, Any], service: dict[str, Any], render: Render
) -> None:
    (container,), (serving,) = pod["containers"], service["spec"]["containers"]
    assert container["image"] == serving["image"]
    (source,) = container["envFrom"]
    ours = manifests["ConfigMap"]["data"]
    assert source["configMapRef"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    (theirs,) = [m["data"] for m in render("production") if m["kind"] == "ConfigMap" and "MODE" in m["data"]]
    assert {name: theirs[name] for name in ours} == ours
    assert {"MODE", "DEVICE", "BACKEND_TYPE", "CONFIDENCE_THRESHOLD"} <= ours.keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_predicts_what_the_service_with_that_component_predicts(
    rendered: Callable[..., str], render: Render, root: Path, variant: str
) -> None:
    assert {path.name for path in (root / "k8s/jobs/components").iterdir()} == set(VARIANTS)

    def part(manifests: list[Manifest], kind: str) -> dict[str, Any]:
        (workload,) = [m for m in manifests if m["kind"] == kind]
        (values,) = [m["data"] for m in manifests if m["kind"] == "ConfigMap" and "MODE" in m["data"]]
        spec = workload["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        return {
            "image": container["image"],
            "settings": {
                name: values[name] for name in ("MODE", "DEVICE", "BACKEND_TYPE", "CONFIDENCE_THRESHOLD")
            },
            "models": [v["value"] for v in container["env"] if v["name"] == "MODEL_CACHE_DIR"],
            "gpus": container["resources"]["limits"].get("nvidia.com/gpu"),
            "nodes": [spec.get("nodeSelector"), spec.get("tolerations")],
        }

    job = part(list(yaml.safe_load_all(rendered(variant))), "Job")
    service = part(render("production", () if variant == "embedded" else (variant,)), "Deployment")
    if variant == "embedded":  # a setting of the service, not one of its components
        service["settings"]["MODE"] = "embedded"
    assert job == service


def test_it_reads_the_secret_that_the_service_reads(pod: dict[str, Any], service: dict[str, Any]) -> None:
    def secrets(template: dict[str, Any]) -> dict[str, tuple[str, str]]:
        return {
            variable["name"]: (reference["name"], reference["key"])
            for container in template["containers"]
            for variable in container["env"]
            if (reference := variable.get("valueFrom", {}).get("secretKeyRef"))
        }

    ours, theirs = secrets(pod), secrets(service["spec"])
    assert ours == {name: theirs[name] for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN")}


def test_the_service_sends_it_no_requests(
    manifests: dict[str, Manifest], job: dict[str, Any], render: Render
) -> None:
    labels = job["template"]["metadata"]["labels"]
    for manifest in render("production"):
        if manifest["kind"] == "Service":
            assert not labels.items() >= manifest["spec"]["selector"].items()
        if manifest["kind"] == "PodDisruptionBudget":
            assert not labels.items() >= manifest["spec"]["selector"]["matchLabels"].items()
    assert manifests["Job"]["metadata"]["namespace"] == "rtmlib"


def test_it_may_go_where_the_service_may_and_is_reached_by_nobody(
    manifests: dict[str, Manifest], job: dict[str, Any], render: Render
) -> None:
    ours = manifests["NetworkPolicy"]["spec"]
    (theirs,) = [m["spec"] for m in render("production") if m["kind"] == "NetworkPolicy"]
    assert ours["egress"] == theirs["egress"]
    assert "ingress" not in ours
    assert set(ours["policyTypes"]) == {"Ingress", "Egress"}
    assert job["template"]["metadata"]["labels"].items() >= ours["podSelector"]["matchLabels"].items()


def test_pods_keep_to_pod_security_restricted(pod: dict[str, Any], service: dict[str, Any]) -> None:
    (container,), (serving,) = pod["containers"], service["spec"]["containers"]
    assert pod["securityContext"] == service["spec"]["securityContext"]
    assert container["securityContext"] == serving["securityContext"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == service["spec"]["serviceAccountName"]
    assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"])
    assert {m["name"] for m in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_nothing_runs_or_stays_for_ever(job: dict[str, Any]) -> None:
    assert job["activeDeadlineSeconds"] > 0
    assert job["ttlSecondsAfterFinished"] > 0


def test_the_manual_names_its_files(root: Path) -> None:
    manual = (root / "docs/preannotate.md").read_text()
    paths = set(re.findall(r"(?<![\w/.-])((?:k8s|docs|tests)/[\w./-]+)", manual))
    assert "k8s/jobs" in {path.rstrip("/") for path in paths}
    assert [path for path in sorted(paths) if not (root / path).exists()] == []
