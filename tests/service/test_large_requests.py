"""Large requests: while one is read, everybody else is answered."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from adapters.label_studio.label_config.template import Selection, label_config_template
from tests.service.load import Probes
from tests.service.server import Server

HELD_S = 0.1
TRIES = 4
CONFIG = label_config_template([Selection.WHOLE])


def region(number: int) -> dict[str, Any]:
    value = {"x": 1.5, "y": 2.5, "width": 0.4, "keypointlabels": ["nose"]}
    names = {"from_name": "keypoints", "to_name": "image", "type": "keypointlabels", "origin": "prediction"}
    return {"id": f"r{number}", **names, "value": value}


def predict(task: Any, context: Any = None) -> tuple[str, Any]:
    return "/predict", {"tasks": [task], "label_config": CONFIG, "params": {"context": context}}


def context_of_150_000_regions() -> tuple[str, Any]:
    return predict({"id": 1, "data": {}}, {"result": [region(number) for number in range(150_000)]})


def annotations_of_150_000_regions() -> tuple[str, Any]:
    return predict({"id": 1, "data": {}, "annotations": [region(number) for number in range(150_000)]})


def selection_of_10_000_tasks() -> tuple[str, Any]:
    return "/predict", {"tasks": [{"id": number, "data": {"image": "ftp://a"}} for number in range(10_000)]}


def label_config_of_a_megabyte() -> tuple[str, Any]:
    names = ",".join(f"left_{number:x}" for number in range(80_000))
    label = f'<Label value="a" predicted_values="{names}"/>'
    keypoints = f'<KeyPointLabels name="k" toName="image">{label}</KeyPointLabels>'
    return "/setup", {
        "project": "9",
        "schema": f'<View><Image name="image" value="$image"/>{keypoints}</View>',
    }


def webhook_of_6_mb() -> tuple[str, Any]:
    annotation = {"id": 1, "result": [region(number) for number in range(35_000)]}
    return "/webhook", {"action": "ANNOTATION_CREATED", "annotation": annotation}


LARGE = (
    context_of_150_000_regions,
    annotations_of_150_000_regions,
    selection_of_10_000_tasks,
    label_config_of_a_megabyte,
    webhook_of_6_mb,
)


@pytest.mark.parametrize("large", LARGE)
def test_one_is_answered(server: Server, large: Callable[[], tuple[str, Any]]) -> None:
    path, content = large()
    answer = server.ask("POST", path, content)
    assert answer.status in (200, 413), answer.text


@pytest.mark.promise("health-beside-large-requests")
@pytest.mark.timing
@pytest.mark.parametrize("large", LARGE)
def test_while_one_is_read_others_are_answered_within_100_ms(
    server: Server, large: Callable[[], tuple[str, Any]]
) -> None:
    """Beside what the machine lets any process wait; the best of a few tries, since it may be busy."""
    with Probes(server.port, "/health") as usual:
        time.sleep(2)
    path, content = large()
    body = json.dumps(content).encode()
    waited: list[float] = []
    # Where that is more than a busy machine gives an idle server: as soon as it does.
    limit_s = max(HELD_S, 3 * max(usual.seconds))
    while len(waited) < TRIES and not (waited and min(waited) < limit_s):
        with Probes(server.port, "/health") as probes:
            answer = server.ask("POST", path, body, headers={"Content-Type": "application/json"})
        assert answer.status in (200, 413), answer.text
        waited.append(max(probes.seconds, default=0.0))
        # Another text, or what was read of it is known.
        body += b" "
    print(f"\n{large.__name__}: /health within {min(waited) * 1000:.0f} ms, status {answer.status}")

    assert min(waited) < limit_s
