"""A cluster to deploy to, and what runs deploy.sh against it."""

import base64
import subprocess
from pathlib import Path
from typing import Any

from .cluster_stub import ClusterStub

TOKEN = "3f1c9b7e5a2d4860"
Manifest = dict[str, Any]


class Cluster(ClusterStub):
    """A cluster with both namespaces and their secrets, and deploy.sh with credentials for it."""

    def __init__(self, folder: Path, root: Path, kubectl: str) -> None:
        super().__init__()
        self.folder = folder
        self.root = root
        (folder / "kubeconfig").write_text(self.kubeconfig())
        self.environment = {
            "PATH": f"{kubectl_that_logs(folder, kubectl)}:/usr/bin:/bin",
            "KUBECONFIG": str(folder / "kubeconfig"),
            "HOME": str(folder),
            "DEPLOY_POLL_SECONDS": "0.1",
        }
        for namespace in ("rtmlib", "rtmlib-staging"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
            self.set_secret(
                namespace, LABEL_STUDIO_URL="https://label-studio.fh-swf.cloud", LABEL_STUDIO_API_TOKEN=TOKEN
            )

    def set_secret(self, namespace: str, **values: str) -> None:
        data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
        metadata = {"name": "rtmlib-ml-backend-secrets", "namespace": namespace}
        self.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def deploy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        result = self.run("bash", str(self.root / "deploy.sh"), *arguments)
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
    def changes(self) -> list[str]:
        return [write for write in self.writes if not write.endswith("dry run")]

    def deployment(self, namespace: str = "rtmlib") -> Manifest:
        return self.get("deployments", namespace, "rtmlib-ml-backend")

    def image(self, namespace: str = "rtmlib") -> str:
        (container,) = self.deployment(namespace)["spec"]["template"]["spec"]["containers"]
        return container["image"]

    def fails_with(self, *images: str) -> None:
        """Pods of these images never become ready."""
        self.becomes_ready = lambda template: template["spec"]["containers"][0]["image"] not in images


def kubectl_that_logs(folder: Path, kubectl: str) -> Path:
    """A folder with a kubectl that is the real one, and writes its arguments to `calls`."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{folder}/calls"\nexec "{kubectl}" "$@"\n'
    )
    (programs / "kubectl").chmod(0o755)
    return programs
