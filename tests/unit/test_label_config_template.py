"""Label configs to paste, and the command that prints them."""

import re
from itertools import combinations

import pytest
import typer
from typer.testing import CliRunner

from adapters.cli.label_config import label_config
from adapters.label_studio.label_config import LabelConfig, parse_label_config
from adapters.label_studio.label_config_template import Selection, colour, label_config_template
from wholebody.bone_trees import LINES
from wholebody.schema import KEYPOINTS, PART_RANGES, Part, keypoint_index


def indices(config: LabelConfig) -> list[int]:
    return [label.index for label in config.images[0].keypoints[0].labels]


def printed(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(label_config)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize("selection", Selection)
def test_every_selection_is_a_config_that_we_understand_completely(selection: Selection) -> None:
    config = parse_label_config(label_config_template([selection]))

    assert (config.problems, config.unknown_labels) == ((), ())
    assert config.images[0].box is not None
    assert config.smart_controls == ("keypoints", "person")


@pytest.mark.parametrize("selection", Selection)
def test_every_selection_as_bones_is_a_config_that_we_understand_completely(selection: Selection) -> None:
    config = parse_label_config(label_config_template([selection], skeleton=True))

    assert config.sentences == ()
    assert config.images[0].box is not None
    assert config.images[0].keypoints == ()
    assert config.images[0].skeletons[0].labels


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


def test_the_command_prints_bones_and_frames() -> None:
    wanted = label_config_template([Selection.UPPER_BODY], skeleton=True, frames=True)

    assert printed("--parts", "upper-body", "--skeleton", "--frames") == (0, wanted)


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
    for keypoint in KEYPOINTS:
        twin = KEYPOINTS[keypoint.twin]
        assert (colour(keypoint) == colour(twin)) == (twin is keypoint), keypoint.name


def test_one_side_of_a_part_has_one_colour() -> None:
    left = {
        part: {colour(k) for k in KEYPOINTS if k.part is part and k.name.startswith("left_")} for part in Part
    }

    assert [len(left[part]) for part in (Part.BODY, Part.FEET, Part.LEFT_HAND)] == [1, 1, 1]
    for a, b in combinations((Part.BODY, Part.FEET, Part.LEFT_HAND), 2):
        assert left[a] != left[b]


def test_the_persons_left_half_of_the_face_has_the_colour_of_the_left() -> None:
    # 300-W numbers the face from the person's right to their left: jaw 0 to 16, eyes 36 to 47.
    face = PART_RANGES[Part.FACE].start
    left, right = colour(KEYPOINTS[face + 16]), colour(KEYPOINTS[face])

    assert {colour(KEYPOINTS[face + i]) for i in (*range(22, 27), *range(42, 48), 54)} == {left}
    assert {colour(KEYPOINTS[face + i]) for i in (*range(17, 22), *range(36, 42), 48)} == {right}


def test_the_command_prints_the_whole_body_unless_told_otherwise() -> None:
    assert printed() == (0, label_config_template([Selection.WHOLE]))


@pytest.mark.parametrize("parts", ["body,feet", " Body , FEET ", "feet,body"])
def test_the_command_prints_the_chosen_parts(parts: str) -> None:
    assert printed("--parts", parts) == (0, label_config_template([Selection.BODY, Selection.FEET]))


def test_the_command_takes_hyphens_and_underscores_alike() -> None:
    assert printed("--parts", "left-hand,upper_body") == (0, label_config_template([Selection.UPPER_BODY]))


@pytest.mark.parametrize("parts", ["tail", "body,tail", "", ","])
def test_the_command_says_which_parts_there_are(parts: str) -> None:
    code, output = printed("--parts", parts)

    assert code == 2
    assert "upper-body" in output
