"""Reads drawn keypoints from points and from the vertices of bones.

The label of a point, or of a vertex's bones, determines the keypoint. The id of a predicted region does so only where
the label is ambiguous.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import cast

from adapters.label_studio.annotations.regions import DrawnRegion, Warn, predicted_point, read_region
from adapters.label_studio.label_config.label_meanings import LabelMeanings, vertex_keypoint
from adapters.sentences import one_line
from wholebody.schema import normalised

_OCCLUSION_WORDS = frozenset({"occluded", "occlusion", "hidden", "invisible", "notvisible"})
_LONGEST = 32  # letters of a word that may be one of these
_UNMOVED = 0.005  # percent of the picture: predictions have four decimals, and editors round
_CHANGED = "prediction-changed"


@dataclass(frozen=True)
class Predicted:
    """The predicted positions of the regions that an annotation was made from.

    Attributes:
        positions: x, y in percent of each point and vertex, by its id.
        boxes: Ids of the boxes.
    """

    positions: Mapping[str, tuple[float, float]]
    boxes: frozenset[str]

    @classmethod
    def of(cls, result: Iterable[object]) -> "Predicted":
        """Read the regions of a prediction; unreadable ones are skipped."""
        positions: dict[str, tuple[float, float]] = {}
        boxes: set[str] = set()
        for item in result:
            region = read_region(item, lambda _: None)
            if region is None:
                continue
            if region.type == "rectanglelabels":
                boxes.add(region.id)
            elif region.type == "keypointlabels":
                positions[region.id] = (region.value.x, region.value.y)
            elif region.type == "vectorlabels":
                positions |= {vertex.id: (vertex.x, vertex.y) for vertex in region.value.vertices}
        return cls(positions, frozenset(boxes))

    @cached_property
    def points_of(self) -> Counter[str | None]:
        """The number of predicted points and vertices of each person."""
        return Counter(predicted_point(name)[0] for name in self.positions)


@dataclass(frozen=True, slots=True)
class DrawnPoint:
    """A drawn keypoint.

    Attributes:
        id: Of the region, or of the vertex.
        region: Id of its region.
        index: Index of the keypoint.
        x: Percent of the picture.
        y: Percent of the picture.
        parent: Id of the region that it is nested under; "" at the top of the tree.
        owner: The predicted person in its id, such as "p0", or None.
        named: The keypoint in its id, or None.
        hidden: Whether it is marked as occluded.
        moved: Whether an annotator is known to have moved it.
        in_bones: Whether it is a vertex.
        score: Confidence of a predicted point, if it has one.
    """

    id: str
    region: str
    index: int
    x: float
    y: float
    parent: str
    owner: str | None
    named: int | None
    hidden: bool
    moved: bool
    in_bones: bool
    score: float | None

    @property
    def relabelled(self) -> bool:
        """Whether it was predicted as another keypoint."""
        return self.named not in (None, self.index)

    @property
    def corrected(self) -> bool:
        """Whether an annotator changed its position, its label or its visibility."""
        return self.moved or self.relabelled or self.hidden


def hidden_regions(regions: Iterable[DrawnRegion]) -> set[str]:
    """Return the ids of the regions that are marked as occluded: by a choice, a note or a second label."""
    return {region.id for region in regions if _says_occluded(region)}


def _says_occluded(region: DrawnRegion) -> bool:
    notes = region.meta.get("text")
    words = cast("list[object]", notes) if isinstance(notes, list) else [notes]
    said = [*words, *region.value.choices, *region.value.keypointlabels, *region.value.vectorlabels]
    return any(isinstance(word, str) and len(word) <= _LONGEST and _is_occlusion(word) for word in said)


@lru_cache(maxsize=1_000)  # called for each label of each region
def _is_occlusion(word: str) -> bool:
    return normalised(word) in _OCCLUSION_WORDS


@dataclass(frozen=True)
class PointReader:
    """Reads the keypoints of regions.

    Attributes:
        meanings: The meanings of the labels.
        hidden: Ids of the regions that are marked as occluded.
        predicted: The prediction that the annotation was made from, if known.
        warn: Takes a warning about what is left out.
    """

    meanings: LabelMeanings
    hidden: Collection[str]
    predicted: Predicted | None
    warn: Warn

    def has_keypoints(self, region: DrawnRegion) -> bool:
        """Return whether a region is a point, or bones with a predicted vertex; other lines are the project's own."""
        if region.type == "keypointlabels":
            return True
        return region.type == "vectorlabels" and (
            bool(self.meanings.parts(region.from_name, region.labels))
            or any(predicted_point(vertex.id)[1] is not None for vertex in region.value.vertices)
        )

    def points(self, regions: Sequence[DrawnRegion]) -> list[DrawnPoint]:
        """Return the keypoints of the regions that have some, in their order."""
        points: list[DrawnPoint] = []
        unknown: Counter[str] = Counter()
        for region in regions:
            if region.type == "vectorlabels":
                points += self._vertices(region)
            else:
                point = self._point(region, unknown)
                points += () if point is None else (point,)
        for sentence, times in unknown.items():
            self.warn(one_line(f"{times} points {sentence}"))
        return points

    def _point(self, region: DrawnRegion, unknown: Counter[str]) -> DrawnPoint | None:
        owner, named = predicted_point(region.id)
        for label in region.labels:
            index, known = self.meanings.keypoint(region.from_name, label, named)
            if index is not None:
                at = (region.value.x, region.value.y)
                return self._drawn(region, region.id, index, at, (owner, named))
            if known:
                unknown[
                    f"with the ambiguous label {label!r}, which means several keypoints, are left out"
                ] += 1
                return None
        unknown[f"with the label {', '.join(region.labels)!r} are no known keypoints, and are left out"] += 1
        return None

    def _vertices(self, region: DrawnRegion) -> Iterator[DrawnPoint]:
        parts = self.meanings.parts(region.from_name, region.labels)
        added = odd = 0
        for vertex in region.value.vertices:
            owner, named = predicted_point(vertex.id)
            index = None if named is None else vertex_keypoint(named, parts)
            if named is None:
                added += 1
            elif index is None:
                odd += 1
            else:
                point = self._drawn(region, vertex.id, index, (vertex.x, vertex.y), (owner, named))
                # Shift + click on a vertex makes it a curved one, the only mark for a single vertex.
                yield replace(point, hidden=True) if vertex.isBezier else point
        if added:
            self.warn(
                one_line(
                    f"{added} vertices of {region.id!r} were added by hand, so their keypoints are unknown; they are "
                    "left out"
                )
            )
        if odd:
            self.warn(
                one_line(
                    f"{odd} vertices of {region.id!r} belong to another part of the body than its label "
                    f"{', '.join(region.labels)!r}; they are left out: change the label"
                )
            )

    def _drawn(
        self,
        region: DrawnRegion,
        name: str,
        index: int,
        at: tuple[float, float],
        predicted_as: tuple[str | None, int | None],
    ) -> DrawnPoint:
        owner, named = predicted_as
        return DrawnPoint(
            name,
            region.id,
            index,
            *at,
            region.parent,
            owner,
            named,
            region.id in self.hidden,
            self._moved(region, name, at, owner),
            region.type == "vectorlabels",
            region.score,
        )

    def _moved(self, region: DrawnRegion, name: str, at: tuple[float, float], owner: str | None) -> bool:
        position = self.predicted.positions.get(name) if self.predicted is not None else None
        if position is not None:
            return max(abs(position[0] - at[0]), abs(position[1] - at[1])) > _UNMOVED
        return owner is None or region.origin == _CHANGED
