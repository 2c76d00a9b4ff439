"""Smart tools: what a click or a rectangle adds, and to whom."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.cache.entries import FoundPeople
from adapters.label_studio.annotations.people import AnnotatedPerson, read_people
from adapters.label_studio.annotations.regions import predicted_point
from adapters.label_studio.interactive.prompts import BoxPrompt, Drawn, PointPrompt
from adapters.label_studio.interactive.shown_people import shown_people
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.regions.predictions import PeopleInImage, Thresholds, prediction
from adapters.pictures.decoding.decode import PictureHeader, PictureSize
from adapters.prediction.people_in_pictures import FetchedPicture, PeopleInPictures
from adapters.prediction.smart_tools import Canvas, SmartTools
from tests.support.drawn_regions import box as drawn_box
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

Region = dict[str, Any]

SIZE = (1000, 500)
VERSION = "rtmlib-test-1a2b3c4d"
THRESHOLD = 0.3
POINTS = label_config_template([Selection.WHOLE])
BONES = label_config_template([Selection.WHOLE], skeleton=True)
SMART_POINTS = POINTS.replace('name="body" toName="image"', 'name="body" toName="image" smart="true"')
"""As configs were printed before: the keypoints themselves are a smart tool."""
BOTH = pytest.mark.parametrize("config", [POINTS, BONES], ids=["points", "bones"])
STARTS = {Part.LEFT_HAND: 9, Part.RIGHT_HAND: 10, Part.FACE: 0}
"""The body's keypoint that a part begins at."""


def places(left: float) -> NDArray[np.float32]:
    """Keypoints of somebody who stands in a box 200 pixels wide and 400 high: the hands hang at the sides."""
    at = np.zeros((133, 2), np.float32)
    heights = [20, 15, 15, 15, 15, 80, 80, 140, 140, 200, 200, 220, 220, 310, 310, 380, 380]
    for index, y in enumerate(heights):
        side = 0 if index == 0 else 1 if index % 2 else -1  # the person's left is on the right
        at[index] = left + 100 + side * (10 if index < 5 else 60), 50 + y
    for index in PART_RANGES[Part.FEET]:
        at[index] = at[15 if index < 20 else 16] + (index % 3 * 4, 15)
    for part, start in STARTS.items():
        for number, index in enumerate(PART_RANGES[part]):
            at[index] = at[start] + (number % 5 * 6 - 12, number // 5 * 6)
    return at


def person(left: float = 100, lacking: Sequence[Part] = (), score: float = 0.9) -> Person:
    """Somebody whose parts were all found but those."""
    scores = np.full(133, score, np.float32)
    for part in lacking:
        scores[list(PART_RANGES[part])] = 0
    return Person(np.array([left, 50, left + 200, 450], np.float32), 0.9, places(left), scores)


def middle(part: Part, left: float = 100) -> tuple[float, float]:
    """The middle of a part of somebody, in pixels."""
    x, y = places(left)[list(PART_RANGES[part])].mean(axis=0).tolist()
    return x, y


class Networks:
    """Stands for what looks at pictures: finds these people, and this wherever a part is looked for.

    Attributes:
        boxes: What people were looked for in.
        searched: What parts were looked for: whose, which, where, and within which reach.
    """

    def __init__(self, *people: Person, part: tuple[Any, Any] | None = None) -> None:
        self._people = people
        self._part = part
        self.boxes: list[Any] = []
        self.searched: list[tuple[Person | None, Part, tuple[float, float], float | None]] = []

    async def find(self, _: FetchedPicture, version: str, box: Any = None) -> FoundPeople:
        assert version == VERSION
        self.boxes.append(box)
        return FoundPeople(self._people, SIZE)

    async def find_part(
        self,
        _: FetchedPicture,
        person: Person | None,
        part: Part,
        at: tuple[float, float],
        reach: float | None,
    ) -> tuple[Any, Any] | None:
        self.searched.append((person, part, at, reach))
        return self._part


def seen(part: Part, left: float = 100, score: float = 0.05) -> tuple[Any, Any]:
    """A part that was looked for and found, doubtfully."""
    where = list(PART_RANGES[part])
    return places(left)[where], np.full(len(where), score, np.float32)


def page(config: str, *people: Person, frame: int | None = None) -> list[Region]:
    """The regions of a prediction of these people."""
    (image,) = parse_label_config(config).images
    return written(PeopleInImage(image, people, SIZE, frame))


def written(answer: PeopleInImage) -> list[Region]:
    thresholds = Thresholds(person=0, keypoint=THRESHOLD)
    return cast(Any, prediction([answer], model_version=VERSION, thresholds=thresholds)["result"])


def canvas(config: str, regions: Sequence[Region], frame: int | None = None) -> Canvas:
    parsed = parse_label_config(config)
    (image,) = parsed.images
    shown = shown_people(regions, LabelMeanings.of(parsed), "image", frame)
    header = PictureHeader(PictureSize(*SIZE), 0, 0, None)
    return Canvas(image, frame, FetchedPicture(b"", header, "digest"), shown, VERSION)


def smart(networks: Networks) -> SmartTools:
    return SmartTools(cast(PeopleInPictures, networks), THRESHOLD)


async def click(
    networks: Networks,
    on: Canvas,
    *at: tuple[float, float],
    label: str = "add left_hand",
    positive: bool = True,
) -> list[Region]:
    """Click at places, one after the other, the last one positively or not, with a label of `add`."""
    tag = "add" if label.startswith("add ") else "body"
    points = [PointPrompt(f"drawn{number}", tag, "image", label, x, y) for number, (x, y) in enumerate(at)]
    drawn = Drawn(replace(points[-1], positive=positive), tuple(points[:-1]))
    return written(await smart(networks).on_point(on, drawn))


async def draw(
    networks: Networks, on: Canvas, box: tuple[float, float, float, float], region_id: str = "drawn0"
) -> list[Region]:
    answer = await smart(networks).on_box(on, BoxPrompt(region_id, "person", "image", "person", box))
    return written(answer)


def around(part: Part, by: float = 25) -> tuple[float, float, float, float]:
    x, y = middle(part)
    return x - by, y - by, x + by, y + by


def parts_in(regions: Sequence[Region]) -> set[Part]:
    """The parts of the keypoints and vertices of regions, by their ids."""
    points = [region for region in regions if region["type"] == "keypointlabels"]
    points += [vertex for region in regions for vertex in region["value"].get("vertices", ())]
    indices = [predicted_point(point["id"])[1] for point in points]
    assert None not in indices
    return {KEYPOINTS[index].part for index in indices if index is not None}


def kinds(regions: Sequence[Region]) -> set[str]:
    return {region["type"] for region in regions}


def everybody(config: str, *regions: Region) -> tuple[list[AnnotatedPerson], list[str]]:
    """The people that an export reads, and what it says about them."""
    said: list[str] = []
    pictures = read_people(regions, LabelMeanings.of(parse_label_config(config)), said.append)
    return [one for picture in pictures for one in picture.people], said


def handle_of(config: str) -> str:
    return "p0-box" if config == POINTS else "p0-bones-body"


class TestAClickOnSomebodyOnThePage:
    @BOTH
    async def test_gives_them_the_part_that_was_asked_for_and_nothing_else(self, config: str) -> None:
        networks = Networks(person())
        there = page(config, person(lacking=[Part.LEFT_HAND]))

        added = await click(networks, canvas(config, there), middle(Part.LEFT_HAND))

        assert parts_in(added) == {Part.LEFT_HAND}
        assert kinds(added) == {"keypointlabels" if config == POINTS else "vectorlabels"}
        assert {region["parentID"] for region in added} == {handle_of(config)}
        assert networks.searched == [], "the networks had found it"

    @BOTH
    async def test_its_ids_say_whose_it_is_and_are_none_of_the_pages(self, config: str) -> None:
        there = page(config, person())

        added = await click(Networks(person()), canvas(config, there), middle(Part.LEFT_HAND))

        ids = [region["id"] for region in added]
        assert ids
        assert all(one.startswith("p0-") for one in ids)
        assert len({*ids, *(region["id"] for region in there)}) == len(ids) + len(there)
        vertices = [
            vertex["id"] for region in [*there, *added] for vertex in region["value"].get("vertices", ())
        ]
        assert len(vertices) == len(set(vertices))

    @BOTH
    async def test_two_clicks_have_ids_of_their_own(self, config: str) -> None:
        on = canvas(config, page(config, person(lacking=[Part.LEFT_HAND])))

        first = await click(Networks(person()), on, middle(Part.LEFT_HAND))
        second = await click(Networks(person()), on, (1, 1), middle(Part.LEFT_HAND))

        assert not {region["id"] for region in first} & {region["id"] for region in second}

    @BOTH
    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.RIGHT_HAND, Part.FACE])
    async def test_it_is_read_as_one_person(self, config: str, part: Part) -> None:
        there = page(config, person(lacking=[part]), person(500))

        added = await click(
            Networks(person(), person(500)), canvas(config, there), middle(part), label=f"add {part.value}"
        )
        (first, second), said = everybody(config, *added, *there)

        assert said == []
        assert (first.visibility > 0).all()
        assert first.keypoints == pytest.approx(places(100), abs=0.01)
        assert (second.visibility > 0).all()

    @BOTH
    async def test_a_hand_that_was_missed_is_looked_for_where_they_clicked(self, config: str) -> None:
        found = person(lacking=[Part.LEFT_HAND])
        networks = Networks(found, part=seen(Part.LEFT_HAND))
        there = page(config, found)
        at = middle(Part.LEFT_HAND)

        added = await click(networks, canvas(config, there), at)
        (one,), said = everybody(config, *there, *added)

        assert networks.searched == [(found, Part.LEFT_HAND, at, None)]
        assert parts_in(added) == {Part.LEFT_HAND}
        assert said == []
        assert one.keypoints == pytest.approx(places(100), abs=0.01), "whatever the score: somebody saw it"

    async def test_a_hand_that_was_found_elsewhere_is_looked_for_too(self) -> None:
        """The networks took something else for it."""
        wrong = person()
        wrong.keypoints[list(PART_RANGES[Part.LEFT_HAND])] += (0, 150)
        networks = Networks(wrong, part=seen(Part.LEFT_HAND))

        added = await click(
            networks, canvas(POINTS, page(POINTS, person(lacking=[Part.LEFT_HAND]))), middle(Part.LEFT_HAND)
        )

        assert len(networks.searched) == 1
        ys = [region["value"]["y"] / 100 * SIZE[1] for region in added]
        assert abs(np.mean(ys) - middle(Part.LEFT_HAND)[1]) < 1

    async def test_a_hand_that_was_found_elsewhere_is_not_given_where_none_is_seen(self) -> None:
        networks = Networks(person())
        on = canvas(BONES, page(BONES, person(lacking=[Part.LEFT_HAND])))
        x, y = middle(Part.LEFT_HAND)

        assert await click(networks, on, (x + 3, y + 150)) == []

    @BOTH
    async def test_a_hand_that_is_not_there_is_not_made_up(self, config: str) -> None:
        found = person(lacking=[Part.LEFT_HAND])

        assert await click(Networks(found), canvas(config, page(config, found)), middle(Part.LEFT_HAND)) == []

    @BOTH
    async def test_a_body_comes_with_its_feet_and_is_not_looked_for(self, config: str) -> None:
        networks = Networks(person())
        there = page(config, person(lacking=[Part.BODY, Part.FEET]))

        added = await click(networks, canvas(config, there), (200, 250), label="add body")

        assert parts_in(added) == {Part.BODY, Part.FEET}
        assert networks.searched == []

    async def test_feet_come_with_the_ankles_that_hold_them_together(self) -> None:
        config = label_config_template([Selection.FEET], skeleton=True)
        added = await click(Networks(person()), canvas(config, []), (200, 400), label="add feet")
        (one,), said = everybody(config, *added)

        assert {region["id"] for region in added} == {
            "drawn0-p0-bones-left_foot",
            "drawn0-p0-bones-right_foot",
        }
        assert np.flatnonzero(one.visibility).tolist() == [15, 16, *PART_RANGES[Part.FEET]]
        assert said == []

    async def test_feet_that_are_added_leave_an_ankle_where_it_was_moved(self) -> None:
        there = page(BONES, person(lacking=[Part.FEET]))
        (body,) = (region for region in there if region["id"] == "p0-bones-body")
        (ankle,) = (vertex for vertex in body["value"]["vertices"] if vertex["id"] == "p0-left_ankle")
        before = ankle["x"]
        ankle["x"] = before + 2
        body["origin"] = "prediction-changed"

        added = await click(Networks(person()), canvas(BONES, there), (200, 400), label="body")
        (one,), _ = everybody(BONES, *there, *added)

        assert {KEYPOINTS[index].part for index in np.flatnonzero(one.visibility)} == set(Part)
        assert one.keypoints[15, 0] == pytest.approx((before + 2) * SIZE[0] / 100)

    async def test_somebody_in_a_box_drawn_by_hand_gets_it_under_this_box(self) -> None:
        there = [drawn_box("kT9_x", x=10, y=10, width=20, height=80)]

        added = await click(Networks(person()), canvas(POINTS, there), middle(Part.LEFT_HAND))
        (one,), said = everybody(POINTS, *there, *added)

        assert {region["parentID"] for region in added} == {"kT9_x"}
        assert one.name == "kT9_x"
        assert {KEYPOINTS[index].part for index in np.flatnonzero(one.visibility)} == {Part.LEFT_HAND}
        assert said == []

    async def test_of_two_the_one_who_was_clicked_on_gets_it(self) -> None:
        there = page(POINTS, person(), person(500, lacking=[Part.FACE]))

        added = await click(
            Networks(person(500), person()), canvas(POINTS, there), middle(Part.FACE, 500), label="add face"
        )

        assert {region["parentID"] for region in added} == {"p1-box"}
        assert all(region["id"].startswith("p1-") for region in added)

    async def test_in_a_list_of_frames_it_is_added_to_the_person_in_view(self) -> None:
        config = label_config_template([Selection.WHOLE], skeleton=True, frames=True)
        there = [*page(config, person(), frame=0), *page(config, person(lacking=[Part.FACE]), frame=2)]

        added = await click(
            Networks(person()), canvas(config, there, frame=2), middle(Part.FACE), label="add face"
        )

        assert added
        assert {(region["item_index"], region["parentID"]) for region in added} == {(2, "f2-p0-bones-body")}
        assert all(region["id"].startswith("f2-p0-") for region in added)


class TestSomebodyWhomTheNetworksDoNotSee:
    """They are on the page, because somebody drew them."""

    @BOTH
    async def test_they_get_the_hand_that_is_looked_for(self, config: str) -> None:
        networks = Networks(part=seen(Part.LEFT_HAND))
        there = page(config, person(lacking=[Part.LEFT_HAND]))

        added = await click(networks, canvas(config, there), middle(Part.LEFT_HAND))
        people, said = everybody(config, *there, *added)

        ((known, *_),) = networks.searched
        assert known is not None
        assert known.keypoints[:23] == pytest.approx(places(100)[:23], abs=0.01)
        assert len(people) == 1
        assert said == []

    @BOTH
    @pytest.mark.parametrize("label", ["add left_hand", "add body"])
    async def test_what_is_on_the_page_is_not_given_again(self, config: str, label: str) -> None:
        on = canvas(config, page(config, person()))

        assert await click(Networks(), on, middle(Part.LEFT_HAND), label=label) == []


class TestAClickOnNobodyOnThePage:
    async def test_a_hand_alone_is_a_person_in_an_own_box(self) -> None:
        networks = Networks(part=seen(Part.LEFT_HAND))
        at = middle(Part.LEFT_HAND)

        *points, box = await click(networks, canvas(POINTS, []), at)
        (one,), said = everybody(POINTS, *points, box)

        assert networks.searched == [(None, Part.LEFT_HAND, at, None)]
        assert box["type"] == "rectanglelabels"
        assert {region["parentID"] for region in points} == {box["id"]}
        hand = places(100)[list(PART_RANGES[Part.LEFT_HAND])]
        assert one.box == pytest.approx([*hand.min(axis=0), *hand.max(axis=0)], abs=0.1)
        assert said == []

    async def test_with_bones_a_hand_alone_lies_at_the_top_with_a_name(self) -> None:
        networks = Networks(part=seen(Part.LEFT_HAND))

        (hand,) = await click(networks, canvas(BONES, []), middle(Part.LEFT_HAND))

        assert "parentID" not in hand
        assert hand["meta"]["text"] == ["p0"]

    async def test_the_hand_of_somebody_who_is_not_on_the_page_has_a_box_round_them(self) -> None:
        there = page(POINTS, person(500))

        *points, box = await click(
            Networks(person(), person(500)), canvas(POINTS, there), middle(Part.LEFT_HAND)
        )

        assert parts_in([*points, box]) == {Part.LEFT_HAND}
        assert {region["parentID"] for region in points} == {box["id"]}
        assert (box["value"]["x"], box["value"]["width"]) == (10, 20)
        assert len(everybody(POINTS, *there, *points, box)[0]) == 2

    @BOTH
    @pytest.mark.parametrize("label", ["add left_hand", "add body", "nose"])
    async def test_where_nobody_is_nothing_is_given(self, config: str, label: str) -> None:
        there = page(config, person())

        assert await click(Networks(person()), canvas(config, there), (900, 50), label=label) == []


class TestAClickWithTheLabelOfAKeypoint:
    """In configs that were printed before, the keypoints themselves are a smart tool."""

    async def test_gives_what_the_page_lacks_of_them(self) -> None:
        there = page(SMART_POINTS, person(lacking=[Part.LEFT_HAND, Part.FACE]))

        added = await click(Networks(person()), canvas(SMART_POINTS, there), (200, 250), label="nose")

        assert parts_in(added) == {Part.LEFT_HAND, Part.FACE}
        assert {region["parentID"] for region in added} == {"p0-box"}

    async def test_leaves_out_what_the_networks_doubt(self) -> None:
        """Nobody said that it can be seen: feet below the picture are on no page, and must not come with a click."""
        found = person()
        found.scores[list(PART_RANGES[Part.FEET])] = THRESHOLD - 0.1
        found.scores[list(PART_RANGES[Part.FACE])[1:]] = THRESHOLD - 0.1
        there = page(SMART_POINTS, person(lacking=[Part.FEET, Part.FACE]))

        added = await click(Networks(found), canvas(SMART_POINTS, there), (200, 250), label="nose")

        assert [region["value"]["keypointlabels"] for region in added] == [["face_0"]]

    async def test_gives_the_whole_person_where_nothing_is_lacking(self) -> None:
        there = page(SMART_POINTS, person())

        added = await click(Networks(person()), canvas(SMART_POINTS, there), (200, 250), label="nose")

        assert parts_in(added) == set(Part)
        assert [region["id"] for region in added if region["type"] == "rectanglelabels"] == ["drawn0-p0-box"]

    async def test_of_a_hand_asks_for_this_hand(self) -> None:
        there = page(SMART_POINTS, person(lacking=[Part.LEFT_HAND, Part.RIGHT_HAND]))
        on = canvas(SMART_POINTS, there)

        added = await click(Networks(person()), on, middle(Part.LEFT_HAND), label="left_thumb_4")

        assert parts_in(added) == {Part.LEFT_HAND}


class TestANegativeClick:
    @BOTH
    @pytest.mark.parametrize("label", ["add left_hand", "add face", "nose"])
    async def test_alone_asks_for_nothing_and_nothing_is_looked_for(self, config: str, label: str) -> None:
        networks = Networks(person(), part=seen(Part.LEFT_HAND))
        on = canvas(config, page(config, person(lacking=[Part.LEFT_HAND])))

        assert await click(networks, on, middle(Part.LEFT_HAND), label=label, positive=False) == []
        assert networks.searched == []

    async def test_gives_the_next_person_under_the_first_click(self) -> None:
        front, behind = person(100), person(150)

        first = await click(Networks(front, behind), canvas(POINTS, []), (262, 200), label="nose")
        corrected = await click(
            Networks(front, behind), canvas(POINTS, []), (262, 200), (258, 300), label="nose", positive=False
        )

        assert [box["value"]["x"] for box in first if box["type"] == "rectanglelabels"] == [10]
        assert [box["value"]["x"] for box in corrected if box["type"] == "rectanglelabels"] == [15]

    async def test_looks_for_no_part_where_somebody_said_that_it_is_not(self) -> None:
        networks = Networks(person(lacking=[Part.LEFT_HAND]), person(500), part=seen(Part.LEFT_HAND))

        await click(networks, canvas(POINTS, []), middle(Part.LEFT_HAND), (600, 250), positive=False)

        assert networks.searched == []


class TestARectangle:
    @BOTH
    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.RIGHT_HAND, Part.FACE])
    async def test_round_a_missing_part_of_somebody_gives_them_this_part(
        self, config: str, part: Part
    ) -> None:
        networks = Networks(part=seen(part))
        there = page(config, person(lacking=[part]))

        added = await draw(networks, canvas(config, there), around(part))
        (one,), said = everybody(config, *there, *added)

        ((_, searched, at, reach),) = networks.searched
        assert (searched, reach) == (part, 25)
        assert at == pytest.approx(middle(part))
        assert networks.boxes == [], "nobody else was looked for"
        assert parts_in(added) == {part}
        assert {region["parentID"] for region in added} == {handle_of(config)}
        assert one.keypoints == pytest.approx(places(100), abs=0.01)
        assert said == []

    async def test_of_several_missing_parts_the_one_whose_joint_is_near_is_meant(self) -> None:
        networks = Networks(part=seen(Part.RIGHT_HAND))
        there = page(POINTS, person(lacking=[Part.LEFT_HAND, Part.RIGHT_HAND, Part.FACE]))

        added = await draw(networks, canvas(POINTS, there), around(Part.RIGHT_HAND))

        assert parts_in(added) == {Part.RIGHT_HAND}

    async def test_where_the_joint_is_not_known_the_only_missing_part_is_meant(self) -> None:
        somebody = person(lacking=[Part.LEFT_HAND])
        somebody.scores[9] = 0
        networks = Networks(part=seen(Part.LEFT_HAND))

        added = await draw(networks, canvas(POINTS, page(POINTS, somebody)), around(Part.LEFT_HAND))

        assert parts_in(added) == {Part.LEFT_HAND}

    @BOTH
    async def test_round_a_part_that_is_there_looks_for_it_again(self, config: str) -> None:
        """What is there is wrong; it is the annotator's to delete, but must not be given a second time."""
        on = canvas(config, page(config, person()))
        found, nothing = Networks(part=seen(Part.LEFT_HAND)), Networks()

        assert parts_in(await draw(found, on, around(Part.LEFT_HAND))) == {Part.LEFT_HAND}
        assert await draw(nothing, on, around(Part.LEFT_HAND)) == []
        assert [len(found.searched), len(nothing.searched)] == [1, 1]

    async def test_round_a_hand_beyond_the_box_of_their_points_is_drawn_for_them(self) -> None:
        """An arm is stretched out, and the points end at the wrist."""
        there = page(BONES, person(lacking=[Part.LEFT_HAND]))
        networks = Networks(part=seen(Part.LEFT_HAND))

        added = await draw(networks, canvas(BONES, there), (262, 230, 312, 280))

        assert {region["parentID"] for region in added} == {"p0-bones-body"}

    @BOTH
    async def test_beside_somebody_is_not_drawn_for_them(self, config: str) -> None:
        networks = Networks(person(320))
        there = page(config, person(lacking=[Part.LEFT_HAND]))

        added = await draw(networks, canvas(config, there), (310, 230, 360, 280))

        assert networks.searched == []
        assert len(everybody(config, *there, *added)[0]) == 2

    async def test_a_part_that_the_project_does_not_want_is_not_looked_for(self) -> None:
        config = label_config_template([Selection.BODY])
        networks = Networks(person())

        await draw(networks, canvas(config, page(config, person())), around(Part.LEFT_HAND))

        assert networks.searched == []
        assert len(networks.boxes) == 1

    async def test_round_a_whole_person_gives_a_new_one_in_an_own_box(self) -> None:
        networks = Networks(person(500))
        there = page(POINTS, person())

        added = await draw(networks, canvas(POINTS, there), (490, 40.4, 710, 460))
        people, said = everybody(POINTS, *there, *added)

        assert networks.boxes == [(490, 40, 710, 460)]
        assert networks.searched == []
        assert parts_in(added) == set(Part)
        assert [region["id"] for region in added if region["type"] == "rectanglelabels"] == ["drawn0-p0-box"]
        assert {region.get("parentID", "drawn0-p0-box") for region in added} == {"drawn0-p0-box"}
        assert len(people) == 2
        assert said == []

    async def test_with_bones_a_new_person_is_nested_under_the_body(self) -> None:
        there = page(BONES, person())

        added = await draw(Networks(person(500)), canvas(BONES, there), (490, 40, 710, 460))
        people, said = everybody(BONES, *there, *added)

        assert kinds(added) == {"vectorlabels"}
        tops = [region for region in added if "parentID" not in region]
        assert [region["id"] for region in tops] == ["drawn0-p0-bones-body"]
        assert {region.get("parentID") for region in added} == {None, "drawn0-p0-bones-body"}
        assert tops[0]["meta"]["text"] == ["p0"]
        assert len(people) == 2
        assert said == []

    async def test_as_large_as_somebody_on_the_page_gives_them_anew(self) -> None:
        networks = Networks(person())

        added = await draw(networks, canvas(POINTS, page(POINTS, person())), (105, 55, 295, 445))

        assert networks.searched == []
        assert parts_in(added) == set(Part)

    async def test_in_which_nothing_is_sure_gives_nobody(self) -> None:
        networks = Networks(person(500, score=THRESHOLD - 0.01))

        assert await draw(networks, canvas(POINTS, []), (490, 40, 710, 460)) == []

    async def test_round_a_hand_alone_stays_as_it_was_drawn(self) -> None:
        alone = Person.of_part(Part.LEFT_HAND, *seen(Part.LEFT_HAND, score=0.9))
        drawn = around(Part.LEFT_HAND, by=40)
        regions = await draw(Networks(alone), canvas(POINTS, []), drawn)
        (value,) = (region["value"] for region in regions if region["type"] == "rectanglelabels")
        edges = value["x"] * 10, value["y"] * 5, value["width"] * 10, value["height"] * 5
        assert edges == pytest.approx((drawn[0], drawn[1], 80, 80), abs=0.1)
        assert parts_in(regions) == {Part.LEFT_HAND}

    async def test_round_a_hand_gives_nothing_where_hands_have_no_labels(self) -> None:
        alone = Person.of_part(Part.LEFT_HAND, *seen(Part.LEFT_HAND, score=0.9))
        body = label_config_template([Selection.BODY])
        assert not await draw(Networks(alone), canvas(body, []), around(Part.LEFT_HAND))

    async def test_of_two_drawn_for_the_same_person_both_can_be_accepted(self) -> None:
        there = page(BONES, person(lacking=[Part.LEFT_HAND, Part.RIGHT_HAND]))
        on = canvas(BONES, there)

        left = await draw(Networks(part=seen(Part.LEFT_HAND)), on, around(Part.LEFT_HAND), "first")
        right = await draw(Networks(part=seen(Part.RIGHT_HAND)), on, around(Part.RIGHT_HAND), "second")
        (one,), said = everybody(BONES, *there, *left, *right)

        assert (one.visibility > 0).all()
        assert said == []
