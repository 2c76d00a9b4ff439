"""How people are drawn: everything once, hands on top, and a face thin enough to be seen through."""

from collections import Counter

from wholebody.palette import bone_colour, keypoint_colour
from wholebody.schema import KEYPOINTS, PART_RANGES, SKELETON, Part
from wholebody.strokes import EDGE_WIDTH, STROKES, Pen

# Of neighbouring keypoints, as a share of the diagonal of the person's box.
FACE_DISTANCE = 0.004
FINGER_DISTANCE = 0.01
BESIDE = 1 + 2 * EDGE_WIDTH  # how much wider a line is with its dark edges


def pens(part: Part) -> set[Pen]:
    return {stroke.pen for stroke in STROKES if set(stroke.keypoints) & set(PART_RANGES[part])}


def test_every_bone_and_every_keypoint_is_drawn_once_in_its_colour() -> None:
    bones = [bone for stroke in STROKES for bone in stroke.bones]
    assert Counter(bones) == Counter(SKELETON)
    assert sorted(index for stroke in STROKES for index in stroke.keypoints) == list(range(len(KEYPOINTS)))
    for stroke in STROKES:
        assert {bone_colour(bone) for bone in stroke.bones} <= {stroke.colour}
        assert {keypoint_colour(index) for index in stroke.keypoints} <= {stroke.colour}


def test_hands_lie_over_everything_else_and_the_body_under_it() -> None:
    order = {index: position for position, stroke in enumerate(STROKES) for index in stroke.keypoints}
    hands = [order[index] for part in (Part.LEFT_HAND, Part.RIGHT_HAND) for index in PART_RANGES[part]]
    others = [order[index] for part in (Part.BODY, Part.FEET, Part.FACE) for index in PART_RANGES[part]]

    assert min(hands) > max(others)
    assert max(order[index] for index in range(5, 17)) < min(order[index] for index in PART_RANGES[Part.FACE])


def test_a_finger_is_a_stroke_so_that_it_has_an_edge_where_it_crosses_another() -> None:
    for part in (Part.LEFT_HAND, Part.RIGHT_HAND):
        start = PART_RANGES[part].start
        for finger in range(5):
            joints = tuple(range(start + 1 + 4 * finger, start + 5 + 4 * finger))
            assert sum(stroke.keypoints == joints for stroke in STROKES) == 1


def test_lines_of_face_and_fingers_leave_room_between_their_keypoints() -> None:
    (face,) = pens(Part.FACE)
    (hand,) = pens(Part.LEFT_HAND)

    assert face.line * BESIDE < FACE_DISTANCE / 2
    assert face.opacity < 1
    assert hand.line * BESIDE < FINGER_DISTANCE / 2


def test_lines_across_the_face_are_thinner_than_the_body() -> None:
    (head,) = {stroke.pen for stroke in STROKES if {0, 1, 2, 3, 4} & set(stroke.keypoints)}
    (body,) = {stroke.pen for stroke in STROKES if {5, 16} & set(stroke.keypoints)}

    assert head.line < body.line / 2


def test_widths_follow_the_person_down_to_the_thinnest() -> None:
    pen = Pen(line=0.005, thinnest=1.3)

    assert [pen.width(diagonal) for diagonal in (10.0, 1000.0, 2000.0)] == [1.3, 5.0, 10.0]
