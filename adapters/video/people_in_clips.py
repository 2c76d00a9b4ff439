"""Finds the people in a clip: fetches it, decodes it, and follows them."""

import asyncio
import time
from contextlib import AsyncExitStack

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.isolation.processes import IsolatedProcesses
from adapters.observability.progress import entered, timed_stage
from adapters.pictures.fetching.source import PictureSource
from adapters.video.errors import VideoError
from adapters.video.following import Detect, FollowedPeople, follow_people
from adapters.video.isolated_clip import isolated_clip
from adapters.video.limits import CLIP_BYTES, CLIP_BYTES_PER_PIXEL, CLIPS_IN_HAND, ClipLimits

SHARE_FOR_LOOKING = 0.75
"""Share of a request's time for processing frames; the rest is for waiting and fetching."""
SPARE_AT_THE_END = 0.05
"""Share of a request's time kept as a margin at its end, for a clip that had to wait."""
LEAST_SHARE = 0.5
"""Least share of a request's time for starting a clip; with less left, its work would often be lost."""


class PeopleInClips:
    """Finds the people in clips, a few clips at a time.

    Results are not cached: a second request computes them again. Label Studio requests only tasks without a prediction
    of this model version.

    Args:
        clips: Fetches the clips.
        detect: Finds the people in a frame.
        processes: Decode the clips.
        limits: Limits on one clip.
    """

    def __init__(
        self,
        clips: PictureSource,
        detect: Detect,
        processes: IsolatedProcesses,
        limits: ClipLimits | None = None,
    ) -> None:
        self._clips = clips
        self._detect = detect
        self._processes = processes
        self._limits = limits or ClipLimits()
        self._memory = MemoryBudget(max(CLIP_BYTES, CLIP_BYTES_PER_PIXEL * self._limits.max_pixels))
        self._places = asyncio.Semaphore(CLIPS_IN_HAND)

    async def find(
        self, address: str, task_id: int | str | None, *, share_s: float, ends_at: float
    ) -> FollowedPeople:
        """Find the people in a clip.

        Args:
            address: Of the clip, as in the task's data.
            task_id: Of the task.
            share_s: Time for one clip in seconds, waiting and fetching included.
            ends_at: Deadline by `time.monotonic`. After waiting for other clips, less than `share_s` may be left.

        Raises:
            PictureError: The file cannot be fetched.
            VideoError: The file is no clip, or is too long. Reason `time_budget`: other clips used up the time.
            InferenceError: The detector failed.
        """
        async with AsyncExitStack() as place:
            latest = ends_at - LEAST_SHARE * share_s
            if time.monotonic() > latest:
                raise _no_time_left()
            try:
                async with asyncio.timeout(latest - time.monotonic()):
                    await place.enter_async_context(self._places)
            except TimeoutError:
                raise _no_time_left() from None
            async with AsyncExitStack() as held:
                with timed_stage("fetch"):
                    data = await self._clips.fetch(address, task_id=task_id, held=held)
                entered("decode")
                clip = await place.enter_async_context(
                    isolated_clip(data, self._processes, self._memory, self._limits)
                )
                del data
            entered("detect")
            most_s = SHARE_FOR_LOOKING * share_s
            left_s = ends_at - SPARE_AT_THE_END * share_s - time.monotonic()
            try:
                return await follow_people(clip, self._detect, max(min(most_s, left_s), 0.0))
            except VideoError as error:
                if error.reason == "too_long" and left_s < most_s:
                    raise _no_time_left() from error
                raise


def _no_time_left() -> VideoError:
    return VideoError(
        "time_budget",
        f"Other clips used up the time ({CLIPS_IN_HAND} are processed at once). Retry this one.",
    )
