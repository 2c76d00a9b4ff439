"""From the address of a clip to the people in it: fetched, read, looked at, followed."""

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
from adapters.video.limits import CLIP_BYTES, CLIPS_IN_HAND

SHARE_FOR_LOOKING = 0.75
"""Of a request's time: the rest is for waiting, and for fetching the clip."""
SPARE_AT_THE_END = 0.05
"""Of a request's time: a clip that had to wait is done so much earlier than it would be cut off."""
LEAST_SHARE = 0.5
"""Of the time of a clip that need not wait: with less left, it is not begun, since its work would often be lost."""


class PeopleInClips:
    """Finds the people in clips, a few clips at a time.

    Nothing is kept: who asks again for a clip has it looked at again. Label Studio asks only for tasks that have no
    prediction of this model version.

    Args:
        clips: Fetches the clips.
        detect: Finds the people in a frame.
        processes: Read the clips.
    """

    def __init__(self, clips: PictureSource, detect: Detect, processes: IsolatedProcesses) -> None:
        self._clips = clips
        self._detect = detect
        self._processes = processes
        self._memory = MemoryBudget(CLIP_BYTES)
        self._places = asyncio.Semaphore(CLIPS_IN_HAND)

    async def find(
        self, address: str, task_id: int | str | None, *, share_s: float, ends_at: float
    ) -> FollowedPeople:
        """Find the people in a clip.

        Args:
            address: Of the clip, as the task's data has it.
            task_id: Of the task.
            share_s: Of a request's time, in seconds: what one clip may take, its waiting and fetching included.
            ends_at: Until when it has to be done, by `time.monotonic`. After waiting for other clips, this may be less.

        Raises:
            PictureError: The file cannot be had.
            VideoError: It is no clip, or cannot be looked at in time. Reason `time_budget`: other clips took the time.
            InferenceError: The detector could not be run.
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
                clip = await place.enter_async_context(isolated_clip(data, self._processes, self._memory))
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
        f"other clips took the time ({CLIPS_IN_HAND} are worked on at once); ask again for this one",
    )
