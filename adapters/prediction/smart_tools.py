"""Predictions for Label Studio's smart tools: the person or part at a smart keypoint or rectangle.

Inside a person on the page, the prediction adds the missing part to that person; elsewhere it is a new person. A part
that the networks missed in the whole picture is searched for at the drawing.
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

HANDS = frozenset((Part.LEFT_HAND, Part.RIGHT_HAND))

SEARCHED = (Part.LEFT_HAND, Part.RIGHT_HAND, Part.FACE)
"""Parts with networks of their own, so they can be searched for at a point."""

_JOINTS = {Part.LEFT_HAND: 9, Part.RIGHT_HAND: 10, Part.FACE: 0}
"""Index of the body keypoint at which a part begins: wrists and nose."""

_INSIDE_SHARE = 0.8
"""Least share of a rectangle inside a person's box for it to be drawn on that person."""
_JOINT_REACH = 1.25
"""Farthest that a part's joint is from the centre of a rectangle around the part, in halves of its longest side."""
_PART_SHARE = 0.4
"""Largest area of a rectangle around one part, as a share of the person's box; larger ones mean people."""


@dataclass(frozen=True)
class Canvas:
    """The picture that was drawn on, and the people shown on it.

    Attributes:
        image: The Image tag.
        frame: Index in its list of frames; None if it shows one picture.
        picture: The picture.
        shown: The people on the page.
        model_version: Version under which people are cached.
    """

    image: ImageControls
    frame: int | None
    picture: FetchedPicture
    shown: Sequence[ShownPerson]
    model_version: str

    @property
    def wanted(self) -> frozenset[Part]:
        """The parts that the label config has labels for."""
        return labelled_parts(self.image)


def labelled_parts(image: ImageControls) -> frozenset[Part]:
    """Return the parts that an Image tag has labels for."""
    points = {label.index for control in image.keypoints for label in control.labels}
    trees = {label.tree for control in image.skeletons for label in control.labels}
    return frozenset(KEYPOINTS[index].part for index in points.union(*map(keypoints_of, trees)))


def wants_hands_only(image: ImageControls) -> bool:
    """Tell whether an Image tag has labels for hands and for nothing else."""
    parts = labelled_parts(image)
    return bool(parts) and parts <= HANDS


def has_hand(person: Person) -> bool:
    """Tell whether a hand of a person was found."""
    return any(person.scores[PART_RANGES[part].start] > 0 for part in HANDS)


def is_hand_alone(person: Person) -> bool:
    """Tell whether a hand was found, and no body."""
    return has_hand(person) and not person.scores[: PART_RANGES[Part.BODY].stop].any()


class SmartTools:
    """Predicts what an annotator draws with smart tools.

    Args:
        people: Finds people and parts in pictures.
        keypoint_threshold: Least score of a keypoint for a person to be in a drawn box.
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
        """Return the people that the annotator meant; none if the drawing was deleted.

        Args:
            task: The task that was drawn on.
            project: Its project.
            config: The project's label config.
            context: `params.context` of the request.
            model_version: Version under which people are cached.

        Raises:
            TaskError: The Image tag has no supported control.
            TaskDataError: The task has no such picture.
            PromptError: The drawing cannot be used.
            PictureError: The picture cannot be fetched or decoded.
            InferenceError: Inference failed.
        """
        target = drawn_on(context)
        if target is None:
            return []
        image = config.image(target.image)
        if image is None:
            raise TaskError("label_config", f"Image tag '{target.image}' has no supported control.")
        frame = target.frame if image.shows_frames else None
        async with self._people.fetched(_address(task, image, frame), task.id) as picture:
            drawn = drawn_prompts(context, (picture.size.width, picture.size.height))
            assert drawn is not None, "drawn_on found a drawing"

            def read_canvas() -> Canvas:
                result = shown_result(task, model_version)
                shown = shown_people(result, LabelMeanings.of(config), image.name, frame)
                return Canvas(image, frame, picture, shown, model_version)

            # Thousands of regions would block the event loop.
            canvas = await run_in_thread(read_canvas)
            if isinstance(drawn.last, PointPrompt):
                return [await self.on_point(canvas, drawn)]
            boxes = self._drawings.waiting_boxes(f"{project} {task.id}", drawn)
            return [await self.on_box(canvas, box) for box in boxes]

    async def on_point(self, canvas: Canvas, drawn: Drawn) -> PeopleInImage:
        """Return the person under a smart keypoint, or their parts that the page lacks.

        Args:
            canvas: The picture that was drawn on.
            drawn: The keypoint, and the ones before it.
        """
        point = drawn.last
        assert isinstance(point, PointPrompt)
        found = await self._people.find(canvas.picture, canvas.model_version)
        meant = meant_person(found.people, drawn)
        person = None if meant is None else found.people[meant]
        parts = wanted_parts(point, canvas.image)
        shown = _on_page(canvas, person, (point.x, point.y)) if point.positive else None
        if parts is not None:
            if point.positive:
                known = person or (shown and _without(shown.person, parts))
                person = await self._completed(canvas, known, parts, point)
            return _answer(canvas, point, person, parts, shown)
        if shown is None or person is None:
            return _answer(canvas, point, person, None)
        # The annotator named no part, so unsure keypoints are left out, as they were from the page.
        sure = replace(person, scores=np.where(person.scores >= self._keypoint_threshold, person.scores, 0))
        lacking = (parts_of(sure) & canvas.wanted) - shown.parts
        return (
            _answer(canvas, point, sure, lacking, shown) if lacking else _answer(canvas, point, person, None)
        )

    async def on_box(self, canvas: Canvas, box: BoxPrompt) -> PeopleInImage:
        """Return the person in a smart rectangle, or the part of a person that it is drawn around."""
        shown = _drawn_inside(canvas, box)
        if shown is not None:
            part = _part_in(shown, canvas, box)
            if part is not None:
                parts = frozenset((part,))
                person = await self._completed(canvas, _without(shown.person, parts), parts, box)
                return _answer(canvas, box, person, parts, shown)
        found = await self._people.find(canvas.picture, canvas.model_version, prompt_box(*box.box))
        # The networks find a person in every box. One without a sure keypoint that has a label is none.
        labelled = [index for part in canvas.wanted for index in PART_RANGES[part]] or slice(None)
        people = [one for one in found.people if one.scores[labelled].max() >= self._keypoint_threshold]
        if len(people) == 1:  # a hand found alone has a box of its own
            people = [replace(people[0], box=np.array(box.box, np.float32))]
        size = canvas.picture.size
        return PeopleInImage(
            labelled_as(canvas.image, box), people, (size.width, size.height), canvas.frame, box.id_prefix
        )

    async def _completed(
        self, canvas: Canvas, person: Person | None, parts: frozenset[Part], prompt: PointPrompt | BoxPrompt
    ) -> Person | None:
        """Return a person with the parts found at a drawing, and without those not found there."""
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
    """Return the centre of a drawing in pixels, and half the side of its square; None for a point."""
    if isinstance(prompt, PointPrompt):
        return (prompt.x, prompt.y), None
    x1, y1, x2, y2 = prompt.box
    return ((x1 + x2) / 2, (y1 + y2) / 2), max(x2 - x1, y2 - y1) / 2


def _has(person: Person, part: Part, at: tuple[float, float]) -> bool:
    """Tell whether a part was found around a point, or close to it."""
    where = list(PART_RANGES[part])
    points = person.keypoints[where][person.scores[where] > 0]
    if not len(points):
        return False
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(float((high - low).max()) / 2, 1.0)
    return bool(np.all(low - margin <= at) and np.all(at <= high + margin))


def _without(person: Person, parts: frozenset[Part]) -> Person:
    """Return a person without some parts: a prediction must not repeat what the page shows."""
    repeated = [KEYPOINTS[index].part in parts for index in range(KEYPOINT_COUNT)]
    return replace(person, scores=np.where(repeated, np.float32(0), person.scores))


def _with_part(person: Person | None, part: Part, points: Floats, scores: Floats) -> Person:
    if person is None:
        return Person.of_part(part, points, scores)
    where = list(PART_RANGES[part])
    keypoints, all_scores = person.keypoints.copy(), person.scores.copy()
    keypoints[where], all_scores[where] = points, scores
    return replace(person, keypoints=keypoints, scores=all_scores)


def _on_page(canvas: Canvas, person: Person | None, at: tuple[float, float]) -> ShownPerson | None:
    found = shown_as(canvas.shown, person) if person is not None else None
    return found or (shown_at(canvas.shown, *at) if person is None else None)


def _drawn_inside(canvas: Canvas, box: BoxPrompt) -> ShownPerson | None:
    """Return the person on the page with the smallest box that a small rectangle lies in.

    It may also lie at one of their joints: without the hand, the box around a person's points ends at the wrist.
    """
    x1, y1, x2, y2 = box.box
    area = (x2 - x1) * (y2 - y1)

    def holds(person: Person) -> bool:
        left, top, right, bottom = (float(edge) for edge in person.box)
        shared = max(min(x2, right) - max(x1, left), 0) * max(min(y2, bottom) - max(y1, top), 0)
        return shared >= _INSIDE_SHARE * area or _at_joint(person, canvas.wanted, box)

    inside = (one for one in canvas.shown if area <= _PART_SHARE * one.person.area and holds(one.person))
    return min(inside, key=lambda one: one.person.area, default=None)


def _at_joint(person: Person, parts: frozenset[Part], box: BoxPrompt) -> bool:
    """Tell whether the joint of one of the parts is in a rectangle, or close to it."""
    centre, reach = _centre(box)
    assert reach is not None
    joints = [_JOINTS[part] for part in SEARCHED if part in parts]
    offsets = np.abs(person.keypoints[joints] - centre).max(axis=1)
    return bool(np.any((person.scores[joints] > 0) & (offsets <= _JOINT_REACH * reach)))


def _part_in(shown: ShownPerson, canvas: Canvas, box: BoxPrompt) -> Part | None:
    """Return the part that a rectangle is drawn around: the nearest missing one, else the nearest of all."""
    centre, reach = _centre(box)
    assert reach is not None
    wanted = [part for part in SEARCHED if part in canvas.wanted]
    for parts in ([part for part in wanted if part not in shown.parts], wanted):
        distances = {
            part: float(np.hypot(*(shown.person.keypoints[joint] - centre)))
            for part in parts
            if shown.person.scores[joint := _JOINTS[part]] > 0
        }
        # A wrist is at the edge of a rectangle around the hand, or a little outside.
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
