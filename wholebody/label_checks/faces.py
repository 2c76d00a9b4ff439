"""Faces with labels in the wrong order: mirrored, or with a shifted or reversed jaw.

A face is nearly rigid. Its points in the picture are a linear image of their places on the head, whichever way it
turns, so the wrong order leaves a larger remainder.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wholebody.label_checks.finding import (
    LEAST_SCORE,
    Finding,
    Kind,
    LabelledPerson,
    Points,
    positions,
    suspicion,
)
from wholebody.schema import FACE_KEYPOINTS, FACE_START, KEYPOINTS

THRESHOLD = 12.0
"""Evidence at which a wrong order is reported: the difference of costs, as of log-likelihoods."""

_FEWEST = 40  # points of a face that is checked
_JAW = 17
_SPREAD = 0.05  # of points around the rigid face, in its radii
_INDEPENDENT = 0.25  # share of the points that count: neighbours deviate alike
_LEAST_RADIUS = 8.0  # pixels: the points of smaller faces are too imprecise
_FROM_BEHIND = 20.0  # cost of a face that is seen through the back of the head
_PROFILE = 0.15  # the face as seen from the side: 1 faces the camera, -1 looks away
_SHIFTS = (-3, -2, -1, 1, 2, 3)


def _shape() -> NDArray[np.float64]:
    """Return the places of the 68 points on a head: x to the left, y down, z forward, in millimetres.

    Rounded proportions of an adult face with a relaxed mouth, set by hand.
    """
    jaw = (
        *((-73, -30, -60), (-72, -10, -58), (-70, 10, -53), (-65, 30, -46), (-57, 47, -36)),
        *((-46, 62, -22), (-33, 74, -8), (-17, 82, 2), (0, 85, 6)),
    )
    brow = ((-58, -48, -8), (-49, -56, 4), (-38, -58, 12), (-26, -55, 17), (-14, -50, 20))
    nose = ((0, -33, 20), (0, -20, 27), (0, -7, 35), (0, 5, 40), (-15, 15, 20), (-8, 18, 24), (0, 20, 27))
    eye = ((-45, -32, 3), (-37, -38, 9), (-27, -38, 11), (-18, -32, 8), (-27, -28, 10), (-37, -28, 8))
    upper_lip = ((-27, 44, 10), (-17, 38, 20), (-7, 34, 26), (0, 36, 27))
    lower_lip = ((0, 55, 24), (-8, 54, 23), (-18, 51, 18))
    inner_lips = {60: (-23, 44, 13), 61: (-8, 41, 22), 62: (0, 42, 23), 66: (0, 47, 22), 67: (-8, 46, 21)}
    lines = {0: jaw, 17: brow, 27: nose, 36: eye, 48: upper_lip, 57: lower_lip}
    right = {start + i: place for start, line in lines.items() for i, place in enumerate(line)} | inner_lips
    shape = np.zeros((FACE_KEYPOINTS, 3))
    for index, place in right.items():
        shape[index] = place
        twin = KEYPOINTS[FACE_START + index].twin - FACE_START
        if twin != index:
            shape[twin] = (-place[0], *place[1:])
    return shape


_SHAPE = np.column_stack([_shape(), np.ones(FACE_KEYPOINTS)])


@dataclass(frozen=True)
class _Mistake:
    reason: str
    order: tuple[int, ...]


def _mistakes() -> list[_Mistake]:
    rest = tuple(range(_JAW, FACE_KEYPOINTS))
    twins = [KEYPOINTS[FACE_START + index].twin - FACE_START for index in range(FACE_KEYPOINTS)]
    found = [
        _Mistake("face: left and right are swapped", tuple(twins)),
        _Mistake("face: the jaw is in reverse order", (*range(_JAW - 1, -1, -1), *rest)),
        _Mistake("face: left and right are swapped except for the jaw", (*range(_JAW), *twins[_JAW:])),
    ]
    for shift in _SHIFTS:
        jaw = tuple((index + shift) % _JAW for index in range(_JAW))
        points = f"{abs(shift)} point{'' if abs(shift) == 1 else 's'}"
        found.append(_Mistake(f"face: the order of the jaw is shifted by {points}", (*jaw, *rest)))
    return found


_MISTAKES = _mistakes()
_ORDERS = np.array([tuple(range(FACE_KEYPOINTS)), *(mistake.order for mistake in _MISTAKES)])


def face_out_of_order(person: LabelledPerson, position: int) -> list[Finding]:
    """Return the most plausible wrong order of a person's face, if there is one.

    Args:
        person: The person.
        position: Their position in the picture.
    """
    face = positions(person)[FACE_START : FACE_START + FACE_KEYPOINTS]
    if np.isfinite(face[:, 0]).sum() < _FEWEST:
        return []
    costs = face_costs(face[_ORDERS])
    gains = costs[0] - costs[1:]
    best = int(gains.argmax())
    score = suspicion(float(gains[best]), THRESHOLD)
    if score < LEAST_SCORE:
        return []
    mistake = _MISTAKES[best]
    moved = (FACE_START + index for index, other in enumerate(mistake.order) if index != other)
    keypoints = tuple(index for index in moved if person.seen[index])
    kind = Kind.SWAPPED if best == 0 else Kind.SHIFTED_ORDER
    return [Finding(kind, (position,), keypoints, mistake.reason, score)]


def face_costs(faces: Points) -> NDArray[np.float64]:
    """Return how far versions of one face are from a rigid head, shape (versions,); lower is better.

    Args:
        faces: x, y in pixels, NaN where missing, shape (versions, 68, 2). The first one is the annotation.
    """
    known = np.isfinite(faces[0, :, 0])
    centre = faces[0, known].mean(axis=0)
    radius = max(float(np.sqrt(((faces[0, known] - centre) ** 2).sum(axis=1).mean())), _LEAST_RADIUS)
    costs = np.empty(len(faces))
    for version, face in enumerate(faces):
        there = np.isfinite(face[:, 0])
        place = _SHAPE[there]
        image = np.linalg.pinv(place) @ face[there]
        remainder = float(((face[there] - place @ image) ** 2).sum())
        # A mirrored face is as good an image as the right one, but seen through the back of the head.
        facing = float(np.linalg.det(image[:2])) / max(float((image[:3] ** 2).sum()) / 2, 1e-9)
        behind = min((max(-facing - _PROFILE, 0.0) / _PROFILE) ** 2, 1.0)
        costs[version] = _INDEPENDENT * remainder / (2 * (_SPREAD * radius) ** 2) + _FROM_BEHIND * behind
    return costs
