"""What the rendered manifests have to say, whatever else they say."""

import itertools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml

from adapters.http.gateway import BENTOML_ROUTES, POST_ROUTES
from adapters.http.routes import get_routes
from adapters.settings import Settings, load_settings
from adapters.time_limits import TIME_LIMITS
from runners.models.manifest import MODES

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]

ENVIRONMENTS = ["staging", "production"]
OPTIONAL = [
    "aggressive-scaling",
    "baked-models",
    "cert-resolver",
    "gpu",
    "high-traffic",
    "model-cache-pvc",
    "monitoring",
    "monitoring-password",
    "redis",
]
# Takes the place of Traefik's resources, so it is tested apart.
INSTEAD_OF_TRAEFIK = "plain-ingress"
COMBINATIONS = [
    (environment, components)
    for environment in ENVIRONMENTS
    for components in [(), *[(name,) for name in OPTIONAL], tuple(OPTIONAL), tuple(reversed(OPTIONAL))]
]
NAMESPACE = {"staging": "rtmlib-staging", "production": "rtmlib"}
# Made by cert-manager, and by the operator (deploy.sh checks it): not in the manifests.
KEEP_ALIVE_S = 5
# Measured after load with 8 callers and networks of the size of MODE=balanced (docs/measurements.md, "A pod"), and a
# prediction cache that is full: one entry worker has one.
STEADY_MEMORY = 1851 * 2**20 + Settings.model_fields["prediction_cache_bytes"].default
SECRETS_FROM_OUTSIDE = {"rtmlib-ml-backend-tls", "rtmlib-ml-backend-secrets"}


def one(manifests: list[Manifest], kind: str, name: str = "rtmlib-ml-backend") -> Manifest:
    found = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} {kind} {name}"
    return found[0]


def names(manifests: list[Manifest], kind: str) -> set[str]:
    return {m["metadata"]["name"] for m in manifests if m["kind"] == kind}


def container(manifests: list[Manifest]) -> dict[str, Any]:
    (only,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return only


def pods(manifests: list[Manifest]) -> list[dict[str, Any]]:
    return [m["spec"]["template"]["spec"] for m in manifests if m["kind"] == "Deployment"]


def settings(manifests: list[Manifest]) -> dict[str, str]:
    (name,) = [
        source["configMapRef"]["name"]
        for source in container(manifests)["envFrom"]
        if "configMapRef" in source
    ]
    return one(manifests, "ConfigMap", name)["data"]


def quantity(text: str) -> float:
    """Kubernetes' notation in bytes or cores."""
    factors = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "": 1.0}
    match = re.fullmatch(r"([0-9.]+)(m|Ki|Mi|Gi)?", str(text))
    assert match, text
    return float(match[1]) * factors[match[2] or ""]


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=COMBINATIONS, ids=lambda c: f"{c[0]}-{'+'.join(c[1]) or 'plain'}")
def combination(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    return render(*request.param)


class TestEveryCombination:
    def test_every_optional_component_is_among_the_combinations(self, root: Path) -> None:
        folders = {path.parent.name for path in (root / "k8s/components").glob("*/kustomization.yaml")}
        assert folders - {"hosts", INSTEAD_OF_TRAEFIK} == set(OPTIONAL)

    @pytest.mark.parametrize("name", ENVIRONMENTS)
    def test_every_optional_component_can_be_uncommented(self, root: Path, name: str) -> None:
        text = (root / "k8s/overlays" / name / "kustomization.yaml").read_text()
        assert set(re.findall(r"^  # - \.\./\.\./components/([a-z-]+)$", text, re.MULTILINE)) == {
            *OPTIONAL,
            INSTEAD_OF_TRAEFIK,
        }

    @pytest.mark.parametrize("pair", list(itertools.combinations(OPTIONAL, 2)), ids="+".join)
    def test_every_pair_of_components_renders(self, render: Render, pair: tuple[str, str]) -> None:
        assert one(render("production", pair), "Deployment")

    def test_no_object_is_rendered_twice(self, combination: list[Manifest]) -> None:
        keys = [(m["apiVersion"], m["kind"], m["metadata"]["name"]) for m in combination]
        assert len(keys) == len(set(keys))

    def test_everything_lies_in_the_namespace_of_the_environment(self, combination: list[Manifest]) -> None:
        (namespace,) = names(combination, "Namespace")
        assert {m["metadata"].get("namespace") for m in combination if m["kind"] != "Namespace"} == {
            namespace
        }

    def test_no_placeholder_host_is_left(self, combination: list[Manifest]) -> None:
        assert ".invalid" not in yaml.safe_dump_all(combination)

    def test_no_secret_is_in_the_manifests(self, combination: list[Manifest]) -> None:
        assert names(combination, "Secret") == set()

    def test_every_config_map_that_is_read_exists(self, combination: list[Manifest]) -> None:
        read = {
            source["configMapRef"]["name"]
            for pod in pods(combination)
            for c in pod["containers"]
            for source in c.get("envFrom", [])
            if "configMapRef" in source
        }
        assert read
        assert read <= names(combination, "ConfigMap")

    def test_every_secret_that_is_read_is_one_that_somebody_makes(self, combination: list[Manifest]) -> None:
        references = {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for pod in pods(combination)
            for c in pod["containers"]
            for variable in c.get("env", [])
            if "valueFrom" in variable
        } | {
            m["spec"]["tls"]["secretName"]
            for m in combination
            if m["kind"] == "IngressRoute" and "secretName" in m["spec"].get("tls", {})
        }
        assert references <= SECRETS_FROM_OUTSIDE

    def test_the_certificate_writes_the_secret_that_the_route_reads(
        self, combination: list[Manifest]
    ) -> None:
        tls = one(combination, "IngressRoute")["spec"]["tls"]
        certificates = [m for m in combination if m["kind"] == "Certificate"]
        if "certResolver" in tls:
            assert certificates == []
            assert "secretName" not in tls
        else:
            assert [c["spec"]["secretName"] for c in certificates] == [tls["secretName"]]

    def test_every_middleware_and_transport_of_a_route_exists(self, combination: list[Manifest]) -> None:
        routes = [r for m in combination if m["kind"] == "IngressRoute" for r in m["spec"]["routes"]]
        used = {reference["name"] for route in routes for reference in route["middlewares"]}
        assert used == names(combination, "Middleware"), "each one exists, and none is left over"
        transports = {s["serversTransport"] for r in routes for s in r["services"] if "serversTransport" in s}
        assert transports == names(combination, "ServersTransport")

    def test_routes_services_probes_and_the_setting_agree_on_the_port(
        self, combination: list[Manifest]
    ) -> None:
        service = one(combination, "Service", "rtmlib-ml-backend-service")
        (port,) = service["spec"]["ports"]
        (container_port,) = container(combination)["ports"]
        assert (
            port["port"]
            == container_port["containerPort"]
            == int(settings(combination)["BACKEND_PORT"])
            == 9090
        )
        assert port["targetPort"] == container_port["name"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container(combination)[probe]["httpGet"]["port"] == container_port["name"]
        for m in combination:
            if m["kind"] == "IngressRoute":
                for route in m["spec"]["routes"]:
                    assert [(s["name"], s["port"]) for s in route["services"]] == [
                        (service["metadata"]["name"], port["name"])
                    ]
            if m["kind"] == "ServiceMonitor":
                assert [(e["port"], e["path"]) for e in m["spec"]["endpoints"]] == [
                    (port["name"], "/metrics")
                ]

    def test_selectors_select_the_pods_and_nothing_that_can_change(self, combination: list[Manifest]) -> None:
        deployment = one(combination, "Deployment")
        selector = {"app": "rtmlib-ml-backend"}
        assert deployment["spec"]["selector"]["matchLabels"] == selector
        assert deployment["spec"]["template"]["metadata"]["labels"].items() >= selector.items()
        assert one(combination, "Service", "rtmlib-ml-backend-service")["spec"]["selector"] == selector
        assert one(combination, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == selector
        assert one(combination, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == selector

    def test_the_autoscaler_alone_sets_the_number_of_replicas(self, combination: list[Manifest]) -> None:
        assert "replicas" not in one(combination, "Deployment")["spec"]
        spec = one(combination, "HorizontalPodAutoscaler")["spec"]
        assert spec["scaleTargetRef"] == {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "rtmlib-ml-backend",
        }
        assert 1 <= spec["minReplicas"] < spec["maxReplicas"]

    def test_what_the_autoscaler_measures_is_requested(self, combination: list[Manifest]) -> None:
        requests = container(combination)["resources"]["requests"]
        for metric in one(combination, "HorizontalPodAutoscaler")["spec"]["metrics"]:
            assert metric["resource"]["name"] in requests

    def test_requests_lie_within_the_limits(self, combination: list[Manifest]) -> None:
        for pod in pods(combination):
            for c in pod["containers"]:
                for name, requested in c["resources"]["requests"].items():
                    assert quantity(requested) <= quantity(c["resources"]["limits"][name])

    def test_pods_keep_to_pod_security_restricted(self, combination: list[Manifest]) -> None:
        (namespace,) = [m for m in combination if m["kind"] == "Namespace"]
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        for pod in pods(combination):
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["runAsUser"] > 0
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert {"configMap", "emptyDir", "persistentVolumeClaim"} >= {
                key for volume in pod["volumes"] for key in volume if key != "name"
            }
            for c in pod["containers"]:
                assert c["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }

    def test_no_pod_gets_a_token_for_the_api_server(self, combination: list[Manifest]) -> None:
        assert [pod["automountServiceAccountToken"] for pod in pods(combination)] == [False] * len(
            pods(combination)
        )
        assert one(combination, "ServiceAccount")["automountServiceAccountToken"] is False

    def test_every_mounted_volume_and_claim_exists(self, combination: list[Manifest]) -> None:
        for pod in pods(combination):
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            assert {mount["name"] for c in pod["containers"] for mount in c["volumeMounts"]} == set(volumes)
            for volume in volumes.values():
                if "configMap" in volume:
                    assert volume["configMap"]["name"] in names(combination, "ConfigMap")
                elif "persistentVolumeClaim" in volume:
                    assert volume["persistentVolumeClaim"]["claimName"] in names(
                        combination, "PersistentVolumeClaim"
                    )
                else:
                    assert volume["emptyDir"]["sizeLimit"], "a volume without limit can fill the node"

    def test_a_pod_may_end_the_longest_prediction_before_it_is_killed(
        self, combination: list[Manifest]
    ) -> None:
        (*_, command) = container(combination)["lifecycle"]["preStop"]["exec"]["command"]
        match = re.fullmatch(r"python /etc/rtmlib/drain.py (\d+) (\d+) (\d+) \|\| sleep (\d+)", command)
        assert match, command
        port, pause, limit, after_failure = (int(number) for number in match.groups())
        grace = one(combination, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert port == 9090
        assert pause >= 10, "Traefik gathers changes for 2 s, and idle connections close after 5"
        assert (limit, grace) == (TIME_LIMITS.drain_s, TIME_LIMITS.grace_s)
        assert limit + after_failure <= grace - 10, "SIGTERM to the end takes 2 s"

    def test_an_update_never_takes_a_pod_away_before_its_successor_is_ready(
        self, combination: list[Manifest]
    ) -> None:
        assert one(combination, "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0

    def test_a_slow_start_is_no_failed_rollout(self, combination: list[Manifest]) -> None:
        probe = container(combination)["startupProbe"]
        allowed = probe["periodSeconds"] * probe["failureThreshold"]
        assert one(combination, "Deployment")["spec"]["progressDeadlineSeconds"] > allowed

    def test_probes_ask_readyz_and_livez(self, combination: list[Manifest]) -> None:
        paths = {
            name: container(combination)[name]["httpGet"]["path"]
            for name in ("startupProbe", "readinessProbe", "livenessProbe")
        }
        assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
        assert container(combination)["readinessProbe"]["timeoutSeconds"] > TIME_LIMITS.readiness_s

    def test_traefik_waits_longer_than_the_longest_prediction(self, combination: list[Manifest]) -> None:
        timeouts = one(combination, "ServersTransport")["spec"]["forwardingTimeouts"]
        assert int(timeouts["responseHeaderTimeout"].removesuffix("s")) == TIME_LIMITS.drain_s

    def test_traefik_closes_idle_connections_before_the_server_does(
        self, combination: list[Manifest]
    ) -> None:
        timeouts = one(combination, "ServersTransport")["spec"]["forwardingTimeouts"]
        assert int(timeouts["idleConnTimeout"].removesuffix("s")) < KEEP_ALIVE_S

    def test_memory_that_the_service_keeps_never_adds_pods(self, combination: list[Manifest]) -> None:
        targets = [
            metric["resource"]["target"]
            for metric in one(combination, "HorizontalPodAutoscaler")["spec"]["metrics"]
            if metric["resource"]["name"] == "memory"
        ]
        resources = container(combination)["resources"]
        for target in targets:
            if target["type"] == "Utilization":
                guard = target["averageUtilization"] / 100 * quantity(resources["requests"]["memory"])
            else:
                guard = quantity(target["averageValue"])
            assert 1.1 * STEADY_MEMORY < guard < quantity(resources["limits"]["memory"])

    def test_what_the_service_keeps_lies_within_the_limit(self, combination: list[Manifest]) -> None:
        assert quantity(container(combination)["resources"]["limits"]["memory"]) > STEADY_MEMORY


class TestAgreementWithTheService:
    """The manifests know the service only by names and numbers: these are the service's own."""

    def test_the_service_knows_the_mode(self, combination: list[Manifest]) -> None:
        assert settings(combination)["MODE"] in MODES

    def test_the_service_accepts_the_settings(
        self, combination: list[Manifest], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in settings(combination).items():
            monkeypatch.setenv(name, value)
        assert load_settings().backend_port == 9090

    def test_traefik_refuses_no_body_that_the_service_would_take(self, combination: list[Manifest]) -> None:
        limits = {
            m["spec"]["buffering"]["maxRequestBodyBytes"]
            for m in combination
            if "buffering" in m.get("spec", {})
        }
        assert limits == {Settings.model_fields["max_request_bytes"].default}


class TestEnvironments:
    def test_namespaces_differ(self, render: Render, environment: str) -> None:
        assert names(render(environment), "Namespace") == {NAMESPACE[environment]}

    @pytest.mark.parametrize(
        ("environment", "hosts"),
        [
            ("production", ["rtmlib.gawron.cloud", "rtmlib.fh-swf.cloud"]),
            ("staging", ["rtmlib-staging.gawron.cloud", "rtmlib-staging.fh-swf.cloud"]),
        ],
    )
    def test_routes_certificate_and_settings_name_the_hosts(
        self, render: Render, environment: str, hosts: list[str]
    ) -> None:
        manifests = render(environment)
        assert one(manifests, "Certificate")["spec"]["dnsNames"] == hosts
        rules = [r["match"] for m in manifests if m["kind"] == "IngressRoute" for r in m["spec"]["routes"]]
        assert len(rules) == 3
        assert [re.findall(r"Host\(`([^`]+)`\)", rule) for rule in rules] == [hosts] * 3
        (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert variables["BACKEND_HOSTS"] == ",".join(hosts), "or browsers would be refused"

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ("staging", {"LOG_LEVEL": "DEBUG", "DEBUG": "true", "CONFIDENCE_THRESHOLD": "0.3"}),
            ("production", {"LOG_LEVEL": "INFO", "DEBUG": "false", "CONFIDENCE_THRESHOLD": "0.5"}),
        ],
    )
    def test_settings(self, render: Render, environment: str, expected: dict[str, str]) -> None:
        common = {"DEVICE": "cpu", "BACKEND_TYPE": "onnxruntime", "MODE": "balanced"}
        assert settings(render(environment)).items() >= (expected | common).items()

    @pytest.mark.parametrize(
        ("environment", "requests", "limits"),
        [
            ("staging", {"memory": "1Gi", "cpu": "500m"}, {"memory": "2Gi", "cpu": "1"}),
            ("production", {"memory": "2Gi", "cpu": "1"}, {"memory": "4Gi", "cpu": "2"}),
        ],
    )
    def test_resources(
        self, render: Render, environment: str, requests: dict[str, str], limits: dict[str, str]
    ) -> None:
        assert container(render(environment))["resources"] == {"requests": requests, "limits": limits}

    @pytest.mark.parametrize(("environment", "least"), [("staging", 1), ("production", 3)])
    def test_scaling(self, render: Render, environment: str, least: int) -> None:
        spec = one(render(environment), "HorizontalPodAutoscaler")["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (least, 10)
        cpu, *guards = (metric["resource"] for metric in spec["metrics"])
        assert cpu == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
        assert guards == (
            [{"name": "memory", "target": {"type": "AverageValue", "averageValue": "3276Mi"}}]
            if environment == "production"
            else []  # a limit of 2 Gi leaves no room above what the service keeps
        )
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300

    def test_a_single_replica_does_not_block_a_node_drain(self, render: Render) -> None:
        budget = one(render("staging"), "PodDisruptionBudget")["spec"]
        assert budget["maxUnavailable"] == 1
        assert "minAvailable" not in budget

    def test_the_address_inside_the_cluster_is_the_documented_one(self, render: Render) -> None:
        service = one(render("production"), "Service", "rtmlib-ml-backend-service")
        (port,) = service["spec"]["ports"]
        address = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local:{port['port']}"
        assert address == "rtmlib-ml-backend-service.rtmlib.svc.cluster.local:9090"


class TestComponents:
    def test_gpu(self, render: Render, environment: str) -> None:
        manifests = render(environment, ("gpu",))
        assert settings(manifests).items() >= {"DEVICE": "cuda", "MODE": "performance"}.items()
        assert container(manifests)["image"].endswith(":latest-gpu")
        assert container(manifests)["resources"]["limits"]["nvidia.com/gpu"] == "1"
        pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
        assert pod["nodeSelector"]["kubernetes.io/arch"] == "amd64"
        assert [t["key"] for t in pod["tolerations"]] == ["nvidia.com/gpu"]

    def test_baked_models(self, render: Render, environment: str) -> None:
        def model_folders(manifests: list[Manifest]) -> list[str]:
            return [v["value"] for v in container(manifests)["env"] if v["name"] == "MODEL_CACHE_DIR"]

        assert model_folders(render(environment)) == ["/models"]
        assert "/models" in {mount["mountPath"] for mount in container(render(environment))["volumeMounts"]}
        baked = render(environment, ("gpu", "baked-models"))
        assert model_folders(baked) == []
        assert settings(baked)["MODE"] == "embedded"

        assert container(render(environment, ("baked-models",)))["image"].endswith(":latest-baked")

    def test_plain_ingress_takes_the_place_of_traefiks_resources(
        self, render: Render, environment: str
    ) -> None:
        others = tuple(name for name in OPTIONAL if name != "cert-resolver")
        plain, *_ = (render(environment, (*components, INSTEAD_OF_TRAEFIK)) for components in [(), others])
        assert [m["kind"] for m in plain if m["apiVersion"].startswith("traefik.io")] == []
        assert ".invalid" not in yaml.safe_dump_all(plain)
        ingress, certificate = one(plain, "Ingress")["spec"], one(plain, "Certificate")["spec"]
        (tls,) = ingress["tls"]
        assert (tls["secretName"], tls["hosts"]) == (certificate["secretName"], certificate["dnsNames"])
        assert [rule["host"] for rule in ingress["rules"]] == certificate["dnsNames"]
        for rule in ingress["rules"]:
            exact = {path["path"] for path in rule["http"]["paths"] if path["pathType"] == "Exact"}
            prefixes = {path["path"] for path in rule["http"]["paths"] if path["pathType"] == "Prefix"}
            served = {
                route
                for route in {*get_routes(Mock(), dict), *BENTOML_ROUTES, *POST_ROUTES}
                if not route.startswith(tuple(prefixes))
            } - {"/metrics"}
            assert exact == served
            for path in rule["http"]["paths"]:
                assert path["backend"]["service"] == {
                    "name": "rtmlib-ml-backend-service", "port": {"name": "http"},
                }  # fmt: skip

    def test_high_traffic(self, render: Render, environment: str) -> None:
        assert container(render(environment, ("high-traffic",)))["resources"] == {
            "requests": {"memory": "4Gi", "cpu": "2"},
            "limits": {"memory": "8Gi", "cpu": "4"},
        }

    def test_aggressive_scaling(self, render: Render, environment: str) -> None:
        spec = one(render(environment, ("aggressive-scaling",)), "HorizontalPodAutoscaler")["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (5, 20)
        cpu, *guards = spec["metrics"]
        assert cpu["resource"]["target"]["averageUtilization"] == 50
        before = one(render(environment), "HorizontalPodAutoscaler")["spec"]["metrics"][1:]
        assert guards == before, "an earlier guard would lie at what the networks keep"

    def test_redis_is_reachable_from_the_backend_only(self, render: Render, environment: str) -> None:
        manifests = render(environment, ("redis",))
        service = one(manifests, "Service", "rtmlib-redis")
        assert (
            settings(manifests)["REDIS_URL"]
            == f"redis://rtmlib-redis:{service['spec']['ports'][0]['port']}/0"
        )
        (rule,) = one(manifests, "NetworkPolicy", "rtmlib-redis")["spec"]["ingress"]
        assert rule["from"] == [{"podSelector": {"matchLabels": {"app": "rtmlib-ml-backend"}}}]

    def test_the_model_cache_is_ten_gibibytes_in_both_forms(self, render: Render, environment: str) -> None:
        volumes = one(render(environment), "Deployment")["spec"]["template"]["spec"]["volumes"]
        assert {"name": "models", "emptyDir": {"sizeLimit": "10Gi"}} in volumes
        manifests = render(environment, ("model-cache-pvc",))
        claim = one(manifests, "PersistentVolumeClaim", "rtmlib-model-cache")["spec"]
        assert claim["resources"]["requests"]["storage"] == "10Gi"
        assert claim["accessModes"] == ["ReadWriteMany"]
        volumes = one(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
        assert {"name": "models", "persistentVolumeClaim": {"claimName": "rtmlib-model-cache"}} in volumes

    def test_the_service_monitor_selects_the_service(self, render: Render, environment: str) -> None:
        manifests = render(environment, ("monitoring",))
        wanted = one(manifests, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
        selected = {
            m["metadata"]["name"]
            for m in manifests
            if m["kind"] == "Service" and m["metadata"].get("labels", {}).items() >= wanted.items()
        }
        assert selected == {"rtmlib-ml-backend-service"}


@pytest.mark.parametrize("version", ["1.32.0", "1.37.0"])
def test_kubernetes_accepts_every_field(
    render: Render, tool: Callable[[str], str], tmp_path: Path, version: str
) -> None:
    files: list[str] = []
    for number, (environment, components) in enumerate(COMBINATIONS):
        path = tmp_path / f"{number}-{environment}.yaml"
        path.write_text(yaml.safe_dump_all(render(environment, components)))
        files.append(str(path))
    result = subprocess.run(
        [tool("kubernetes-validate"), "--strict", "--no-warn", "--kubernetes-version", version, *files],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_field_check_sees_a_wrong_field(
    render: Render, tool: Callable[[str], str], tmp_path: Path
) -> None:
    manifests = render("production")
    one(manifests, "HorizontalPodAutoscaler")["spec"]["targetCPUUtilizationPercentage"] = 70
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump_all(manifests))
    result = subprocess.run(
        [tool("kubernetes-validate"), "--strict", "--no-warn", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode != 0


def test_custom_resources_keep_to_their_schemas(
    render: Render, tool: Callable[[str], str], schemas: Path, tmp_path: Path
) -> None:
    by_schema: dict[Path, list[str]] = {}
    for environment in ENVIRONMENTS:
        # Each combination's custom resources are those of the plain overlay, of all components, or of cert-resolver.
        for components in [(), tuple(OPTIONAL)]:
            for m in render(environment, components):
                group, _, version = m["apiVersion"].partition("/")
                schema = schemas / group / f"{m['kind'].lower()}_{version}.json"
                if not version or group.endswith("k8s.io") or "." not in group:
                    continue
                assert schema.exists(), f"no schema for {m['apiVersion']} {m['kind']}"
                files = by_schema.setdefault(schema, [])
                path = tmp_path / f"{schema.stem}-{len(files)}.yaml"
                path.write_text(yaml.safe_dump(m))
                files.append(str(path))
    assert {schema.stem for schema in by_schema} == {
        "certificate_v1", "ingressroute_v1alpha1", "middleware_v1alpha1", "serverstransport_v1alpha1",
        "prometheusrule_v1", "servicemonitor_v1",
    }  # fmt: skip
    for schema, files in by_schema.items():
        # One pattern of the operator's is in Go's dialect, which no JSON Schema is written in.
        readable = tmp_path / schema.name
        readable.write_text(schema.read_text().replace("^(?i)", "^"))
        result = subprocess.run(
            [tool("check-jsonschema"), "--schemafile", str(readable), *files],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr


def test_no_secret_value_is_in_the_repository(root: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "k8s", ".github", "docs", "deploy.sh"],
        cwd=root, capture_output=True, text=True, timeout=30, check=True,
    ).stdout.split("\0")  # fmt: skip
    files = [root / name for name in tracked if name]
    assert files
    private = re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY|kind: Secret\b|client-key-data: \S+|eyJ[A-Za-z0-9_-]{20,}\."
    )
    assert [path.name for path in files if private.search(path.read_text(errors="replace"))] == []


def test_prometheus_sends_the_password_that_the_backend_asks_for(render: Render) -> None:
    monitor = next(
        manifest
        for manifest in render("production", ("monitoring", "monitoring-password"))
        if manifest["kind"] == "ServiceMonitor"
    )
    keys = {name: ref["key"] for name, ref in monitor["spec"]["endpoints"][0]["basicAuth"].items()}
    assert keys == {"username": "BASIC_AUTH_USER", "password": "BASIC_AUTH_PASS"}
