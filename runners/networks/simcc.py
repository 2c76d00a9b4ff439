"""RTMPose, RTMW and DWPose: top-down networks with one distribution per keypoint and axis (SimCC)."""

import numpy as np
from numpy.typing import NDArray

from runners.engines import LoadedGraph
from runners.networks.normalisation import normalised, normalised_levels

# ImageNet's mean and standard deviation for R, G, B. Like rtmlib we apply them to B, G, R, since the same file must
# give the same keypoints.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)

BINS_PER_PIXEL = 2.0

_LEVELS = normalised_levels(MEAN, STD)


def normalise(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalise crops: n×h×w×3 uint8, BGR, to n×3×h×w float32."""
    return normalised(crops, _LEVELS)


def decode(simcc_x: NDArray[np.float32], simcc_y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode SimCC outputs of shape (n, keypoints, bins) to x, y in crop pixels and score, (n, keypoints, 3).

    The position is the likeliest bin of each axis; the score is the mean of the two maxima. A keypoint with a score
    of 0 or less is at -0.5, -0.5, as in rtmlib.
    """
    bins = np.stack([simcc_x.argmax(axis=2), simcc_y.argmax(axis=2)], axis=2)
    return decode_bins(bins, np.stack([simcc_x.max(axis=2), simcc_y.max(axis=2)], axis=2))


def decode_bins(bins: NDArray[np.int64], likelihoods: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode the outputs of a prepared network, both of shape (n, keypoints, 2); returns the same as `decode`."""
    scores = 0.5 * (likelihoods[..., :1] + likelihoods[..., 1:])
    positions = np.where(scores > 0, bins, -1) / BINS_PER_PIXEL
    return np.concatenate([positions, scores], axis=2).astype(np.float32)


class SimccPose:
    """A SimCC network: `[n, 3, h, w]` to `simcc_x [n, keypoints, 2w]` and `simcc_y [n, keypoints, 2h]`.

    Prepared (`runners.graphs.simcc`), it takes raw crops and returns the likeliest bins. Some exports fix their
    batch at 1.
    """

    def __init__(self, graph: LoadedGraph, *, prepared: bool, one_by_one: bool = False) -> None:
        self._graph = graph
        self._prepared = prepared
        self._one_by_one = one_by_one

    def __call__(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return x, y in crop pixels and score, (keypoints, 3), for each of the crops, n×h×w×3 uint8, BGR."""
        if self._prepared:
            bins, likelihoods = self._graph.run(crops)
            return list(decode_bins(bins, likelihoods))
        batch = normalise(crops)
        parts = np.split(batch, len(batch)) if self._one_by_one else [batch]
        return [one for part in parts for one in decode(*self._graph.run(part))]
