"""OpenPose's JSON: one person as BODY_25, a face of 70 points and two hands, and back.

Order of the points: https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md. Its hands
and the first 68 points of its face have the order of COCO-WholeBody.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.coco.reading import CocoError, Numbers
from adapters.sentences import first_problem
from wholebody.schema import KEYPOINT_COUNT, KEYPOINT_INDICES, PART_RANGES, Part

VERSION = 1.3
"""Of the JSON format."""
ENDING = "_keypoints.json"
"""Of the name of each file, as `--write_json` makes it."""

_DECIMALS, _SCORE_DECIMALS = 3, 4
_NECK, _MID_HIP = "neck", "mid_hip"
# fmt: off
_BODY_25 = (
    "nose", _NECK, "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    _MID_HIP, "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)
_COCO_18 = (
    "nose", _NECK, "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)
# fmt: on
_BODIES = {len(names): names for names in (_BODY_25, _COCO_18)}
_MIDDLES = {_NECK: ("left_shoulder", "right_shoulder"), _MID_HIP: ("left_hip", "right_hip")}
_PUPILS = 2
_FACE_68 = list(PART_RANGES[Part.FACE])
_HAND_FIELDS = {Part.LEFT_HAND: "hand_left_keypoints_2d", Part.RIGHT_HAND: "hand_right_keypoints_2d"}


def person_fields(keypoints: NDArray[Any], scores: NDArray[Any], number: int) -> dict[str, Any]:
    """Return an entry of `people`.

    The neck is the middle of the shoulders, the mid hip that of the hips; their score is the lower of both. OpenPose's
    two pupils have no counterpart and are 0.

    Args:
        keypoints: x, y in pixels, shape (133, 2).
        scores: Shape (133,); 0 where a point is missing, which is then written as 0, 0, 0.
        number: Of the person, for `person_id`; -1 if unknown, as OpenPose writes.
    """
    points = np.column_stack([keypoints, scores]).astype(np.float64)
    points[~(points[:, 2] > 0)] = 0
    body = np.zeros((len(_BODY_25), 3))
    for row, name in enumerate(_BODY_25):
        if name in KEYPOINT_INDICES:
            body[row] = points[KEYPOINT_INDICES[name]]
            continue
        ends = points[[KEYPOINT_INDICES[end] for end in _MIDDLES[name]]]
        if (ends[:, 2] > 0).all():
            body[row] = *ends[:, :2].mean(axis=0), ends[:, 2].min()
    return {
        "person_id": [number],
        "pose_keypoints_2d": _numbers(body),
        "face_keypoints_2d": _numbers(np.vstack([points[_FACE_68], np.zeros((_PUPILS, 3))])),
        **{field: _numbers(points[list(PART_RANGES[part])]) for part, field in _HAND_FIELDS.items()},
        "pose_keypoints_3d": [],
        "face_keypoints_3d": [],
        "hand_left_keypoints_3d": [],
        "hand_right_keypoints_3d": [],
    }


def _numbers(points: NDArray[np.float64]) -> list[float]:
    rounded = np.column_stack([points[:, :2].round(_DECIMALS), points[:, 2].round(_SCORE_DECIMALS)])
    return rounded.ravel().tolist()


def document(people: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the document of one picture, with entries of `person_fields`."""
    return {"version": VERSION, "people": list(people)}


_Numbers = Numbers | None


class _Person(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    pose_keypoints_2d: _Numbers = None
    face_keypoints_2d: _Numbers = None
    hand_left_keypoints_2d: _Numbers = None
    hand_right_keypoints_2d: _Numbers = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    people: list[_Person]


def read_people(document: object) -> list[NDArray[np.float64]]:
    """Return the people of a document: x, y in pixels and score, shape (133, 3) each; zeros where missing.

    A neck, a mid hip and pupils have no counterpart and are left out. Bodies of 25 and 18 points (OpenPose's COCO
    model) are known, faces of 70 and 68; a missing or empty group has no points.

    Raises:
        CocoError: The document is no JSON of OpenPose.
    """
    try:
        read = _Document.model_validate(document)
    except ValidationError as error:
        raise CocoError(f"It is no JSON of OpenPose: {first_problem(error)}.") from error
    return [_read_person(person, f"people.{position}") for position, person in enumerate(read.people)]


def _read_person(person: _Person, where: str) -> NDArray[np.float64]:
    points = np.zeros((KEYPOINT_COUNT, 3))
    body = _rows(person.pose_keypoints_2d, (*_BODIES,), f"{where}.pose_keypoints_2d")
    for row, name in zip(body, _BODIES.get(len(body), ()), strict=True):
        if name in KEYPOINT_INDICES:
            points[KEYPOINT_INDICES[name]] = row
    face = _rows(person.face_keypoints_2d, (70, 68), f"{where}.face_keypoints_2d")
    left = _rows(person.hand_left_keypoints_2d, (21,), f"{where}.hand_left_keypoints_2d")
    right = _rows(person.hand_right_keypoints_2d, (21,), f"{where}.hand_right_keypoints_2d")
    for part, rows in ((Part.FACE, face), (Part.LEFT_HAND, left), (Part.RIGHT_HAND, right)):
        if len(rows):
            points[list(PART_RANGES[part])] = rows[: len(PART_RANGES[part])]
    points[~(points[:, 2] > 0)] = 0
    return points


def _rows(numbers: _Numbers, counts: Sequence[int], where: str) -> NDArray[np.float64]:
    """Return x, y, score of each point of a group, shape (n, 3)."""
    rows = np.array(numbers or [], np.float64)
    if rows.size and rows.size not in {3 * count for count in counts}:
        needed = " or ".join(str(3 * count) for count in counts)
        raise CocoError(f"{where} has {rows.size} numbers; {needed} are needed.")
    return rows.reshape(-1, 3)
