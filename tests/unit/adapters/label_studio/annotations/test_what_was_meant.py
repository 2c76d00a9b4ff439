"""Round trips: a prediction, a correction as Label Studio stores it, an export, a comparison with what was meant."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.coco.document import PictureOfTask, coco_document
from adapters.coco.evaluation import evaluate_pictures
from adapters.coco.reading import read_coco
from adapters.label_studio.annotations.people import (
    OCCLUDED,
    UNSEEN,
    VISIBLE,
    AnnotatedPerson,
    AnnotatedPicture,
    read_people,
)
from adapters.label_studio.annotations.regions import joining_number
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.regions.predictions import Joins, PeopleInImage, Thresholds, prediction
from tests.support.corrections_made import (
    SIZE,
    Form,
    Regions,
    accepted,
    drawn_by_hand,
    label_config,
    moved,
    occluded,
    of_part,
    percent,
    person,
    predicted,
    region_of,
    relabelled,
    relabelled_hand,
    swapped_hands,
    with_swapped_hands,
    without,
    without_keypoints,
    without_part,
    without_person,
)
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS, PART_RANGES, Part

LEFT_HAND, RIGHT_HAND = list(PART_RANGES[Part.LEFT_HAND]), list(PART_RANGES[Part.RIGHT_HAND])
ANNA, BERT = person(), person(700)
FORMS = pytest.mark.parametrize("form", Form)


@dataclass
class Meant:
    """A person as they should be in the export."""

    person: Person
    occluded: Sequence[int] = ()
    missing: Sequence[int] = ()
    moved: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    box: NDArray[np.float64] | None = None

    def annotated(self) -> AnnotatedPerson:
        visibility = np.full(KEYPOINT_COUNT, VISIBLE, np.uint8)
        visibility[list(self.occluded)] = OCCLUDED
        visibility[list(self.missing)] = UNSEEN
        keypoints = self.person.keypoints.astype(np.float64)
        for index, place in self.moved.items():
            keypoints[index] = place
        keypoints[visibility == UNSEEN] = 0
        box = self.person.box.astype(np.float64) if self.box is None else self.box
        return AnnotatedPerson("", box, keypoints, visibility, 1.0)


def exported(
    result: Regions, form: Form, made_from: Regions | None
) -> tuple[list[AnnotatedPicture], list[str]]:
    said: list[str] = []
    meanings = LabelMeanings.of(label_config(form))
    return read_people(result, meanings, said.append, made_from), said


def check(
    result: Regions, meant: Sequence[Meant], form: Form, made_from: Regions | None, frame: int | None = None
) -> list[str]:
    """Compare what is exported with what was meant; return what is said about it."""
    pictures, said = exported(result, form, made_from)
    assert_same(pictures, exported(result[::-1], form, made_from)[0])
    truth = AnnotatedPicture("image", frame, SIZE, tuple(one.annotated() for one in meant))
    others = [one for one in pictures if one.frame != frame]
    pictures = [one for one in pictures if one.frame == frame] or [AnnotatedPicture("image", frame, SIZE, ())]
    assert not others or frame is not None
    evaluation = evaluate_pictures(*(document(picture) for picture in (truth, *pictures)))
    (picture,) = evaluation.pictures
    assert (picture.missed, picture.invented) == (0, 0)
    assert len(pictures[0].people) == len(meant)
    if meant:
        assert picture.agreement == pytest.approx(1)
        assert evaluation.groups["wholebody"].ap == pytest.approx(1)
    for one in truth.people:
        other = min(pictures[0].people, key=lambda each: float(np.abs(each.keypoints - one.keypoints).sum()))
        np.testing.assert_array_equal(other.visibility, one.visibility)
        np.testing.assert_allclose(other.keypoints, one.keypoints, atol=0.02)
        np.testing.assert_allclose(other.box, one.box, atol=0.02)
    return said


def assert_same(pictures: list[AnnotatedPicture], others: list[AnnotatedPicture]) -> None:
    """In whatever order the regions are."""
    first, second = (
        {(one.frame, each.name): each for one in either for each in one.people}
        for either in (pictures, others)
    )
    assert first.keys() == second.keys()
    for key, one in first.items():
        np.testing.assert_array_equal(one.keypoints, second[key].keypoints)
        np.testing.assert_array_equal(one.visibility, second[key].visibility)


def document(picture: AnnotatedPicture) -> Any:
    pictures = [PictureOfTask(1, 1, "a.jpg", picture)]
    return read_coco(coco_document(pictures, "", with_scores=True))


class TestMoving:
    @FORMS
    def test_a_point_or_vertex(self, form: Form) -> None:
        before = predicted([ANNA], form)
        place = ANNA.keypoints[0] + np.float32(20)

        said = check(
            moved(before, "p0-nose", *percent(place)), [Meant(ANNA, moved={0: tuple(place)})], form, before
        )

        assert said == []

    @pytest.mark.parametrize("kind", ["keypointlabels", "vectorlabels"])
    def test_one_of_a_point_and_a_vertex_of_the_same_keypoint_counts(self, kind: str) -> None:
        before = predicted([ANNA], Form.BOTH)
        place = ANNA.keypoints[0] + np.float32(20)
        both = moved(before, "p0-nose", *percent(place))
        after = [new if new["type"] == kind else old for new, old in zip(both, before, strict=True)]

        said = check(after, [Meant(ANNA, moved={0: tuple(place)})], Form.BOTH, before)

        assert said == []


class TestRemoving:
    @FORMS
    @pytest.mark.parametrize("knows_prediction", [True, False])
    def test_a_hand(self, form: Form, knows_prediction: bool) -> None:
        before = predicted([ANNA, BERT], form)
        after = without_part(before, "p0", Part.LEFT_HAND)

        said = check(
            after, [Meant(ANNA, missing=LEFT_HAND), Meant(BERT)], form, before if knows_prediction else None
        )

        assert said == []

    def test_a_point(self) -> None:
        before = predicted([ANNA], Form.POINTS)

        assert check(without(before, "p0-left_wrist"), [Meant(ANNA, missing=[9])], Form.POINTS, before) == []

    @FORMS
    def test_a_person_with_everything(self, form: Form) -> None:
        before = predicted([ANNA, BERT], form)

        assert check(without_person(before, "p0"), [Meant(BERT)], form, before) == []

    @FORMS
    @pytest.mark.parametrize("knows_prediction", [True, False])
    def test_a_persons_box_removes_the_person_and_is_said(self, form: Form, knows_prediction: bool) -> None:
        before = predicted([ANNA, BERT], form)
        points = {Form.POINTS: 133, Form.BONES: 133, Form.BOTH: 266}[form]

        said = check(without(before, "p0-box"), [Meant(BERT)], form, before if knows_prediction else None)

        assert said == [
            f"the box of p0 was deleted, so this person's {points} remaining points are left out. To keep "
            "the person, draw a new box around them"
        ]

    def test_a_box_around_points_that_lost_their_parent_removes_the_person_too(self) -> None:
        before = predicted([ANNA, BERT], Form.POINTS)
        after = [{key: value for key, value in region.items() if key != "parentID"} for region in before]

        (said,) = check(without(after, "p0-box"), [Meant(BERT)], Form.POINTS, before)

        assert said.startswith("the box of p0 was deleted, so this person's 133 remaining points")

    def test_a_suggested_persons_box_removes_the_person(self) -> None:
        before = predicted([ANNA], Form.POINTS)
        suggestion = predicted([BERT], Form.POINTS, id_prefix="Xy3-")
        after = without(accepted(before, suggestion), "Xy3-p0-box")

        (said,) = check(after, [Meant(ANNA)], Form.POINTS, before)

        assert said.startswith("the box of Xy3-p0 was deleted, so this person's 133 remaining points")

    @FORMS
    def test_a_box_of_a_person_whose_points_were_moved_keeps_the_person(self, form: Form) -> None:
        before = predicted([ANNA, BERT], form)
        place = ANNA.keypoints[0] + np.float32(20)
        after = without(moved(before, "p0-nose", *percent(place)), "p0-box")
        places = ANNA.keypoints.copy()
        places[0] = place
        round_points = np.concatenate([places.min(axis=0), places.max(axis=0)]).astype(np.float64)

        (said,) = check(
            after, [Meant(ANNA, moved={0: tuple(place)}, box=round_points), Meant(BERT)], form, before
        )

        corrected, points = {Form.POINTS: (1, 133), Form.BONES: (1, 133), Form.BOTH: (2, 266)}[form]
        assert said == (
            f"the box of p0 was deleted, but {corrected} of the {points} points were corrected or added by hand: the "
            "person is kept, with a box around the points. To remove the person, delete the points as well"
        )

    @pytest.mark.parametrize("knows_prediction", [True, False])
    @pytest.mark.parametrize("edit", [swapped_hands, lambda regions, who: occluded(regions, f"{who}-nose")])
    def test_a_box_of_a_person_whose_points_were_relabelled_or_occluded_keeps_the_person(
        self, edit: Any, knows_prediction: bool
    ) -> None:
        before = predicted([ANNA], Form.POINTS)
        after = without(edit(before, "p0"), "p0-box")

        pictures, (said,) = exported(after, Form.POINTS, before if knows_prediction else None)

        assert len(pictures[0].people) == 1
        assert said.startswith("the box of p0 was deleted, but ")

    def test_what_label_studio_marks_as_changed_keeps_the_person_where_the_prediction_is_not_known(
        self,
    ) -> None:
        after = without(predicted([ANNA], Form.POINTS), "p0-box")
        region_of(after, "p0-nose")["origin"] = "prediction-changed"

        pictures, (said,) = exported(after, Form.POINTS, None)

        assert len(pictures[0].people) == 1
        assert "but 1 of the 133 points were corrected" in said

    def test_a_box_and_drawing_another_keeps_the_person_under_the_new_box(self) -> None:
        before = predicted([ANNA, BERT], Form.POINTS)
        old = region_of(before, "p0-box")
        box = {**old, "id": "kT9_x", "origin": "manual", "value": {**old["value"], "width": 26.0}}
        after = [*without(before, "p0-box"), box]
        x1, y1, _, y2 = ANNA.box.astype(np.float64)
        new = np.array([x1, y1, x1 + 0.26 * SIZE[0], y2])

        said = check(after, [Meant(ANNA, box=new), Meant(BERT)], Form.POINTS, before)

        assert said == ["the box of p0 was deleted; the points go to the new box 'kT9_x'"]

    def test_a_box_is_not_undone_by_a_new_one_that_holds_few_of_the_points(self) -> None:
        before = predicted([ANNA, BERT], Form.POINTS)
        child = person(200, 500, 300)  # whose box holds the legs
        (new,) = (region for region in predicted([child], Form.POINTS) if region["type"] == "rectanglelabels")
        after = [*without(before, "p0-box"), {**new, "id": "kT9_x"}]

        (said,) = check(
            after, [Meant(BERT), Meant(child, missing=range(KEYPOINT_COUNT))], Form.POINTS, before
        )

        assert said.startswith("the box of p0 was deleted, so this person's 133 remaining points")

    @FORMS
    def test_all_of_a_person_but_a_hand_does_not_give_the_hand_to_a_neighbour(self, form: Form) -> None:
        neighbour = person(210)
        before = predicted([ANNA, without_keypoints(neighbour, LEFT_HAND)], form)
        hand = of_part(before, "p0", Part.LEFT_HAND)
        after = [region for region in before if region["id"].startswith("p1-") or region["id"] in hand]

        (said,) = check(after, [Meant(neighbour, missing=LEFT_HAND)], form, before)

        assert said.startswith(
            f"the box of p0 was deleted, so this person's {42 if form is Form.BOTH else 21} remaining points"
        )

    def test_a_box_that_cannot_be_read_was_not_deleted(self) -> None:
        before = predicted([ANNA], Form.POINTS)
        after = [*without(before, "p0-box"), {**region_of(before, "p0-box"), "original_width": None}]

        pictures, (said,) = exported(after, Form.POINTS, before)

        assert len(pictures[0].people) == 1
        assert said == "region 'p0-box' has no original_width and original_height; it is left out"

    def test_a_person_who_never_had_a_box_is_kept(self) -> None:
        before = predicted([ANNA, BERT], Form.POINTS, boxes=False)
        meant = [
            Meant(one, box=np.concatenate([one.keypoints.min(0), one.keypoints.max(0)]).astype(np.float64))
            for one in (ANNA, BERT)
        ]

        for made_from in (before, None):
            assert check(before, meant, Form.POINTS, made_from) == []


class TestAddingAHand:
    """A hand that was not found, to a person beside another one."""

    HALF = without_keypoints(ANNA, LEFT_HAND)

    @FORMS
    def test_nested_under_the_persons_box(self, form: Form) -> None:
        before = predicted([self.HALF, BERT], form)
        suggestion = predicted([ANNA], form, id_prefix="Xy3-", only=Part.LEFT_HAND)

        assert (
            check(accepted(before, suggestion, under="p0-box"), [Meant(ANNA), Meant(BERT)], form, before)
            == []
        )

    @FORMS
    @pytest.mark.parametrize("prefix", ["Xy3-", "-p7-x-"])
    @pytest.mark.parametrize("knows_prediction", [True, False])
    def test_under_a_second_box_is_one_person_and_said(
        self, form: Form, prefix: str, knows_prediction: bool
    ) -> None:
        before = predicted([self.HALF, BERT], form)
        suggestion = predicted([ANNA], form, id_prefix=prefix, only=Part.LEFT_HAND)

        said = check(
            accepted(before, suggestion),
            [Meant(ANNA), Meant(BERT)],
            form,
            before if knows_prediction else None,
        )

        assert said == [f"the boxes of p0 and {prefix}p0 are almost the same: they count as one person"]

    def test_under_a_second_box_with_all_of_the_person_is_one_person(self) -> None:
        before = predicted([self.HALF, BERT], Form.POINTS)
        suggestion = predicted([ANNA], Form.POINTS, id_prefix="Xy3-")
        place = ANNA.keypoints[0] + np.float32(20)
        suggestion = moved(suggestion, "Xy3-p0-nose", *percent(place))

        said = check(
            accepted(before, suggestion),
            [Meant(ANNA, moved={0: tuple(place)}), Meant(BERT)],
            Form.POINTS,
            before,
        )

        assert said == [
            "the boxes of p0 and Xy3-p0 are almost the same: they count as one person",
            "'nose' was drawn twice for one person; the one that was added counts",
        ]

    def test_to_a_person_whose_box_was_deleted_later_keeps_the_person(self) -> None:
        before = predicted([self.HALF, BERT], Form.POINTS)
        suggestion = predicted([ANNA], Form.POINTS, id_prefix="Xy3-", only=Part.LEFT_HAND)
        after = without(accepted(before, suggestion, under="p0-box"), "p0-box")
        round_points = np.concatenate([ANNA.keypoints.min(0), ANNA.keypoints.max(0)]).astype(np.float64)

        (said,) = check(after, [Meant(ANNA, box=round_points), Meant(BERT)], Form.POINTS, before)

        assert said.startswith(
            "the box of p0 was deleted, but 21 of the 133 points were corrected or added by hand"
        )

    @FORMS
    def test_whose_second_box_was_deleted_goes_to_the_nearest_wrist(self, form: Form) -> None:
        other = person(420)  # whose box holds the hand, too
        before = predicted([self.HALF, without_keypoints(other, LEFT_HAND)], form)
        suggestion = predicted([ANNA], form, id_prefix="Xy3-", only=Part.LEFT_HAND)
        after = without(accepted(before, suggestion), "Xy3-p0-box")

        (said,) = check(after, [Meant(ANNA), Meant(other, missing=LEFT_HAND)], form, before)

        points = 42 if form is Form.BOTH else 21
        assert (
            said
            == f"{points} points of the left hand have no box and are assigned to p0, whose wrist is the nearest"
        )

    def test_goes_to_a_wrist_that_has_no_hand_yet(self) -> None:
        other, between = person(205), person(201)
        before = predicted([ANNA, without_keypoints(other, LEFT_HAND)], Form.POINTS)
        hand = drawn_by_hand(predicted([between], Form.POINTS, only=Part.LEFT_HAND))
        places = {index: tuple(between.keypoints[index]) for index in LEFT_HAND}

        (said,) = check([*before, *hand], [Meant(ANNA), Meant(other, moved=places)], Form.POINTS, before)

        assert said.endswith("are assigned to p1, whose wrist is the nearest")

    def test_that_was_added_twice_is_given_once(self) -> None:
        before = predicted([self.HALF], Form.POINTS)
        twice = before
        for prefix in ("Xy3-", "Yz4-"):
            hand = predicted([ANNA], Form.POINTS, id_prefix=prefix, only=Part.LEFT_HAND)
            twice = without(accepted(twice, hand), f"{prefix}p0-box")

        first, second = check(twice, [Meant(ANNA)], Form.POINTS, before)

        assert first.endswith("have no box and are assigned to p0, whose wrist is the nearest")
        assert second.startswith("the box of Yz4-p0 was deleted, so this person's 21 remaining points")

    def test_whose_second_box_was_deleted_goes_there_also_beside_a_new_empty_box(self) -> None:
        before = predicted([self.HALF], Form.POINTS)
        suggestion = predicted([ANNA], Form.POINTS, id_prefix="Xy3-", only=Part.LEFT_HAND)
        (new,) = (region for region in predicted([BERT], Form.POINTS) if region["type"] == "rectanglelabels")
        after = [*without(accepted(before, suggestion), "Xy3-p0-box"), {**new, "id": "kT9_x"}]

        check(after, [Meant(ANNA), Meant(BERT, missing=range(KEYPOINT_COUNT))], Form.POINTS, before)

    @FORMS
    def test_in_a_project_without_boxes_goes_to_the_nearest_wrist(self, form: Form) -> None:
        before = predicted([self.HALF, without_keypoints(BERT, LEFT_HAND)], form, boxes=False)
        suggestion = predicted([ANNA], form, id_prefix="Xy3-", only=Part.LEFT_HAND, boxes=False)

        for made_from in (before, None):
            pictures, (said,) = exported(accepted(before, suggestion), form, made_from)
            assert [np.count_nonzero(one.visibility) for one in pictures[0].people] == [133, 133 - 21]
            assert said.endswith("have no box and are assigned to p0, whose wrist is the nearest")

    def test_drawn_point_by_point_without_a_parent_goes_to_the_nearest_wrist(self) -> None:
        other = person(420)
        before = predicted([self.HALF, other], Form.POINTS)
        hand = drawn_by_hand(predicted([ANNA], Form.POINTS, only=Part.LEFT_HAND))

        said = check([*before, *hand], [Meant(ANNA), Meant(other)], Form.POINTS, before)

        assert said == [
            "21 points of the left hand have no box and are assigned to p0, whose wrist is the nearest"
        ]

    @FORMS
    @pytest.mark.parametrize("under", ["p0-box", None])
    def test_in_the_place_of_one_that_was_predicted_is_taken_whole(
        self, form: Form, under: str | None
    ) -> None:
        better = with_swapped_hands(person(210))
        missing = LEFT_HAND[5:13]
        before = predicted([ANNA, BERT], form)
        hand = predicted([without_keypoints(better, missing)], form, id_prefix="Xy3-", only=Part.LEFT_HAND)
        places = {index: tuple(better.keypoints[index]) for index in LEFT_HAND}

        said = check(
            accepted(before, hand, under=under),
            [Meant(ANNA, moved=places, missing=missing), Meant(BERT)],
            form,
            before,
        )

        assert said[-1] == (
            "p0 has two left hands: the one that was added is kept, the one that was left as predicted is left out. "
            "Delete the other one"
        )
        assert len(said) == (1 if under else 2)

    def test_far_from_every_wrist_is_left_out_and_said(self) -> None:
        before = predicted([self.HALF, without_keypoints(BERT, LEFT_HAND)], Form.POINTS)
        hand = drawn_by_hand(predicted([person(1200, 20)], Form.POINTS, only=Part.LEFT_HAND))

        said = check(
            [*before, *hand],
            [Meant(ANNA, missing=LEFT_HAND), Meant(BERT, missing=LEFT_HAND)],
            Form.POINTS,
            before,
        )

        assert said == [
            "21 points may belong to several people or to none, and are left out: drag them onto their box in the "
            "region panel"
        ]


class TestAskingForAnotherHand:
    @FORMS
    def test_the_whole_of_the_added_one_counts_even_over_points_that_were_moved(self, form: Form) -> None:
        before = predicted([ANNA], form)
        better = replace(ANNA, keypoints=ANNA.keypoints + np.float32(7))
        config = label_config(form)
        joins = Joins("p0-box", "p0", joining_number("Xy3"))
        asked = frozenset({Part.LEFT_HAND})
        found = PeopleInImage(config.images[0], [better], SIZE, None, "Xy3-", asked, joins)
        hand = prediction([found], model_version="v", thresholds=Thresholds(0.3, 0.3))["result"]
        after = [*moved(before, "p0-left_index_8", 3, 3), *copy.deepcopy(hand)]

        keypoints = ANNA.keypoints.copy()
        keypoints[LEFT_HAND] = better.keypoints[LEFT_HAND]
        said = check(after, [Meant(replace(ANNA, keypoints=keypoints))], form, before)

        assert len(said) == 1
        assert said[0].startswith("p0 has two left hands: the one that was added is kept")


class TestBoxesThatAgree:
    """The same height, a width of 385 pixels: moved by a twentieth they agree by 0.905, by a tenth by 0.818."""

    @pytest.mark.parametrize(("apart", "people"), [(0.05, 1), (0.1, 2), (0.5, 2)])
    def test_are_one_person_only_if_they_are_nearer_than_neighbours_ever_stand(
        self, apart: float, people: int
    ) -> None:
        neighbour = person(200 + apart * 385)
        before = predicted([without_keypoints(ANNA, LEFT_HAND)], Form.POINTS)
        suggestion = predicted([neighbour], Form.POINTS, id_prefix="Xy3-", only=Part.LEFT_HAND)

        pictures, said = exported(accepted(before, suggestion), Form.POINTS, before)

        assert len(pictures[0].people) == people
        assert len(said) == 2 - people

    def test_with_different_points_of_the_same_keypoints_are_two_people_and_said_to_be(self) -> None:
        before = predicted([without_keypoints(ANNA, LEFT_HAND)], Form.POINTS)
        suggestion = predicted([without_keypoints(ANNA, RIGHT_HAND)], Form.POINTS, id_prefix="Xy3-")

        pictures, (said,) = exported(accepted(before, suggestion), Form.POINTS, before)

        assert len(pictures[0].people) == 2
        assert said == (
            "the boxes of p0 and Xy3-p0 are almost the same, but 91 keypoints occur in both: they count as two "
            "people. If it is one person, delete one of them"
        )

    def test_of_a_prediction_stay_as_they_were_predicted(self) -> None:
        twice = [without_keypoints(ANNA, LEFT_HAND), without_keypoints(ANNA, range(91))]
        twice[1] = without_keypoints(twice[1], RIGHT_HAND)
        before = predicted(twice, Form.POINTS)

        added = predicted([person(900)], Form.POINTS, id_prefix="Xy3-")
        for made_from in (before, None):
            for regions, people in ((before, 2), (accepted(before, added), 3)):
                pictures, said = exported(regions, Form.POINTS, made_from)
                assert (len(pictures[0].people), said) == (people, [])

    def test_one_drawn_by_hand_over_the_predicted_one_is_the_persons_box(self) -> None:
        before = predicted([ANNA], Form.POINTS)
        old = region_of(before, "p0-box")
        value = {**old["value"], "width": old["value"]["width"] * 1.05}
        by_hand = {**old, "id": "kT9_x", "value": value}
        x1, y1, x2, y2 = ANNA.box.astype(np.float64)

        said = check(
            [*before, by_hand],
            [Meant(ANNA, box=np.array([x1, y1, x1 + 1.05 * (x2 - x1), y2]))],
            Form.POINTS,
            before,
        )

        assert len(said) == 1


class TestSwappingHands:
    @FORMS
    @pytest.mark.parametrize("knows_prediction", [True, False])
    def test_by_relabelling_both(self, form: Form, knows_prediction: bool) -> None:
        before = predicted([ANNA, BERT], form)
        after = swapped_hands(before, "p0")

        said = check(
            after,
            [Meant(with_swapped_hands(ANNA)), Meant(BERT)],
            form,
            before if knows_prediction else None,
        )

        assert said == []

    @FORMS
    def test_one_hand_that_was_taken_for_the_other(self, form: Form) -> None:
        before = predicted([without_keypoints(ANNA, RIGHT_HAND)], form)
        after = relabelled_hand(before, "p0", Part.LEFT_HAND)

        assert check(after, [Meant(with_swapped_hands(ANNA), missing=LEFT_HAND)], form, before) == []

    def test_half_done_with_bones_keeps_the_relabelled_hand_and_says_so(self) -> None:
        before = predicted([ANNA], Form.BONES)
        after = relabelled_hand(before, "p0", Part.LEFT_HAND)

        for regions in (after, after[::-1]):
            said = check(regions, [Meant(with_swapped_hands(ANNA), missing=LEFT_HAND)], Form.BONES, before)
            assert said == [
                "p0 has two right hands: the one that was relabelled is kept, the one that was left as predicted is "
                "left out. Relabel the other one as well, or delete it"
            ]

    def test_half_done_with_bones_does_not_mix_two_hands(self) -> None:
        fingers = LEFT_HAND[1:9]
        before = predicted([without_keypoints(ANNA, fingers)], Form.BONES)
        after = relabelled_hand(before, "p0", Part.LEFT_HAND)
        twins = [KEYPOINTS[index].twin for index in fingers]

        said = check(
            after, [Meant(with_swapped_hands(ANNA), missing=[*LEFT_HAND, *twins])], Form.BONES, before
        )

        assert len(said) == 1

    def test_half_done_with_points_lets_the_relabelled_ones_count_and_says_so(self) -> None:
        before = predicted([ANNA], Form.POINTS)
        after = relabelled_hand(before, "p0", Part.LEFT_HAND)

        for regions in (after, after[::-1]):
            said = check(regions, [Meant(with_swapped_hands(ANNA), missing=LEFT_HAND)], Form.POINTS, before)
            assert said[0].endswith(
                "and 18 more were drawn twice for one person; the one that was relabelled counts"
            )

    def test_a_part_whose_label_makes_no_sense_is_left_out_and_named(self) -> None:
        before = predicted([ANNA], Form.BONES)
        (hand,) = of_part(before, "p0", Part.LEFT_HAND)

        said = check(relabelled(before, hand, "face"), [Meant(ANNA, missing=LEFT_HAND)], Form.BONES, before)

        assert said == [
            f"21 vertices of {hand!r} belong to another part of the body than its label 'face'; they are left out: "
            "change the label"
        ]

    @pytest.mark.parametrize("label", ["upper_body", "feet", "skeleton", "person"])
    def test_labels_that_cover_a_vertex_leave_it_as_it_is(self, label: str) -> None:
        before = predicted([ANNA], Form.BONES)
        (body,) = of_part(before, "p0", Part.FEET)

        assert check(relabelled(before, body, label), [Meant(ANNA)], Form.BONES, before) == []


class TestOccluded:
    @FORMS
    def test_a_hand(self, form: Form) -> None:
        before = predicted([ANNA], form)
        after = occluded(before, *of_part(before, "p0", Part.LEFT_HAND))

        assert check(after, [Meant(ANNA, occluded=LEFT_HAND)], form, before) == []

    def test_a_point(self) -> None:
        before = predicted([ANNA], Form.POINTS)

        assert (
            check(occluded(before, "p0-left_wrist"), [Meant(ANNA, occluded=[9])], Form.POINTS, before) == []
        )

    def test_a_vertex_that_was_made_a_curved_one(self) -> None:
        before = predicted([ANNA], Form.BONES)
        after = copy.deepcopy(before)
        (thumb,) = [
            vertex
            for region in after
            for vertex in region["value"].get("vertices", ())
            if vertex["id"] == "p0-left_thumb_4"
        ]
        thumb |= {"isBezier": True, "controlPoint1": {"x": 1, "y": 1}, "controlPoint2": {"x": 2, "y": 2}}

        hidden = [LEFT_HAND[4]]
        assert check(after, [Meant(ANNA, occluded=hidden)], Form.BONES, before) == []

    def test_a_persons_box_hides_none_of_their_points(self) -> None:
        before = predicted([ANNA], Form.POINTS)

        assert check(occluded(before, "p0-box"), [Meant(ANNA)], Form.POINTS, before) == []

    def test_by_a_second_label_of_bones(self) -> None:
        before = predicted([ANNA], Form.BONES)
        (hand,) = of_part(before, "p0", Part.LEFT_HAND)
        after = relabelled(before, hand, "left_hand")
        for region in after:
            if region["id"] == hand:
                region["value"]["vectorlabels"].append("occluded")

        assert check(after, [Meant(ANNA, occluded=LEFT_HAND)], Form.BONES, before) == []


class TestFrames:
    @FORMS
    def test_each_correction_is_of_its_frame(self, form: Form) -> None:
        before = [*predicted([ANNA, BERT], form, frame=0), *predicted([ANNA, BERT], form, frame=3)]
        after = swapped_hands(without_part(without(before, "f0-p1-box"), "f3-p1", Part.LEFT_HAND), "f3-p0")

        (said,) = check(after, [Meant(ANNA)], form, before, frame=0)
        assert said.startswith("the box of f0-p1 was deleted, so this person's")
        check(
            after,
            [Meant(with_swapped_hands(ANNA)), Meant(BERT, missing=LEFT_HAND)],
            form,
            before,
            frame=3,
        )

    def test_an_added_hand_is_of_its_frame(self) -> None:
        half = without_keypoints(ANNA, LEFT_HAND)
        before = [*predicted([half], Form.BONES, frame=0), *predicted([half], Form.BONES, frame=1)]
        suggestion = predicted([ANNA], Form.BONES, frame=1, id_prefix="Xy3-", only=Part.LEFT_HAND)

        (said,) = check(accepted(before, suggestion), [Meant(ANNA)], Form.BONES, before, frame=1)

        assert said.startswith("the boxes of f1-p0 and Xy3-f1-p0 are almost the same")
        check(accepted(before, suggestion), [Meant(ANNA, missing=LEFT_HAND)], Form.BONES, before, frame=0)


class TestPeopleInOneAnothersBoxes:
    CHILD = person(330, 400, 300)

    @FORMS
    def test_keep_their_own_points_whatever_is_corrected(self, form: Form) -> None:
        before = predicted([ANNA, self.CHILD], form)
        place = self.CHILD.keypoints[0] + np.float32(5)
        after = moved(swapped_hands(before, "p0"), "p1-nose", *percent(place))

        said = check(
            after, [Meant(with_swapped_hands(ANNA)), Meant(self.CHILD, moved={0: tuple(place)})], form, before
        )

        assert said == []

    def test_a_point_dragged_under_another_persons_box_costs_them_nothing_else(self) -> None:
        before = predicted([ANNA, self.CHILD], Form.POINTS)
        index = LEFT_HAND[4]
        name = f"p1-{KEYPOINTS[index].name}"
        after = [{**region, "parentID": "p0-box"} if region["id"] == name else region for region in before]
        meant = [
            Meant(ANNA, moved={index: tuple(self.CHILD.keypoints[index])}),
            Meant(self.CHILD, missing=[index]),
        ]

        (said,) = check(after, meant, Form.POINTS, before)

        assert (
            said == f"'{KEYPOINTS[index].name}' was drawn twice for one person; the one that was added counts"
        )

    @FORMS
    def test_of_whom_one_is_removed(self, form: Form) -> None:
        before = predicted([ANNA, self.CHILD], form)

        (said,) = check(without(before, "p1-box"), [Meant(ANNA)], form, before)

        assert said.startswith("the box of p1 was deleted, so this person's")
