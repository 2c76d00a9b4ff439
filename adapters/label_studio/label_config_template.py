"""Label configs to paste into a project: our keypoints with colours by part and side, and people's boxes."""

from collections.abc import Sequence
from enum import StrEnum

from wholebody.bone_trees import Tree
from wholebody.schema import KEYPOINTS, PART_RANGES, Keypoint, Part


class Selection(StrEnum):
    """Keypoints that can be asked for by name: the five parts, and what is often annotated together."""

    WHOLE = "whole"
    UPPER_BODY = "upper-body"
    HANDS = "hands"
    BODY = "body"
    FEET = "feet"
    FACE = "face"
    LEFT_HAND = "left_hand"
    RIGHT_HAND = "right_hand"


_HEAD_AND_ARMS = range(11)  # nose to wrists: what sign-language recordings show of the body
_HANDS = (*PART_RANGES[Part.LEFT_HAND], *PART_RANGES[Part.RIGHT_HAND])
_INDICES: dict[Selection, Sequence[int]] = {
    Selection.WHOLE: range(len(KEYPOINTS)),
    Selection.UPPER_BODY: (*_HEAD_AND_ARMS, *PART_RANGES[Part.FACE], *_HANDS),
    Selection.HANDS: _HANDS,
    Selection.BODY: PART_RANGES[Part.BODY],
    Selection.FEET: PART_RANGES[Part.FEET],
    Selection.FACE: PART_RANGES[Part.FACE],
    Selection.LEFT_HAND: PART_RANGES[Part.LEFT_HAND],
    Selection.RIGHT_HAND: PART_RANGES[Part.RIGHT_HAND],
}

_TREES: dict[Selection, Sequence[Tree]] = {
    Selection.WHOLE: (Tree.BODY, Tree.LEFT_HAND, Tree.RIGHT_HAND, Tree.FACE),
    Selection.UPPER_BODY: (Tree.UPPER_BODY, Tree.LEFT_HAND, Tree.RIGHT_HAND, Tree.FACE),
    Selection.HANDS: (Tree.LEFT_HAND, Tree.RIGHT_HAND),
    Selection.BODY: (Tree.BODY_WITHOUT_FEET,),
    Selection.FEET: (Tree.FEET,),
    Selection.FACE: (Tree.FACE,),
    Selection.LEFT_HAND: (Tree.LEFT_HAND,),
    Selection.RIGHT_HAND: (Tree.RIGHT_HAND,),
}

# Warm on the person's left, cold on their right, so that swapped sides are seen at once.
_LEFT_COLOURS = {Part.BODY: "#ff7f0e", Part.FEET: "#d62728", Part.FACE: "#ffbb33", Part.LEFT_HAND: "#e6007a"}
_RIGHT_COLOURS = {
    Part.BODY: "#1f77b4",
    Part.FEET: "#17becf",
    Part.FACE: "#6fa8dc",
    Part.RIGHT_HAND: "#5b2be0",
}
_MIDDLE_COLOURS = {Part.BODY: "#2ca02c", Part.FACE: "#9acd32"}
_BOX_COLOUR = "#8c8c8c"
_TREE_COLOURS = {
    Tree.BODY: _MIDDLE_COLOURS[Part.BODY],
    Tree.BODY_WITHOUT_FEET: _MIDDLE_COLOURS[Part.BODY],
    Tree.FEET: _LEFT_COLOURS[Part.FEET],
    Tree.UPPER_BODY: _MIDDLE_COLOURS[Part.BODY],
    Tree.LEFT_HAND: _LEFT_COLOURS[Part.LEFT_HAND],
    Tree.RIGHT_HAND: _RIGHT_COLOURS[Part.RIGHT_HAND],
    Tree.FACE: _LEFT_COLOURS[Part.FACE],
}
# Half of the face markup lies on each side; left is where the person's own left is.
_LEFT_FACE = frozenset((*range(9, 17), *range(22, 27), 34, 35, *range(42, 48), *range(52, 57), 63, 64, 65))


def label_config_template(
    selections: Sequence[Selection], *, skeleton: bool = False, frames: bool = False
) -> str:
    """Return a label config for the chosen keypoints, ready to paste under Settings > Labeling Interface > Code.

    Every Label of a keypoint has the keypoint's index in COCO-WholeBody order as `model_index`, which Label Studio's
    YOLO and COCO exports need. The tags for boxes and keypoints are smart tools: a rectangle drawn with the magic wand
    gives the keypoints of the person in it, a keypoint those of the person under it. There are no hotkeys of our own:
    Label Studio gives its own to the first labels, and 133 labels have more names than there are keys.

    Args:
        selections: What to include; parts that are named twice appear once.
        skeleton: Bones as lines instead of single keypoints.
        frames: For tasks with a list of pictures, under `frames`, instead of one, under `image`.
    """
    value = 'valueList="$frames"' if frames else 'value="$image"'
    return "\n".join(
        (
            "<View>",
            f'  <Image name="image" {value} zoom="true" zoomControl="true"/>',
            '  <RectangleLabels name="person" toName="image" smart="true" opacity="0.1">',
            f'    <Label value="person" background="{_BOX_COLOUR}"/>',
            "  </RectangleLabels>",
            *(_bones(selections) if skeleton else _keypoints(selections)),
            "</View>",
            "",
        )
    )


def _keypoints(selections: Sequence[Selection]) -> list[str]:
    chosen = sorted({index for selection in selections for index in _INDICES[selection]})
    labels = (
        f'    <Label value="{keypoint.name}" model_index="{keypoint.index}" background="{colour(keypoint)}"/>'
        for keypoint in (KEYPOINTS[index] for index in chosen)
    )
    return ['  <KeyPointLabels name="keypoints" toName="image" smart="true">', *labels, "  </KeyPointLabels>"]


def _bones(selections: Sequence[Selection]) -> list[str]:
    chosen = {tree for selection in selections for tree in _TREES[selection]}
    if chosen >= {Tree.BODY_WITHOUT_FEET, Tree.FEET}:
        chosen.add(Tree.BODY)
    if Tree.BODY in chosen:
        chosen -= {Tree.BODY_WITHOUT_FEET, Tree.FEET}
    if chosen & {Tree.BODY, Tree.BODY_WITHOUT_FEET}:
        chosen.discard(Tree.UPPER_BODY)
    labels = (
        f'    <Label value="{tree.value}" background="{_TREE_COLOURS[tree]}"/>'
        for tree in Tree
        if tree in chosen
    )
    tag = '<VectorLabels name="skeleton" toName="image" skeleton="true" closable="false" strokeWidth="2" opacity="1">'
    return [f"  {tag}", *labels, "  </VectorLabels>"]


def colour(keypoint: Keypoint) -> str:
    """Return the colour of a keypoint as #rrggbb: by its part, and by its side of the body."""
    side = _side(keypoint)
    colours = {"left": _LEFT_COLOURS, "right": _RIGHT_COLOURS, "middle": _MIDDLE_COLOURS}[side]
    return colours[keypoint.part]


def _side(keypoint: Keypoint) -> str:
    if keypoint.twin == keypoint.index:
        return "middle"
    if keypoint.part is Part.FACE:
        return "left" if keypoint.index - PART_RANGES[Part.FACE].start in _LEFT_FACE else "right"
    return "left" if keypoint.name.startswith("left_") else "right"
