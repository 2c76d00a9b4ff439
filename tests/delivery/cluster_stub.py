"""A Kubernetes API server that kubectl can write to: field managers, and what deploy.sh sees of the controllers."""

import copy
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.support.http_server import Handler

from . import field_managers

Manifest = dict[str, Any]

# API version -> plural -> kind.
RESOURCES: dict[str, dict[str, str]] = {
    "v1": {
        "configmaps": "ConfigMap", "events": "Event", "namespaces": "Namespace", "pods": "Pod",
        "persistentvolumeclaims": "PersistentVolumeClaim", "secrets": "Secret",
        "serviceaccounts": "ServiceAccount", "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment", "replicasets": "ReplicaSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy", "ingresses": "Ingress"},
    "traefik.io/v1alpha1": {
        "ingressroutes": "IngressRoute", "middlewares": "Middleware", "serverstransports": "ServersTransport",
    },
    "cert-manager.io/v1": {"certificates": "Certificate"},
    "monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor", "prometheusrules": "PrometheusRule"},
}  # fmt: skip
KINDS = {(api, kind): plural for api, plurals in RESOURCES.items() for plural, kind in plurals.items()}
DEPLOYMENT = ("deployments", "rtmlib-ml-backend")
REVISION = "deployment.kubernetes.io/revision"
WATCH_SECONDS = 20.0
Key = tuple[str, str, str]


class ClusterStub:
    """An API server on a loopback port, from `start` to `stop`.

    Pods of the Deployment become available at once where `becomes_ready` says so of their template, as many as the
    autoscaler's minimum but no more than `room`. `forbidden` holds (verb, plural) that the credentials lack.
    """

    def __init__(self) -> None:
        self.becomes_ready: Callable[[Manifest], bool] = lambda template: True
        self.room = 20
        self.forbidden: set[tuple[str, str]] = set()
        self.refused: set[str] = set()
        self.logs: dict[str, str] = {}
        self.writes: list[str] = []
        self._version = 0
        self._objects: dict[Key, Manifest] = {}
        self._changed = threading.Condition(threading.RLock())
        stub = self

        class ApiServer(Handler):
            protocol_version = "HTTP/1.1"
            # Or each answer's body waits 40 ms for the client to acknowledge its head.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                stub.answer(self)

            do_PATCH = do_DELETE = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def kubeconfig(self) -> str:
        """The credentials, as a file has them."""
        return yaml.safe_dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "stub-cluster",
                "clusters": [{"name": "stub", "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"}}],
                "contexts": [{"name": "stub-cluster", "context": {"cluster": "stub", "user": "stub"}}],
                "users": [{"name": "stub", "user": {"token": "3c9d1f"}}],
            }
        )  # fmt: skip

    # --- what tests ask and set ---

    def names(self, plural: str, namespace: str) -> set[str]:
        return {name for kind, space, name in self._objects if (kind, space) == (plural, namespace)}

    def get(self, plural: str, namespace: str, name: str) -> Manifest:
        return self._objects[plural, namespace, name]

    def put(self, manifest: Manifest) -> None:
        """Make an object, as a controller or another person."""
        with self._changed:
            self._store(copy.deepcopy(manifest))

    def remove(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object, as a controller or another person."""
        with self._changed:
            del self._objects[plural, namespace, name]

    # --- storage, and the controllers ---

    def _store(self, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        plural = KINDS[manifest["apiVersion"], manifest["kind"]]
        key = (plural, metadata.get("namespace", ""), metadata["name"])
        before = self._objects.get(key)
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        metadata.setdefault("uid", hashlib.sha256(repr(key).encode()).hexdigest()[:32])
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        if not before or before.get("spec") != manifest.get("spec"):
            metadata["generation"] = (before["metadata"]["generation"] if before else 0) + 1
        self._objects[key] = manifest
        if key[::2] == DEPLOYMENT or plural == "horizontalpodautoscalers":
            self._control(metadata["namespace"])
        self._changed.notify_all()
        return manifest

    def _control(self, namespace: str) -> None:
        """What the controllers make of the Deployment: a ReplicaSet for each template, replicas, the status."""
        deployment = self._objects.get((DEPLOYMENT[0], namespace, DEPLOYMENT[1]))
        scaler = self._objects.get(("horizontalpodautoscalers", namespace, DEPLOYMENT[1]))
        if not deployment:
            return
        spec, template = deployment["spec"], deployment["spec"]["template"]
        least = scaler["spec"]["minReplicas"] if scaler else 1
        spec["replicas"] = min(max(spec.get("replicas", 1), least), self.room)
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        name = f"{DEPLOYMENT[1]}-{digest}"
        annotations = deployment["metadata"].setdefault("annotations", {})
        replica_sets = self._list("replicasets", namespace, "")
        current = self._objects.get(("replicasets", namespace, name))
        newest = max((int(r["metadata"]["annotations"][REVISION]) for r in replica_sets), default=0)
        if not current or int(current["metadata"]["annotations"][REVISION]) < newest:
            annotations[REVISION] = str(newest + 1)
        labels = template["metadata"].get("labels", {}) | {"pod-template-hash": digest}
        self._version += 1
        self._objects["replicasets", namespace, name] = {
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": namespace, "labels": labels, "uid": digest,
                "resourceVersion": str(self._version), "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {REVISION: annotations[REVISION]},
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT[1], "controller": True,
                    "uid": deployment["metadata"]["uid"],
                }],
            },
            "spec": {
                "replicas": spec["replicas"], "selector": spec["selector"],
                "template": copy.deepcopy(template)
                | {"metadata": copy.deepcopy(template["metadata"]) | {"labels": labels}},
            },
        }  # fmt: skip
        ready = spec["replicas"] if self.becomes_ready(template) else 0
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"], "replicas": spec["replicas"],
            "updatedReplicas": spec["replicas"], "readyReplicas": ready, "availableReplicas": ready,
        }  # fmt: skip

    def _list(self, plural: str, namespace: str | None, selector: str) -> list[Manifest]:
        wanted = dict(part.split("=", 1) for part in selector.split(",") if part)
        return [
            manifest
            for (kind, space, _), manifest in sorted(self._objects.items())
            if kind == plural
            and namespace in (None, space)
            and manifest["metadata"].get("labels", {}).items() >= wanted.items()
        ]

    # --- HTTP ---

    def answer(self, request: Handler) -> None:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if (document := discovery(parts)) is not None:
            _send(request, 200, document)
            return
        if parts[0] not in ("api", "apis"):
            _send(request, 404, _failure("NotFound", 404, "not found"))
            return
        api, rest = ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = None
        if len(rest) >= 3 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        if plural not in RESOURCES.get(api, {}):
            _send(request, 404, _failure("NotFound", 404, f"{plural} not found"))
            return
        verb = {"GET": "get" if name else "list", "PATCH": "patch", "DELETE": "delete", "POST": "create"}[
            request.command
        ]
        if (verb, plural) in self.forbidden:
            said = f'{plural} "{name}" is forbidden: User "deployer" cannot {verb} resource "{plural}"'
            _send(request, 403, _failure("Forbidden", 403, said))
        elif rest[2:] == ["log"]:
            self._log(request, name, previous="previous" in query)
        elif query.get("watch") in ("true", "1"):
            self._watch(request, plural, namespace, query)
        elif not name:
            items = self._list(plural, namespace, query.get("labelSelector", ""))
            kind = RESOURCES[api][plural]
            meta = {"resourceVersion": str(self._version)}
            _send(request, 200, {"apiVersion": api, "kind": f"{kind}List", "metadata": meta, "items": items})
        else:
            space = name if plural == "namespaces" else namespace or ""
            key = (plural, "" if plural == "namespaces" else space, name)
            with self._changed:
                code, answer = self._one(request, key, query, body)
            _send(request, code, answer)

    def _one(self, request: Handler, key: Key, query: dict[str, str], body: bytes) -> tuple[int, Manifest]:
        plural, namespace, name = key
        live = self._objects.get(key)
        if request.command != "GET":
            self.writes.append(f"{request.command} {plural}/{name}{' dry run' if 'dryRun' in query else ''}")
        content_type = request.headers.get("Content-Type", "")
        if live is None and content_type != "application/apply-patch+yaml":
            return 404, _failure("NotFound", 404, f'{plural} "{name}" not found')
        if request.command == "GET":
            assert live is not None
            return 200, live
        if request.command == "DELETE":
            assert live is not None
            if "dryRun" not in query:
                del self._objects[key]
            return 200, live
        if name in self.refused:
            return 403, _failure("Forbidden", 403, f'admission webhook "policy" denied the request: {name}')
        patch = yaml.safe_load(body)
        manager = query.get("fieldManager") or request.headers["User-Agent"].partition("/")[0]
        try:
            new = patched(live, patch, content_type, manager, force=query.get("force") == "true")
        except field_managers.ApplyConflictError:
            return 409, _failure("Conflict", 409, "Apply failed with 1 conflict: a field has another manager")
        if namespace:
            new["metadata"]["namespace"] = namespace
        return 200, new if "dryRun" in query else self._store(new)

    def _log(self, request: Handler, pod: str, *, previous: bool) -> None:
        text = self.logs.get(f"{pod} before" if previous else pod)
        if text is None:
            said = f'previous terminated container "ml-backend" in pod "{pod}" not found'
            _send(request, 400, _failure("BadRequest", 400, said))
        else:
            request.answer(200, text.encode(), Content_Type="text/plain")

    def _watch(self, request: Handler, plural: str, namespace: str | None, query: dict[str, str]) -> None:
        if "sendInitialEvents" in query:
            _send(request, 422, _failure("Invalid", 422, "no streaming lists"))
            return
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Connection", "close")
        request.end_headers()
        request.close_connection = True
        seen = int(query.get("resourceVersion") or 0)
        try:
            while True:
                with self._changed:
                    if self._version <= seen and not self._changed.wait(timeout=WATCH_SECONDS):
                        return
                    items = copy.deepcopy(self._list(plural, namespace, query.get("labelSelector", "")))
                    new = [m for m in items if int(m["metadata"]["resourceVersion"]) > seen]
                    seen = self._version
                for manifest in new:
                    request.wfile.write(json.dumps({"type": "MODIFIED", "object": manifest}).encode() + b"\n")
                request.wfile.flush()
        except OSError:
            pass


def patched(live: Manifest | None, patch: Any, content_type: str, manager: str, *, force: bool) -> Manifest:
    """The object after a PATCH."""
    if content_type == "application/apply-patch+yaml":
        return field_managers.apply(live, patch, manager, force=force)
    assert live is not None
    if content_type == "application/merge-patch+json":
        return field_managers.update(live, _merge_patch(live, patch), manager)
    assert content_type == "application/json-patch+json", content_type
    new = copy.deepcopy(live)
    for step in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        node = new
        for parent in parents:
            node = node[parent]
        assert step["op"] in ("add", "replace"), step
        node[last] = step["value"]
    return field_managers.update(live, new, manager)


def _merge_patch(live: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge_patch(result.get(name), value)
    return result


def discovery(parts: list[str]) -> Manifest | None:
    """What kubectl asks before anything else: versions, kinds, and that PATCH can check fields."""
    fixed: dict[str, Manifest] = {
        "version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        "api": {"kind": "APIVersions", "versions": ["v1"]},
    }
    if parts[0] in fixed and len(parts) == 1:
        return fixed[parts[0]]
    if parts == ["apis"]:
        groups = [(api.split("/")[0], api) for api in RESOURCES if "/" in api]
        versions = [(group, {"groupVersion": api, "version": api.split("/")[1]}) for group, api in groups]
        return {
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": [{"name": group, "versions": [v], "preferredVersion": v} for group, v in versions],
        }  # fmt: skip
    if parts == ["openapi", "v3"]:
        return {
            "paths": {_root(api): {"serverRelativeURL": f"/openapi/v3/{_root(api)}"} for api in RESOURCES}
        }
    if parts[:2] == ["openapi", "v3"]:
        return _openapi("/".join(parts[2:]).removeprefix("apis/").removeprefix("api/"))
    api = "/".join(parts).removeprefix("apis/").removeprefix("api/")
    if parts[0] in ("api", "apis") and api in RESOURCES:
        each = {"verbs": ["get", "list", "watch", "create", "patch", "delete"]}
        resources = [
            each
            | {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": kind != "Namespace"}
            for plural, kind in RESOURCES[api].items()
        ]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}
    return None


def _root(api: str) -> str:
    return f"apis/{api}" if "/" in api else f"api/{api}"


def _openapi(api: str) -> Manifest:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in ("dryRun", "fieldValidation")
    ]
    group, _, version = api.rpartition("/")
    return {
        "openapi": "3.0.0", "info": {"title": "stub", "version": "1"},
        "paths": {
            f"/{_root(api)}/namespaces/{{namespace}}/{plural}/{{name}}": {
                "patch": {
                    "parameters": parameters, "responses": {},
                    "x-kubernetes-action": "patch",
                    "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
                }
            }
            for plural, kind in RESOURCES[api].items()
        },
    }  # fmt: skip


def _failure(reason: str, code: int, message: str) -> Manifest:
    return {
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": message,
    }  # fmt: skip


def _send(request: Handler, code: int, body: Manifest) -> None:
    request.answer(code, json.dumps(body).encode(), Content_Type="application/json")
