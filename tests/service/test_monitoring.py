"""Faults made on purpose, as an operator sees them: in the metrics, in the log, at /status, and as an alert.

A real Prometheus evaluates the alerts of k8s/components/monitoring, every second instead of every ten.
"""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.conftest import Within
from tests.service.conftest import StartServer
from tests.service.picture_server import PictureServer
from tests.service.server import ROOT, Server, free_port

MONITORING = ROOT / "k8s/components/monitoring"
SEEN_WITHIN_S = 30
NAMESPACE, POD = "rtmlib", "rtmlib-ml-backend-0"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def _get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[Any]:
        return self._get("query", query=expression)["result"]

    def rules(self) -> list[Any]:
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> dict[str, Any]:
        """What fires, by the name of the alert."""
        alerts = self._get("alerts")["alerts"]
        return {one["labels"]["alertname"]: one for one in alerts if one["state"] == "firing"}


def wait_for(what: Callable[[], Any], limit_s: float = SEEN_WITHIN_S) -> Any:
    """What it returns as soon as that is something, at the latest after the time within which a fault must be seen."""
    deadline = time.monotonic() + limit_s
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return found


@pytest.fixture(scope="module")
def watched(start_server: StartServer) -> Server:
    return start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1", LOG_FORMAT="json", PREDICTION_CACHE_BYTES="1000000")


@pytest.fixture(scope="module")
def prometheus(watched: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        message = "no Prometheus: install Debian's package, as .ci/delivery does"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = tmp_path_factory.mktemp("prometheus")
    spec = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"]
    for group in spec["groups"]:
        group["interval"] = "1s"
    (folder / "rules.yaml").write_text(yaml.safe_dump(spec))
    target = {"targets": [f"127.0.0.1:{watched.port}"], "labels": {"namespace": NAMESPACE, "pod": POD}}
    scrape = {"job_name": "rtmlib-ml-backend-service", "scrape_interval": "1s", "static_configs": [target]}
    (folder / "prometheus.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "scrape_configs": [scrape]})
    )
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yaml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:

        def has_seen_the_server() -> bool:
            try:
                return bool(running.query("rtmlib_model_info")) and running.rules()[0]["health"] == "ok"
            except OSError:
                return False

        assert wait_for(has_seen_the_server), (folder / "log").read_text()
        yield running
    finally:
        process.terminate()
        process.wait(15)


def lines(server: Server) -> list[dict[str, Any]]:
    whole = server.log().split("\n")[:-1]
    return [json.loads(line) for line in whole if line.startswith("{")]


def runbook(alert: dict[str, Any]) -> str:
    page = alert["annotations"]["runbook_url"].rpartition("/blob/main/")[2]
    return (ROOT / page).read_text()


def test_nothing_fires_while_nothing_is_wrong(
    watched: Server, prometheus: Prometheus, new_figure: Callable[[], str]
) -> None:
    watched.predict(new_figure(), new_figure())
    time.sleep(2.5)

    assert prometheus.firing() == {}
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}


def test_every_query_of_the_dashboard_returns_data(
    watched: Server, prometheus: Prometheus, new_figure: Callable[[], str], pictures: PictureServer
) -> None:
    again = new_figure()
    for _ in range(3):
        watched.predict(new_figure(), again, pictures.url + "/none.png")
        time.sleep(1.1)
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    empty: list[str] = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$namespace", NAMESPACE)
            if not prometheus.query(expression.replace("$pod", ".*")):
                empty.append(f"{panel['title']}: {target['legendFormat']}")

    # What has not happened here: errors elsewhere, a failing Redis, corrections by annotators.
    assert set(empty) <= {
        "Errors of other routes: {{route}} {{status}}",
        "Failures and evictions: {{kind}}",
        "Failures and evictions: evicted",
        "Distance moved: {{part}}",
        "Left alone: {{part}}",
        "Annotations compared: {{outcome}}",
    }


def test_pictures_that_cannot_be_reached(watched: Server, prometheus: Prometheus) -> None:
    before = watched.metric("rtmlib_tasks_total", reason="unreachable")
    watched.predict(
        *[f"http://127.0.0.1:1/{n}.png" for n in range(8)], headers={"X-Request-ID": "unreachable-1"}
    )

    alert = wait_for(lambda: prometheus.firing().get("RtmlibPicturesUnreachable"))
    assert alert, "the alert fires"
    assert watched.metric("rtmlib_tasks_total", reason="unreachable") == before + 8
    said = [line for line in lines(watched) if line.get("request") == "unreachable-1" and "task" in line]
    assert {line["task"] for line in said} == set(range(1, 9))
    assert {(line["stage"], line["reason"]) for line in said} == {("fetch", "unreachable")}
    failure = watched.ask("GET", "/status").json["last_failures"][-1]
    assert (failure["request"], failure["reason"]) == ("unreachable-1", "unreachable")
    cause = failure["detail"]
    assert "Connection refused" in cause
    assert "`unreachable`" in runbook(alert)
    assert "last_failures" in runbook(alert)


def test_more_work_than_can_be_done(watched: Server, prometheus: Prometheus, pictures: PictureServer) -> None:
    # Pictures that do not come: 16 tasks are in hand, and more wait than 30 s would be enough for.
    body = {"tasks": [{"id": n, "data": {"image": pictures.url + "/slow"}} for n in range(12)]}

    def ask() -> None:
        with contextlib.suppress(OSError):  # nobody waits for the end
            watched.ask("POST", "/predict", body, timeout=12)

    def refused() -> bool:
        answer = watched.ask("POST", "/predict", {"tasks": []}, headers={"X-Request-ID": "refused-1"})
        return answer.status == 503

    callers: list[threading.Thread] = []
    try:
        for _ in range(200):
            callers.append(threading.Thread(target=ask))
            callers[-1].start()
            if refused():
                break
        else:
            pytest.fail("no request was refused")

        assert wait_for(lambda: prometheus.query("rtmlib_tasks_waiting > 50")), "the queue is in the metrics"
        alert = wait_for(lambda: prometheus.firing().get("RtmlibRefusingWork"))
        assert alert, "the alert fires"
        shown = watched.ask("GET", "/status").json
        assert shown["requests_refused"]["in_last_minute"] >= 1
        assert watched.metric("rtmlib_requests_total", route="/predict", status="503") >= 1
        said = wait_for(lambda: [one for one in lines(watched) if one.get("request") == "refused-1"])
        assert (said[-1]["status"], said[-1]["path"]) == (503, "/predict")
        assert "requests_refused" in runbook(alert)
        assert "rtmlib_tasks_waiting" in runbook(alert)
    finally:
        for caller in callers:
            caller.join(30)
    assert wait_for(lambda: watched.metric("rtmlib_tasks_waiting") == 0), "who has gone waits no longer"


def test_a_runner_that_is_killed(
    watched: Server, prometheus: Prometheus, new_figure: Callable[[], str], within: Within
) -> None:
    before = {p["process"]: p["started"] for p in watched.ask("GET", "/status").json["memory"]["processes"]}
    time.sleep(1.1)
    killed = watched.worker("pose_runner")

    with within(SEEN_WITHIN_S):
        killed.kill()
        assert watched.predict(new_figure())[0]["result"], "a new one takes its place"
        alert = wait_for(lambda: prometheus.firing().get("RtmlibProcessRestarted"))

    assert alert, "the alert fires"
    assert alert["labels"]["process"] == "pose"
    assert alert["labels"]["pod"] == POD
    after = {p["process"]: p["started"] for p in watched.ask("GET", "/status").json["memory"]["processes"]}
    assert after["pose"] > before["pose"]
    assert {name: at for name, at in after.items() if name != "pose"} == {
        name: at for name, at in before.items() if name != "pose"
    }
    said = [line for line in lines(watched) if f"worker process ended ({killed.pid})" in line["message"]]
    assert [(line["level"], line["process"]) for line in said] == [("WARNING", "supervisor")]
    assert "A worker process ended" in runbook(alert)
    assert "rtmlib_process_start_time_seconds" in runbook(alert)


def test_a_server_that_is_gone(watched: Server, prometheus: Prometheus) -> None:
    watched.stop()

    assert wait_for(lambda: prometheus.query('ALERTS{alertname="RtmlibDown"}')), "pending at once"
    assert wait_for(lambda: prometheus.firing().get("RtmlibDown"), limit_s=45), "and fires after its 30 s"
