"""One clip of `rtmlib-backend predict`: decoded, posed, and written while it is computed."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.files.clips.opening import open_writer
from adapters.files.clips.overlay import OverlayWriter
from adapters.files.clips.writer import ClipFormat, ClipWriter
from adapters.isolation.processes import IsolatedProcesses
from adapters.settings import Settings
from adapters.video.browsers import codec_warning
from adapters.video.clip import Frame
from adapters.video.errors import VideoError
from adapters.video.every_frame import clip_frames, wanted_frames
from adapters.video.isolated_clip import IsolatedClip, isolated_clip
from adapters.video.limits import file_limits
from wholebody.clips.pipeline import ClipFrame, pose_frames
from wholebody.detection import PersonDetector
from wholebody.estimation import PoseEstimator
from wholebody.posed_clip import KeypointState, PosedClip, PosedFrame
from wholebody.schema import KEYPOINTS, PART_RANGES

_DECODING_BYTES = 2**34
"""Memory for decoding: a file of one's own may be of any size."""


@dataclass(frozen=True)
class ClipOptions:
    """The options for clips.

    Attributes:
        as_json: Print a line for each frame.
        raw: Return keypoints as found, without anything done in time.
        on_black: Draw people on black.
        start: Seconds of the clip from which frames count.
        end: Seconds of the clip until which frames count; None for all.
        every: Only every n-th of these frames.
        formats: Files to write.
        out: Their folder.
    """

    as_json: bool = False
    raw: bool = False
    on_black: bool = False
    start: float = 0.0
    end: float | None = None
    every: int = 1
    formats: tuple[ClipFormat, ...] = ()
    out: Path | None = None


@dataclass(frozen=True)
class ClipFiles:
    """Where the files of one clip go.

    Attributes:
        stem: Name of the files in `ClipOptions.out`.
        overlay: The overlay; None for none.
    """

    stem: str
    overlay: Path | None


@dataclass(frozen=True)
class Networks:
    """What finds people.

    Attributes:
        detector: Finds people's boxes.
        estimator: Finds their keypoints.
        version: Model version of the predictions.
    """

    detector: PersonDetector
    estimator: PoseEstimator
    version: str


@dataclass
class _Seen:
    """What was found of one person."""

    first_s: float
    last_s: float = 0.0
    frames: int = 0
    visible: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(PART_RANGES)))


class ClipPrediction:
    """Predicts clips, one after the other.

    Args:
        networks: Find the people.
        settings: Of the service.
        options: Of the command.
        processes: Decode the clips.
        console: For the progress bar.
    """

    def __init__(
        self,
        networks: Networks,
        settings: Settings,
        options: ClipOptions,
        processes: IsolatedProcesses,
        console: Console,
    ) -> None:
        self._networks = networks
        self._settings = settings
        self._options = options
        self._processes = processes
        self._console = console
        self._memory = MemoryBudget(_DECODING_BYTES)

    async def predict(self, name: str, source: bytes | Path, files: ClipFiles) -> int:
        """Predict a clip, write its files and print the result; return the number of frames.

        Raises:
            VideoError: The clip cannot be read.
            ClipFileError: A format cannot hold it.
            OSError: A file cannot be written.
            InferenceError: A network failed.
        """
        options = self._options
        async with AsyncExitStack() as opened:
            clip = await opened.enter_async_context(self._open(source))
            if (warning := codec_warning(clip.codec)) is not None:
                self._console.print(f"{name}: {warning}", markup=False, highlight=False, soft_wrap=True)
            wanted = wanted_frames(clip.times, options.start, options.end, options.every)
            frames = clip_frames(clip, wanted)
            skipped, first, picture = await _first_picture(frames)
            description = _description(name, clip, wanted, picture, self._networks.version)
            overlay: OverlayWriter | None = None
            if files.overlay is not None:
                overlay = OverlayWriter(files.overlay, description, self._settings.confidence_threshold)
                opened.enter_context(overlay)
            writers = [opened.enter_context(writer) for writer in self._writers(description, files.stem)]
            under = (
                await opened.enter_async_context(self._open(source))
                if overlay is not None and not options.on_black
                else None
            )
            table = _ClipTable(description, self._settings.confidence_threshold)
            progress = opened.enter_context(_progress(self._console))
            bar = progress.add_task(Path(name).name, total=len(wanted))
            posed_frames = pose_frames(
                _from(skipped, first, frames),
                self._networks.detector,
                self._networks.estimator,
                raw=options.raw,
            )
            drawn = _Pictures(under)
            async for posed in posed_frames:
                for writer in writers:
                    writer.write(posed)
                if overlay is not None:
                    await asyncio.to_thread(overlay.write, posed, await drawn.at(posed.time))
                if options.as_json:
                    typer.echo(json.dumps(_json(description, posed)))
                table.add(posed)
                progress.advance(bar)
        if not options.as_json:
            table.print()
        return len(wanted)

    def _open(self, source: bytes | Path) -> Any:
        return isolated_clip(
            source, self._processes, self._memory, file_limits(self._settings.max_video_pixels)
        )

    def _writers(self, clip: PosedClip, stem: str) -> Iterable[ClipWriter]:
        for format in self._options.formats:
            assert self._options.out is not None, "formats need a folder"
            yield open_writer(format, self._options.out, clip, stem)


class _Pictures:
    """The frames under an overlay: decoded a second time, since people are known seconds later."""

    def __init__(self, clip: IsolatedClip | None) -> None:
        self._clip = clip
        self._frame: Frame | None = None

    async def at(self, time: float) -> NDArray[np.uint8] | None:
        """Return the frame at a time, or the next one if it is damaged; None for black."""
        if self._clip is None:
            return None
        if self._frame is None or self._frame.time < time - 1e-4:
            self._frame = await self._clip.next_frame(time) or self._frame
        return None if self._frame is None else self._frame.picture


async def _first_picture(
    frames: AsyncIterator[ClipFrame],
) -> tuple[list[ClipFrame], ClipFrame, NDArray[np.uint8]]:
    """Return the damaged frames at the beginning, the first whole one, and its picture."""
    damaged: list[ClipFrame] = []
    async for frame in frames:
        if frame.picture is not None:
            return damaged, frame, frame.picture
        damaged.append(frame)
    raise VideoError("broken_video", "No frame of the clip can be decoded. Export it again.")


async def _from(
    damaged: list[ClipFrame], first: ClipFrame, others: AsyncIterator[ClipFrame]
) -> AsyncGenerator[ClipFrame]:
    for frame in damaged:
        yield frame
    yield first
    del first
    async for frame in others:
        yield frame


def _description(
    name: str, clip: IsolatedClip, wanted: NDArray[np.intp], picture: NDArray[np.uint8], version: str
) -> PosedClip:
    times = clip.times[wanted]
    span = float(times[-1] - times[0])
    fps = (len(times) - 1) / span if span > 0 else 1 / max(clip.duration, 1e-3)
    height, width, _ = picture.shape
    return PosedClip(name, width, height, fps, version)


def _json(clip: PosedClip, frame: PosedFrame) -> dict[str, Any]:
    return {
        "clip": clip.name,
        "frame": frame.index,
        "time": round(frame.time, 6),
        "width": clip.width,
        "height": clip.height,
        "model_version": clip.model_version,
        "people": [
            {
                "id": posed.id,
                "box": [round(float(edge), 2) for edge in posed.person.box],
                "score": round(posed.person.box_score, 4),
                "keypoints": {
                    keypoint.name: [round(float(x), 2), round(float(y), 2), round(float(score), 4)]
                    for keypoint, (x, y), score in zip(
                        KEYPOINTS, posed.person.keypoints, posed.person.scores, strict=True
                    )
                    if score > 0
                },
                "interpolated": [
                    keypoint.name
                    for keypoint, state in zip(KEYPOINTS, posed.states, strict=True)
                    if state == KeypointState.INTERPOLATED
                ],
            }
            for posed in frame.people
        ],
    }


class _ClipTable:
    """Counts what is found of each person."""

    def __init__(self, clip: PosedClip, threshold: float) -> None:
        self._clip = clip
        self._threshold = max(threshold, float(np.finfo(np.float32).tiny))
        self._frames = 0
        self._people: dict[str, _Seen] = {}

    def add(self, frame: PosedFrame) -> None:
        """Count a frame."""
        self._frames += 1
        for posed in frame.people:
            seen = self._people.setdefault(posed.id, _Seen(frame.time))
            seen.last_s, seen.frames = frame.time, seen.frames + 1
            visible = posed.person.scores >= self._threshold
            seen.visible += [visible[list(indices)].sum() for indices in PART_RANGES.values()]

    def print(self) -> None:
        """Print a row for each person: when, in how many frames, and the mean number of keypoints of each part."""
        count = len(self._people)
        title = (
            f"{self._clip.name}: {self._frames} frames, {self._clip.width} × {self._clip.height}, "
            f"{self._clip.fps:.3g} a second, {count} {'person' if count == 1 else 'people'}"
        )
        table = Table(
            "id", "seconds", "frames", *(part.replace("_", " ") for part in PART_RANGES), title=title
        )
        for id_, seen in self._people.items():
            parts = [
                f"{mean:.0f}/{len(indices)}"
                for mean, indices in zip(seen.visible / seen.frames, PART_RANGES.values(), strict=True)
            ]
            table.add_row(id_, f"{seen.first_s:.2f} to {seen.last_s:.2f}", str(seen.frames), *parts)
        Console().print(table)


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        """Return the speed of the last frames."""
        return Text("" if task.speed is None else f"{task.speed:.1f} frames/s")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
