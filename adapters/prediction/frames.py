"""The frames of one task: their addresses, and which of them may be left out."""

from collections.abc import Mapping

from adapters.label_studio.label_config.parsing import ImageControls
from adapters.label_studio.schemas import Task
from adapters.prediction.outcome import Failure, TaskError

MAX_FRAMES = 1_000
"""Frames of one task. A labeling page with more regions can hardly be used."""
_LASTING = frozenset(
    {"no_picture", "not_found", "not_a_picture", "broken_picture", "too_large", "too_many_pixels"}
)
"""Reasons that stay until somebody changes the task's data."""
_NAMED = 10


def frame_addresses(task: Task, image: ImageControls) -> list[str]:
    """Return the addresses of a task's frames; "" for a frame without one.

    Raises:
        TaskDataError: The task has no list of frames.
        TaskError: There are too many.
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
    """Return the reason and a sentence for frames that are left out of a task's prediction.

    A frame that fails for good is left out: for its sake, the others would never be shown. A frame that may succeed
    the next time fails the task, so that Label Studio asks again: the others then come from the cache.

    Args:
        failures: By position of the frame, from 0; at least one.
        frames: Number of frames of the task.

    Raises:
        TaskError: A frame may succeed the next time, or none succeeded.
    """
    passing = {index: failure for index, failure in failures.items() if failure.reason not in _LASTING}
    if passing or len(failures) == frames:
        raise TaskError(*_described(passing or failures, frames))
    reason, sentence = _described(failures, frames)
    return reason, f"{sentence} The others are shown."


def _described(failures: Mapping[int, Failure], frames: int) -> tuple[str, str]:
    """Return the first reason, and which frames failed, counted from 1 as Label Studio's editor does."""
    first = next(iter(failures.values()))
    named = ", ".join(str(index + 1) for index in list(failures)[:_NAMED])
    more = f" and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    return first.reason, f"{len(failures)} of {frames} frames failed (number {named}{more}): {first.detail}"
