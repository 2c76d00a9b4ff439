"""Label configs to paste, and the command that prints them."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from xml.etree.ElementTree import Element, fromstring

import pytest
import typer
from typer.testing import CliRunner

from adapters.cli.label_config import label_config
from adapters.label_studio.label_config.parsing import LabelConfig, parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template
from wholebody.bone_trees import LINES
from wholebody.palette import keypoint_colour
from wholebody.schema import KEYPOINTS, PART_RANGES, Part, keypoint_index

LABEL_STUDIOS_KEYS = set("behkmopruvw[]")
"""Its keymap.json, version 1.23.2: the single keys that do something while a picture is annotated."""
TOOLS = ("KeyPointLabels", "VectorLabels", "RectangleLabels", "Choices")
ALL_CHOICES = [
    selections for count in (1, 2, len(Selection)) for selections in combinations(Selection, count)
]


def indices(config: LabelConfig) -> list[int]:
    (image,) = config.images
    return [label.index for control in image.keypoints for label in control.labels]


def tree(selections: Sequence[Selection], *, skeleton: bool) -> Element:
    return fromstring(label_config_template(selections, skeleton=skeleton))


def labels(config: Element) -> list[Element]:
    return [element for element in config.iter() if element.tag in ("Label", "Choice")]


def control_tags(config: Element) -> list[tuple[str, str]]:
    """Kind and name of the tags that regions are drawn with, in the order in which the editor finds them."""
    return [(element.tag, element.attrib["name"]) for element in config.iter() if element.tag in TOOLS]


def printed(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(label_config)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("skeleton", [False, True], ids=["points", "bones"])
@pytest.mark.parametrize("selection", Selection)
def test_every_selection_is_a_config_that_we_understand_completely(
    selection: Selection, skeleton: bool, frames: bool
) -> None:
    config = parse_label_config(label_config_template([selection], skeleton=skeleton, frames=frames))

    assert config.sentences == ()
    assert config.smart_controls == ("add", "person")


@pytest.mark.parametrize("selection", Selection)
def test_points_come_with_boxes(selection: Selection) -> None:
    (image,) = parse_label_config(label_config_template([selection])).images

    assert image.box is not None
    assert (image.box.name, image.box.label) == ("person", "person")
    assert image.skeletons == ()


@pytest.mark.parametrize("selection", Selection)
def test_bones_come_without_boxes_which_would_catch_every_click(selection: Selection) -> None:
    (image,) = parse_label_config(label_config_template([selection], skeleton=True)).images

    assert image.box is None
    assert image.keypoints == ()
    assert image.skeletons[0].labels


def test_points_have_a_tag_for_each_part_named_after_it() -> None:
    (image,) = parse_label_config(label_config_template([Selection.WHOLE])).images

    assert [(tag.name, [label.index for label in tag.labels]) for tag in image.keypoints] == [
        (part.value, list(PART_RANGES[part])) for part in Part
    ]


def test_every_part_of_the_points_folds() -> None:
    (collapse,) = tree([Selection.WHOLE], skeleton=False).iter("Collapse")

    assert [panel.attrib["value"] for panel in collapse] == [part.value for part in Part]
    assert [tag.attrib["name"] for panel in collapse for tag in panel] == [part.value for part in Part]


@pytest.mark.parametrize("skeleton", [False, True], ids=["points", "bones"])
@pytest.mark.parametrize("selection", Selection)
def test_the_smart_tools_are_the_first_tags_and_the_picture_is_the_last(
    selection: Selection, skeleton: bool
) -> None:
    """The key of the smart tools chooses the first tag, the editor at its start that of the next."""
    config = tree([selection], skeleton=skeleton)

    assert control_tags(config)[:2] == [("KeyPointLabels", "add"), ("RectangleLabels", "person")]
    assert list(config.iter())[-1].tag == "Image"


@pytest.mark.parametrize("skeleton", [False, True], ids=["points", "bones"])
@pytest.mark.parametrize(
    ("selections", "parts"),
    [
        ([Selection.WHOLE], ["right_hand", "body", "left_hand", "face"]),  # a body comes with its feet
        ([Selection.FEET, Selection.FACE], ["face", "feet"]),
        ([Selection.UPPER_BODY], ["right_hand", "body", "left_hand", "face"]),
        ([Selection.HANDS], ["right_hand", "left_hand"]),
        ([Selection.BODY], ["body"]),
        ([Selection.FACE, Selection.RIGHT_HAND], ["right_hand", "face"]),
    ],
)
def test_each_part_of_the_config_can_be_added(
    selections: list[Selection], parts: list[str], skeleton: bool
) -> None:
    (image,) = parse_label_config(label_config_template(selections, skeleton=skeleton)).images

    assert [(label.control, label.label) for label in image.part_labels] == [
        ("add", f"add {part}") for part in parts
    ]
    for label, part in zip(image.part_labels, parts, strict=True):
        assert Part(part) in label.parts
        assert label.parts <= {Part(part), Part.FEET}, "a body that is added may have feet"


@pytest.mark.parametrize("skeleton", [False, True], ids=["points", "bones"])
def test_points_can_be_marked_as_occluded_in_a_row_of_fixed_height(skeleton: bool) -> None:
    """The choice shows only while a region is selected; it must not move the picture under the mouse."""
    config = tree([Selection.WHOLE], skeleton=skeleton)
    (row,) = [view for view in config.iter("View") if view.find("Choices") is not None]
    (choices,) = config.iter("Choices")

    assert "height: 2.5em" in row.attrib["style"]
    assert choices.attrib["perRegion"] == "true"
    assert [choice.attrib["value"] for choice in choices] == ["occluded"]


@pytest.mark.parametrize("skeleton", [False, True], ids=["points", "bones"])
def test_no_hotkey_is_label_studios_own_or_given_twice(skeleton: bool) -> None:
    for selections in ALL_CHOICES:
        keys = [label.attrib["hotkey"] for label in labels(tree(selections, skeleton=skeleton))]
        given = Counter(key for key in keys if key != " ")

        assert not given.keys() & LABEL_STUDIOS_KEYS, selections
        assert set(given.values()) == {1}, selections


@pytest.mark.parametrize("skeleton", [False, True], ids=["points", "bones"])
def test_every_label_has_a_hotkey_if_only_a_blank_one(skeleton: bool) -> None:
    """To labels without, Label Studio gives the letters of its own tools."""
    found = labels(tree([Selection.WHOLE], skeleton=skeleton))

    assert all(re.fullmatch(r" |[a-z\d]|alt\+\d", label.get("hotkey", "")) for label in found)
    assert len(found) == (4 + 1 + 1 + (4 if skeleton else len(KEYPOINTS)))


def test_what_is_added_or_corrected_most_has_a_key() -> None:
    for skeleton in (False, True):
        keys = {
            label.attrib["value"]: label.attrib["hotkey"]
            for label in labels(tree([Selection.WHOLE], skeleton=skeleton))
        }
        wanted = ["person", "occluded", *(f"add {part.value}" for part in Part if part is not Part.FEET)]
        wanted += (
            ["body", "left_hand", "right_hand", "face"]
            if skeleton
            else ["nose", "left_wrist", "right_wrist", "left_index_8", "right_little_20"]
        )
        assert all(keys[label] != " " for label in wanted)


@pytest.mark.parametrize(
    ("selections", "trees"),
    [
        ([Selection.WHOLE], ["body", "left_hand", "right_hand", "face"]),
        ([Selection.UPPER_BODY], ["upper_body", "left_hand", "right_hand", "face"]),
        ([Selection.UPPER_BODY, Selection.BODY], ["body_without_feet", "left_hand", "right_hand", "face"]),
        ([Selection.BODY], ["body_without_feet"]),
        ([Selection.FEET, Selection.LEFT_HAND], ["feet", "left_hand"]),
        ([Selection.FEET, Selection.BODY], ["body"]),
        ([Selection.WHOLE, Selection.BODY, Selection.FEET], ["body", "left_hand", "right_hand", "face"]),
    ],
)
def test_bones_of_the_chosen_parts_have_a_label_each(selections: list[Selection], trees: list[str]) -> None:
    config = parse_label_config(label_config_template(selections, skeleton=True))

    assert [label.tree.value for label in config.images[0].skeletons[0].labels] == trees


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.FEET])
def test_bones_of_a_part_go_to_its_own_keypoints(part: Part) -> None:
    config = parse_label_config(label_config_template([Selection(part.value)], skeleton=True))
    trees = {label.tree for label in config.images[0].skeletons[0].labels}

    joined = {index for line in LINES if line.tree in trees for bone in line.bones for index in bone}
    assert joined == set(PART_RANGES[part])


def test_bones_of_feet_begin_at_the_ankles() -> None:
    config = parse_label_config(label_config_template([Selection.FEET], skeleton=True))
    trees = {label.tree for label in config.images[0].skeletons[0].labels}

    joined = {index for line in LINES if line.tree in trees for bone in line.bones for index in bone}
    ankles = {keypoint_index("left_ankle"), keypoint_index("right_ankle")}
    assert joined == ankles | set(PART_RANGES[Part.FEET])


def test_frames_are_a_list_of_pictures() -> None:
    (image,) = parse_label_config(label_config_template([Selection.HANDS], frames=True)).images

    assert (image.value.text, image.shows_frames) == ("$frames", True)


def test_the_command_prints_bones_or_points_for_pictures_or_frames() -> None:
    bones = label_config_template([Selection.UPPER_BODY], skeleton=True, frames=True)
    points = label_config_template([Selection.UPPER_BODY], frames=True)

    assert printed("--parts", "upper-body", "--frames") == (0, bones)
    assert printed("--parts", "upper-body", "--skeleton", "--frames") == (0, bones)
    assert printed("--parts", "upper-body", "--points", "--frames") == (0, points)


def test_the_command_prints_either_points_or_bones() -> None:
    code, output = printed("--points", "--skeleton")

    assert code == 2
    assert "--points" in output


def test_the_whole_body_has_all_keypoints_in_order() -> None:
    assert indices(parse_label_config(label_config_template([Selection.WHOLE]))) == list(range(133))


def test_the_upper_body_for_signing_has_head_arms_face_and_hands() -> None:
    found = indices(parse_label_config(label_config_template([Selection.UPPER_BODY])))

    assert found == [*range(11), *range(23, 133)]


@pytest.mark.parametrize("part", Part)
def test_a_part_has_its_own_keypoints(part: Part) -> None:
    assert indices(parse_label_config(label_config_template([Selection(part.value)]))) == list(
        PART_RANGES[part]
    )


def test_parts_that_overlap_appear_once() -> None:
    config = label_config_template([Selection.HANDS, Selection.LEFT_HAND, Selection.BODY])

    assert indices(parse_label_config(config)) == [*range(17), *range(91, 133)]


def test_every_label_has_its_index_for_exports() -> None:
    text = label_config_template([Selection.WHOLE])

    assert re.findall(r'<Label value="(\w+)" model_index="(\d+)"', text) == [
        (keypoint.name, str(keypoint.index)) for keypoint in KEYPOINTS
    ]


def test_twins_have_different_colours_and_the_midline_a_third() -> None:
    text = label_config_template([Selection.WHOLE])
    shades = dict(re.findall(r'<Label value="(\w+)" model_index.* background="(#[\da-f]{6})"', text))

    for keypoint in KEYPOINTS:
        twin = KEYPOINTS[keypoint.twin]
        assert (shades[keypoint.name] == shades[twin.name]) == (twin is keypoint), keypoint.name


def test_a_label_has_the_colour_of_its_keypoint_everywhere_else() -> None:
    text = label_config_template([Selection.WHOLE])

    assert re.findall(r'model_index="\d+".* background="(.*?)"', text) == [
        keypoint_colour(keypoint.index) for keypoint in KEYPOINTS
    ]


def test_bones_of_left_and_right_hand_have_different_colours() -> None:
    shades = [label.attrib["background"] for label in labels(tree([Selection.HANDS], skeleton=True))[-3:-1]]

    assert len(set(shades)) == 2


def test_the_command_prints_the_whole_body_unless_told_otherwise() -> None:
    assert printed() == (0, label_config_template([Selection.WHOLE], skeleton=True))


@pytest.mark.parametrize("parts", ["body,feet", " Body , FEET ", "feet,body"])
def test_the_command_prints_the_chosen_parts(parts: str) -> None:
    assert printed("--parts", parts) == (
        0,
        label_config_template([Selection.BODY, Selection.FEET], skeleton=True),
    )


def test_the_command_takes_hyphens_and_underscores_alike() -> None:
    wanted = label_config_template([Selection.UPPER_BODY], skeleton=True)

    assert printed("--parts", "left-hand,upper_body") == (0, wanted)


@pytest.mark.parametrize("parts", ["tail", "body,tail", "", ","])
def test_the_command_says_which_parts_there_are(parts: str) -> None:
    code, output = printed("--parts", parts)

    assert code == 2
    assert "upper-body" in output
