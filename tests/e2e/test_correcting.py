"""Correcting predictions with mouse and keys: how many actions each job takes, and that its result is exported."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.coco.document import PictureOfTask, coco_document
from adapters.coco.evaluation import evaluate_pictures
from adapters.coco.reading import read_coco, read_coco_file
from adapters.label_studio.annotations.people import AnnotatedPicture, read_people
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.regions.predictions import PeopleInImage, Thresholds, prediction
from tests.e2e import made_people, scenes
from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.commands import command
from tests.e2e.label_studio import LabelStudio
from tests.e2e.labeling_page import LabelingPage
from tests.e2e.made_people import made_person
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS, PART_RANGES, Part, keypoint_index

BONES = label_config_template([Selection.WHOLE], skeleton=True)
POINTS = label_config_template([Selection.WHOLE])
CONFIGS = {"bones": BONES, "points": POINTS}
MANUAL = Path(__file__).parents[2] / "docs" / "correcting.md"

BUDGET = {
    "accept a correct picture": {"bones": 1, "points": 1},
    "add a missing part to a person": {"bones": 3, "points": 3},
    "move one wrong wrist": {"bones": 1, "points": 1},
    "remove one wrong hand": {"bones": 2, "points": 3},
    "swap left and right hands": {"bones": 4},
    "mark a point as occluded": {"bones": 2, "points": 2},
    "remove a person": {"bones": 3, "points": 2},
}
COUNTED: dict[tuple[str, str], int] = {}

EXACT = 2.1  # pixels of the picture: what one of the screen is, in which the mouse moves

RIGHT, LEFT = made_person(180, 120, 320, 800), made_person(760, 120, 320, 800)
"""Two people; Label Studio's canvas shows them at about half their size."""


@dataclass
class Job:
    """A task with a prediction, open in the browser."""

    studio: LabelStudio
    page: LabelingPage
    project: int
    form: str
    predicted: list[dict[str, Any]]
    folder: Path
    started_at: int = 0

    def done(self, name: str) -> None:
        """Note what the job took, and hold it to its budget."""
        used = self.page.browser.actions - self.started_at
        COUNTED[name, self.form] = used
        assert used <= BUDGET[name][self.form], f"{name} took {used} actions"

    def start(self) -> None:
        self.started_at = self.page.browser.actions

    def region(self, ending: str) -> dict[str, Any]:
        (found,) = (one for one in self.predicted if one["id"].endswith(ending))
        return found

    def place(self, person: Person, name: str) -> tuple[float, float]:
        """Where a keypoint is, in percent of the picture."""
        x, y = person.keypoints[index(name)]
        return 100 * float(x) / made_people.SIZE[0], 100 * float(y) / made_people.SIZE[1]

    def exported_as(self, people: Sequence[Person], *, occluded: Sequence[str] = ()) -> str:
        """Export the project, compare with what was meant, and return what the command said."""
        said = command(self.studio, self.folder, "export-coco", "out.json", "--project", str(self.project))
        exported = read_coco_file(self.folder / "out.json")
        truth = read_coco(coco_document([meant(self.page.task, people)], "", with_scores=False))
        ((_, picture),) = exported.items()
        assert len(picture.people) == len(people), said
        evaluation = evaluate_pictures(exported, truth)
        if people:
            assert evaluation.groups["wholebody"].ap == pytest.approx(1.0), (evaluation.groups, said)
        for one in picture.people:
            best = min(people, key=lambda other: _distance(one.keypoints, one.visibility, other))
            assert _distance(one.keypoints, one.visibility, best) <= EXACT
            assert [bool(flag) for flag in one.visibility] == [score > 0 for score in best.scores]
        hidden = {KEYPOINTS[i].name for one in picture.people for i in np.flatnonzero(one.visibility == 1)}
        assert hidden == set(occluded)
        return said


def _distance(points: Any, visibility: Any, other: Person) -> float:
    both = (visibility > 0) & (other.scores > 0)
    return float(np.abs(points - other.keypoints)[both].max()) if both.any() else np.inf


def meant(task: int, people: Sequence[Person]) -> PictureOfTask:
    """The truth, as the reading of a prediction gives it."""
    image = parse_label_config(POINTS).images[0]
    found = PeopleInImage(image, people, made_people.SIZE)
    result = prediction([found], model_version="truth", thresholds=Thresholds(0, 0.01))["result"]
    meanings = LabelMeanings.of(parse_label_config(POINTS))
    pictures = read_people(result, meanings, lambda _: None)
    empty = AnnotatedPicture("image", None, made_people.SIZE, ())
    return PictureOfTask(task, None, "", pictures[0] if pictures else empty)


def index(name: str) -> int:
    found = keypoint_index(name)
    assert found is not None
    return found


def moved(person: Person, changes: Mapping[str, tuple[float, float]]) -> Person:
    """Return a person with keypoints at other places, in percent of the picture."""
    keypoints = person.keypoints.copy()
    for name, (x, y) in changes.items():
        keypoints[index(name)] = x / 100 * made_people.SIZE[0], y / 100 * made_people.SIZE[1]
    return replace(person, keypoints=keypoints)


def without(person: Person, part: Part) -> Person:
    scores = person.scores.copy()
    scores[list(PART_RANGES[part])] = 0
    return replace(person, scores=scores)


def swapped_hands(person: Person) -> Person:
    keypoints = person.keypoints.copy()
    left, right = list(PART_RANGES[Part.LEFT_HAND]), list(PART_RANGES[Part.RIGHT_HAND])
    keypoints[left], keypoints[right] = person.keypoints[right], person.keypoints[left]
    return replace(person, keypoints=keypoints)


def take(screenshot: Callable[..., Path], form: str, what: str) -> None:
    """Take a picture of the recommended form for the manual."""
    if form == "bones":
        screenshot(f"correcting-{what}.jpg")


@pytest.fixture(params=["bones", "points"])
def form(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def open_job(label_studio: LabelStudio, browser: Browser, tmp_path: Path) -> Callable[..., Job]:
    """Open a task whose prediction shows these people."""

    def start(form: str, people: Sequence[Person], config: str | None = None) -> Job:
        xml = config or CONFIGS[form]
        project = label_studio.project(f"Correcting {form}", xml)
        (task,) = label_studio.upload(project, {"people.jpg": made_people.picture()})
        found = PeopleInImage(parse_label_config(xml).images[0], people, made_people.SIZE)
        written = prediction([found], model_version="made", thresholds=Thresholds(0.3, 0.3))
        label_studio.add_prediction(task, written["result"], "made")
        page = LabelingPage(browser, label_studio, project, task)
        job = Job(label_studio, page, project, form, json.loads(json.dumps(written["result"])), tmp_path)
        job.start()
        return job

    return start


def test_accepting_takes_one_action(open_job: Callable[..., Job], form: str) -> None:
    job = open_job(form, [RIGHT, LEFT])

    job.page.submit()

    job.done("accept a correct picture")
    job.exported_as([RIGHT, LEFT])


def test_a_wrong_wrist_is_dragged_at_once(
    open_job: Callable[..., Job], form: str, screenshot: Callable[..., Path]
) -> None:
    job = open_job(form, [RIGHT, LEFT])
    x, y = job.place(RIGHT, "left_wrist")
    target = (x + 3, y - 6)

    job.page.drag((x, y), target)

    take(screenshot, form, "wrist")
    job.done("move one wrong wrist")
    job.page.submit()
    job.exported_as([moved(RIGHT, {"left_wrist": target}), LEFT])


def test_a_wrong_hand_is_removed(
    open_job: Callable[..., Job], form: str, screenshot: Callable[..., Path]
) -> None:
    job = open_job(form, [RIGHT])
    if form == "bones":
        corner = job.page.place((0, 0))
        job.page.click_row(job.predicted.index(job.region("bones-left_hand")) + 1)
        assert job.page.place((0, 0)) == corner, "what shows for a selected region moves the picture"
    else:
        hand = [job.place(RIGHT, KEYPOINTS[i].name) for i in PART_RANGES[Part.LEFT_HAND]]
        low, high = np.min(hand, axis=0) - 0.5, np.max(hand, axis=0) + 0.5
        job.page.press("v")
        job.page.drag((float(high[0]) + 9, float(low[1])), (float(low[0]), float(high[1])))
    take(screenshot, form, "hand")
    job.page.press("Backspace")

    job.done("remove one wrong hand")
    job.page.submit()
    job.exported_as([without(RIGHT, Part.LEFT_HAND)])


def test_swapped_hands_are_exported_as_they_were_relabelled(
    open_job: Callable[..., Job], screenshot: Callable[..., Path]
) -> None:
    job = open_job("bones", [RIGHT])
    for name, key in (("left_middle_12", "3"), ("right_middle_12", "2")):
        job.page.click(job.place(RIGHT, name))
        job.page.press(key)

    take(screenshot, "bones", "swap")
    job.done("swap left and right hands")
    job.page.submit()
    job.exported_as([swapped_hands(RIGHT)])


def test_a_point_is_marked_as_occluded(
    open_job: Callable[..., Job], form: str, screenshot: Callable[..., Path]
) -> None:
    job = open_job(form, [RIGHT])
    place = job.place(RIGHT, "right_index_8")
    job.page.click(place)
    if form == "bones":
        job.page.click(place, holding="shift")
    else:
        job.page.press("x")

    take(screenshot, form, "occluded")
    job.done("mark a point as occluded")
    job.page.submit()
    job.exported_as([RIGHT], occluded=["right_index_8"])


def test_an_invented_person_is_removed(
    open_job: Callable[..., Job], form: str, screenshot: Callable[..., Path]
) -> None:
    job = open_job(form, [RIGHT, LEFT])
    if form == "bones":
        everything = RIGHT.keypoints / made_people.SIZE * 100
        low, high = everything.min(axis=0) - 1, everything.max(axis=0) + 1
        job.page.press("v")
        job.page.drag((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
    else:
        middle = np.mean([job.place(RIGHT, name) for name in ("left_hip", "right_shoulder")], axis=0)
        job.page.click((float(middle[0]), float(middle[1])))
    take(screenshot, form, "person")
    job.page.press("Backspace")

    job.done("remove a person")
    job.page.submit()
    job.exported_as([LEFT])


NINE = ["right_shoulder", "left_shoulder", "right_elbow", "left_hip", "right_knee", "left_big_toe"]
NINE += ["left_thumb_4", "left_ring_16", "right_little_20"]
BIG, SMALL = made_person(60, 40, 1100, 900), made_person(760, 560, 200, 380)
"""The small one stands beside the legs of the big one, in their box."""


@pytest.mark.parametrize(
    ("people", "who"), [([RIGHT, LEFT], 0), ([BIG, SMALL], 1)], ids=["two people", "in another's box"]
)
def test_dragging_a_point_moves_this_point_and_nothing_else(
    open_job: Callable[..., Job], form: str, people: Sequence[Person], who: int
) -> None:
    job = open_job(form, people)
    drag_each(job, people[who], f"p{who}", NINE if people[who] is not SMALL else [*NINE[:5], "left_wrist"])


def drag_each(job: Job, person: Person, name: str, keypoints: Sequence[str]) -> None:
    """Drag keypoints one after the other, and one of the face; look at all others after each."""
    before = positions(job.page.regions())
    for keypoint in [*keypoints, *([] if person is SMALL else [face_on_top(job, person, name)])]:
        x, y = job.place(person, keypoint)
        job.page.drag((x, y), (x + 2.5, y - 2.5))
        after = positions(job.page.regions())
        changed = {
            one for one, place in after.items() if np.abs(np.subtract(place, before[one])).max() > 0.02
        }
        assert changed == {f"{name}-{keypoint}"}
        assert after[f"{name}-{keypoint}"][:2] == pytest.approx((x + 2.5, y - 2.5), abs=0.2)
        before = after


def face_on_top(job: Job, person: Person, name: str) -> str:
    """Return a point of the face that the mouse meets first: at this size, most joints lie under their neighbours."""
    vertices = {one["id"]: one["value"].get("vertices") for one in job.predicted}
    names = [KEYPOINTS[n].name for n in PART_RANGES[Part.FACE]]
    for keypoint, hit in zip(names, job.page.hits([job.place(person, one) for one in names]), strict=True):
        if hit is not None and hit[0] in vertices:
            joints = vertices[hit[0]]
            met = hit[0]
            if joints is not None:
                met = "" if hit[1] is None else joints[hit[1]]["id"]
            if met == f"{name}-{keypoint}":
                return keypoint
    raise AssertionError("no point of the face can be grabbed")


def positions(regions: Sequence[dict[str, Any]]) -> dict[str, tuple[float, ...]]:
    """Where every point, vertex and box is, in percent."""
    found: dict[str, tuple[float, ...]] = {}
    for region in regions:
        value = region["value"]
        for vertex in value.get("vertices", ()):
            found[vertex["id"]] = (vertex["x"], vertex["y"])
        if "x" in value:
            found[region["id"]] = (value["x"], value["y"], value.get("height", 0), value["width"])
    return found


def test_of_eight_people_every_point_that_is_not_under_another_can_be_grabbed(
    open_job: Callable[..., Job], form: str
) -> None:
    people = [
        made_person(40 + 290 * (n % 4) + 60 * (n // 4), 60 + 260 * (n // 4), 260, 620) for n in range(8)
    ]
    job = open_job(form, people)
    places = {
        name: place[:2] for name, place in positions(job.predicted).items() if not name.endswith("-box")
    }
    met = dict(zip(places, job.page.hits(list(places.values())), strict=True))

    assert len(met) == 8 * KEYPOINT_COUNT
    kinds = {region["id"]: region["type"] for region in job.predicted}
    missed = {name for name, hit in met.items() if hit is None or kinds[hit[0]] == "rectanglelabels"}
    assert missed == set()
    if form == "bones":  # which are as wide to the mouse as points are
        under_bones = {name for name, hit in met.items() if hit is not None and hit[1] is None}
        assert len(under_bones) < 0.01 * len(met)
    if form == "points":
        themselves = sum(hit is not None and hit[0] == name for name, hit in met.items())
        assert themselves > 0.75 * len(met), "the others lie under a neighbour"


def test_points_of_a_frame_can_be_dragged(
    label_studio: LabelStudio, browser: Browser, form: str, tmp_path: Path
) -> None:
    xml = label_config_template([Selection.WHOLE], skeleton=form == "bones", frames=True)
    uploads = label_studio.project("Pictures of frames", CONFIGS[form])
    tasks = label_studio.upload(uploads, {f"{n}.jpg": made_people.picture() for n in (1, 2)})
    frames = [label_studio.call("GET", f"/api/tasks/{task}")["data"]["image"] for task in tasks]
    project = label_studio.project(f"Frames {form}", xml)
    (task,) = label_studio.import_tasks(project, [{"frames": frames}])
    image = parse_label_config(xml).images[0]
    found = [PeopleInImage(image, [who], made_people.SIZE, n) for n, who in enumerate((LEFT, RIGHT))]
    written = prediction(found, model_version="made", thresholds=Thresholds(0.3, 0.3))
    label_studio.add_prediction(task, written["result"], "made")
    page = LabelingPage(browser, label_studio, project, task)
    page.next_frame()
    job = Job(label_studio, page, project, form, json.loads(json.dumps(written["result"])), tmp_path)

    # Below the pages of a list, the feet lie under the bar at the lower edge.
    drag_each(job, RIGHT, "f1-p0", [name for name in NINE if name != "left_big_toe"])


DRAWN = scenes.drawn_points(1)[0]


@pytest.fixture
def drawn_job(
    label_studio: LabelStudio, backend: Backend, browser: Browser, tmp_path: Path
) -> Callable[..., Job]:
    """Open a task with a drawn figure, which the networks of the backend know, and a prediction without some parts."""

    def start(form: str, missing: frozenset[Part] | None) -> Job:
        project = label_studio.project(f"Adding to {form}", CONFIGS[form])
        (task,) = label_studio.upload(project, {"one.jpg": scenes.jpeg(1)})
        label_studio.connect(project, backend.wire.url)
        if missing is None:
            label_studio.call("PATCH", f"/api/projects/{project}", json={"show_collab_predictions": False})
        else:
            label_studio.open_task(project, task)
            (stored,) = label_studio.predictions(task)
            left = [one for one in stored["result"] if not (parts_of(one) & missing)]
            label_studio.replace_prediction(stored, left)
        page = LabelingPage(browser, label_studio, project, task)
        page.switch_auto_annotation_on()
        page.switch_auto_accept(on=False)
        return Job(label_studio, page, project, form, page.regions(), tmp_path)

    return start


def parts_of(region: Mapping[str, Any]) -> set[Part]:
    """The parts of the body that a region shows."""
    labels = [*region["value"].get("keypointlabels", ()), *region["value"].get("vectorlabels", ())]
    indices = [keypoint_index(label) for label in labels]
    parts = {KEYPOINTS[one].part for one in indices if one is not None}
    return parts | {Part(label) for label in labels if label in set(Part)}


def exported_people(job: Job) -> list[Any]:
    """Export the project, and return the people of its only picture."""
    command(job.studio, job.folder, "export-coco", "out.json", "--project", str(job.project))
    ((_, picture),) = read_coco_file(job.folder / "out.json").items()
    return list(picture.people)


def test_a_missing_part_is_added_to_the_person(
    drawn_job: Callable[..., Job], form: str, screenshot: Callable[..., Path]
) -> None:
    job = drawn_job(form, frozenset({Part.FACE}))
    assert not any(parts_of(one) == {Part.FACE} for one in job.predicted)
    job.page.press("m")  # chooses the smart keypoint, which stays chosen from task to task
    job.start()

    job.page.press("f")
    (x, y), (_, shoulders) = DRAWN["nose"], DRAWN["left_shoulder"]
    chin = (x, (y + shoulders) / 2)  # away from the bones of the body, which would be selected
    job.page.click(chin, holding="ctrl" if form == "points" else "")
    job.page.suggestions()
    take(screenshot, form, "add")
    job.page.accept_suggestions()

    job.done("add a missing part to a person")
    job.page.submit()
    (person,) = exported_people(job)
    assert (person.visibility[list(PART_RANGES[Part.FACE])] > 0).all()
    assert (person.visibility[:17] > 0).sum() > 10


def test_feet_as_bones_are_added_with_their_ankles(
    label_studio: LabelStudio, backend: Backend, browser: Browser, tmp_path: Path
) -> None:
    project = label_studio.project("Feet", label_config_template([Selection.FEET], skeleton=True))
    (task,) = label_studio.upload(project, {"one.jpg": scenes.jpeg(1)})
    label_studio.connect(project, backend.wire.url)
    label_studio.open_task(project, task)
    (stored,) = label_studio.predictions(task)
    label_studio.replace_prediction(stored, [])
    page = LabelingPage(browser, label_studio, project, task)
    page.switch_auto_annotation_on()
    page.switch_auto_accept(on=False)

    page.press("m")
    page.press("g")
    page.click(DRAWN["left_knee"])
    page.suggestions()
    page.accept_suggestions()

    (left, right) = page.regions()
    assert {len(foot["value"]["vertices"]) for foot in (left, right)} == {4}
    page.submit()
    (person,) = exported_people(Job(label_studio, page, project, "bones", [], tmp_path))
    assert np.flatnonzero(person.visibility).tolist() == [15, 16, *PART_RANGES[Part.FEET]]


@pytest.mark.skipif(not scenes.CLIP.exists(), reason="no clip: the folder shared/photos is not there")
def test_a_missing_hand_is_added_to_the_person_in_a_photograph(
    label_studio: LabelStudio, backend: Backend, browser: Browser, tmp_path: Path, form: str
) -> None:
    project = label_studio.project(f"A hand for {form}", CONFIGS[form])
    (task,) = label_studio.upload(project, {"signer.jpg": scenes.clip_frame(10)})
    label_studio.connect(project, backend.wire.url)
    label_studio.open_task(project, task)
    (stored,) = label_studio.predictions(task)
    hand = [one for one in stored["result"] if parts_of(one) == {Part.RIGHT_HAND}]
    left = [one for one in stored["result"] if one not in hand]
    label_studio.replace_prediction(stored, left)
    page = LabelingPage(browser, label_studio, project, task)
    page.switch_auto_annotation_on()
    page.switch_auto_accept(on=False)
    page.press("m")
    places = np.array(list(positions(hand).values()), dtype=object)
    middle = np.mean([place[:2] for place in places], axis=0)
    before = page.browser.actions

    page.press("a")
    page.click((float(middle[0]), float(middle[1])), holding="ctrl" if form == "points" else "")
    page.suggestions()
    page.accept_suggestions()

    assert page.browser.actions - before <= BUDGET["add a missing part to a person"][form]
    if form == "bones":  # a part that was added can be grabbed at once
        (added,) = (one for one in page.regions() if parts_of(one) == {Part.RIGHT_HAND})
        tip = added["value"]["vertices"][-1]
        page.drag((tip["x"], tip["y"]), (tip["x"] - 3, tip["y"] - 3))
        (after,) = (one for one in page.regions() if parts_of(one) == {Part.RIGHT_HAND})
        assert after["value"]["vertices"][-1]["x"] == pytest.approx(tip["x"] - 3, abs=0.2)
    page.submit()
    job = Job(label_studio, page, project, form, stored["result"], tmp_path)
    (person,) = exported_people(job)
    assert (person.visibility[list(PART_RANGES[Part.RIGHT_HAND])] > 0).all()


def test_what_was_suggested_can_be_grabbed_after_accepting(drawn_job: Callable[..., Job], form: str) -> None:
    job = drawn_job(form, None)
    job.page.choose("rectangle-tool", "person")
    job.page.draw_rectangle((37, 2), (65, 98))
    job.page.suggestions()
    job.page.accept_suggestions()
    before = positions(job.page.regions())
    grabbed = [name for name in before if name.endswith(("left_knee", "right_elbow", "left_shoulder"))]
    assert len(grabbed) == 3

    for name in grabbed:
        x, y = before[name][:2]
        job.page.drag((x, y), (x + 2, y + 3))
        after = positions(job.page.regions())
        changed = {
            one for one, place in after.items() if np.abs(np.subtract(place, before[one])).max() > 0.02
        }
        assert changed == {name}
        before = after


def test_the_manual_has_the_counts() -> None:
    if len(COUNTED) < sum(len(forms) for forms in BUDGET.values()):
        pytest.skip("counts what the other tests of this module did: run them all")
    rows = {name: " | ".join(str(COUNTED.get((name, form), "-")) for form in CONFIGS) for name in BUDGET}
    print(*(f"{name}: {row}" for name, row in rows.items()), sep="\n")
    written = dict(re.findall(r"^\| ([^|]+?) \| ([\d-]+ \| [\d-]+) \|", MANUAL.read_text("utf-8"), re.M))
    assert {name: written.get(name) for name in BUDGET} == rows
