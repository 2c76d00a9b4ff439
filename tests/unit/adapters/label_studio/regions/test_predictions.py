"""People as Label Studio's predictions."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.regions.predictions import Joins, PeopleInImage, Thresholds, prediction
from adapters.label_studio.schemas import PredictionBody
from tests.unit.adapters.label_studio.label_config.test_parsing import (
    mmpose_labels,
    numbered_hand_labels,
    replaced_systems_labels,
)
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

ALL = Thresholds(person=0, keypoint=0)
WHOLE = label_config_template([Selection.WHOLE])
BOXES_ONLY = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="person" toName="image">'
    '<Label value="person"/></RectangleLabels></View>'
)


def config_with(
    keypoint_attributes: str = "", box_attributes: str = "", labels: str = '<Label value="nose"/>'
) -> str:
    return (
        '<View><Image name="image" value="$image"/>'
        f'<RectangleLabels name="person" toName="image" {box_attributes}><Label value="person"/></RectangleLabels>'
        f'<KeyPointLabels name="keypoints" toName="image" {keypoint_attributes}>{labels}</KeyPointLabels></View>'
    )


def person(
    box: tuple[float, float, float, float] = (100, 50, 200, 350),
    score: float = 0.9,
    keypoints: dict[str, tuple[float, float, float]] | None = None,
) -> Person:
    """A person with the named keypoints as x, y, score; the others were not found."""
    places = np.zeros((133, 2), np.float32)
    scores = np.zeros(133, np.float32)
    names = {keypoint.name: keypoint.index for keypoint in KEYPOINTS}
    for name, (x, y, keypoint_score) in (keypoints or {"nose": (150, 80, 0.8)}).items():
        places[names[name]] = x, y
        scores[names[name]] = keypoint_score
    return Person(np.array(box, np.float32), score, places, scores)


def predicted(
    people: Sequence[Person],
    xml: str = WHOLE,
    size: tuple[int, int] = (400, 400),
    thresholds: Thresholds = ALL,
    **place: Any,
) -> dict[str, Any]:
    (image,) = parse_label_config(xml).images
    found = PeopleInImage(image, people, size, **place)
    return json.loads(
        json.dumps(prediction([found], model_version="v1", thresholds=thresholds), allow_nan=False)
    )


def names(answer: dict[str, Any]) -> list[str]:
    return [region["id"] for region in answer["result"]]


def test_a_person_is_a_box_with_keypoints_under_it() -> None:
    nose, box = predicted([person()])["result"]

    assert box == {
        "id": "p0-box",
        "from_name": "person",
        "to_name": "image",
        "type": "rectanglelabels",
        "score": 0.9,
        "original_width": 400,
        "original_height": 400,
        "image_rotation": 0,
        "meta": {"text": ["p0"], "uncertainty": box["meta"]["uncertainty"]},
        "value": {
            "x": 25,
            "y": 12.5,
            "width": 25,
            "height": 75,
            "rotation": 0,
            "rectanglelabels": ["person"],
        },
    }
    width = nose["value"].pop("width")
    assert nose == {
        "id": "p0-nose",
        "parentID": "p0-box",
        "from_name": "body",
        "to_name": "image",
        "type": "keypointlabels",
        "score": 0.8,
        "original_width": 400,
        "original_height": 400,
        "image_rotation": 0,
        "value": {"x": 37.5, "y": 20, "keypointlabels": ["nose"]},
    }
    assert 0 < width <= 1


def test_nobody_found_is_an_empty_result_of_the_same_version() -> None:
    assert predicted([]) == {"model_version": "v1", "score": 0, "result": []}


def test_people_are_numbered() -> None:
    assert names(predicted([person(), person()])) == ["p0-nose", "p1-nose", "p0-box", "p1-box"]


def test_a_box_is_clipped_to_the_picture() -> None:
    (*_, box) = predicted([person(box=(-50, -10, 200, 1000))])["result"]

    assert box["value"] | {"rectanglelabels": 0} == {
        "x": 0, "y": 0, "width": 50, "height": 100, "rotation": 0, "rectanglelabels": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "box",
    [
        (400, 0, 500, 100),
        (-50, 0, 0, 100),
        (10, 10, 10, 100),
        (100, 10, 50, 100),
        (math.nan, 0, 9, 9),
        (0, 0, math.inf, 9),
    ],
)
def test_a_person_without_a_box_in_the_picture_is_left_out(box: tuple[float, float, float, float]) -> None:
    assert names(predicted([person(box=box), person()])) == ["p0-nose", "p0-box"]


@pytest.mark.parametrize(
    "place", [(-0.1, 80), (400.1, 80), (150, -1), (150, 401), (math.nan, 80), (150, math.inf)]
)
def test_a_keypoint_outside_the_picture_is_left_out_not_moved(place: tuple[float, float]) -> None:
    assert names(predicted([person(keypoints={"nose": (*place, 0.9), "left_eye": (150, 80, 0.9)})])) == [
        "p0-left_eye",
        "p0-box",
    ]


@pytest.mark.parametrize("score", [0.0, -0.5, math.nan])
def test_a_keypoint_that_was_not_found_is_never_sent(score: float) -> None:
    assert names(predicted([person(keypoints={"nose": (150, 80, score)})])) == ["p0-box"]


def test_scores_above_one_are_clamped() -> None:
    answer = predicted([person(score=1.2, keypoints={"nose": (150, 80, 1.05)})])

    assert [region["score"] for region in answer["result"]] == [1, 1]


def test_the_score_is_the_mean_over_people_of_their_keypoints_mean() -> None:
    surer = person(keypoints={"nose": (150, 80, 1.0), "left_eye": (150, 80, 0.8)})
    less_sure = person(keypoints={"nose": (150, 80, 0.5)})

    assert predicted([surer, less_sure])["score"] == 0.7


def test_the_score_is_that_of_the_boxes_where_only_boxes_are_wanted() -> None:
    assert predicted([person(score=0.9), person(score=0.5)], BOXES_ONLY)["score"] == 0.7


def test_given_thresholds_hold_where_the_label_config_has_none() -> None:
    people = [person(score=0.4), person(score=0.6, keypoints={"nose": (1, 1, 0.2), "left_eye": (1, 1, 0.3)})]

    assert names(predicted(people, thresholds=Thresholds(person=0.5, keypoint=0.25))) == [
        "p0-left_eye",
        "p0-box",
    ]


def test_the_label_configs_thresholds_go_before() -> None:
    xml = config_with('model_score_threshold="0.3" model_point_threshold="0.1"')
    low = person(score=0.4, keypoints={"nose": (150, 80, 0.2)})

    assert names(predicted([low], xml, thresholds=Thresholds(0.5, 0.5))) == ["p0-nose", "p0-box"]


def test_a_labels_own_threshold_goes_before_its_tags() -> None:
    labels = '<Label value="nose" model_point_threshold="0.1"/><Label value="left_eye"/>'
    xml = config_with('model_point_threshold="0.9"', labels=labels)
    points = {"nose": (150.0, 80.0, 0.5), "left_eye": (150.0, 80.0, 0.5)}

    assert names(predicted([person(keypoints=points)], xml)) == ["p0-nose", "p0-box"]


def test_keypoints_stay_loose_where_only_their_box_is_below_its_threshold() -> None:
    xml = config_with('model_score_threshold="0.3"', 'model_score_threshold="0.8"')
    (nose,) = predicted([person(score=0.5)], xml)["result"]

    assert "parentID" not in nose
    assert nose["meta"]["text"] == ["p0"]


def test_without_rectangle_labels_people_are_told_apart_by_id_and_note() -> None:
    xml = (
        '<View><Image name="image" value="$image"/><KeyPointLabels name="k" toName="image">'
        '<Label value="nose"/></KeyPointLabels></View>'
    )
    answer = predicted([person(), person()], xml)

    assert [(r["id"], r["meta"]["text"], r.get("parentID")) for r in answer["result"]] == [
        ("p0-nose", ["p0"], None),
        ("p1-nose", ["p1"], None),
    ]


def test_only_the_labels_of_the_project_are_sent_under_its_own_names() -> None:
    xml = config_with(labels='<Label value="Nase" predicted_values="nose"/>')
    answer = predicted([person(keypoints={"nose": (1, 1, 0.9), "left_eye": (1, 1, 0.9)})], xml)

    assert [r["value"].get("keypointlabels") for r in answer["result"]] == [["Nase"], None]


@pytest.mark.parametrize("names_of", [replaced_systems_labels, mmpose_labels, numbered_hand_labels])
def test_projects_with_other_names_get_every_one_of_their_133_labels(
    names_of: Callable[[], list[str]],
) -> None:
    labels = "".join(f'<Label value="{name}"/>' for name in names_of())
    everything = {keypoint.name: (float(keypoint.index), 2.0, 0.9) for keypoint in KEYPOINTS}

    regions = predicted([person(keypoints=everything)], config_with(labels=labels))["result"]

    points = [
        (r["value"]["keypointlabels"], r["value"]["x"]) for r in regions if r["type"] == "keypointlabels"
    ]
    assert points == [([name], index / 4) for index, name in enumerate(names_of())]


def test_one_keypoint_in_two_tags_gets_two_ids() -> None:
    xml = config_with().replace(
        "</View>", '<KeyPointLabels name="more" toName="image"><Label value="nose"/></KeyPointLabels></View>'
    )

    assert names(predicted([person()], xml)) == ["p0-nose", "p0-nose-2", "p0-box"]


def test_ids_are_unique_over_several_pictures_of_a_task() -> None:
    config = parse_label_config(
        '<View><Image name="a" value="$a"/><Image name="b" value="$b"/>'
        '<RectangleLabels name="ra" toName="a"><Label value="person"/></RectangleLabels>'
        '<RectangleLabels name="rb" toName="b"><Label value="person"/></RectangleLabels></View>'
    )
    found = [PeopleInImage(image, [person()], (400, 400)) for image in config.images]
    answer = prediction(found, model_version="v1", thresholds=ALL)

    assert [(r["id"], r["to_name"]) for r in answer["result"]] == [("p0-box", "a"), ("i1-p0-box", "b")]


def test_an_answer_for_interactive_use_has_ids_of_its_own() -> None:
    answer = predicted([person()], id_prefix="abc-")

    assert names(answer) == ["abc-p0-nose", "abc-p0-box"]
    assert answer["result"][0]["parentID"] == "abc-p0-box"


def test_several_drawings_are_answered_under_ids_of_their_own() -> None:
    (image,) = parse_label_config(BOXES_ONLY).images
    found = [PeopleInImage(image, [person()], (400, 400), id_prefix=prefix) for prefix in ("a-", "b-")]
    answer = prediction(found, model_version="v1", thresholds=ALL)

    assert [region["id"] for region in answer["result"]] == ["a-p0-box", "b-p0-box"]


def test_a_frames_regions_say_which_it_is_and_have_ids_of_their_own() -> None:
    config = parse_label_config(
        '<View><Image name="i" valueList="$frames"/>'
        '<RectangleLabels name="r" toName="i"><Label value="person"/></RectangleLabels></View>'
    )
    people = [person(), person()]
    found = [PeopleInImage(config.images[0], people, (400, 400), frame) for frame in (0, 1, 7)]
    answer = prediction(found, model_version="v1", thresholds=ALL)

    assert [(region["id"], region.get("item_index")) for region in answer["result"]] == [
        (f"f{frame}-p{number}-box", frame) for frame in (0, 1, 7) for number in (0, 1)
    ]


def skeleton_config(labels: str = '<Label value="body"/>', attributes: str = "") -> str:
    return (
        '<View><Image name="image" value="$image"/>'
        '<RectangleLabels name="person" toName="image"><Label value="person"/></RectangleLabels>'
        f'<VectorLabels name="bones" toName="image" skeleton="true" {attributes}>{labels}</VectorLabels></View>'
    )


EVERYTHING = {k.name: (100.0 + k.index, 100.0 + k.index, 0.9) for k in KEYPOINTS}
ARM = {"left_shoulder": (200, 100, 0.9), "left_elbow": (240, 160, 0.8), "left_wrist": (280, 200, 0.4)}


class TestBones:
    def test_a_line_is_a_tree_under_the_persons_box(self) -> None:
        arm, box = predicted([person(keypoints=ARM)], skeleton_config())["result"]

        assert box["id"] == "p0-box"
        assert arm == {
            "id": "p0-bones-body",
            "parentID": "p0-box",
            "from_name": "bones",
            "to_name": "image",
            "type": "vectorlabels",
            "score": 0.7,
            "original_width": 400,
            "original_height": 400,
            "image_rotation": 0,
            "value": {
                "closed": False,
                "vertices": [
                    {"id": "p0-left_shoulder", "x": 50, "y": 25, "isBezier": False, "prevPointId": None},
                    {
                        "id": "p0-left_elbow",
                        "x": 60,
                        "y": 40,
                        "isBezier": False,
                        "prevPointId": "p0-left_shoulder",
                    },
                    {
                        "id": "p0-left_wrist",
                        "x": 70,
                        "y": 50,
                        "isBezier": False,
                        "prevPointId": "p0-left_elbow",
                    },
                ],
                "vectorlabels": ["body"],
            },
        }

    def test_what_a_doubtful_keypoint_held_together_becomes_lines_of_their_own(self) -> None:
        both = {
            "left_ear": (210, 50, 0.9),
            **ARM,
            "left_hip": (200, 200, 0.9),
            "left_knee": (200, 260, 0.9),
            "left_shoulder": (200, 100, 0.29),
        }
        answer = predicted([person(keypoints=both)], skeleton_config(), thresholds=Thresholds(0, 0.3))

        assert [
            [vertex["id"] for vertex in region["value"]["vertices"]] for region in answer["result"][:-1]
        ] == [["p0-left_elbow", "p0-left_wrist"], ["p0-left_hip", "p0-left_knee"]]
        assert names(answer) == ["p0-bones-body", "p0-bones-body-2", "p0-box"]

    @pytest.mark.parametrize(
        ("labels", "attributes", "lines"),
        [
            ('<Label value="body"/>', "", 3),
            ('<Label value="body"/>', 'model_point_threshold="0.5"', 2),
            ('<Label value="body" model_point_threshold="0.85"/>', 'model_point_threshold="0.1"', 0),
        ],
    )
    def test_the_label_configs_thresholds_hold(self, labels: str, attributes: str, lines: int) -> None:
        regions = predicted([person(keypoints=ARM)], skeleton_config(labels, attributes))["result"][:-1]

        assert sum(len(region["value"]["vertices"]) for region in regions) == lines

    def test_a_whole_person_is_a_line_for_the_body_each_hand_and_what_a_face_is_drawn_with(self) -> None:
        answer = predicted([person(keypoints=EVERYTHING)], skeleton_config('<Label value="skeleton"/>'))

        assert [(r["id"], len(r["value"]["vertices"])) for r in answer["result"][:-1]] == [
            ("p0-bones-left_hand", 21),
            ("p0-bones-right_hand", 21),
            ("p0-bones-face_jaw", 17),
            ("p0-bones-face_right_brow", 5),
            ("p0-bones-face_left_brow", 5),
            ("p0-bones-face_nose_bridge", 4),
            ("p0-bones-face_nose_base", 5),
            ("p0-bones-face_right_eye", 6),
            ("p0-bones-face_left_eye", 6),
            ("p0-bones-face_lips", 12),
            ("p0-bones-face_inner_lips", 8),
            ("p0-bones-body", 23),
        ]
        assert answer["score"] == 0.9

    def test_a_single_hand_can_be_asked_for(self) -> None:
        hands = {
            f"{side}_{name}": (9, 9, 0.9) for side in ("left", "right") for name in ("wrist_0", "thumb_1")
        }
        answer = predicted(
            [person(keypoints=hands)],
            skeleton_config('<Label value="hands"/>'),
            requested=frozenset({Part.LEFT_HAND}),
        )

        assert names(answer) == ["p0-bones-left_hand", "p0-box"]

    def test_without_a_box_the_body_has_the_persons_note(self) -> None:
        xml = skeleton_config(attributes='model_add_bboxes="false"')
        (arm,) = predicted([person(keypoints=ARM)], xml)["result"]

        assert "parentID" not in arm
        assert arm["meta"]["text"] == ["p0"]

    def test_without_boxes_the_other_parts_are_nested_under_the_body(self) -> None:
        xml = skeleton_config('<Label value="skeleton"/>', 'model_add_bboxes="false"')
        regions = predicted([person(keypoints=EVERYTHING), person(keypoints=EVERYTHING)], xml)["result"]

        assert [(r["id"], r["meta"]["text"]) for r in regions if "parentID" not in r] == [
            ("p0-bones-body", ["p0"]),
            ("p1-bones-body", ["p1"]),
        ]
        others = [r for r in regions if "parentID" in r]
        assert all(r["parentID"] == f"{r['id'][:2]}-bones-body" for r in others)
        assert not any("meta" in r for r in others)

    @pytest.mark.parametrize("body", ["body", "body_without_feet", "upper_body"])
    def test_whatever_is_called_a_body_holds_the_others(self, body: str) -> None:
        labels = f'<Label value="face"/><Label value="{body}"/>'
        regions = predicted(
            [person(keypoints=EVERYTHING)], skeleton_config(labels, 'model_add_bboxes="false"')
        )["result"]

        assert {r.get("parentID") for r in regions} == {None, f"p0-bones-{body}"}

    def test_without_a_box_and_a_body_each_line_has_the_persons_note(self) -> None:
        xml = skeleton_config('<Label value="hands"/>', 'model_add_bboxes="false"')
        regions = predicted([person(keypoints=EVERYTHING)], xml)["result"]

        assert [(r["id"], r.get("parentID"), r["meta"]["text"]) for r in regions] == [
            ("p0-bones-left_hand", None, ["p0"]),
            ("p0-bones-right_hand", None, ["p0"]),
        ]


class TestOrder:
    """The editor draws the first region topmost, and what lies on top is what is grabbed."""

    XML = skeleton_config('<Label value="body"/><Label value="hands"/><Label value="face"/>').replace(
        "</View>", '<KeyPointLabels name="k" toName="image"><Label value="nose"/></KeyPointLabels></View>'
    )

    @staticmethod
    def kinds(regions: Sequence[dict[str, Any]]) -> list[str]:
        fine = ("hand", "face")
        return [
            "fine" if any(name in region["id"] for name in fine) else region["type"] for region in regions
        ]

    def test_points_come_first_and_all_boxes_last(self) -> None:
        regions = predicted([person(keypoints=EVERYTHING)] * 3, self.XML)["result"]

        order = self.kinds(regions)
        lines = len(order) // 3 - 3
        assert order == (
            ["keypointlabels"] * 3 + ["fine"] * 3 * lines + ["vectorlabels"] * 3 + ["rectanglelabels"] * 3
        )

    def test_within_a_kind_they_stay_in_the_order_of_the_people(self) -> None:
        regions = predicted([person(keypoints=EVERYTHING)] * 2, self.XML)["result"]

        assert [r["id"] for r in regions if "nose" in r["id"] and "face" not in r["id"]] == [
            "p0-nose",
            "p1-nose",
        ]
        assert [r["id"] for r in regions if r["type"] == "rectanglelabels"] == ["p0-box", "p1-box"]

    def test_boxes_are_last_over_all_frames(self) -> None:
        config = parse_label_config(label_config_template([Selection.BODY], frames=True))
        found = [PeopleInImage(config.images[0], [person()], (400, 400), frame) for frame in (0, 1)]
        regions = prediction(found, model_version="v1", thresholds=ALL)["result"]

        assert [(region["id"], region["type"]) for region in regions] == [
            ("f0-p0-nose", "keypointlabels"),
            ("f1-p0-nose", "keypointlabels"),
            ("f0-p0-box", "rectanglelabels"),
            ("f1-p0-box", "rectanglelabels"),
            ("f0-p0-box", "textarea"),
            ("f1-p0-box", "textarea"),
        ]

    def test_the_row_of_a_person_in_a_frame_says_which_frame_and_who(self) -> None:
        config = parse_label_config(label_config_template([Selection.BODY], skeleton=True, frames=True))
        found = [PeopleInImage(config.images[0], [person(keypoints=ARM)] * 2, (400, 400), 4)]
        regions = prediction(found, model_version="v1", thresholds=ALL)["result"]

        assert [
            (region["id"], region["value"].get("text"), region["item_index"]) for region in regions[2:]
        ] == [
            ("f4-p0-bones-body_without_feet", ["frame 5, p0"], 4),
            ("f4-p1-bones-body_without_feet", ["frame 5, p1"], 4),
        ]

    def test_bones_that_are_added_or_written_twice_have_the_order_of_their_part(self) -> None:
        xml = self.XML.replace(
            "</View>",
            '<VectorLabels name="again" toName="image" skeleton="true"><Label value="left_hand"/></VectorLabels>'
            "</View>",
        )
        regions = predicted([person(keypoints=EVERYTHING)], xml, joins=Joins("box", "p0", 7))["result"]

        order = self.kinds(regions)
        assert order == sorted(order, key=["keypointlabels", "fine", "vectorlabels"].index)
        assert "p0-bones-left_hand-7-2" in [region["id"] for region in regions]


class TestWhatJoinsAPersonOnThePage:
    JOINS = Joins("kT9_x", "p2", 41)

    def test_it_hangs_on_their_handle_and_there_is_no_second_box(self) -> None:
        regions = predicted([person()], joins=self.JOINS)["result"]

        assert [(r["id"], r["parentID"]) for r in regions] == [("p2-nose-41", "kT9_x")]

    def test_vertices_have_ids_of_their_own_that_say_which_keypoint_they_are(self) -> None:
        (arm,) = predicted([person(keypoints=ARM)], skeleton_config(), joins=self.JOINS)["result"]

        assert (arm["id"], arm["parentID"]) == ("p2-bones-body-41", "kT9_x")
        vertices = arm["value"]["vertices"]
        assert [vertex["id"] for vertex in vertices] == [f"p2-{name}-41" for name in ARM]
        assert [vertex["prevPointId"] for vertex in vertices] == [None, *(f"p2-{name}-41" for name in ARM)][
            :-1
        ]

    def test_parts_that_were_asked_for_are_sent_whatever_their_score(self) -> None:
        doubtful = person(keypoints={"left_thumb_1": (1, 1, 0.01), "nose": (1, 1, 0.9)}, score=0.01)
        asked = frozenset({Part.LEFT_HAND})
        thresholds = Thresholds(person=0.5, keypoint=0.5)

        assert names(predicted([doubtful], thresholds=thresholds, joins=self.JOINS, requested=asked)) == [
            "p2-left_thumb_1-41"
        ]
        assert names(predicted([doubtful], thresholds=thresholds)) == []

    def test_what_was_not_found_is_not_sent_even_if_it_was_asked_for(self) -> None:
        assert predicted([person()], joins=self.JOINS, requested=frozenset({Part.FACE}))["result"] == []


class TestUncertainty:
    @staticmethod
    def of(scores: Sequence[float], threshold: float = 0.4) -> float:
        labels = "".join(f'<Label value="face_{n}"/>' for n in range(len(scores)))
        keypoints = {f"face_{n}": (5.0, 5.0, score) for n, score in enumerate(scores)}
        (*_, box) = predicted(
            [person(keypoints=keypoints)], config_with(labels=labels), thresholds=Thresholds(0, threshold)
        )["result"]
        return box["meta"]["uncertainty"]

    def test_it_is_one_at_the_threshold_and_falls_to_zero_at_both_ends(self) -> None:
        found = [self.of([score]) for score in (0, 0.2, 0.4, 0.7, 1)]

        assert found == pytest.approx([0, 0.5, 1, 0.5, 0])

    def test_it_is_the_mean_over_all_that_was_asked_for_whether_sent_or_not(self) -> None:
        assert self.of([1, 0.2, 0]) == pytest.approx(0.5 / 3, abs=1e-4)

    def test_it_is_that_of_the_person_where_only_boxes_are_wanted(self) -> None:
        (box,) = predicted([person(score=0.75)], BOXES_ONLY)["result"]

        assert box["meta"]["uncertainty"] == 0.25


def test_a_single_hand_can_be_asked_for() -> None:
    both = person(keypoints={"nose": (1, 1, 0.9), "left_thumb_1": (2, 2, 0.9), "right_thumb_1": (3, 3, 0.9)})

    assert names(predicted([both], requested=frozenset({Part.LEFT_HAND}))) == ["p0-left_thumb_1", "p0-box"]


def test_a_person_without_the_hand_that_was_asked_for_is_left_out() -> None:
    assert predicted([person()], requested=frozenset({Part.LEFT_HAND}))["result"] == []


def test_a_points_size_in_pixels_can_be_set() -> None:
    assert predicted([person()], config_with('model_point_size="4"'))["result"][0]["value"]["width"] == 1


def test_points_are_smaller_where_keypoints_lie_close_together() -> None:
    names = ("nose", "left_shoulder", "face_0", "left_thumb_1")
    points = dict.fromkeys(names, (1.0, 1.0, 0.9))
    near = predicted([person(box=(0, 0, 800, 900), keypoints=points)], size=(1600, 900))
    widths = {r["value"]["keypointlabels"][0]: r["value"]["width"] for r in near["result"][:-1]}

    assert widths["face_0"] == widths["nose"] < widths["left_thumb_1"] < widths["left_shoulder"]


def test_points_are_smaller_on_people_farther_away() -> None:
    widths = [
        predicted([person(box=(0, 0, side, side), keypoints={"nose": (1, 1, 0.9)})])["result"][0]["value"][
            "width"
        ]
        for side in (100, 200)
    ]

    assert widths[0] < widths[1]


coordinates = st.floats(-1e4, 1e4, width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 3.4e38])
scores = st.floats(-1, 2, width=32) | st.just(math.nan)


@st.composite
def any_person(draw: st.DrawFn) -> Person:
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    spread = draw(st.sampled_from([10.0, 300.0, 5_000.0]))
    keypoints = random.normal(0, spread, (133, 2)).astype(np.float32)
    keypoint_scores = random.uniform(-0.2, 1.2, 133).astype(np.float32)
    for index in draw(st.lists(st.integers(0, 132), max_size=5)):
        keypoints[index] = draw(coordinates), draw(coordinates)
        keypoint_scores[index] = draw(scores)
    box = np.array([draw(coordinates) for _ in range(4)], np.float32)
    return Person(box, draw(scores), keypoints, keypoint_scores)


def assert_is_a_tree(vertices: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for number, vertex in enumerate(vertices):
        assert (vertex["prevPointId"] is None) == (number == 0), "only the first has no parent"
        assert vertex["prevPointId"] is None or vertex["prevPointId"] in seen, "parents come first"
        assert vertex["id"] not in seen
        seen.add(vertex["id"])
    assert len(vertices) >= 2


@settings(deadline=None)
@given(
    people=st.lists(any_person(), max_size=4),
    size=st.tuples(st.integers(1, 30_000), st.integers(1, 30_000)),
    xml=st.sampled_from(
        [
            WHOLE,
            BOXES_ONLY,
            config_with('model_point_size="0.001"'),
            config_with('model_point_size="1000"'),
            skeleton_config('<Label value="skeleton"/>'),
        ]
    ),
    thresholds=st.builds(Thresholds, person=st.floats(0, 1), keypoint=st.floats(0, 1)),
)
def test_any_people_give_json_that_label_studio_can_show(
    people: list[Person], size: tuple[int, int], xml: str, thresholds: Thresholds
) -> None:
    answer = predicted(people, xml, size, thresholds)

    PredictionBody.model_validate(answer)
    ids = names(answer)
    assert len(ids) == len(set(ids))
    assert 0 <= answer["score"] <= 1
    for region in answer["result"]:
        value = region["value"]
        assert region.get("parentID", ids[0]) in ids
        assert (region["original_width"], region["original_height"]) == size
        assert 0 <= region["score"] <= 1
        for place in value.get("vertices", [value]):
            assert 0 <= place["x"] <= 100
            assert 0 <= place["y"] <= 100
        assert 0 < value.get("width", 1) <= 100
        if region["type"] == "vectorlabels":
            assert_is_a_tree(value["vertices"])
        if region["type"] == "rectanglelabels":
            assert 0 < value["height"] <= 100
            assert value["x"] + value["width"] <= 100 + 1e-9
            assert value["y"] + value["height"] <= 100 + 1e-9
        else:
            assert region["score"] > 0


@settings(deadline=None)
@given(
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    size=st.tuples(st.integers(16, 10_000), st.integers(16, 10_000)),
    part=st.sampled_from(Part),
)
def test_percentages_lead_back_to_the_pixel(
    place: tuple[float, float], size: tuple[int, int], part: Part
) -> None:
    width, height = size
    x, y = (np.float32(place[0] * width), np.float32(place[1] * height))
    keypoint = KEYPOINTS[PART_RANGES[part].start]
    (region, _) = predicted(
        [person(box=(0, 0, width, height), keypoints={keypoint.name: (float(x), float(y), 0.9)})], size=size
    )["result"]

    assert region["value"]["x"] / 100 * width == pytest.approx(x, abs=0.01)
    assert region["value"]["y"] / 100 * height == pytest.approx(y, abs=0.01)


class TestMostPeople:
    SMALL, LARGE, MIDDLE = (person(box=(10, 10, 10 + side, 10 + side)) for side in (20, 300, 100))

    def sent(self, xml: str = BOXES_ONLY, **place: Any) -> list[float]:
        """The widths of the boxes in the answer."""
        answer = predicted([self.SMALL, self.LARGE, self.MIDDLE], xml, **place)
        return [region["value"]["width"] for region in answer["result"]]

    def test_all_are_sent_in_their_order(self) -> None:
        assert self.sent() == [5, 75, 25]

    @pytest.mark.parametrize(("most", "widths"), [(1, [75]), (2, [75, 25]), (3, [5, 75, 25])])
    def test_with_a_limit_the_largest_are_sent(self, most: int, widths: list[float]) -> None:
        limited = BOXES_ONLY.replace("<Image", f'<Image model_max_people="{most}"')
        assert self.sent(limited) == widths
        assert self.sent(thresholds=Thresholds(0, 0, most_people=most)) == widths

    def test_the_label_config_comes_before_the_setting(self) -> None:
        limited = BOXES_ONLY.replace("<Image", '<Image model_max_people="2"')
        assert self.sent(limited, thresholds=Thresholds(0, 0, most_people=1)) == [75, 25]

    def test_a_person_below_the_threshold_takes_no_place(self) -> None:
        weak = person(box=(0, 0, 400, 400), score=0.1)
        answer = predicted([weak, self.SMALL, self.MIDDLE], BOXES_ONLY, thresholds=Thresholds(0.5, 0, 1))
        assert [region["value"]["width"] for region in answer["result"]] == [25]

    def test_smart_tools_send_whom_the_annotator_meant(self) -> None:
        assert self.sent(thresholds=Thresholds(0, 0, most_people=1), id_prefix="s1-") == [5, 75, 25]

    def test_a_box_that_is_not_finite_is_no_large_one(self) -> None:
        endless = person(box=(0, 0, float("inf"), 10))
        answer = predicted([endless, self.SMALL], BOXES_ONLY, thresholds=Thresholds(0, 0, most_people=1))
        assert [region["value"]["width"] for region in answer["result"]] == [5]
