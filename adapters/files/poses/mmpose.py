"""MMPose's predictions: the JSON of `MMPoseInferencer` (`pred_out_dir`) and of its demos (`--save-predictions`).

A picture is a list of people; a clip is a list of `{"frame_id", "instances"}`, or has it under `instance_info`.
"""

from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from adapters.coco.reading import CocoError, CocoPerson, box_around, first_problem
from wholebody.schema import FEET_START, KEYPOINT_COUNT

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Person(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    keypoints: list[Annotated[list[Finite], Field(min_length=2, max_length=2)]]
    keypoint_scores: list[Finite]
    bbox: list[Finite] | Annotated[list[list[Finite]], Field(min_length=1, max_length=1)] | None = None
    bbox_score: Finite | None = None


class _Frame(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    instances: list[_Person]


_PEOPLE = TypeAdapter(list[_Person])
_FRAMES = TypeAdapter(list[_Frame])


def read_mmpose(document: object) -> tuple[list[tuple[CocoPerson, ...]], bool]:
    """Return the people of a picture, or of each frame of a clip, and whether it is a clip.

    Raises:
        CocoError: The document is no prediction of MMPose, or has other keypoints than 133 or COCO's 17.
    """
    content = document
    if isinstance(document, dict):
        content = cast("dict[str, object]", document).get("instance_info")
    is_clip = isinstance(content, list) and any(
        isinstance(item, dict) and "instances" in item for item in cast("list[Any]", content)[:1]
    )
    try:
        if is_clip:
            frames = [frame.instances for frame in _FRAMES.validate_python(content)]
        else:
            frames = [_PEOPLE.validate_python(content)]
    except ValidationError as error:
        raise CocoError(f"The document is no prediction of MMPose: {first_problem(error)}.") from error
    return [tuple(_person(one) for one in people) for people in frames], is_clip


def _person(one: _Person) -> CocoPerson:
    count = len(one.keypoints)
    if count not in {FEET_START, KEYPOINT_COUNT} or len(one.keypoint_scores) != count:
        raise CocoError(
            f"A person has {count} keypoints and {len(one.keypoint_scores)} scores; {KEYPOINT_COUNT} of COCO-WholeBody "
            f"or {FEET_START} of COCO are needed."
        )
    points = np.zeros((KEYPOINT_COUNT, 3))
    points[:count, :2] = one.keypoints
    points[:count, 2] = one.keypoint_scores
    box = _box(one, points)
    seen = points[points[:, 2] > 0, 2]
    score = (1.0 if one.bbox_score is None else one.bbox_score) * (float(seen.mean()) if len(seen) else 1.0)
    return CocoPerson(box, float(box[2] * box[3]), points[:, :2], points[:, 2], score, crowd=False)


def _box(one: _Person, points: NDArray[np.float64]) -> NDArray[np.float64]:
    edges = np.array(one.bbox if one.bbox is not None else [], np.float64).ravel()
    if edges.size != 4:
        return box_around(points)
    return np.concatenate([edges[:2], edges[2:] - edges[:2]])
