"""The real Traefik with rendered manifests, on free ports of this machine."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .kubernetes_stub import KubernetesStub

HOSTS = ["rtmlib.gawron.cloud", "rtmlib.fh-swf.cloud"]
SERVICE = "rtmlib-ml-backend-service"

# Address and port of a server.
Endpoint = tuple[str, int]


@dataclass(frozen=True)
class Traefik:
    """A running Traefik, and the API server that it reads."""

    https: int
    http: int
    certificate: Path
    api: KubernetesStub
    log: Path

    def url(self, path: str, host: str = HOSTS[0]) -> URL:
        return URL(f"https://{host}:{self.https}{path}", encoded=True)

    def route_to(self, *endpoints: Endpoint) -> None:
        """Make these servers the ready pods of the service."""
        self.api.set_endpoints(SERVICE, endpoints)

    def client(self) -> aiohttp.ClientSession:
        """A client for which every host is this machine, and that trusts the certificate of the routes."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=LoopbackResolver(), ssl=trust, limit=0),
            timeout=aiohttp.ClientTimeout(total=120),
        )


class LoopbackResolver(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family or 2, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


@contextlib.contextmanager
def running_traefik(
    program: str, manifests: Sequence[dict[str, Any]], endpoints: Sequence[Endpoint], folder: Path
) -> Iterator[Traefik]:
    """Traefik with the routes of `manifests` to `endpoints`, ready to serve."""
    http, https, ping = free_ports(3)
    certificate, key = make_certificate(folder)
    api = KubernetesStub(manifests, namespace="rtmlib")
    api.add_tls_secret("rtmlib-ml-backend-tls", certificate, key)
    api.set_endpoints(SERVICE, endpoints)
    traefik = Traefik(https, http, certificate, api, folder / "traefik.log")
    with contextlib.ExitStack() as stack:
        api.start()
        stack.callback(api.stop)
        process = subprocess.Popen(
            [program, "--global.checknewversion=false", "--global.sendanonymoususage=false",
             f"--entrypoints.web.address=127.0.0.1:{http}", f"--entrypoints.websecure.address=127.0.0.1:{https}",
             f"--entrypoints.ping.address=127.0.0.1:{ping}", "--ping.entrypoint=ping",
             f"--providers.kubernetescrd.endpoint={api.url}", "--providers.kubernetescrd.token=none"],
            stdout=stack.enter_context(traefik.log.open("wb")), stderr=subprocess.STDOUT,
            # Without KUBECONFIG, which would win over the provider's endpoint.
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        )  # fmt: skip
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        wait_for_port(("127.0.0.1", ping))
        asyncio.run(wait_for_routes(traefik))
        yield traefik


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for both hosts that signs itself, and its key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=rtmlib",
         "-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in HOSTS)],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


def free_ports(number: int) -> list[int]:
    """Ports that were free a moment ago."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def wait_for_port(endpoint: Endpoint, seconds: float = 20) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(endpoint, timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on {endpoint}"
            time.sleep(0.05)


async def wait_for_routes(traefik: Traefik) -> None:
    """Wait until Traefik has loaded the routes."""
    deadline = time.monotonic() + 20
    async with traefik.client() as client:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with client.get(traefik.url("/health")) as response:
                    if response.status == 200:
                        return
            assert time.monotonic() < deadline, f"no route within 20 s: {traefik.log}"
            await asyncio.sleep(0.1)
