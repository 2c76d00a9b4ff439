"""OpenCV's dnn module on CPUs."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from runners.config import PartPrecision
from runners.engines import Array, Place

dnn: Any = cv2.dnn  # ships with partial type information


class OpenCvGraph:
    """A network in OpenCV; see `LoadedGraph`."""

    def __init__(self, file: Path, _precision: PartPrecision, place: Place) -> None:
        cv2.setNumThreads(place.threads)  # per process: OpenCV has no setting per network
        self._network = dnn.readNetFromONNX(str(file))
        self._outputs = self._network.getUnconnectedOutLayersNames()

    def run(self, *inputs: Array) -> list[Array]:
        """See `LoadedGraph`."""
        (batch,) = inputs
        self._network.setInput(np.ascontiguousarray(batch))
        return list(self._network.forward(self._outputs))
