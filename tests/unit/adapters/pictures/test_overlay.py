"""People drawn over their picture."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.pictures.overlay import draw_people
from wholebody.palette import keypoint_colour
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, keypoint_index
from wholebody.strokes import EDGE_COLOUR, EDGE_OPACITY, EDGE_WIDTH, STROKES

PICTURE = np.full((200, 200, 3), 255, np.uint8)


def person(
    places: dict[str, tuple[float, float]],
    box: tuple[float, float, float, float] = (50, 50, 150, 150),
    score: float = 0.9,
) -> Person:
    """A person of whom these keypoints were found."""
    keypoints = np.zeros((KEYPOINT_COUNT, 2), np.float32)
    scores = np.zeros(KEYPOINT_COUNT, np.float32)
    for name, place in places.items():
        index = keypoint_index(name)
        assert index is not None
        keypoints[index], scores[index] = place, score
    return Person(np.array(box, np.float32), 1.0, keypoints, scores)


def bgr(name: str) -> tuple[int, ...]:
    index = keypoint_index(name)
    assert index is not None
    colour = keypoint_colour(index)
    return tuple(int(colour[i : i + 2], 16) for i in (5, 3, 1))


def changed(picture: NDArray[np.uint8], *people: Person, threshold: float = 0.3) -> NDArray[np.bool_]:
    return (draw_people(picture, people, threshold) != picture).any(axis=2)


def test_keypoints_that_were_not_found_are_not_drawn_whatever_the_threshold() -> None:
    drawn = changed(PICTURE, person({"nose": (100, 100)}), threshold=0.0)

    assert drawn[100, 100]
    assert not drawn[:45, :45].any(), "nothing at 0, 0"


def test_keypoints_below_the_threshold_are_not_drawn_but_their_box_is() -> None:
    drawn = changed(PICTURE, person({"nose": (100, 100), "left_elbow": (120, 120)}, score=0.2))

    assert drawn[50, 60]
    assert not drawn[55:145, 55:145].any()
    assert not drawn[:45, :45].any()


def test_the_picture_itself_stays_as_it_is() -> None:
    before = PICTURE.copy()
    draw_people(PICTURE, [person({"nose": (100, 100), "left_eye": (105, 95)})], 0.3)

    assert np.array_equal(PICTURE, before)


@pytest.mark.parametrize(
    "ends",
    [
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_thumb_2", "left_thumb_3"),
        ("left_little_18", "left_little_19"),
        ("right_index_6", "right_index_7"),
    ],
)
def test_lines_have_the_colours_of_the_palette(ends: tuple[str, str]) -> None:
    picture = np.full((2000, 2000, 3), 255, np.uint8)
    large = (0, 0, 2000, 2000)
    drawn = draw_people(picture, [person(dict(zip(ends, [(60, 100), (140, 100)], strict=True)), large)], 0.3)

    assert tuple(drawn[100, 100]) == bgr(ends[1])


def test_lines_are_smooth() -> None:
    """A slanted line in one bit has two colours and its edge two more."""
    drawn = draw_people(PICTURE, [person({"left_elbow": (60, 80), "left_wrist": (140, 113)})], 0.3)

    assert len(np.unique(drawn[75:118, 65:135].reshape(-1, 3), axis=0)) > 30


def test_a_line_lies_where_its_keypoints_are_to_a_fraction_of_a_pixel() -> None:
    for y in (100.25, 100.5, 100.75, 101.0):
        ends = {"left_elbow": (60.0, y), "left_wrist": (140.0, y)}
        drawn = draw_people(PICTURE, [person(ends)], 0.3)
        darkness = 255 - drawn[90:112, 100].astype(float).mean(axis=1)
        middles = np.arange(90, 112) + 0.5
        assert (darkness * middles).sum() / darkness.sum() == pytest.approx(y, abs=0.15)


@pytest.mark.parametrize("size", [40.0, 400.0, 1200.0])
def test_lines_are_as_wide_as_their_person_is_large(size: float) -> None:
    picture = np.full((1300, 1300, 3), 255, np.uint8)
    one = person({"left_elbow": (1210, 1210), "left_wrist": (1290, 1290)}, (0, 0, size, size))

    blue = draw_people(picture, [one], 0.3)[1200:, 1250, 0].astype(float)
    width = next(stroke.pen for stroke in STROKES if 7 in stroke.keypoints).width(np.hypot(size, size))
    edges = 2 * EDGE_WIDTH * width * EDGE_OPACITY * (255 - int(EDGE_COLOUR[5:], 16))
    assert bgr("left_wrist")[0] == 0, "so that the line takes all the blue away"
    assert (255 - blue).sum() * np.sqrt(0.5) == pytest.approx(width * 255 + edges, rel=0.06)


def test_a_tiny_person_is_more_than_a_blot() -> None:
    """60 pixels high: arms and legs are there, and most of the picture between them too."""
    places = {
        "left_shoulder": (112, 82),
        "right_shoulder": (98, 82),
        "left_hip": (110, 104),
        "right_hip": (100, 104),
        "left_knee": (111, 118),
        "right_knee": (99, 118),
        "left_ankle": (111, 130),
        "right_ankle": (99, 130),
    }
    drawn = draw_people(PICTURE, [person(places, (93, 70, 118, 132))], 0.3)
    inside = drawn[72:130, 95:116]

    share = (inside != 255).any(axis=2).mean()
    assert 0.1 < share < 0.5
    warm = (inside[..., 2].astype(int) - inside[..., 0] > 100).sum()
    cold = (inside[..., 0].astype(int) - inside[..., 2] > 100).sum()
    assert min(warm, cold) > 40


def test_a_finger_that_crosses_another_has_a_dark_edge_between() -> None:
    picture = np.full((1500, 1500, 3), 255, np.uint8)
    fingers = {
        "left_thumb_2": (60, 100),
        "left_thumb_3": (140, 100),
        "left_little_18": (100, 60),
        "left_little_19": (100, 140),
    }
    row = draw_people(picture, [person(fingers, (0, 0, 1500, 1500))], 0.3)[100, 60:141].astype(int)

    thumb, little = (np.abs(row - bgr(name)).max(axis=1) < 8 for name in ("left_thumb_3", "left_little_19"))
    assert thumb.any()
    assert little.any()
    between = row[np.flatnonzero(thumb[:40])[-1] + 1 : np.flatnonzero(little)[0]]
    assert between.sum(axis=1).min() < min(sum(bgr("left_thumb_3")), sum(bgr("left_little_19")))


def test_a_face_is_seen_through_its_lines() -> None:
    black = np.zeros((3000, 3000, 3), np.uint8)
    large = (0, 0, 3000, 3000)  # lines are five pixels wide
    drawn = draw_people(black, [person({"face_3": (60, 100), "face_4": (140, 100)}, large)], 0.3)

    assert drawn[100, 100].max() < max(bgr("face_4"))


def test_larger_people_lie_over_smaller_ones() -> None:
    picture = np.full((1500, 1500, 3), 255, np.uint8)
    small = person({"left_elbow": (60, 100), "left_wrist": (140, 100)}, (0, 0, 1000, 1000))
    large = person({"right_elbow": (100, 60), "right_wrist": (100, 140)}, (0, 0, 1500, 1500))

    for people in ([small, large], [large, small]):
        assert tuple(draw_people(picture, people, 0.3)[100, 100]) == bgr("right_wrist")


@pytest.mark.parametrize("place", [(np.nan, 100), (np.inf, 100), (1e30, 100), (-40, 100), (100, 200.1)])
def test_keypoints_outside_the_picture_are_not_drawn(place: tuple[float, float]) -> None:
    """As Label Studio and the playground do not get them."""
    drawn = changed(PICTURE, person({"left_elbow": (100, 100), "left_wrist": place}))

    assert drawn[100, 100]
    assert not drawn[110:145, 55:145].any()
    assert not drawn[55:145, 110:145].any()


def test_a_box_may_reach_beyond_the_picture() -> None:
    drawn = changed(PICTURE, person({"nose": (100, 100)}, (-1e9, -30, 1e9, 150)))

    assert drawn[150, 20:180].all()


@pytest.mark.parametrize("box", [(0, 0, np.nan, np.inf), (300, 0, 400, 100), (50, 50, 50, 150)])
def test_a_person_without_a_box_in_the_picture_is_left_out(box: tuple[float, ...]) -> None:
    whole = person({"nose": (100, 100)})
    broken = replace(whole, box=np.array(box, np.float32))

    assert not changed(PICTURE, broken).any()
    assert changed(PICTURE, broken, whole).any()
