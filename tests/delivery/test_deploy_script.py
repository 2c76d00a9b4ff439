"""deploy.sh with the real kubectl, against an API server that knows field managers (`cluster_stub.py`)."""

import copy
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .cluster import TOKEN, Cluster
from .cluster_stub import KINDS
from .conftest import Render
from .test_manifests import OPTIONAL

NAME = "ghcr.io/fhswf/dgs-pg-gruppe-1/rtmlib-ml-backend"
OLD = f"{NAME}@sha256:{'a' * 64}"
NEW = f"{NAME}@sha256:{'b' * 64}"

Manifest = dict[str, Any]


@pytest.fixture
def cluster(tmp_path: Path, checkout: Path, tool: Callable[[str], str]) -> Iterator[Cluster]:
    running = Cluster(tmp_path, checkout, tool("kubectl"))
    running.start()
    yield running
    running.stop()


def switch_on(checkout: Path, *components: str) -> None:
    """Uncomment components of the production overlay."""
    path = checkout / "k8s/overlays/production/kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["components"] += [f"../../components/{name}" for name in components]
    path.write_text(yaml.safe_dump(kustomization))


class TestDeploying:
    @pytest.mark.parametrize(
        ("environment", "namespace"), [("staging", "rtmlib-staging"), ("production", "rtmlib")]
    )
    def test_applies_the_overlay_with_the_image_by_digest(
        self, cluster: Cluster, environment: str, namespace: str
    ) -> None:
        result = cluster.deploy(environment, "--image", NEW)
        assert result.returncode == 0, result.stderr
        assert cluster.image(namespace) == NEW
        template = cluster.deployment(namespace)["spec"]["template"]
        secret = cluster.get("secrets", namespace, "rtmlib-ml-backend-secrets")
        assert (
            template["metadata"]["annotations"]["rtmlib-ml-backend/secret-version"]
            == secret["metadata"]["resourceVersion"]
        ), "a new version of the secret makes new pods"

    def test_keeps_the_running_image_without_the_option(self, cluster: Cluster) -> None:
        mirror = f"registry.fh-swf.de:5000/rtmlib/backend@sha256:{'c' * 64}"
        assert cluster.deploy("production", "--image", mirror).returncode == 0
        assert cluster.deploy("production").returncode == 0
        assert cluster.image() == mirror

    def test_a_dry_run_shows_the_difference_and_changes_nothing(self, cluster: Cluster) -> None:
        result = cluster.deploy("production", "--image", NEW, "--dry-run")
        assert result.returncode == 0, result.stderr
        assert re.search(rf"^\+ +(- )?image: {NEW}$", result.stdout, re.MULTILINE)
        assert cluster.changes == []

    def test_success_needs_the_minimum_of_the_autoscaler(self, cluster: Cluster) -> None:
        cluster.room = 1
        result = cluster.deploy("production", "--image", NEW, "--timeout", "2s")
        assert result.returncode == 1
        assert "Only 1 of at least 3 pods are available." in result.stderr

    def test_help_needs_no_cluster(self, cluster: Cluster) -> None:
        result = cluster.deploy("--help")
        assert result.returncode == 0
        assert "--dry-run" in result.stdout
        assert cluster.calls == []


class TestCredentialsOfOneNamespace:
    def test_they_can_deploy(self, cluster: Cluster) -> None:
        cluster.forbidden = {(verb, "namespaces") for verb in ("get", "list", "patch", "create")}
        cluster.forbidden.add(("list", "servicemonitors"))
        result = cluster.deploy("production", "--image", NEW)
        assert result.returncode == 0, result.stderr
        assert "may not read the namespace object" in result.stdout
        assert 'cannot list resource "servicemonitors"' in result.stderr, "what was taken out of them stays"

    def test_the_role_has_every_kind_that_is_applied_or_looked_for(self, root: Path, render: Render) -> None:
        (role,) = [
            manifest
            for manifest in yaml.safe_load_all((root / "k8s/deploy/role.yaml").read_text())
            if manifest["kind"] == "Role"
        ]
        allowed = {
            f"{resource}.{group}".rstrip("."): set(rule["verbs"])
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        script = (root / "deploy.sh").read_text()
        searched = re.search(r'^readonly KINDS="([^"]+)"$', script, re.MULTILINE)
        assert searched
        kinds = searched[1].split()
        rendered = {
            f"{KINDS[manifest['apiVersion'], manifest['kind']]}.{manifest['apiVersion'].rpartition('/')[0]}".rstrip(
                "."
            )
            for components in [(), tuple(OPTIONAL)]
            for manifest in render("production", components)
            if manifest["kind"] != "Namespace"
        }
        assert rendered <= set(kinds)
        assert all(allowed[kind] >= {"get", "list", "create", "patch", "delete"} for kind in kinds)
        assert "watch" in allowed["deployments.apps"], "rollout status"
        assert {"secrets", "pods", "pods/log", "events", "replicasets.apps"} <= allowed.keys()

    @pytest.mark.parametrize("plural", ["secrets", "deployments"])
    def test_a_refusal_is_named_for_what_it_is(self, cluster: Cluster, plural: str) -> None:
        cluster.forbidden = {("get", plural), ("list", plural)}
        result = cluster.deploy("production", "--image", NEW)
        assert result.returncode == 1
        assert f'cannot get resource "{plural}"' in result.stderr
        assert "k8s/deploy/role.yaml has the rights that deploy.sh needs" in result.stderr
        assert "To make it" not in result.stderr


class TestRefusing:
    """Before anything is changed, with one message that says what to do."""

    def refused(self, cluster: Cluster, *arguments: str) -> str:
        result = cluster.deploy(*arguments)
        assert result.returncode == 1
        assert cluster.changes == []
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
        kubeconfig = yaml.safe_load((cluster.folder / "kubeconfig").read_text())
        kubeconfig["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
        (cluster.folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        assert "cluster of context stub-cluster does not answer" in self.refused(
            cluster, "staging", "--image", NEW
        )

    def test_a_missing_namespace(self, cluster: Cluster) -> None:
        cluster.remove("namespaces", "", "rtmlib-staging")
        message = self.refused(cluster, "staging", "--image", NEW)
        assert "kubectl apply --server-side -f k8s/overlays/staging/namespace.yaml" in message

    def test_a_missing_secret(self, cluster: Cluster) -> None:
        cluster.remove("secrets", "rtmlib", "rtmlib-ml-backend-secrets")
        message = self.refused(cluster, "production", "--image", NEW)
        assert "kubectl create secret generic rtmlib-ml-backend-secrets --namespace rtmlib" in message

    @pytest.mark.parametrize("key", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"])
    def test_a_secret_without_the_key(self, cluster: Cluster, key: str) -> None:
        both = {"LABEL_STUDIO_URL": "https://label-studio.fh-swf.cloud", "LABEL_STUDIO_API_TOKEN": TOKEN}
        cluster.set_secret("rtmlib", **{name: value for name, value in both.items() if name != key})
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
        both = {"LABEL_STUDIO_URL": "https://label-studio.fh-swf.cloud", "LABEL_STUDIO_API_TOKEN": TOKEN}
        cluster.set_secret("rtmlib", **both | {key: value})
        assert f"{key} still holds a placeholder" in self.refused(cluster, "production", "--image", NEW)

    def test_a_label_studio_address_without_a_scheme(self, cluster: Cluster) -> None:
        cluster.set_secret(
            "rtmlib", LABEL_STUDIO_URL="label-studio.fh-swf.cloud", LABEL_STUDIO_API_TOKEN=TOKEN
        )
        assert "has to begin with https://" in self.refused(cluster, "production", "--image", NEW)

    def test_no_image_when_none_runs_by_digest(self, cluster: Cluster) -> None:
        assert f"./deploy.sh production --image {NAME}@sha256:" in self.refused(cluster, "production")

    def test_objects_that_the_cluster_refuses(self, cluster: Cluster) -> None:
        cluster.refused = {"rate-limit"}
        message = self.refused(cluster, "production", "--image", NEW)
        assert "kubectl diff failed" in message
        assert 'admission webhook "policy" denied the request: rate-limit' in message


class TestGoingBack:
    def test_every_object_is_as_before(self, cluster: Cluster, checkout: Path) -> None:
        assert cluster.deploy("production", "--image", OLD).returncode == 0
        before = {plural: cluster.names(plural, "rtmlib") for plural in SETS}
        template = cluster.deployment()["spec"]["template"]
        switch_on(checkout, "high-traffic", "aggressive-scaling", "redis", "gpu")
        cluster.fails_with(NEW)

        result = cluster.deploy("production", "--image", NEW, "--timeout", "1s")

        assert result.returncode == 1
        assert f"{NEW} was not deployed; revision 1 ({OLD}) is running" in result.stderr
        assert cluster.deployment()["spec"]["template"] == template, "no node selector, no setting stays"
        assert (
            cluster.get("horizontalpodautoscalers", "rtmlib", "rtmlib-ml-backend")["spec"]["minReplicas"] == 3
        )
        assert {plural: cluster.names(plural, "rtmlib") for plural in SETS} == {
            **before, "configmaps": before["configmaps"] | new_settings(cluster, NEW),
        }  # fmt: skip
        managers = {e["manager"] for e in cluster.deployment()["metadata"]["managedFields"]}
        assert managers == {"rtmlib-deploy"}, "nobody else owns a field that a later apply cannot remove"
        # And once more: what was put back is the record now.
        assert cluster.deploy("production", "--image", NEW, "--timeout", "1s").returncode == 1
        assert cluster.deployment()["spec"]["template"] == template

    def test_what_an_undo_by_hand_put_back_is_removed(self, cluster: Cluster, checkout: Path) -> None:
        switch_on(checkout, "gpu")
        assert cluster.deploy("production", "--image", OLD).returncode == 0
        shutil.rmtree(checkout / "k8s/overlays/production")
        shutil.copytree(ROOT / "k8s/overlays/production", checkout / "k8s/overlays/production")
        assert cluster.deploy("production", "--image", NEW).returncode == 0
        undone = cluster.run(
            "kubectl", "rollout", "undo", "deployment/rtmlib-ml-backend", "--namespace=rtmlib"
        )
        assert undone.returncode == 0, undone.stderr
        assert "nodeSelector" in cluster.deployment()["spec"]["template"]["spec"]

        shown = cluster.deploy("production", "--image", NEW, "--dry-run")
        result = cluster.deploy("production", "--image", NEW)

        assert "The pods were also changed by hand (kubectl)." in shown.stdout
        assert result.returncode == 0, result.stderr
        pod = cluster.deployment()["spec"]["template"]["spec"]
        assert "nodeSelector" not in pod
        assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
        assert "last-applied" not in str(cluster.deployment())

    def test_without_a_record_the_pods_go_back(self, cluster: Cluster) -> None:
        assert cluster.deploy("production", "--image", OLD).returncode == 0
        cluster.remove("configmaps", "rtmlib", "rtmlib-ml-backend-deployed")
        cluster.fails_with(NEW)
        result = cluster.deploy("production", "--image", NEW, "--timeout", "1s")
        assert result.returncode == 1
        assert "Going back to the pods of revision 1." in result.stderr
        assert cluster.image() == OLD

    def test_one_that_fails_too_is_said_so(self, cluster: Cluster) -> None:
        assert cluster.deploy("production", "--image", OLD).returncode == 0
        cluster.fails_with(NEW, OLD)
        result = cluster.deploy("production", "--image", NEW, "--timeout", "1s")
        assert result.returncode == 1
        assert "revision 1 does not become ready either" in result.stderr

    def test_a_first_deployment_that_fails_is_left_to_look_at_with_the_reasons(
        self, cluster: Cluster
    ) -> None:
        cluster.fails_with(NEW)
        for pod in pods():
            cluster.put(pod)
        cluster.logs = {
            "rtmlib-ml-backend-2": "MODE must be one of",
            "rtmlib-ml-backend-3 before": "out of memory",
        }
        cluster.put(event("scheduler's", eventTime="2026-11-30T00:00:01.000000Z"))
        for number in range(40):
            cluster.put(event(f"old-{number}", lastTimestamp="2026-11-29T00:00:00Z"))
        result = cluster.deploy("production", "--image", NEW, "--timeout", "1s")
        assert result.returncode == 1
        assert "no earlier version to go back to" in result.stderr
        assert cluster.image() == NEW
        assert "0/3 nodes are available: 3 Insufficient cpu" in result.stderr
        assert "ImagePullBackOff: no such digest" in result.stderr
        assert "the event of scheduler's" in result.stderr, "not cut off before the older ones"
        assert "MODE must be one of" in result.stderr
        assert "out of memory" in result.stderr, "the first pod has no log, and the last one has"


SETS = ["configmaps", "deployments", "services", "networkpolicies", "horizontalpodautoscalers", "middlewares"]
ROOT = Path(__file__).parents[2]


def new_settings(cluster: Cluster, image: str) -> set[str]:
    """ConfigMaps that only the replica set with `image` names."""
    return {
        source["configMapRef"]["name"]
        for name in cluster.names("replicasets", "rtmlib")
        for container in [
            cluster.get("replicasets", "rtmlib", name)["spec"]["template"]["spec"]["containers"][0]
        ]
        if container["image"] == image
        for source in container["envFrom"]
    }


def pods() -> list[Manifest]:
    unschedulable = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu",
    }  # fmt: skip
    waiting = {
        "name": "ml-backend",
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such digest"}},
    }
    statuses: list[Manifest] = [{"conditions": [unschedulable]}, {"containerStatuses": [waiting]}, {}]
    return [
        {
            "apiVersion": "v1", "kind": "Pod", "status": status,
            "metadata": {
                "name": f"rtmlib-ml-backend-{number}", "namespace": "rtmlib", "labels": {"app": "rtmlib-ml-backend"},
            },
            "spec": {"containers": [{"name": "ml-backend", "image": NEW}]},
        }
        for number, status in enumerate(statuses, start=1)
    ]  # fmt: skip


def event(name: str, **when: str) -> Manifest:
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "rtmlib"}, "type": "Warning",
        "reason": "FailedScheduling", "message": f"the event of {name}",
        "involvedObject": {"kind": "Pod", "name": "rtmlib-ml-backend-1"}, **when,
    }  # fmt: skip


class TestPruning:
    def test_what_was_taken_out_goes_after_the_rollout(self, cluster: Cluster, checkout: Path) -> None:
        overlay = (checkout / "k8s/overlays/production/kustomization.yaml").read_text()
        switch_on(checkout, "redis", "monitoring")
        assert cluster.deploy("production", "--image", OLD).returncode == 0
        redis = copy.deepcopy(cluster.get("deployments", "rtmlib", "rtmlib-redis"))
        redis["metadata"]["namespace"] = "rtmlib-staging"
        cluster.put(redis)
        theirs = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "theirs", "namespace": "rtmlib"},
        }
        cluster.put(theirs | {"spec": {}})
        job = {
            "name": "rtmlib-preannotate-config",
            "namespace": "rtmlib",
            "labels": {"app.kubernetes.io/part-of": "rtmlib"},
        }
        cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": job, "data": {}})
        (checkout / "k8s/overlays/production/kustomization.yaml").write_text(overlay)

        shown = cluster.deploy("production", "--dry-run")
        assert cluster.names("deployments", "rtmlib") == {"rtmlib-ml-backend", "rtmlib-redis"}
        result = cluster.deploy("production")

        assert result.returncode == 0, result.stderr
        for gone in (
            "Deployment/rtmlib-redis apps/v1",
            "ServiceMonitor/rtmlib-ml-backend monitoring.coreos.com/v1",
        ):
            assert f"\n  {gone}\n" in shown.stdout
        assert cluster.names("deployments", "rtmlib") == {"rtmlib-ml-backend"}
        assert cluster.names("servicemonitors", "rtmlib") == set()
        assert cluster.names("services", "rtmlib") == {"rtmlib-ml-backend-service", "theirs"}
        assert "rtmlib-preannotate-config" in cluster.names("configmaps", "rtmlib")
        assert cluster.names("deployments", "rtmlib-staging") == {"rtmlib-redis"}, "another namespace's"

    def test_settings_go_with_the_last_pods_that_name_them(self, cluster: Cluster, checkout: Path) -> None:
        path = checkout / "k8s/overlays/production/kustomization.yaml"
        text = path.read_text()
        for level in ("INFO", "DEBUG"):
            path.write_text(text.replace("LOG_LEVEL=INFO", f"LOG_LEVEL={level}"))
            assert cluster.deploy("production", "--image", OLD).returncode == 0
        settings = {
            n for n in cluster.names("configmaps", "rtmlib") if n.startswith("rtmlib-ml-backend-config-")
        }
        assert len(settings) == 2, "a version that `kubectl rollout undo` can go back to finds its settings"
        for name in cluster.names("replicasets", "rtmlib"):
            cluster.remove("replicasets", "rtmlib", name)
        assert cluster.deploy("production", "--image", OLD).returncode == 0
        settings = {
            n for n in cluster.names("configmaps", "rtmlib") if n.startswith("rtmlib-ml-backend-config-")
        }
        assert len(settings) == 1


def test_a_plain_apply_as_documented_does_not_conflict(cluster: Cluster, checkout: Path) -> None:
    manual = (ROOT / "docs/deployment.md").read_text()
    options = re.search(
        r"kubectl kustomize k8s/overlays/production \|\n *kubectl apply (--server-side .*) -f -", manual
    )
    assert options, "the manual shows a plain apply"
    switch_on(checkout, "high-traffic")
    rendered = cluster.run("kubectl", "kustomize", str(checkout / "k8s/overlays/production")).stdout
    (cluster.folder / "rendered.yaml").write_text(rendered)
    plain = cluster.run("kubectl", "apply", *options[1].split(), "-f", str(cluster.folder / "rendered.yaml"))
    assert plain.returncode == 0, plain.stderr
    shutil.rmtree(checkout / "k8s/overlays/production")
    shutil.copytree(ROOT / "k8s/overlays/production", checkout / "k8s/overlays/production")
    assert cluster.deploy("production", "--image", NEW).returncode == 0
    (container,) = cluster.deployment()["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
    assert {e["manager"] for e in cluster.deployment()["metadata"]["managedFields"]} == {"rtmlib-deploy"}


def test_the_kubectl_context_may_be_missing(cluster: Cluster) -> None:
    os.unlink(cluster.folder / "bin" / "kubectl")
    del cluster.environment["KUBECONFIG"]
    result = cluster.deploy("production")
    # /usr/bin may hold a kubectl of its own; without a kubeconfig it has no context.
    assert result.returncode == 1
    assert "no current context" in result.stderr or "kubectl is not installed" in result.stderr
