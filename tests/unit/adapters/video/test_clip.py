"""From the bytes of a clip to its upright frames."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from adapters.video.clip import Clip, Frame
from adapters.video.errors import VideoError
from adapters.video.limits import LONGEST_SIDE, ClipLimits, file_limits
from tests.support.clips import RATE, SIGN_CLIP, counting, displayed, encoded

FRAMES = 30


@pytest.fixture(scope="module")
def clip() -> bytes:
    return encoded(counting(FRAMES))


def levels(frames: list[Frame]) -> list[int]:
    """Which of the counted frames these are."""
    return [round(float(frame.picture.mean()) / 8) for frame in frames]


def all_of(clip: Clip, step_s: float = 1e-3) -> list[Frame]:
    frames: list[Frame] = []
    while (frame := clip.next_frame(frames[-1].time + step_s if frames else 0.0)) is not None:
        frames.append(frame)
    return frames


def refused(data: bytes, limits: ClipLimits | None = None) -> VideoError:
    with pytest.raises(VideoError) as caught:
        all_of(Clip(data, limits))
    return caught.value


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("mov", "libx264"), ("webm", "libvpx")])
def test_every_frame_comes_in_its_turn(container: str, codec: str) -> None:
    clip = Clip(encoded(counting(FRAMES), container=container, codec=codec))

    frames = all_of(clip)

    assert levels(frames) == list(range(FRAMES))
    assert [frame.time for frame in frames] == pytest.approx(clip.times, abs=1e-3)
    assert clip.times == pytest.approx(np.arange(FRAMES) / RATE, abs=1e-3)
    assert clip.duration == pytest.approx(FRAMES / RATE, abs=0.05)
    assert clip.damaged == 0


@pytest.mark.parametrize("every", [2, 12, 40])
def test_a_frame_that_is_asked_for_by_its_time_is_that_frame(every: int) -> None:
    # There is a key frame every second, to jump to.
    clip = Clip(encoded([np.full((48, 64, 3), 20 + 2 * n, np.uint8) for n in range(100)]))

    frames = all_of(clip, every / RATE)

    wanted = list(range(0, 100, every))
    assert [frame.time for frame in frames] == pytest.approx([n / RATE for n in wanted])
    assert [float(frame.picture.mean()) for frame in frames] == pytest.approx(
        [20 + 2 * n for n in wanted], abs=2
    )


def test_colours_are_blue_green_red() -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    frame = Clip(encoded([red] * 3)).next_frame(0)

    assert frame is not None
    assert frame.picture.dtype == np.uint8
    assert frame.picture[24, 32] == pytest.approx([0, 0, 200], abs=12)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((1, 0, 0, 1), (0, 0)),
        ((0, 1, -1, 0), (0, -1)),
        ((-1, 0, 0, -1), (-1, -1)),
        ((0, -1, 1, 0), (-1, 0)),
        ((-1, 0, 0, 1), (0, -1)),
        ((1, 0, 0, -1), (-1, 0)),
        ((0, 1, 1, 0), (0, 0)),
        ((0, -1, -1, 0), (-1, -1)),
    ],
    ids=["0", "90", "180", "270", "mirrored", "upside down", "transposed", "transposed and turned"],
)
def test_frames_are_upright(matrix: tuple[int, int, int, int], corner: tuple[int, int]) -> None:
    # What lies at the upper left of the stored picture is shown at another corner; as phones store what they film.
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :32] = 255

    frame = Clip(displayed(encoded([picture] * 3), matrix)).next_frame(0)

    assert frame is not None
    turned = matrix[0] == 0
    assert frame.picture.shape[:2] == ((64, 48) if turned else (48, 64))
    corners = {(y, x): int(frame.picture[y, x, 0]) for y in (0, -1) for x in (0, -1)}
    assert [place for place, level in corners.items() if level > 128] == [corner]
    # The long side of the patch lies along the stored rows.
    rows, columns = (
        (frame.picture[..., 0] > 128).any(axis=1).sum(),
        (frame.picture[..., 0] > 128).any(axis=0).sum(),
    )
    assert (rows > columns) == turned


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx")])
def test_a_stream_that_starts_late_is_shown_late(container: str, codec: str) -> None:
    # Chromium's mediaTime of the first frame is 2.0, too.
    clip = Clip(encoded(counting(FRAMES), container=container, codec=codec, start_s=2.0))

    assert clip.times == pytest.approx(2 + np.arange(FRAMES) / RATE, abs=1e-3)
    assert levels(all_of(clip)) == list(range(FRAMES))
    assert clip.duration == pytest.approx(2 + FRAMES / RATE, abs=0.05)


def test_a_file_is_read_from_the_disk_as_it_is_needed(clip: bytes, tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip)

    with Clip(file) as opened:
        assert levels(all_of(opened)) == list(range(FRAMES))


@pytest.mark.parametrize(
    ("limits", "shape"), [(ClipLimits(), (720, LONGEST_SIDE, 3)), (file_limits(10**7), (1080, 1920, 3))]
)
def test_large_frames_are_made_smaller_but_for_files(limits: ClipLimits, shape: tuple[int, int, int]) -> None:
    frame = Clip(encoded([np.zeros((1080, 1920, 3), np.uint8)] * 2), limits).next_frame(0)

    assert frame is not None
    assert frame.picture.shape == shape


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"]
)
def test_what_is_no_clip_is_refused(data: bytes) -> None:
    assert refused(data).reason == "not_a_video"


def test_a_clip_with_sound_only_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        output.mux([*stream.encode(sound), *stream.encode()])

    assert refused(file.getvalue()).reason == "not_a_video"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_a_clip_that_was_cut_off_is_refused(share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 48, 64, 3), np.uint8)
    data = encoded(list(noise), container="webm", codec="libvpx")
    whole = encoded(list(noise))

    assert refused(whole[: round(share * len(whole))]).reason == "broken_video"
    if share < 0.1:  # how long a WebM file should be is not known: what there is is all
        assert refused(data[: round(share * len(data))]).reason == "broken_video"


def test_damaged_packets_are_counted_and_passed_over() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 48, 64, 3), np.uint8)
    data = bytearray(encoded(list(noise)))
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    clip = Clip(bytes(data))

    frames = all_of(clip)

    assert clip.damaged > 0
    assert 0 < len(frames) < FRAMES


def test_frames_of_too_many_pixels_are_refused_before_they_are_decoded(clip: bytes) -> None:
    error = refused(clip, ClipLimits(max_pixels=64 * 48 - 1))

    assert error.reason == "too_many_pixels"
    assert "64 x 48" in str(error)


def test_too_many_frames_are_refused(clip: bytes) -> None:
    assert refused(clip, ClipLimits(max_frames=FRAMES - 1)).reason == "too_long"


def test_decoding_has_an_end(clip: bytes) -> None:
    assert refused(clip, ClipLimits(frame_seconds=0)).reason == "too_long"


@pytest.mark.skipif(not SIGN_CLIP.exists(), reason="no clip: the folder shared/photos is not there")
def test_a_clip_from_a_camera_is_read() -> None:
    clip = Clip(SIGN_CLIP.read_bytes())

    assert len(all_of(clip)) == 11
    assert clip.duration == pytest.approx(0.44)
