"""Reads COCO JSON, from this or another program: COCO-WholeBody, COCO's 17 keypoints, or all 133 in one list."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from adapters.coco.document import PART_FIELDS
from adapters.sentences import first_problem
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

MAX_BYTES = 2 * 1024**3
"""Largest file that is read."""

PictureKey: TypeAlias = tuple[object, ...]
"""Pictures of two files with equal keys are the same picture."""


class CocoError(Exception):
    """A file is no valid COCO JSON; the message says where."""


@dataclass(frozen=True)
class CocoPerson:
    """A person.

    Attributes:
        box: x, y, width, height in pixels, shape (4,).
        area: Of the outline in square pixels.
        keypoints: x, y in pixels, shape (133, 2).
        visibility: COCO's flags, shape (133,): 0 is not annotated, or not predicted. Of predictions with scores of
            keypoints, these.
        score: Confidence of a prediction.
        crowd: Whether the box is around a crowd, without individual people.
    """

    box: NDArray[np.float64]
    area: float
    keypoints: NDArray[np.float64]
    visibility: NDArray[np.float64]
    score: float
    crowd: bool

    @property
    def edges(self) -> NDArray[np.float64]:
        """The box as x1, y1, x2, y2, shape (4,)."""
        return np.concatenate([self.box[:2], self.box[:2] + self.box[2:]])


@dataclass(frozen=True)
class CocoPicture:
    """A picture and its people.

    Attributes:
        file_name: Its name.
        task: Number of its task, if it comes from Label Studio.
        people: Its people.
        number: Its id, which lists of results refer to.
        size: Width and height in pixels, if the file says so.
        frame: Its number in a clip, from 0, if it is a frame.
    """

    file_name: str
    task: int | None
    people: tuple[CocoPerson, ...]
    number: int = 0
    size: tuple[int, int] | None = None
    frame: int | None = None


def read_coco_file(path: Path) -> dict[PictureKey, CocoPicture]:
    """Read a file.

    Raises:
        CocoError: The file cannot be read, is too large, or is no COCO JSON.
    """
    try:
        return read_coco(read_json_file(path))
    except CocoError as error:
        raise CocoError(f"{path}: {error}") from error


def file_bytes(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        CocoError: It cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise CocoError(f"It has more than {most_bytes} bytes. Split it.")
        return path.read_bytes()
    except OSError as error:
        raise CocoError(f"It cannot be read: {error.strerror}.") from error


def read_json_file(path: Path) -> object:
    """Return the content of a JSON file.

    Raises:
        CocoError: The file cannot be read, is too large, or is no JSON.
    """
    try:
        return json.loads(file_bytes(path, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise CocoError(f"It is not JSON: {error}.") from error


def read_coco(document: object) -> dict[PictureKey, CocoPicture]:
    """Read a document.

    Returns:
        Pictures by key: task, Image tag and frame in files of this program, otherwise the file name.

    Raises:
        CocoError: The document is no COCO JSON.
    """
    try:
        read = _Document.model_validate(document)
    except ValidationError as error:
        raise CocoError(f"The document is no COCO JSON: {first_problem(error)}.") from error
    people: dict[int, list[CocoPerson]] = {}
    for image in read.images:
        if image.id in people:
            raise CocoError(f"Two images have the id {image.id}.")
        people[image.id] = []
    for position, annotation in enumerate(read.annotations):
        if annotation.image_id not in people:
            raise CocoError(f"Annotation {position} refers to the missing image {annotation.image_id}.")
        people[annotation.image_id].append(_person(annotation, f"Annotation {position}"))
    pictures: dict[PictureKey, CocoPicture] = {}
    for image in read.images:
        if image.key in pictures:
            raise CocoError(
                f"The picture {image.file_name!r} occurs twice. If tasks have several annotations, compare one of each "
                "(without --all-annotations)."
            )
        pictures[image.key] = CocoPicture(
            image.file_name, image.task_id, tuple(people[image.id]), image.id, image.size, image.frame
        )
    return pictures


def read_results(document: object, listed: Mapping[PictureKey, CocoPicture]) -> dict[PictureKey, CocoPicture]:
    """Read a list of results, as pycocotools' `loadRes` takes it.

    Args:
        document: The list.
        listed: The pictures that its `image_id` refers to.

    Returns:
        All of these pictures, with the people of the results; a picture without results has none.

    Raises:
        CocoError: The document is no list of results, or names another picture.
    """
    try:
        read = _RESULTS.validate_python(document)
    except ValidationError as error:
        raise CocoError(f"The document is no list of COCO results: {first_problem(error)}.") from error
    people: dict[int, list[CocoPerson]] = {picture.number: [] for picture in listed.values()}
    for position, result in enumerate(read):
        if result.image_id not in people:
            lacking = (
                "is not in the COCO file of the pictures"
                if listed
                else "the file does not name: give --pictures"
            )
            raise CocoError(f"Result {position} refers to image {result.image_id}, which {lacking}.")
        people[result.image_id].append(_person(result, f"Result {position}"))
    return {key: replace(picture, people=tuple(people[picture.number])) for key, picture in listed.items()}


Finite = Annotated[float, Field(allow_inf_nan=False)]
Numbers = list[Finite]


class _Image(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: int
    file_name: str
    task_id: int | None = None
    image_tag: str | None = None
    frame: int | None = None
    width: int = 0
    height: int = 0

    @property
    def size(self) -> tuple[int, int] | None:
        return (self.width, self.height) if min(self.width, self.height) > 0 else None

    @property
    def key(self) -> PictureKey:
        if self.task_id is None:
            return (self.file_name,)
        return (self.task_id, self.image_tag, self.frame)


class _Annotation(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    image_id: int
    bbox: Annotated[Numbers, Field(min_length=4, max_length=4)] | None = None
    area: Annotated[Finite, Field(ge=0)] | None = None
    score: Finite = 1.0
    iscrowd: bool = False
    keypoints: Numbers
    foot_kpts: Numbers | None = None
    face_kpts: Numbers | None = None
    lefthand_kpts: Numbers | None = None
    righthand_kpts: Numbers | None = None
    keypoint_scores: Numbers | None = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    images: list[_Image]
    annotations: list[_Annotation]


_RESULTS = TypeAdapter(list[_Annotation])


def _person(annotation: _Annotation, title: str) -> CocoPerson:
    points = _points(annotation, title)
    if annotation.keypoint_scores is not None:
        points[:, 2] = _scores(annotation.keypoint_scores, points[:, 2], title)
    box = box_around(points) if annotation.bbox is None else np.array(annotation.bbox)
    area = float(box[2] * box[3]) if annotation.area is None else annotation.area
    return CocoPerson(box, area, points[:, :2], points[:, 2], annotation.score, annotation.iscrowd)


def _scores(scores: Numbers, flags: NDArray[np.float64], title: str) -> NDArray[np.float64]:
    """Return the scores of visible keypoints, which are above 0; 0 for others."""
    if len(scores) != KEYPOINT_COUNT:
        raise CocoError(f"{title} has {len(scores)} keypoint_scores; {KEYPOINT_COUNT} are needed.")
    return np.where(flags > 0, np.array(scores).clip(np.finfo(np.float32).tiny), 0)


def box_around(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x, y, width, height around the visible ones of points, shape (n, 3); zeros if there are none."""
    seen = points[points[:, 2] > 0, :2]
    if not len(seen):
        return np.zeros(4)
    return np.concatenate([seen.min(axis=0), np.ptp(seen, axis=0)])


def person_of_points(points: NDArray[np.float64]) -> CocoPerson:
    """Return a person of points, shape (133, 3), whose score is the mean of those that were found."""
    box, seen = box_around(points), points[points[:, 2] > 0, 2]
    score = float(seen.mean()) if len(seen) else 0.0
    return CocoPerson(box, float(box[2] * box[3]), points[:, :2], points[:, 2], score, crowd=False)


def _points(annotation: _Annotation, title: str) -> NDArray[np.float64]:
    """Return x, y, v of all keypoints, shape (133, 3); zeros for a missing group."""
    fields: Mapping[str, Any] = dict(annotation)
    others = [fields[PART_FIELDS[part].keypoints] for part in PART_RANGES if part is not Part.BODY]
    if len(annotation.keypoints) == 3 * KEYPOINT_COUNT and others == [None] * len(others):
        return np.array(annotation.keypoints).reshape(-1, 3)
    return np.concatenate([_group(fields[PART_FIELDS[part].keypoints], part, title) for part in PART_RANGES])


def _group(numbers: Numbers | None, part: Part, title: str) -> NDArray[np.float64]:
    count = len(PART_RANGES[part])
    if numbers is None:
        return np.zeros((count, 3))
    if len(numbers) != 3 * count:
        alone = f", or {3 * KEYPOINT_COUNT} for all keypoints" if part is Part.BODY else ""
        raise CocoError(
            f"{title} has {len(numbers)} numbers in {PART_FIELDS[part].keypoints!r}; {count} keypoints need "
            f"{3 * count}{alone}."
        )
    return np.array(numbers).reshape(count, 3)
