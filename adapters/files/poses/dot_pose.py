"""Reads `.pose` files of sign-language-processing, by the library pose-format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pose_format import Pose

from adapters.coco.reading import CocoError, CocoPicture, PictureKey, file_bytes, person_of_points
from wholebody.schema import KEYPOINT_COUNT, KEYPOINT_INDICES, PART_RANGES, Part

MAX_BYTES = 512 * 1024**2
"""Largest file that is read: an hour of one person has 170 MB."""

_SUFFIX_133 = "_133"  # pose-format's AlphaPose header: the same points under such names
_PARTS = {"FACE": Part.FACE, "LEFT_HAND": Part.LEFT_HAND, "RIGHT_HAND": Part.RIGHT_HAND}
_KNOWN = "COCO-WholeBody (BODY, FACE, LEFT_HAND, RIGHT_HAND) or OpenPose (pose_keypoints_2d, …)"
_OPENPOSE_PARTS = {
    "face_keypoints_2d": Part.FACE,
    "hand_left_keypoints_2d": Part.LEFT_HAND,
    "hand_right_keypoints_2d": Part.RIGHT_HAND,
}
_SIDES = {"L": "left_", "R": "right_"}


def read_dot_pose(path: Path) -> dict[PictureKey, CocoPicture]:
    """Return the frames of a clip; each has the name of the file without ending, its number, and the clip's size.

    Headers of COCO-WholeBody, AlphaPose with 133 points and OpenPose are known. Masked points, and those with
    confidence 0, are missing.

    Raises:
        CocoError: The file cannot be read, or has other points.
    """
    content = file_bytes(path, MAX_BYTES)
    try:
        pose = Pose.read(content)
    except Exception as error:  # the library raises whatever its parts do for a damaged file
        raise CocoError(f"It is no .pose file, or damaged ({type(error).__name__}).") from error
    components: Sequence[Any] = pose.header.components
    places = _places(components)
    points = _points(pose.body, places)
    size = (int(pose.header.dimensions.width), int(pose.header.dimensions.height))
    return {
        (path.stem, frame): CocoPicture(
            path.stem,
            None,
            tuple(person_of_points(person) for person in people if (person[:, 2] > 0).any()),
            size=size if min(size) > 0 else None,
            frame=frame,
        )
        for frame, people in enumerate(points)
    }


def _places(components: Sequence[Any]) -> NDArray[np.intp]:
    """Return the index of the keypoint of each point of a header, -1 for others."""
    places: list[int] = []
    for component in components:
        name: str = component.name.removesuffix(_SUFFIX_133)
        points: Sequence[str] = component.points
        part = _PARTS.get(name) or _OPENPOSE_PARTS.get(name)
        if part is not None:
            indices = PART_RANGES[part]
            if len(points) < len(indices):
                raise CocoError(f"{component.name} has {len(points)} points; {len(indices)} are needed.")
            # What comes after them are OpenPose's pupils.
            places += [*indices, *(-1 for _ in points[len(indices) :])]
        else:
            places += [KEYPOINT_INDICES.get(_named(point), -1) for point in points]
    if max(places, default=-1) < 0:
        names = ", ".join(str(component.name)[:40] for component in components[:8])
        raise CocoError(f"Its points are those of {names or 'nothing'}. Known are {_KNOWN}.")
    return np.array(places, np.intp)


def _named(point: str) -> str:
    """Return our name of a point of a body, from `left_big_toe` or OpenPose's `LBigToe`."""
    if point in KEYPOINT_INDICES or not point:
        return point
    side, rest = (_SIDES[point[0]], point[1:]) if point[0] in _SIDES and point[1:2].isupper() else ("", point)
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in rest)
    return side + words.removeprefix("_")


def _points(body: Any, places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return x, y, score of all keypoints, shape (frames, people, 133, 3); zeros where missing."""
    data = np.ma.getdata(body.data)[..., :2].astype(np.float64)
    scores = np.ma.filled(np.ma.asarray(body.confidence), 0).astype(np.float64)
    if data.shape[2:] != (len(places), 2):
        raise CocoError(
            f"It has {data.shape[2]} points a person, and {len(places)} with x and y in its header."
        )
    hidden = np.ma.getmaskarray(body.data)[..., 0] | ~np.isfinite(data).all(axis=-1) | ~(scores > 0)
    rows = np.concatenate([data, scores[..., None]], axis=-1)
    rows[hidden] = 0
    points = np.zeros((*data.shape[:2], KEYPOINT_COUNT, 3))
    known = np.flatnonzero(places >= 0)
    points[:, :, places[known]] = rows[:, :, known]
    return points
