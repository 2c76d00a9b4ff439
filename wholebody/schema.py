"""The COCO-WholeBody schema: 133 keypoints with parts, twins, sigmas, spellings and edges.

Order, parts and sigmas: Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020, and its evaluation
code (github.com/jin-s13/COCO-WholeBody, evaluation/myeval_wholebody.py). The face follows the 68-point markup of
iBUG 300-W.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


class Part(StrEnum):
    """The five keypoint groups of COCO-WholeBody, in keypoint order."""

    BODY = "body"
    FEET = "feet"
    FACE = "face"
    LEFT_HAND = "left_hand"
    RIGHT_HAND = "right_hand"


@dataclass(frozen=True)
class Keypoint:
    """One row of the schema.

    Attributes:
        index: Position in COCO-WholeBody order, 0 to 132.
        name: Our label name; unique.
        part: The group that the keypoint belongs to.
        twin: Index of the keypoint on the other side of the body; its own index for keypoints on the midline.
        sigma: Per-keypoint constant of the object keypoint similarity (OKS).
        spellings: Other names in use for this keypoint; unique over the whole schema after `normalised`.
    """

    index: int
    name: str
    part: Part
    twin: int
    sigma: float
    spellings: tuple[str, ...]


# fmt: off
_BODY = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)
_FEET = (
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)
_BODY_SIGMAS = (
    .026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089,
)
_FEET_SIGMAS = (.068, .066, .066, .092, .094, .094)
_FACE_SIGMAS = (
    .042, .043, .044, .043, .040, .035, .031, .025, .020, .023, .029, .032, .037, .038, .043, .041, .045,
    .013, .012, .011, .011, .012, .012, .011, .011, .013, .015, .009, .007, .007, .007, .012, .009, .008,
    .016, .010, .017, .011, .009, .011, .009, .007, .013, .008, .011, .012, .010, .034, .008, .008, .009,
    .008, .008, .007, .010, .008, .009, .009, .009, .007, .007, .008, .011, .008, .008, .008, .010, .008,
)
_HAND_SIGMAS = (
    .029, .022, .035, .037, .047, .026, .025, .024, .035, .018, .024, .022, .026, .017, .021, .021, .032, .020,
    .019, .022, .031,
)
# Mirror images in the 68-point face markup; points that are not listed lie on the midline.
_FACE_TWINS = (
    *((i, 16 - i) for i in range(8)), *((i, 43 - i) for i in range(17, 22)),
    (31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
)
# fmt: on
_GERMAN = {
    "left": ("link",),
    "right": ("recht",),
    "nose": ("Nase",),
    "eye": ("Auge",),
    "ear": ("Ohr",),
    "shoulder": ("Schulter",),
    "elbow": ("Ellbogen", "Ellenbogen"),
    "wrist": ("Handgelenk",),
    "hip": ("Hüfte",),
    "knee": ("Knie",),
    "ankle": ("Knöchel", "Sprunggelenk", "Fußgelenk"),
    "big_toe": ("große Zehe", "großer Zeh"),
    "small_toe": ("kleine Zehe", "kleiner Zeh"),
    "heel": ("Ferse",),
}
FINGERS = ("thumb", "index", "middle", "ring", "little")
_MMPOSE_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_MEDIAPIPE_FINGERS = ("thumb", "index_finger", "middle_finger", "ring_finger", "pinky")
_FINGER_JOINTS = ("mcp", "pip", "dip", "tip")
_THUMB_JOINTS = ("cmc", "mcp", "ip", "tip")

FEET_START, FACE_START, LEFT_HAND_START, RIGHT_HAND_START, KEYPOINT_COUNT = 17, 23, 91, 112, 133
FACE_KEYPOINTS, HAND_KEYPOINTS = 68, 21

PART_RANGES: dict[Part, range] = {
    Part.BODY: range(FEET_START),
    Part.FEET: range(FEET_START, FACE_START),
    Part.FACE: range(FACE_START, LEFT_HAND_START),
    Part.LEFT_HAND: range(LEFT_HAND_START, RIGHT_HAND_START),
    Part.RIGHT_HAND: range(RIGHT_HAND_START, KEYPOINT_COUNT),
}


_SEPARATORS = re.compile(r"[\W_]+")


def normalised(name: str) -> str:
    """Return a spelling as letters and digits in lower case, for comparison."""
    return _SEPARATORS.sub("", name.casefold())


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


def _body_spellings(name: str) -> tuple[str, ...]:
    """Return the names of a point of body or feet in OpenPose (`LBigToe`), Kinect (`ShoulderLeft`) and German."""
    side, _, joint = name.partition("_")
    if not joint:
        return tuple(_GERMAN[name])
    endings = ("", "e", "er", "es")
    german = (f"{_GERMAN[side][0]}{ending}_{word}" for word in _GERMAN[joint] for ending in endings)
    return (f"{side[0]}_{joint}", f"{joint}_{side}", f"{joint}_{side[0]}", *german)


def _named_rows(names: tuple[str, ...], sigmas: tuple[float, ...], part: Part) -> list[Keypoint]:
    start = PART_RANGES[part].start
    return [
        Keypoint(start + i, name, part, start + names.index(_other_side(name)), sigma, _body_spellings(name))
        for i, (name, sigma) in enumerate(zip(names, sigmas, strict=True))
    ]


def _face_rows() -> list[Keypoint]:
    twins = {a: b for pair in _FACE_TWINS for a, b in (pair, pair[::-1])}
    return [
        Keypoint(FACE_START + i, f"face_{i}", Part.FACE, FACE_START + twins.get(i, i), sigma, ())
        for i, sigma in enumerate(_FACE_SIGMAS)
    ]


def _hand_rows(part: Part) -> list[Keypoint]:
    side = part.value.removesuffix("_hand")
    start = PART_RANGES[part].start
    twin_start = PART_RANGES[Part.RIGHT_HAND if part is Part.LEFT_HAND else Part.LEFT_HAND].start
    rows = [
        Keypoint(
            start,
            f"{side}_wrist_0",
            part,
            twin_start,
            _HAND_SIGMAS[0],
            (f"{side}_hand_0", f"{side}_hand_root", f"{side}_hand_wrist"),
        )
    ]
    for i in range(1, HAND_KEYPOINTS):
        finger, joint = divmod(i - 1, 4)
        joints = _THUMB_JOINTS if finger == 0 else _FINGER_JOINTS
        spellings = {
            f"{side}_hand_{i}",
            f"{side}_{FINGERS[finger]}_{joint + 1}",
            f"{side}_{_MMPOSE_FINGERS[finger]}{joint + 1}",
            f"{side}_{_MEDIAPIPE_FINGERS[finger]}_{joints[joint]}",
        }
        name = f"{side}_{FINGERS[finger]}_{i}"
        rows.append(
            Keypoint(
                start + i, name, part, twin_start + i, _HAND_SIGMAS[i], tuple(sorted(spellings - {name}))
            )
        )
    return rows


KEYPOINTS: tuple[Keypoint, ...] = (
    *_named_rows(_BODY, _BODY_SIGMAS, Part.BODY),
    *_named_rows(_FEET, _FEET_SIGMAS, Part.FEET),
    *_face_rows(),
    *_hand_rows(Part.LEFT_HAND),
    *_hand_rows(Part.RIGHT_HAND),
)

SIGMAS: NDArray[np.float64] = np.array([keypoint.sigma for keypoint in KEYPOINTS])
SIGMAS.flags.writeable = False


KEYPOINT_INDICES = {keypoint.name: keypoint.index for keypoint in KEYPOINTS}


def _edges() -> tuple[tuple[int, int], ...]:

    def chain(*points: int) -> list[tuple[int, int]]:
        return list(pairwise(points))

    def named(*pairs: tuple[str, str]) -> list[tuple[int, int]]:
        return [(KEYPOINT_INDICES[a], KEYPOINT_INDICES[b]) for a, b in pairs]

    edges = named(
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "right_eye"),
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
    )
    for side in ("left", "right"):
        edges += named(
            *(
                (f"{side}_{a}", f"{side}_{b}")
                for a, b in (
                    ("eye", "ear"),
                    ("ear", "shoulder"),
                    ("shoulder", "elbow"),
                    ("elbow", "wrist"),
                    ("shoulder", "hip"),
                    ("hip", "knee"),
                    ("knee", "ankle"),
                    ("ankle", "big_toe"),
                    ("ankle", "small_toe"),
                    ("ankle", "heel"),
                )
            )
        )
    face = [chain(*range(a, b + 1)) for a, b in ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35))]
    face += [[*chain(*range(a, b + 1)), (b, a)] for a, b in ((36, 41), (42, 47), (48, 59), (60, 67))]
    edges += [(FACE_START + a, FACE_START + b) for line in face for a, b in line]
    for start in (LEFT_HAND_START, RIGHT_HAND_START):
        for finger in range(5):
            first = start + 1 + 4 * finger
            edges += chain(start, *range(first, first + 4))
    return tuple(edges)


SKELETON: tuple[tuple[int, int], ...] = _edges()
"""Pairs of keypoint indices: the bones of body, feet and hands, and the lines of the face."""


@cache
def _by_spelling() -> dict[str, int]:
    found: dict[str, int] = {}
    for keypoint in KEYPOINTS:
        for spelling in (keypoint.name, *keypoint.spellings):
            other = found.setdefault(normalised(spelling), keypoint.index)
            assert other == keypoint.index, f"{spelling} names both {keypoint.index} and {other}"
    return found


def keypoint_index(spelling: str) -> int | None:
    """Return the index of the keypoint with a known spelling, or None.

    Case and separators are ignored: `face-0`, `Face 0` and `face_0` are equal.
    """
    return _by_spelling().get(normalised(spelling))
