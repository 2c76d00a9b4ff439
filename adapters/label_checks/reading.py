"""Reads annotations for the checks: of a task of Label Studio, or of COCO-WholeBody JSON."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from adapters.coco.reading import CocoPicture, PictureKey
from adapters.label_studio.annotations.people import AnnotatedPerson, AnnotatedPicture, read_people
from adapters.label_studio.annotations.regions import Warn, person_of_box
from adapters.label_studio.annotations.tasks import AnnotatedTask, Work
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from wholebody.label_checks.finding import LabelledPerson, Points


@dataclass(frozen=True)
class PictureToCheck:
    """The people on one picture, or one frame of a list.

    Attributes:
        image: Name of the Image tag, or of the file.
        frame: Position in a list of pictures, or None for a single one.
        names: Of the people, for display.
        people: The people.
        unused: People of a prediction that the annotation was not made from.
        scores: Their confidences.
    """

    image: str
    frame: int | None
    names: tuple[str, ...]
    people: tuple[LabelledPerson, ...]
    unused: tuple[LabelledPerson, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class AnnotationToCheck:
    """An annotation, or a picture of a file.

    Attributes:
        task: Number of the task; None in files of other programs.
        annotation: Number of the annotation; None in files.
        pictures: Its pictures; the frames of a list in order.
    """

    task: int | None
    annotation: int | None
    pictures: tuple[PictureToCheck, ...]


def annotations_of_task(
    task: AnnotatedTask, meanings: LabelMeanings, warn: Warn
) -> Iterator[AnnotationToCheck]:
    """Yield the annotations of a task, without skipped ones.

    Args:
        task: The task.
        meanings: The meanings of the project's labels.
        warn: Takes a warning about something that was left out or decided.
    """
    for annotation in task.chosen_annotations(every=True):
        made_from = task.prediction_of(annotation)
        drawn = read_people(annotation.result, meanings, warn, made_from and made_from.result)
        predicted = read_people(made_from.result, meanings, _ignore) if made_from is not None else []
        yield AnnotationToCheck(task.id, annotation.id, tuple(_pictures(annotation, drawn, predicted)))


def _ignore(_: str) -> None:
    """Drop warnings about predictions: nobody can correct them."""


def _pictures(
    annotation: Work, drawn: list[AnnotatedPicture], predicted: list[AnnotatedPicture]
) -> Iterator[PictureToCheck]:
    before = {(one.image, one.frame): {person.name: person for person in one.people} for one in predicted}
    annotated = {(one.image, one.frame): one.people for one in drawn}
    corrected = any(
        person.name in before.get(key, {}) for key, people in annotated.items() for person in people
    )
    # A person who is missing after corrections was deleted on purpose.
    by_hand = annotation.parent_prediction is None and not corrected
    for key in sorted({*annotated, *(before if by_hand else ())}, key=lambda key: (key[0], key[1] or 0)):
        people, former = annotated.get(key, ()), before.get(key, {})
        unused = tuple(former.values()) if by_hand else ()
        yield PictureToCheck(
            *key,
            tuple(person_of_box(person.name) or person.name for person in people),
            tuple(_labelled(person, former.get(person.name)) for person in people),
            tuple(_labelled(person, None) for person in unused),
            tuple(person.score for person in unused),
        )


def _labelled(person: AnnotatedPerson, predicted: AnnotatedPerson | None) -> LabelledPerson:
    return LabelledPerson(
        person.keypoints,
        person.visibility > 0,
        person.box,
        None if predicted is None else _predicted(predicted),
    )


def _predicted(person: AnnotatedPerson) -> Points:
    return np.where(person.visibility[:, np.newaxis] > 0, person.keypoints, np.nan)


def annotations_of_file(pictures: Mapping[PictureKey, CocoPicture]) -> Iterator[AnnotationToCheck]:
    """Yield the pictures of a COCO-WholeBody file; the frames of a task's list as one."""
    lists: dict[tuple[object, object], list[tuple[int, PictureToCheck]]] = defaultdict(list)
    for key, picture in pictures.items():
        tag_and_frame = key[1:]
        if len(tag_and_frame) == 2 and isinstance(frame := tag_and_frame[1], int):
            read = _of_file(picture, str(tag_and_frame[0]), frame)
            lists[picture.task, tag_and_frame[0]].append((frame, read))
        else:
            yield AnnotationToCheck(picture.task, None, (_of_file(picture, picture.file_name, None),))
    for (task, _), frames in lists.items():
        in_order = tuple(read for _, read in sorted(frames, key=lambda one: one[0]))
        yield AnnotationToCheck(task if isinstance(task, int) else None, None, in_order)


def _of_file(picture: CocoPicture, image: str, frame: int | None) -> PictureToCheck:
    people = [person for person in picture.people if not person.crowd]
    return PictureToCheck(
        image,
        frame,
        tuple(f"person {number}" for number in range(1, len(people) + 1)),
        tuple(
            LabelledPerson(
                person.keypoints,
                person.visibility > 0,
                person.edges,
            )
            for person in people
        ),
    )
