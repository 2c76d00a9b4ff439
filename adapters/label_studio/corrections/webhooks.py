"""Label Studio's webhooks: the annotations that they name, and the sentence that answers them."""

from dataclasses import dataclass
from typing import cast

from adapters.label_studio.schemas import Named, WebhookRequest

SUBMITTED = frozenset({"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED"})
"""Actions of webhooks about submitted or updated annotations."""
NO_TRAINING = (
    "This backend does not train its model: its networks are used as their authors trained them. To train one on "
    "these annotations, write them with `rtmlib-backend export-coco`, and let POSE_MODEL name the trained network."
)

_LARGEST_NUMBER = 2**63 - 1  # of Label Studio's database


@dataclass(frozen=True)
class Submitted:
    """The numbers of a submitted or updated annotation in a webhook.

    Attributes:
        project: Number of its project.
        task: Number of its task.
        annotation: Its number.
    """

    project: int
    task: int
    annotation: int


def submitted(body: WebhookRequest) -> list[Submitted]:
    """Return the annotations in a webhook: none for other events, and for one without its payload."""
    if body.action not in SUBMITTED:
        return []
    tasks, annotations = (one if isinstance(one, list) else [one] for one in (body.task, body.annotation))
    numbers = [
        (_number(body.project), _number(task), _number(annotation))
        for task, annotation in zip(tasks, annotations, strict=False)
    ]
    return [Submitted(*cast("tuple[int, int, int]", one)) for one in numbers if None not in one]


def lacks_payload(body: WebhookRequest) -> bool:
    """Return whether a webhook says that annotations were submitted, but not which."""
    return body.action in SUBMITTED and not submitted(body)


def answer_to(body: WebhookRequest) -> str:
    """Return what a webhook is answered."""
    if body.action == "START_TRAINING":
        return NO_TRAINING
    if lacks_payload(body):
        return (
            f"{body.action} received without its annotation, so its corrections are not counted. "
            "Switch on 'Send payload' of the webhook, in Label Studio under Settings > Webhooks."
        )
    return f"{body.action or 'Event'} received. This backend does not train its model."


def _number(named: Named) -> int | None:
    number = named.id if named else None
    return number if number is not None and 0 < number <= _LARGEST_NUMBER else None
