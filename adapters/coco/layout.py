"""COCO-WholeBody's layout of a person: the fields of each part's keypoints.

Source: https://github.com/jin-s13/COCO-WholeBody/blob/master/data_format.md
"""

from dataclasses import dataclass

from wholebody.schema import Part


@dataclass(frozen=True)
class PartFields:
    """Names of a part's fields in an annotation.

    Attributes:
        keypoints: Of the list x, y, v for each keypoint.
        valid: Of the flag that is set if any keypoint of the part is annotated; None for the body, which has no flag.
        box: Of its box x, y, width, height; None for body (it has `bbox`) and feet.
    """

    keypoints: str
    valid: str | None = None
    box: str | None = None


PART_FIELDS: dict[Part, PartFields] = {
    Part.BODY: PartFields("keypoints"),
    Part.FEET: PartFields("foot_kpts", "foot_valid"),
    Part.FACE: PartFields("face_kpts", "face_valid", "face_box"),
    Part.LEFT_HAND: PartFields("lefthand_kpts", "lefthand_valid", "lefthand_box"),
    Part.RIGHT_HAND: PartFields("righthand_kpts", "righthand_valid", "righthand_box"),
}
"""In the order of the 133 keypoints."""
