"""Comparing predictions with annotations: the figures are COCO-WholeBody's, and say what is wrong."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from adapters.coco.evaluation import GROUPS, Evaluation, evaluate_pictures
from adapters.coco.plot import plot
from adapters.coco.reading import CocoError, read_coco

REFERENCE = json.loads((Path(__file__).parents[3] / "data" / "coco_reference.json").read_text("utf-8"))
Change = Callable[[dict[str, Any]], None]


def evaluated(annotated: dict[str, Any], predicted: dict[str, Any]) -> Evaluation:
    return evaluate_pictures(read_coco(annotated), read_coco(predicted))


@pytest.fixture
def annotated() -> dict[str, Any]:
    return copy.deepcopy(REFERENCE["annotated"])


def moved(person: dict[str, Any], field: str, pixels: float) -> None:
    person[field] = [
        value + pixels if position % 3 == 0 else value for position, value in enumerate(person[field])
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_precision_and_recall_are_those_of_coco_wholebodys_own_evaluation(group: str) -> None:
    ours = evaluated(REFERENCE["annotated"], REFERENCE["predicted"]).groups[group]

    theirs = REFERENCE["xtcocotools"][group]
    assert {"ap": ours.ap, "ap50": ours.ap50, "ap75": ours.ap75, "ar": ours.ar} == pytest.approx(
        theirs, abs=1e-9
    )


def test_against_itself_everything_agrees(annotated: dict[str, Any]) -> None:
    evaluation = evaluated(annotated, annotated)

    for group in evaluation.groups.values():
        assert (group.ap, group.ar, group.pck, group.median_distance) == (
            pytest.approx(1),
            pytest.approx(1),
            1,
            0,
        )
        assert group.pck_curve[0] == 1
    assert all(picture.agreement == 1 for picture in evaluation.pictures)


def test_moved_points_lower_the_figures_of_their_part_only(annotated: dict[str, Any]) -> None:
    predicted = copy.deepcopy(annotated)
    for person in predicted["annotations"]:
        moved(person, "lefthand_kpts", 40)

    groups = evaluated(annotated, predicted).groups

    assert groups["left_hand"].ap is not None
    assert groups["left_hand"].ap < 0.9
    assert groups["left_hand"].median_distance is not None
    assert groups["left_hand"].median_distance > 0
    for name in ("body", "feet", "face", "right_hand"):
        assert (groups[name].ap, groups[name].pck) == (pytest.approx(1), 1)


def test_a_missing_person_lowers_recall_and_is_named(annotated: dict[str, Any]) -> None:
    predicted = copy.deepcopy(annotated)
    del predicted["annotations"][0]

    evaluation = evaluated(annotated, predicted)

    assert evaluation.groups["body"].ar == pytest.approx(0.9)
    worst = evaluation.pictures[0]
    assert (worst.file_name, worst.people, worst.missed, worst.invented) == ("1.jpg", 2, 1, 0)
    assert worst.agreement == pytest.approx(0.5)


def test_an_invented_person_lowers_precision_and_is_named(annotated: dict[str, Any]) -> None:
    predicted = copy.deepcopy(annotated)
    invented = copy.deepcopy(predicted["annotations"][0])
    for field in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"):
        moved(invented, field, 5000)
    predicted["annotations"].append({**invented, "score": 1.0, "id": 99})
    for person in predicted["annotations"][:-1]:
        person["score"] = 0.5

    evaluation = evaluated(annotated, predicted)

    assert evaluation.groups["body"].ap is not None
    assert evaluation.groups["body"].ap < 0.95
    assert evaluation.groups["body"].ar == pytest.approx(1)
    assert evaluation.pictures[0].invented == 1
    assert evaluation.pictures[0].agreement == pytest.approx(2 / 3)


def test_points_that_were_not_predicted_count_as_wrong(annotated: dict[str, Any]) -> None:
    predicted = copy.deepcopy(annotated)
    for person in predicted["annotations"]:
        person["keypoints"][2::3] = [0] * 17

    body = evaluated(annotated, predicted).groups["body"]

    assert (body.ap, body.pck, body.median_distance) == (0, 0, None)


def test_what_nobody_annotated_has_no_figure(annotated: dict[str, Any]) -> None:
    for person in annotated["annotations"]:
        person["face_kpts"] = [0] * (68 * 3)

    face = evaluated(annotated, REFERENCE["predicted"]).groups["face"]

    assert (face.people, face.keypoints, face.ap, face.ar, face.pck) == (0, 0, None, None, None)


def test_a_prediction_for_somebody_annotated_with_a_box_only_is_not_invented(
    annotated: dict[str, Any],
) -> None:
    predicted = copy.deepcopy(annotated)
    first = annotated["annotations"][0]
    for field in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"):
        first[field] = [0] * len(first[field])

    pictures = {picture.file_name: picture for picture in evaluated(annotated, predicted).pictures}

    assert (pictures["1.jpg"].people, pictures["1.jpg"].invented, pictures["1.jpg"].agreement) == (1, 0, 1)


def test_more_than_twenty_people_in_a_picture_all_count() -> None:
    person = REFERENCE["annotated"]["annotations"][0]
    crowd = [{**copy.deepcopy(person), "id": n, "image_id": 1} for n in range(1, 31)]
    for n, one in enumerate(crowd):
        for field in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"):
            moved(one, field, 2000 * n)
    picture = {"images": [{"id": 1, "file_name": "crowd.jpg"}], "annotations": crowd}

    assert evaluated(picture, picture).groups["body"].ar == pytest.approx(1)


class TestWhichPicturesAreCompared:
    def test_those_on_one_side_only_are_left_out_and_counted(self, annotated: dict[str, Any]) -> None:
        predicted = copy.deepcopy(annotated)
        predicted["images"][0]["file_name"] = "other.jpg"

        evaluation = evaluated(annotated, predicted)

        assert len(evaluation.pictures) == len(annotated["images"]) - 1
        assert (evaluation.not_predicted, evaluation.not_annotated) == (1, 1)

    def test_nobody_on_both_sides_is_agreement(self) -> None:
        empty = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}

        evaluation = evaluated(empty, empty)

        assert evaluation.pictures[0].agreement == 1
        assert evaluation.groups["body"].ap is None

    def test_pictures_of_tasks_are_told_by_the_task_not_by_the_name(self, annotated: dict[str, Any]) -> None:
        predicted = copy.deepcopy(annotated)
        for number, (one, other) in enumerate(zip(annotated["images"], predicted["images"], strict=True)):
            one |= {"task_id": number, "image_tag": "image", "frame": None}
            other |= {"task_id": number, "image_tag": "image", "frame": None, "file_name": "x"}

        assert len(evaluated(annotated, predicted).pictures) == len(annotated["images"])


class TestWhatIsNoCocoWholeBody:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda d: d.pop("images"), "The document is no COCO JSON: images: Field required"),
            (lambda d: d["annotations"][0].pop("keypoints"), r"annotations\.0\.keypoints: Field required"),
            (
                lambda d: d["annotations"][0]["keypoints"].pop(),
                "Annotation 0 has 50 numbers in 'keypoints'; 17 keypoints need 51",
            ),
            (
                lambda d: d["annotations"][0].update(image_id=99),
                "Annotation 0 refers to the missing image 99",
            ),
            (
                lambda d: d["annotations"][0].update(bbox=[0, 0, float("inf"), 1]),
                r"bbox\.2: Input should be a finite number",
            ),
            (lambda d: d["images"].append(d["images"][0]), "Two images have the id 1"),
            (
                lambda d: d["images"].append({"id": 9, "file_name": "1.jpg"}),
                "The picture '1.jpg' occurs twice",
            ),
        ],
    )
    def test_is_said_to_be_none(self, annotated: dict[str, Any], change: Change, sentence: str) -> None:
        change(annotated)

        with pytest.raises(CocoError, match=sentence):
            read_coco(annotated)


class TestPlot:
    def test_shows_a_bar_and_a_curve_for_every_group_that_has_figures(
        self, annotated: dict[str, Any]
    ) -> None:
        for person in annotated["annotations"]:
            person["face_kpts"] = [0] * (68 * 3)

        svg = fromstring(plot(evaluated(annotated, REFERENCE["predicted"]), "<A & B>"))

        name = "{http://www.w3.org/2000/svg}"
        assert svg.findtext(f"{name}title") == "<A & B>"
        assert len(svg.findall(f"{name}polyline")) == len(GROUPS) - 1
        texts = [text.text for text in svg.findall(f"{name}text")]
        assert texts.count("-") == 1
        assert texts.count("left hand") == 2
        assert texts.count("face") == 1

    def test_the_height_of_a_bar_is_the_precision(self, annotated: dict[str, Any]) -> None:
        svg = fromstring(plot(evaluated(annotated, annotated), "itself"))

        bars = [
            float(bar.attrib["height"])
            for bar in svg.iter("{http://www.w3.org/2000/svg}rect")
            if "opacity" in bar.attrib
        ]
        assert len(bars) == 2 * len(GROUPS)
        assert set(bars) == {270.0}
