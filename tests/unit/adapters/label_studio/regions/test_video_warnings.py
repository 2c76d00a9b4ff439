"""What is said of a clip that Label Studio shows otherwise than it was predicted."""

from dataclasses import replace

import numpy as np
import pytest

from adapters.label_studio.label_config.task_value import TaskValue
from adapters.label_studio.label_config.video import VideoControls
from adapters.label_studio.regions.video import PeopleInVideo
from adapters.label_studio.regions.video_warnings import video_warnings
from adapters.video.following import FollowedPeople

VIDEO = VideoControls("video", TaskValue("$video"), "25", "box", "person", None)
SECONDS = 4


def warnings(
    *, clip: float = 25, config: float = 25, codec: str = "h264", video: VideoControls = VIDEO
) -> list[str]:
    times = np.arange(round(SECONDS * clip)) / clip
    people = FollowedPeople((), (), SECONDS, (200, 100), 0, times, codec)
    return list(video_warnings(PeopleInVideo(video, people, config)))


@pytest.mark.parametrize(("clip", "config"), [(25, 25), (29.97, 30), (30000 / 1001, 29.97)])
def test_nothing_where_frames_are_the_clips(clip: float, config: float) -> None:
    assert warnings(clip=clip, config=config) == []


def test_the_frame_rate_to_write_is_named() -> None:
    (said,) = warnings(clip=30000 / 1001, config=24)
    assert "counts 24 frames a second, and the clip has 29.97" in said
    assert "frameRate=\"29.97\" on Video 'video'" in said


def test_so_is_the_field_that_has_it() -> None:
    (said,) = warnings(clip=50, config=24, video=replace(VIDEO, frame_rate="$fps"))
    assert said.endswith("Set the task's field fps to 50.")


def test_a_picture_has_no_frame_rate() -> None:
    assert warnings(clip=1 / SECONDS, config=24) == []


@pytest.mark.parametrize(("codec", "said"), [("mpeg4", "No browser"), ("hevc", "Not every browser")])
def test_codecs_that_browsers_do_not_show(codec: str, said: str) -> None:
    (warning,) = warnings(codec=codec)
    assert warning.startswith(said)
    assert "ffmpeg -i clip" in warning
