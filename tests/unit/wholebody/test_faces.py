"""Faces: where they are looked for, which detections and meshes are believed, and the 68 keypoints of a mesh."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wholebody.clicks import Click
from wholebody.faces import (
    MESH_NOSE_AND_EYES,
    MESH_TO_FACE68,
    DetectedFace,
    Head,
    face_keypoints,
    heads_to_search,
    mesh_at,
    mesh_is_believed,
    mesh_region,
    mesh_regions_at,
    regions_at,
)
from wholebody.person import Person
from wholebody.schema import FACE_START, KEYPOINT_COUNT, KEYPOINTS

Floats = NDArray[np.float64]

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
CROWN, NECK = 17, 18

# A face that looks at the camera: the person's left is at the right of the picture.
FRONTAL = {
    NOSE: (100, 110),
    LEFT_EYE: (110, 100),
    RIGHT_EYE: (90, 100),
    LEFT_EAR: (120, 105),
    RIGHT_EAR: (80, 105),
}


def body(points: dict[int, tuple[float, float]], **scores: float) -> tuple[Floats, Floats]:
    """A Halpe-26 body of which only the given points are seen: (26, 2) and (26,)."""
    at, seen = np.zeros((26, 2)), np.zeros(26)
    for index, place in points.items():
        at[index], seen[index] = place, 0.9
    for name, score in scores.items():
        seen[globals()[name]] = score
    return at, seen


def heads(*bodies: tuple[Floats, Floats]) -> list[Head]:
    return heads_to_search(np.stack([at for at, _ in bodies]), np.stack([score for _, score in bodies]))


class TestWhereFacesAreLookedFor:
    def test_in_a_square_round_nose_eyes_and_ears(self) -> None:
        (head,) = heads(body(FRONTAL))
        assert head.person == 0
        assert head.span == 40
        assert (head.region.x, head.region.y, head.region.side) == (100, 105, 120)
        assert np.array_equal(head.nose_and_eyes, [FRONTAL[NOSE], FRONTAL[LEFT_EYE], FRONTAL[RIGHT_EYE]])

    def test_turned_with_the_eyes(self) -> None:
        (head,) = heads(body({**FRONTAL, LEFT_EYE: (100, 120), RIGHT_EYE: (100, 100)}))  # lying on a side
        assert head.region.angle == pytest.approx(math.pi / 2)
        (head,) = heads(body(FRONTAL))
        assert head.region.angle == 0

    def test_of_everybody_whose_nose_and_eyes_are_seen(self) -> None:
        hidden = body(FRONTAL, NOSE=0.1)
        assert [head.person for head in heads(hidden, body(FRONTAL), body(FRONTAL))] == [1, 2]

    @pytest.mark.parametrize("hidden", ["NOSE", "LEFT_EYE", "RIGHT_EYE"])
    def test_not_where_nose_or_an_eye_is_not_seen(self, hidden: str) -> None:
        assert heads(body(FRONTAL, **{hidden: 0.3}))
        assert not heads(body(FRONTAL, **{hidden: 0.29}))

    def test_ears_may_be_hidden(self) -> None:
        assert heads(body(FRONTAL, LEFT_EAR=0.05, RIGHT_EAR=0.05))

    def test_a_head_seen_from_the_side_keeps_its_size_by_neck_and_crown(self) -> None:
        narrow = {
            NOSE: (100, 110),
            LEFT_EYE: (103, 102),
            RIGHT_EYE: (100, 102),
            LEFT_EAR: (112, 104),
            RIGHT_EAR: (108, 104),
        }
        tall = {**narrow, CROWN: (105, 60), NECK: (105, 160)}
        assert heads(body(narrow))[0].span == 12
        assert heads(body(tall))[0].span == pytest.approx(40)

    def test_a_head_bent_towards_the_camera_keeps_its_size_by_its_points(self) -> None:
        assert heads(body({**FRONTAL, CROWN: (100, 80), NECK: (100, 120)}))[0].span == 40

    @pytest.mark.parametrize("hidden", ["CROWN", "NECK"])
    def test_unless_neck_or_crown_is_not_seen(self, hidden: str) -> None:
        tall = {**FRONTAL, CROWN: (105, 0), NECK: (105, 200)}
        assert heads(body(tall))[0].span == pytest.approx(80)
        assert heads(body(tall, **{hidden: 0.29}))[0].span == 40

    def test_not_on_heads_of_a_pixel_or_two(self) -> None:
        def small(width: float) -> dict[int, tuple[float, float]]:
            return {
                index: (100 + (x - 100) * width / 40, 100 + (y - 100) * width / 40)
                for index, (x, y) in FRONTAL.items()
            }

        assert heads(body(small(2.7)))
        assert not heads(body(small(2.6)))


def head(**fields: Any) -> Head:
    (found,) = heads(body(FRONTAL))
    return Head(**{**vars(found), **fields})


def face(x: float = 100, y: float = 103.3, turn: float = 0, score: float = 0.9) -> DetectedFace:
    """A detected face whose nose and eyes are centred on x, y."""
    # Right eye, left eye, nose, mouth, right ear, left ear.
    points = np.array([[90, 100], [110, 100], [100, 110], [100, 118], [80, 105], [120, 105]]) - (100, 310 / 3)
    cos, sin = math.cos(turn), math.sin(turn)
    return DetectedFace(points @ np.array([[cos, sin], [-sin, cos]]) + (x, y), score)


class TestWhichDetectedFaceIsTheHeads:
    def test_one_where_the_body_has_nose_and_eyes(self) -> None:
        region = mesh_region(head(), [face()])
        assert region is not None
        points = face().points
        assert (region.x, region.y) == pytest.approx(
            (100, 103.3 + 17 / 3 - 1.8)
        )  # a little towards the forehead
        assert region.side == pytest.approx(2 * np.ptp(points[:, 0]))
        assert region.angle == pytest.approx(0)

    def test_turned_with_its_own_eyes(self) -> None:
        region = mesh_region(head(), [face(turn=0.3)])
        assert region is not None
        assert region.angle == pytest.approx(0.3)

    def test_the_nearest_of_several_even_if_another_is_surer(self) -> None:
        own, neighbour = face(105, score=0.6), face(125, score=0.99)
        assert mesh_region(head(), [neighbour, own]) == mesh_region(head(), [own])

    def test_none_when_all_are_somebody_else_s(self) -> None:
        # A quarter of the searched square, 30 pixels, is the limit.
        assert mesh_region(head(), [face(129)]) is not None
        assert mesh_region(head(), [face(131)]) is None

    def test_none_when_there_is_none(self) -> None:
        assert mesh_region(head(), []) is None

    def test_none_when_its_points_lie_in_one_place(self) -> None:
        assert mesh_region(head(), [DetectedFace(np.full((6, 2), 100.0), 0.9)]) is None


def mesh(shift: tuple[float, float] = (0, 0)) -> Floats:
    """A mesh with its nose and eyes exactly where the body's are, and everything else anywhere."""
    points = np.random.default_rng(0).uniform(0, 200, (468, 2))
    for place, indices in zip(
        (FRONTAL[NOSE], FRONTAL[LEFT_EYE], FRONTAL[RIGHT_EYE]), MESH_NOSE_AND_EYES, strict=True
    ):
        points[list(indices)] = place
    return points + shift


class TestWhichMeshIsBelieved:
    def test_one_on_the_body_s_nose_and_eyes(self) -> None:
        assert mesh_is_believed(head(), mesh(), 0.9)

    def test_not_one_that_the_network_doubts(self) -> None:
        assert mesh_is_believed(head(), mesh(), 0.51)
        assert not mesh_is_believed(head(), mesh(), 0.5)

    def test_not_one_that_lies_elsewhere(self) -> None:
        # 0.35 of the span, 14 pixels, is the limit.
        assert mesh_is_believed(head(), mesh((0, 13.9)), 0.9)
        assert not mesh_is_believed(head(), mesh((0, 14.1)), 0.9)

    def test_not_one_that_is_mirrored(self) -> None:
        assert not mesh_is_believed(head(), mesh() * (-1, 1) + (200, 0), 0.9)

    def test_not_one_without_numbers(self) -> None:
        assert not mesh_is_believed(head(), mesh() * math.nan, 0.9)
        assert not mesh_is_believed(head(), mesh(), math.nan)


# Outlines of the mesh as MediaPipe draws them (mediapipe/python/solutions/face_mesh_connections.py), each from the
# forehead down, from the right of the face, or round the eye from its outer corner over the upper lid.
RIGHT_OVAL = [109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148]
LEFT_OVAL = [338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377]
RIGHT_BROW, LEFT_BROW = [70, 63, 105, 66, 107], [300, 293, 334, 296, 336]
RIGHT_EYE_OUTLINE = [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]
LEFT_EYE_OUTLINE = [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249]
OUTER_UPPER, OUTER_LOWER = (
    [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291],
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291],
)
INNER_UPPER, INNER_LOWER = (
    [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308],
    [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308],
)
_PAIRS = (
    (RIGHT_OVAL, LEFT_OVAL),
    (RIGHT_BROW, LEFT_BROW),
    (RIGHT_EYE_OUTLINE, LEFT_EYE_OUTLINE),
    *((lip, lip[::-1]) for lip in (OUTER_UPPER, OUTER_LOWER, INNER_UPPER, INNER_LOWER)),
    ([152], [152]),
)
MIRROR = {
    a: b for right, left in _PAIRS for pair in zip(right, left, strict=True) for a, b in (pair, pair[::-1])
}


class TestTheFaceKeypoints:
    def test_each_is_a_mesh_point_of_its_own(self) -> None:
        assert len(MESH_TO_FACE68) == len(set(MESH_TO_FACE68)) == 68
        points = np.arange(468 * 2).reshape(468, 2)
        assert np.array_equal(face_keypoints(points), points[list(MESH_TO_FACE68)])

    def test_a_keypoint_s_twin_is_the_mirrored_mesh_point(self) -> None:
        compared = 0
        for keypoint, point in zip(KEYPOINTS[FACE_START : FACE_START + 68], MESH_TO_FACE68, strict=True):
            if point in MIRROR:
                assert MESH_TO_FACE68[keypoint.twin - FACE_START] == MIRROR[point]
                compared += 1
        assert compared == 57  # all but the nose and the brows' outer ends, which lie on none of the outlines

    def test_the_jaw_runs_from_the_right_temple_over_the_chin_to_the_left(self) -> None:
        oval = [*RIGHT_OVAL, 152, *reversed(LEFT_OVAL)]
        places = [oval.index(point) for point in MESH_TO_FACE68[:17]]
        assert places == sorted(places)
        assert MESH_TO_FACE68[8] == 152  # the chin

    def test_the_brows_run_from_right_to_left(self) -> None:
        assert MESH_TO_FACE68[18:22] == tuple(RIGHT_BROW[1:])
        assert MESH_TO_FACE68[22:26] == tuple(reversed(LEFT_BROW[1:]))

    def test_the_eyes_start_at_their_right_corner_and_go_over_the_upper_lid(self) -> None:
        for start, outline in (
            (36, RIGHT_EYE_OUTLINE),
            (42, [*LEFT_EYE_OUTLINE[8::-1], *LEFT_EYE_OUTLINE[:8:-1]]),
        ):
            places = [outline.index(point) for point in MESH_TO_FACE68[start : start + 6]]
            assert places[0] == 0
            assert places[3] == 8  # the other corner
            assert places == sorted(places)

    def test_the_lips_start_at_the_right_corner_and_go_over_the_upper_lip(self) -> None:
        for start, count, upper, lower in (
            (48, 12, OUTER_UPPER, OUTER_LOWER),
            (60, 8, INNER_UPPER, INNER_LOWER),
        ):
            outline = [*upper, *reversed(lower[1:-1])]
            places = [outline.index(point) for point in MESH_TO_FACE68[start : start + count]]
            assert places[0] == 0
            assert places == sorted(places)

    def test_the_bridge_of_the_nose_ends_at_its_tip(self) -> None:
        bridge = [168, 6, 197, 195, 5, 4, 1]
        places = [bridge.index(point) for point in MESH_TO_FACE68[27:31]]
        assert places == sorted(places)
        assert places[0] == 0


def clicked(at: tuple[float, float] = (100, 105), sure: float = 0.0, reach: float | None = None) -> Click:
    """A click on somebody whose forearm is 60 pixels long, and whose face is seen with a score."""
    keypoints, scores = np.zeros((KEYPOINT_COUNT, 2), np.float32), np.zeros(KEYPOINT_COUNT, np.float32)
    keypoints[[7, 9]], scores[[7, 9]] = [(300, 100), (300, 160)], 0.9
    for index, place in FRONTAL.items():
        keypoints[index], scores[index] = place, sure
    person = Person(np.array((0, 0, 300, 400), np.float32), 0.9, keypoints, scores)
    return Click.on(at, person, reach, (400, 300))


class TestAClickedFace:
    def test_is_detected_in_squares_of_several_sizes_and_turns_round_the_click(self) -> None:
        regions = regions_at(clicked())
        assert sorted({round(region.side) for region in regions}) == [54, 108, 216]
        assert {round(math.degrees(region.angle)) for region in regions} == {0, 90, 180, 270}
        assert {(region.x, region.y) for region in regions} == {(100, 105)}

    def test_in_the_size_of_a_drawn_rectangle(self) -> None:
        assert regions_at(clicked(reach=20))[0].side == 60

    def test_gets_meshes_where_detected_faces_hold_the_click_the_surest_first(self) -> None:
        poor, good, elsewhere = face(score=0.6), face(102, score=0.8), face(200, score=0.99)
        regions = mesh_regions_at(clicked(), [poor, elsewhere, good])
        assert [region.x for region in regions] == pytest.approx([102, 100])

    def test_gets_few_meshes_however_often_it_is_detected(self) -> None:
        assert len(mesh_regions_at(clicked(), [face()] * 30)) == 4
        assert mesh_regions_at(clicked(), []) == []

    def test_is_the_likeliest_mesh_at_the_click(self) -> None:
        poor, good = (mesh(), 0.6), (mesh(), 0.9)
        assert mesh_at(clicked(), [poor, good]) is good

    def test_is_none_that_is_doubtful_or_elsewhere_or_nonsense(self) -> None:
        others = [(mesh(), 0.5), (mesh((300, 0)), 0.9), (mesh() * math.nan, 0.9), (mesh(), math.nan)]
        assert mesh_at(clicked(), others) is None

    def test_is_none_that_lies_beside_a_nose_and_eyes_that_the_body_network_is_sure_of(self) -> None:
        # Half the span, 20 pixels, is the limit.
        near, off = (mesh((0, 19)), 0.9), (mesh((0, 21)), 0.9)
        assert mesh_at(clicked(sure=0.9), [near]) is near
        assert mesh_at(clicked(sure=0.9), [off]) is None
        assert mesh_at(clicked(sure=0.4), [off]) is off
