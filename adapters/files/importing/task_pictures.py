"""Finds the pictures of tasks in a file of poses: by name, and frames of a clip by their order."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from adapters.coco.picture_names import picture_path
from adapters.coco.reading import CocoPicture, PictureKey
from adapters.files.poses.reading import PictureNames
from adapters.label_studio.client.api import ProjectTask
from adapters.label_studio.label_config.controls import ImageControls
from adapters.label_studio.label_config.task_value import TaskDataError

_END_OF_NAME = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True)
class TaskPicture:
    """A picture of a task.

    Attributes:
        task: Number of the task.
        image: The Image tag that shows it.
        frame: Its index in a list of frames; None for a single picture.
        address: As in the task's data.
    """

    task: int
    image: ImageControls
    frame: int | None
    address: str

    @property
    def key(self) -> PictureKey:
        """What COCO files of this program know it by."""
        return (self.task, self.image.name, self.frame)


@dataclass(frozen=True)
class Posed:
    """A picture of a task with the people of a file."""

    picture: TaskPicture
    poses: CocoPicture


@dataclass(frozen=True)
class Matched:
    """What belongs together.

    Attributes:
        tasks: The pictures with poses, by task.
        unmatched: Names of the file's pictures, and of clips, without a picture in the project.
        problems: What was not clear, one sentence each.
    """

    tasks: Mapping[int, Sequence[Posed]]
    unmatched: Sequence[str]
    problems: Sequence[str]


def pictures_of(task: ProjectTask, images: Iterable[ImageControls]) -> list[TaskPicture]:
    """Return the pictures of a task; a tag without one in the task's data has none."""
    found: list[TaskPicture] = []
    for image in images:
        try:
            if image.shows_frames:
                addresses = image.value.addresses(task.data)
                found += [TaskPicture(task.id, image, frame, one) for frame, one in enumerate(addresses)]
            else:
                found.append(TaskPicture(task.id, image, None, image.value.address(task.data)))
        except TaskDataError:
            continue
    return found


def match(
    read: Mapping[PictureKey, CocoPicture], pictures: Sequence[TaskPicture], *, chosen: bool
) -> Matched:
    """Find the picture of each of a file's pictures.

    A picture is found by its name. If several tasks have one of that name, it is the one whose number is in the file.
    Frames of a clip without names of their own belong, in order, to the list of frames that is named like the clip and
    has as many frames.

    Args:
        read: The file's pictures.
        pictures: The project's.
        chosen: Whether the user chose the tasks: frames of a clip then need no name.
    """
    names = PictureNames((one.key, str(picture_path(one.address) or one.address)) for one in pictures)
    by_key = {one.key: one for one in pictures}
    tasks: defaultdict[int, list[Posed]] = defaultdict(list)
    taken: set[PictureKey] = set()
    clips: defaultdict[str, dict[int, CocoPicture]] = defaultdict(dict)
    unmatched: list[str] = []
    problems: list[str] = []
    for key, poses in read.items():
        found = names.find(poses.file_name, known=key)
        if found is None and poses.frame is not None:
            clips[_clip_of(poses)][poses.frame] = poses
        elif found is None:
            unmatched.append(poses.file_name)
        elif found in taken:
            problems.append(
                f"{poses.file_name} is not the only one for a picture of task {by_key[found].task}."
            )
        else:
            taken.add(found)
            tasks[by_key[found].task].append(Posed(by_key[found], poses))
    frame_lists = _frame_lists(pictures)
    for clip, frames in clips.items():
        lists = [one for one in frame_lists if chosen or _is_named(one, clip)]
        fitting = [
            one for one in lists if len(one) == max(frames) + 1 and not taken & {each.key for each in one}
        ]
        if len(fitting) == 1:
            taken.update(one.key for one in fitting[0])
            tasks[fitting[0][0].task] += [
                Posed(one, frames[one.frame or 0]) for one in fitting[0] if one.frame in frames
            ]
        elif not lists:
            unmatched.append(clip)
        else:
            counts = ", ".join(f"{len(one)} in task {one[0].task}" for one in lists[:5])
            problems.append(
                f"{clip} has {max(frames) + 1} frames; lists of frames have {counts}. Choose the task with --task."
            )
    return Matched(tasks, unmatched, problems)


def _clip_of(poses: CocoPicture) -> str:
    path = PurePosixPath(poses.file_name)
    return path.parts[-2] if len(path.parts) > 1 else path.name


def _frame_lists(pictures: Sequence[TaskPicture]) -> list[list[TaskPicture]]:
    lists: defaultdict[tuple[int, str], list[TaskPicture]] = defaultdict(list)
    for one in pictures:
        if one.frame is not None:
            lists[one.task, one.image.name].append(one)
    return list(lists.values())


def _is_named(frames: Sequence[TaskPicture], clip: str) -> bool:
    """Return whether a folder of the frames, or the beginning of their names, is a clip's name."""
    path = picture_path(frames[0].address)
    if path is None:
        return False
    rest = path.name.removeprefix(clip)
    return clip in path.parts[:-1] or (rest != path.name and _END_OF_NAME.match(rest) is not None)
