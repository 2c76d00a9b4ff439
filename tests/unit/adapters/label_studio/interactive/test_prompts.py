"""What an annotator drew with a smart tool, and whom they meant."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.label_studio.interactive.context import MAX_EARLIER, compact_context, is_interactive
from adapters.label_studio.interactive.prompts import (
    BoxPrompt,
    Drawn,
    DrawnOn,
    PointPrompt,
    PromptError,
    SmartDrawings,
    drawn_on,
    drawn_prompts,
    meant_person,
    select_person,
    wanted_parts,
)
from adapters.label_studio.label_config.parsing import parse_label_config
from wholebody.person import Person
from wholebody.schema import Part

RECORDED = Path(__file__).parents[4] / "data" / "label_studio"
SIZE = (1000, 500)


def rectangle(x: Any, y: Any, width: Any, height: Any, rotation: Any = 0, **fields: Any) -> dict[str, Any]:
    value = {
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "rotation": rotation,
        "rectanglelabels": ["person"],
    }
    place = {"id": "drawn", "from_name": "person", "to_name": "image", "type": "rectanglelabels"}
    return {**place, "origin": "manual", "value": value, **fields}


def keypoint(x: Any, y: Any, label: str = "nose", **fields: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]}
    place = {"id": "drawn", "from_name": "keypoints", "to_name": "image", "type": "keypointlabels"}
    return {**place, "origin": "manual", "value": value, **fields}


def drawn(*regions: Any) -> Drawn:
    found = drawn_prompts({"result": list(regions)}, SIZE)
    assert found is not None
    return found


def box_of(*regions: Any) -> tuple[float, ...]:
    last = drawn(*regions).last
    assert isinstance(last, BoxPrompt)
    return tuple(round(edge, 6) for edge in last.box)


def standing(x: float, width: float = 100, keypoints: bool = True) -> Person:
    """A person 400 pixels high around x: a straight line of keypoints from head to feet, arms at the sides."""
    places = np.zeros((133, 2), np.float32)
    scores = np.zeros(133, np.float32)
    heights = [20, 15, 15, 15, 15, 80, 80, 140, 140, 200, 200, 220, 220, 310, 310, 400, 400]
    for index, y in enumerate(heights):
        side = 0 if index < 5 else (1 if index % 2 else -1)
        places[index] = x + side * width * 0.3, 50 + y
        scores[index] = 0.9
    box = np.array([x - width / 2, 50, x + width / 2, 450], np.float32)
    return Person(box, 0.9, places, scores if keypoints else np.zeros(133, np.float32))


def point(x: float, y: float, positive: bool = True) -> PointPrompt:
    return PointPrompt("drawn", "keypoints", "image", "nose", x, y, positive)


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"result": []},
        {"result": None},
        {"result": "x"},
        {"result": [1, None, "x"]},
        {"result": [{"origin": "prediction"}]},
    ],
)
def test_without_anything_drawn_there_is_nothing_to_answer(context: dict[str, Any]) -> None:
    assert drawn_prompts(context, SIZE) is None
    assert drawn_on(context) is None


def test_a_rectangle_becomes_a_box_in_pixels() -> None:
    assert drawn(rectangle(10, 20, 30, 40)).last == BoxPrompt(
        "drawn", "person", "image", "person", (100, 100, 400, 300)
    )


def test_a_keypoint_becomes_a_point_in_pixels() -> None:
    assert drawn(keypoint(10, 20)).last == PointPrompt("drawn", "keypoints", "image", "nose", 100, 100)


def test_the_last_manual_region_is_the_one_drawn_just_now() -> None:
    found = drawn(
        rectangle(0, 0, 10, 10, id="first"),
        rectangle(50, 50, 10, 10, id="second"),
        rectangle(20, 20, 10, 10, id="predicted", origin="prediction"),
    )

    assert found.last.region_id == "second"
    assert [prompt.region_id for prompt in found.earlier] == ["first"]


def test_what_was_drawn_with_another_tag_or_on_another_image_is_no_part_of_it() -> None:
    found = drawn(keypoint(1, 1), rectangle(1, 1, 9, 9, to_name="other"), rectangle(0, 0, 10, 10))

    assert found.earlier == ()


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"to_name": "second"}, DrawnOn("second", 0)),
        ({"item_index": 7}, DrawnOn("image", 7)),
        ({"item_index": -1}, DrawnOn("image", 0)),
        ({"item_index": "7"}, DrawnOn("image", 0)),
    ],
)
def test_what_was_drawn_on_is_known_before_its_size(fields: dict[str, Any], place: DrawnOn) -> None:
    assert drawn_on({"result": [rectangle(0, 0, 1, 1, **fields)]}) == place


@pytest.mark.parametrize(
    ("context", "interactive"),
    [
        ({}, False),
        ({"result": None}, False),
        ({"result": []}, True),
        ({"result": [rectangle(0, 0, 9, 9)]}, True),
    ],
)
def test_a_request_with_a_list_of_regions_comes_from_a_smart_tool(
    context: dict[str, Any], interactive: bool
) -> None:
    assert is_interactive(context) == interactive


@pytest.mark.parametrize("drawn_with", [rectangle, keypoint])
def test_a_context_in_short_means_the_same(drawn_with: Any) -> None:
    """Of thousands of regions, those that matter are left."""
    region = drawn_with(1, 1) if drawn_with is keypoint else drawn_with(1, 1, 5, 5)
    many = [{**region, "id": f"r{number}"} for number in range(3 * MAX_EARLIER)]
    others = [{**region, "origin": "prediction"}, {**region, "to_name": "elsewhere"}, "nonsense", {}] * 1_000
    context = {"result": [*others, *many[:-1], *others, many[-1]], "more": others}
    short = compact_context(context)

    assert drawn_prompts(short, SIZE) == drawn_prompts(context, SIZE)
    assert drawn_on(short) == drawn_on(context)
    assert compact_context(short) == short
    assert len(json.dumps(short)) < 0.4 * len(json.dumps(context))


@pytest.mark.parametrize("context", [{}, {"result": None}, {"result": "x"}, {"result": []}, {"result": [1]}])
def test_in_short_it_is_interactive_or_not_as_before(context: dict[str, Any]) -> None:
    assert is_interactive(compact_context(context)) == is_interactive(context)


def test_accepted_suggestions_have_a_score_and_were_not_drawn() -> None:
    accepted = rectangle(0, 0, 10, 10, id="a-p0-box", score=0.9)

    assert drawn_on({"result": [accepted]}) is None
    assert drawn(accepted, rectangle(20, 20, 10, 10, id="new"), accepted) == drawn(
        rectangle(20, 20, 10, 10, id="new")
    )


def test_what_was_drawn_on_another_frame_is_no_part_of_it() -> None:
    assert drawn(rectangle(0, 0, 10, 10, item_index=0), rectangle(0, 0, 10, 10, item_index=1)).earlier == ()


class TestDrawingsThatWait:
    """Of the boxes in a request, those that were the last of an earlier one wait; others were drawn by hand."""

    @staticmethod
    def boxes(*ids: str) -> Drawn:
        return drawn(*(rectangle(n, 10, 10, 40, id=name) for n, name in enumerate(ids)))

    @staticmethod
    def ids(prompts: tuple[BoxPrompt, ...]) -> list[str]:
        return [prompt.region_id for prompt in prompts]

    def test_boxes_that_were_asked_about_before_are_answered_again(self) -> None:
        drawings = SmartDrawings()

        assert self.ids(drawings.waiting_boxes("7", self.boxes("a"))) == ["a"]
        assert self.ids(drawings.waiting_boxes("7", self.boxes("a", "b"))) == ["a", "b"]
        assert self.ids(drawings.waiting_boxes("7", self.boxes("a", "b", "c"))) == ["a", "b", "c"]

    def test_boxes_that_were_drawn_by_hand_are_finished_work(self) -> None:
        drawings = SmartDrawings()

        assert self.ids(drawings.waiting_boxes("7", self.boxes("by hand", "a"))) == ["a"]
        assert self.ids(drawings.waiting_boxes("7", self.boxes("by hand", "a", "b"))) == ["a", "b"]

    def test_a_box_that_is_moved_while_it_waits_is_answered_where_it_is_now(self) -> None:
        drawings = SmartDrawings()
        drawings.waiting_boxes("7", self.boxes("a"))
        drawings.waiting_boxes("7", self.boxes("a", "b"))
        moved = drawn(rectangle(50, 10, 10, 40, id="a"), rectangle(10, 10, 10, 40, id="b"))

        assert drawings.waiting_boxes("7", moved)[0].box == (500, 50, 600, 250)

    def test_a_region_of_another_task_is_another_region(self) -> None:
        drawings = SmartDrawings()
        drawings.waiting_boxes("7", self.boxes("a"))

        assert self.ids(drawings.waiting_boxes("8", self.boxes("a", "b"))) == ["b"]

    def test_nothing_waits_together_with_a_point(self) -> None:
        assert SmartDrawings().waiting_boxes("7", drawn(keypoint(1, 1))) == ()

    def test_the_memory_is_bounded(self) -> None:
        drawings = SmartDrawings()
        drawings.waiting_boxes("7", self.boxes("first"))
        for number in range(10_000):
            drawings.waiting_boxes("7", self.boxes(f"r{number}"))

        assert self.ids(drawings.waiting_boxes("7", self.boxes("first", "r9999", "new"))) == ["r9999", "new"]

    def test_no_more_than_fifty_are_answered_at_once_and_the_latest_is_among_them(self) -> None:
        drawings = SmartDrawings()
        names = [f"r{number}" for number in range(80)]
        for name in names:
            drawings.waiting_boxes("7", self.boxes(name))

        assert self.ids(drawings.waiting_boxes("7", self.boxes(*names, "new"))) == [*names[-49:], "new"]


@pytest.mark.parametrize(
    ("region", "positive"),
    [
        (keypoint(1, 1), True),
        (keypoint(1, 1, is_positive=True), True),
        (keypoint(1, 1, is_positive=1), True),
        (keypoint(1, 1, is_positive=None), True),
        (keypoint(1, 1, is_positive=False), False),
        (keypoint(1, 1, is_positive=0), False),
    ],
)
def test_a_negative_keypoint_says_what_is_not_meant(region: dict[str, Any], positive: bool) -> None:
    last = drawn(region).last

    assert isinstance(last, PointPrompt)
    assert last.positive is positive


def test_a_box_partly_outside_is_clipped_to_the_picture() -> None:
    assert box_of(rectangle(-10, -10, 30, 200)) == (0, 0, 200, 500)


def test_a_rectangle_drawn_from_below_is_the_same_box() -> None:
    assert box_of(rectangle(40, 60, -30, -40)) == (100, 100, 400, 300)


@pytest.mark.parametrize(
    ("rotation", "box"),
    [
        (0, (400, 200, 600, 300)),
        (90, (300, 200, 400, 400)),
        (180, (200, 100, 400, 200)),
        (-90, (400, 0, 500, 200)),
    ],
)
def test_a_rotated_rectangle_turns_around_its_upper_left_corner_in_pixels(
    rotation: float, box: tuple[float, float, float, float]
) -> None:
    assert box_of(rectangle(40, 40, 20, 20, rotation)) == box


def test_a_slanting_rectangle_gives_the_upright_box_around_it() -> None:
    half = 100 * math.sqrt(0.5)

    assert box_of(rectangle(50, 40, 10, 20, 45)) == pytest.approx(
        (500 - half, 200, 500 + half, 200 + 2 * half), abs=1e-5
    )


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (rectangle(110, 0, 10, 10), "outside the picture"),
        (rectangle(10, 10, 0, 10), "smaller than a pixel"),
        (rectangle(10, 10, 0.01, 10), "smaller than a pixel"),
        (rectangle("10", 10, 10, 10), "no finite number for 'x'"),
        (rectangle(None, 10, 10, 10), "no finite number for 'x'"),
        (rectangle(True, 10, 10, 10), "no finite number for 'x'"),
        (rectangle(math.nan, 10, 10, 10), "no finite number for 'x'"),
        (rectangle(10, 10, math.inf, 10), "no finite number for 'width'"),
        (rectangle(10, 10, 10, 10, "half"), "no finite number for 'rotation'"),
        (rectangle(10, 10, 10, 10, image_rotation=90), "Rotate it back"),
        (keypoint(10, 10, image_rotation=-90), "Rotate it back"),
        (rectangle(10**400, 10, 10, 10), "no finite number for 'x'"),
        (rectangle(1e308, 1e308, 1e308, 1e308), "outside the picture"),
        (rectangle(0, 0, 9, 9, value=None), "no finite number for 'x'"),
        (keypoint(101, 10), "outside the picture"),
        (keypoint(10, -1), "outside the picture"),
        (keypoint(10, 10, type="brushlabels"), "Use a rectangle or a keypoint"),
        ({"origin": "manual"}, "Use a rectangle or a keypoint"),
    ],
)
def test_what_cannot_be_used_is_explained(region: dict[str, Any], said: str) -> None:
    with pytest.raises(PromptError, match=said):
        drawn(rectangle(0, 0, 10, 10), region)


def test_an_earlier_unusable_region_is_passed_over() -> None:
    assert drawn(rectangle(None, 0, 10, 10), rectangle(0, 0, 10, 10)).earlier == ()


@pytest.mark.parametrize(
    ("region_id", "prefix"),
    [("k4Gh_-1", "k4Gh_-1-"), ("<a b>", "ab-"), ("", "drawn-"), ("x" * 99, "x" * 40 + "-")],
)
def test_an_answers_ids_begin_with_that_of_the_drawn_region(region_id: str, prefix: str) -> None:
    assert drawn(rectangle(0, 0, 10, 10, id=region_id)).last.id_prefix == prefix
    assert drawn(keypoint(0, 0, id=region_id)).last.id_prefix == prefix


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["origin", "type", "value", "x", "y", "id", "to_name"]), inner, max_size=4
            )
        ),
    )
)
def test_any_region_is_a_prompt_or_refused(value: Any) -> None:
    context = {"result": [{"origin": "manual", "type": "rectanglelabels", "value": value}]}
    try:
        found = drawn_prompts(context, SIZE)
    except PromptError:
        return
    assert found is not None


BROAD, BEHIND = standing(300, width=300), standing(390, width=60)
LARGE, SMALL = standing(300, width=400), standing(480, width=100)


@pytest.mark.parametrize(
    ("people", "at", "selected"),
    [
        pytest.param([standing(200), standing(500)], (510, 200), 1, id="on a person"),
        pytest.param([standing(200), standing(500)], (800, 200), None, id="beside everybody"),
        pytest.param([], (800, 200), None, id="nobody there"),
        pytest.param([standing(200)], (255, 200), 0, id="just outside a box"),
        pytest.param([LARGE, SMALL], (455, 250), 1, id="overlapping boxes, nearer to the small one"),
        pytest.param([LARGE, SMALL], (432, 250), 0, id="overlapping boxes, nearer to the large one"),
        pytest.param([BROAD, BEHIND], (305, 195), 0, id="in the middle of the trunk"),
        pytest.param([standing(200, keypoints=False), standing(700)], (200, 100), 0, id="no keypoints"),
    ],
)
def test_a_point_selects_the_person_it_lies_on(
    people: list[Person], at: tuple[float, float], selected: int | None
) -> None:
    assert select_person(people, point(*at)) == selected


def test_the_last_positive_point_is_meant() -> None:
    people = [standing(200), standing(500)]

    assert meant_person(people, Drawn(point(500, 200), (point(200, 200),))) == 1


def test_a_person_with_a_negative_point_is_not_meant() -> None:
    people = [standing(300), standing(340)]
    first = Drawn(point(315, 200))
    corrected = Drawn(point(370, 200, positive=False), (point(315, 200),))

    assert meant_person(people, first) == 1
    assert meant_person(people, corrected) == 0


def test_only_negative_points_mean_nobody() -> None:
    assert meant_person([standing(200)], Drawn(point(200, 200, positive=False))) is None


def test_the_label_of_a_finger_or_of_a_part_asks_for_this_part_and_any_other_for_the_whole_person() -> None:
    (image,) = parse_label_config(
        '<View><Image name="image" value="$image"/><KeyPointLabels name="keypoints" toName="image">'
        '<Label value="nose"/><Label value="left_hand_0"/><Label value="face_3"/></KeyPointLabels>'
        '<KeyPointLabels name="add" toName="image" smart="true"><Label value="body"/>'
        '<Label value="right one" predicted_values="right_hand"/></KeyPointLabels></View>'
    ).images

    def wanted(label: str, tag: str = "keypoints") -> frozenset[Part] | None:
        point = drawn(keypoint(1, 1, label, from_name=tag)).last
        assert isinstance(point, PointPrompt)
        return wanted_parts(point, image)

    assert wanted("left_hand_0") == {Part.LEFT_HAND}
    assert wanted("face_3") == {Part.FACE}
    assert wanted("nose") is None
    assert wanted("right one", tag="add") == {Part.RIGHT_HAND}
    assert wanted("body", tag="add") == {Part.BODY, Part.FEET}
    assert wanted("right one") is None, "a label of another tag"


def test_a_point_that_was_accepted_earlier_says_nothing_about_what_is_meant_now() -> None:
    """As Label Studio 1.23.2 sent it: a person was accepted, then a negative point was set."""
    body = json.loads((RECORDED / "smart_keypoint_negative_after_accepting.json").read_text())
    found = drawn_prompts(body["params"]["context"], SIZE)
    assert found is not None
    assert isinstance(found.last, PointPrompt)
    assert not found.last.positive
    assert found.earlier == ()


def test_a_point_that_waits_for_the_same_answer_counts() -> None:
    body = json.loads((RECORDED / "smart_keypoint_negative_while_first_waits.json").read_text())
    found = drawn_prompts(body["params"]["context"], SIZE)
    assert found is not None
    assert [isinstance(one, PointPrompt) and one.positive for one in found.earlier] == [True]


def test_a_recorded_second_rectangle_while_the_first_waits_beside_an_accepted_one() -> None:
    context = json.loads((RECORDED / "smart_rectangle_second_while_first_waits.json").read_text())["params"][
        "context"
    ]
    accepted, first, second = (region["id"] for region in context["result"])
    drawings = SmartDrawings()

    before = drawn_prompts({"result": context["result"][:2]}, SIZE)
    assert before is not None
    asked_first = drawings.waiting_boxes("37", before)
    now = drawn_prompts(context, SIZE)
    assert now is not None
    asked_now = drawings.waiting_boxes("37", now)

    assert accepted.endswith("-p0-box")
    assert [box.region_id for box in asked_first] == [first]
    assert [box.region_id for box in asked_now] == [first, second]
