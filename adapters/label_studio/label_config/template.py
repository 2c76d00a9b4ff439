"""Label configs to paste into a project, designed for correction: bones by part, or single points.

Their form follows from the behaviour of Label Studio 1.23.2's editor:

- Bones come without boxes. A box catches every click and drag inside it, also over parts that are added later. Without
  one, a smart tool needs no Ctrl, and the parts of a person are nested under the bones of their body.
- Labels are above the picture: below it they would be off a laptop's screen. Controls that show only while a region is
  selected have reserved space, or they would move the picture under the mouse.
- The smart keypoint is the first tag, so the key of the smart tools (M) selects it. Then comes the rectangle: the tool
  of the first other tag is selected initially, and the vector tool would add vertices at stray clicks.
- Every label has a hotkey, at least a blank one: to labels without, Label Studio assigns the letters of its tools.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from wholebody.bone_trees import Tree
from wholebody.palette import BOX_COLOUR, keypoint_colour, tree_colour
from wholebody.schema import FINGERS, KEYPOINTS, PART_RANGES, Keypoint, Part


class Selection(StrEnum):
    """Named sets of keypoints: the five parts, and common combinations."""

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

# Keys that neither Label Studio (keymap.json: B E H K M O P R U V W and brackets) nor the browser uses.
_NO_KEY = " "
_OCCLUDED_KEY, _PERSON_KEY = "x", "q"
_TREE_KEYS = {
    Tree.BODY: "1",
    Tree.BODY_WITHOUT_FEET: "1",
    Tree.UPPER_BODY: "1",
    Tree.LEFT_HAND: "2",
    Tree.RIGHT_HAND: "3",
    Tree.FACE: "4",
    Tree.FEET: "5",
}
# Left and right are as in a picture of a person who faces the camera: their left hand is on the right.
_ADD_KEYS = {Part.RIGHT_HAND: "a", Part.BODY: "s", Part.LEFT_HAND: "d", Part.FACE: "f", Part.FEET: "g"}
_POINT_KEYS = {
    "nose": "1",
    "left_shoulder": "2",
    "right_shoulder": "3",
    "left_elbow": "4",
    "right_elbow": "5",
    "left_wrist": "6",
    "right_wrist": "7",
    "left_wrist_0": "8",
    "right_wrist_0": "9",
    **{f"left_{finger}_{4 * n}": f"alt+{n}" for n, finger in enumerate(FINGERS, start=1)},
    **{f"right_{finger}_{4 * n}": f"alt+{(5 + n) % 10}" for n, finger in enumerate(FINGERS, start=1)},
}

_ROW = "display: flex; flex-wrap: wrap; align-items: center; gap: 0 1.5em"
_ROOM = "height: 2.5em; min-width: 7em"
"""Reserved space for choices, which show only while a region is selected: they must not move the picture."""
_PARTS_SIDE_BY_SIDE = (
    ".ant-collapse { display: flex; flex-wrap: wrap } "
    ".ant-collapse-item-active { flex-basis: 100% } "
    ".ant-collapse-content-box { max-height: 11em; overflow: auto }"
)
"""Folded groups take one line above the picture, and an open one at most a quarter of a laptop's screen."""


def label_config_template(
    selections: Sequence[Selection], *, skeleton: bool = False, frames: bool = False
) -> str:
    """Return a label config for the chosen keypoints, ready to paste under Settings > Labeling Interface > Code.

    The tags `add` and `person` are smart tools: a click with a label of `add` adds this part of the person under it, a
    rectangle drawn with the magic wand adds the person in it. Every Label of a keypoint has the keypoint's index in
    COCO-WholeBody order as `model_index`, which Label Studio's YOLO and COCO exports need.

    Args:
        selections: Sets to include; a repeated part occurs once.
        skeleton: Bones by part, without boxes, instead of single keypoints under people's boxes.
        frames: For tasks with a list of pictures, under `frames`, instead of one, under `image`.
    """
    value = 'valueList="$frames"' if frames else 'value="$image"'
    indices = sorted({index for selection in selections for index in _INDICES[selection]})
    parts = [part for part in Part if any(KEYPOINTS[index].part is part for index in indices)]
    lines = [
        "<View>",
        f'  <View style="{_ROW}">',
        *_indented(_adding(parts), 4),
        *(_indented(_bones(selections), 4) if skeleton else []),
        *_indented(_OCCLUDED, 4),
        "  </View>",
        *([] if skeleton else _indented(_points(parts, indices), 2)),
        f'  <Image name="image" {value} zoom="true" zoomControl="true"/>',
        *(_indented(_OF_FRAMES, 2) if frames else []),
        "</View>",
        "",
    ]
    return "\n".join(lines)


_OCCLUDED = (
    f'<View style="{_ROOM}">',
    '  <Choices name="visibility" toName="image" perRegion="true" choice="multiple" layout="inline">',
    f'    <Choice value="occluded" hotkey="{_OCCLUDED_KEY}"/>',
    "  </Choices>",
    "</View>",
)


# Shows the frame and person in a row of the region panel; its input form is hidden. The hidden Image makes the data
# manager show the first frame.
_OF_FRAMES = (
    '<TextArea name="who" toName="image" perRegion="true" displayMode="region-list" editable="false" '
    'predicted_values="person"/>',
    "<Style>.lsf-outliner .lsf-textarea-tag__form { display: none }</Style>",
    '<View style="display: none"><Image name="cover" value="$frames"/></View>',
)


def _indented(lines: Iterable[str], spaces: int) -> list[str]:
    return [" " * spaces + line for line in lines]


def _adding(parts: Sequence[Part]) -> list[str]:
    """Return the smart tools: a label for each part that can be missing, and one for whole people."""
    labels = (
        f'  <Label value="add {part.value}" predicted_values="{part.value}" hotkey="{key}" '
        f'background="{tree_colour(Tree(part.value))}"/>'
        for part, key in _ADD_KEYS.items()
        if part in parts and not (part is Part.FEET and Part.BODY in parts)  # a body includes its feet
    )
    return [
        '<KeyPointLabels name="add" toName="image" smart="true" smartOnly="true">',
        *labels,
        "</KeyPointLabels>",
        '<RectangleLabels name="person" toName="image" smart="true" opacity="0.1">',
        f'  <Label value="person" hotkey="{_PERSON_KEY}" background="{BOX_COLOUR}"/>',
        "</RectangleLabels>",
    ]


def _points(parts: Sequence[Part], indices: Sequence[int]) -> list[str]:
    """Return single points: a foldable group for each part, one of them open at a time."""
    lines = [f"<Style>{_PARTS_SIDE_BY_SIDE}</Style>", "<Collapse>"]
    for part in parts:
        labels = (_point_label(KEYPOINTS[index]) for index in indices if KEYPOINTS[index].part is part)
        lines += [
            f'  <Panel value="{part.value}">',
            f'    <KeyPointLabels name="{part.value}" toName="image">',
            *_indented(labels, 6),
            "    </KeyPointLabels>",
            "  </Panel>",
        ]
    return [*lines, "</Collapse>"]


def _point_label(keypoint: Keypoint) -> str:
    key = _POINT_KEYS.get(keypoint.name, _NO_KEY)
    return (
        f'<Label value="{keypoint.name}" model_index="{keypoint.index}" hotkey="{key}" '
        f'background="{keypoint_colour(keypoint.index)}"/>'
    )


def _bones(selections: Sequence[Selection]) -> list[str]:
    chosen = {tree for selection in selections for tree in _TREES[selection]}
    if chosen >= {Tree.BODY_WITHOUT_FEET, Tree.FEET}:
        chosen.add(Tree.BODY)
    if Tree.BODY in chosen:
        chosen -= {Tree.BODY_WITHOUT_FEET, Tree.FEET}
    if chosen & {Tree.BODY, Tree.BODY_WITHOUT_FEET}:
        chosen.discard(Tree.UPPER_BODY)
    labels = (
        f'  <Label value="{tree.value}" hotkey="{_TREE_KEYS[tree]}" background="{tree_colour(tree)}"/>'
        for tree in Tree
        if tree in chosen
    )
    return [
        # Annotators mark hidden vertices as curved with Shift + click.
        '<VectorLabels name="skeleton" toName="image" skeleton="true" closable="false" curves="true" '
        'strokeWidth="2" opacity="1" model_add_bboxes="false">',
        *labels,
        "</VectorLabels>",
    ]
