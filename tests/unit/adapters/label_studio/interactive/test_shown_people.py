"""The people on an annotator's page: which of a task's works it shows, and who of them was found."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.label_studio.interactive.shown_people import (
    ShownPerson,
    shown_as,
    shown_at,
    shown_people,
    shown_result,
)
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.schemas import Task
from tests.support.drawn_regions import bones, box, point
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, Part

VERSION = "rtmlib-test-1a2b3c4d"
MOST_READ = 20_000


def work(region: str, **more: Any) -> dict[str, Any]:
    """A draft, an annotation or a prediction with one region."""
    return {"result": [{"id": region}], **more}


def page_of(**works: Any) -> list[Any]:
    return [region["id"] for region in shown_result(Task.model_validate({"id": 1, **works}), VERSION)]


def shown(*regions: Any, image: str = "image", frame: int | None = None) -> list[ShownPerson]:
    return shown_people(regions, LabelMeanings(), image, frame)


def somebody(left: float, *, keypoints: int = 17, top: float = 100, size: float = 100) -> Person:
    """A person in a square, with their first keypoints along its diagonal."""
    places, scores = np.zeros((133, 2), np.float32), np.zeros(133, np.float32)
    along = np.linspace(0, size, 17)[:keypoints]
    places[:keypoints, 0], places[:keypoints, 1] = left + along, top + along
    scores[:keypoints] = 0.9
    return Person(np.array([left, top, left + size, top + size], np.float32), 0.9, places, scores)


def on_page(person: Person, handle: str = "") -> ShownPerson:
    return ShownPerson(handle, None, person)


class TestWhatThePageShows:
    def test_a_draft_goes_before_an_annotation_and_this_before_a_prediction(self) -> None:
        drafts, annotations, predictions = [work("draft")], [work("annotation")], [work("prediction")]

        assert page_of(drafts=drafts, annotations=annotations, predictions=predictions) == ["draft"]
        assert page_of(annotations=annotations, predictions=predictions) == ["annotation"]
        assert page_of(predictions=predictions) == ["prediction"]
        assert page_of() == []

    def test_of_several_the_one_that_was_changed_last(self) -> None:
        drafts = [
            work("old", updated_at="2026-01-02T10:00:00Z"),
            work("new", updated_at="2026-01-03T10:00:00Z"),
            work("made later, changed earlier", created_at="2026-01-02T23:00:00Z"),
        ]

        assert page_of(drafts=drafts) == ["new"]

    def test_a_prediction_of_this_model_goes_before_later_ones_of_others(self) -> None:
        ours = work("ours", model_version=VERSION, created_at="2026-01-01")
        theirs = work("theirs", model_version="yolo", created_at="2026-01-02")

        assert page_of(predictions=[theirs, ours]) == ["ours"]
        assert page_of(predictions=[theirs]) == ["theirs"]

    def test_an_empty_draft_is_an_empty_page(self) -> None:
        assert page_of(drafts=[{"result": []}], predictions=[work("prediction")]) == []

    @pytest.mark.parametrize("odd", [None, 7, "text", {}, [], [None, 3, "x", [1]], {"result": [{"id": "x"}]}])
    def test_works_that_are_no_list_of_works_count_as_none(self, odd: Any) -> None:
        assert page_of(drafts=odd, annotations=odd, predictions=[work("prediction")]) == ["prediction"]

    @pytest.mark.parametrize("result", [None, 7, "text", {"id": "x"}])
    def test_a_work_whose_result_is_no_list_is_passed_over(self, result: Any) -> None:
        assert page_of(drafts=[{"result": result}], annotations=[work("annotation")]) == ["annotation"]

    @pytest.mark.parametrize("when", [None, 7, {}, ["2026"]])
    def test_a_date_that_is_none_is_the_earliest(self, when: Any) -> None:
        odd = work("odd", updated_at=when)

        assert page_of(drafts=[odd, work("dated", created_at="2026-01-01")]) == ["dated"]
        assert page_of(drafts=[odd]) == ["odd"]

    def test_no_more_regions_are_read_than_anybody_draws(self) -> None:
        assert len(page_of(drafts=[{"result": [{"id": str(n)} for n in range(MOST_READ + 5)]}])) == MOST_READ


class TestWhoIsShown:
    def test_a_predicted_person_has_their_box_as_handle_and_the_name_of_their_ids(self) -> None:
        (one,) = shown(
            point("p0-nose", 20, 30, parentID="p0-box"),
            point("p0-left_wrist_0", 25, 50, "left_wrist_0", parentID="p0-box"),
            box("p0-box", x=10, y=20, width=30, height=60),
        )

        assert (one.handle, one.name) == ("p0-box", "p0")
        assert one.person.box.tolist() == [100, 100, 400, 400]
        assert one.person.keypoints[0].tolist() == [200, 150]
        assert one.parts == {Part.BODY, Part.LEFT_HAND}

    def test_without_a_box_the_handle_is_the_bones_of_the_body(self) -> None:
        (one,) = shown(
            bones(
                "p3-bones-left_hand",
                ("p3-left_wrist_0", 30, 30),
                ("p3-left_thumb_1", 31, 31),
                label="left_hand",
                parentID="p3-bones-body",
            ),
            bones("p3-bones-body", ("p3-nose", 20, 30), ("p3-left_eye", 21, 29)),
        )

        assert (one.handle, one.name) == ("p3-bones-body", "p3")
        assert one.parts == {Part.BODY, Part.LEFT_HAND}
        assert one.person.box == pytest.approx([200, 145, 310, 155])

    def test_without_a_body_the_handle_is_one_of_their_regions(self) -> None:
        (one,) = shown(
            bones(
                "p0-bones-left_hand",
                ("p0-left_wrist_0", 30, 30),
                ("p0-left_thumb_1", 31, 31),
                label="left_hand",
            )
        )

        assert (one.handle, one.name) == ("p0-bones-left_hand", "p0")

    def test_somebody_whose_box_was_drawn_by_hand_has_no_name(self) -> None:
        (one,) = shown(box("kT9_x"))

        assert (one.handle, one.name, one.parts) == ("kT9_x", None, frozenset())

    def test_only_people_on_the_picture_and_frame_in_view_count(self) -> None:
        regions = [
            box("f0-p0-box", item_index=0),
            box("f1-p0-box", item_index=1),
            box("i1-p0-box", to_name="other"),
        ]

        assert [one.handle for one in shown(*regions, frame=1)] == ["f1-p0-box"]
        assert [one.handle for one in shown(*regions, frame=0)] == ["f0-p0-box"]
        assert [one.handle for one in shown(*regions, image="other")] == ["i1-p0-box"]
        assert shown(*regions, frame=2) == []

    def test_a_region_that_names_no_frame_is_on_the_first(self) -> None:
        assert [one.handle for one in shown(box("drawn"), frame=0)] == ["drawn"]
        assert shown(box("drawn"), frame=1) == []

    @pytest.mark.parametrize(
        "odd",
        [
            None,
            7,
            "text",
            [],
            [box()],
            {},
            {"id": "x"},
            box(x="10"),
            box(x=None),
            box(width=math.nan),
            box(height=math.inf),
            box() | {"id": 7},
            box() | {"value": None},
            box() | {"type": ["rectanglelabels"]},
            box() | {"parentID": 7},
            box() | {"original_width": 0},
            box() | {"original_height": 10**30},
            box() | {"item_index": "first"},
            point("p9-nose", 20, 30, label=7),  # type: ignore[arg-type]
            point("p9-nose", 10**300, 30),
            bones("p9-bones-body", ("p9-nose", None, 3)),  # type: ignore[arg-type]
        ],
    )
    def test_regions_that_cannot_be_read_cost_nobody_else(self, odd: Any) -> None:
        regions = (odd, box("good", x=60), point("1", 70, 30, parentID="good"))

        good = [one for one in shown(*regions) if one.handle == "good"]
        assert len(good) == 1
        assert good[0].parts == {Part.BODY}
        assert all(np.isfinite(one.person.box).all() for one in shown(*regions))


def crowd() -> list[Any]:
    """Two hundred people with a hundred regions each."""
    names = [keypoint.name for keypoint in KEYPOINTS[:99]]
    return [
        region
        for number in range(MOST_READ // 100)
        for region in (
            box(f"p{number}-box", x=number / 4, width=5),
            *(point(f"p{number}-{name}", 20, 30, name, parentID=f"p{number}-box") for name in names),
        )
    ]


def chain() -> list[Any]:
    """Points, each nested under the one before."""
    return [point(f"n{number}", 20, 30, parentID=f"n{number - 1}") for number in range(MOST_READ)]


def circle() -> list[Any]:
    """Points, each nested under the one before, and the first under the last."""
    return [
        point(f"n{number}", 20, 30, parentID=f"n{(number - 1) % MOST_READ}") for number in range(MOST_READ)
    ]


@pytest.mark.timing
@pytest.mark.parametrize("regions", [crowd, chain, circle])
def test_as_many_regions_as_are_read_take_about_a_second(regions: Callable[[], list[Any]]) -> None:
    drawn = regions()
    assert len(drawn) == MOST_READ

    started = time.thread_time()
    people = shown(*drawn)
    took_s = time.thread_time() - started

    assert people
    assert took_s < 3, "half a second on a machine with nothing else to do"


class TestWhoAFoundPersonIs:
    def test_it_is_the_one_whose_keypoints_lie_nearest(self) -> None:
        left, right = on_page(somebody(100)), on_page(somebody(104))

        assert shown_as([left, right], somebody(105)) is right
        assert shown_as([left, right], somebody(101)) is left

    def test_keypoints_that_were_dragged_do_not_make_somebody_else_of_them(self) -> None:
        """The median decides: a few points far away are corrections."""
        moved = somebody(100)
        moved.keypoints[:8] += 400

        assert shown_as([on_page(moved)], somebody(100)) is not None

    def test_somebody_whose_keypoints_lie_elsewhere_is_somebody_else(self) -> None:
        behind = somebody(100)
        behind.keypoints[:17] = behind.keypoints[16::-1]  # in the same box

        assert shown_as([on_page(behind)], somebody(100)) is None

    def test_a_box_without_keypoints_is_that_of_the_person_who_fills_it(self) -> None:
        around = on_page(somebody(110, keypoints=0))
        far = on_page(somebody(180, keypoints=0))

        assert shown_as([far, around], somebody(100)) is around
        assert shown_as([far], somebody(100)) is None

    def test_keypoints_go_before_boxes(self) -> None:
        empty, same = on_page(somebody(100, keypoints=0)), on_page(somebody(103))

        assert shown_as([empty, same], somebody(100)) is same

    def test_nobody_is_on_an_empty_page(self) -> None:
        assert shown_as([], somebody(100)) is None

    def test_somebody_without_common_keypoints_is_known_by_their_box(self) -> None:
        """Only a hand is on the page, and the networks saw all but the hand."""
        hand = somebody(100, keypoints=0)
        hand.keypoints[91:112] = 150
        hand.scores[91:112] = 1
        one = on_page(hand)

        assert shown_as([one], somebody(102)) is one


class TestWhoIsAtAPlace:
    def test_it_is_the_person_in_whose_box_it_lies_or_nearly(self) -> None:
        one = on_page(somebody(100))

        assert shown_at([one], 150, 150) is one
        assert shown_at([one], 209, 150) is one
        assert shown_at([one], 211, 150) is None
        assert shown_at([one], 150, 215) is None
        assert shown_at([], 150, 150) is None

    def test_of_several_it_is_the_one_with_the_smallest_box(self) -> None:
        large, small = on_page(somebody(0, top=0, size=400)), on_page(somebody(120, top=120, size=50))

        assert shown_at([large, small], 140, 140) is small
        assert shown_at([small, large], 140, 140) is small
        assert shown_at([large, small], 300, 300) is large
