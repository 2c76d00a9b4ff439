"""Parses a project's label config: its pictures, and the keypoints, bones and boxes that it wants.

Tag and attribute names follow Label Studio (https://labelstud.io/tags/). Attributes for models follow its YOLO backend,
which users know.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from typing import TypeVar
from xml.etree.ElementTree import Element

from adapters.label_studio.label_config.controls import (
    BoxControl,
    ImageControls,
    KeypointControl,
    KeypointLabel,
    LabelConfig,
    PartLabel,
    SkeletonControl,
    SkeletonLabel,
)
from adapters.label_studio.label_config.known_names import (
    means_person,
    nearest_keypoint_names,
    nearest_tree_names,
    parts_of_trees,
    trees_meant,
)
from adapters.label_studio.label_config.tags import (
    Attributes,
    Complaints,
    ControlTag,
    attributes_of,
    control_tags,
    is_yes,
    name_of,
    no_labels,
    predicted_values,
)
from adapters.label_studio.label_config.task_value import TaskValue
from adapters.label_studio.label_config.tree import (
    MAX_CHARACTERS,
    LabelConfigError,
    label_config_tree,
)
from adapters.label_studio.label_config.video import video_controls
from adapters.sentences import listed
from wholebody.bone_trees import Tree
from wholebody.schema import KEYPOINT_COUNT, Part, keypoint_index

__all__ = [
    "BoxControl",
    "ImageControls",
    "KeypointControl",
    "KeypointLabel",
    "LabelConfig",
    "LabelConfigError",
    "SkeletonControl",
    "SkeletonLabel",
    "parse_label_config",
    "read_label_config",
]

_CONFIGS_KEPT = 32
_SMALL = 50_000  # characters parsed on the event loop, in about 10 ms; one with all keypoints has 10,000
_MAX_POINT_SIZE = 1_000.0  # pixels
Meaning = TypeVar("Meaning", int, Tree)
Owned = TypeVar("Owned", ControlTag, KeypointControl, SkeletonControl, PartLabel)
_KINDS = ("KeyPointLabels", "VectorLabels", "RectangleLabels")


@lru_cache(maxsize=_CONFIGS_KEPT)
def parse_label_config(xml: str) -> LabelConfig:
    """Parse a label config; the latest few results are cached.

    Args:
        xml: The label config as Label Studio sends it (`label_config` in /predict, `schema` in /setup).

    Raises:
        LabelConfigError: The text is empty, not XML, declares a document type or entities, or is too large.
    """
    return _Reading(label_config_tree(xml)).config()


async def read_label_config(xml: str) -> LabelConfig:
    """Parse a label config as `parse_label_config` does, a large one in a thread.

    Raises:
        LabelConfigError: As `parse_label_config`.
    """
    if len(xml) <= _SMALL or len(xml) > MAX_CHARACTERS:  # the latter is an error at once
        return parse_label_config(xml)
    return await asyncio.get_running_loop().run_in_executor(_reader(), parse_label_config, xml)


@cache
def _reader() -> ThreadPoolExecutor:
    """One thread: more would only compete for the GIL with each other and with the event loop."""
    return ThreadPoolExecutor(1, "label-config")


class _Reading:
    """One pass over a label config, which collects its problems."""

    def __init__(self, root: Element) -> None:
        self._elements = list(root.iter())
        self._complaints = Complaints()

    def config(self) -> LabelConfig:
        shown = self._images_shown()
        names = {name for name, *_ in shown}
        tags = [tag for kind in _KINDS for tag in control_tags(self._elements, kind, names, self._complaints)]
        # Each tag is read once, even if it belongs to several pictures.
        filled = [tag for tag in tags if not tag.skipped]
        keypoints = [(tag, self._keypoint_control(tag)) for tag in filled if tag.kind == "KeyPointLabels"]
        skeletons = [(tag, self._skeleton_control(tag)) for tag in filled if tag.kind == "VectorLabels"]
        tags_of, keypoints_of, skeletons_of, part_labels_of = (
            _by_object((tag, tag) for tag in tags),
            _by_object((tag, control) for tag, control in keypoints if control.labels),
            _by_object((tag, control) for tag, control in skeletons if control.labels),
            _by_object((tag, label) for tag, _ in keypoints for label in _part_labels(tag)),
        )
        notes = self._notes()
        images: list[ImageControls] = []
        for name, value, shows_frames, most_people in shown:
            box = self._box(name, [*keypoints_of[name], *skeletons_of[name]], tags_of[name])
            image = ImageControls(
                name,
                value,
                tuple(keypoints_of[name]),
                box,
                tuple(skeletons_of[name]),
                shows_frames,
                tuple(part_labels_of[name]),
                notes.get(name),
                most_people,
            )
            if self._can_be_filled(image, tags_of[name]):
                images.append(image)
        videos = video_controls(self._elements, self._complaints)
        if not shown and not videos:
            self._complaints.add(
                'The label config has no usable Image tag. Add <Image name="image" value="$image"/>.'
            )
        elif not images and not videos:
            for name in (name for name, *_ in shown if not tags_of[name]):
                # Next to others, an image may be there for viewing only.
                self._complaints.add(f"Image '{name}' has neither KeyPointLabels nor RectangleLabels.")
            self._complaints.add(
                "The label config has no supported control tag. Print one with `rtmlib-backend label-config`."
            )
        smart = (tag.name for tag in tags if is_yes(tag.attributes.get("smart", "")))
        return LabelConfig(
            tuple(images),
            self._complaints.unknown_labels,
            self._complaints.problems,
            tuple(smart),
            tuple(videos),
        )

    def _images_shown(self) -> list[tuple[str, TaskValue, bool, int | None]]:
        """Return the Image tags: name, field of the picture or list of frames, whether it is a list, most people."""
        shown: dict[str, tuple[str, TaskValue, bool, int | None]] = {}
        say = self._complaints.add
        for element in self._elements:
            if element.tag.lower() != "image":
                continue
            attributes = attributes_of(element)
            name, frames = attributes.get("name", ""), attributes.get("valuelist", "")
            value = frames or attributes.get("value", "")
            if not name:
                say("An Image tag has no name and is ignored.")
            elif name in shown:
                say(f"There are several Image tags named '{name}'; the first one counts.")
            elif "{{" in value:
                say(f"Image '{name}' is inside a Repeater, which is not supported.")
            elif not value:
                say(f"Image '{name}' has no value, such as value=\"$image\", and is ignored.")
            else:
                most_people = self._complaints.count(f"Image '{name}'", attributes, "model_max_people")
                shown[name] = (name, TaskValue(value), bool(frames), most_people)
        return list(shown.values())

    def _notes(self) -> dict[str, str]:
        """Return by Image tag the TextArea for a person's name: one per region with predicted_values="person"."""
        notes: dict[str, str] = {}
        for element in self._elements:
            if element.tag.lower() != "textarea":
                continue
            attributes = attributes_of(element)
            wanted = any(means_person(value) for value in predicted_values(attributes))
            if wanted and is_yes(attributes.get("perregion", "")) and attributes.get("name"):
                for image in attributes.get("toname", "").split(","):
                    notes.setdefault(image.strip(), attributes["name"])
        return notes

    def _can_be_filled(self, image: ImageControls, tags: list[ControlTag]) -> bool:
        if image.keypoints or image.skeletons or image.box is not None:
            return True
        if tags:
            self._complaints.add(f"No tag of Image '{image.name}' is supported.")
        return False

    def _box(
        self, image: str, controls: list[KeypointControl | SkeletonControl], tags: list[ControlTag]
    ) -> BoxControl | None:
        tags = [tag for tag in tags if tag.kind == "RectangleLabels"]
        # The YOLO backend puts the boxes of <KeyPointLabels name="kp"> into <RectangleLabels name="kp_bbox">. Users
        # write model_skip="true" there to prevent duplicate boxes.
        companions = {f"{control.name}_bbox" for control in controls if control.with_boxes}
        if controls and not any(control.with_boxes for control in controls):
            return None
        wanted = [tag for tag in tags if tag.name in companions]
        wanted += [tag for tag in tags if tag.name not in companions and not tag.skipped]
        box = self._box_control(wanted)
        if controls and box is None:
            self._complaints.add(
                f"Image '{image}' has no RectangleLabels tag for people's boxes: the keypoints of several people "
                "are not grouped in the region tree, and exports cannot tell the people apart."
            )
        return box

    def _keypoint_control(self, tag: ControlTag) -> KeypointControl:
        found = self._labels(tag, _keypoints_meant, nearest_keypoint_names, "keypoint")
        if tag.labels and not found and not _part_labels(tag):
            self._complaints.add(f"No label of {tag.title} is a known keypoint.")
        number = self._complaints.number
        return KeypointControl(
            tag.name,
            tuple(KeypointLabel(index, label, threshold) for index, (label, threshold) in found.items()),
            number(tag, tag.attributes, "model_score_threshold", 1.0),
            number(tag, tag.attributes, "model_point_threshold", 1.0),
            tag.with_boxes,
            number(tag, tag.attributes, "model_point_size", _MAX_POINT_SIZE) or None,
        )

    def _skeleton_control(self, tag: ControlTag) -> SkeletonControl:
        if not is_yes(tag.attributes.get("skeleton", "")):
            # The project's own lines, unless their labels are known parts of the skeleton.
            if any(_trees_meant(attributes, name_of(attributes)) for attributes in tag.labels):
                self._complaints.add(f'{tag.title} gets no bones: add skeleton="true" to it.')
            return SkeletonControl(tag.name, ())
        if is_yes(tag.attributes.get("closable", "")):
            self._complaints.add(
                f'{tag.title} has closable="true", so Label Studio treats bones as unfinished: remove it.'
            )
        found = self._labels(tag, _trees_meant, nearest_tree_names, "part of the skeleton")
        if tag.labels and not found:
            self._complaints.add(
                f"No label of {tag.title} is a part of the skeleton. Known parts: {listed(Tree)}, and 'skeleton' for "
                "all."
            )
        number = self._complaints.number
        return SkeletonControl(
            tag.name,
            tuple(SkeletonLabel(tree, label, threshold) for tree, (label, threshold) in found.items()),
            number(tag, tag.attributes, "model_score_threshold", 1.0),
            number(tag, tag.attributes, "model_point_threshold", 1.0),
            tag.with_boxes,
        )

    def _labels(
        self,
        tag: ControlTag,
        meant: Callable[[Attributes, str], list[Meaning]],
        nearest: Callable[[str], tuple[str, ...]],
        what: str,
    ) -> dict[Meaning, tuple[str, float | None]]:
        """Return the meanings of a tag's labels, each with the label's name and threshold.

        Args:
            tag: The tag.
            meant: Returns the meanings of a label with these attributes and this name.
            nearest: Returns similar known names.
            what: Noun for a meaning.
        """
        found: dict[Meaning, tuple[str, float | None]] = {}
        for attributes in tag.labels:
            label = name_of(attributes)
            if not label:
                continue
            meanings = meant(attributes, label)
            unknown = [
                name
                for name in predicted_values(attributes)
                if not meant({}, name) and not means_person(name)
            ]
            if not meanings and _asks_for(tag, attributes):
                continue
            if not meanings:
                # `predicted_values` is more specific than the label's name.
                self._complaints.add_unknown(tag, label, partial(nearest, [*unknown, label][0]))
            elif unknown:
                similar = nearest(unknown[0])
                self._complaints.add(
                    f"Label '{label}' of {tag.title}: {listed(unknown)} in its predicted_values is no known {what}"
                    + (f"; similar: {listed(similar)}." if similar else ".")
                )
            threshold = self._complaints.number(tag, attributes, "model_point_threshold", 1.0)
            for meaning in meanings:
                first, _ = found.setdefault(meaning, (label, threshold))
                if first != label:
                    self._complaints.add(
                        f"In {tag.title}, '{first}' and '{label}' mean the same {what}; '{first}' is used."
                    )
        if not tag.labels:
            self._complaints.add(no_labels(tag))
        return found

    def _box_control(self, tags: list[ControlTag]) -> BoxControl | None:
        """Return the tag and label for people: a label that means a person, else a tag's only label."""
        for labels in ([tag.person_label for tag in tags], [tag.only_label for tag in tags]):
            for tag, label in zip(tags, labels, strict=True):
                if label is not None:
                    threshold = self._complaints.number(tag, tag.attributes, "model_score_threshold", 1.0)
                    return BoxControl(tag.name, label, threshold)
        for tag in tags:
            self._complaints.add(
                f"{tag.title} has no label for a person: name one 'person' or give it "
                'predicted_values="person".'
                if tag.labels
                else no_labels(tag)
            )
        return None


def _by_object(tagged: Iterable[tuple[ControlTag, Owned]]) -> defaultdict[str, list[Owned]]:
    """Group the values of tags by the tags' objects."""
    by_object: defaultdict[str, list[Owned]] = defaultdict(list)
    for tag, owned in tagged:
        for name in tag.objects:
            by_object[name].append(owned)
    return by_object


def _keypoints_meant(attributes: Attributes, label: str) -> list[int]:
    """Return the keypoints of a Label.

    They are those in `predicted_values`, or else that of the label's own name. The YOLO backend's notation
    `predicted_values="person" model_index="0"` gives the index in COCO order instead.
    """
    predicted = predicted_values(attributes)
    meant = [keypoint_index(name) for name in predicted]
    named = [index for index in meant if index is not None]
    if named:
        return list(dict.fromkeys(named))
    for name in (label, attributes.get("value", "")):
        index = keypoint_index(name)
        if index is not None:
            return [index]
    model_index = attributes.get("model_index", "")
    if any(means_person(name) for name in predicted) and model_index.isdecimal() and len(model_index) <= 3:
        return [int(model_index)] if int(model_index) < KEYPOINT_COUNT else []
    return []


def _trees_meant(attributes: Attributes, label: str) -> list[Tree]:
    """Return the parts of the skeleton of a Label; as with keypoints, `predicted_values` takes precedence."""
    for names in (predicted_values(attributes), [label], [attributes.get("value", "")]):
        trees = {tree for name in names for tree in trees_meant(name)}
        if trees:
            return [tree for tree in Tree if tree in trees]
    return []


def _asks_for(tag: ControlTag, attributes: Attributes) -> frozenset[Part]:
    """Return the parts that a click with a label of a smart tag requests; empty for a keypoint's label."""
    label = name_of(attributes)
    if tag.kind != "KeyPointLabels" or not is_yes(tag.attributes.get("smart", "")) or not label:
        return frozenset()
    if _keypoints_meant(attributes, label):
        return frozenset()
    return parts_of_trees(_trees_meant(attributes, label))


def _part_labels(tag: ControlTag) -> list[PartLabel]:
    """Return the labels of a tag that request parts instead of a keypoint."""
    return [
        PartLabel(tag.name, name_of(attributes), parts)
        for attributes in tag.labels
        if (parts := _asks_for(tag, attributes))
    ]
