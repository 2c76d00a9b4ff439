"""Which keypoints, boxes and pictures a project's label config asks for."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.label_studio.label_config import parsing
from adapters.label_studio.label_config.parsing import (
    LabelConfig,
    LabelConfigError,
    parse_label_config,
    read_label_config,
)
from adapters.label_studio.label_config.tree import label_config_tree
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

BODY = [keypoint.name for keypoint in KEYPOINTS[:17]]
IMAGE = '<Image name="image" value="$image"/>'
PERSON_BOX = '<RectangleLabels name="person" toName="image"><Label value="person"/></RectangleLabels>'


def labels(*names: str) -> str:
    return "".join(f'<Label value="{name}"/>' for name in names)


def keypoint_labels(inside: str, attributes: str = "", name: str = "kp") -> str:
    return f'<KeyPointLabels name="{name}" toName="image" {attributes}>{inside}</KeyPointLabels>'


def read(*tags: str) -> LabelConfig:
    return parse_label_config(f"<View>{''.join(tags)}</View>")


def indices(config: LabelConfig) -> list[int]:
    return [label.index for label in config.images[0].keypoints[0].labels]


def replaced_systems_labels() -> list[str]:
    """The label names of existing projects, in COCO-WholeBody order."""
    fingers = ("thumb", "index", "middle", "ring", "little")
    hand = ["wrist_0", *(f"{fingers[(i - 1) // 4]}_{i}" for i in range(1, 21))]
    feet = ["left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"]
    face = [f"face_{i}" for i in range(68)]
    return [*BODY, *feet, *face, *(f"{side}_{point}" for side in ("left", "right") for point in hand)]


def mmpose_labels() -> list[str]:
    """MMPose's names, configs/_base_/datasets/coco_wholebody.py."""
    fingers = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    hand = ["hand_root", *(f"{finger}{joint}" for finger in fingers for joint in range(1, 5))]
    return [
        *replaced_systems_labels()[:23],
        *(f"face-{i}" for i in range(68)),
        *(f"{side}_{point}" for side in ("left", "right") for point in hand),
    ]


def numbered_hand_labels() -> list[str]:
    hands = [f"{side}_hand_{i}" for side in ("left", "right") for i in range(21)]
    return [*replaced_systems_labels()[:91], *hands]


@pytest.mark.parametrize("names", [replaced_systems_labels(), mmpose_labels(), numbered_hand_labels()])
def test_all_133_labels_of_a_known_spelling_are_understood(names: list[str]) -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels(*names)))

    assert indices(config) == list(range(133))
    assert [label.label for label in config.images[0].keypoints[0].labels] == names
    assert (config.unknown_labels, config.problems) == ((), ())


def test_tags_may_have_any_names() -> None:
    config = parse_label_config(
        '<View><Image name="foto" value="$bild"/><RectangleLabels name="r" toName="foto"><Label value="Human"/>'
        '</RectangleLabels><KeyPointLabels name="k" toName="foto"><Label value="nose"/></KeyPointLabels></View>'
    )

    (image,) = config.images
    assert (image.name, image.value.text, image.keypoints[0].name) == ("foto", "$bild", "k")
    assert image.box is not None
    assert (image.box.name, image.box.label) == ("r", "Human")


def test_tag_and_attribute_names_are_found_in_any_case() -> None:
    config = parse_label_config(
        '<view><image name="i" value="$i"/><keypointlabels name="k" toname="i"><label value="nose"/>'
        "</keypointlabels></view>"
    )

    assert indices(config) == [0]


def test_labels_may_stand_deeper_in_their_tag() -> None:
    config = read(IMAGE, keypoint_labels(f"<View><Header value='Face'/>{labels('face_3')}</View>"))

    assert indices(config) == [PART_RANGES[Part.FACE].start + 3]


@pytest.mark.parametrize(
    ("tags", "meant"),
    [
        ('<Label value="Auge" predicted_values="left_eye, right_eye"/>', [(1, "Auge"), (2, "Auge")]),
        ('<Label value="Nase" alias="nose"/><Label value="left eye" alias="L"/>', [(0, "nose"), (1, "L")]),
    ],
    ids=["predicted values say what it stands for", "its alias is what regions carry"],
)
def test_a_label_of_any_name_stands_for_keypoints(tags: str, meant: list[tuple[int, str]]) -> None:
    config = read(IMAGE, keypoint_labels(tags))

    assert [(label.index, label.label) for label in config.images[0].keypoints[0].labels] == meant


def test_yolo_backends_person_and_model_index_name_a_keypoint() -> None:
    config = read(IMAGE, keypoint_labels('<Label value="Nase" predicted_values="person" model_index="0"/>'))

    assert indices(config) == [0]


def test_model_index_alone_means_nothing_because_exports_number_labels_freely() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels('<Label value="Point 1" model_index="0"/>'))

    assert config.images[0].keypoints == ()
    assert [unknown.label for unknown in config.unknown_labels] == ["Point 1"]


@pytest.mark.parametrize("index", ["133", "9999999999999", "-1", "²"])
def test_a_model_index_beyond_our_keypoints_names_none(index: str) -> None:
    config = read(
        IMAGE,
        PERSON_BOX,
        keypoint_labels(f'<Label value="x" predicted_values="person" model_index="{index}"/>'),
    )

    assert [unknown.label for unknown in config.unknown_labels] == ["x"]


def test_thresholds_and_sizes_of_the_tag_and_of_single_labels_are_read() -> None:
    config = read(
        IMAGE,
        keypoint_labels(
            '<Label value="nose" model_point_threshold="0.9"/><Label value="left_eye"/>',
            'model_score_threshold="0.75" model_point_threshold="0.5" model_point_size="3" '
            'model_add_bboxes="false"',
        ),
    )

    (control,) = config.images[0].keypoints
    assert (control.person_threshold, control.keypoint_threshold, control.point_size) == (0.75, 0.5, 3)
    assert [label.threshold for label in control.labels] == [0.9, None]
    assert not control.with_boxes


@pytest.mark.parametrize("value", ["high", "nan", "inf", "-0.1", "1.5", "1e999"])
def test_an_unusable_threshold_is_ignored_and_reported(value: str) -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels("nose"), f'model_point_threshold="{value}"'))

    assert config.images[0].keypoints[0].keypoint_threshold is None
    assert config.problems == (
        f"KeyPointLabels 'kp': model_point_threshold=\"{value}\" is not a number from 0 to 1 and is ignored.",
    )


def test_a_skipped_tag_gets_nothing() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels("nose"), 'model_skip="true"'))

    assert config.images[0].keypoints == ()
    assert config.images[0].box is not None


def test_yolo_backends_config_works_unchanged() -> None:
    """There, the tag for the boxes is marked as skipped, and found by its name."""
    config = read(
        IMAGE,
        '<RectangleLabels name="kp_bbox" toName="image" model_skip="true"><Label value="person"/></RectangleLabels>',
        keypoint_labels(
            '<Label value="nose" predicted_values="person" model_index="0"/>', 'model_add_bboxes="true"'
        ),
    )

    assert config.images[0].box is not None
    assert config.images[0].box.name == "kp_bbox"


def test_without_boxes_wanted_there_are_none_and_nothing_is_amiss() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels("nose"), 'model_add_bboxes="false"'))

    assert config.images[0].box is None
    assert config.problems == ()


def test_a_project_without_boxes_is_told_that_people_are_not_grouped() -> None:
    config = read(IMAGE, keypoint_labels(labels("nose")))

    assert len(config.problems) == 1
    assert "not grouped" in config.problems[0]


@pytest.mark.parametrize(
    ("rectangle_labels", "chosen"),
    [
        ('<Label value="car"/><Label value="Person"/>', "Person"),
        ('<Label value="HUMAN"/><Label value="dog"/>', "HUMAN"),
        ('<Label value="Spieler" predicted_values="person"/><Label value="Ball"/>', "Spieler"),
        ('<Label value="Person" alias="p"/><Label value="dog"/>', "p"),
        ('<Label value="Spielerin"/>', "Spielerin"),
        ('<Label value="car"/><Label value="dog"/>', None),
        ('<Label value="left hand"/>', None),
        ("", None),
    ],
)
def test_the_label_for_a_person_is_found(rectangle_labels: str, chosen: str | None) -> None:
    tag = f'<RectangleLabels name="box" toName="image">{rectangle_labels}</RectangleLabels>'
    config = read(IMAGE, tag, keypoint_labels(labels("nose")))

    box = config.images[0].box
    assert (box.label if box else None) == chosen
    assert any("RectangleLabels 'box'" in problem for problem in config.problems) == (chosen is None)


def test_a_tag_with_a_person_label_goes_before_one_with_a_single_label() -> None:
    cars = '<RectangleLabels name="cars" toName="image"><Label value="car"/></RectangleLabels>'
    config = read(IMAGE, cars, PERSON_BOX)

    assert config.images[0].box is not None
    assert config.images[0].box.name == "person"


def test_each_image_has_its_own_tags() -> None:
    config = parse_label_config(
        '<View><Image name="a" value="$left"/><Image name="b" value="$right"/>'
        '<KeyPointLabels name="ka" toName="a"><Label value="nose"/></KeyPointLabels>'
        '<KeyPointLabels name="kb" toName="b"><Label value="left_eye"/></KeyPointLabels>'
        '<RectangleLabels name="rb" toName="b"><Label value="person"/></RectangleLabels></View>'
    )

    found = [
        (i.name, i.value.text, i.keypoints[0].name, i.keypoints[0].labels[0].index, i.box and i.box.name)
        for i in config.images
    ]
    assert found == [("a", "$left", "ka", 0, None), ("b", "$right", "kb", 1, "rb")]
    assert config.image("b") is config.images[1]
    assert config.image("c") is None


def test_a_list_of_frames_is_an_image_too() -> None:
    (image,) = read(
        '<Image name="image" valueList="$frames"/>', PERSON_BOX, keypoint_labels(labels("nose"))
    ).images

    assert (image.value.text, image.shows_frames) == ("$frames", True)


def vectors(inside: str, attributes: str = 'skeleton="true"') -> str:
    return f'<VectorLabels name="bones" toName="image" {attributes}>{inside}</VectorLabels>'


class TestSkeletons:
    @pytest.mark.parametrize(
        ("label", "trees"),
        [
            ('<Label value="body"/>', ["body"]),
            ('<Label value="Left Hand"/>', ["left_hand"]),
            ('<Label value="upper-body"/>', ["upper_body"]),
            ('<Label value="hands"/>', ["left_hand", "right_hand"]),
            ('<Label value="skeleton"/>', ["body", "left_hand", "right_hand", "face"]),
            ('<Label value="person"/>', ["body", "left_hand", "right_hand", "face"]),
            ('<Label value="Mimik" predicted_values="face"/>', ["face"]),
            ('<Label value="body" predicted_values="left_hand, face"/>', ["left_hand", "face"]),
        ],
    )
    def test_a_label_stands_for_parts_of_the_skeleton(self, label: str, trees: list[str]) -> None:
        config = read(IMAGE, PERSON_BOX, vectors(label))

        (control,) = config.images[0].skeletons
        assert [one.tree.value for one in control.labels] == trees
        assert config.sentences == ()

    def test_the_first_label_of_a_part_is_used_and_the_second_reported(self) -> None:
        config = read(IMAGE, PERSON_BOX, vectors(labels("skeleton", "face")))

        assert {one.label for one in config.images[0].skeletons[0].labels} == {"skeleton"}
        assert config.problems == (
            "In VectorLabels 'bones', 'skeleton' and 'face' mean the same part of the skeleton; 'skeleton' is used.",
        )

    def test_thresholds_are_read_and_boxes_can_be_declined(self) -> None:
        config = read(
            IMAGE,
            PERSON_BOX,
            vectors(
                '<Label value="body" model_point_threshold="0.7"/><Label value="face"/>',
                'skeleton="true" model_point_threshold="0.5" model_score_threshold="0.2" model_add_bboxes="false"',
            ),
        )

        (control,) = config.images[0].skeletons
        assert (control.keypoint_threshold, control.person_threshold) == (0.5, 0.2)
        assert [one.threshold for one in control.labels] == [0.7, None]
        assert config.images[0].box is None

    def test_an_unknown_label_is_reported_with_similar_names(self) -> None:
        config = read(IMAGE, PERSON_BOX, vectors(labels("body", "left_hnad")))

        (unknown,) = config.unknown_labels
        assert unknown.sentence == (
            "Label 'left_hnad' of VectorLabels 'bones' is no known part of the skeleton; similar: "
            "'left_hand'."
        )

    def test_lines_of_somebody_elses_are_left_alone(self) -> None:
        config = read(IMAGE, PERSON_BOX, vectors(labels("road"), ""))

        assert config.images[0].skeletons == ()
        assert config.sentences == ()

    def test_bones_without_skeleton_mode_are_reported(self) -> None:
        config = read(IMAGE, PERSON_BOX, vectors(labels("body"), ""))

        assert config.images[0].skeletons == ()
        assert config.problems == ("VectorLabels 'bones' gets no bones: add skeleton=\"true\" to it.",)

    def test_closable_bones_are_reported(self) -> None:
        config = read(IMAGE, PERSON_BOX, vectors(labels("body"), 'skeleton="true" closable="true"'))

        assert "treats bones as unfinished" in config.problems[0]

    def test_bones_without_boxes_are_not_grouped(self) -> None:
        assert "not grouped" in read(IMAGE, vectors(labels("body"))).problems[0]


def test_one_image_may_have_several_keypoint_tags() -> None:
    config = read(
        IMAGE,
        PERSON_BOX,
        keypoint_labels(labels("nose"), name="body"),
        keypoint_labels(labels("face_0"), name="face"),
    )

    assert [control.name for control in config.images[0].keypoints] == ["body", "face"]


def test_smart_tags_are_named() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels("nose"), 'smart="true"'))

    assert config.smart_controls == ("kp",)


def test_unknown_labels_are_named_with_the_nearest_known_ones() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels("nose", "left_shouldr", "tail")))

    assert indices(config) == [0]
    shoulder, tail = config.unknown_labels
    assert shoulder.nearest[0] == "left_shoulder"
    assert shoulder.sentence.startswith(
        "Label 'left_shouldr' of KeyPointLabels 'kp' is no known keypoint; similar: 'left_shoulder'"
    )
    assert tail.sentence == "Label 'tail' of KeyPointLabels 'kp' is no known keypoint."


def test_what_was_to_be_predicted_says_what_an_unknown_label_means() -> None:
    config = read(
        IMAGE,
        PERSON_BOX,
        keypoint_labels(labels("nose") + '<Label value="Auge" predicted_values="left_eyee"/>'),
    )

    (unknown,) = config.unknown_labels
    assert (unknown.label, unknown.nearest[0]) == ("Auge", "left_eye")


def test_an_unknown_name_among_predicted_values_is_reported() -> None:
    config = read(
        IMAGE, PERSON_BOX, keypoint_labels('<Label value="Augen" predicted_values="left_eye,rigth_eye"/>')
    )

    assert indices(config) == [1]
    (problem,) = config.problems
    assert "'rigth_eye' in its predicted_values is no known keypoint; similar: 'right_eye'" in problem


def test_two_labels_for_one_keypoint_are_reported_and_the_first_is_used() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels("left_hand_0", "left_wrist_0")))

    assert [label.label for label in config.images[0].keypoints[0].labels] == ["left_hand_0"]
    assert "mean the same keypoint" in config.problems[0]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("", "no usable Image tag"),
        ('<Text name="t" value="$t"/>', "no usable Image tag"),
        ('<Image value="$image"/>', "has no name"),
        ('<Image name="i"/>', "has no value"),
        ('<Image name="i" value="$u[{{idx}}]"/>', "Repeater"),
        (IMAGE, "neither KeyPointLabels nor RectangleLabels"),
        (IMAGE + keypoint_labels(""), "has no labels"),
        (
            IMAGE + '<KeyPointLabels name="kp" toName="image" value="$labels"/>',
            "reads its labels from the tasks",
        ),
        (IMAGE + keypoint_labels(labels("tail")), "No label of KeyPointLabels 'kp'"),
        (IMAGE + '<KeyPointLabels name="kp" toName="picture"/>', "belongs to 'picture', which is no Image"),
        (IMAGE + '<KeyPointLabels name="kp"/>', "toName is missing"),
        (
            IMAGE
            + '<VectorLabels name="v" toName="image" skeleton="true"><Label value="road"/></VectorLabels>',
            "No label of VectorLabels 'v' is a part of the skeleton",
        ),
    ],
)
def test_what_cannot_be_predicted_is_said_in_words(tags: str, said: str) -> None:
    config = read(tags)

    assert config.images == ()
    assert any(said in problem for problem in config.problems), config.problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("  \n ", "is empty"),
        ("photo", "not well-formed XML"),
        ("<View>", "not well-formed XML"),
        ("<View>\x00</View>", "not well-formed XML"),
        ("<View>\ud800</View>", "invalid characters"),
        ("<View>&boom;</View>", "not well-formed XML"),
        (
            '<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><View>&b;</View>',
            "document type or entities",
        ),
        ('<!DOCTYPE v SYSTEM "file:///etc/passwd"><View/>', "document type or entities"),
        ("<View>" * 150_000, r"more than 100 deep"),
        ("<View>" + "<b/>" * 30_000 + "</View>", r"more than 20,000 tags"),
        ("<View>" + " " * 1_000_000 + "</View>", r"1,000,013 characters"),
    ],
)
def test_hostile_text_is_refused_with_one_sentence(text: str, said: str) -> None:
    with pytest.raises(LabelConfigError, match=said):
        parse_label_config(text)


def test_thousands_of_unknown_labels_are_counted_not_listed() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels(*(f"left_thing_{i}" for i in range(5_000)))))

    assert len(config.unknown_labels) == 100
    assert "4900 more labels are unknown." in config.problems


@pytest.mark.parametrize(
    ("before", "inside", "after"),
    [
        pytest.param(
            "".join(f'<Image name="{i}" value="$i"/>' for i in range(4_000))
            + f'<KeyPointLabels name="kp" toName="{",".join(map(str, range(4_000)))}">',
            '<Label value="nose"/>' * 15_000,
            "</KeyPointLabels>",
            id="many pictures with many labels",
        ),
        pytest.param(
            IMAGE + '<KeyPointLabels name="kp" toName="image">' * 95,
            '<Label value="nose"/>' * 19_000,
            "</KeyPointLabels>" * 95,
            id="many labels deep inside of tags",
        ),
    ],
)
def test_a_label_is_read_once_so_that_no_config_stops_the_service(
    before: str, inside: str, after: str
) -> None:
    started = time.process_time()

    config = read(before, inside, after)

    assert {len(control.labels) for image in config.images for control in image.keypoints} == {1}
    assert time.process_time() - started < 5  # half a second; minutes, if each were read for each


def test_names_cannot_break_the_lines_of_a_log() -> None:
    config = read(IMAGE, PERSON_BOX, keypoint_labels(labels("a&#10;b", "x" * 9_000), name="k&#10;k"))
    said = [*config.problems, *(unknown.sentence for unknown in config.unknown_labels)]

    assert len(said) == 3
    assert all(len(sentence.splitlines()) == 1 and len(sentence) <= 500 for sentence in said)


def test_the_same_text_is_read_once() -> None:
    text = f"<View>{IMAGE}{PERSON_BOX}</View>"

    assert parse_label_config(text) is parse_label_config(text)


@given(st.text(max_size=200))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        config = parse_label_config(text)
    except LabelConfigError:
        return
    assert config.images or config.problems


@pytest.mark.parametrize(("form", "tag", "labels"), [("points", "keypoints", 121), ("bones", "skeleton", 4)])
def test_a_config_that_was_printed_before_is_understood_as_it_was(form: str, tag: str, labels: int) -> None:
    file = Path(__file__).parents[4] / "data" / "label_studio" / f"printed_before_{form}.xml"

    config = parse_label_config(file.read_text("utf-8"))

    assert config.sentences == ()
    (image,) = config.images
    assert image.box is not None
    assert (image.box.name, image.box.label) == ("person", "person")
    assert image.part_labels == ()
    (control,) = (*image.keypoints, *image.skeletons)
    assert (control.name, len(control.labels)) == (tag, labels)


class TestOffTheEventLoop:
    """A megabyte of labels takes most of a second to read."""

    @pytest.fixture
    def read_in(self, monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
        threads: list[threading.Thread] = []

        def tree(xml: str) -> Any:
            threads.append(threading.current_thread())
            return label_config_tree(xml)

        monkeypatch.setattr(parsing, "label_config_tree", tree)
        return threads

    @pytest.mark.parametrize(("labels", "elsewhere"), [(1, False), (10_000, True)])
    async def test_a_large_one_is_read_in_a_thread(
        self, labels: int, elsewhere: bool, read_in: list[threading.Thread]
    ) -> None:
        names = "".join(f'<Label value="unknown {labels} {number}"/>' for number in range(labels))
        xml = f'<View><Image name="i" value="$i"/><KeyPointLabels name="k" toName="i">{names}</KeyPointLabels></View>'
        config = await read_label_config(xml)

        assert [thread is not threading.main_thread() for thread in read_in] == [elsewhere]
        assert config is parse_label_config(xml), "and kept"

    async def test_what_is_wrong_with_it_is_told_as_ever(self) -> None:
        for xml in ("<View>", "<View>" + " " * 100_000, "<View>" + " " * 10_000_000, ""):
            with pytest.raises(LabelConfigError):
                await read_label_config(xml)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "٣", "9" * 30])
def test_a_limit_of_people_that_is_no_count_is_named(text: str) -> None:
    xml = (
        f'<View><Image name="image" value="$image" model_max_people="{text}"/>'
        '<RectangleLabels name="box" toName="image"><Label value="person"/></RectangleLabels></View>'
    )
    config = parse_label_config(xml)
    assert config.images[0].most_people is None
    assert "model_max_people" in config.sentences[0]


@pytest.mark.parametrize(
    ("label", "similar"),
    [
        ("Neck", ("left_shoulder", "right_shoulder")),
        ("MidHip", ("left_hip", "right_hip")),
        ("left_foot_index", ("left_big_toe",)),
        ("mouth_left", ("face_54",)),
        ("right pinky", ("right_little_17",)),
    ],
)
def test_points_of_other_schemes_are_suggested(label: str, similar: tuple[str, ...]) -> None:
    xml = (
        '<View><Image name="image" value="$image"/><KeyPointLabels name="points" toName="image">'
        f'<Label value="nose"/><Label value="{label}"/></KeyPointLabels></View>'
    )
    (unknown,) = parse_label_config(xml).unknown_labels
    assert unknown.nearest == similar
