"""Answers smart tools: who was pointed at, and what of them the annotator's page lacks.

A click or a rectangle inside somebody who is on the page gives the missing part to that person. Elsewhere it gives a
new person. A part that the networks missed in the whole picture is looked for where the annotator pointed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adapters.cache.entries import prompt_box
from adapters.concurrency.threads import run_in_thread
from adapters.label_studio.annotations.regions import joining_number
from adapters.label_studio.interactive.prompts import (
    BoxPrompt,
    Drawn,
    PointPrompt,
    PromptError,
    SmartDrawings,
    drawn_on,
    drawn_prompts,
    labelled_as,
    meant_person,
    wanted_parts,
)
from adapters.label_studio.interactive.shown_people import (
    ShownPerson,
    parts_of,
    shown_as,
    shown_at,
    shown_people,
    shown_result,
)
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import ImageControls, LabelConfig
from adapters.label_studio.regions.predictions import Joins, PeopleInImage
from adapters.label_studio.schemas import Task
from adapters.prediction.frames import frame_addresses
from adapters.prediction.outcome import TaskError
from adapters.prediction.people_in_pictures import FetchedPicture, PeopleInPictures
from wholebody.bone_trees import keypoints_of
from wholebody.estimation import Floats
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS, PART_RANGES, Part

SEARCHED = (Part.LEFT_HAND, Part.RIGHT_HAND, Part.FACE)
"""Parts that have networks of their own, and so can be looked for at one place."""

_STARTS = {Part.LEFT_HAND: 9, Part.RIGHT_HAND: 10, Part.FACE: 0}
"""The body's keypoint where a part is expected: wrists and nose, in COCO order."""

_WITHIN = 0.8
"""Share of a rectangle that lies in somebody's box, for it to be drawn inside of them."""
_NEARLY = 1.25
"""How far from its centre a rectangle round a part has the part's joint, in halves of its longest side."""
_PART_OF_BOX = 0.4
"""Largest share of somebody's box that a rectangle round one part has; larger ones are drawn round people."""


@dataclass(frozen=True)
class Canvas:
    """The picture that was drawn on, and what is on it.

    Attributes:
        image: The Image tag.
        frame: Position in its list of frames, or None where it shows one picture.
        picture: The picture.
        shown: The people on the page.
        model_version: Under which found people are kept.
    """

    image: ImageControls
    frame: int | None
    picture: FetchedPicture
    shown: Sequence[ShownPerson]
    model_version: str

    @property
    def asked_for(self) -> frozenset[Part]:
        """The parts that the project wants."""
        points = {label.index for control in self.image.keypoints for label in control.labels}
        trees = {label.tree for control in self.image.skeletons for label in control.labels}
        return frozenset(KEYPOINTS[index].part for index in points.union(*map(keypoints_of, trees)))


class SmartTools:
    """Answers drawings.

    Args:
        people: Finds people and parts in pictures.
        keypoint_threshold: Lowest score of a keypoint for somebody to be in a drawn box.
    """

    def __init__(self, people: PeopleInPictures, keypoint_threshold: float) -> None:
        self._people = people
        self._keypoint_threshold = keypoint_threshold
        self._drawings = SmartDrawings()

    async def answer(
        self,
        task: Task,
        project: str | None,
        config: LabelConfig,
        context: Mapping[str, Any],
        model_version: str,
    ) -> list[PeopleInImage]:
        """Return the people that the annotator meant, each in a box of our own; nobody if the drawing was deleted.

        Args:
            task: The task that was drawn on.
            project: Its project.
            config: The project's label config.
            context: `params.context` of the request.
            model_version: Under which found people are kept.

        Raises:
            TaskError: The label config has nothing to draw on this picture.
            TaskDataError: The task has no such picture.
            PromptError: What was drawn cannot be used.
            PictureError: The picture cannot be fetched or decoded.
            InferenceError: A network failed.
        """
        place = drawn_on(context)
        if place is None:
            return []
        image = config.image(place.image)
        if image is None:
            raise TaskError("label_config", f"Nothing of ours can be drawn on the image tag '{place.image}'.")
        frame = place.frame if image.shows_frames else None
        async with self._people.fetched(_address(task, image, frame), task.id) as picture:
            drawn = drawn_prompts(context, (picture.size.width, picture.size.height))
            assert drawn is not None, "something was drawn, or we would not be here"

            def on_page() -> Canvas:
                result = shown_result(task, model_version)
                shown = shown_people(result, LabelMeanings.of(config), image.name, frame)
                return Canvas(image, frame, picture, shown, model_version)

            # Thousands of regions take a moment to read: not on the event loop.
            canvas = await run_in_thread(on_page)
            if isinstance(drawn.last, PointPrompt):
                return [await self.on_point(canvas, drawn)]
            waiting = self._drawings.waiting_boxes(f"{project} {task.id}", drawn)
            return [await self.on_box(canvas, box) for box in waiting]

    async def on_point(self, canvas: Canvas, drawn: Drawn) -> PeopleInImage:
        """Answer a smart keypoint with the person under it, or with what the page lacks of them.

        Args:
            canvas: What it was drawn on.
            drawn: The keypoint, and those before it.
        """
        point = drawn.last
        assert isinstance(point, PointPrompt)
        found = await self._people.find(canvas.picture, canvas.model_version)
        meant = meant_person(found.people, drawn)
        person = None if meant is None else found.people[meant]
        asked = wanted_parts(point, canvas.image)
        shown = _on_page(canvas, person, (point.x, point.y)) if point.positive else None
        if asked is not None:
            if point.positive:
                known = person or (shown and _without(shown.person, asked))
                person = await self._completed(canvas, known, asked, point)
            return _answer(canvas, point, person, asked, shown)
        if shown is None or person is None:
            return _answer(canvas, point, person, None)
        # Nobody said that they see these parts: what the networks doubt is left out, as it was from the page.
        sure = replace(person, scores=np.where(person.scores >= self._keypoint_threshold, person.scores, 0))
        lacking = (parts_of(sure) & canvas.asked_for) - shown.parts
        return (
            _answer(canvas, point, sure, lacking, shown) if lacking else _answer(canvas, point, person, None)
        )

    async def on_box(self, canvas: Canvas, box: BoxPrompt) -> PeopleInImage:
        """Answer a smart rectangle with the person in it, or with the part of somebody that it is drawn round."""
        around = _drawn_inside(canvas, box)
        if around is not None:
            part = _part_in(around, canvas, box)
            if part is not None:
                asked = frozenset((part,))
                person = await self._completed(canvas, _without(around.person, asked), asked, box)
                return _answer(canvas, box, person, asked, around)
        found = await self._people.find(canvas.picture, canvas.model_version, prompt_box(*box.box))
        # The networks see somebody in every box; with no keypoint to show, it is empty.
        people = [one for one in found.people if one.scores.max() >= self._keypoint_threshold]
        size = canvas.picture.size
        return PeopleInImage(
            labelled_as(canvas.image, box), people, (size.width, size.height), canvas.frame, box.id_prefix
        )

    async def _completed(
        self, canvas: Canvas, person: Person | None, parts: frozenset[Part], prompt: PointPrompt | BoxPrompt
    ) -> Person | None:
        """Return a person with the parts that somebody pointed at, and without those that are not seen there."""
        centre, reach = _centre(prompt)
        for part in SEARCHED:
            if part not in parts or (person is not None and _has(person, part, centre)):
                continue
            found = await self._people.find_part(canvas.picture, person, part, centre, reach)
            if found is not None:
                person = _with_part(person, part, *found)
            elif person is not None:
                person = _without(person, frozenset((part,)))
        return person


def _address(task: Task, image: ImageControls, frame: int | None) -> str:
    if frame is None:
        return image.value.address(task.data)
    addresses = frame_addresses(task, image)
    if frame >= len(addresses):
        raise PromptError(f"Frame {frame + 1} was drawn on, but the task has {len(addresses)}.")
    return addresses[frame]


def _centre(prompt: PointPrompt | BoxPrompt) -> tuple[tuple[float, float], float | None]:
    """Return the place that was pointed at in pixels, and half the side of the square that was drawn round it."""
    if isinstance(prompt, PointPrompt):
        return (prompt.x, prompt.y), None
    x1, y1, x2, y2 = prompt.box
    return ((x1 + x2) / 2, (y1 + y2) / 2), max(x2 - x1, y2 - y1) / 2


def _has(person: Person, part: Part, at: tuple[float, float]) -> bool:
    """Tell whether a part was found at a place: its points are round it, or nearly."""
    where = list(PART_RANGES[part])
    points = person.keypoints[where][person.scores[where] > 0]
    if not len(points):
        return False
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(float((high - low).max()) / 2, 1.0)
    return bool(np.all(low - margin <= at) and np.all(at <= high + margin))


def _without(person: Person, parts: frozenset[Part]) -> Person:
    """Return a person of the page without some parts: an answer must not repeat what is there."""
    repeated = [KEYPOINTS[index].part in parts for index in range(KEYPOINT_COUNT)]
    return replace(person, scores=np.where(repeated, np.float32(0), person.scores))


def _with_part(person: Person | None, part: Part, points: Floats, scores: Floats) -> Person:
    where = list(PART_RANGES[part])
    if person is None:
        box = np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
        empty = np.zeros(KEYPOINT_COUNT, np.float32)
        person = Person(box, 1.0, np.zeros((KEYPOINT_COUNT, 2), np.float32), empty)
    keypoints, all_scores = person.keypoints.copy(), person.scores.copy()
    keypoints[where], all_scores[where] = points, scores
    return replace(person, keypoints=keypoints, scores=all_scores)


def _on_page(canvas: Canvas, person: Person | None, at: tuple[float, float]) -> ShownPerson | None:
    found = shown_as(canvas.shown, person) if person is not None else None
    return found or (shown_at(canvas.shown, *at) if person is None else None)


def _drawn_inside(canvas: Canvas, box: BoxPrompt) -> ShownPerson | None:
    """Return the person on the page for whom a rectangle is much too small, and in whose box it lies.

    It may also lie at one of their joints: a box round somebody's points ends at the wrist where the hand is missing.
    Of several people it is the one with the smallest box.
    """
    x1, y1, x2, y2 = box.box
    area = (x2 - x1) * (y2 - y1)

    def holds(person: Person) -> bool:
        left, top, right, bottom = (float(edge) for edge in person.box)
        shared = max(min(x2, right) - max(x1, left), 0) * max(min(y2, bottom) - max(y1, top), 0)
        return shared >= _WITHIN * area or _at_joint(person, canvas.asked_for, box)

    inside = (one for one in canvas.shown if area <= _PART_OF_BOX * one.person.area and holds(one.person))
    return min(inside, key=lambda one: one.person.area, default=None)


def _at_joint(person: Person, parts: frozenset[Part], box: BoxPrompt) -> bool:
    """Tell whether a rectangle holds the joint at which one of some parts begins, or nearly."""
    centre, reach = _centre(box)
    assert reach is not None
    joints = [_STARTS[part] for part in SEARCHED if part in parts]
    offsets = np.abs(person.keypoints[joints] - centre).max(axis=1)
    return bool(np.any((person.scores[joints] > 0) & (offsets <= _NEARLY * reach)))


def _part_in(shown: ShownPerson, canvas: Canvas, box: BoxPrompt) -> Part | None:
    """Return the part that a rectangle is drawn round: of the missing ones, else of all, the one expected nearest."""
    centre, reach = _centre(box)
    assert reach is not None
    wanted = [part for part in SEARCHED if part in canvas.asked_for]
    for parts in ([part for part in wanted if part not in shown.parts], wanted):
        distances = {
            part: float(np.hypot(*(shown.person.keypoints[start] - centre)))
            for part in parts
            if shown.person.scores[start := _STARTS[part]] > 0
        }
        # A wrist lies at the edge of a rectangle round the hand, or a little outside.
        near = {part: distance for part, distance in distances.items() if distance <= 2 * reach}
        if near:
            return min(near, key=lambda part: near[part])
        unknown = [part for part in parts if part not in distances]
        if len(unknown) == 1:
            return unknown[0]
    return None


def _answer(
    canvas: Canvas,
    prompt: PointPrompt | BoxPrompt,
    person: Person | None,
    parts: frozenset[Part] | None,
    shown: ShownPerson | None = None,
) -> PeopleInImage:
    size = canvas.picture.size
    joins = None
    if shown is not None:
        name = shown.name or f"{prompt.id_prefix}p0"
        joins = Joins(shown.handle, name, joining_number(prompt.region_id))
    return PeopleInImage(
        canvas.image,
        [] if person is None else [person],
        (size.width, size.height),
        canvas.frame,
        prompt.id_prefix,
        parts,
        joins,
    )
