"""Person detectors (YOLOX, RTMDet), with non-maximum suppression if the graph has none."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runners.config import DetectorKind
from runners.engines import LoadedGraph
from runners.networks.boxes import overlapping_groups
from runners.networks.normalisation import normalised, normalised_levels
from wholebody.detection import Detections

PERSON_CLASS = 0
PERSON_SCORE = 0.3
"""rtmlib's score threshold for these detectors."""
OVERLAP = 0.65
"""Intersection over union above which two boxes are one person: mmdeploy's value in the graphs."""
RAW_OVERLAP = 0.45
"""The value of YOLOX's authors, and of rtmlib for their exports."""
STRIDES = (8, 16, 32)
"""Pixels of the input per cell, on each level of YOLOX."""
MAX_PEOPLE = 100
"""mmdeploy's limit in the graphs."""

# In the order B, G, R, unlike those of the pose networks.
_RTMDET_LEVELS = normalised_levels((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))


Detector = Callable[[NDArray[np.uint8]], list[Detections]]
"""Detects people in letterboxed pictures, n×h×w×3 uint8, BGR; boxes in pixels of each picture, best first."""


class PreparedDetector:
    """A YOLOX prepared by `runners.graphs.yolox`, for any number of pictures."""

    def __init__(self, graph: LoadedGraph) -> None:
        self._graph = graph

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector`."""
        boxes, scores = self._graph.run(pictures)
        return [suppressed(*one) for one in zip(boxes, scores, strict=True)]


def published_detector(kind: DetectorKind, graph: LoadedGraph) -> Detector:
    """Return a detector with a published graph."""

    def people(picture: NDArray[np.uint8]) -> Detections:
        # Published exports fix their batch at 1.
        batch = picture[np.newaxis]
        match kind:
            case "yolox":
                return _with_suppression_inside(*graph.run(_as_floats(batch)))
            case "rtmdet":
                return _with_suppression_inside(*graph.run(normalised(batch, _RTMDET_LEVELS)))
            case "yolox_raw" | "yolox_decoded":
                (answer,) = graph.run(_as_floats(batch))
                height, width = picture.shape[:2]
                return _without_suppression(answer[0], None if kind == "yolox_decoded" else (width, height))

    return lambda pictures: [people(picture) for picture in pictures]


def _as_floats(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return YOLOX's input: no normalisation, no swap of channels."""
    return pictures.transpose(0, 3, 1, 2).astype(np.float32)


def _with_suppression_inside(dets: NDArray[np.float32], labels: NDArray[np.int64]) -> Detections:
    """Keep people of `dets [1, n, 5]` (x1, y1, x2, y2, score) and `labels [1, n]`.

    The HumanArt networks know the 80 COCO classes.
    """
    boxes, scores = dets[0, :, :4], dets[0, :, 4]
    people = (scores > PERSON_SCORE) & (labels[0] == PERSON_CLASS)
    best_first = np.argsort(-scores[people], kind="stable")
    return Detections(boxes[people][best_first], scores[people][best_first])


def _without_suppression(rows: NDArray[np.float32], size: tuple[int, int] | None) -> Detections:
    """Return the people in the raw output of a YOLOX.

    Args:
        rows: Shape (cells, 5 + classes): centre and size of a box, objectness, classes.
        size: Width and height of the input if boxes are in units of their cell; None if they are in pixels.
    """
    centres, extents = rows[:, :2], rows[:, 2:4]
    if size is not None:
        corners, strides = _cells(size)
        centres, extents = (centres + corners) * strides, np.exp(extents) * strides
    boxes = np.concatenate([centres - extents / 2, centres + extents / 2], axis=1).astype(np.float32)
    return suppressed(boxes, rows[:, 4] * rows[:, 5 + PERSON_CLASS], RAW_OVERLAP)


def _cells(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return column and row of each cell, and its side in pixels, in YOLOX's order."""
    corners: list[NDArray[np.float32]] = []
    sides: list[NDArray[np.float32]] = []
    for stride in STRIDES:
        across, down = (np.arange(side // stride, dtype=np.float32) for side in size)
        grid = np.stack(np.meshgrid(across, down), axis=2).reshape(-1, 2)
        corners.append(grid)
        sides.append(np.full((len(grid), 1), stride, np.float32))
    return np.concatenate(corners), np.concatenate(sides)


def suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], overlap: float = OVERLAP
) -> Detections:
    """Return the best of each group of overlapping boxes, as ONNX's NonMaxSuppression does; best first."""
    # A box below the threshold cannot suppress one above it, so filtering first changes nothing.
    likely = np.flatnonzero(scores > PERSON_SCORE)
    groups = overlapping_groups(boxes[likely], scores[likely], overlap, MAX_PEOPLE)
    kept = likely[[group[0] for group in groups]] if groups else likely[:0]
    return Detections(boxes[kept], scores[kept])
