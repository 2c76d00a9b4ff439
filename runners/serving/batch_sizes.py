"""Batch sizes of the networks."""

MAX_CROPS = 16
"""Largest batch on a GPU, a power of two: larger ones gain little speed and cost memory."""
MAX_CROPS_ON_CPU = 4
"""Largest batch on a CPU, where batches save calls but little arithmetic."""
MAX_PICTURES_ON_CPU = 1
"""Largest batch of the detector on a CPU: a picture takes ten times a crop's memory, and two gain nothing."""
FEWEST_CALLS = 2
"""BentoML's smallest `max_batch_size`; `PromptDispatcher` takes it as 1."""


def largest_batch(network: str, device: str) -> int:
    """Return a network's largest batch size on a device."""
    if device != "cpu":
        return MAX_CROPS
    return MAX_PICTURES_ON_CPU if network == "person" else MAX_CROPS_ON_CPU


def calls_at_once(network: str, device: str) -> int:
    """Return the largest number of calls that a network computes together; a call has one picture's crops.

    On a CPU, a full batch of pictures with one person each: all calls wait for the last one, and fewer calls leave more
    work to free lanes.
    """
    return 2 * MAX_CROPS if device != "cpu" else max(FEWEST_CALLS, largest_batch(network, device))


def calls_sent(network: str, device: str, batches: int) -> int:
    """Return how many calls a runner gets at a time: those that it computes, and as many to follow.

    The others wait in the service, where a smart tool's call goes before them.

    Args:
        network: Name of the network.
        device: Device of the runner.
        batches: Batches that it computes at once.
    """
    computed = 1 if largest_batch(network, device) == 1 else calls_at_once(network, device)
    return 2 * batches * computed


def batch_sizes(largest: int) -> list[int]:
    """Return the allowed batch sizes, largest first: few, because engines allocate buffers for each.

    With all sizes allowed, a server's memory would grow with each new size.

    Args:
        largest: A power of two.
    """
    return [2**power for power in reversed(range(largest.bit_length()))]
