"""The tags of a label config, and their problems.

Case does not matter in tags and attributes, as in Label Studio's editor. The name of a label in regions is its `alias`,
or else its `value`.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias
from xml.etree.ElementTree import Element

from adapters.label_studio.label_config.known_names import UnknownLabel, means_body_part, means_person
from adapters.sentences import listed, one_line

_PROBLEMS_KEPT = 100
_UNKNOWN_LABELS_KEPT = 100
_UNKNOWN_LABELS_EXPLAINED = 20  # the search for similar names takes up to 2 ms each

Attributes: TypeAlias = dict[str, str]


def attributes_of(element: Element) -> Attributes:
    """Return a tag's attributes, their names in lower case."""
    return {name.lower(): value.strip() for name, value in element.attrib.items()}


def is_yes(text: str) -> bool:
    """Return whether the text of an attribute means true."""
    return text.lower() in {"1", "true", "yes"}


def name_of(label: Attributes) -> str:
    """Return the name of a Label in regions; "" without any."""
    return label.get("alias") or label.get("value", "")


def predicted_values(label: Attributes) -> list[str]:
    """Return the names in a Label's `predicted_values`."""
    return [name.strip() for name in label.get("predicted_values", "").split(",") if name.strip()]


@dataclass(frozen=True)
class ControlTag:
    """A tag with labels, such as KeyPointLabels.

    Attributes:
        kind: Name of the tag, such as `KeyPointLabels`.
        name: Its `name`.
        objects: Names of the objects in its `toName` that are known.
        attributes: Its attributes.
        labels: The attributes of its labels.
    """

    kind: str
    name: str
    objects: tuple[str, ...]
    attributes: Attributes
    labels: tuple[Attributes, ...]

    @property
    def title(self) -> str:
        """Its name in sentences."""
        return f"{self.kind} '{self.name}'"

    @property
    def skipped(self) -> bool:
        """Whether it is excluded (`model_skip`)."""
        return is_yes(self.attributes.get("model_skip", ""))

    @property
    def with_boxes(self) -> bool:
        """Whether people's boxes are wanted as well."""
        return is_yes(self.attributes.get("model_add_bboxes", "true"))

    # Cached: used for every picture that the tag belongs to.
    @cached_property
    def person_label(self) -> str | None:
        """The first of its labels that means a person, if there is one."""
        for attributes in self.labels:
            names = [*predicted_values(attributes), name_of(attributes), attributes.get("value", "")]
            if name_of(attributes) and any(means_person(name) for name in names):
                return name_of(attributes)
        return None

    @property
    def only_label(self) -> str | None:
        """Its only label, unless that means a part of the body; None with several labels."""
        names = [name_of(attributes) for attributes in self.labels[:2]]
        return names[0] if len(names) == 1 and names[0] and not means_body_part(names[0]) else None


class Complaints:
    """The problems of a label config in order of discovery, without duplicates, and bounded."""

    def __init__(self) -> None:
        self._problems: dict[str, None] = {}
        self._unknown: list[UnknownLabel] = []
        self._unknown_seen: set[tuple[str, str]] = set()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence each."""
        more = len(self._unknown_seen) - len(self._unknown)
        last = [f"{more} more labels are unknown."] if more else []
        return (*self._problems, *last)[:_PROBLEMS_KEPT]

    @property
    def unknown_labels(self) -> tuple[UnknownLabel, ...]:
        """Unsupported labels."""
        return tuple(self._unknown)

    def add(self, problem: str) -> None:
        """Add a problem."""
        self._problems[one_line(problem)] = None

    def add_unknown(self, tag: ControlTag, label: str, nearest: Callable[[], tuple[str, ...]]) -> None:
        """Add an unsupported label with similar known names."""
        if (tag.name, label) in self._unknown_seen:
            return
        self._unknown_seen.add((tag.name, label))
        if len(self._unknown) < _UNKNOWN_LABELS_KEPT:
            explained = len(self._unknown) < _UNKNOWN_LABELS_EXPLAINED
            self._unknown.append(
                UnknownLabel(tag.name, label[:200], nearest() if explained else (), tag.kind)
            )

    def number(self, tag: ControlTag, attributes: Attributes, name: str, largest: float) -> float | None:
        """Return an attribute that is a number from 0 to `largest`; None if it is missing or invalid."""
        text = attributes.get(name)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if 0 <= number <= largest:
            return number
        self.add(f'{tag.title}: {name}="{text[:40]}" is not a number from 0 to {largest:g} and is ignored.')
        return None

    def count(self, title: str, attributes: Attributes, name: str) -> int | None:
        """Return an attribute that is a whole number from 1; None if it is missing or invalid."""
        text = attributes.get(name)
        if not text:
            return None
        if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0:
            return int(text)
        self.add(f'{title}: {name}="{text[:40]}" is not a whole number from 1 and is ignored.')
        return None


def control_tags(
    elements: Iterable[Element],
    kind: str,
    objects: Collection[str],
    complaints: Complaints,
    on: str = "Image",
) -> Iterable[ControlTag]:
    """Return the tags of a kind that belong to one of the objects.

    Args:
        elements: The elements of the label config.
        kind: Such as `KeyPointLabels`.
        objects: Names of the object tags.
        complaints: Collects the problems of unusable tags.
        on: Kind of the object tags.
    """
    for element in elements:
        if element.tag.lower() != kind.lower():
            continue
        attributes = attributes_of(element)
        to_names = tuple(name.strip() for name in attributes.get("toname", "").split(",") if name.strip())
        tag = ControlTag(
            kind,
            attributes.get("name", ""),
            tuple(dict.fromkeys(name for name in to_names if name in objects)),
            attributes,
            tuple(attributes_of(label) for label in _labels_of(element)),
        )
        if not tag.name:
            complaints.add(f"A {kind} tag has no name and is ignored.")
        elif not tag.objects:
            missing = f"to {listed(to_names)}" if to_names else "to nothing (toName is missing)"
            complaints.add(f"{tag.title} belongs {missing}, which is no {on} tag; it is ignored.")
        else:
            yield tag


def _labels_of(control: Element) -> Iterator[Element]:
    """Yield the Label tags of a tag, without those of nested tags with labels."""
    for element in control:
        kind = element.tag.lower()
        if kind == "label":
            yield element
        if not kind.endswith("labels"):
            yield from _labels_of(element)


def no_labels(tag: ControlTag) -> str:
    """Return the problem of a tag without labels."""
    if tag.attributes.get("value", "").startswith("$"):
        return (
            f"{tag.title} reads its labels from the tasks, which is not supported: write them as Label tags."
        )
    return f"{tag.title} has no labels."
