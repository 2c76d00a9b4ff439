"""The controls of a label config: tags and labels for people, keypoints and bones."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.label_studio.label_config.known_names import UnknownLabel
from adapters.label_studio.label_config.task_value import TaskValue
from adapters.label_studio.label_config.video import VideoControls
from wholebody.bone_trees import Tree
from wholebody.schema import Part


@dataclass(frozen=True)
class KeypointLabel:
    """A label for a keypoint.

    Attributes:
        index: Index of the keypoint in COCO-WholeBody order.
        label: Name of the label in the project.
        threshold: Lowest score at which this keypoint is sent (`model_point_threshold` of the Label), if set.
    """

    index: int
    label: str
    threshold: float | None = None


@dataclass(frozen=True)
class SkeletonLabel:
    """A label for a part of the skeleton.

    Attributes:
        tree: The part.
        label: Name of the label in the project.
        threshold: Lowest score of a keypoint that bones go to (`model_point_threshold` of the Label), if set.
    """

    tree: Tree
    label: str
    threshold: float | None = None


MeantLabel = TypeVar("MeantLabel", KeypointLabel, SkeletonLabel)


@dataclass(frozen=True)
class LabelsControl(Generic[MeantLabel]):
    """A tag whose labels mean keypoints or parts of the skeleton.

    Attributes:
        name: Name of the tag, a region's `from_name`.
        labels: Its labels with a meaning; each meaning at most once.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
        keypoint_threshold: Lowest score of a keypoint, also where bones go to it (`model_point_threshold`), if set.
        with_boxes: Whether people's boxes are wanted as well (`model_add_bboxes`).
    """

    name: str
    labels: tuple[MeantLabel, ...]
    person_threshold: float | None = None
    keypoint_threshold: float | None = None
    with_boxes: bool = True


@dataclass(frozen=True)
class KeypointControl(LabelsControl[KeypointLabel]):
    """A KeyPointLabels tag.

    Attributes:
        point_size: Width of a drawn point in pixels of the picture (`model_point_size`), if set.
    """

    point_size: float | None = None


class SkeletonControl(LabelsControl[SkeletonLabel]):
    """A VectorLabels tag with `skeleton="true"`."""


@dataclass(frozen=True)
class PartLabel:
    """A label of a smart KeyPointLabels tag that requests parts of a person.

    Attributes:
        control: Name of the tag.
        label: Name of the label in the project.
        parts: The parts that a click with this label requests.
    """

    control: str
    label: str
    parts: frozenset[Part]


@dataclass(frozen=True)
class BoxControl:
    """The RectangleLabels tag for people's boxes.

    Attributes:
        name: Name of the tag, a region's `from_name`.
        label: The label for a person.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
    """

    name: str
    label: str
    person_threshold: float | None = None


@dataclass(frozen=True)
class ImageControls:
    """An Image tag and its controls: at least a box, one keypoint label or one skeleton label.

    Attributes:
        name: Name of the tag, a region's `to_name`.
        value: The field of a task's data with the picture, or with the list of frames.
        keypoints: Its KeyPointLabels tags with a supported label.
        box: The tag for people's boxes, or None if the project wants none.
        skeletons: Its VectorLabels tags with a supported label.
        shows_frames: Whether it shows a list of pictures, one at a time (`valueList`).
        part_labels: Labels of its smart KeyPointLabels tags that request parts.
        most_people: Limit on the people of a picture (`model_max_people`), if set.
        note: Name of the TextArea tag that shows frame and person in the region panel, if there is one.
    """

    name: str
    value: TaskValue
    keypoints: tuple[KeypointControl, ...]
    box: BoxControl | None
    skeletons: tuple[SkeletonControl, ...] = ()
    shows_frames: bool = False
    part_labels: tuple[PartLabel, ...] = ()
    note: str | None = None
    most_people: int | None = None


@dataclass(frozen=True)
class LabelConfig:
    """The controls that a project wants predictions for.

    Attributes:
        images: The Image tags with supported controls.
        unknown_labels: Unsupported labels of KeyPointLabels and of skeletons; at most 100.
        problems: What predictions will lack and why, one sentence each, for logs and the status; at most 100.
        smart_controls: Names of the tags with `smart="true"`, for which Label Studio sends a request at each drawing.
        videos: The Video tags with supported controls.
    """

    images: tuple[ImageControls, ...]
    unknown_labels: tuple[UnknownLabel, ...] = ()
    problems: tuple[str, ...] = ()
    smart_controls: tuple[str, ...] = ()
    videos: tuple[VideoControls, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All problems, one sentence each, unknown labels included."""
        return (*self.problems, *(label.sentence for label in self.unknown_labels))

    def image(self, name: str) -> ImageControls | None:
        """Return the Image tag of that name, or None if it has no supported control."""
        return next((image for image in self.images if image.name == name), None)
