"""What annotators drew becomes people: whose point is whose, where it is, and whether it can be seen."""

import time
from typing import Any

import numpy as np
import pytest

from adapters.label_studio.annotations.people import (
    OCCLUDED,
    UNSEEN,
    VISIBLE,
    AnnotatedPerson,
    AnnotatedPicture,
    read_people,
)
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.regions.predictions import PeopleInImage, Thresholds, prediction
from tests.support.drawn_regions import HEIGHT, WIDTH, bones, box, occluded, point
from wholebody.person import Person
from wholebody.schema import keypoint_index

NOSE, LEFT_EYE, RIGHT_EYE = 0, 1, 2


def read(*regions: Any, meanings: LabelMeanings | None = None) -> tuple[list[AnnotatedPicture], list[str]]:
    said: list[str] = []
    return read_people(regions, meanings or LabelMeanings(), said.append), said


def people(*regions: Any, meanings: LabelMeanings | None = None) -> tuple[AnnotatedPerson, ...]:
    (picture,), said = read(*regions, meanings=meanings)
    assert said == []
    return picture.people


class TestWhoseAPointIs:
    def test_a_point_belongs_to_the_box_that_it_is_nested_under(self) -> None:
        first, second = people(
            box("a", x=0, width=50),
            box("b", x=50, width=50),
            point("1", 60, 30, parentID="a"),
            point("2", 10, 30, parentID="b"),
        )

        assert first.keypoints[NOSE].tolist() == [600, 150]
        assert second.keypoints[NOSE].tolist() == [100, 150]

    def test_a_point_nested_under_a_point_belongs_to_the_box_above_both(self) -> None:
        first, second = people(
            box("a"),
            box("b", x=50),
            point("1", 55, 30, parentID="b"),
            point("2", 56, 30, "left_eye", parentID="1"),
        )

        assert not first.visibility.any()
        assert second.visibility[[NOSE, LEFT_EYE]].tolist() == [VISIBLE, VISIBLE]

    def test_regions_nested_in_a_circle_are_read_all_the_same(self) -> None:
        (picture,), _ = read(
            box(), point("1", 20, 30, parentID="2"), point("2", 21, 30, "left_eye", parentID="1")
        )

        (person,) = picture.people
        assert np.count_nonzero(person.visibility) == 2

    def test_predicted_points_whose_box_was_deleted_stay_together_by_their_ids(self) -> None:
        first, second = people(
            point("p0-nose", 20, 30),
            point("p1-nose", 70, 30),
            point("p0-left_eye", 21, 29, "left_eye"),
            point("p1-left_eye", 71, 29, "left_eye"),
        )

        assert first.box.tolist() == [200, 145, 210, 150]
        assert second.box.tolist() == [700, 145, 710, 150]

    def test_a_predicted_point_that_lost_its_parent_finds_its_box_by_its_id(self) -> None:
        first, second = people(box("p0-box"), box("p1-box", x=12), point("p1-nose", 20, 30))

        assert not first.visibility.any()
        assert second.visibility[NOSE] == VISIBLE

    def test_a_loose_point_belongs_to_the_only_box_that_it_lies_in(self) -> None:
        (picture,), said = read(box("a", x=0, width=40), box("b", x=50, width=40), point("1", 60, 30))

        assert [int(np.count_nonzero(person.visibility)) for person in picture.people] == [0, 1]
        assert said == ["1 points without a parent are assigned to the person whose box they lie in"]

    def test_a_loose_point_in_two_boxes_is_left_out_and_said_to_be(self) -> None:
        (picture,), said = read(box("a"), box("b", x=12), point("1", 20, 30))

        assert [int(np.count_nonzero(person.visibility)) for person in picture.people] == [0, 0]
        assert said == [
            "1 points may belong to several people or to none, and are left out: drag them onto their box in the "
            "region panel"
        ]

    def test_points_without_any_box_are_one_person(self) -> None:
        (picture,), said = read(point("x", 20, 30), point("y", 22, 28, "left_eye"))

        (person,) = picture.people
        assert person.box.tolist() == [200, 140, 220, 150]
        assert said == ["2 points belong to no box and count as one person"]

    def test_frames_of_a_list_and_several_images_are_pictures_of_their_own(self) -> None:
        pictures, said = read(
            box("a", item_index=0), box("b", item_index=1), box("c", to_name="other", original_width=10)
        )

        assert [(one.image, one.frame, one.size) for one in pictures] == [
            ("image", 0, (WIDTH, HEIGHT)),
            ("image", 1, (WIDTH, HEIGHT)),
            ("other", None, (10, HEIGHT)),
        ]
        assert said == []


class TestWhatALabelMeans:
    CONFIG = """<View><Image name="image" value="$image"/>
      <RectangleLabels name="person" toName="image"><Label value="Signer" predicted_values="person"/>
        <Label value="ball"/></RectangleLabels>
      <KeyPointLabels name="keypoints" toName="image">
        <Label value="Nase" predicted_values="nose"/>
        <Label value="Auge" predicted_values="left_eye,right_eye"/></KeyPointLabels></View>"""

    @pytest.fixture
    def meanings(self) -> LabelMeanings:
        return LabelMeanings.of(parse_label_config(self.CONFIG))

    def test_names_of_a_projects_own_mean_what_its_label_config_says(self, meanings: LabelMeanings) -> None:
        (person,) = people(
            box("a", label="Signer"), point("1", 20, 30, "Nase", parentID="a"), meanings=meanings
        )

        assert person.visibility[NOSE] == VISIBLE

    def test_of_a_label_for_several_keypoints_the_predicted_id_says_which(
        self, meanings: LabelMeanings
    ) -> None:
        (person,) = people(
            box("p0-box", label="Signer"),
            point("p0-right_eye", 20, 30, "Auge", parentID="p0-box"),
            meanings=meanings,
        )

        assert person.visibility[[LEFT_EYE, RIGHT_EYE]].tolist() == [UNSEEN, VISIBLE]

    def test_without_such_an_id_the_point_is_left_out_rather_than_guessed(
        self, meanings: LabelMeanings
    ) -> None:
        (picture,), said = read(
            box("a", label="Signer"), point("1", 20, 30, "Auge", parentID="a"), meanings=meanings
        )

        assert not picture.people[0].visibility.any()
        assert said == [
            "1 points with the ambiguous label 'Auge', which means several keypoints, are left out"
        ]

    def test_boxes_of_other_things_are_no_people(self, meanings: LabelMeanings) -> None:
        assert people(box("a", label="ball"), meanings=meanings) == ()
        assert people(box("a", label="ball")) == ()
        assert len(people(box("a", label="person"))) == 1

    @pytest.mark.parametrize("label", ["left_hand_4", "left_thumb4", "Left Thumb 4"])
    def test_without_a_label_config_every_known_spelling_is_understood(self, label: str) -> None:
        (person,) = people(box("a"), point("1", 20, 30, label, parentID="a"))

        assert np.flatnonzero(person.visibility).tolist() == [keypoint_index("left_thumb_4")]

    def test_a_label_that_is_none_of_ours_is_named(self) -> None:
        _, said = read(box("a"), point("1", 20, 30, "tail", parentID="a"))

        assert said == ["1 points with the label 'tail' are no known keypoints, and are left out"]


class TestVisibility:
    def test_a_choice_for_the_region_marks_a_point_as_hidden(self) -> None:
        (person,) = people(
            box(),
            point("1", 20, 30, parentID="p0-box"),
            point("2", 21, 30, "left_eye", parentID="p0-box"),
            occluded("2"),
        )

        assert person.visibility[[NOSE, LEFT_EYE, RIGHT_EYE]].tolist() == [VISIBLE, OCCLUDED, UNSEEN]

    def test_a_choice_does_not_loosen_what_is_nested_under_the_point(self) -> None:
        first, second = people(
            box("a"),
            box("b", x=50),
            point("1", 20, 30, parentID="b"),
            point("2", 21, 30, "left_eye", parentID="1"),
            occluded("1"),
        )

        assert not first.visibility.any()
        assert second.visibility[[NOSE, LEFT_EYE]].tolist() == [OCCLUDED, VISIBLE]

    def test_so_does_a_note(self) -> None:
        (person,) = people(box(), point("1", 20, 30, parentID="p0-box", meta={"text": ["Occluded"]}))

        assert person.visibility[NOSE] == OCCLUDED


class TestBoxes:
    def test_the_box_of_a_turned_rectangle_is_round_it(self) -> None:
        # 300 × 300 pixels, turned by 45 degrees round the upper left corner at (500, 0).
        (person,) = people(box(x=50, y=0, width=30, height=60, rotation=45))

        half = 300 / np.sqrt(2)
        np.testing.assert_allclose(person.box, [500 - half, 0, 500 + half, 2 * half])

    def test_it_ends_where_the_picture_ends(self) -> None:
        (person,) = people(box(x=90, y=-10, width=30, height=60))

        assert person.box.tolist() == [900, 0, 1000, 250]

    def test_a_box_without_an_area_in_the_picture_is_no_person(self) -> None:
        (picture,), said = read(box(x=100, width=10))

        assert picture.people == ()
        assert said == ["box 'p0-box' has no area in the picture; the person is left out"]


class TestScores:
    def test_a_persons_score_is_that_of_their_box_times_the_mean_of_their_points(self) -> None:
        (person,) = people(
            box(score=0.5),
            point("1", 20, 30, parentID="p0-box", score=0.4),
            point("2", 20, 30, "left_eye", parentID="p0-box", score=0.8),
        )

        assert person.score == pytest.approx(0.3)


class TestOddRegions:
    @pytest.mark.parametrize(
        ("region", "sentence"),
        [
            (
                "text",
                "a region is left out: it: Input should be a valid dictionary or instance of DrawnRegion",
            ),
            (point("1", float("nan"), 3), "a region is left out: value.x: Input should be a finite number"),
            (
                point("1", 1e300, 3),
                "a region is left out: value.x: Input should be less than or equal to 1000000",
            ),
            (
                point("1", 1, 3, original_width=0),
                "a region is left out: original_width: Input should be greater than 0",
            ),
            (
                point("1", 1, 3, original_width=None),
                "region '1' has no original_width and original_height; it is left out",
            ),
            (
                point("1", 1, 3, image_rotation=90),
                "region '1' was drawn on the picture rotated by 90 degrees, which is not supported; it is left out",
            ),
            (
                {**point("1", 1, 3), "type": "brushlabels"},
                "regions of type 'brushlabels' are neither points nor boxes of people; they are left out",
            ),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_are_left_out_and_named_while_the_others_are_read(self, region: Any, sentence: str) -> None:
        (picture,), said = read(box(), region)

        assert len(picture.people) == 1
        assert said == [sentence]

    def test_texts_and_relations_are_passed_over(self) -> None:
        _, said = read(
            box(), {"type": "relation", "from_id": "a"}, {"type": "textarea", "value": {"text": ["a"]}}
        )

        assert said == []

    def test_regions_of_a_picture_of_another_size_are_left_out(self) -> None:
        (picture,), said = read(box("a"), box("b", original_width=999))

        assert len(picture.people) == 1
        assert said == ["1 regions have another picture size than 1000 × 500; they are left out"]

    def test_of_a_keypoint_drawn_twice_the_later_one_counts(self) -> None:
        (picture,), said = read(
            box(), point("1", 20, 30, parentID="p0-box"), point("2", 25, 30, parentID="p0-box")
        )

        assert picture.people[0].keypoints[NOSE].tolist() == [250, 150]
        assert said == ["'nose' was drawn twice for one person; the later one counts"]


class TestBones:
    def test_a_predicted_skeleton_gives_all_keypoints_that_bones_go_to(self) -> None:
        places = np.stack([np.arange(133) * 5.0 + 10, np.arange(133) * 3.0 + 20], 1).astype(np.float32)
        person = Person(np.array([5, 10, 700, 450], np.float32), 1.0, places, np.full(133, 0.9, np.float32))
        config = parse_label_config(label_config_template([Selection.WHOLE], skeleton=True))
        found = [PeopleInImage(config.images[0], [person], (WIDTH, HEIGHT))]
        predicted = prediction(found, model_version="v", thresholds=Thresholds(0.3, 0.3))

        (read_again,) = people(*predicted["result"], meanings=LabelMeanings.of(config))

        assert read_again.visibility.all()
        np.testing.assert_allclose(read_again.keypoints, places, atol=0.01)
        assert read_again.score == pytest.approx(0.9)

    def test_a_vertex_belongs_to_the_box_of_its_line(self) -> None:
        first, second = people(
            box("a"),
            box("b", x=50),
            bones("line", ("p7-nose", 55, 30), ("p7-left_eye", 56, 28), parentID="b"),
        )

        assert not first.visibility.any()
        assert second.keypoints[[NOSE, LEFT_EYE]].tolist() == [[550, 150], [560, 140]]

    def test_a_point_of_its_own_goes_before_a_vertex(self) -> None:
        (person,) = people(
            bones("p0-bones-body", ("p0-nose", 50, 50), ("p0-left_eye", 51, 50)), point("p0-nose", 20, 30)
        )

        assert person.keypoints[NOSE].tolist() == [200, 150]

    def test_all_of_a_line_that_is_marked_so_is_occluded(self) -> None:
        (person,) = people(
            box(), bones("line", ("p0-nose", 20, 30), ("p0-left_eye", 21, 29)), occluded("line")
        )

        assert person.visibility[[NOSE, LEFT_EYE]].tolist() == [OCCLUDED, OCCLUDED]

    def test_a_vertex_that_was_added_by_hand_is_left_out_and_said_so(self) -> None:
        (picture,), said = read(box(), bones("line", ("p0-nose", 20, 30), ("kT9_x", 21, 29)))

        assert np.count_nonzero(picture.people[0].visibility) == 1
        assert said == [
            "1 vertices of 'line' were added by hand, so their keypoints are unknown; they are left out"
        ]

    def test_lines_of_somebody_elses_are_no_points(self) -> None:
        (picture,), said = read(box(), bones("road", ("a", 20, 30), ("b", 21, 29), label="road"))

        assert not picture.people[0].visibility.any()
        assert said == [
            "regions of type 'vectorlabels' are neither points nor boxes of people; they are left out"
        ]

    def test_lines_drawn_by_hand_under_a_label_of_ours_are_left_out_and_said_so(self) -> None:
        (picture,), said = read(box(), bones("line", ("a", 20, 30), ("b", 21, 29), label="left_hand"))

        assert not picture.people[0].visibility.any()
        assert said == [
            "2 vertices of 'line' were added by hand, so their keypoints are unknown; they are left out"
        ]


class TestLabelsOfBones:
    CONFIG = """<View><Image name="image" value="$image"/>
      <VectorLabels name="skeleton" toName="image" skeleton="true">
        <Label value="linke Hand" predicted_values="left_hand"/>
        <Label value="rechte Hand" predicted_values="right_hand"/>
        <Label value="skeleton"/></VectorLabels></View>"""
    LEFT, RIGHT = keypoint_index("left_thumb_4"), keypoint_index("right_thumb_4")

    def hand(self, label: str, meanings: LabelMeanings) -> list[int]:
        line = bones("line", ("p0-left_thumb_4", 20, 30), label=label, parentID="p0-box")
        (person,) = people(box(), line, meanings=meanings)
        return np.flatnonzero(person.visibility).tolist()

    def test_mean_what_the_label_config_says(self) -> None:
        meanings = LabelMeanings.of(parse_label_config(self.CONFIG))

        assert self.hand("linke Hand", meanings) == [self.LEFT]
        assert self.hand("rechte Hand", meanings) == [self.RIGHT]

    @pytest.mark.parametrize("label", ["skeleton", "hand", "Hands", "left_hand", "something else"])
    def test_that_cover_a_vertex_or_nothing_leave_it_as_it_was_predicted(self, label: str) -> None:
        assert self.hand(label, LabelMeanings.of(parse_label_config(self.CONFIG))) == [self.LEFT]

    def test_without_a_label_config_are_recognised_by_their_spelling(self) -> None:
        assert self.hand("Right hand", LabelMeanings()) == [self.RIGHT]
        assert self.hand("rechte Hand", LabelMeanings()) == [self.LEFT]

    def test_a_point_of_a_label_for_a_whole_hand_is_the_twin_of_what_it_was_predicted_as(self) -> None:
        meanings = LabelMeanings({("keypoints", "right"): tuple(range(112, 133))})

        (person,) = people(
            box(), point("p0-left_thumb_4", 20, 30, "right", parentID="p0-box"), meanings=meanings
        )

        assert np.flatnonzero(person.visibility).tolist() == [self.RIGHT]


class TestHostileAnnotations:
    """20,000 regions in whatever shape take about a second."""

    COUNT = 20_000

    @pytest.mark.promise("annotations-in-linear-time")
    @pytest.mark.timing
    @pytest.mark.parametrize("name", ["boxes", "same boxes", "chain", "people", "orphans", "loose", "bones"])
    def test_take_bounded_time(self, name: str) -> None:
        half, number = self.COUNT // 2, range(self.COUNT)
        regions = {
            "boxes": lambda: [box(f"b{n}", x=n % 90) for n in number],
            "same boxes": lambda: [
                region
                for n in range(900)
                for region in (
                    box(f"b{n}"),
                    *(point(f"x{n}-{k}", 20, 30, parentID=f"b{n}") for k in range(20)),
                )
            ],
            "chain": lambda: [box(), *(point(f"x{n}", 20, 30, parentID=f"x{n + 1}") for n in number)],
            "people": lambda: [point(f"p{n}-nose", n % 90, 30) for n in number],
            "orphans": lambda: [
                *(point(f"p{n}-nose", n % 90, 30, parentID=f"p{n}-box") for n in range(half)),
                *(box(f"b{n}", x=n % 60) for n in range(900)),
            ],
            "loose": lambda: [
                *(box(f"b{n}", x=n % 60) for n in range(900)),
                *(point(f"x{n}", n % 90, 30) for n in range(self.COUNT - 900)),
            ],
            "bones": lambda: [
                bones(f"a{n}", *((f"p{n}-left_thumb_{k}", 20, 30) for k in range(1, 5)), label="right_hand")
                for n in range(self.COUNT // 4)
            ],
        }[name]()
        started = time.process_time()

        read(*regions)

        assert time.process_time() - started < 4
