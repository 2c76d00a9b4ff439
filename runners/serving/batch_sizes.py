"""How large the batches of the networks are."""

MAX_CROPS = 16
"""Largest batch of a network on a GPU, a power of two: more gains little speed and costs memory."""
MAX_CROPS_ON_CPU = 4
"""The same on a CPU, where batches save calls and little arithmetic."""
MAX_PICTURES_ON_CPU = 1
"""Largest batch of the detector on a CPU: whole pictures take ten times a crop's memory, and two gain nothing."""
FEWEST_CALLS = 2
"""BentoML lets no less be said for the most calls that it puts together; it stands for one call at a time."""


def largest_batch(network: str, device: str) -> int:
    """Return the size of a network's full batches on a device."""
    if device != "cpu":
        return MAX_CROPS
    return MAX_PICTURES_ON_CPU if network == "person" else MAX_CROPS_ON_CPU


def calls_at_once(network: str, device: str) -> int:
    """Return how many calls, each with the crops of one picture, go through a network together.

    On a CPU as many as make a full batch of pictures with one person: all of them wait for the last one, and the lanes
    that are free then have more to do.
    """
    return 2 * MAX_CROPS if device != "cpu" else max(FEWEST_CALLS, largest_batch(network, device))


def batch_sizes(largest: int) -> list[int]:
    """Return the sizes that batches have, largest first: a few only, since engines set up buffers for each.

    With every size up to the largest, a server's memory would go on growing for as long as there is one that did not
    happen before.

    Args:
        largest: A power of two.
    """
    return [2**power for power in reversed(range(largest.bit_length()))]
