"""From a clip to the people in it, followed from frame to frame."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.concurrency.threads import run_in_thread
from adapters.video.clip import Frame
from adapters.video.errors import VideoError
from adapters.video.isolated_clip import IsolatedClip
from adapters.video.pace import FURTHEST_S, Pace
from wholebody.appearance import clothes_colours
from wholebody.detection import Detections
from wholebody.tracking import Track, Tracker

Detect = Callable[[NDArray[np.uint8]], Awaitable[Detections]]
"""Picture (H×W×3 uint8, BGR, upright) to the boxes of its people."""

FRAMES_IN_HAND = 4
"""Frames of one clip that wait for the detector: the next is decoded while the networks look at the others."""


@dataclass(frozen=True)
class FollowedPeople:
    """The people in a clip.

    Attributes:
        tracks: Where each of them was, in pixels of frames of `size`.
        looks: Times of the frames that were looked at, in seconds, rising.
        duration: Of the clip, in seconds.
        size: Width and height of the frames that were looked at; they may be smaller than the clip's.
        damaged: How many packets of the file could not be decoded.
    """

    tracks: tuple[Track, ...]
    looks: tuple[float, ...]
    duration: float
    size: tuple[int, int]
    damaged: int


async def follow_people(clip: IsolatedClip, detect: Detect, seconds: float) -> FollowedPeople:
    """Look at a clip from its beginning to its end, and tell its people apart.

    The boxes alone are asked for: they are all that a box in a clip shows, and keypoints would cost twice as much
    time again, which is better spent on more frames.

    Args:
        clip: Not looked at before.
        detect: Finds the people in a frame.
        seconds: In which it has to be done, from now on: a long clip is looked at less often.

    Raises:
        VideoError: The clip is too long for that, or damaged for longer than people can be followed across.
        InferenceError: The detector could not be run.
    """
    pace = Pace(clip.times, seconds)
    tracker = Tracker()
    looks: list[float] = []
    size = (1, 1)
    waiting: deque[tuple[Frame, asyncio.Task[Detections]]] = deque()

    async def finish_one() -> None:
        frame, search = waiting[0]
        found = await search
        waiting.popleft()
        boxes, scores = _usable(found)
        colours = await run_in_thread(clothes_colours, frame.picture, boxes)
        tracker.look(frame.time, boxes, scores, colours)
        looks.append(frame.time)
        pace.look_finished()

    try:
        while (moment := pace.next_time()) is not None:
            reached = waiting[-1][0].time if waiting else looks[-1] if looks else None
            if reached is not None and moment <= reached:
                continue  # a damaged frame was asked for, and the next one given
            frame = await clip.next_frame(moment)
            _check_gap(clip, reached, frame)
            if frame is None:
                break
            size = (frame.picture.shape[1], frame.picture.shape[0])
            waiting.append((frame, asyncio.create_task(_started(detect, frame))))
            if len(waiting) >= FRAMES_IN_HAND:
                await finish_one()
        while waiting:
            await finish_one()
    finally:
        for _, search in waiting:
            search.cancel()
        await asyncio.gather(*(search for _, search in waiting), return_exceptions=True)
    return FollowedPeople(tracker.tracks(), tuple(looks), clip.duration, size, clip.damaged)


async def _started(detect: Detect, frame: Frame) -> Detections:
    return await detect(frame.picture)


def _usable(found: Detections) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    usable = np.isfinite(found.boxes).all(axis=1) & (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)
    return found.boxes[usable], found.scores[usable]


def _check_gap(clip: IsolatedClip, before: float | None, frame: Frame | None) -> None:
    """Refuse a clip of which more cannot be decoded than people can be followed across."""
    begin = 0.0 if before is None else before
    end = float(clip.times[-1]) if frame is None else frame.time
    hidden = clip.times[(clip.times > begin) & (clip.times < end)]
    if frame is None and before is None:
        raise VideoError("broken_video", "Nothing of the clip can be decoded; export it anew.")
    if clip.damaged and end - begin > FURTHEST_S and len(hidden):
        raise VideoError(
            "broken_video",
            f"The clip is damaged: nothing can be decoded between {begin:.1f} and {end:.1f} s; export it anew.",
        )
