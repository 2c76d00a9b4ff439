"""Reads COCO-WholeBody JSON, from this or another program, for comparison."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.coco.document import PART_FIELDS
from wholebody.schema import PART_RANGES, Part

MAX_BYTES = 2 * 1024**3
"""Largest file that is read."""

PictureKey: TypeAlias = tuple[object, ...]
"""Pictures of two files with equal keys are the same picture."""


class CocoError(Exception):
    """A file is no valid COCO-WholeBody JSON; the message says where."""


@dataclass(frozen=True)
class CocoPerson:
    """A person.

    Attributes:
        box: x, y, width, height in pixels, shape (4,).
        area: Of the outline in square pixels.
        keypoints: x, y in pixels, shape (133, 2).
        visibility: COCO's flags, shape (133,): 0 is not annotated, or not predicted.
        score: Confidence of a prediction.
        crowd: Whether the box is around a crowd, without individual people.
    """

    box: NDArray[np.float64]
    area: float
    keypoints: NDArray[np.float64]
    visibility: NDArray[np.float64]
    score: float
    crowd: bool


@dataclass(frozen=True)
class CocoPicture:
    """A picture and its people.

    Attributes:
        file_name: Its name.
        task: Number of its task, if it comes from Label Studio.
        people: Its people.
    """

    file_name: str
    task: int | None
    people: tuple[CocoPerson, ...]


def read_coco_file(path: Path) -> dict[PictureKey, CocoPicture]:
    """Read a file.

    Raises:
        CocoError: The file cannot be read, is too large, or is no COCO-WholeBody JSON.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CocoError(f"{path} has more than {MAX_BYTES} bytes. Split it.")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise CocoError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CocoError(f"{path} is not JSON: {error}.") from error
    try:
        return read_coco(document)
    except CocoError as error:
        raise CocoError(f"{path}: {error}") from error


def read_coco(document: object) -> dict[PictureKey, CocoPicture]:
    """Read a document.

    Returns:
        Pictures by key: task, Image tag and frame in files of this program, otherwise the file name.

    Raises:
        CocoError: The document is no COCO-WholeBody JSON.
    """
    try:
        read = _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise CocoError(
            f"The document is no COCO-WholeBody JSON: {where or 'it'}: {first['msg']}."
        ) from error
    people: dict[int, list[CocoPerson]] = {}
    for image in read.images:
        if image.id in people:
            raise CocoError(f"Two images have the id {image.id}.")
        people[image.id] = []
    for position, annotation in enumerate(read.annotations):
        if annotation.image_id not in people:
            raise CocoError(f"Annotation {position} refers to the missing image {annotation.image_id}.")
        people[annotation.image_id].append(_person(annotation, position))
    pictures: dict[PictureKey, CocoPicture] = {}
    for image in read.images:
        if image.key in pictures:
            raise CocoError(
                f"The picture {image.file_name!r} occurs twice. If tasks have several annotations, compare one of each "
                "(without --all-annotations)."
            )
        pictures[image.key] = CocoPicture(image.file_name, image.task_id, tuple(people[image.id]))
    return pictures


Finite = Annotated[float, Field(allow_inf_nan=False)]
Numbers = list[Finite]


class _Image(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: int
    file_name: str
    task_id: int | None = None
    image_tag: str | None = None
    frame: int | None = None

    @property
    def key(self) -> PictureKey:
        if self.task_id is None:
            return (self.file_name,)
        return (self.task_id, self.image_tag, self.frame)


class _Annotation(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    image_id: int
    bbox: Annotated[Numbers, Field(min_length=4, max_length=4)]
    area: Annotated[Finite, Field(ge=0)] | None = None
    score: Finite = 1.0
    iscrowd: bool = False
    keypoints: Numbers
    foot_kpts: Numbers
    face_kpts: Numbers
    lefthand_kpts: Numbers
    righthand_kpts: Numbers


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    images: list[_Image]
    annotations: list[_Annotation]


def _person(annotation: _Annotation, position: int) -> CocoPerson:
    fields: Mapping[str, Any] = dict(annotation)
    groups = [_group(fields[PART_FIELDS[part].keypoints], part, position) for part in PART_RANGES]
    numbers = np.concatenate(groups)
    box = np.array(annotation.bbox)
    area = float(box[2] * box[3]) if annotation.area is None else annotation.area
    return CocoPerson(box, area, numbers[:, :2], numbers[:, 2], annotation.score, annotation.iscrowd)


def _group(numbers: Numbers, part: Part, position: int) -> NDArray[np.float64]:
    count = len(PART_RANGES[part])
    if len(numbers) != 3 * count:
        raise CocoError(
            f"Annotation {position} has {len(numbers)} numbers in {PART_FIELDS[part].keypoints!r}; {count} keypoints "
            f"need {3 * count}."
        )
    return np.array(numbers).reshape(count, 3)
