"""The rendered manifests in the real Traefik, in front of two real servers."""

import asyncio
import base64
import contextlib
import io
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from .traefik import HOSTS, Traefik, free_ports, running_traefik, wait_for_port

PAGE = "https://label-studio.fh-swf.cloud"
BODY_LIMIT = 64 * 2**20
PREDICTION = {"tasks": [{"id": 1, "data": {"image": "https://example.org/a.jpg"}}]}


@dataclass
class Backends:
    """Backend servers, one per loopback address, all on one port."""

    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, address: str) -> None:
        program = Path(__file__).with_name("backend_stub.py")
        self.processes[address] = subprocess.Popen([sys.executable, str(program), address, str(self.port)])
        wait_for_port((address, self.port))

    def kill(self, address: str) -> None:
        process = self.processes.pop(address)
        process.kill()
        process.wait(timeout=10)

    def terminate(self, address: str) -> int:
        """SIGTERM; the exit status."""
        process = self.processes.pop(address)
        process.terminate()
        return process.wait(timeout=30)


@dataclass(frozen=True)
class Cluster:
    """Traefik, and the backends behind it."""

    traefik: Traefik
    backends: Backends

    def url(self, path: str, host: str = HOSTS[0]) -> URL:
        return self.traefik.url(path, host)

    def route_to(self, *addresses: str) -> None:
        self.traefik.route_to(*[(address, self.backends.port) for address in addresses])


@pytest.fixture(scope="module")
def cluster(
    tool: Callable[[str], str],
    render: Callable[..., list[dict[str, Any]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    backends = Backends(*free_ports(1))
    addresses = ["127.0.0.1", "127.0.0.2"]
    endpoints = [(address, backends.port) for address in addresses]
    try:
        for address in addresses:
            backends.start(address)
        folder = tmp_path_factory.mktemp("traefik")
        with running_traefik(tool("traefik"), render("production"), endpoints, folder) as traefik:
            yield Cluster(traefik, backends)
    finally:
        for address in list(backends.processes):
            backends.kill(address)


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[aiohttp.ClientSession]:
    async with cluster.traefik.client() as session:
        yield session


async def all_served_by(cluster: Cluster, client: aiohttp.ClientSession, addresses: set[str]) -> None:
    """Wait until Traefik has taken a change of the endpoints over."""
    deadline = time.monotonic() + 15
    while True:
        seen: set[str] = set()
        for _ in range(6):
            async with client.get(cluster.url("/health")) as response:
                # Traefik's own answers, such as a 404 before it knows of the endpoints, are no server's.
                answered = response.status == 200
                seen.add((await response.json())["address"] if answered else f"none: {response.status}")
        if seen == addresses:
            return
        assert time.monotonic() < deadline, f"Traefik still routes to {seen}"
        await asyncio.sleep(0.2)


class TestRouting:
    @pytest.mark.parametrize("host", HOSTS)
    async def test_both_hosts_reach_both_servers(
        self, cluster: Cluster, client: aiohttp.ClientSession, host: str
    ) -> None:
        seen = Counter[str]()
        for _ in range(10):
            async with client.get(cluster.url("/health", host)) as response:
                answer = await response.json()
                seen[answer["address"]] += 1
                assert answer["headers"]["host"].startswith(host)
                assert answer["headers"]["x-forwarded-proto"] == "https"
        assert seen == {"127.0.0.1": 5, "127.0.0.2": 5}

    async def test_a_foreign_host_is_not_served(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        async with client.get(cluster.url("/health"), headers={"Host": "other.example.org"}) as response:
            assert response.status == 404

    async def test_plain_http_is_sent_to_https(self, cluster: Cluster, client: aiohttp.ClientSession) -> None:
        url = f"http://{HOSTS[0]}:{cluster.traefik.http}/predict?a=1"
        async with client.get(url, allow_redirects=False) as response:
            assert response.status in (301, 308)
            assert response.headers["Location"].startswith(f"https://{HOSTS[0]}")
            assert response.headers["Location"].endswith("/predict?a=1")

    @pytest.mark.parametrize(
        "path",
        ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/./metrics", "/x/../metrics", "/metrics?x=1"],
    )
    async def test_metrics_are_not_public(
        self, cluster: Cluster, client: aiohttp.ClientSession, path: str
    ) -> None:
        async with client.get(cluster.url(path), allow_redirects=False) as response:
            assert response.status != 200
            assert "address" not in await response.text()

    @pytest.mark.parametrize(
        "path", ["/", "/health", "/versions", "/status", "/livez", "/readyz", "/docs.json"]
    )
    async def test_the_rest_is(self, cluster: Cluster, client: aiohttp.ClientSession, path: str) -> None:
        async with client.get(cluster.url(path)) as response:
            assert response.status == 200
            assert (await response.json())["path"] == path

    async def test_basic_auth_passes_through(self, cluster: Cluster, client: aiohttp.ClientSession) -> None:
        auth = "Basic " + base64.b64encode(b"annotator:secret").decode()
        async with client.post(
            cluster.url("/predict"), json=PREDICTION, headers={"Authorization": auth}
        ) as response:
            assert (await response.json())["headers"]["authorization"] == auth


class TestHeaders:
    async def test_a_page_of_the_institution_may_ask(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        preflight = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        async with client.options(cluster.url("/predict"), headers=preflight) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
            assert "authorization" in response.headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in response.headers
        async with client.post(
            cluster.url("/predict"), json=PREDICTION, headers={"Origin": PAGE}
        ) as response:
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert "Origin" in response.headers["Vary"]

    @pytest.mark.parametrize(
        "origin",
        ["https://evil.example.org", "http://label-studio.fh-swf.cloud", "https://fh-swf.cloud.evil.org",
         "https://evilfh-swf.cloud", "null"],
    )  # fmt: skip
    async def test_a_foreign_page_may_not(
        self, cluster: Cluster, client: aiohttp.ClientSession, origin: str
    ) -> None:
        async with client.get(cluster.url("/health"), headers={"Origin": origin}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers

    async def test_security_headers(self, cluster: Cluster, client: aiohttp.ClientSession) -> None:
        async with client.get(cluster.url("/health")) as response:
            assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert "Server" not in response.headers

    async def test_long_answers_are_compressed(self, cluster: Cluster, client: aiohttp.ClientSession) -> None:
        accept = {"Accept-Encoding": "gzip"}
        async with client.post(cluster.url("/predict"), json=PREDICTION, headers=accept) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert len((await response.json())["results"]) == 200
        async with client.get(cluster.url("/health"), headers=accept) as response:
            assert "Content-Encoding" not in response.headers


class TestLimits:
    @pytest.mark.parametrize("path", ["/predict", "/setup"])
    async def test_a_body_at_the_limit_passes_and_one_byte_more_is_refused(
        self, cluster: Cluster, client: aiohttp.ClientSession, path: str
    ) -> None:
        async with client.post(cluster.url(path), data=io.BytesIO(b"x" * BODY_LIMIT)) as response:
            assert (await response.json())["bytes"] == BODY_LIMIT
        async with client.post(cluster.url(path), data=io.BytesIO(b"x" * (BODY_LIMIT + 1))) as response:
            assert response.status == 413

    async def test_a_body_without_a_length_is_refused_as_well(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(65):
                yield b"x" * 2**20

        async with client.post(cluster.url("/setup"), data=chunks()) as response:
            assert response.status == 413

    async def test_a_client_that_asks_too_fast_is_slowed_down(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        async def ask() -> tuple[int, str | None, str | None]:
            async with client.get(cluster.url("/health"), headers={"Origin": PAGE}) as response:
                headers = response.headers
                return response.status, headers.get("Retry-After"), headers.get("Access-Control-Allow-Origin")

        try:
            answers = await asyncio.gather(*[ask() for _ in range(250)])
        finally:
            await asyncio.sleep(
                2.5
            )  # the burst of 100 refills at 50 per second: leave nothing to the next test
        refused = [answer for answer in answers if answer[0] != 200]
        assert 0 < len(refused) <= 150
        assert {status for status, _, _ in refused} == {429}
        assert all(retry_after is not None for _, retry_after, _ in refused)
        assert all(origin == PAGE for _, _, origin in refused), (
            "a page has to be able to read that it was refused"
        )

    async def test_too_many_predictions_at_once_are_refused_and_health_still_answers(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        async def predict() -> int:
            async with client.post(cluster.url("/predict?milliseconds=2000"), json=PREDICTION) as response:
                return response.status

        try:
            predictions = [asyncio.create_task(predict()) for _ in range(70)]
            await asyncio.sleep(1)
            async with client.get(cluster.url("/health")) as response:
                assert response.status == 200
            statuses = Counter(await asyncio.gather(*predictions))
        finally:
            await asyncio.sleep(2.5)
        assert statuses == {200: 64, 429: 6}


async def predict_until(
    stop: asyncio.Event, cluster: Cluster, client: aiohttp.ClientSession, outcomes: Counter[str]
) -> None:
    """One caller: a prediction of 250 ms after the other, the outcome of each counted."""
    while not stop.is_set():
        try:
            async with client.post(cluster.url("/predict?milliseconds=250"), json=PREDICTION) as response:
                outcomes[
                    (await response.json())["address"] if response.status == 200 else str(response.status)
                ] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            outcomes[repr(error)] += 1


@contextlib.asynccontextmanager
async def eight_callers(cluster: Cluster, client: aiohttp.ClientSession) -> AsyncIterator[Counter[str]]:
    """Predictions by eight callers while the block runs; all are answered when it is left."""
    outcomes = Counter[str]()
    stop = asyncio.Event()
    callers = [asyncio.create_task(predict_until(stop, cluster, client, outcomes)) for _ in range(8)]
    try:
        await asyncio.sleep(1)
        yield outcomes
        await asyncio.sleep(1)
    finally:
        stop.set()
        await asyncio.gather(*callers)


class TestUnderLoad:
    async def test_a_server_that_is_killed_and_comes_back_costs_no_prediction(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        async with eight_callers(cluster, client) as outcomes:
            # Its port is gone at once, and Traefik learns of it from the endpoints only later.
            await asyncio.to_thread(cluster.backends.kill, "127.0.0.2")
            await asyncio.sleep(2)
            cluster.route_to("127.0.0.1")
            await asyncio.sleep(1)
            await asyncio.to_thread(cluster.backends.start, "127.0.0.2")
            cluster.route_to("127.0.0.1", "127.0.0.2")
            outcomes["127.0.0.2"] = 0
            # Traefik gathers changes for 2 seconds before it takes them over.
            for _ in range(75):
                if outcomes["127.0.0.2"]:
                    break
                await asyncio.sleep(0.2)
        assert set(outcomes) == {"127.0.0.1", "127.0.0.2"}, outcomes
        assert outcomes["127.0.0.2"] > 0, "the server that came back gets its share"

    async def test_a_rolling_restart_costs_no_prediction(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        async with eight_callers(cluster, client) as outcomes:
            serving = ["127.0.0.1", "127.0.0.2"]
            for old, new in [("127.0.0.1", "127.0.0.3"), ("127.0.0.2", "127.0.0.4")]:
                # As the Deployment says: the new pod is ready first, then the old one leaves the endpoints,
                # pauses (preStop), and is told to end.
                await asyncio.to_thread(cluster.backends.start, new)
                serving.append(new)
                cluster.route_to(*serving)
                serving.remove(old)
                cluster.route_to(*serving)
                # Longer than the 2 seconds for which Traefik gathers changes; preStop gives it 15.
                await asyncio.sleep(3)
                assert await asyncio.to_thread(cluster.backends.terminate, old) in (0, -15)
        assert set(outcomes) == {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"}, outcomes

    async def test_afterwards_only_the_new_servers_are_asked(
        self, cluster: Cluster, client: aiohttp.ClientSession
    ) -> None:
        await asyncio.to_thread(cluster.backends.start, "127.0.0.5")
        cluster.route_to("127.0.0.5")
        await all_served_by(cluster, client, {"127.0.0.5"})
