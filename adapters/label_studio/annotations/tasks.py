"""Tasks with annotations and predictions, as in Label Studio's API and JSON export.

Observed with Label Studio 1.23.2: the export of *Export > JSON* has the annotations in full, but names predictions
by their ids only; `GET /api/tasks?fields=all` has both in full.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAX_EXPORT_BYTES = 2 * 1024**3
"""Largest export file: about 100,000 people with all their points; reading it takes several times as much memory."""


class TasksError(Exception):
    """An export or a response of Label Studio is invalid; the message says what to do."""


def _null_as_empty(value: object) -> object:
    return [] if value is None else value


class Work(BaseModel):
    """An annotation or a prediction of a task.

    Attributes:
        id: Its number.
        result: Its regions, unread.
        was_cancelled: Whether the annotator skipped the task.
        ground_truth: Whether it is marked as ground truth.
        created_at: Time of creation, ISO 8601; later ones compare greater.
        updated_at: Time of the last change.
        model_version: Of a prediction: the model's version.
        parent_prediction: Of an annotation: number of the prediction that it was made from.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: int
    result: Annotated[list[Any], BeforeValidator(_null_as_empty)] = Field(default_factory=list[Any])
    was_cancelled: bool = False
    ground_truth: bool = False
    created_at: str = ""
    updated_at: str = ""
    model_version: str | None = None
    parent_prediction: int | None = None


class AnnotatedTask(BaseModel):
    """A task with its annotations and predictions.

    Attributes:
        id: Its number.
        data: Its data.
        annotations: The annotations.
        predictions: The predictions; only their numbers if the export omits them.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: int
    data: dict[str, Any]
    annotations: Annotated[list[Work], BeforeValidator(_null_as_empty)] = Field(default_factory=list[Work])
    predictions: Annotated[list[Work | int], BeforeValidator(_null_as_empty)] = Field(
        default_factory=list[Work | int]
    )

    def chosen_annotations(self, *, every: bool) -> list[Work]:
        """Return the annotations to use, without skipped ones.

        Args:
            every: All of them; otherwise the one marked as ground truth, or else the last changed one.
        """
        made = [one for one in self.annotations if not one.was_cancelled]
        if every or not made:
            return made
        return [max(made, key=lambda one: (one.ground_truth, one.updated_at or one.created_at, one.id))]

    def prediction_of(self, annotation: Work, model_version: str | None = None) -> Work | None:
        """Return the prediction that an annotation was made from; the latest if Label Studio has no link.

        Args:
            annotation: One of this task.
            model_version: Of this version only, if given.

        Returns:
            None if there is none, or the export has only its id.
        """
        if annotation.parent_prediction is None:
            return self._latest_prediction(model_version)
        made = self._predictions_by(model_version)
        return next((one for one in made if one.id == annotation.parent_prediction), None)

    def latest_prediction(self, model_version: str | None) -> Work | None:
        """Return the latest prediction, of one model version if given.

        Raises:
            TasksError: The export has only the ids of predictions.
        """
        if not all(isinstance(one, Work) for one in self.predictions):
            raise TasksError(
                f"Task {self.id}: the export has only the ids of predictions, as Label Studio's Export > JSON does. "
                "Read the project through the API instead (--project)."
            )
        return self._latest_prediction(model_version)

    def _latest_prediction(self, model_version: str | None) -> Work | None:
        made = self._predictions_by(model_version)
        return max(made, key=lambda one: (one.created_at, one.id), default=None)

    def _predictions_by(self, model_version: str | None) -> list[Work]:
        made = [one for one in self.predictions if isinstance(one, Work)]
        return made if model_version is None else [one for one in made if one.model_version == model_version]


def tasks_of(items: Sequence[object]) -> list[AnnotatedTask]:
    """Read tasks.

    Raises:
        TasksError: An item is no task.
    """
    tasks: list[AnnotatedTask] = []
    for position, item in enumerate(items):
        try:
            tasks.append(AnnotatedTask.model_validate(item))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise TasksError(
                f"Item {position} is no task of Label Studio's full JSON export: {where or 'it'}: {first['msg']}. "
                "Use Export > JSON; JSON-MIN and CSV lack fields."
            ) from error
    return tasks


def read_export(path: Path) -> list[AnnotatedTask]:
    """Read the file of *Export > JSON*.

    Raises:
        TasksError: The file cannot be read, is too large, or is no such export.
    """
    try:
        size = path.stat().st_size
        if size > MAX_EXPORT_BYTES:
            raise TasksError(
                f"{path} has {size} bytes, more than {MAX_EXPORT_BYTES}. Export the project in parts."
            )
        items = json.loads(path.read_bytes())
    except OSError as error:
        raise TasksError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise TasksError(f"{path} is not JSON: {error}.") from error
    if not isinstance(items, list):
        raise TasksError(
            f"{path} is no list of tasks, but of type {type(items).__name__}. Use Label Studio's Export > JSON."
        )
    return tasks_of(items)  # pyright: ignore[reportUnknownArgumentType] - validated item by item
