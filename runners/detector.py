"""The person detector: YOLOX with its non-maximum suppression inside the graph."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runners.config import RunnerConfig
from runners.session import Session
from wholebody.detection import Detections

PERSON_CLASS = 0
PERSON_SCORE = 0.3
"""rtmlib's least score for the boxes of such a network."""


class YoloxDetector:
    """YOLOX as mmdeploy exports it: `[1, 3, h, w]` to `dets [1, n, 5]` (x1, y1, x2, y2, score) and `labels [1, n]`.

    The HumanArt networks know the 80 COCO classes; only people are kept.
    """

    def __init__(self, file: Path, config: RunnerConfig) -> None:
        self._session = Session(file, config)

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Detections]:
        """Find the people in letterboxed pictures, n×h×w×3 uint8, BGR: no normalisation, no swap of channels."""
        return [self._people(picture) for picture in pictures]

    def _people(self, picture: NDArray[np.uint8]) -> Detections:
        # One by one: the export fixes its batch at 1, and a CPU gains nothing from a larger one.
        dets, labels = self._session.run(picture.transpose(2, 0, 1)[np.newaxis].astype(np.float32))
        boxes, scores = dets[0, :, :4], dets[0, :, 4]
        people = (scores > PERSON_SCORE) & (labels[0] == PERSON_CLASS)
        best_first = np.argsort(-scores[people], kind="stable")
        return Detections(boxes[people][best_first], scores[people][best_first])
