"""The frames of one task: their addresses, and which failed ones are left out."""

from collections.abc import Mapping

from adapters.label_studio.label_config.parsing import ImageControls
from adapters.label_studio.schemas import Task
from adapters.prediction.outcome import Failure, TaskError

MAX_FRAMES = 1_000
"""Limit per task: with more regions, the labeling page is hardly usable."""
_PERMANENT = frozenset(
    {"no_picture", "not_found", "not_a_picture", "broken_picture", "too_large", "too_many_pixels"}
)
"""Reasons that hold until the task's data changes."""
_LISTED = 10


def frame_addresses(task: Task, image: ImageControls) -> list[str]:
    """Return the addresses of a task's frames; "" where one is missing.

    Raises:
        TaskDataError: The task has no list of frames.
        TaskError: The task has too many frames.
    """
    addresses = image.value.addresses(task.data)
    if len(addresses) > MAX_FRAMES:
        raise TaskError(
            "too_many_frames",
            f"The task has {len(addresses):,} frames; at most {MAX_FRAMES:,} are predicted: split the clip into "
            "several tasks.",
        )
    return addresses


def left_out(failures: Mapping[int, Failure], frames: int) -> tuple[str, str]:
    """Return reason and detail for the frames that are left out of a task's prediction.

    A permanent failure leaves out its frame, or the other frames would never be shown. A temporary failure fails the
    task, so that Label Studio retries it; the other frames then come from the cache.

    Args:
        failures: By index of the frame, from 0; at least one.
        frames: Number of frames of the task.

    Raises:
        TaskError: A failure is temporary, or no frame succeeded.
    """
    temporary = {index: failure for index, failure in failures.items() if failure.reason not in _PERMANENT}
    if temporary or len(failures) == frames:
        raise TaskError(*_described(temporary or failures, frames))
    reason, detail = _described(failures, frames)
    return reason, f"{detail} The others are shown."


def _described(failures: Mapping[int, Failure], frames: int) -> tuple[str, str]:
    """Return the first reason and the failed frames, counted from 1 as in Label Studio's editor."""
    first = next(iter(failures.values()))
    listed = ", ".join(str(index + 1) for index in list(failures)[:_LISTED])
    more = f" and {len(failures) - _LISTED} more" if len(failures) > _LISTED else ""
    return first.reason, f"{len(failures)} of {frames} frames failed (number {listed}{more}): {first.detail}"
