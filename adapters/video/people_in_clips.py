"""From the address of a clip to the people in it: fetched, read, looked at, followed."""

import asyncio

from adapters.pictures.source import PictureSource
from adapters.task_progress import entered, timed_stage
from adapters.threads import run_in_thread
from adapters.video.clip import Clip
from adapters.video.following import Detect, FollowedPeople, follow_people
from adapters.video.limits import CLIPS_IN_HAND

SHARE_FOR_LOOKING = 0.75
"""Of a request's time: the rest is for waiting, and for fetching the clip."""


class PeopleInClips:
    """Finds the people in clips, a few clips at a time.

    Nothing is kept: who asks again for a clip has it looked at again. Label Studio asks only for tasks that have no
    prediction of this model version.

    Args:
        clips: Fetches the clips.
        detect: Finds the people in a frame.
    """

    def __init__(self, clips: PictureSource, detect: Detect) -> None:
        self._clips = clips
        self._detect = detect
        self._places = asyncio.Semaphore(CLIPS_IN_HAND)

    async def find(self, address: str, task_id: int | str | None, time_budget_s: float) -> FollowedPeople:
        """Find the people in a clip.

        Args:
            address: Of the clip, as the task's data has it.
            task_id: Of the task.
            time_budget_s: Of the whole request.

        Raises:
            PictureError: The file cannot be had.
            VideoError: It is no clip, or cannot be looked at in time.
            NetworkError: The detector could not be run.
        """
        async with self._places:
            with timed_stage("fetch"):
                data = await self._clips.fetch(address, task_id=task_id)
            entered("decode")
            clip = await run_in_thread(Clip, data)
            del data  # the clip holds it as long as it needs it
            entered("detect")
            return await follow_people(clip, self._detect, SHARE_FOR_LOOKING * time_budget_s)
