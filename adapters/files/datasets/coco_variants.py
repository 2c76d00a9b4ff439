"""COCO with other keypoints than COCO-WholeBody's groups: MMPose's single list, COCO's 17, and lists of results."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapters.coco.document import PART_FIELDS, PictureOfTask
from wholebody.schema import KEYPOINTS, SKELETON, Part

_DECIMALS = 4
_BODY = PART_FIELDS[Part.BODY].keypoints
_GROUPS = [fields.keypoints for fields in PART_FIELDS.values()]
_OF_GROUPS = {
    name for fields in PART_FIELDS.values() for name in (fields.keypoints, fields.valid, fields.box)
}
_OTHER_GROUPS = _OF_GROUPS - {_BODY}


def one_list(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a COCO-WholeBody document with all 133 keypoints in `keypoints`, as MMPose's own data sets have them."""
    annotations: list[dict[str, Any]] = []
    for person in document["annotations"]:
        numbers = [number for group in _GROUPS for number in person[group]]
        annotations.append(
            _without_groups(person)
            | {_BODY: numbers, "num_keypoints": sum(flag > 0 for flag in numbers[2::3])}
        )
    category = _without_groups(document["categories"][0]) | {
        _BODY: [keypoint.name for keypoint in KEYPOINTS],
        "skeleton": [[a + 1, b + 1] for a, b in SKELETON],
    }
    return {**document, "annotations": annotations, "categories": [category]}


def body_only(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a COCO-WholeBody document with the 17 keypoints of COCO."""
    return {
        **document,
        "annotations": [_without_groups(person) for person in document["annotations"]],
        "categories": [_without_groups(category) for category in document["categories"]],
    }


def _without_groups(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _OTHER_GROUPS}


def results(
    predicted: Sequence[PictureOfTask], document: Mapping[str, Any], annotated: Sequence[PictureOfTask]
) -> tuple[list[dict[str, Any]], int]:
    """Return a list of results, as pycocotools' `loadRes` reads it.

    Args:
        predicted: The predictions.
        document: The same as a COCO-WholeBody document.
        annotated: The annotated pictures of the project; the numbers of the images are those of their document. Without
            any, they are those of `document`.

    Returns:
        The results, each keypoint with its score in place of a visibility; and the number of predicted pictures that
        are not annotated, which a list of results cannot name.
    """
    numbers = {one.key: number for number, one in enumerate(annotated or predicted, start=1)}
    people = iter(document["annotations"])
    listed: list[dict[str, Any]] = []
    for one in predicted:
        for person in one.drawn.people:
            fields = next(people)
            if one.key not in numbers:
                continue
            scores = np.where(person.visibility > 0, person.scores.clip(0, 1), 0).round(_DECIMALS)
            result: dict[str, Any] = {
                "image_id": numbers[one.key],
                "category_id": fields["category_id"],
                "bbox": fields["bbox"],
                "score": fields["score"],
            }
            start = 0
            for group in _GROUPS:
                points: list[float] = list(fields[group])
                count = len(points) // 3
                points[2::3] = scores[start : start + count].tolist()
                result[group] = points
                start += count
            listed.append(result)
    return listed, sum(one.key not in numbers for one in predicted)
