"""The same weights and the same picture give the same people as rtmlib.

rtmlib runs the pose network on the whole picture when its detector finds nobody. We find nobody then.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rtmlib import BodyWithFeet

from adapters.http.example import draw_figure
from runners.config import RunnerConfig
from runners.models.manifest import EMBEDDED
from runners.models.store import ModelStore
from runners.pipeline import assemble_in_process
from runners.plan import fetch
from wholebody.detection import PersonDetector
from wholebody.estimation import HALPE_BODY_AND_FEET, PoseEstimator
from wholebody.geometry import Picture
from wholebody.person import Person
from wholebody.pipeline import find_people

pytestmark = pytest.mark.models

PHOTOS = Path(__file__).parents[3].parent / "shared" / "photos"
TOLERANCE_PX = 0.01  # 0.5 would do; what is computed is the same but for the order of some float32 operations

OurNetworks = tuple[PersonDetector, PoseEstimator]


@pytest.fixture(scope="module")
def ours(model_store: ModelStore) -> OurNetworks:
    return assemble_in_process(fetch(RunnerConfig("embedded", "cpu", 2, model_store.root)))


@pytest.fixture(scope="module")
def rtmlib(model_store: ModelStore) -> BodyWithFeet:
    files = EMBEDDED
    return BodyWithFeet(
        det=str(model_store.path(files["person"])),
        det_input_size=(416, 416),
        pose=str(model_store.path(files["body"])),
        pose_input_size=(192, 256),
    )


def assert_same_people(picture: Picture, people: list[Person], rtmlib: BodyWithFeet) -> None:
    boxes = np.asarray(rtmlib.det_model(picture)).reshape(-1, 4)
    assert len(people) == len(boxes)
    if not people:
        return
    assert_same_boxes_and_keypoints(picture, people, boxes, rtmlib)


def assert_same_boxes_and_keypoints(
    picture: Picture, people: list[Person], boxes: NDArray[np.float32], rtmlib: BodyWithFeet
) -> None:
    keypoints, scores = rtmlib.pose_model(picture, bboxes=boxes)
    body_and_feet = list(HALPE_BODY_AND_FEET)
    found = set[int]()
    for person in people:
        same = int(np.abs(boxes - person.box).max(axis=1).argmin())
        found.add(same)
        assert np.abs(boxes[same] - person.box).max() < TOLERANCE_PX
        assert np.abs(keypoints[same, body_and_feet] - person.keypoints[:23]).max() < TOLERANCE_PX
        assert np.abs(scores[same, body_and_feet] - person.scores[:23]).max() < 1e-4
    assert len(found) == len(boxes)


FIGURE: Picture = np.ascontiguousarray(np.asarray(draw_figure())[..., ::-1])


def scene(size: tuple[int, int], *figures: tuple[int, int, float]) -> Picture:
    """A plain picture of a size with drawn people in it, each at left, top and so many times their size."""
    picture = np.full((size[1], size[0], 3), (226, 214, 196), np.uint8)
    for left, top, scale in figures:
        figure = cv2.resize(FIGURE, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x, y = (
            np.clip((left, left + figure.shape[1]), 0, size[0]),
            np.clip((top, top + figure.shape[0]), 0, size[1]),
        )
        picture[y[0] : y[1], x[0] : x[1]] = figure[y[0] - top : y[1] - top, x[0] - left : x[1] - left]
    return picture


SCENES = {
    "one person": (1, scene((240, 320), (0, 0, 1))),
    "many people": (4, scene((1200, 700), (10, 10, 1), (300, 200, 1.5), (700, 50, 1.2), (960, 350, 1))),
    "people at the border": (2, scene((500, 400), (-80, 60, 1.2), (380, 120, 1))),
    "odd numbers": (1, scene((333, 417), (41, 53, 1))),
    "larger than 4k": (2, scene((4501, 3001), (500, 300, 6), (2600, 900, 5))),
    "very wide": (3, scene((3000, 330), (100, 5, 1), (1500, 5, 1), (2700, 5, 1))),
    "very tall": (2, scene((250, 2000), (5, 100, 1), (5, 1200, 1))),
    "small": (1, cv2.resize(FIGURE, (61, 81), interpolation=cv2.INTER_AREA)),
    "the network's own size": (1, scene((416, 416), (80, 40, 1))),
    "a strip": (0, scene((5000, 60), (100, 5, 0.15))),
    "one pixel": (0, scene((1, 1))),
    "nobody": (0, scene((640, 480))),
}


@pytest.mark.parametrize("name", SCENES)
async def test_drawn_people_are_rtmlib_s(name: str, ours: OurNetworks, rtmlib: BodyWithFeet) -> None:
    count, picture = SCENES[name]
    people = await find_people(picture, *ours)
    assert len(people) == count
    assert_same_people(picture, people, rtmlib)


# How each photograph is shown, and how many people there are to compare at least.
VARIANTS = {
    "as it is": (1, lambda picture: picture),
    "upright": (1, lambda picture: cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE)),
    "mirrored": (1, lambda picture: cv2.flip(picture, 1)),
    "37×41": (0, lambda picture: cv2.resize(picture, (37, 41))),
    "1×1": (0, lambda picture: cv2.resize(picture, (1, 1))),
    "squeezed": (1, lambda picture: cv2.resize(picture, (300, 700))),
    "stretched": (1, lambda picture: cv2.resize(picture, (3001, 501))),
    "larger than 4k": (1, lambda picture: cv2.resize(picture, (4501, 3001))),
    "a part of it": (1, lambda picture: picture[50:251, 60:401]),
}


def photographs() -> Iterator[Picture]:
    for file in sorted(PHOTOS.glob("*.jpg")):
        yield cv2.imread(str(file))
    for file in sorted(PHOTOS.glob("*.mp4")):
        frames = cv2.VideoCapture(str(file))
        while (read := frames.read())[0]:
            yield read[1]


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="there are no photographs in ../shared/photos")
@pytest.mark.parametrize("variant", VARIANTS)
async def test_people_on_photographs_are_rtmlib_s(
    variant: str, ours: OurNetworks, rtmlib: BodyWithFeet
) -> None:
    least, shown = VARIANTS[variant]
    count = 0
    for number, photograph in enumerate(photographs()):
        if number > 2 and variant != "as it is":
            break  # of the video only one frame: the others are much like it
        picture = np.ascontiguousarray(shown(photograph))
        people = await find_people(picture, *ours)
        assert_same_people(picture, people, rtmlib)
        count += len(people)
    assert count >= least


@st.composite
def drawn_boxes(draw: st.DrawFn) -> NDArray[np.float32]:
    x, y = draw(st.floats(-50, 230, width=32)), draw(st.floats(-50, 310, width=32))
    width, height = draw(st.floats(2, 400, width=32)), draw(st.floats(2, 400, width=32))
    return np.array([x, y, x + width, y + height], np.float32)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(drawn_boxes(), min_size=1, max_size=3))
def test_keypoints_in_any_drawn_boxes_are_rtmlib_s(
    ours: OurNetworks, rtmlib: BodyWithFeet, drawn: list[NDArray[np.float32]]
) -> None:
    boxes = np.unique(np.stack(drawn), axis=0)
    people = asyncio.run(find_people(FIGURE, *ours, boxes=boxes))
    assert [person.box.tolist() for person in people] == boxes.tolist()
    assert_same_boxes_and_keypoints(FIGURE, people, boxes, rtmlib)
