"""The pipeline from a picture to its people, with small networks of our own in place of the real ones."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.part_networks import HALPE, SIZE, UPRIGHT_HAND, Networks, palms_at, settled_hand
from wholebody.detection import Detections
from wholebody.estimation import (
    HALPE_BODY_AND_FEET,
    Estimate,
    InferenceError,
    PartFound,
    WholeBodyEstimator,
)
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

Floats = NDArray[np.float32]
PICTURE = np.zeros((300, 400, 3), np.uint8)


class Detector:
    """Finds the same boxes in every picture, and counts how often it is asked."""

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        self.found = Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32))
        self.asked = 0

    async def detect(self, picture: NDArray[np.uint8]) -> Detections:
        self.asked += 1
        return self.found


class Estimator:
    """Puts all keypoints of a person on the corner of their box, and keeps the boxes it was asked about.

    Attributes:
        score: Of every keypoint.
        hands: Found where no body is.
        asked_for_hands: The boxes that were searched for them.
    """

    def __init__(self, score: float = 1, hands: Sequence[tuple[Part, PartFound]] = ()) -> None:
        self.asked: list[Floats] = []
        self.score = score
        self.hands = list(hands)
        self.asked_for_hands: list[list[float]] = []

    async def estimate(self, picture: NDArray[np.uint8], boxes: Floats) -> Estimate:
        self.asked.append(boxes)
        return Estimate(
            np.repeat(boxes[:, np.newaxis, :2], 133, axis=1),
            np.full((len(boxes), 133), self.score, np.float32),
        )

    async def hands_alone(self, picture: NDArray[np.uint8], box: Floats) -> list[tuple[Part, PartFound]]:
        self.asked_for_hands.append(box.tolist())
        return self.hands


class TestFindPeople:
    async def test_each_person_has_their_own_box_score_and_keypoints_in_the_detector_s_order(self) -> None:
        detector = Detector([[10, 20, 60, 90], [100, 50, 180, 200]], [0.9, 0.4])
        first, second = await find_people(PICTURE, detector, Estimator())
        assert first.box.tolist() == [10, 20, 60, 90]
        assert first.box_score == pytest.approx(0.9)
        assert first.keypoints.tolist() == [[10, 20]] * 133
        assert second.box_score == pytest.approx(0.4)
        assert second.keypoints.tolist() == [[100, 50]] * 133

    async def test_nobody_found_is_nobody_and_no_network_is_asked_for_keypoints(self) -> None:
        estimator = Estimator()
        assert await find_people(PICTURE, Detector([], []), estimator) == []
        assert estimator.asked == []

    async def test_for_drawn_boxes_the_detector_is_not_asked(self) -> None:
        detector = Detector([[10, 20, 60, 90]], [0.9])
        drawn = np.array([[1, 2, 30, 40], [5, 6, 70, 80]], np.float32)
        people = await find_people(PICTURE, detector, Estimator(), drawn)
        assert detector.asked == 0
        assert [person.box.tolist() for person in people] == drawn.tolist()
        assert [person.box_score for person in people] == [1.0, 1.0]

    @pytest.mark.parametrize(
        "empty",
        [
            [50, 50, 50, 90],
            [50, 50, 90, 50],
            [90, 50, 50, 90],
            [50, 90, 90, 50],
            [50, 50, math.inf, 90],
            [math.nan, 50, 90, 90],
        ],
        ids=["no width", "no height", "left of itself", "above itself", "endless", "no number"],
    )
    @pytest.mark.parametrize("drawn", [True, False])
    async def test_boxes_without_an_area_are_left_out(self, empty: list[float], drawn: bool) -> None:
        boxes = [empty, [10, 20, 60, 90], empty]
        detector, estimator = Detector(boxes, [0.9, 0.8, 0.7]), Estimator()
        given = np.array(boxes, np.float32) if drawn else None
        (person,) = await find_people(PICTURE, detector, estimator, given)
        assert person.box.tolist() == [10, 20, 60, 90]
        assert person.box_score == (1.0 if drawn else pytest.approx(0.8))
        assert [asked.tolist() for asked in estimator.asked] == [[[10, 20, 60, 90]]]

    async def test_nothing_but_empty_boxes_is_nobody(self) -> None:
        estimator = Estimator()
        drawn = np.array([[50, 50, 50, 50]], np.float32)
        assert await find_people(PICTURE, Detector([], []), estimator, drawn) == []
        assert estimator.asked == []


A_HAND = (Part.LEFT_HAND, (np.full((21, 2), [30, 40], np.float32), np.full(21, 0.7, np.float32)))
DRAWN = np.array([[10, 20, 60, 90]], np.float32)


class TestAHandAlone:
    async def test_is_a_person_of_a_hand_where_a_drawn_box_has_no_sure_body(self) -> None:
        estimator = Estimator(score=0.49, hands=[A_HAND])
        (person,) = await find_people(PICTURE, Detector([], []), estimator, DRAWN)
        assert estimator.asked_for_hands == DRAWN.tolist()
        where = list(PART_RANGES[Part.LEFT_HAND])
        assert person.keypoints[where].tolist() == [[30, 40]] * 21
        assert np.flatnonzero(person.scores).tolist() == where
        assert person.box.tolist() == [30, 40, 30, 40]
        assert person.box_score == 1

    async def test_that_is_not_there_leaves_the_unsure_body(self) -> None:
        (person,) = await find_people(PICTURE, Detector([], []), Estimator(score=0.49), DRAWN)
        assert np.all(person.scores == np.float32(0.49))

    async def test_is_not_searched_where_a_body_is_or_nobody_drew(self) -> None:
        sure, found = Estimator(score=0.5, hands=[A_HAND]), Estimator(score=0.1, hands=[A_HAND])
        await find_people(PICTURE, Detector([], []), sure, DRAWN)
        await find_people(PICTURE, Detector(DRAWN.tolist(), [0.9]), found)
        assert sure.asked_for_hands == found.asked_for_hands == []


BOXES = np.array([[50, 50, 110, 130], [200, 50, 260, 130]], np.float32)


class TestWholeBodyEstimator:
    async def test_all_people_go_to_the_network_together_and_points_return_to_the_picture(self) -> None:
        batches: list[tuple[int, ...]] = []

        async def network(crops: NDArray[np.uint8]) -> list[Floats]:
            batches.append(crops.shape)
            middle = [SIZE[0] / 2, SIZE[1] / 2]
            return [
                np.array([[*middle, 0.1 * (person + 1)]] * 133, np.float32) for person in range(len(crops))
            ]

        estimate = await WholeBodyEstimator(network, SIZE).estimate(PICTURE, BOXES)
        assert batches == [(2, 256, 192, 3)]
        assert estimate.keypoints.dtype == estimate.scores.dtype == np.float32
        assert np.allclose(estimate.keypoints[0], [80, 90])  # the middle of the box
        assert np.allclose(estimate.keypoints[1], [230, 90])
        assert np.allclose(estimate.scores, [[0.1] * 133, [0.2] * 133])

    async def test_an_answer_for_too_few_crops_is_an_error_and_not_somebody_else_s(self) -> None:
        async def network(crops: NDArray[np.uint8]) -> list[Floats]:
            return [np.zeros((133, 3), np.float32)]

        with pytest.raises(ValueError, match="zip"):
            await WholeBodyEstimator(network, SIZE).estimate(PICTURE, BOXES)


LEFT_WRIST, RIGHT_WRIST = 9, 10


class TestPartsEstimator:
    async def test_body_and_feet_are_the_body_network_s_points_in_our_order(self) -> None:
        estimate = await Networks().estimator().estimate(PICTURE, BOXES)
        assert estimate.keypoints.shape == (2, 133, 2)
        # The crop of a box 60×80 is 75×100 round the same middle: 192×256 at 0.390625.
        crop_of_first = (np.array(HALPE) - (96, 128)) * 0.390625 + (80, 90)
        assert np.allclose(estimate.keypoints[0, :23], crop_of_first[list(HALPE_BODY_AND_FEET)], atol=1e-4)
        assert np.allclose(estimate.keypoints[1, :23], estimate.keypoints[0, :23] + (150, 0), atol=1e-4)
        names = {keypoint.name: keypoint.index for keypoint in KEYPOINTS}
        for name, halpe in (
            ("left_big_toe", 20),
            ("right_big_toe", 21),
            ("left_heel", 24),
            ("right_heel", 25),
        ):
            assert np.allclose(estimate.keypoints[0, names[name]], crop_of_first[halpe], atol=1e-4)
        assert np.all(estimate.scores[:, :23] == np.float32(0.9))

    async def test_all_parts_of_all_people_are_found_in_one_batch_for_each_network(self) -> None:
        networks = Networks()
        estimate = await networks.estimator().estimate(PICTURE, BOXES)
        assert np.all(estimate.scores > 0)
        assert networks.calls["body"] == [2]
        assert networks.calls["face"] == [2]
        assert networks.calls["mesh"] == [2]
        assert networks.calls["hand"][0] == 4
        for part, score in ((Part.FACE, 0.7), (Part.LEFT_HAND, 0.8), (Part.RIGHT_HAND, 0.8)):
            assert np.allclose(estimate.scores[:, list(PART_RANGES[part])], score)

    async def test_each_hand_goes_to_its_own_arm_and_person(self) -> None:
        estimate = await Networks().estimator().estimate(PICTURE, BOXES)
        for person in range(2):
            for part, wrist in ((Part.LEFT_HAND, LEFT_WRIST), (Part.RIGHT_HAND, RIGHT_WRIST)):
                apart = (
                    estimate.keypoints[person, PART_RANGES[part].start] - estimate.keypoints[person, wrist]
                )
                assert np.linalg.norm(apart) < 5

    async def test_each_face_lies_between_its_own_eyes(self) -> None:
        estimate = await Networks().estimator().estimate(PICTURE, BOXES)
        for person in range(2):
            face = estimate.keypoints[person, list(PART_RANGES[Part.FACE])]
            assert np.linalg.norm(face.mean(axis=0) - estimate.keypoints[person, :3].mean(axis=0)) < 5

    @pytest.mark.parametrize(
        ("networks", "lost"),
        [
            (Networks(hand_score=lambda look: 0.55), {Part.LEFT_HAND, Part.RIGHT_HAND}),
            (Networks(body_scores={LEFT_WRIST: 0.1}), {Part.LEFT_HAND}),
            (Networks(body_scores={RIGHT_WRIST: 0.1}), {Part.RIGHT_HAND}),
            (Networks(mesh_score=0.4), {Part.FACE}),
            (Networks(face_found=False), {Part.FACE}),
            (Networks(body_scores={0: 0.1}), {Part.FACE}),
        ],
        ids=["doubtful hands", "no left wrist", "no right wrist", "doubtful mesh", "no face", "no nose"],
    )
    async def test_a_part_that_is_not_found_has_score_0_and_the_others_stay(
        self, networks: Networks, lost: set[Part]
    ) -> None:
        estimate = await networks.estimator().estimate(PICTURE, BOXES)
        for part in (Part.FACE, Part.LEFT_HAND, Part.RIGHT_HAND):
            assert np.all((estimate.scores[:, list(PART_RANGES[part])] == 0) == (part in lost))
        assert np.all(np.isfinite(estimate.keypoints))

    async def test_networks_with_nothing_to_look_at_are_not_asked(self) -> None:
        joints = {LEFT_WRIST, RIGHT_WRIST, 0}
        networks = Networks(body_scores=dict.fromkeys(joints, 0.1))
        await networks.estimator().estimate(PICTURE, BOXES)
        assert set(networks.calls) == {"body"}

    async def test_a_hand_that_keeps_moving_is_looked_at_three_times(self) -> None:
        def running(look: int) -> Floats:
            return UPRIGHT_HAND + np.float32(0.2 if look % 2 else -0.2)

        networks = Networks(hand_points=running)
        await networks.estimator().estimate(PICTURE, BOXES)
        assert networks.calls["hand"] == [4, 4, 4]

    async def test_a_hand_that_has_settled_is_not_looked_at_again(self) -> None:
        at_once = Networks(hand_points=lambda look: settled_hand())
        await at_once.estimator().estimate(PICTURE, BOXES)
        assert at_once.calls["hand"] == [4]
        second_time = Networks(hand_points=lambda look: UPRIGHT_HAND if look == 1 else settled_hand())
        await second_time.estimator().estimate(PICTURE, BOXES)
        assert second_time.calls["hand"] == [4, 4]

    async def test_a_hopeless_hand_is_looked_at_once(self) -> None:
        networks = Networks(hand_score=lambda look: 0.09)
        await networks.estimator().estimate(PICTURE, BOXES)
        assert networks.calls["hand"] == [4]

    @pytest.mark.parametrize(("first", "later", "found"), [(0.2, 0.8, True), (0.8, 0.1, False)])
    async def test_the_last_look_decides(self, first: float, later: float, found: bool) -> None:
        networks = Networks(hand_score=lambda look: first if look == 1 else later)
        estimate = await networks.estimator().estimate(PICTURE, BOXES)
        for part in (Part.LEFT_HAND, Part.RIGHT_HAND):
            assert np.allclose(estimate.scores[:, list(PART_RANGES[part])], later if found else 0)

    ELBOWS, KNEES = (7, 8), (13, 14)
    SEATED = dict.fromkeys((*ELBOWS, *KNEES), 0.1)

    async def test_a_hand_without_an_arm_is_found_at_a_palm(self) -> None:
        palms = palms_at((0.5, 0.5), (0.8, 0.5))
        networks = Networks(body_scores=self.SEATED, palms=palms, hand_points=lambda look: settled_hand())
        estimate = await networks.estimator().estimate(PICTURE, BOXES)
        assert networks.calls["palm"] == [2]
        assert networks.calls["hand"] == [4], "no arm, two palms of each person"
        for person in range(2):
            for part in (Part.LEFT_HAND, Part.RIGHT_HAND):
                assert np.allclose(estimate.scores[person, list(PART_RANGES[part])], 0.8)
            left, right = (PART_RANGES[part].start for part in (Part.LEFT_HAND, Part.RIGHT_HAND))
            # The network takes every first hand for a left one.
            assert estimate.keypoints[person, left, 0] < estimate.keypoints[person, right, 0]

    async def test_people_whose_arms_or_knees_are_seen_are_not_searched_for_palms(self) -> None:
        for seen in (self.ELBOWS, self.KNEES):
            networks = Networks(body_scores=self.SEATED | dict.fromkeys(seen, 0.9))
            await networks.estimator().estimate(PICTURE, BOXES)
            assert "palm" not in networks.calls

    async def test_where_no_palm_is_no_hand_is_searched(self) -> None:
        networks = Networks(body_scores=self.SEATED)
        await networks.estimator().estimate(PICTURE, BOXES)
        assert networks.calls["palm"] == [2]
        assert "hand" not in networks.calls

    async def test_hands_and_faces_are_looked_for_at_the_same_time(self) -> None:
        networks = Networks()
        hand_started, face_started = asyncio.Event(), asyncio.Event()

        async def hand(crops: NDArray[np.uint8]) -> Any:
            hand_started.set()
            await face_started.wait()
            return await networks.hand(crops)

        async def face(crops: NDArray[np.uint8]) -> Any:
            face_started.set()
            await hand_started.wait()
            return await networks.face(crops)

        estimator = networks.with_parts(hand, face)
        estimate = await asyncio.wait_for(
            estimator.estimate(PICTURE, BOXES), 10
        )  # in turn they would wait for ever
        assert np.all(estimate.scores > 0)

    async def test_a_failure_ends_what_the_other_networks_do_for_this_picture(self) -> None:
        networks, hands_asked, never = Networks(), asyncio.Event(), asyncio.Event()
        ended: list[str] = []

        async def hand(crops: NDArray[np.uint8]) -> Any:
            hands_asked.set()
            try:
                await never.wait()
            finally:
                ended.append("hand")

        async def face(crops: NDArray[np.uint8]) -> Any:
            await hands_asked.wait()
            raise InferenceError("out of memory")

        estimator = networks.with_parts(hand, face)
        async with asyncio.timeout(5):
            with pytest.raises(InferenceError, match="out of memory"):
                await estimator.estimate(PICTURE, BOXES)
            await asyncio.sleep(0)
        assert ended == ["hand"]

    async def test_a_network_s_failure_is_the_picture_s(self) -> None:
        async def broken(crops: NDArray[np.uint8]) -> Any:
            raise InferenceError("out of memory")

        networks = Networks()
        estimator = networks.with_parts(broken, networks.face)
        with pytest.raises(InferenceError, match="out of memory"):
            await estimator.estimate(PICTURE, BOXES)
