"""Which pictures of tasks the poses of a file belong to."""

from adapters.coco.reading import CocoPicture, PictureKey
from adapters.files.importing.task_pictures import TaskPicture, match
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template


def frames(clip: str, count: int) -> dict[PictureKey, CocoPicture]:
    return {(clip, number): CocoPicture(clip, None, (), frame=number) for number in range(count)}


def test_a_list_of_frames_takes_one_clip_only() -> None:
    (image,) = parse_label_config(label_config_template([Selection.BODY], frames=True)).images
    pictures = [TaskPicture(7, image, number, f"frame-{number}.jpg") for number in range(2)]
    matched = match(frames("first", 2) | frames("second", 2), pictures, chosen=True)
    assert [one.poses.file_name for one in matched.tasks[7]] == ["first", "first"]
    assert [one.picture.frame for one in matched.tasks[7]] == [0, 1]
    assert len(matched.problems) == 1
    assert matched.problems[0].startswith("second has 2 frames")
