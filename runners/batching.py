"""Many callers' crops through one network, in batches; nobody's failure is anybody else's."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runners.assembly import LoadedNetwork

logger = logging.getLogger(__name__)

Crops = NDArray[np.uint8]

MAX_CROPS = 16
"""Largest batch of a network on a GPU, a power of two: more gains little speed and costs memory."""
MAX_CROPS_ON_CPU = 8
"""The same on a CPU, where batches save calls and no arithmetic."""
MAX_PICTURES_ON_CPU = 2
"""Largest batch of the detector on a CPU: whole pictures take ten times a crop's memory."""


@dataclass(frozen=True)
class Failed:
    """What a call gets in place of its results. A value, since an exception would fail everybody in the batch."""

    reason: str


Answer = Sequence[Any] | Failed
"""One result for each crop of a call, or why there are none."""


def largest_batch(network: str, device: str) -> int:
    """Return the size of a network's full batches on a device."""
    if device != "cpu":
        return MAX_CROPS
    return MAX_PICTURES_ON_CPU if network == "person" else MAX_CROPS_ON_CPU


def calls_at_once(network: str, device: str) -> int:
    """Return how many calls, each with the crops of one picture, go through a network together.

    On a CPU as many as make a full batch of pictures with two people: all of them wait for the last one, and the lanes
    that are free then have more to do.
    """
    if device != "cpu":
        return 2 * MAX_CROPS
    return MAX_PICTURES_ON_CPU if network == "person" else MAX_CROPS_ON_CPU // 2


def batch_sizes(largest: int) -> list[int]:
    """Return the sizes that batches have, largest first: a few only, since engines set up buffers for each.

    With every size up to the largest, a server's memory would go on growing for as long as there is one that did not
    happen before.

    Args:
        largest: A power of two.
    """
    return [2**power for power in reversed(range(largest.bit_length()))]


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
