"""The drawing of people, for overlays and the playground: strokes, their order and their widths.

A stroke has one colour: a finger, an arm and its leg, one side of the face. Each is drawn wider and dark first, then in
its colour, so a finger that crosses another stays visible as a line.
"""

from dataclasses import dataclass

from wholebody.bone_trees import Bone
from wholebody.palette import bone_colour, keypoint_colour
from wholebody.schema import FACE_START, FEET_START, KEYPOINT_COUNT, LEFT_HAND_START, SKELETON


@dataclass(frozen=True)
class Pen:
    """The width and opacity of a stroke.

    Attributes:
        line: Width of its bones as a share of the diagonal of the person's box.
        thinnest: Least width of its bones in pixels.
        opacity: 0 to 1.
    """

    line: float
    thinnest: float
    opacity: float = 1.0

    def width(self, diagonal: float) -> float:
        """Return the width of bones in pixels, for a person's box with this diagonal in pixels."""
        return max(self.line * diagonal, self.thinnest)


@dataclass(frozen=True)
class Stroke:
    """Bones and keypoints of one colour, drawn together.

    Attributes:
        pen: Width and opacity.
        colour: As #rrggbb.
        bones: Drawn if both of their keypoints were found.
        keypoints: Indices of the points of this colour.
    """

    pen: Pen
    colour: str
    bones: tuple[Bone, ...]
    keypoints: tuple[int, ...]


POINT_RADIUS = 0.95
"""Of a keypoint, in widths of the bones."""
EDGE_COLOUR = "#101418"
EDGE_OPACITY = 0.55
"""As a share of the stroke's."""
EDGE_WIDTH = 0.3
"""Of the dark edge on each side, in widths of the bones."""

_BODY = Pen(line=0.0054, thinnest=1.5)
_FEET = Pen(line=0.0044, thinnest=1.3)
_HEAD = Pen(line=0.002, thinnest=0.8)  # nose, eyes and ears: the face must stay visible under them
# Neighbouring points of a face lie some 0.004 diagonals apart: anything wider would hide the face.
_FACE = Pen(line=0.0012, thinnest=0.6, opacity=0.85)
_HAND = Pen(line=0.0031, thinnest=1.1)
_HEAD_END = 5
BOX_PEN = Pen(line=0.0016, thinnest=1.0, opacity=0.9)


def _pen(index: int) -> Pen:
    """Return the pen of a keypoint and of the bones that end at it."""
    if index < FEET_START:
        return _HEAD if index < _HEAD_END else _BODY
    if index < FACE_START:
        return _FEET
    return _FACE if index < LEFT_HAND_START else _HAND


def _strokes() -> tuple[Stroke, ...]:
    bones: dict[tuple[Pen, str], list[Bone]] = {}
    keypoints: dict[tuple[Pen, str], list[int]] = {}
    for bone in SKELETON:
        bones.setdefault((_pen(max(bone)), bone_colour(bone)), []).append(bone)
    for index in range(KEYPOINT_COUNT):
        keypoints.setdefault((_pen(index), keypoint_colour(index)), []).append(index)
    order = (_BODY, _FEET, _HEAD, _FACE, _HAND)
    return tuple(
        Stroke(pen, colour, tuple(bones.get((pen, colour), ())), tuple(keypoints.get((pen, colour), ())))
        for pen, colour in sorted({**bones, **keypoints}, key=lambda key: order.index(key[0]))
    )


STROKES: tuple[Stroke, ...] = _strokes()
"""All keypoints and bones, from the lowest stroke to the topmost: hands lie over faces and bodies."""
