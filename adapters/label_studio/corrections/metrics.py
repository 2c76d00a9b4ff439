"""What annotators changed in our predictions, at `/metrics`. BentoML adds it up over all processes."""

from functools import cache

from prometheus_client import Counter, Histogram


@cache
def correction_distance() -> Histogram:
    """How far a predicted keypoint is from where the annotation has it, by part, in diagonals of the person's box.

    One that was left alone counts as 0, one that was removed as 1, one of a swapped hand by the distance to the other.
    """
    return Histogram(
        "rtmlib_correction_distance",
        "Distance of a predicted keypoint from where the annotation has it, in diagonals of the box; 1 if removed",
        ["part"],
        buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.999),
    )


@cache
def annotations_compared_total() -> Counter:
    """Submitted and updated annotations by what came of comparing them; see `corrections.Outcome`."""
    return Counter(
        "rtmlib_annotations_compared_total",
        "Annotations compared with their prediction, by outcome",
        ["outcome"],
    )
