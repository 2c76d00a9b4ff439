"""Many callers' crops through one network, in batches; nobody's failure is anybody else's."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runners.pipeline import LoadedNetwork
from runners.serving.batch_sizes import MAX_CROPS, batch_sizes

logger = logging.getLogger(__name__)

Crops = NDArray[np.uint8]


@dataclass(frozen=True)
class Failed:
    """What a call gets in place of its results. A value, since an exception would fail everybody in the batch."""

    reason: str


Answer = Sequence[Any] | Failed
"""One result for each crop of a call, or why there are none."""


def run_calls(network: LoadedNetwork, calls: Sequence[Crops], largest: int = MAX_CROPS) -> list[Answer]:
    """Run a network on the crops of several calls, in batches over all of them.

    Args:
        network: The network.
        calls: For each call its crops, n×h×w×3 uint8, BGR.
        largest: Most crops in a batch, a power of two.

    Returns:
        An answer for each call. A call that the network cannot digest fails alone.
    """
    try:
        together = np.concatenate(calls) if len(calls) > 1 else calls[0]
        results = _run_batched(network, together, largest)
    except Exception as error:  # whatever a runtime raises: apart, it is the culprit's alone
        if len(calls) > 1:
            return [answer for call in calls for answer in run_calls(network, [call], largest)]
        logger.exception("The network failed on crops of shape %s", calls[0].shape)
        return [Failed(f"{type(error).__name__}: {error}")]
    starts = np.cumsum([0, *(len(crops) for crops in calls)]).tolist()
    return [results[start:end] for start, end in pairwise(starts)]


def _run_batched(network: LoadedNetwork, crops: Crops, largest: int) -> list[Any]:
    results: list[Any] = []
    for size in batch_sizes(largest):
        while len(crops) - len(results) >= size:
            batch = crops[len(results) : len(results) + size]
            found = network(batch)
            assert len(found) == len(batch), "a network must answer for each crop"
            results += found
    return results
