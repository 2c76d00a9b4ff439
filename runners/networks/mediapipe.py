"""MediaPipe's networks for hands and faces. They take square RGB crops; callers pass uint8, BGR, n×h×h×3."""

import numpy as np
from numpy.typing import NDArray

from runners.engines import LoadedGraph
from runners.networks.boxes import overlapping_groups
from wholebody.estimation import FaceDetections, FaceMesh, HandLandmarks
from wholebody.faces import DETECTION_SCORE

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


FACE_POINTS = 6
OVERLAP = 0.3
"""Intersection over union above which two boxes are one face."""


def _anchors(size: int, layers: tuple[tuple[int, int], ...]) -> Floats:
    """Return the anchor centres of an SSD in units of the input, (n, 2); layers are (stride, anchors per cell)."""
    centres: list[Floats] = []
    for stride, per_cell in layers:
        cells = size // stride
        y, x = np.mgrid[:cells, :cells]
        cell_centres = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) / cells
        centres.append(np.repeat(cell_centres, per_cell, axis=0).astype(np.float32))
    return np.concatenate(centres)


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
            self._faces(box / np.float32(crops.shape[1]), _sigmoid(logit[:, 0]))
            for box, logit in zip(boxes, logits, strict=True)
        ]

    def _faces(self, boxes: Floats, scores: Floats) -> FaceDetections:
        likely = np.flatnonzero(scores > DETECTION_SCORE)
        boxes, scores, anchors = boxes[likely], scores[likely], self._anchors[likely]
        points = boxes[:, 4:].reshape(-1, FACE_POINTS, 2) + anchors[:, np.newaxis]
        low = boxes[:, :2] + anchors - boxes[:, 2:4] / 2
        corners = np.concatenate([low, low + boxes[:, 2:4]], axis=1)
        groups = overlapping_groups(corners, scores, OVERLAP)
        if not groups:
            return FaceDetections(np.zeros((0, FACE_POINTS, 2), np.float32), np.zeros(0, np.float32))
        # MediaPipe's weighted suppression: a face is the mean of its boxes, weighted by their scores.
        merged = [np.average(points[group], axis=0, weights=scores[group]) for group in groups]
        return FaceDetections(
            np.stack(merged).astype(np.float32), np.array([scores[group[0]] for group in groups], np.float32)
        )
