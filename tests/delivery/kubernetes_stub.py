"""The reading side of a Kubernetes API server, for Traefik's own providers.

Serves rendered manifests by list and watch, so that the real Traefik loads them the way it does in a cluster, and
turns the addresses of a Service into an EndpointSlice that can be changed while Traefik watches.
"""

import base64
import copy
import json
import threading
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.http_server import Handler

Manifest = dict[str, Any]

PLURALS = {
    "EndpointSlice": "endpointslices",
    "IngressClass": "ingressclasses",
    "IngressRoute": "ingressroutes",
    "IngressRouteTCP": "ingressroutetcps",
    "IngressRouteUDP": "ingressrouteudps",
    "Middleware": "middlewares",
    "MiddlewareTCP": "middlewaretcps",
    "Node": "nodes",
    "Secret": "secrets",
    "Service": "services",
    "ServersTransport": "serverstransports",
    "ServersTransportTCP": "serverstransporttcps",
    "TLSOption": "tlsoptions",
    "TLSStore": "tlsstores",
    "TraefikService": "traefikservices",
    "ConfigMap": "configmaps",
    "Namespace": "namespaces",
}
KINDS = {plural: kind for kind, plural in PLURALS.items()}
WATCH_SECONDS = 30.0


class KubernetesStub:
    """A read-only API server on a loopback port, from `start` to `stop`."""

    def __init__(self, manifests: Sequence[Manifest], namespace: str) -> None:
        self.namespace = namespace
        self._changed = threading.Condition()
        self._version = 1
        # Every endpoint that there ever was.
        self._endpoints: set[tuple[str, int]] = set()
        self._objects: dict[tuple[str, str, str], Manifest] = {}
        # (version, plural, event), oldest first.
        self._events: list[tuple[int, str, Manifest]] = []
        for manifest in manifests:
            if manifest["kind"] in PLURALS:
                self._put(copy.deepcopy(manifest))
        stub = self

        class ApiServer(Handler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stub.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def add_tls_secret(self, name: str, certificate: Path, key: Path) -> None:
        data = {"tls.crt": certificate, "tls.key": key}
        self._put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {"name": name, "namespace": self.namespace},
                "data": {entry: base64.b64encode(path.read_bytes()).decode() for entry, path in data.items()},
            }
        )

    def set_endpoints(self, service: str, endpoints: Sequence[tuple[str, int]]) -> None:
        """Make these addresses and ports the ready pods of `service`: an EndpointSlice each, the others emptied."""
        (port_name,) = [
            p["name"] for p in self._objects["services", self.namespace, service]["spec"]["ports"]
        ]
        self._endpoints.update(endpoints)
        for address, port in sorted(self._endpoints):
            ready = {
                "addresses": [address],
                "conditions": {"ready": True, "serving": True, "terminating": False},
            }
            self._put(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "addressType": "IPv4",
                    "metadata": {
                        "name": f"{service}-{address}-{port}",
                        "namespace": self.namespace,
                        "labels": {"kubernetes.io/service-name": service},
                    },
                    "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
                    "endpoints": [ready] if (address, port) in endpoints else [],
                }
            )

    def _put(self, manifest: Manifest) -> None:
        plural = PLURALS[manifest["kind"]]
        metadata = manifest["metadata"]
        if manifest["kind"] != "Namespace":
            metadata.setdefault("namespace", self.namespace)
        if manifest["kind"] == "Service":
            manifest["spec"].setdefault("clusterIP", "10.96.0.9")
        key = (plural, metadata.get("namespace", ""), metadata["name"])
        with self._changed:
            self._version += 1
            metadata["resourceVersion"] = str(self._version)
            metadata["uid"] = "-".join(key)
            event = {"type": "MODIFIED" if key in self._objects else "ADDED", "object": manifest}
            self._objects[key] = manifest
            self._events.append((self._version, plural, event))
            self._changed.notify_all()

    def answer(self, request: Handler) -> None:
        """Answer one GET: /version, a list, one object, or a watch."""
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        parts = url.path.strip("/").split("/")
        if parts == ["version"]:
            _send(request, 200, {"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
            return
        group_version, rest = ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = None
        if len(rest) >= 3 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        if not rest or rest[0] not in KINDS:
            _send(request, 404, _status("NotFound", 404))
        elif query.get("watch", ["false"])[0] in ("true", "1"):
            if "sendInitialEvents" in query:
                # Says that streaming lists are not supported, so that the client lists and then watches.
                _send(request, 422, _status("Invalid", 422))
            else:
                self._watch(request, rest[0], namespace, int(query.get("resourceVersion", ["0"])[0] or 0))
        else:
            with self._changed:
                found = [
                    manifest
                    for (plural, space, name), manifest in self._objects.items()
                    if plural == rest[0]
                    and namespace in (None, space)
                    and (len(rest) == 1 or name == rest[1])
                ]
                version = self._version
            if len(rest) == 1:
                body = {
                    "apiVersion": group_version,
                    "kind": f"{KINDS[rest[0]]}List",
                    "metadata": {"resourceVersion": str(version)},
                    "items": found,
                }
                _send(request, 200, body)
            elif found:
                _send(request, 200, found[0])
            else:
                _send(request, 404, _status("NotFound", 404))

    def _watch(self, request: Handler, plural: str, namespace: str | None, since: int) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.flush()
        try:
            while True:
                with self._changed:
                    if self._version <= since:
                        # Woken by every change; a stop or a missed one costs at most this long.
                        self._changed.wait(timeout=WATCH_SECONDS)
                    new = [
                        event for version, kind, event in self._events if version > since and kind == plural
                    ]
                    timed_out = self._version <= since
                    since = self._version
                for event in new:
                    if namespace in (None, event["object"]["metadata"].get("namespace")):
                        line = json.dumps(event).encode() + b"\n"
                        request.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                request.wfile.flush()
                if timed_out:
                    request.wfile.write(b"0\r\n\r\n")
                    return
        except OSError:
            request.close_connection = True


def _status(reason: str, code: int) -> Manifest:
    return {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code}


def _send(request: Handler, code: int, body: Manifest) -> None:
    request.answer(code, json.dumps(body).encode(), Content_Type="application/json")
