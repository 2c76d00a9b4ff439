"""The person detector: YOLOX, and its non-maximum suppression where that is not inside the graph."""

import numpy as np
from numpy.typing import NDArray

from runners.engines import LoadedGraph
from wholebody.detection import Detections

PERSON_CLASS = 0
PERSON_SCORE = 0.3
"""rtmlib's least score for the boxes of such a network."""
OVERLAP = 0.65
"""Boxes that overlap more than this, as intersection over union, are one person: mmdeploy's value in the graphs."""
MAX_PEOPLE = 100
"""mmdeploy's limit in the graphs."""


class YoloxDetector:
    """YOLOX as mmdeploy exports it: `[1, 3, h, w]` to `dets [1, n, 5]` (x1, y1, x2, y2, score) and `labels [1, n]`.

    The HumanArt networks know the 80 COCO classes; only people are kept. Prepared (`runners.graphs.yolox`), it takes
    any number of pictures as they are and answers with all candidates.
    """

    def __init__(self, graph: LoadedGraph, *, prepared: bool) -> None:
        self._graph = graph
        self._prepared = prepared

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Detections]:
        """Find the people in letterboxed pictures, n×h×w×3 uint8, BGR: no normalisation, no swap of channels."""
        if not self._prepared:
            return [self._people(picture) for picture in pictures]
        boxes, scores = self._graph.run(pictures)
        return [_suppressed(*one) for one in zip(boxes, scores, strict=True)]

    def _people(self, picture: NDArray[np.uint8]) -> Detections:
        # One by one: the export fixes its batch at 1.
        dets, labels = self._graph.run(picture.transpose(2, 0, 1)[np.newaxis].astype(np.float32))
        boxes, scores = dets[0, :, :4], dets[0, :, 4]
        people = (scores > PERSON_SCORE) & (labels[0] == PERSON_CLASS)
        best_first = np.argsort(-scores[people], kind="stable")
        return Detections(boxes[people][best_first], scores[people][best_first])


def _suppressed(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Detections:
    """Keep of boxes that overlap the surest one, as ONNX's NonMaxSuppression does; surest first."""
    # A box below the threshold can suppress none above it: leaving it out first changes nothing.
    likely = np.flatnonzero(scores > PERSON_SCORE)
    rest = likely[np.argsort(-scores[likely], kind="stable")]
    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(rest) and len(kept) < MAX_PEOPLE:
        best, rest = rest[0], rest[1:]
        kept.append(int(best))
        extent = np.minimum(boxes[rest, 2:], boxes[best, 2:]) - np.maximum(boxes[rest, :2], boxes[best, :2])
        shared = np.prod(np.clip(extent, 0, None), axis=1)
        rest = rest[shared <= OVERLAP * (areas[rest] + areas[best] - shared)]
    return Detections(boxes[kept], scores[kept])
