"""What the clip pipeline gains over frame by frame: `make bench-clips`.

Two clips are predicted both ways. The first is a recording, played forwards and backwards. The second is made of its
first frame, moved by a known path: the true trajectories are known, but for the constant error of each way. CPU time is
compared, since other work on a machine changes the time on the clock.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.settings import load_settings
from adapters.video.clip import Clip
from adapters.video.limits import file_limits
from adapters.wiring import runner_config
from runners.pipeline import assemble_in_process
from runners.plan import fetch
from wholebody.clips.pipeline import ClipFrame, pose_frames
from wholebody.detection import LetterboxDetector
from wholebody.estimation import PartsEstimator
from wholebody.figure import draw_figure
from wholebody.person import Person
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
FPS = 25
ROUNDS = 5
FILM_FPS, SHORT_S, LONG_S = 5, 10, 600
GROUPS = {
    "body": list(PART_RANGES[Part.BODY]),
    "face": list(PART_RANGES[Part.FACE]),
    "hands": [*PART_RANGES[Part.LEFT_HAND], *PART_RANGES[Part.RIGHT_HAND]],
}
SEEN_SCORE = 0.3


@dataclass
class Counted:
    """How often a network ran, in crops or pictures."""

    network: Any
    runs: int = 0

    async def __call__(self, crops: Picture) -> Any:
        """Run the network."""
        self.runs += len(crops)
        return await self.network(crops)


@dataclass(frozen=True)
class Found:
    """The first person of each frame, and what finding them cost.

    Attributes:
        keypoints: Shape (frames, 133, 2); NaN where missing.
        cpu_s: CPU seconds a frame.
        hand_runs: Of the hand network, a frame.
        detections: Of the detector, a frame.
        ids: Number of different ids; people of single pictures have none.
    """

    keypoints: Floats
    cpu_s: float
    hand_runs: float
    detections: float
    ids: int

    @property
    def hands(self) -> float:
        """Hands a frame."""
        first = [PART_RANGES[part][0] for part in (Part.LEFT_HAND, Part.RIGHT_HAND)]
        return float(np.isfinite(self.keypoints[:, first, 0]).sum() / len(self.keypoints))


class Comparison:
    """Predicts clips frame by frame and as clips."""

    def __init__(self) -> None:
        plan = fetch(runner_config(load_settings()))
        detector, estimator = assemble_in_process(plan)
        assert isinstance(detector, LetterboxDetector)
        self._detections = Counted(detector.network)
        self._detector = replace(detector, network=self._detections)
        self._hands = Counted(None)
        self._estimator = estimator
        if isinstance(estimator, PartsEstimator):
            self._hands = Counted(estimator.hands.network)
            self._estimator = replace(estimator, hands=replace(estimator.hands, network=self._hands))
        self.version = plan.version

    async def frame_by_frame(self, pictures: Sequence[Picture]) -> Found:
        """Predict each frame as a picture."""
        people: list[list[Person]] = []
        started = self._started()
        for picture in pictures:
            people.append(await find_people(picture, self._detector, self._estimator))
        return self._found(
            [max(one, key=lambda person: person.area, default=None) for one in people], started, 0
        )

    async def as_clip(self, pictures: Sequence[Picture], *, raw: bool = False) -> Found:
        """Predict the frames of a clip."""

        async def frames() -> AsyncGenerator[ClipFrame]:
            for i, picture in enumerate(pictures):
                yield ClipFrame(i, i / FPS, picture)

        started = self._started()
        posed = [one async for one in pose_frames(frames(), self._detector, self._estimator, raw=raw)]
        largest = [
            max((person.person for person in one.people), key=lambda person: person.area, default=None)
            for one in posed
        ]
        return self._found(largest, started, len({person.id for one in posed for person in one.people}))

    def _started(self) -> float:
        self._hands.runs = self._detections.runs = 0
        return time.process_time()

    def _found(self, people: Sequence[Person | None], started: float, ids: int) -> Found:
        frames = len(people)
        cpu_s = (time.process_time() - started) / frames
        keypoints = np.full((frames, KEYPOINT_COUNT, 2), np.nan)
        for i, person in enumerate(people):
            if person is not None:
                keypoints[i] = np.where(person.scores[:, None] >= SEEN_SCORE, person.keypoints, np.nan)
        return Found(keypoints, cpu_s, self._hands.runs / frames, self._detections.runs / frames, ids)


def moved(picture: Picture) -> tuple[list[Picture], Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Move a picture by a known path: still, waves, still, shakes with turning points, still.

    Returns:
        The frames, the shift of each in pixels, shape (frames, 2), and which frames are still and which fast.
    """
    times = np.arange(6 * FPS) / FPS
    shifts = np.zeros((len(times), 2))
    waves, shakes = (times >= 1.5) & (times < 3), (times >= 4) & (times < 5.2)
    reach = 0.03 * picture.shape[1]
    t = times[waves] - 1.5
    shifts[waves] = reach * np.stack([np.sin(2 * np.pi * t / 0.75), np.cos(2 * np.pi * t / 1.5) - 1], axis=1)
    t = times[shakes] - 4
    shifts[shakes, 0] = reach * (2 * np.abs((t / 0.6 + 0.25) % 1 * 2 - 1) - 1)
    noise = np.random.default_rng(0)
    frames: list[Picture] = []
    for x, y in shifts:
        warped = cv2.warpAffine(
            picture, np.array([[1, 0, x], [0, 1, y]]), picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
        )
        grain = noise.normal(0, 4, picture.shape)
        frames.append(np.clip(warped + grain, 0, 255).astype(np.uint8))
    near = np.convolve(waves | shakes, np.ones(11), "same") > 0
    return frames, shifts, ~near, waves | shakes


def jitter(keypoints: Floats, still: NDArray[np.bool_]) -> float:
    """Median of the steps between still frames, in pixels."""
    return float(np.nanmedian(np.linalg.norm(np.diff(keypoints, axis=0), axis=2)[still[1:] & still[:-1]]))


def _median(keypoints: Floats) -> Floats:
    """Return the median position of each keypoint that is ever found; NaN of the others."""
    known = np.isfinite(keypoints).all(axis=2).any(axis=0)
    found = np.full(keypoints.shape[1:], np.nan)
    found[known] = np.nanmedian(keypoints[:, known], axis=0)
    return found


def stillest_jitter(keypoints: Floats) -> float:
    """Second differences of the stillest third, in pixels."""
    return float(np.nanpercentile(np.linalg.norm(np.diff(keypoints, 2, axis=0), axis=2), 33))


def print_recording(raw: Found, clip: Found) -> None:
    """Print the figures of the recording."""
    print("| | frame by frame | as a clip |\n|---|---|---|")
    print(
        f"| CPU ms a frame | {1000 * raw.cpu_s:.0f} "
        f"| {1000 * clip.cpu_s:.0f} ({raw.cpu_s / clip.cpu_s:.2f} × as fast) |"
    )
    print(f"| runs of the detector a frame | {raw.detections:.2f} | {clip.detections:.2f} |")
    print(f"| runs of the hand network a frame | {raw.hand_runs:.2f} | {clip.hand_runs:.2f} |")
    print(f"| hands a frame | {raw.hands:.2f} | {clip.hands:.2f} |")
    print(f"| ids | none | {clip.ids} |")
    for name, group in GROUPS.items():
        before, after = (stillest_jitter(one.keypoints[:, group]) for one in (raw, clip))
        print(
            f"| jitter of the stillest third, {name}, pixels | {before:.2f} | {after:.2f} ({after / before:.2f} ×) |"
        )


def print_moved(
    raw: Found, clip: Found, shifts: Floats, still: NDArray[np.bool_], fast: NDArray[np.bool_]
) -> None:
    """Print the figures of the moved picture."""
    speed = np.gradient(shifts, axis=0)[:, None]
    print(
        "\n| | jitter when still | 95th percentile, fast | whole clip | lag, frames |\n|---|---|---|---|---|"
    )
    for name, group in GROUPS.items():
        in_place = [(one.keypoints - shifts[:, None])[:, group] for one in (raw, clip)]
        errors = [np.linalg.norm(one - _median(one[still]), axis=2) for one in in_place]
        shake = [jitter(one, still) for one in in_place]
        quick = [float(np.nanpercentile(error[fast], 95)) for error in errors]
        whole = [float(np.nanpercentile(error, 95)) for error in errors]
        off = (clip.keypoints - raw.keypoints)[:, group]
        known = np.isfinite(off)
        late = -float(np.nansum(off * speed) / np.sum(np.broadcast_to(speed**2, off.shape)[known]))
        print(
            f"| {name} | {shake[1] / shake[0]:.2f} × | {quick[1] / quick[0]:.2f} × "
            f"| {whole[1] / whole[0]:.2f} × | {late:.2f} |"
        )


def film(path: Path, seconds: int) -> None:
    """Write a film of the drawn figure, which sways."""
    figure = np.asarray(draw_figure())
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FILM_FPS)
        stream.width, stream.height, stream.pix_fmt = figure.shape[1], figure.shape[0], "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for i in range(seconds * FILM_FPS):
            output.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.roll(figure, round(9 * np.sin(i)), 1), format="rgb24")
                )
            )
        output.mux(stream.encode())


def print_memory() -> None:
    """Print the peak memory of the command line for a short and a long film."""
    with tempfile.TemporaryDirectory() as folder:
        for seconds in (SHORT_S, LONG_S):
            path = Path(folder) / f"{seconds}.mp4"
            film(path, seconds)
            command = [sys.executable, "-m", "adapters.cli", "predict", str(path), "--format", "csv", "--out", folder,
                       "--overlay", f"{folder}/{seconds}-drawn.mp4"]  # fmt: skip
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            print(
                f"{seconds} s of film: exit {os.waitstatus_to_exitcode(status)}, peak {_megabytes(usage):.0f} MB"
            )


def _megabytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024


async def compare(path: Path) -> None:
    """Print the figures of both clips."""
    pictures: list[Picture] = []
    with Clip(path, file_limits(10**8)) as clip:
        for moment in clip.times:
            if (frame := clip.next_frame(float(moment))) is not None:
                pictures.append(frame.picture)
    comparison = Comparison()
    there_and_back = (pictures + pictures[-2:0:-1]) * ROUNDS
    await comparison.frame_by_frame(there_and_back[:2])  # the first run takes longer
    print(f"{path.name}, forwards and backwards: {len(there_and_back)} frames, {comparison.version}\n")
    print_recording(await comparison.frame_by_frame(there_and_back), await comparison.as_clip(there_and_back))
    frames, shifts, still, fast = moved(pictures[0])
    print_moved(
        await comparison.frame_by_frame(frames), await comparison.as_clip(frames), shifts, still, fast
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, required=True, help="a recording of one person")
    parser.add_argument(
        "--memory", action="store_true", help="also measure the memory of ten minutes of film (minutes)"
    )
    arguments = parser.parse_args()
    asyncio.run(compare(arguments.clip))
    if arguments.memory:
        print_memory()


if __name__ == "__main__":
    main()
