"""Alerts, runbooks and the dashboard: read as Prometheus and Grafana read them."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.delivery.conftest import ROOT, Render

MONITORING = ROOT / "k8s/components/monitoring"
RUNBOOKS = ROOT / "docs/runbooks"
SPEC: dict[str, Any] = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"]
RULES: list[dict[str, Any]] = [rule for group in SPEC["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
CHARTS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for chart in CHARTS for target in chart["targets"]]
GRAFANA_UNITS = {"short", "s", "bytes", "ops", "reqps", "percentunit"}


@pytest.fixture(scope="session")
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    if shutil.which("promtool") is None:
        message = "promtool is not installed: run .ci/delivery --install-only"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    return run


def metrics_of_the_code() -> set[str]:
    """The names that the program gives its metrics."""
    sources = [
        path.read_text() for package in ("adapters", "runners") for path in (ROOT / package).rglob("*.py")
    ]
    return {name for source in sources for name in re.findall(r'"(rtmlib_[a-z_]+)"', source)}


def metrics_in(text: str) -> set[str]:
    names = set(re.findall(r"\brtmlib_[a-z_]+", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


class TestAlerts:
    def test_promtool_has_nothing_to_say(
        self, promtool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(SPEC))
        checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yaml"))

        assert checked.returncode == 0, checked.stderr

    def test_they_fire_when_they_should_and_only_then(
        self, promtool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(SPEC))
        shutil.copy(Path(__file__).with_name("alerts_test.yaml"), tmp_path)
        tested = promtool("test", "rules", str(tmp_path / "alerts_test.yaml"))

        assert tested.returncode == 0, tested.stdout + tested.stderr

    def test_each_has_a_case_in_which_it_fires(self) -> None:
        cases = Path(__file__).with_name("alerts_test.yaml").read_text()
        assert [rule["alert"] for rule in RULES if rule["alert"] not in cases] == []

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_each_says_what_is_wrong_and_leads_to_its_runbook(self, rule: dict[str, Any]) -> None:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        page = RUNBOOKS / f"{rule['alert']}.md"
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{page.name}")
        text = page.read_text()
        assert text.startswith(f"# {rule['alert']}\n\n**{rule['labels']['severity']}** · ")
        for heading in ("## What it costs", "## Look at", "## Causes"):
            assert heading in text

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_each_asks_for_metrics_that_there_are(self, rule: dict[str, Any]) -> None:
        assert metrics_in(rule["expr"]) <= metrics_of_the_code()

    def test_every_runbook_belongs_to_an_alert(self) -> None:
        pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"index"}
        assert pages == {rule["alert"] for rule in RULES}
        listed = set(
            re.findall(r"^\| \[(\w+)\]\(\1\.md\)", (RUNBOOKS / "index.md").read_text(), re.MULTILINE)
        )
        assert listed == pages

    @pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
    def test_runbooks_name_metrics_and_pages_that_there_are(self, page: Path) -> None:
        text = page.read_text()
        assert metrics_in(text) <= metrics_of_the_code()
        for linked in re.findall(r"\]\(([^)#:]+\.md)\)", text):
            assert (page.parent / linked).is_file(), linked

    def test_runbooks_ask_in_promql(
        self, promtool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        queries = [
            query
            for page in RUNBOOKS.glob("*.md")
            for block in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)
            for query in block.splitlines()
        ]
        assert len(queries) > 10
        rules = [{"record": f"runbook:query{n}", "expr": query} for n, query in enumerate(queries)]
        (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}))
        checked = promtool("check", "rules", str(tmp_path / "queries.yaml"))

        assert checked.returncode == 0, checked.stderr


class TestDashboard:
    def test_it_is_what_the_script_makes(self) -> None:
        spec = importlib.util.spec_from_file_location("make_dashboard", MONITORING / "make_dashboard.py")
        assert spec is not None
        assert spec.loader is not None
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)

        assert script.dashboard() == DASHBOARD

    def test_panels_have_a_place_of_their_own(self) -> None:
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        assert len(set(ids)) == len(ids)

    def test_panels_say_what_they_show_and_in_what_unit(self) -> None:
        for chart in CHARTS:
            assert chart["title"], chart
            assert chart["description"], chart
            assert chart["fieldConfig"]["defaults"]["unit"] in GRAFANA_UNITS, chart["title"]
            assert all(target["legendFormat"] for target in chart["targets"]), chart["title"]

    def test_every_query_is_promql_over_the_chosen_pods(
        self, promtool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        rules = [
            {"record": f"panel:query{n}", "expr": expr.replace("$__rate_interval", "1m")}
            for n, expr in enumerate(QUERIES)
        ]
        (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}))
        checked = promtool("check", "rules", str(tmp_path / "queries.yaml"))

        assert checked.returncode == 0, checked.stderr
        for query in QUERIES:
            assert query.count('namespace="$namespace", pod=~"$pod"') == len(re.findall(r"rtmlib_", query)), (
                query
            )

    def test_every_metric_is_there_and_shown(self) -> None:
        shown = {name for query in QUERIES for name in metrics_in(query)}
        assert shown <= metrics_of_the_code()
        assert metrics_of_the_code() - shown <= {"rtmlib_ml_backend"}

    def test_grafana_finds_it_in_a_config_map(self, render: Render) -> None:
        (found,) = (
            m
            for m in render("production", ("monitoring",))
            if m["kind"] == "ConfigMap" and "grafana_dashboard" in m["metadata"].get("labels", {})
        )
        assert json.loads(found["data"]["rtmlib-ml-backend.json"]) == DASHBOARD
        assert found["metadata"]["name"] == "rtmlib-ml-backend-dashboard"
