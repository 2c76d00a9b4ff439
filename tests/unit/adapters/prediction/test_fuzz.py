"""Random label configs and random contexts through the whole way of a request; only the networks are stood in for."""

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapters.http.results import results_response
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.label_config.tree import MAX_DEPTH, LabelConfigError
from adapters.label_studio.schemas import PredictRequest, PredictResponse, SetupRequest
from adapters.label_studio.setup import check_label_config
from adapters.observability.status import Status
from tests.support.asgi_client import Answer
from tests.support.predictor import predicting
from wholebody.person import Person
from wholebody.schema import KEYPOINTS

PICTURE = (  # 4×2 pixels
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAIAAADwyuo0AAAAEElEQVR4nGP8z4AATEhsBgAZNQEDGy9LEgAAAABJRU5E"
    "rkJggg=="
)
WIDTH, HEIGHT = 4, 2

names = st.sampled_from(["image", "keypoints", "person", "bones", "a", "", "ünï", "x" * 300, "$image", "a,b"])
numbers = st.sampled_from(["0", "0.5", "1", "-1", "nan", "inf", "1e400", "0x1", "٣", "", "1,5", "1" * 400])
texts = st.one_of(names, numbers, st.sampled_from([k.name for k in KEYPOINTS]), st.text(max_size=12))
attributes = st.dictionaries(
    st.sampled_from(
        [
            "name",
            "toName",
            "value",
            "valueList",
            "smart",
            "skeleton",
            "closable",
            "model_score_threshold",
            "model_point_threshold",
            "model_add_bboxes",
            "model_point_size",
            "model_skip",
            "model_index",
            "predicted_values",
            "alias",
            "perRegion",
        ]
    ),
    texts,
    max_size=6,
)
tags = st.sampled_from(
    [
        "View",
        "Image",
        "KeyPointLabels",
        "KeyPoint",
        "RectangleLabels",
        "VectorLabels",
        "Label",
        "Video",
        "Choices",
    ]
)


def _attributes(given: dict[str, str]) -> dict[str, str]:
    """What XML can carry of it."""
    return {
        key: "".join(c for c in text if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd")
        for key, text in given.items()
    }


def _element(tag: str, given: dict[str, str], children: list[Element]) -> Element:
    element = Element(tag, _attributes(given))
    element.extend(children)
    return element


leaves = st.builds(_element, tags, attributes, st.just([]))
trees = st.recursive(
    leaves, lambda below: st.builds(_element, tags, attributes, st.lists(below, max_size=4)), max_leaves=12
)


@st.composite
def usable_configs(draw: st.DrawFn) -> str:
    """A config with an image and one of our tags in it, and anything besides."""
    image = _element("Image", draw(attributes) | {"name": "image", "value": "$image"}, [])
    labels = [
        _element("Label", {"value": draw(texts)} | draw(attributes), [])
        for _ in range(draw(st.integers(0, 5)))
    ]
    labels += [Element("Label", {"value": draw(st.sampled_from(["nose", "person", "left_wrist", "body"]))})]
    kind = draw(st.sampled_from(["KeyPointLabels", "RectangleLabels", "VectorLabels"]))
    control = _element(kind, draw(attributes) | {"name": "keypoints", "toName": "image"}, labels)
    root = _element("View", {}, [image, control, *draw(st.lists(trees, max_size=2))])
    return tostring(root, "unicode")


configs = st.one_of(trees.map(lambda root: tostring(root, "unicode")), usable_configs(), st.text(max_size=60))

odd_numbers = st.one_of(
    st.floats(0, 100),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(10**30), 10**30),
    st.sampled_from([None, True, "50", [], {}, 10**400]),
)
regions = st.one_of(
    st.fixed_dictionaries(
        {
            "origin": st.sampled_from(["manual", "manual", "prediction", None, 7]),
            "type": st.sampled_from(
                ["rectanglelabels", "keypointlabels", "rectangle", "vectorlabels", "", None]
            ),
            "from_name": names,
            "to_name": st.sampled_from(["image", "image", "", "other", None]),
            "value": st.one_of(
                st.dictionaries(
                    st.sampled_from(["x", "y", "width", "height", "rotation"]), odd_numbers, max_size=5
                ).map(lambda value: {"x": 10, "y": 10, "width": 50, "height": 50, **value}),
                st.none(),
                st.text(max_size=3),
            ),
        },
        optional={
            "id": st.one_of(st.text(max_size=8), st.none(), st.integers()),
            "is_positive": st.sampled_from([True, False, None, "no"]),
            "original_width": odd_numbers,
            "item_index": odd_numbers,
            "parentID": st.one_of(st.text(max_size=3), st.none()),
        },
    ),
    st.none(),
    st.integers(),
    st.text(max_size=5),
)
contexts = st.one_of(
    st.fixed_dictionaries(
        {"result": st.one_of(st.lists(regions, max_size=5), st.none(), st.text(max_size=3))}
    ),
    st.dictionaries(st.text(max_size=6), regions, max_size=2),
)


async def seen(picture: NDArray[np.uint8], boxes: NDArray[np.float32] | None) -> list[Person]:
    """Stands for the networks: a person within the picture, and one that reaches beyond it; one in a drawn box."""
    if boxes is not None:
        assert boxes.shape == (1, 4)
        assert np.isfinite(boxes).all()
        assert (boxes >= 0).all()
        assert (boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    spread = np.stack([np.linspace(-1, WIDTH + 1, 133), np.linspace(-1, HEIGHT + 1, 133)], axis=1)
    people = [
        Person(
            np.array([0, 0, 2, 2], np.float32), 0.9, spread.astype(np.float32), np.full(133, 0.9, np.float32)
        ),
        Person(
            np.array([-3, -3, 9, 9], np.float32),
            0.4,
            spread.astype(np.float32),
            np.full(133, 1.1, np.float32),
        ),
    ]
    return people[:1] if boxes is not None else people


async def asked(label_config: str, context: Any, picture: Any = PICTURE) -> tuple[list[Any], list[str]]:
    """Ask with one task; returns the slots as they are sent, and the reasons of failures."""
    body = {
        "tasks": [{"id": 1, "data": {"image": picture}}],
        "label_config": label_config,
        "params": {"context": context},
    }
    request = PredictRequest.model_validate_json(json.dumps(body))
    async with predicting(seen) as (predictor, status):
        response = await results_response(await predictor.predict(request))
    answer = Answer(200, {}, bytes(response.body))
    reasons = [failure["reason"] for failure in status.as_dict()["last_failures"]]
    return answer.json["results"], reasons


def numbers_in(node: Any) -> Iterator[float]:
    if isinstance(node, dict):
        for value in node.values():
            yield from numbers_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from numbers_in(value)
    elif isinstance(node, float):
        yield node


def assert_slot(slot: Any) -> None:
    """A slot as Label Studio needs it, whatever was asked."""
    PredictResponse.model_validate({"results": [slot], "failures": []})
    regions = slot["result"] if isinstance(slot, dict) else slot
    ids = [region["id"] for region in regions]
    assert len(ids) == len(set(ids)), "ids are unique in the task"
    for region in regions:
        assert region.get("parentID") in {None, *ids}, "no region belongs to one that is not there"
        value = region["value"]
        if region["type"] != "vectorlabels":
            assert 0 <= value["x"] <= 100
            assert 0 <= value["y"] <= 100
    assert all(math.isfinite(number) for number in numbers_in(slot))


slow = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.filterwarnings("error")
class TestAnything:
    @pytest.mark.promise("label-config-parsed-safely")
    @slow
    @given(configs)
    @example("<View>" * (MAX_DEPTH + 1))
    @example("<View" * 10_000)
    @example('<View a="' + "&#65;" * 10_000 + '"/>')
    def test_as_label_config_is_read_or_explained(self, xml: str) -> None:
        problems: Sequence[str]
        try:
            problems = parse_label_config(xml).problems
        except LabelConfigError as error:
            problems = [str(error)]
        assert all(0 < len(problem) < 2000 for problem in problems)
        status = Status("embedded", "cpu")
        asyncio.run(check_label_config(SetupRequest.model_validate({"project": 1, "schema": xml}), status))
        told = status.as_dict()["label_config_problems"].get("1", [])
        assert set(problems) <= set(told) or not xml

    @slow
    @given(usable_configs())
    async def test_as_label_config_gives_a_slot(self, xml: str) -> None:
        (slot,), reasons = await asked(xml, {})

        assert_slot(slot)
        assert set(reasons) <= {"label_config", "no_picture", "bad_address"}

    @pytest.mark.promise("every-task-gets-a-slot")
    @slow
    @given(contexts, st.sampled_from(list(Selection)))
    async def test_as_context_gives_a_slot(self, context: Any, selection: Selection) -> None:
        (slot,), reasons = await asked(label_config_template([selection]), context)

        assert_slot(slot)
        assert set(reasons) <= {"prompt", "label_config"}

    @pytest.mark.promise("every-task-gets-a-slot")
    @slow
    @given(
        st.recursive(odd_numbers | st.text(), lambda below: st.lists(below) | st.dictionaries(names, below))
    )
    async def test_as_picture_of_a_task_gives_a_slot(self, picture: Any) -> None:
        (slot,), reasons = await asked(label_config_template([Selection.BODY]), {}, picture)

        assert_slot(slot)
        assert set(reasons) <= {"no_picture", "bad_address", "refused"}
