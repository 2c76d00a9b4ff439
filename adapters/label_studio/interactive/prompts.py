"""Prompts of smart tools: the drawn regions, and the person that they mean.

Label Studio sends the regions of the tag in `params.context.result`. They include earlier predictions, accepted
suggestions, boxes drawn without the smart tool, and points set by hand long ago. The new drawing is the last region
with `"origin": "manual"` and without a score, which only predicted ones have (observed with 1.23.2). It is deleted when
the suggestion is accepted, so a result must never refer to it.

A result replaces all pending suggestions, and accepting it deletes all pending drawings. So a result must have a person
for each of them. In a request, a pending drawing looks exactly like a finished box drawn by hand: the editor sends all
regions of the drawn label, without suggestions and other tags' keypoints. It marks smart drawings (`dynamic`) for
keypoints only (as `is_positive`), in drafts too. But a pending drawing was the last one of an earlier request:
`SmartDrawings` remembers those.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from adapters.label_studio.annotations.box_geometry import corners, pixels
from adapters.label_studio.interactive.context import frame_of, last_and_waiting, tags_of, text_of
from adapters.label_studio.label_config.parsing import ImageControls
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, SKELETON, Part

_MAX_WAITING = 50  # drawings answered at once; more pending ones are not realistic
_MAX_REMEMBERED = 10_000
_SEARCHED_PARTS = frozenset((Part.LEFT_HAND, Part.RIGHT_HAND, Part.FACE))
# Diagonals between shoulders and hips, so a point on the trunk is near a line.
_TRUNK = ((5, 12), (6, 11))
_LINES: NDArray[np.intp] = np.array((*SKELETON, *_TRUNK), np.intp)

Size: TypeAlias = tuple[int, int]


class PromptError(ValueError):
    """A drawing is invalid; the message says why and can be shown to the user."""

    reason = "prompt"


@dataclass(frozen=True)
class Prompt:
    """A region that the annotator drew with a smart tool.

    Attributes:
        region_id: Id of the drawn region.
        from_name: Name of the tag that it was drawn with.
        to_name: Name of the Image tag that it was drawn on.
        label: The chosen label, or "".
    """

    region_id: str
    from_name: str
    to_name: str
    label: str

    @property
    def id_prefix(self) -> str:
        """A prefix for the ids of the result, which must differ from those of the task's other regions."""
        return f"{re.sub('[^A-Za-z0-9_-]', '', self.region_id)[:40] or 'drawn'}-"


@dataclass(frozen=True)
class BoxPrompt(Prompt):
    """A rectangle that the annotator drew around a person.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the upright picture, clipped to it. A rotated rectangle gives the upright
            box around it.
    """

    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class PointPrompt(Prompt):
    """A keypoint that the annotator set on a person, or next to one.

    Attributes:
        x: Pixels of the upright picture.
        y: Pixels of the upright picture.
        positive: False if the annotator excluded a person with it.
    """

    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True)
class Drawn:
    """The annotator's drawings.

    Attributes:
        last: The new drawing, which needs a result.
        earlier: Earlier drawings with the same tag on the same picture, in order. They may wait for the same result
            (several smart boxes, a positive and then a negative point), or be finished work. Predicted regions and
            accepted suggestions are not included.
    """

    last: BoxPrompt | PointPrompt
    earlier: tuple[BoxPrompt | PointPrompt, ...] = ()


@dataclass(frozen=True)
class DrawnOn:
    """The picture that the annotator drew on.

    Attributes:
        image: Name of the Image tag.
        frame: Index in its list of frames, from 0; 0 if it shows one picture.
    """

    image: str
    frame: int


def drawn_on(context: Mapping[str, object]) -> DrawnOn | None:
    """Return the picture that the annotator drew on; None without a drawing.

    It is needed before `drawn_prompts`, to select the picture to fetch.
    """
    drawn = last_and_waiting(context)
    return DrawnOn(text_of(drawn[-1], "to_name"), frame_of(drawn[-1])) if drawn else None


def drawn_prompts(context: Mapping[str, object], size: Size) -> Drawn | None:
    """Return the annotator's drawings.

    Args:
        context: `params.context` of the request; `{}` if the request is not interactive.
        size: Width and height of the upright picture in pixels.

    Returns:
        The drawings, or None if the request is not interactive.

    Raises:
        PromptError: The last drawing is no rectangle or keypoint with finite numbers, lies outside the picture, or
            was made on the picture rotated in the editor. Earlier drawings of this kind are skipped.
    """
    drawn = last_and_waiting(context)
    if not drawn:
        return None
    last = _prompt(drawn[-1], size)
    earlier: list[BoxPrompt | PointPrompt] = []
    for other in drawn[:-1]:
        try:
            earlier.append(_prompt(other, size))
        except PromptError:
            continue
    return Drawn(last, tuple(earlier))


class SmartDrawings:
    """Remembers regions drawn with a smart tool, so pending ones are included in the next result.

    It belongs to one process and is bounded. If another replica gets the next request, or the process was restarted,
    only the latest drawing gets a result.
    """

    def __init__(self) -> None:
        self._known: LRUCache[tuple[str, str], None] = LRUCache(_MAX_REMEMBERED)

    def waiting_boxes(self, task: str, drawn: Drawn) -> tuple[BoxPrompt, ...]:
        """Return the pending boxes in drawing order, and remember the last.

        Args:
            task: The task, in which region ids are unique.
            drawn: The drawings; no box waits together with a point.
        """
        if not isinstance(drawn.last, BoxPrompt):
            return ()
        before = [
            prompt
            for prompt in drawn.earlier
            if isinstance(prompt, BoxPrompt) and (task, prompt.region_id) in self._known
        ]
        waiting = (*before[-(_MAX_WAITING - 1) :], drawn.last)
        for prompt in waiting:
            self._known[task, prompt.region_id] = None
        return waiting


def _prompt(region: Mapping[str, object], size: Size) -> BoxPrompt | PointPrompt:
    kind = text_of(region, "type")
    if _number({"image_rotation": region.get("image_rotation") or 0}, "image_rotation") % 360:
        # Its coordinates are those of the rotated picture, and a result would need the same.
        raise PromptError("The picture is rotated in the editor. Rotate it back and draw again.")
    given = region.get("value")
    value = cast(Mapping[str, object], given if isinstance(given, Mapping) else {})
    names = value.get(kind)
    first = cast(list[object], names)[0] if isinstance(names, list) and names else ""
    label = first if isinstance(first, str) else ""
    identity = (text_of(region, "id"), *tags_of(region), label)
    if kind in {"rectanglelabels", "rectangle"}:
        return BoxPrompt(*identity, _box(value, size))
    if kind in {"keypointlabels", "keypoint"}:
        x, y = _pixels(value, "x", "y", size)
        if not (0 <= x <= size[0] and 0 <= y <= size[1]):
            raise PromptError("The drawn point is outside the picture. Draw it inside.")
        positive = value.get("is_positive", region.get("is_positive", True))
        return PointPrompt(*identity, x, y, positive not in (False, 0, "0", "false"))
    raise PromptError(f"A smart tool drew a '{kind[:40]}'. Use a rectangle or a keypoint.")


def _box(value: Mapping[str, object], size: Size) -> tuple[float, float, float, float]:
    """Return the drawn rectangle in pixels, clipped to the picture."""
    corner, shape = _pixels(value, "x", "y", size), _pixels(value, "width", "height", size)
    xs, ys = zip(*corners(corner, shape, _number(value, "rotation", 0.0)), strict=True)
    box = (max(min(xs), 0.0), max(min(ys), 0.0), min(max(xs), float(size[0])), min(max(ys), float(size[1])))
    if not (all(map(math.isfinite, box)) and box[2] - box[0] >= 1 and box[3] - box[1] >= 1):
        raise PromptError(
            "The drawn rectangle is smaller than a pixel or outside the picture. Draw it again."
        )
    return box


def _pixels(value: Mapping[str, object], across: str, down: str, size: Size) -> tuple[float, float]:
    return pixels(_number(value, across), _number(value, down), size)


def _number(value: Mapping[str, object], key: str, default: float = math.nan) -> float:
    number = value.get(key, default)
    if isinstance(number, int | float) and not isinstance(number, bool):
        try:
            finite = float(number)
        except OverflowError:
            finite = math.inf
        if math.isfinite(finite):
            return finite
    raise PromptError(f"The drawn region has no finite number for '{key}'. Draw it again.")


def labelled_as(image: ImageControls, drawn: BoxPrompt) -> ImageControls:
    """Return an image tag whose boxes get the label of the drawing, if it belongs to the same tag.

    Projects distinguish people by labels (`signer A`, `signer B`), so the chosen label must be kept.
    """
    if image.box is None or not drawn.label or drawn.from_name != image.box.name:
        return image
    return replace(image, box=replace(image.box, label=drawn.label))


def wanted_parts(prompt: PointPrompt, image: ImageControls) -> frozenset[Part] | None:
    """Return the parts that the label of a point requests; None for the whole person.

    The label of a finger requests its hand, and that of a point of the face the face. A label of the body requests the
    whole person, since people are clicked on their bodies.
    """
    for label in image.part_labels:
        if (label.control, label.label) == (prompt.from_name, prompt.label):
            return label.parts
    for control in image.keypoints:
        for label in control.labels:
            part = KEYPOINTS[label.index].part
            if label.label == prompt.label and part in _SEARCHED_PARTS:
                return frozenset((part,))
    return None


def meant_person(people: Sequence[Person], drawn: Drawn) -> int | None:
    """Return the index of the person that the annotator pointed at, or None.

    The last positive point selects. People under negative points are excluded.
    """
    points = [prompt for prompt in (*drawn.earlier, drawn.last) if isinstance(prompt, PointPrompt)]
    last = next((point for point in reversed(points) if point.positive), None)
    if last is None:
        return None
    excluded = {select_person(people, point) for point in points if not point.positive}
    left = [index for index in range(len(people)) if index not in excluded]
    chosen = select_person([people[index] for index in left], last)
    return None if chosen is None else left[chosen]


def select_person(people: Sequence[Person], point: PointPrompt) -> int | None:
    """Return the index of the person under a point, or None.

    Candidates are people whose box, slightly enlarged, contains the point. The one with the nearest skeleton in pixels
    is returned: boxes of people in a group overlap, their limbs hardly do. At equal distances the smaller box wins.
    """
    candidates = [
        (_distance_to_skeleton(person, point), person.area, index)
        for index, person in enumerate(people)
        if person.is_pointed_at(point.x, point.y)
    ]
    return min(candidates)[2] if candidates else None


def _distance_to_skeleton(person: Person, point: PointPrompt) -> float:
    """Return the distance in pixels from a point to the nearest line between two found keypoints.

    Without any such line, it is half the box's diagonal, usually more than that of a point on a person.
    """
    found = (person.scores > 0) & np.isfinite(person.keypoints).all(axis=1)
    lines = _LINES[found[_LINES].all(axis=1)]
    if not len(lines):
        x1, y1, x2, y2 = (float(edge) for edge in person.box)
        return math.hypot(x2 - x1, y2 - y1) / 2
    ends = person.keypoints.astype(np.float64)[lines]
    start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    to_point = np.array((point.x, point.y)) - start
    length_squared = np.maximum((along**2).sum(axis=1), 1e-9)
    share = np.clip((to_point * along).sum(axis=1) / length_squared, 0, 1)
    return float(np.linalg.norm(to_point - share[:, None] * along, axis=1).min())
