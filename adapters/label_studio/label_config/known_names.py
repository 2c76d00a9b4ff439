"""Known names of labels: people, parts of the body and of the skeleton, and the nearest ones to an unknown name."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from adapters.sentences import listed, one_line
from wholebody.bone_trees import Tree
from wholebody.schema import KEYPOINTS, Part, normalised

_PERSON = frozenset({"person", "persons", "people", "human", "humans", "pedestrian", "signer"})
_BODY_PARTS = frozenset(
    f"{side}{part}"
    for side in ("", "left", "right")
    for part in ("face", "head", "hand", "hands", "foot", "feet", "eye", "arm", "leg", "torso")
)
_BOTH_HANDS = frozenset((Tree.LEFT_HAND, Tree.RIGHT_HAND))
_WHOLE_SKELETON = frozenset((Tree.BODY, Tree.FACE)) | _BOTH_HANDS
_TREES = {
    **{tree.value: frozenset((tree,)) for tree in Tree},
    **dict.fromkeys(("hand", "hands"), _BOTH_HANDS),
    **dict.fromkeys(("skeleton", "bones", "pose", "whole", "whole_body"), _WHOLE_SKELETON),
    **dict.fromkeys(_PERSON, _WHOLE_SKELETON),
}
_TREES_BY_SPELLING = {normalised(name): (name, trees) for name, trees in _TREES.items()}
_LONGEST_COMPARED = 64
# Points of other schemes that are near one of ours, or between two, but not the same.
_NEAR = {
    "neck": ("left_shoulder", "right_shoulder"),
    "midhip": ("left_hip", "right_hip"),
    "pelvis": ("left_hip", "right_hip"),
    "mouthleft": ("face_54",),
    "mouthright": ("face_48",),
    **{
        f"{side}{other}": (f"{side}_{ours}",)
        for side in ("left", "right")
        for other, ours in (
            ("footindex", "big_toe"),
            ("pinky", "little_17"),
            ("index", "index_5"),
            ("thumb", "thumb_2"),
            ("eyeinner", "eye"),
            ("eyeouter", "eye"),
            ("foot", "ankle"),
        )
    },
}


@dataclass(frozen=True)
class UnknownLabel:
    """An unsupported label in a tag with supported ones.

    Attributes:
        control: Name of the tag.
        label: Name of the label.
        nearest: Similar supported names, the most similar first.
        kind: `KeyPointLabels` or `VectorLabels`.
    """

    control: str
    label: str
    nearest: tuple[str, ...] = ()
    kind: str = "KeyPointLabels"

    @property
    def sentence(self) -> str:
        """The problem and, if there are any, similar names."""
        what = "keypoint" if self.kind == "KeyPointLabels" else "part of the skeleton"
        meant = f"; similar: {listed(self.nearest)}" if self.nearest else ""
        return one_line(f"Label '{self.label}' of {self.kind} '{self.control}' is no known {what}{meant}.")


def means_person(name: str) -> bool:
    """Return whether a name means a whole person; case and separators do not matter."""
    return normalised(name) in _PERSON


def means_body_part(name: str) -> bool:
    """Return whether a name means a part of the body, so it cannot be the label of a person's box."""
    return normalised(name) in _BODY_PARTS


@cache
def _names_by_spelling() -> dict[str, str]:
    return {
        normalised(spelling): keypoint.name
        for keypoint in KEYPOINTS
        for spelling in (keypoint.name, *keypoint.spellings)
    }


def nearest_keypoint_names(label: str) -> tuple[str, ...]:
    """Return up to three names of keypoints that are similar to a label, the most similar first."""
    if near := _NEAR.get(normalised(label)):
        return near
    names = _names_by_spelling()
    close = get_close_matches(normalised(label[:_LONGEST_COMPARED]), names, n=6, cutoff=0.7)
    return tuple(dict.fromkeys(names[spelling] for spelling in close))[:3]


def trees_meant(name: str) -> frozenset[Tree]:
    """Return the parts of the skeleton that a name means; case and separators do not matter; empty if unknown."""
    return _TREES_BY_SPELLING.get(normalised(name), ("", frozenset[Tree]()))[1]


_PARTS = {
    Tree.BODY: frozenset((Part.BODY, Part.FEET)),
    Tree.BODY_WITHOUT_FEET: frozenset((Part.BODY,)),
    Tree.FEET: frozenset((Part.FEET,)),
    Tree.UPPER_BODY: frozenset((Part.BODY,)),
    Tree.LEFT_HAND: frozenset((Part.LEFT_HAND,)),
    Tree.RIGHT_HAND: frozenset((Part.RIGHT_HAND,)),
    Tree.FACE: frozenset((Part.FACE,)),
}


def parts_of_trees(trees: Iterable[Tree]) -> frozenset[Part]:
    """Return the parts of the body that parts of the skeleton connect."""
    return frozenset(part for tree in trees for part in _PARTS[tree])


def nearest_tree_names(label: str) -> tuple[str, ...]:
    """Return up to three names of parts of the skeleton that are similar to a label, the most similar first."""
    close = get_close_matches(normalised(label[:_LONGEST_COMPARED]), _TREES_BY_SPELLING, n=3, cutoff=0.6)
    return tuple(_TREES_BY_SPELLING[spelling][0] for spelling in close)
