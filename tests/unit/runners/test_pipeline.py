"""Which networks a mode has, and how they are put together."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.http.example import draw_figure
from runners.config import Mode, RunnerConfig
from runners.models.manifest import EMBEDDED, MODES
from runners.models.store import ModelStore
from runners.pipeline import assemble, assemble_in_process
from runners.plan import NetworkPlan, fetch
from wholebody.detection import LetterboxDetector
from wholebody.estimation import PartsEstimator, WholeBodyEstimator
from wholebody.hands.search import HandSearch
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

PHOTOS = Path(__file__).parents[3].parent / "shared" / "photos"
CLIP, MATCH = PHOTOS / "sign_1031.mp4", PHOTOS / "football_demo.jpg"


def plan(model_store: ModelStore) -> NetworkPlan:
    return fetch(RunnerConfig("embedded", "cpu", 1, model_store.root))


def named(name: str) -> Any:
    """In place of a network: its name."""
    return name


class TestNetworksOfAMode:
    @pytest.mark.parametrize("mode", sorted(set(MODES) - {"embedded"}))
    def test_the_other_modes_have_a_detector_and_one_network_for_all_keypoints(self, mode: Mode) -> None:
        files = MODES[mode]
        assert list(files) == ["person", "body"]
        assert (files["person"].keypoints, files["body"].keypoints) == (0, 133)

    def test_the_embedded_ones_become_a_parts_estimator(self) -> None:
        detector, estimator = assemble(EMBEDDED, named)
        assert detector == LetterboxDetector(named("person"), (416, 416))
        assert estimator == PartsEstimator(
            body=named("body"),
            body_size=(192, 256),
            hands=HandSearch(
                network=named("hand"), size=224, palm_detector=named("palm"), palm_detector_size=192
            ),
            face_detector=named("face"),
            face_detector_size=128,
            face_mesh=named("face_mesh"),
            face_mesh_size=192,
        )

    @pytest.mark.parametrize(
        ("mode", "detector_size", "body_size"),
        [
            ("lightweight", (416, 416), (192, 256)),
            ("balanced", (640, 640), (192, 256)),
            ("performance", (640, 640), (288, 384)),
        ],
    )
    def test_the_others_become_a_whole_body_estimator(
        self, mode: Mode, detector_size: tuple[int, int], body_size: tuple[int, int]
    ) -> None:
        detector, estimator = assemble(MODES[mode], named)
        assert detector == LetterboxDetector(named("person"), detector_size)
        assert estimator == WholeBodyEstimator(named("body"), body_size)


@pytest.mark.models
class TestInThisProcess:
    async def test_the_real_networks_find_nobody_in_a_plain_picture(self, model_store: ModelStore) -> None:
        detector, estimator = assemble_in_process(plan(model_store))
        plain = np.full((120, 160, 3), 128, np.uint8)
        assert await find_people(plain, detector, estimator) == []

    async def test_left_and_right_of_a_drawn_person_who_faces_us_and_their_face(
        self, model_store: ModelStore
    ) -> None:
        figure = draw_figure()
        people = await find_people(
            np.ascontiguousarray(np.asarray(figure)[..., ::-1]),
            *assemble_in_process(plan(model_store)),
        )
        (person,) = people
        at = {keypoint.name: person.keypoints[keypoint.index] for keypoint in KEYPOINTS}
        # As they are drawn, in pixels. Their right is at our left; the raised hand is the left one.
        drawn = {
            "right_shoulder": (89, 86),
            "left_shoulder": (151, 86),
            "right_wrist": (62, 160),
            "left_wrist": (192, 64),
            "right_ankle": (98, 275),
            "left_ankle": (142, 275),
            "right_big_toe": (86, 285),
            "left_big_toe": (154, 285),
            "face_36": (110, 47),  # outer corner of the right eye
            "face_45": (130, 47),
            "face_48": (114, 60),  # right corner of the mouth
            "face_54": (126, 60),
            "face_8": (120, 71),  # chin
            "face_30": (121, 54),  # tip of the nose
        }
        apart = {name: round(float(np.linalg.norm(at[name] - place)), 1) for name, place in drawn.items()}
        for name, distance in apart.items():
            # Its hands are discs and its feet strokes: where a wrist or a toe ends is a matter of taste.
            assert distance < (2.5 if name.startswith("face") else 12), (name, distance)
        assert np.all(person.scores[list(PART_RANGES[Part.FACE])] > 0.5)

    @pytest.mark.skipif(not CLIP.is_file(), reason="there is no sign-language clip in ../shared/photos")
    async def test_in_each_frame_of_a_clip_the_signing_hand_is_found_and_no_second_one(
        self, model_store: ModelStore
    ) -> None:
        networks = assemble_in_process(plan(model_store))
        video, frames = cv2.VideoCapture(str(CLIP)), 0
        while (read := video.read())[0]:
            (person,) = await find_people(np.asarray(read[1], np.uint8), *networks)
            assert person.scores[list(PART_RANGES[Part.RIGHT_HAND])].min() >= 0.5
            assert person.scores[list(PART_RANGES[Part.LEFT_HAND])].max() == 0
            frames += 1
        assert frames == 11

    @pytest.mark.skipif(not CLIP.is_file(), reason="there is no sign-language clip in ../shared/photos")
    @pytest.mark.parametrize("turn", [0, 1, 2, 3])
    async def test_a_hand_cut_out_of_a_clip_is_found_alone_in_any_turn(
        self, model_store: ModelStore, turn: int
    ) -> None:
        networks = assemble_in_process(plan(model_store))
        frame = np.asarray(cv2.VideoCapture(str(CLIP)).read()[1], np.uint8)
        (signer,) = await find_people(frame, *networks)
        where = list(PART_RANGES[Part.RIGHT_HAND])
        known = signer.keypoints[where]
        size = float(np.ptp(known, axis=0).max())
        low, high = known.min(axis=0) - 0.25 * size, known.max(axis=0) + 0.25 * size
        (left, top), (right, bottom) = low.clip(0).astype(int), high.astype(int)
        cut = np.ascontiguousarray(np.rot90(frame[top:bottom, left:right], -turn))  # clockwise
        everything = np.array([[0, 0, cut.shape[1], cut.shape[0]]], np.float32)

        (alone,) = await find_people(cut, *networks, everything)

        assert not alone.scores[: PART_RANGES[Part.BODY].stop].any()
        expected = known - (left, top)
        height, width = bottom - top, right - left
        for _ in range(turn):
            expected = np.stack([height - expected[:, 1], expected[:, 0]], axis=1)
            height, width = width, height
        assert float(np.linalg.norm(alone.keypoints[where] - expected, axis=1).mean()) < 0.15 * size

    @pytest.mark.skipif(
        not MATCH.is_file(), reason="there is no photograph of a football match in ../shared/photos"
    )
    async def test_five_of_the_six_near_hands_of_a_football_match_are_found_and_no_others(
        self, model_store: ModelStore
    ) -> None:
        networks = assemble_in_process(plan(model_store))
        people = await find_people(np.asarray(cv2.imread(str(MATCH)), np.uint8), *networks)
        largest_first = sorted(
            people, key=lambda person: float(np.prod(person.box[2:] - person.box[:2])), reverse=True
        )
        hands = [
            sum(bool(person.scores[PART_RANGES[part].start]) for part in (Part.LEFT_HAND, Part.RIGHT_HAND))
            for person in largest_first
        ]
        assert sum(hands[:3]) == 5
        assert not any(hands[3:])

    async def test_and_answer_for_every_drawn_box_however_odd(self, model_store: ModelStore) -> None:
        detector, estimator = assemble_in_process(plan(model_store))
        noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        boxes: NDArray[np.float32] = np.array(
            [
                [0, 0, 160, 120],
                [0, 0, 0.01, 120],
                [10, 10, 10.5, 10.5],
                [150, 110, 400, 900],
                [900, 900, 950, 990],
            ],
            np.float32,
        )
        people = await find_people(noise, detector, estimator, boxes)
        assert len(people) == len(boxes)
        for person in people:
            assert np.isfinite(person.keypoints).all()
            assert np.isfinite(person.scores).all()
