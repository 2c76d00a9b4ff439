"""What a label config asks us for: tags and labels that stand for people, keypoints and bones."""

from dataclasses import dataclass

from adapters.label_studio.label_config.label_names import UnknownLabel
from adapters.label_studio.label_config.task_value import TaskValue
from adapters.label_studio.label_config.video import VideoControls
from wholebody.bone_trees import Tree
from wholebody.schema import Part


@dataclass(frozen=True)
class KeypointLabel:
    """A label that stands for one of our keypoints.

    Attributes:
        index: Index of the keypoint in COCO-WholeBody order.
        label: Name of the label in the project.
        threshold: Lowest score at which this keypoint is sent (`model_point_threshold` of the Label), if set.
    """

    index: int
    label: str
    threshold: float | None = None


@dataclass(frozen=True)
class KeypointControl:
    """A KeyPointLabels tag.

    Attributes:
        name: Name of the tag, a region's `from_name`.
        labels: Its labels that stand for keypoints of ours; each keypoint at most once.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
        keypoint_threshold: Lowest score of a keypoint (`model_point_threshold`), if set.
        point_size: Width of a drawn point in pixels of the picture (`model_point_size`), if set.
        with_boxes: Whether people's boxes are wanted as well (`model_add_bboxes`).
    """

    name: str
    labels: tuple[KeypointLabel, ...]
    person_threshold: float | None = None
    keypoint_threshold: float | None = None
    point_size: float | None = None
    with_boxes: bool = True


@dataclass(frozen=True)
class SkeletonLabel:
    """A label that stands for a part of the skeleton.

    Attributes:
        tree: The part.
        label: Name of the label in the project.
        threshold: Lowest score of a keypoint that bones go to (`model_point_threshold` of the Label), if set.
    """

    tree: Tree
    label: str
    threshold: float | None = None


@dataclass(frozen=True)
class SkeletonControl:
    """A VectorLabels tag with `skeleton="true"`.

    Attributes:
        name: Name of the tag, a region's `from_name`.
        labels: Its labels that stand for parts of the skeleton; each part at most once.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
        keypoint_threshold: Lowest score of a keypoint that bones go to (`model_point_threshold`), if set.
        with_boxes: Whether people's boxes are wanted as well (`model_add_bboxes`).
    """

    name: str
    labels: tuple[SkeletonLabel, ...]
    person_threshold: float | None = None
    keypoint_threshold: float | None = None
    with_boxes: bool = True


@dataclass(frozen=True)
class PartLabel:
    """A label of a smart KeyPointLabels tag that asks for parts of a person.

    Attributes:
        control: Name of the tag.
        label: Name of the label in the project.
        parts: What a click with this label asks for.
    """

    control: str
    label: str
    parts: frozenset[Part]


@dataclass(frozen=True)
class BoxControl:
    """The RectangleLabels tag that people's boxes go to.

    Attributes:
        name: Name of the tag, a region's `from_name`.
        label: The label that stands for a person.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
    """

    name: str
    label: str
    person_threshold: float | None = None


@dataclass(frozen=True)
class ImageControls:
    """An Image tag and what is to be drawn on it; there is at least a box, one keypoint label or one skeleton label.

    Attributes:
        name: Name of the tag, a region's `to_name`.
        value: Where the picture is in a task's data; of a list of frames, where the list is.
        keypoints: The KeyPointLabels tags of this image that have a label of ours.
        box: Where people's boxes go to, or None if the project wants none.
        skeletons: The VectorLabels tags of this image that have a label of ours.
        shows_frames: Whether it shows a list of pictures, one at a time (`valueList`).
        part_labels: Labels of its smart KeyPointLabels tags that ask for parts.
        note: Name of the TextArea tag that says in the region panel which frame and person it is, if there is one.
    """

    name: str
    value: TaskValue
    keypoints: tuple[KeypointControl, ...]
    box: BoxControl | None
    skeletons: tuple[SkeletonControl, ...] = ()
    shows_frames: bool = False
    part_labels: tuple[PartLabel, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class LabelConfig:
    """What a project wants from us.

    Attributes:
        images: The Image tags that predictions can be made for.
        unknown_labels: Labels of KeyPointLabels and of skeletons that stand for nothing of ours; at most 100.
        problems: What a prediction will lack and why, one sentence each, for logs and status pages; at most 100.
        smart_controls: Names of the tags with `smart="true"`, for which Label Studio asks again whenever something
            is drawn.
        videos: The Video tags that predictions can be made for.
    """

    images: tuple[ImageControls, ...]
    unknown_labels: tuple[UnknownLabel, ...] = ()
    problems: tuple[str, ...] = ()
    smart_controls: tuple[str, ...] = ()
    videos: tuple[VideoControls, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that it lacks, one sentence each: its problems, and its unknown labels."""
        return (*self.problems, *(label.sentence for label in self.unknown_labels))

    def image(self, name: str) -> ImageControls | None:
        """Return the Image tag of that name, or None if there is nothing to draw on it."""
        return next((image for image in self.images if image.name == name), None)
