"""MediaPipe's networks for hands and faces. They take square RGB crops; callers pass uint8, BGR, n×h×h×3."""

import numpy as np
from numpy.typing import NDArray

from runners.engines import LoadedGraph
from runners.networks.boxes import overlapping_groups
from wholebody.faces import DETECTION_SCORE
from wholebody.hands.palms import PALM_SCORE
from wholebody.networks import FaceDetections, FaceMesh, HandLandmarks, PalmDetections

Crops = NDArray[np.uint8]
Floats = NDArray[np.float32]


def _rgb(crops: Crops, low: float, high: float) -> Floats:
    """Return RGB values from `low` (black) to `high` (white)."""
    return crops[..., ::-1].astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)


def _sigmoid(logits: Floats) -> Floats:
    return (1 / (1 + np.exp(-np.clip(logits, -80, 80)))).astype(np.float32)


class HandLandmarker:
    """`hand_landmark_full`: 21 landmarks of one hand."""

    def __init__(self, graph: LoadedGraph) -> None:
        self._graph = graph

    def __call__(self, crops: Crops) -> list[HandLandmarks]:
        """Return the landmarks of the hand in each crop."""
        points, scores, right = self._graph.run(_rgb(crops, 0, 1))
        in_crop = points.reshape(-1, 21, 3)[..., :2] / np.float32(crops.shape[1])
        return [
            HandLandmarks(one, float(score), float(is_right))
            for one, score, is_right in zip(in_crop, scores[:, 0], right[:, 0], strict=True)
        ]


class FaceMesher:
    """`face_landmark`: a mesh of 468 points over one face."""

    def __init__(self, graph: LoadedGraph) -> None:
        self._graph = graph

    def __call__(self, crops: Crops) -> list[FaceMesh]:
        """Return the mesh of the face in each crop."""
        points, logits = self._graph.run(_rgb(crops, 0, 1))
        in_crop = points.reshape(-1, 468, 3)[..., :2] / np.float32(crops.shape[1])
        scores = _sigmoid(logits.reshape(-1))
        return [FaceMesh(one, float(score)) for one, score in zip(in_crop, scores, strict=True)]


OVERLAP = 0.3
"""Intersection over union above which two boxes are one face or palm."""


def _anchors(size: int, layers: tuple[tuple[int, int], ...]) -> Floats:
    """Return the anchor centres of an SSD in units of the input, (n, 2); layers are (stride, anchors per cell)."""
    centres: list[Floats] = []
    for stride, per_cell in layers:
        cells = size // stride
        y, x = np.mgrid[:cells, :cells]
        cell_centres = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) / cells
        centres.append(np.repeat(cell_centres, per_cell, axis=0).astype(np.float32))
    return np.concatenate(centres)


def _detected(
    boxes: Floats, logits: Floats, anchors: Floats, least_score: float
) -> tuple[Floats, Floats, Floats]:
    """Return what an SSD found in one crop, the surest first.

    Args:
        boxes: Centre, size and points of each anchor, relative to it, in units of the crop, shape (m, 4 + 2k).
        logits: Shape (m, 1).
        anchors: Centres, shape (m, 2).
        least_score: Least score of a detection.

    Returns:
        Boxes x1, y1, x2, y2, shape (n, 4), points, shape (n, k, 2), and scores, shape (n,), in units of the crop.
    """
    scores = _sigmoid(logits[:, 0])
    likely = np.flatnonzero(scores > least_score)
    boxes, scores, anchors = boxes[likely], scores[likely], anchors[likely]
    points = boxes[:, 4:].reshape(len(boxes), (boxes.shape[1] - 4) // 2, 2) + anchors[:, np.newaxis]
    low = boxes[:, :2] + anchors - boxes[:, 2:4] / 2
    corners = np.concatenate([low, low + boxes[:, 2:4]], axis=1, dtype=np.float32)
    groups = overlapping_groups(corners, scores, OVERLAP)

    def merged(values: Floats) -> Floats:
        # MediaPipe's weighted suppression: the mean of overlapping boxes, weighted by their scores.
        means = [np.average(values[group], axis=0, weights=scores[group]) for group in groups]
        return np.array(means, np.float32).reshape(len(groups), *values.shape[1:])

    return merged(corners), merged(points), np.array([scores[group[0]] for group in groups], np.float32)


class PalmDetector:
    """`palm_detection_full`: an SSD that finds palms and seven points of each."""

    def __init__(self, graph: LoadedGraph) -> None:
        self._graph = graph
        # The anchors of palm_detection_cpu.pbtxt: strides 8, 16, 16, 16 with two anchors each.
        self._anchors = _anchors(192, ((8, 2), (16, 6)))

    def __call__(self, crops: Crops) -> list[PalmDetections]:
        """Return the palms in each crop."""
        boxes, logits = self._graph.run(_rgb(crops, 0, 1))
        return [
            PalmDetections(*_detected(box / np.float32(crops.shape[1]), logit, self._anchors, PALM_SCORE))
            for box, logit in zip(boxes, logits, strict=True)
        ]


class FaceDetector:
    """`face_detection_short_range`: an SSD that finds faces and six points of each."""

    def __init__(self, graph: LoadedGraph) -> None:
        self._graph = graph
        # The anchors of face_detection_short_range.pbtxt: strides 8, 16, 16, 16 with two anchors each.
        self._anchors = _anchors(128, ((8, 2), (16, 6)))

    def __call__(self, crops: Crops) -> list[FaceDetections]:
        """Return the faces in each crop."""
        boxes, logits = self._graph.run(_rgb(crops, -1, 1))
        return [
            FaceDetections(*found[1:])
            for box, logit in zip(boxes, logits, strict=True)
            if (found := _detected(box / np.float32(crops.shape[1]), logit, self._anchors, DETECTION_SCORE))
        ]
