"""The meanings of a project's labels for reading regions: keypoints, parts of the skeleton, people."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from adapters.label_studio.label_config.known_names import means_person, parts_of_trees, trees_meant
from adapters.label_studio.label_config.parsing import LabelConfig
from wholebody.bone_trees import Tree
from wholebody.schema import KEYPOINTS, Part, keypoint_index

_BODY = frozenset((Part.BODY, Part.FEET))
TagAndLabel: TypeAlias = tuple[str, str]
"""Name of a control tag, and one of its labels."""


@dataclass(frozen=True)
class LabelMeanings:
    """The meanings of a project's labels.

    Attributes:
        keypoints: Indices of keypoints, by tag and label. Others are recognised by their spelling.
        people: Tag and label of people's boxes; None: any label that means a person.
        trees: Parts of the skeleton, by tag and label. Others are recognised by their spelling.
    """

    keypoints: Mapping[TagAndLabel, tuple[int, ...]] = field(
        default_factory=dict[TagAndLabel, tuple[int, ...]]
    )
    people: frozenset[TagAndLabel] | None = None
    trees: Mapping[TagAndLabel, frozenset[Tree]] = field(default_factory=dict[TagAndLabel, frozenset[Tree]])

    @classmethod
    def of(cls, config: LabelConfig) -> "LabelMeanings":
        """Read the meanings from a label config."""
        keypoints: defaultdict[TagAndLabel, tuple[int, ...]] = defaultdict(tuple)
        trees: defaultdict[TagAndLabel, frozenset[Tree]] = defaultdict(frozenset)
        for image in config.images:
            for control in image.keypoints:
                for label in control.labels:
                    known = keypoints[control.name, label.label]
                    keypoints[control.name, label.label] = tuple(dict.fromkeys((*known, label.index)))
            for control in image.skeletons:
                for label in control.labels:
                    trees[control.name, label.label] |= {label.tree}
        people = frozenset((image.box.name, image.box.label) for image in config.images if image.box)
        return cls(dict(keypoints), people or None, dict(trees))

    def is_person(self, tag: str, labels: Sequence[str]) -> bool:
        """Return whether a box with these labels is a person's."""
        known = self.people or frozenset[TagAndLabel]()
        return any((tag, label) in known or means_person(label) for label in labels)

    def keypoint(self, tag: str, label: str, named: int | None) -> tuple[int | None, bool]:
        """Return the keypoint that the label of a point means.

        Args:
            tag: Name of the point's tag.
            label: The label.
            named: The keypoint that the point was predicted as. For a label with several keypoints, it selects one:
                that keypoint itself, or its twin if only the twin is among them.

        Returns:
            The index, or None; and whether the label means any keypoint at all.
        """
        indices = self.keypoints.get((tag, label))
        if indices is None:
            spelled = keypoint_index(label)
            indices = () if spelled is None else (spelled,)
        if len(indices) == 1:
            return indices[0], True
        return _among(named, indices), bool(indices)

    def parts(self, tag: str, labels: Sequence[str]) -> frozenset[Part]:
        """Return the parts whose keypoints bones with these labels may have; empty if no label is known."""
        parts = parts_of_trees(tree for label in labels for tree in self._trees(tag, label))
        # Feet begin at the ankles, which are points of the body.
        return parts | _BODY if parts & _BODY else parts

    def _trees(self, tag: str, label: str) -> frozenset[Tree]:
        configured, spelled = self.trees.get((tag, label), frozenset()), trees_meant(label)
        # Each part has one label in a label config: if `left_hand` precedes `skeleton`, the latter has the rest.
        return spelled if configured <= spelled else configured


def vertex_keypoint(named: int, parts: frozenset[Part]) -> int | None:
    """Return the keypoint of a vertex, given its bones' label.

    Args:
        named: The keypoint that it was predicted as.
        parts: The parts of the label; empty for an unsupported label.

    Returns:
        The same keypoint if the label covers it, its twin if the label covers that (a left hand relabelled as the
        right one), else None.
    """
    if not parts:
        return named
    return _among(named, [one for one in (named, KEYPOINTS[named].twin) if KEYPOINTS[one].part in parts])


def _among(named: int | None, indices: Sequence[int]) -> int | None:
    if named is None:
        return None
    return next((one for one in (named, KEYPOINTS[named].twin) if one in indices), None)
