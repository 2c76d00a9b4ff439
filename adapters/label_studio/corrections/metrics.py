"""Metrics of the annotators' corrections, summed over all processes."""

from functools import cache

from prometheus_client import Counter, Histogram


@cache
def correction_distance() -> Histogram:
    """Distance of a predicted keypoint from the annotated one, by part, in diagonals of the person's box.

    0 for an unchanged keypoint, 1 for a removed one, the distance between the hands for one of a swapped hand.
    """
    return Histogram(
        "rtmlib_correction_distance",
        "Distance of a predicted keypoint from the annotated one, in diagonals of the box; 1 if removed",
        ["part"],
        buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.999),
    )


@cache
def annotations_compared_total() -> Counter:
    """Submitted and updated annotations by the outcome of their comparison; see `Outcome`."""
    return Counter(
        "rtmlib_annotations_compared_total",
        "Annotations compared with their prediction, by outcome",
        ["outcome"],
    )
