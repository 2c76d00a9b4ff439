"""The one palette: colours of keypoints, bones and boxes, for Label Studio, the playground and overlays.

Colours are #rrggbb in sRGB. The person's left is warm (reds to yellows), their right cold (cyans to violets): the two
families lie on both sides of the yellow-blue axis, which people with red-green blindness see too. Neighbouring fingers
differ in lightness first, so that a fist can be read. A face is light, to be drawn thin over the face. No colour is so
light that Label Studio's region panel, which writes names in the colours of their labels on white, becomes illegible.
"""

from enum import StrEnum

from wholebody.bone_trees import Bone, Tree
from wholebody.schema import FACE_START, KEYPOINTS, PART_RANGES, Part


class Side(StrEnum):
    """A side of the person, not of the picture."""

    LEFT = "left"
    RIGHT = "right"
    MIDDLE = "middle"


BOX_COLOUR = "#a0a0a0"

_COLOURS = {
    (Part.BODY, Side.LEFT): "#ffa200",
    (Part.BODY, Side.RIGHT): "#3d9bff",
    (Part.BODY, Side.MIDDLE): "#3ec24a",
    (Part.FEET, Side.LEFT): "#c98a4b",
    (Part.FEET, Side.RIGHT): "#6d86c4",
    (Part.FACE, Side.LEFT): "#ffc861",
    (Part.FACE, Side.RIGHT): "#86bdf0",
    (Part.FACE, Side.MIDDLE): "#b4d94a",
}
# The root of a hand, then its fingers from thumb to little finger.
_HANDS = {
    Part.LEFT_HAND: ("#ff4b14", "#e0162b", "#f26a00", "#f7d200", "#ff8f80", "#a8400f"),
    Part.RIGHT_HAND: ("#2f7bff", "#2f5bff", "#0088c8", "#2bd9ea", "#a48fff", "#7d2ee6"),
}
# A tree of both sides has the colour of neither.
_TREE_COLOURS = {
    Tree.BODY: _COLOURS[Part.BODY, Side.MIDDLE],
    Tree.BODY_WITHOUT_FEET: _COLOURS[Part.BODY, Side.MIDDLE],
    Tree.UPPER_BODY: _COLOURS[Part.BODY, Side.MIDDLE],
    Tree.FEET: "#2a9d8f",
    Tree.LEFT_HAND: _HANDS[Part.LEFT_HAND][0],
    Tree.RIGHT_HAND: _HANDS[Part.RIGHT_HAND][0],
    Tree.FACE: _COLOURS[Part.FACE, Side.MIDDLE],
}
# Half of the 68-point markup lies on each side; left is where the person's own left is.
_LEFT_FACE = frozenset((*range(9, 17), *range(22, 27), 34, 35, *range(42, 48), *range(52, 57), 63, 64, 65))


def side(index: int) -> Side:
    """Return the side of the person that a keypoint belongs to.

    Args:
        index: Of the keypoint in COCO-WholeBody order, 0 to 132.
    """
    keypoint = KEYPOINTS[index]
    if keypoint.twin == index:
        return Side.MIDDLE
    if keypoint.part is Part.FACE:
        return Side.LEFT if index - FACE_START in _LEFT_FACE else Side.RIGHT
    return Side.LEFT if keypoint.name.startswith("left_") else Side.RIGHT


def keypoint_colour(index: int) -> str:
    """Return the colour of a keypoint: by part and side, and by finger.

    Args:
        index: Of the keypoint in COCO-WholeBody order, 0 to 132.
    """
    part = KEYPOINTS[index].part
    if part in _HANDS:
        return _HANDS[part][
            (index - PART_RANGES[part].start + 3) // 4
        ]  # four keypoints a finger, after the root
    return _COLOURS[part, side(index)]


def bone_colour(bone: Bone) -> str:
    """Return the colour of a bone: that of its outer end, or of the middle where it joins both sides.

    The outer end is the one that comes later in the schema. A bone from the hand's root ends at the finger, one from
    the ear at the shoulder, one from the ankle at the toe.
    """
    inner, outer = sorted(bone)
    if {side(inner), side(outer)} == {Side.LEFT, Side.RIGHT}:
        return _COLOURS[KEYPOINTS[outer].part, Side.MIDDLE]
    return keypoint_colour(outer)


def tree_colour(tree: Tree) -> str:
    """Return the colour of a tree that is drawn in one colour, as a bone region in Label Studio is."""
    return _TREE_COLOURS[tree]
