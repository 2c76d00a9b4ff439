"""Real services behind the real Traefik: two of three go, one after the other, while eight callers predict."""

import asyncio
import base64
import contextlib
import io
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.http.example import draw_figure

from .traefik import Endpoint, Traefik, free_ports, running_traefik

pytestmark = [pytest.mark.service, pytest.mark.models]

LABEL_CONFIG = """<View><Image name="image" value="$image"/>
<KeyPointLabels name="points" toName="image"><Label value="nose"/></KeyPointLabels></View>"""


class Service:
    """One `bentoml serve`, as a pod of its own port."""

    def __init__(self, root: Path, home: Path) -> None:
        (self.port,) = free_ports(1)
        self._root = root
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if name not in ("DEVICE", "MODE", "BACKEND_TYPE", "REDIS_URL")
            },
            # Every prediction has to go through the runners, which SIGTERM ends first.
            "PREDICTION_CACHE_BYTES": "0",
            "BACKEND_PORT": str(self.port),
            "BENTOML_HOME": str(home),
            "BENTOML_DO_NOT_TRACK": "True",
        }
        program = Path(sys.executable).with_name("bentoml")
        self._log = (home / f"{self.port}.log").open("wb")
        self._process = subprocess.Popen(
            [str(program), "serve", "service:Backend", "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=root, env=environment, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def endpoint(self) -> Endpoint:
        return ("127.0.0.1", self.port)

    def wait_until_ready(self) -> None:
        """Ask as the kubelet does."""
        deadline = time.monotonic() + 240
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as response:
                    if response.status == 200:
                        return
            except OSError:  # not listening yet, or 503
                pass
            assert self._process.poll() is None, Path(self._log.name).read_text()[-3000:]
            assert time.monotonic() < deadline, "not ready within 240 s"
            time.sleep(0.2)

    def drain_and_stop(self) -> int:
        """What the kubelet does: the preStop hook, then SIGTERM; the exit status."""
        hook = [sys.executable, str(self._root / "k8s/base/drain.py"), str(self.port), "8", "115"]
        subprocess.run(hook, check=True, timeout=125)
        self._process.terminate()
        return self._process.wait(timeout=30)

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=10)
        self._log.close()


@pytest.fixture
def services(root: Path, tmp_path: Path) -> Iterator[list[Service]]:
    """Three services, started at once and ready, and ended at last."""
    started: list[Service] = []
    try:
        for number in range(3):
            # A folder each, as pods have: BentoML empties it at its start.
            home = tmp_path / f"service-{number}"
            home.mkdir()
            started.append(Service(root, home))
        for service in started:
            service.wait_until_ready()
        yield started
    finally:
        for service in started:
            service.end()


def prediction_request() -> dict[str, Any]:
    content = io.BytesIO()
    # A person, so that both runners have work.
    draw_figure().save(content, "JPEG")
    address = "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
    return {
        "tasks": [{"id": 1, "data": {"image": address}}],
        "label_config": LABEL_CONFIG,
        "project": "1.1",
    }


async def predict_until(stop: asyncio.Event, traefik: Traefik, outcomes: Counter[str]) -> None:
    request = prediction_request()
    async with traefik.client() as client:
        while not stop.is_set():
            try:
                async with client.post(traefik.url("/predict"), json=request) as response:
                    body = await response.json()
                    (slot,) = body["results"] if response.status == 200 else (None,)
                    found = slot and (slot[0] if isinstance(slot, list) else slot)["result"]
                    outcomes["predicted" if found else f"{response.status}: {body}"] += 1
            except Exception as error:
                outcomes[repr(error)] += 1


async def test_a_rolling_restart_costs_no_prediction(
    services: list[Service],
    render: Callable[..., list[dict[str, Any]]],
    tool: Callable[[str], str],
    tmp_path: Path,
) -> None:
    serving = services[:2]
    outcomes = Counter[str]()
    stop = asyncio.Event()
    with contextlib.ExitStack() as stack:
        entered = running_traefik(
            tool("traefik"), render("production"), [s.endpoint for s in serving], tmp_path
        )
        traefik = await asyncio.to_thread(stack.enter_context, entered)
        callers = [asyncio.create_task(predict_until(stop, traefik, outcomes)) for _ in range(8)]
        try:
            await asyncio.sleep(3)
            # The third joins; then the first two go, one after the other.
            serving = services
            traefik.route_to(*[s.endpoint for s in serving])
            while len(serving) > 1:
                going, *serving = serving
                traefik.route_to(*[s.endpoint for s in serving])
                assert await asyncio.to_thread(going.drain_and_stop) == 0
            await asyncio.sleep(3)
        finally:
            stop.set()
            await asyncio.gather(*callers)
    assert set(outcomes) == {"predicted"}, outcomes
    assert outcomes["predicted"] > 50
