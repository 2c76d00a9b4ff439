"""The probable mistakes of annotations, ranked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adapters.label_checks.reading import AnnotationToCheck, PictureToCheck
from wholebody.label_checks.checks import check_frames, check_picture, ranked
from wholebody.label_checks.finding import Finding, Kind
from wholebody.label_checks.people import missing
from wholebody.schema import KEYPOINTS


@dataclass(frozen=True)
class Suspicion:
    """A probable mistake and its place.

    Attributes:
        score: How likely it is a mistake, 0.5 to 1.
        kind: Its kind.
        reason: What is wrong, as a sentence without a full stop.
        task: Number of the task; None in files of other programs.
        annotation: Number of the annotation; None in files.
        image: Name of the Image tag, or of the file.
        frame: Position in a list of pictures, or None.
        people: The people concerned.
        keypoints: Names of the keypoints that are probably wrong.
    """

    score: float
    kind: Kind
    reason: str
    task: int | None
    annotation: int | None
    image: str
    frame: int | None
    people: tuple[str, ...]
    keypoints: tuple[str, ...]


def suspicions(annotation: AnnotationToCheck) -> list[Suspicion]:
    """Return the probable mistakes of an annotation."""
    pictures = annotation.pictures
    if len(pictures) > 1 and all(picture.frame is not None for picture in pictures):
        found = check_frames([picture.people for picture in pictures])
    else:
        found = [check_picture(picture.people) for picture in pictures]
    return [
        _suspicion(finding, annotation, picture)
        for picture, findings in zip(pictures, found, strict=True)
        for finding in ranked([*findings, *missing(picture.people, picture.unused, picture.scores)])
    ]


def _suspicion(finding: Finding, annotation: AnnotationToCheck, picture: PictureToCheck) -> Suspicion:
    return Suspicion(
        round(finding.score, 3),
        finding.kind,
        finding.reason,
        annotation.task,
        annotation.annotation,
        picture.image,
        picture.frame,
        tuple(picture.names[position] for position in finding.people),
        tuple(KEYPOINTS[index].name for index in finding.keypoints),
    )


@dataclass(frozen=True)
class Report:
    """The result of a run.

    Attributes:
        annotations: Number of checked annotations.
        people: Number of checked people.
        suspicions: The probable mistakes, the most suspicious first.
        tasks: Numbers of the checked tasks.
    """

    annotations: int
    people: int
    suspicions: tuple[Suspicion, ...]
    tasks: tuple[int, ...]


def check(annotations: Iterable[AnnotationToCheck]) -> Report:
    """Check annotations; each is read, checked and forgotten, so that only the mistakes take memory."""
    found: list[Suspicion] = []
    tasks: dict[int, None] = {}
    checked = people = 0
    for annotation in annotations:
        checked += 1
        people += sum(len(picture.people) for picture in annotation.pictures)
        found += suspicions(annotation)
        if annotation.task is not None:
            tasks[annotation.task] = None
    return Report(checked, people, most_suspicious_first(found), tuple(tasks))


def most_suspicious_first(found: Sequence[Suspicion]) -> tuple[Suspicion, ...]:
    """Return mistakes in order of suspicion, those of equal suspicion by task and frame."""
    return tuple(
        sorted(found, key=lambda one: (-one.score, one.task or 0, one.annotation or 0, one.frame or 0))
    )
