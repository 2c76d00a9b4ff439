"""Runs a network on the crops of several calls in batches; each call fails alone."""

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
    """The failure of one call. A value, because an exception would fail the whole batch."""

    reason: str


Answer = Sequence[Any] | Failed
"""One result for each crop of a call, or the failure."""


def run_calls(network: LoadedNetwork, calls: Sequence[Crops], largest: int = MAX_CROPS) -> list[Answer]:
    """Run a network on the crops of several calls, in batches over all of them.

    Args:
        network: The network.
        calls: The crops of each call, n×h×w×3 uint8, BGR.
        largest: Largest batch, a power of two.

    Returns:
        An answer for each call. A call whose crops make inference fail does so alone.
    """
    try:
        together = np.concatenate(calls) if len(calls) > 1 else calls[0]
        results = _run_batched(network, together, largest)
    except Exception as error:  # whatever a runtime raises; run separately, only one call fails
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
