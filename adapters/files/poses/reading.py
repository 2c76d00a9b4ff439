"""Reads the predictions of other programs, whatever their form: COCO, MMPose, OpenPose, `.pose`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import cast

from adapters.coco.reading import (
    CocoError,
    CocoPicture,
    PictureKey,
    person_of_points,
    read_coco,
    read_json_file,
    read_results,
)
from adapters.files.poses.mmpose import read_mmpose
from adapters.files.poses.openpose import ENDING, read_people

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
FORMS = "COCO JSON, a list of COCO results, OpenPose JSON, MMPose's predictions or .pose"


def read_poses(path: Path, listed: Mapping[PictureKey, CocoPicture]) -> dict[PictureKey, CocoPicture]:
    """Read a file, or a folder with a file per picture.

    Args:
        path: COCO JSON, a list of COCO results, OpenPose JSON, MMPose's predictions, or `.pose`.
        listed: The pictures that a list of results refers to by number.

    Returns:
        The pictures by key. A picture of a folder has the name of its file, without `_keypoints` and ending.

    Raises:
        CocoError: It cannot be read; the message names the file.
    """
    if not path.is_dir():
        return _named(path, listed)
    files = files_of(path)
    if not files:
        raise CocoError(f"{path} has no .json files. Give a file, or a folder with a file per picture.")
    found: dict[PictureKey, CocoPicture] = {}
    for file in files:
        found |= _named(file, listed)
    return found


def files_of(path: Path) -> list[Path]:
    """Return the files that are read of a path: itself, or the JSON files of a folder, sorted."""
    return (
        sorted(file for file in path.iterdir() if file.suffix.lower() == ".json") if path.is_dir() else [path]
    )


def _named(path: Path, listed: Mapping[PictureKey, CocoPicture]) -> dict[PictureKey, CocoPicture]:
    try:
        return _read(path, listed)
    except CocoError as error:
        raise CocoError(f"{path}: {error}") from error


def _read(path: Path, listed: Mapping[PictureKey, CocoPicture]) -> dict[PictureKey, CocoPicture]:
    if path.suffix.lower() == ".pose":
        from adapters.files.poses.dot_pose import read_dot_pose  # noqa: PLC0415 - imports pose-format

        return read_dot_pose(path)
    document = read_json_file(path)
    name = path.stem.removesuffix(ENDING.removesuffix(".json"))
    fields = _fields(document)
    if "people" in fields:
        people = [person_of_points(points) for points in read_people(document)]
        return {(name,): CocoPicture(name, None, tuple(people))}
    if fields and "instance_info" not in fields:
        return read_coco(document)
    if not isinstance(document, dict | list):
        raise CocoError(f"It is none of {FORMS}.")
    items = cast("list[object]", document) if isinstance(document, list) else []
    if any("image_id" in _fields(item) for item in items[:1]):
        return read_results(items, listed)
    frames, is_clip = read_mmpose(cast("object", document))
    return {
        (name, frame): CocoPicture(name, None, people, frame=frame if is_clip else None)
        for frame, people in enumerate(frames)
    }


def _fields(value: object) -> set[str]:
    return set(cast("dict[str, object]", value)) if isinstance(value, dict) else set()


def matching(
    read: Mapping[PictureKey, CocoPicture], listed: Mapping[PictureKey, CocoPicture]
) -> dict[PictureKey, CocoPicture]:
    """Return what was read by the keys of the same pictures in `listed`; others keep their own.

    Without a common key, pictures are found by name; see `PictureNames`.

    Raises:
        CocoError: Two pictures match one.
    """
    if read.keys() & listed.keys():
        return dict(read)
    names = PictureNames((key, picture.file_name) for key, picture in listed.items())
    matched: dict[PictureKey, CocoPicture] = {}
    for key, picture in read.items():
        found = names.find(picture.file_name) or key
        if found in matched:
            raise CocoError(
                f"{matched[found].file_name!r} and {picture.file_name!r} match the same picture. Give them different "
                "names."
            )
        matched[found] = picture
    return matched


class PictureNames:
    """Finds pictures by name.

    Args:
        names: The pictures, each with its file name or address.
    """

    def __init__(self, names: Iterable[tuple[PictureKey, str]]) -> None:
        self._tables: list[dict[str, list[PictureKey]]] = [{} for _ in _forms("")]
        for key, name in names:
            for form, table in zip(_forms(name), self._tables, strict=True):
                table.setdefault(form, []).append(key)

    def find(self, name: str, known: PictureKey = ()) -> PictureKey | None:
        """Return the picture with this name; None without one, or with several, unless the known one is among them.

        Compared are the whole names, then those without folders, then without ending, and last without the letters
        that Label Studio puts before the name of an upload.
        """
        for form, table in zip(_forms(name), self._tables, strict=True):
            found: Sequence[PictureKey] = table.get(form, ())
            if found:
                if known in found:
                    return known
                return found[0] if len(found) == 1 else None
        return None


def _forms(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    return name, path.name, path.stem, _UPLOADED.sub("", path.stem)
