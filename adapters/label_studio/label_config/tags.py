"""The tags of a label config as they stand in the text, and what is wrong with them.

Tags and attributes are found whatever their case, as Label Studio's editor finds them; the name of a region's label is
its `alias` if it has one, otherwise its `value`.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias
from xml.etree.ElementTree import Element

from adapters.label_studio.label_config.label_names import (
    UnknownLabel,
    listed,
    means_body_part,
    means_person,
    one_line,
)

_PROBLEMS_KEPT = 100
_UNKNOWN_LABELS_KEPT = 100
_UNKNOWN_LABELS_EXPLAINED = 20  # looking for similar names takes up to 2 ms each

Attributes: TypeAlias = dict[str, str]


def attributes_of(element: Element) -> Attributes:
    """Return a tag's attributes, their names in lower case."""
    return {name.lower(): value.strip() for name, value in element.attrib.items()}


def is_yes(text: str) -> bool:
    """Tell whether an attribute's text switches something on."""
    return text.lower() in {"1", "true", "yes"}


def name_of(label: Attributes) -> str:
    """Return the name that regions carry of a Label; "" if it has none."""
    return label.get("alias") or label.get("value", "")


def predicted_values(label: Attributes) -> list[str]:
    """Return the names of ours that a Label says it stands for."""
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
        """How sentences name it."""
        return f"{self.kind} '{self.name}'"

    @property
    def skipped(self) -> bool:
        """Whether it is to be left alone."""
        return is_yes(self.attributes.get("model_skip", ""))

    @property
    def with_boxes(self) -> bool:
        """Whether people's boxes are wanted as well."""
        return is_yes(self.attributes.get("model_add_bboxes", "true"))

    # Asked again for every picture that the tag belongs to.
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
        """Its label where it has a single one, which may mean anything but a part of the body."""
        names = [name_of(attributes) for attributes in self.labels[:2]]
        return names[0] if len(names) == 1 and names[0] and not means_body_part(names[0]) else None


class Complaints:
    """What is wrong with a label config, in the order in which it is found; each sentence once, and bounded."""

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
        """Labels that stand for nothing of ours."""
        return tuple(self._unknown)

    def add(self, problem: str) -> None:
        """Note a problem."""
        self._problems[one_line(problem)] = None

    def add_unknown(self, tag: ControlTag, label: str, nearest: Callable[[], tuple[str, ...]]) -> None:
        """Note a label that stands for nothing of ours, and what may have been meant."""
        if (tag.name, label) in self._unknown_seen:
            return
        self._unknown_seen.add((tag.name, label))
        if len(self._unknown) < _UNKNOWN_LABELS_KEPT:
            explained = len(self._unknown) < _UNKNOWN_LABELS_EXPLAINED
            self._unknown.append(
                UnknownLabel(tag.name, label[:200], nearest() if explained else (), tag.kind)
            )

    def number(self, tag: ControlTag, attributes: Attributes, name: str, largest: float) -> float | None:
        """Read an attribute that is a number from 0 to `largest`; None if it is not set, or something else."""
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


def control_tags(
    elements: Iterable[Element],
    kind: str,
    objects: Collection[str],
    complaints: Complaints,
    on: str = "Image",
) -> Iterable[ControlTag]:
    """Find the tags of a kind that belong to one of the objects.

    Args:
        elements: Those of the label config.
        kind: Such as `KeyPointLabels`.
        objects: Names of the tags that can be drawn on.
        complaints: Is told of tags that cannot be used.
        on: What the tags that can be drawn on are.
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
    """Find the Label tags of a tag. Those of a tag with labels inside of it are that one's, so none is read twice."""
    for element in control:
        kind = element.tag.lower()
        if kind == "label":
            yield element
        if not kind.endswith("labels"):
            yield from _labels_of(element)


def no_labels(tag: ControlTag) -> str:
    """Say that a tag has no labels."""
    if tag.attributes.get("value", "").startswith("$"):
        return (
            f"{tag.title} takes its labels from the tasks, which is not supported: write them as Label tags."
        )
    return f"{tag.title} has no labels."
