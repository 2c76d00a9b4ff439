"""Colours of keypoints, bones and boxes, for Label Studio, the playground and overlays.

Colours are #rrggbb in sRGB. The person's left is warm (reds to yellows), their right cold (cyans to violets). These
differ on the yellow-blue axis, which people with red-green blindness also see. Neighbouring fingers differ in
lightness, so that a fist is readable. Face colours are light, for thin lines over the face. No colour is too light to
read in Label Studio's region panel, which writes names in label colours on white.
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
# The root of a hand, then thumb to little finger.
_HANDS = {
    Part.LEFT_HAND: ("#ff4b14", "#e0162b", "#f26a00", "#f7d200", "#ff8f80", "#a8400f"),
    Part.RIGHT_HAND: ("#2f7bff", "#2f5bff", "#0088c8", "#2bd9ea", "#a48fff", "#7d2ee6"),
}
# A tree with both sides has a neutral colour.
_TREE_COLOURS = {
    Tree.BODY: _COLOURS[Part.BODY, Side.MIDDLE],
    Tree.BODY_WITHOUT_FEET: _COLOURS[Part.BODY, Side.MIDDLE],
    Tree.UPPER_BODY: _COLOURS[Part.BODY, Side.MIDDLE],
    Tree.FEET: "#2a9d8f",
    Tree.LEFT_HAND: _HANDS[Part.LEFT_HAND][0],
    Tree.RIGHT_HAND: _HANDS[Part.RIGHT_HAND][0],
    Tree.FACE: _COLOURS[Part.FACE, Side.MIDDLE],
}
# Points of the 68-point markup on the person's left.
_LEFT_FACE = frozenset((*range(9, 17), *range(22, 27), 34, 35, *range(42, 48), *range(52, 57), 63, 64, 65))


def side(index: int) -> Side:
    """Return the side of the keypoint with this index, 0 to 132."""
    keypoint = KEYPOINTS[index]
    if keypoint.twin == index:
        return Side.MIDDLE
    if keypoint.part is Part.FACE:
        return Side.LEFT if index - FACE_START in _LEFT_FACE else Side.RIGHT
    return Side.LEFT if keypoint.name.startswith("left_") else Side.RIGHT


def keypoint_colour(index: int) -> str:
    """Return the colour of the keypoint with this index, 0 to 132: by part, side and finger."""
    part = KEYPOINTS[index].part
    if part in _HANDS:
        finger = (index - PART_RANGES[part].start + 3) // 4  # four keypoints each, after the root
        return _HANDS[part][finger]
    return _COLOURS[part, side(index)]


def bone_colour(bone: Bone) -> str:
    """Return the colour of a bone: of its outer end, or of the middle if it joins both sides.

    The outer end is later in the schema: finger after the hand's root, shoulder after ear, toe after ankle.
    """
    inner, outer = sorted(bone)
    if {side(inner), side(outer)} == {Side.LEFT, Side.RIGHT}:
        return _COLOURS[KEYPOINTS[outer].part, Side.MIDDLE]
    return keypoint_colour(outer)


def tree_colour(tree: Tree) -> str:
    """Return the single colour of a tree, for a bone region in Label Studio."""
    return _TREE_COLOURS[tree]
