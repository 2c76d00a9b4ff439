"""What an annotator changes is counted: the webhook that Label Studio sets up itself tells of it."""

import copy
import time
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.label_studio import LabelStudio

LIMIT_S = 20
MOVED = 5.0  # percent of the picture's width


def metrics(backend: Backend) -> dict[tuple[str, str], float]:
    """Samples of what annotators changed, by name and label."""
    text = requests.get(f"{backend.url}/metrics", timeout=10).text
    return {
        (sample.name, sample.labels.get("outcome") or sample.labels["part"]): sample.value
        for family in text_string_to_metric_families(text)
        if family.name in ("rtmlib_annotations_compared", "rtmlib_correction_distance")
        for sample in family.samples
        if "le" not in sample.labels
    }


def until_counted(backend: Backend, outcome: str, times: int) -> dict[tuple[str, str], float]:
    deadline = time.monotonic() + LIMIT_S
    while True:
        found = metrics(backend)
        if found.get(("rtmlib_annotations_compared_total", outcome), 0) >= times:
            return found
        assert time.monotonic() < deadline, (found, backend.log()[-3000:])
        time.sleep(0.2)


def test_a_moved_point_shows_in_the_metrics_and_an_unchanged_prediction_as_accepted(
    label_studio: LabelStudio, start_backend: Any, label_config: str
) -> None:
    backend = start_backend()
    project = label_studio.project("Corrections", label_config)
    first, second = label_studio.upload(project, {f"{n}.jpg": scenes.jpeg(1) for n in (1, 2)})
    label_studio.connect(project, backend.wire.url)
    label_studio.retrieve_predictions(project, [first, second])

    def submit(task: int, moved: float) -> int:
        (stored,) = label_studio.predictions(task)
        result = copy.deepcopy(stored["result"])
        (nose,) = (region for region in result if region["id"] == "p0-nose")
        nose["value"]["x"] += moved
        body = {"result": result, "parent_prediction": stored["id"]}
        return label_studio.call("POST", f"/api/tasks/{task}/annotations", json=body)["id"]

    annotation = submit(first, MOVED)
    after_first = until_counted(backend, "corrected", 1)
    submit(second, 0)
    after_second = until_counted(backend, "accepted", 1)
    forged = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": project},
        "task": {"id": first},
        "annotation": {"id": annotation, "result": []},
    }
    started = time.monotonic()
    answer = requests.post(f"{backend.url}/webhook", json=forged, timeout=5)
    seconds = time.monotonic() - started
    time.sleep(3)

    (stored,) = label_studio.predictions(first)
    body_points = [r for r in stored["result"] if r["id"].startswith("p0-") and r["type"] == "keypointlabels"]
    (box,) = (r["value"] for r in stored["result"] if r["id"] == "p0-box")
    width, height = scenes.SIZE
    diagonal = ((box["width"] * width / 100) ** 2 + (box["height"] * height / 100) ** 2) ** 0.5
    part = ("rtmlib_correction_distance_sum", "body")
    assert after_first[part] == pytest.approx(MOVED / 100 * width / diagonal, rel=1e-3)
    count = sum(
        value for (name, _), value in after_first.items() if name == "rtmlib_correction_distance_count"
    )
    assert count == len(body_points)
    assert after_second[part] == pytest.approx(after_first[part])
    assert answer.ok
    assert seconds < 1
    assert metrics(backend) == after_second, "a webhook that anybody sends changes nothing"
