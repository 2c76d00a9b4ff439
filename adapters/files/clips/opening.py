"""Opens the writer of a format."""

from pathlib import Path

from adapters.files.clips.coco_video import CocoVideoWriter
from adapters.files.clips.csv_rows import CsvWriter
from adapters.files.clips.openpose_folder import OpenPoseFolderWriter
from adapters.files.clips.writer import ClipFormat, ClipWriter
from wholebody.posed_clip import PosedClip

_ENDINGS = {
    ClipFormat.POSE: ".pose",
    ClipFormat.OPENPOSE: ".openpose",
    ClipFormat.COCO: ".coco.json",
    ClipFormat.CSV: ".csv",
}


def path_of(format: ClipFormat, folder: Path, stem: str) -> Path:
    """Return where a clip's file is in a folder; it is there exactly if it is complete.

    Args:
        format: Its format.
        folder: The folder.
        stem: Name of the clip without its ending; two clips of one folder need different ones.
    """
    return folder / f"{stem}{_ENDINGS[format]}"


def open_writer(format: ClipFormat, folder: Path, clip: PosedClip, stem: str | None = None) -> ClipWriter:
    """Open the writer of a clip's file.

    Args:
        format: Its format.
        folder: An existing folder.
        clip: The clip.
        stem: Name of the file without its ending; by default that of the clip.

    Returns:
        A context manager that takes the frames.

    Raises:
        ClipFileError: The format cannot hold the clip.
        OSError: The file cannot be written.
    """
    stem = Path(clip.name).stem if stem is None else stem
    path = path_of(format, folder, stem)
    match format:
        case ClipFormat.POSE:
            from adapters.files.clips.dot_pose import DotPoseWriter  # noqa: PLC0415 - imports pose-format

            return DotPoseWriter(path, clip)
        case ClipFormat.OPENPOSE:
            return OpenPoseFolderWriter(path, stem)
        case ClipFormat.COCO:
            return CocoVideoWriter(path, clip, stem)
        case ClipFormat.CSV:
            return CsvWriter(path, clip)
