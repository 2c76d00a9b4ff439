"""deploy.sh against a kubectl that plays a cluster: what it checks, what it applies, and how it goes back."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

NAME = "ghcr.io/fhswf/dgs-pg-gruppe-1/rtmlib-ml-backend"
OLD = f"{NAME}@sha256:{'a' * 64}"
NEW = f"{NAME}@sha256:{'b' * 64}"
TOKEN = "3f1c9b7e5a2d4860"


class Cluster:
    """The state that the stub plays, and what was done to it."""

    def __init__(self, folder: Path, root: Path, kubectl: str) -> None:
        self.folder = folder
        self.root = root
        programs = folder / "bin"
        programs.mkdir()
        (programs / "kubectl").symlink_to(Path(__file__).with_name("kubectl_stub.sh"))
        self.environment = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "STUB": str(folder),
            "REAL_KUBECTL": kubectl,
            "HOME": str(folder),
        }
        self.has("secret-LABEL_STUDIO_URL", "https://label-studio.fh-swf.cloud")
        self.has("secret-LABEL_STUDIO_API_TOKEN", TOKEN)
        self.has("image", OLD)
        self.has("revision", "7")

    def has(self, name: str, content: str = "") -> None:
        (self.folder / name).write_text(content)

    def lacks(self, name: str) -> None:
        (self.folder / name).unlink()

    def deploy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            ["bash", str(self.root / "deploy.sh"), *arguments],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert TOKEN not in result.stdout + result.stderr + "\n".join(self.calls)
        assert list((self.root / "k8s/overlays").glob(".deploy.*")) == [], (
            "the temporary overlay is left behind"
        )
        return result

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def changed(self) -> bool:
        return (self.folder / "was-applied").exists()

    def applied(self, kind: str) -> dict[str, Any]:
        manifests = yaml.safe_load_all((self.folder / "applied.yaml").read_text())
        (found,) = [
            m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == "rtmlib-ml-backend"
        ]
        return found


@pytest.fixture
def cluster(tmp_path: Path, root: Path, tool: Callable[[str], str]) -> Cluster:
    return Cluster(tmp_path, root, tool("kubectl"))


class TestDeploying:
    @pytest.mark.parametrize(
        ("environment", "namespace"), [("staging", "rtmlib-staging"), ("production", "rtmlib")]
    )
    def test_applies_the_overlay_with_the_image_by_digest(
        self, cluster: Cluster, environment: str, namespace: str
    ) -> None:
        result = cluster.deploy(environment, "--image", NEW)
        assert result.returncode == 0, result.stderr
        deployment = cluster.applied("Deployment")
        assert deployment["metadata"]["namespace"] == namespace
        assert [c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]] == [NEW]
        assert any(call.startswith(f"rollout status deployment/rtmlib-ml-backend --namespace {namespace}")
                   for call in cluster.calls)  # fmt: skip

    def test_takes_an_image_from_another_registry(self, cluster: Cluster) -> None:
        mirror = f"registry.fh-swf.de:5000/rtmlib/backend@sha256:{'c' * 64}"
        assert cluster.deploy("production", "--image", mirror).returncode == 0
        assert cluster.applied("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == mirror

    def test_keeps_the_running_image_without_the_option(self, cluster: Cluster) -> None:
        assert cluster.deploy("production").returncode == 0
        assert cluster.applied("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == OLD

    def test_a_new_version_of_the_secret_makes_new_pods(self, cluster: Cluster) -> None:
        cluster.deploy("production")
        annotations = cluster.applied("Deployment")["spec"]["template"]["metadata"]["annotations"]
        assert annotations["rtmlib-ml-backend/secret-version"] == "4711"

    def test_shows_the_difference_before_it_applies(self, cluster: Cluster) -> None:
        result = cluster.deploy("production", "--image", NEW)
        assert "diff: + replaced" in result.stdout
        verbs = [
            call.split(" ")[1] if call.startswith("--") else call.split(" ")[0] for call in cluster.calls
        ]
        assert verbs.index("diff") < verbs.index("apply")

    def test_a_dry_run_changes_nothing(self, cluster: Cluster) -> None:
        result = cluster.deploy("production", "--image", NEW, "--dry-run")
        assert result.returncode == 0
        assert not cluster.changed
        assert [call for call in cluster.calls if " apply " in call and "--dry-run=server" not in call] == []
        assert not any("rollout" in call for call in cluster.calls)

    def test_help_needs_no_cluster(self, cluster: Cluster) -> None:
        cluster.has("no-cluster")
        result = cluster.deploy("--help")
        assert result.returncode == 0
        assert "--dry-run" in result.stdout


class TestRefusing:
    """Before anything is changed, with one message that says what to do."""

    def refused(self, cluster: Cluster, *arguments: str) -> str:
        result = cluster.deploy(*arguments)
        assert result.returncode == 1
        assert not cluster.changed
        return result.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "which environment"),
            (["live"], "unknown argument: live"),
            (["staging", "production"], "one environment at a time"),
            (["staging", "--image"], "--image needs a value"),
            (["staging", "--timeout", "soon"], "expected a number and s, m or h"),
            (["staging", "--image", f"{NAME}:latest"], "expected NAME@sha256:"),
            (["staging", "--image", f"{NAME}@sha256:abc"], "expected NAME@sha256:"),
            (["staging", "--image", f"{NAME}@sha256:{'a' * 64}\n- evil"], "expected NAME@sha256:"),
        ],
    )
    def test_wrong_arguments(self, cluster: Cluster, arguments: list[str], message: str) -> None:
        assert message in self.refused(cluster, *arguments)

    def test_a_cluster_that_does_not_answer(self, cluster: Cluster) -> None:
        cluster.has("no-cluster")
        assert "cluster of context stub-cluster does not answer" in self.refused(
            cluster, "staging", "--image", NEW
        )

    def test_a_missing_namespace(self, cluster: Cluster) -> None:
        cluster.has("no-namespace")
        message = self.refused(cluster, "staging", "--image", NEW)
        assert "kubectl apply -f k8s/overlays/staging/namespace.yaml" in message

    def test_a_missing_secret(self, cluster: Cluster) -> None:
        cluster.has("no-secret")
        message = self.refused(cluster, "production", "--image", NEW)
        assert "kubectl create secret generic rtmlib-ml-backend-secrets --namespace rtmlib" in message

    @pytest.mark.parametrize("key", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"])
    def test_a_secret_without_the_key(self, cluster: Cluster, key: str) -> None:
        cluster.lacks(f"secret-{key}")
        assert f"has no {key}" in self.refused(cluster, "production", "--image", NEW)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("LABEL_STUDIO_API_TOKEN", "changeme"),
            ("LABEL_STUDIO_API_TOKEN", "your-token-here"),
            ("LABEL_STUDIO_API_TOKEN", "<token>"),
            ("LABEL_STUDIO_API_TOKEN", "TODO"),
            ("LABEL_STUDIO_URL", "https://label-studio.yourdomain.com"),
            ("LABEL_STUDIO_URL", "https://label-studio.example.com"),
        ],
    )
    def test_a_placeholder_in_the_secret(self, cluster: Cluster, key: str, value: str) -> None:
        cluster.has(f"secret-{key}", value)
        assert f"{key} still holds a placeholder" in self.refused(cluster, "production", "--image", NEW)

    def test_a_label_studio_address_without_a_scheme(self, cluster: Cluster) -> None:
        cluster.has("secret-LABEL_STUDIO_URL", "label-studio.fh-swf.cloud")
        assert "has to begin with https://" in self.refused(cluster, "production", "--image", NEW)

    @pytest.mark.parametrize("image", ["", f"{NAME}:latest"])
    def test_no_image_when_none_runs_by_digest(self, cluster: Cluster, image: str) -> None:
        cluster.has("image", image)
        assert f"./deploy.sh production --image {NAME}@sha256:" in self.refused(cluster, "production")

    def test_a_difference_that_cannot_be_had(self, cluster: Cluster) -> None:
        cluster.has("diff-status", "2")
        assert "kubectl diff failed (exit 2), nothing was changed" in self.refused(cluster, "production")


class TestGoingBack:
    def test_a_rollout_that_fails_is_undone(self, cluster: Cluster) -> None:
        cluster.has("rollout-fails")
        result = cluster.deploy("production", "--image", NEW)
        assert result.returncode == 1
        assert "stub get pods" in result.stderr
        assert "stub get events" in result.stderr
        assert "stub logs" in result.stderr
        assert any("rollout undo" in call and call.endswith("--to-revision=7") for call in cluster.calls)
        assert f"{NEW} was not deployed; revision 7 ({OLD}) is running" in result.stderr

    def test_a_first_deployment_that_fails_is_left_to_look_at(self, cluster: Cluster) -> None:
        cluster.has("rollout-fails")
        cluster.lacks("revision")
        cluster.lacks("image")
        result = cluster.deploy("production", "--image", NEW)
        assert result.returncode == 1
        assert "no earlier version to go back to" in result.stderr
        assert not any("rollout undo" in call for call in cluster.calls)

    def test_an_undo_that_fails_is_said_so(self, cluster: Cluster) -> None:
        cluster.has("rollout-fails")
        cluster.has("undo-fails")
        result = cluster.deploy("production", "--image", NEW)
        assert result.returncode == 1
        assert "revision 7 does not become ready either" in result.stderr

    def test_objects_that_are_refused_end_the_deployment(self, cluster: Cluster) -> None:
        cluster.has("apply-fails")
        result = cluster.deploy("production", "--image", NEW)
        assert result.returncode == 1
        assert "the cluster refused some of the objects" in result.stderr
        assert not any("rollout status" in call for call in cluster.calls)


def test_the_kubectl_context_may_be_missing(cluster: Cluster) -> None:
    os.unlink(cluster.folder / "bin" / "kubectl")
    result = cluster.deploy("production")
    # /usr/bin may hold a kubectl of its own; without a kubeconfig it has no context.
    assert result.returncode == 1
    assert "no current context" in result.stderr or "kubectl is not installed" in result.stderr
