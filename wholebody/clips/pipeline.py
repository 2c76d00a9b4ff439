"""From the frames of a clip to its people, with 133 keypoints in every frame."""

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass

from wholebody.clips.people import PeopleInFrames
from wholebody.clips.steadying import FoundFrame, Steadying
from wholebody.detection import PersonDetector
from wholebody.estimation import PoseEstimator
from wholebody.geometry import Picture
from wholebody.posed_clip import PosedFrame


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip.

    Attributes:
        index: Number of the frame in the clip, from 0, in order of presentation.
        time: When it is shown, in seconds from the clip's beginning as a player shows it.
        picture: H×W×3 uint8, BGR, upright; None if it could not be decoded.
    """

    index: int
    time: float
    picture: Picture | None


async def pose_frames(
    frames: AsyncIterable[ClipFrame],
    detector: PersonDetector,
    estimator: PoseEstimator,
    *,
    raw: bool = False,
) -> AsyncGenerator[PosedFrame]:
    """Find the people in every frame of a clip.

    Frames are answered a few seconds of the clip later than they are given, since their keypoints depend on the frames
    after them. Pictures are not kept, so memory does not grow with the clip.

    Args:
        frames: In order of time.
        detector: Finds people's boxes.
        estimator: Finds their keypoints.
        raw: Return keypoints as the networks find them, without repairs, interpolation and filter.

    Yields:
        Every frame, in the same order.

    Raises:
        InferenceError: A network failed.
    """
    people = PeopleInFrames(detector, estimator)
    steadying = Steadying(raw=raw)
    async for frame in frames:
        found = {} if frame.picture is None else await people.look(frame.time, frame.picture)
        for posed in steadying.add(FoundFrame(frame.index, frame.time, found)):
            yield posed
    for posed in steadying.finish():
        yield posed
