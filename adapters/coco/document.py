"""Writes people as COCO-WholeBody JSON: one annotation per person with the five groups of keypoints.

Fields of the keypoints: https://github.com/jin-s13/COCO-WholeBody/blob/master/data_format.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.coco.picture_names import file_names
from adapters.label_studio.annotations.people import AnnotatedPerson, AnnotatedPicture
from wholebody.schema import FEET_START, KEYPOINTS, PART_RANGES, SKELETON, Part

OUTLINE_SHARE = 0.53
"""Share of a person's box that their outline covers. COCO's `area` is that of the outline, which is not annotated
here. MMPose and xtcocotools use the same share for missing outlines."""

_PERSON = 1
_DECIMALS = 2  # of a pixel


@dataclass(frozen=True)
class PartFields:
    """Names of a part's fields in an annotation.

    Attributes:
        keypoints: Of the list x, y, v for each keypoint.
        valid: Of the flag that says whether anything of the part is annotated; None for the body, which has none.
        box: Of its box x, y, width, height; None for body (it has `bbox`) and feet.
    """

    keypoints: str
    valid: str | None = None
    box: str | None = None


PART_FIELDS: dict[Part, PartFields] = {
    Part.BODY: PartFields("keypoints"),
    Part.FEET: PartFields("foot_kpts", "foot_valid"),
    Part.FACE: PartFields("face_kpts", "face_valid", "face_box"),
    Part.LEFT_HAND: PartFields("lefthand_kpts", "lefthand_valid", "lefthand_box"),
    Part.RIGHT_HAND: PartFields("righthand_kpts", "righthand_valid", "righthand_box"),
}
"""In the order of the 133 keypoints."""


@dataclass(frozen=True)
class PictureOfTask:
    """A picture of a task, and the people drawn on it.

    Attributes:
        task: Number of the task.
        annotation: Number of the annotation, or None for a prediction.
        address: Of the picture, as in the task's data; "" if unknown.
        drawn: The people drawn on it.
    """

    task: int
    annotation: int | None
    address: str
    drawn: AnnotatedPicture

    @property
    def key(self) -> tuple[int, str, int | None]:
        """What makes it this picture: task, Image tag and frame."""
        return self.task, self.drawn.image, self.drawn.frame


def coco_document(
    pictures: Sequence[PictureOfTask],
    description: str,
    *,
    with_scores: bool,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Write pictures and their people.

    Args:
        pictures: The pictures. One that was annotated twice is included twice, with an id for each annotation.
        description: Their source.
        with_scores: Whether people have a `score`, as predictions do.
        names: `file_name` of each picture; by default the end of its address.

    Returns:
        A document for `json.dump`. In addition to COCO's fields, an image has `address` and its source: `task_id`,
        `annotation_id`, `image_tag` and `frame`.
    """
    if names is None:
        names = picture_names(pictures)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (one, name) in enumerate(zip(pictures, names, strict=True), start=1):
        width, height = one.drawn.size
        images.append(
            {
                "id": number,
                "file_name": name,
                "width": width,
                "height": height,
                "address": "" if one.address.startswith("data:") else one.address,
                "task_id": one.task,
                "annotation_id": one.annotation,
                "image_tag": one.drawn.image,
                "frame": one.drawn.frame,
            }
        )
        for person in one.drawn.people:
            annotation = person_annotation(person, image=number, number=len(annotations) + 1)
            if with_scores:
                annotation["score"] = round(person.score, 4)
            annotations.append(annotation)
    return {
        "info": {"description": description},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [person_category()],
    }


def picture_names(pictures: Sequence[PictureOfTask]) -> list[str]:
    """Return a file name for each picture: the shortest end of its address that is unique."""
    return file_names([(one.address, _name(one)) for one in pictures])


def _name(one: PictureOfTask) -> str:
    return f"task-{one.task}" if one.drawn.frame is None else f"task-{one.task}-{one.drawn.frame}"


def person_annotation(person: AnnotatedPerson, *, image: int, number: int) -> dict[str, Any]:
    """Return the annotation of a person, with the numbers of their image and of the annotation."""
    x1, y1, x2, y2 = (float(edge) for edge in person.box)
    annotation: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "category_id": _PERSON,
        "iscrowd": 0,
        "bbox": _box(x1, y1, x2, y2),
        "area": round(max((x2 - x1) * (y2 - y1) * OUTLINE_SHARE, 1.0), _DECIMALS),
        "num_keypoints": int(np.count_nonzero(person.visibility[:FEET_START])),
    }
    for part, fields in PART_FIELDS.items():
        indices = list(PART_RANGES[part])
        points, flags = person.keypoints[indices], person.visibility[indices]
        annotation[fields.keypoints] = [
            number
            for (x, y), flag in zip(points, flags, strict=True)
            for number in (round(float(x), _DECIMALS), round(float(y), _DECIMALS), int(flag))
        ]
        annotated = points[flags > 0]
        if fields.valid is not None:
            annotation[fields.valid] = bool(len(annotated))
        if fields.box is not None:
            annotation[fields.box] = (
                _box(*map(float, (*annotated.min(axis=0), *annotated.max(axis=0))))
                if len(annotated)
                else [0.0, 0.0, 0.0, 0.0]
            )
    return annotation


def _box(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    return [round(number, _DECIMALS) for number in (x1, y1, x2 - x1, y2 - y1)]


def person_category() -> dict[str, Any]:
    """COCO's person category: names and bones of the body, and of the other groups in fields of their own."""
    category: dict[str, Any] = {"id": _PERSON, "name": "person", "supercategory": "person"}
    for part, fields in PART_FIELDS.items():
        category[fields.keypoints] = [KEYPOINTS[index].name for index in PART_RANGES[part]]
    body = PART_RANGES[Part.BODY]
    category["skeleton"] = [
        [a + 1, b + 1] for a, b in SKELETON if a in body and b in body
    ]  # COCO counts from 1
    return category
