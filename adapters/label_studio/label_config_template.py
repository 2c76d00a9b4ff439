"""Label configs to paste into a project: our keypoints with colours by part and side, and people's boxes."""

from collections.abc import Sequence
from enum import StrEnum

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
# Half of the face markup lies on each side; left is where the person's own left is.
_LEFT_FACE = frozenset((*range(9, 17), *range(22, 27), 34, 35, *range(42, 48), *range(52, 57), 63, 64, 65))


def label_config_template(selections: Sequence[Selection]) -> str:
    """Return a label config for the chosen keypoints, ready to paste under Settings > Labeling Interface > Code.

    Every Label has its keypoint's index in COCO-WholeBody order as `model_index`, which Label Studio's YOLO and
    COCO exports need. Both tags are smart tools: a rectangle drawn with the magic wand gives the keypoints of the
    person in it, a keypoint those of the person under it. There are no hotkeys of our own: Label Studio gives its
    own to the first labels, and 133 labels have more names than there are keys.

    Args:
        selections: What to include; parts that are named twice appear once.
    """
    chosen = sorted({index for selection in selections for index in _INDICES[selection]})
    labels = [
        f'    <Label value="{keypoint.name}" model_index="{keypoint.index}" background="{colour(keypoint)}"/>'
        for keypoint in (KEYPOINTS[index] for index in chosen)
    ]
    return "\n".join(
        (
            "<View>",
            '  <Image name="image" value="$image" zoom="true" zoomControl="true"/>',
            '  <RectangleLabels name="person" toName="image" smart="true" opacity="0.1">',
            f'    <Label value="person" background="{_BOX_COLOUR}"/>',
            "  </RectangleLabels>",
            '  <KeyPointLabels name="keypoints" toName="image" smart="true">',
            *labels,
            "  </KeyPointLabels>",
            "</View>",
            "",
        )
    )


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
