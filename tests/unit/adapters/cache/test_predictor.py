"""What the predictor asks of the cache: which requests are about the same people, and which are not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from adapters.cache.memory import MemoryStore
from adapters.cache.prediction_cache import PredictionCache
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.schemas import PredictRequest
from adapters.observability.status import Status
from adapters.prediction.outcome import Failure
from adapters.prediction.predictor import Predictor
from tests.support.predictor import person, picture
from tests.support.predictor import predicting as with_real_parts
from wholebody.person import Person

CONFIG = label_config_template([Selection.BODY])


RED, BLUE = picture(), picture(colour=(0, 0, 255))


@dataclass
class Networks:
    """Finds two people; remembers what it was asked."""

    asked: list[Any] = field(default_factory=list)

    async def __call__(self, _: NDArray[np.uint8], boxes: NDArray[np.float32] | None) -> list[Person]:
        self.asked.append(None if boxes is None else boxes.tolist())
        await asyncio.sleep(0.01)
        return [person(2), person(28, score=0.5)] if boxes is None else [person(float(boxes[0][0]))]


@dataclass
class Parts:
    predictor: Predictor
    networks: Networks
    status: Status

    async def ask(self, *pictures: str, drawn: Any = None, label_config: str = CONFIG) -> list[Any]:
        body = {
            "tasks": [{"id": number, "data": {"image": at}} for number, at in enumerate(pictures, 1)],
            "label_config": label_config,
            "params": {"context": {"result": drawn} if drawn else None},
        }
        return await self.predictor.predict(PredictRequest.model_validate(body))


@asynccontextmanager
async def predicting() -> AsyncIterator[Parts]:
    networks = Networks()
    async with with_real_parts(networks, PredictionCache(MemoryStore(1_000_000))) as (predictor, status):
        yield Parts(predictor, networks, status)


def box(x: float, y: float, width: float, height: float) -> list[dict[str, Any]]:
    """A drawn box; percent."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["person"]}
    return [region("rectanglelabels", "person", value)]


def point(x: float) -> list[dict[str, Any]]:
    """A drawn point; percent."""
    return [region("keypointlabels", "body", {"x": x, "y": 50, "width": 1, "keypointlabels": ["nose"]})]


def region(kind: str, tag: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "r1",
        "type": kind,
        "from_name": tag,
        "to_name": "image",
        "origin": "manual",
        "value": value,
    }


def decoded() -> float:
    return REGISTRY.get_sample_value("rtmlib_stage_seconds_count", {"stage": "decode"}) or 0.0


async def test_a_picture_seen_before_is_answered_without_decoding_it() -> None:
    async with predicting() as parts:
        first = await parts.ask(RED)
        before = decoded()
        second = await parts.ask(RED)

    assert second == first
    assert first[0]["result"]
    assert parts.networks.asked == [None]
    assert decoded() == before


async def test_the_bytes_count_and_not_where_they_come_from() -> None:
    async with predicting() as parts:
        await parts.ask(RED, BLUE)
        await parts.ask(RED.replace("image/png", "application/octet-stream"), BLUE)

    assert parts.networks.asked == [None, None]


async def test_a_picture_in_many_tasks_of_a_request_is_computed_once() -> None:
    async with predicting() as parts:
        slots = await parts.ask(*[RED] * 10)

    assert parts.networks.asked == [None]
    assert all(slot == slots[0] for slot in slots)


async def test_thresholds_and_labels_are_applied_to_what_is_kept() -> None:
    strict = CONFIG.replace('name="body"', 'name="body" model_point_threshold="0.7"')
    assert strict != CONFIG
    async with predicting() as parts:
        (all_of_them,) = await parts.ask(RED)
        (sure_ones,) = await parts.ask(RED, label_config=strict)

    assert parts.networks.asked == [None]
    assert 0 < len(sure_ones["result"]) < len(all_of_them["result"])


async def test_a_point_chooses_from_the_people_of_the_whole_picture() -> None:
    async with predicting() as parts:
        await parts.ask(RED)
        (left,) = await parts.ask(RED, drawn=point(17.5))
        (right,) = await parts.ask(RED, drawn=point(82.5))

    assert parts.networks.asked == [None]
    assert left["result"][0]["value"]["x"] < 50 < right["result"][0]["value"]["x"]


def keypoints_of(slot: Any) -> list[tuple[float, float]]:
    """The keypoints' positions; the box stays as it was drawn."""
    values = [region["value"] for region in slot["result"] if region["type"] == "keypointlabels"]
    found = [(value["x"], value["y"]) for value in values]
    assert found
    return found


async def test_a_box_has_an_entry_of_its_own_in_whole_pixels() -> None:
    async with predicting() as parts:
        await parts.ask(RED)
        (first,) = await parts.ask(RED, drawn=box(25, 10, 50, 80))
        (again,) = await parts.ask(RED, drawn=box(25.4, 10.9, 49.9, 79.5))
        (another,) = await parts.ask(RED, drawn=box(50, 10, 50, 80))

    assert parts.networks.asked == [None, [[10, 2, 30, 18]], [[20, 2, 40, 18]]]
    assert keypoints_of(again) == keypoints_of(first) != keypoints_of(another)


async def test_other_networks_have_other_entries() -> None:
    async with predicting() as parts:
        await parts.ask(RED)
        parts.status.model_version = "v2"
        (slot,) = await parts.ask(RED)

    assert parts.networks.asked == [None, None]
    assert slot["model_version"] == "v2"


@pytest.mark.parametrize("bad", [RED[:-40], "data:image/png;base64,bm8gcGljdHVyZQ=="], ids=["cut", "text"])
async def test_a_picture_that_cannot_be_decoded_fails_every_time(bad: str) -> None:
    async with predicting() as parts:
        slots = [*await parts.ask(bad, bad), *await parts.ask(bad)]
    assert [type(slot) for slot in slots] == [Failure] * 3

    assert parts.networks.asked == []
    assert parts.status.as_dict()["tasks"]["failed"] == 3
