"""The skeleton as trees of bones: each keypoint has at most one parent, as drawing programs require.

`schema.SKELETON` has cycles: the trunk, the eyes, the lips. A tree omits one bone of each cycle. The found keypoints
decide which one: without a shoulder, for example, the tree has the bone between the hips.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from wholebody.schema import FACE_START, KEYPOINTS, PART_RANGES, SKELETON, Part, keypoint_index

Bone = tuple[int, int]
"""Indices of two keypoints."""


class Tree(StrEnum):
    """A group of bones with one name."""

    BODY = "body"
    BODY_WITHOUT_FEET = "body_without_feet"
    FEET = "feet"
    UPPER_BODY = "upper_body"
    LEFT_HAND = "left_hand"
    RIGHT_HAND = "right_hand"
    FACE = "face"


@dataclass(frozen=True)
class Line:
    """Bones that form one tree if all their keypoints are found.

    Attributes:
        name: Such as `body` or `left_brow`; unique.
        tree: The group that it belongs to.
        bones: In order of preference; a bone that would close a cycle is omitted.
    """

    name: str
    tree: Tree
    bones: tuple[Bone, ...]


@dataclass(frozen=True)
class Vertex:
    """A keypoint of a tree.

    Attributes:
        index: Index of the keypoint.
        parent: Index of the parent keypoint; None for the root.
    """

    index: int
    parent: int | None


def _index(name: str) -> int:
    index = keypoint_index(name)
    assert index is not None
    return index


def _body_bones() -> tuple[Bone, ...]:
    # The bones that are omitted first. Then the trunk is two sides below the shoulders, the eyes are children of the
    # nose, and one ear joins head and shoulders.
    spare = [("left_hip", "right_hip"), ("left_eye", "right_eye")]
    spare += [(f"{side}_ear", f"{side}_shoulder") for side in ("left", "right")]
    last = [(_index(a), _index(b)) for a, b in spare]
    body = [bone for bone in SKELETON if max(bone) < FACE_START]
    assert set(last) <= set(body)
    return (*(bone for bone in body if bone not in last), *last)


_BODY_BONES = _body_bones()
_LEGS_START = _index("left_hip")
_FEET_START = PART_RANGES[Part.FEET].start
# First and last point of each line in the 68-point markup of iBUG 300-W.
_FACE_LINES = {
    "jaw": (0, 16),
    "right_brow": (17, 21),
    "left_brow": (22, 26),
    "nose_bridge": (27, 30),
    "nose_base": (31, 35),
    "right_eye": (36, 41),
    "left_eye": (42, 47),
    "lips": (48, 59),
    "inner_lips": (60, 67),
}


def _between(first: int, last: int) -> tuple[Bone, ...]:
    return tuple(bone for bone in SKELETON if first <= min(bone) and max(bone) <= last)


def _of_part(part: Part) -> tuple[Bone, ...]:
    where = PART_RANGES[part]
    return _between(where.start, where.stop - 1)


def _foot(side: str) -> tuple[Bone, ...]:
    # The ankle joins a foot's bones, and is a keypoint of the body.
    feet = (bone for bone in _BODY_BONES if max(bone) >= _FEET_START)
    return tuple(bone for bone in feet if KEYPOINTS[max(bone)].name.startswith(side))


LINES: tuple[Line, ...] = (
    Line("body", Tree.BODY, _BODY_BONES),
    Line(
        "body_without_feet",
        Tree.BODY_WITHOUT_FEET,
        tuple(bone for bone in _BODY_BONES if max(bone) < _FEET_START),
    ),
    Line("left_foot", Tree.FEET, _foot("left")),
    Line("right_foot", Tree.FEET, _foot("right")),
    Line("upper_body", Tree.UPPER_BODY, tuple(bone for bone in _BODY_BONES if max(bone) < _LEGS_START)),
    Line("left_hand", Tree.LEFT_HAND, _of_part(Part.LEFT_HAND)),
    Line("right_hand", Tree.RIGHT_HAND, _of_part(Part.RIGHT_HAND)),
    *(
        Line(f"face_{name}", Tree.FACE, _between(FACE_START + first, FACE_START + last))
        for name, (first, last) in _FACE_LINES.items()
    ),
)


@cache
def keypoints_of(tree: Tree) -> tuple[int, ...]:
    """Return the indices of the keypoints of a tree's bones, in ascending order."""
    return tuple(
        sorted({index for line in LINES if line.tree is tree for bone in line.bones for index in bone})
    )


def grown(line: Line, found: Collection[int]) -> list[tuple[Vertex, ...]]:
    """Return a line's trees over the found keypoints.

    The bones of a missing keypoint are omitted, so the line may become several trees unless spare bones join them. A
    keypoint without a bone is in no tree.

    Args:
        line: The bones.
        found: Indices of the found keypoints.

    Returns:
        Trees of at least two vertices, parents before children. The first is the root, the lowest index.
    """
    neighbours: dict[int, list[int]] = {}
    group: dict[int, int] = {}

    def root_of(index: int) -> int:
        while group.setdefault(index, index) != index:
            index = group[index]
        return index

    for a, b in line.bones:
        if a in found and b in found and root_of(a) != root_of(b):
            group[root_of(a)] = root_of(b)
            neighbours.setdefault(a, []).append(b)
            neighbours.setdefault(b, []).append(a)
    trees: list[tuple[Vertex, ...]] = []
    seen: set[int] = set()
    for start in sorted(neighbours):
        if start not in seen:
            tree = _from(start, neighbours)
            seen |= {vertex.index for vertex in tree}
            trees.append(tree)
    return trees


def _from(root: int, neighbours: dict[int, list[int]]) -> tuple[Vertex, ...]:
    tree: list[Vertex] = []
    waiting = deque([Vertex(root, None)])
    while waiting:
        vertex = waiting.popleft()
        tree.append(vertex)
        waiting += (
            Vertex(one, vertex.index) for one in sorted(neighbours[vertex.index]) if one != vertex.parent
        )
    return tuple(tree)
