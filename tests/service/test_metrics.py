"""/metrics of a running server: what promtool would say about it, what it counts, and that it stays bounded."""

import re
from collections.abc import Callable

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from adapters.pictures.errors import Reason
from tests.service.conftest import StartServer
from tests.service.picture_server import PictureServer
from tests.service.server import Server

STAGES = {"fetch", "decode", "detect", "crop", "pose", "hands_and_face", "format"}
PARTS = {"body", "feet", "face", "left_hand", "right_hand"}
UNITS = ("_seconds", "_bytes")
NOT_IN_A_UNIT = {
    "rtmlib_tasks_waiting",
    "rtmlib_tasks_in_hand",
    "rtmlib_network_batch_size",
    "rtmlib_picture_people",
    "rtmlib_keypoint_confidence",
    "rtmlib_correction_distance",
    "rtmlib_model_info",
}
LONGEST_LABEL = 64
MOST_SERIES = 2000


@pytest.fixture(scope="module")
def measured(start_server: StartServer, figure: str, pictures: PictureServer) -> Server:
    """A server that has seen a bit of everything."""
    server = start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1")
    server.predict(figure, pictures.url + "/gone.png", "nonsense")
    server.predict(figure)
    return server


def families(server: Server) -> dict[str, Metric]:
    text = server.ask("GET", "/metrics").text
    found = list(text_string_to_metric_families(text))
    assert len({family.name for family in found}) == len(found), "each metric stands together, once"
    return {family.name: family for family in found}


def ours(server: Server) -> dict[str, Metric]:
    return {name: family for name, family in families(server).items() if name.startswith("rtmlib_")}


def series(server: Server) -> int:
    return sum(len(family.samples) for family in families(server).values())


class TestConventions:
    def test_every_metric_has_a_help_and_a_type(self, measured: Server) -> None:
        for name, family in families(measured).items():
            assert family.documentation, name
            assert family.documentation != "Multiprocess metric", name
            assert family.type in {"counter", "gauge", "histogram"}, name

    def test_names_are_words_in_base_units(self, measured: Server) -> None:
        for name, family in ours(measured).items():
            assert re.fullmatch(r"rtmlib(_[a-z]+)+", name), name
            assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|mib|percent|total_total)$", name), name
            assert family.type == "counter" or name.endswith(UNITS) or name in NOT_IN_A_UNIT, name

    def test_counters_end_in_total_and_nothing_else_does(self, measured: Server) -> None:
        for family in ours(measured).values():
            for sample in family.samples:
                assert sample.name.endswith("_total") == (family.type == "counter"), sample.name

    def test_no_name_says_its_type(self, measured: Server) -> None:
        for name in ours(measured):
            assert not {"counter", "gauge", "histogram", "metric"} & set(name.split("_")), name

    def test_histograms_end_in_infinity_and_add_up(self, measured: Server) -> None:
        for name, family in ours(measured).items():
            if family.type != "histogram":
                continue
            rows: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
            counts: dict[tuple[tuple[str, str], ...], float] = {}
            for sample in family.samples:
                row = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
                if sample.name == f"{name}_bucket":
                    rows.setdefault(row, []).append((float(sample.labels["le"]), sample.value))
                elif sample.name == f"{name}_count":
                    counts[row] = sample.value
            assert rows, name
            for row, buckets in rows.items():
                assert buckets == sorted(buckets), name
                assert buckets[-1] == (float("inf"), counts[row]), name

    def test_no_label_is_long(self, measured: Server) -> None:
        for family in ours(measured).values():
            for sample in family.samples:
                assert all(len(value) <= LONGEST_LABEL for value in sample.labels.values()), sample


class TestWhatIsCounted:
    def test_a_new_picture_goes_through_every_stage(
        self, measured: Server, new_figure: Callable[[], str]
    ) -> None:
        def passed() -> dict[str, float]:
            return {stage: measured.metric("rtmlib_stage_seconds_count", stage=stage) for stage in STAGES}

        before = passed()
        measured.predict(new_figure())

        assert {stage: count - before[stage] for stage, count in passed().items()} == dict.fromkeys(STAGES, 1)

    def test_the_stages_make_up_most_of_the_time_of_a_request(
        self, measured: Server, new_figure: Callable[[], str]
    ) -> None:
        def spent() -> tuple[float, float]:
            of_requests = measured.metric("rtmlib_request_seconds_sum", route="/predict")
            return measured.metric("rtmlib_stage_seconds_sum"), of_requests

        before = spent()
        measured.predict(new_figure())
        stages, request = (after - at_first for after, at_first in zip(spent(), before, strict=True))

        assert request / 2 < stages <= request

    def test_a_picture_from_the_cache_is_fetched_and_formatted_only(
        self, measured: Server, figure: str
    ) -> None:
        measured.predict(figure)
        before = {stage: measured.metric("rtmlib_stage_seconds_count", stage=stage) for stage in STAGES}
        measured.predict(figure)

        after = {stage: measured.metric("rtmlib_stage_seconds_count", stage=stage) for stage in STAGES}
        assert {stage for stage in STAGES if after[stage] > before[stage]} == {"fetch", "format"}

    def test_people_and_the_confidence_of_all_parts_are_measured(
        self, measured: Server, new_figure: Callable[[], str]
    ) -> None:
        people = measured.metric("rtmlib_picture_people_sum")
        measured.predict(new_figure())

        assert measured.metric("rtmlib_picture_people_sum") == people + 1
        for part in PARTS:
            assert measured.metric("rtmlib_keypoint_confidence_count", part=part) >= 1, part

    def test_nothing_is_left_in_hand(self, measured: Server, figure: str) -> None:
        measured.predict(figure)

        found = ours(measured)
        assert [sample.value for sample in found["rtmlib_tasks_waiting"].samples] == [0]
        assert [sample.value for sample in found["rtmlib_tasks_in_hand"].samples] == [0]

    def test_the_model_is_told_as_setup_tells_it(self, measured: Server) -> None:
        version = measured.ask("POST", "/setup", {"project": "1"}).json["model_version"]
        (info,) = ours(measured)["rtmlib_model_info"].samples

        assert info.value == 1
        assert info.labels["model_version"] == version
        assert info.labels["mode"] == "embedded"
        assert info.labels["device"] == "cpu"

    def test_memory_is_that_of_all_processes_and_their_limit(self, measured: Server) -> None:
        resident = {
            s.labels["process"]: s.value for s in ours(measured)["rtmlib_resident_memory_bytes"].samples
        }

        assert resident.keys() == {"supervisor", "entry", "detector", "pose"}
        of_worker = measured.worker("pose_runner").memory_info().rss
        assert resident["pose"] == pytest.approx(of_worker, rel=0.1)
        assert sum(resident.values()) < measured.metric("rtmlib_memory_limit_bytes")

    def test_the_event_loop_is_watched(self, measured: Server) -> None:
        assert measured.metric("rtmlib_event_loop_lag_seconds_count") > 0


class TestStatus:
    def test_it_tells_of_networks_rate_and_processes(self, measured: Server, figure: str) -> None:
        measured.predict(figure)
        shown = measured.ask("GET", "/status").json

        networks = {network["name"]: network for network in shown["networks"]}
        assert networks.keys() == {"person", "body", "hand", "palm", "face", "face_mesh"}
        (info,) = ours(measured)["rtmlib_model_info"].samples
        for what in ("engine", "precision"):
            assert {network[what] for network in networks.values()} == set(info.labels[what].split("+"))
        assert shown["tasks"]["finished_in_last_minute"] >= 1
        names = [process["process"] for process in shown["memory"]["processes"]]
        assert sorted(names) == ["detector", "entry", "pose", "supervisor"]

    def test_a_failure_names_request_stage_and_task(self, measured: Server, pictures: PictureServer) -> None:
        measured.predict(pictures.url + "/not-there.png", headers={"X-Request-ID": "lost-1"})

        failure = measured.ask("GET", "/status").json["last_failures"][-1]
        told = {key: failure[key] for key in ("request", "project", "task", "stage", "reason")}
        assert told == {
            "request": "lost-1",
            "project": "1.1795417339",
            "task": 1,
            "stage": "fetch",
            "reason": "not_found",
        }


HOSTILE = ["\n", 'a"b', "x" * 10_000, "\u2028", "rtmlib_fake 1", "../..", "%00", "{}"]


def test_whatever_callers_send_the_number_of_series_is_bounded(measured: Server, figure: str) -> None:
    def everything(prefix: str) -> None:
        for number, text in enumerate(HOSTILE):
            task = {"id": prefix + text, "data": {"image": figure, text: text}}
            measured.ask(
                "POST",
                "/predict",
                {"tasks": [task], "project": prefix + text},
                headers={"X-Request-ID": f"{prefix}{number}", "User-Agent": f"{prefix}{number}"},
            )
            measured.ask("POST", "/predict", {"tasks": [{"id": number, "data": {"image": prefix + text}}]})
            measured.ask("POST", "/webhook", {"action": prefix + text, "project": {"id": prefix}})
            measured.ask("POST", "/setup", {"project": prefix + text, "schema": prefix + text})
            measured.ask("GET", f"/{prefix}-{number}/page")
            measured.ask("PUT", f"/health/{prefix}{number}")

    everything("first")
    before = series(measured)
    for prefix in ("second", "third", "fourth"):
        everything(prefix)

    assert series(measured) == before
    assert before < MOST_SERIES


def test_reasons_are_words_of_ours(measured: Server, figure: str) -> None:
    measured.predict(figure, "", "nonsense", "http://127.0.0.1:1/", "data:image/png;base64,AAAA")

    reasons = {sample.labels["reason"] for sample in ours(measured)["rtmlib_tasks"].samples}
    more = {"", "inference", "prompt", "label_config", "time_budget", "internal"}
    assert {"bad_address", "no_picture", "not_a_picture"} <= reasons
    assert reasons <= set(Reason.__args__) | more
