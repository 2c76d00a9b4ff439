"""Face search: where to detect, which meshes to accept, and the 68 face keypoints of a mesh.

The body network finds nose, eyes and ears. A face detector searches a square around them. The detected face sets the
region of the mesh network, as in MediaPipe's face pipeline (face_detection_front_detection_to_roi.pbtxt). A mesh is
accepted if its nose and eyes agree with the body's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wholebody import clicks
from wholebody.clicks import Click, distance_to_points
from wholebody.geometry import Points, SquareRegion, angle_to, bounding_rectangle, region_round
from wholebody.schema import FEET_START

NOSE, LEFT_EYE, RIGHT_EYE = 0, 1, 2
HEAD = slice(0, 5)  # nose, eyes, ears
# Halpe-26 has two more head points, which give the size of a head in profile.
HALPE_CROWN, HALPE_NECK = 17, 18

JOINT_SCORE = 0.3
"""Least score of nose and eyes for a face search."""
REGION_PER_SPAN = 3.0
"""Side of the square to search, in spans of nose, eyes and ears."""
SPAN_PER_HEAD = 0.4
"""Least span, as a share of the distance from neck to crown."""
SMALLEST_REGION = 8.0
"""Pixels."""

DETECTION_SCORE = 0.5
DETECTION_AGREEMENT = 0.25
"""Largest distance of the detected face from the body's, in sides of the searched region."""
MESH_SCALE, MESH_SHIFT = 2.0, -0.1
"""MediaPipe's scale of the detected points' bounding square, and its shift towards the forehead."""
NEXT_MESH_SCALE = 1.5
"""MediaPipe's scale of the mesh's bounding square, for the next frame of a clip."""
MESH_SCORE = 0.5
MESH_AGREEMENT = 0.35
"""Largest mean distance of the mesh's nose and eyes from the body's, in spans."""

CLICKED_REGION_PER_FOREARM = 1.8
"""Side of the square searched around a click, in lengths of the forearm."""
CLICKED_REGION_PER_REACH = 3.0
"""Side of the square if the annotator drew a rectangle around the face, in half sides of it."""
CLICKED_SIZES = (1.0, 0.5, 2.0)
CLICKED_TURNS = (0, 90, 180, 270)
"""Degrees."""
CLICKED_MESHES = 4
"""Largest number of meshes computed at a click."""
CLICKED_MESH_SCORE = 0.5
CLICKED_MESH_AGREEMENT = 0.5
"""Largest mean distance of its nose and eyes from the body's, in spans, if the body network is sure of them."""
CLICKED_DISTANCE = 0.25
"""Largest distance of a click from a face, in sides of its mesh's region or bounding square."""

# Points of MediaPipe's 468-point mesh at the body network's nose, left eye and right eye.
MESH_RIGHT_EYE, MESH_LEFT_EYE = 33, 263  # their outer corners
MESH_NOSE_AND_EYES = ((1,), (362, 385, 387, 263, 373, 380), (33, 160, 158, 133, 153, 144))

# fmt: off
MESH_TO_FACE68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,           # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,                                               # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,                                                         # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,                                   # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,      # lips
)
"""The mesh point of each of the 68 face keypoints."""
# fmt: on


@dataclass(frozen=True)
class Head:
    """A head whose face is searched for.

    Attributes:
        person: Index of the person in the picture.
        nose_and_eyes: Nose, left eye, right eye of the body network, pixels, shape (3, 2).
        span: Size of the head's visible points, pixels.
        region: The square that the face detector searches.
    """

    person: int
    nose_and_eyes: Points
    span: float
    region: SquareRegion

    @property
    def middle(self) -> Points:
        """Middle of nose and eyes in pixels, shape (2,)."""
        return self.nose_and_eyes.mean(axis=0)


@dataclass(frozen=True)
class DetectedFace:
    """A face from the face detector.

    Attributes:
        points: Right eye, left eye, nose tip, mouth, right ear, left ear; pixels, shape (6, 2).
        score: Confidence, 0 to 1.
    """

    points: Points
    score: float


def heads_to_search(bodies: Points, scores: Points) -> list[Head]:
    """Return the heads whose face can be searched for.

    Args:
        bodies: Halpe-26 or COCO-17 keypoints of all people, pixels, shape (n, 26, 2) or (n, 17, 2).
        scores: Their scores, shape (n, 26) or (n, 17).
    """
    found: list[Head] = []
    for person, (at, score) in enumerate(zip(bodies, scores, strict=True)):
        if min(score[NOSE : RIGHT_EYE + 1]) < JOINT_SCORE:
            continue
        low, high = at[HEAD].min(axis=0), at[HEAD].max(axis=0)
        span = float((high - low).max())
        if len(score) > HALPE_NECK and min(score[HALPE_CROWN], score[HALPE_NECK]) >= JOINT_SCORE:
            span = max(span, SPAN_PER_HEAD * float(np.linalg.norm(at[HALPE_CROWN] - at[HALPE_NECK])))
        x, y = (low + high) / 2
        region = SquareRegion(
            float(x), float(y), span * REGION_PER_SPAN, angle_to(at[RIGHT_EYE], at[LEFT_EYE], 0)
        )
        if region.side >= SMALLEST_REGION:
            found.append(Head(person, at[NOSE : RIGHT_EYE + 1], span, region))
    return found


def mesh_region(head: Head, faces: Sequence[DetectedFace]) -> SquareRegion | None:
    """Return the region for the mesh of this head's face; None if no detected face belongs to the head."""
    center = head.middle

    def distance(face: DetectedFace) -> float:
        return float(np.linalg.norm(face.points[:3].mean(axis=0) - center)) / head.region.side

    own = min(faces, key=distance, default=None)
    if own is None or distance(own) >= DETECTION_AGREEMENT:
        return None
    return _region_of_face(own)


def _region_of_face(face: DetectedFace) -> SquareRegion | None:
    # MediaPipe rotates the upright rectangle of the points with the eyes.
    angle = angle_to(face.points[0], face.points[1], 0)
    region = region_round(bounding_rectangle(face.points), angle, MESH_SCALE, MESH_SHIFT)
    return region if region.side > 0 else None


def region_of_mesh(mesh: Points) -> SquareRegion:
    """Return the region for the face's mesh in the next frame (MediaPipe's face_landmark_landmarks_to_roi.pbtxt).

    Args:
        mesh: 468 points, pixels, shape (468, 2).
    """
    angle = angle_to(mesh[MESH_RIGHT_EYE], mesh[MESH_LEFT_EYE], 0)
    return region_round(bounding_rectangle(mesh), angle, NEXT_MESH_SCALE, 0)


def mesh_is_believed(head: Head, mesh: Points, score: float) -> bool:
    """Tell whether a mesh (468 points, pixels, shape (468, 2)) is this head's face."""
    if not score > MESH_SCORE:  # also for NaN
        return False
    return _disagreement(head, mesh) < MESH_AGREEMENT and not _is_mirrored(head, mesh)


def _disagreement(head: Head, mesh: Points) -> float:
    """Return the mean distance of the mesh's nose and eyes from the body's, in spans."""
    apart = _nose_and_eyes(mesh) - head.nose_and_eyes
    return float(np.linalg.norm(apart, axis=1).mean()) / head.span


def _is_mirrored(head: Head, mesh: Points) -> bool:
    """Tell whether the mesh's left eye is on the other side than the body's."""
    (_, left, right), (_, mesh_left, mesh_right) = head.nose_and_eyes, _nose_and_eyes(mesh)
    return float((left - right) @ (mesh_left - mesh_right)) < 0


def _nose_and_eyes(mesh: Points) -> Points:
    return np.stack([mesh[list(points)].mean(axis=0) for points in MESH_NOSE_AND_EYES])


def regions_at(click: Click) -> list[SquareRegion]:
    """Return the squares in which to detect a clicked face."""
    x, y = (float(value) for value in click.point)
    side = _clicked_side(click)
    return [
        SquareRegion(x, y, side * size, math.radians(turn))
        for turn in CLICKED_TURNS
        for size in CLICKED_SIZES
    ]


def mesh_regions_at(click: Click, detected: Sequence[DetectedFace]) -> list[SquareRegion]:
    """Return the regions for the meshes of a clicked face, the highest detection score first.

    Args:
        click: The annotator's click.
        detected: The faces detected in any of the squares; duplicates are possible.
    """
    regions: list[SquareRegion] = []
    for face in sorted(detected, key=lambda face: face.score, reverse=True):
        region = _region_of_face(face)
        if (
            region is not None
            and distance_to_points(face.points, click.point) <= CLICKED_DISTANCE * region.side
        ):
            regions.append(region)
    return regions[:CLICKED_MESHES]


def mesh_at(click: Click, meshes: Sequence[tuple[Points, float]]) -> tuple[Points, float] | None:
    """Return the mesh (points and score) with the highest score at a click, or None."""
    head = _sure_head(click)

    def is_at_click(mesh: Points) -> bool:
        size = float(np.ptp(mesh, axis=0).max())
        agrees = head is None or _disagreement(head, mesh) < CLICKED_MESH_AGREEMENT
        return agrees and distance_to_points(mesh, click.point) <= CLICKED_DISTANCE * size

    at_click = [found for found in meshes if found[1] > CLICKED_MESH_SCORE and is_at_click(found[0])]
    return max(at_click, key=lambda found: found[1], default=None)


def _sure_head(click: Click) -> Head | None:
    person = click.person
    if person is None or not person.scores[NOSE : RIGHT_EYE + 1].min() >= clicks.JOINT_SCORE:
        return None
    body = slice(FEET_START)
    return next(iter(heads_to_search(person.keypoints[None, body], person.scores[None, body])), None)


def _clicked_side(click: Click) -> float:
    if click.reach is not None:
        return CLICKED_REGION_PER_REACH * click.reach
    return CLICKED_REGION_PER_FOREARM * click.forearm


def face_keypoints(mesh: Points) -> Points:
    """Return the 68 face keypoints of a mesh, from shape (468, 2) to (68, 2)."""
    return mesh[list(MESH_TO_FACE68)]
