"""Detects the people in a clip and follows them from frame to frame."""

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
"""Frames of one clip that wait for the detector: the next is decoded while the others are processed."""


@dataclass(frozen=True)
class FollowedPeople:
    """The people in a clip.

    Attributes:
        tracks: The boxes of each person over time, in pixels of frames of `size`.
        looks: Times of the processed frames, in seconds, rising.
        duration: Of the clip, in seconds.
        size: Width and height of the processed frames; they may be smaller than the clip's.
        damaged: Packets of the file that could not be decoded.
        times: When each of the clip's own frames is shown, in seconds, rising.
        codec: FFmpeg's name of the codec.
    """

    tracks: tuple[Track, ...]
    looks: tuple[float, ...]
    duration: float
    size: tuple[int, int]
    damaged: int
    times: NDArray[np.float64]
    codec: str


async def follow_people(clip: IsolatedClip, detect: Detect, seconds: float) -> FollowedPeople:
    """Detect people through a whole clip, and link them into tracks.

    Only boxes are computed: a prediction for a clip has nothing else. Keypoints would take twice as long again, time
    that is better spent on more frames.

    Args:
        clip: An unread clip.
        detect: Finds the people in a frame.
        seconds: Time limit from now on: a longer clip gets fewer frames per second.

    Raises:
        VideoError: The clip is too long for the time limit, or has a damaged gap that is too long to follow people.
        InferenceError: The detector failed.
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
                continue  # the frame at this time is damaged, and the next one was returned before
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
    return FollowedPeople(
        tracker.tracks(), tuple(looks), clip.duration, size, clip.damaged, clip.times, clip.codec
    )


async def _started(detect: Detect, frame: Frame) -> Detections:
    return await detect(frame.picture)


def _usable(found: Detections) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    usable = np.isfinite(found.boxes).all(axis=1) & (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)
    return found.boxes[usable], found.scores[usable]


def _check_gap(clip: IsolatedClip, before: float | None, frame: Frame | None) -> None:
    """Raise if the clip has a damaged gap that is too long to follow people across."""
    begin = 0.0 if before is None else before
    end = float(clip.times[-1]) if frame is None else frame.time
    hidden = clip.times[(clip.times > begin) & (clip.times < end)]
    if frame is None and before is None:
        raise VideoError("broken_video", "No frame of the clip can be decoded. Export it again.")
    if clip.damaged and end - begin > FURTHEST_S and len(hidden):
        raise VideoError(
            "broken_video",
            f"The clip is damaged: no frame between {begin:.1f} and {end:.1f} s can be decoded. Export it again.",
        )
