"""Tasks with their annotations and predictions, as Label Studio's API and its JSON export give them.

Observed with Label Studio 1.23.2: the export of *Export > JSON* has the annotations in full, but names predictions
by their ids only; `GET /api/tasks?fields=all` has both in full.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAX_EXPORT_BYTES = 2 * 1024**3
"""Largest export file that is read: some 100,000 people with all their points, and several times that in memory."""


class TasksError(Exception):
    """An export or an answer of Label Studio is not what it should be; the message says what to do."""


def _null_as_empty(value: object) -> object:
    return [] if value is None else value


class Work(BaseModel):
    """An annotation or a prediction of a task.

    Attributes:
        id: Its number.
        result: Its regions, not looked at yet.
        was_cancelled: Whether the annotator skipped the task.
        ground_truth: Whether it was marked as the one to compare with.
        created_at: When it was made, ISO 8601; later ones compare greater.
        updated_at: When it was changed last.
        model_version: Of a prediction: what made it.
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
    """A task, what people made of it, and what was predicted for it.

    Attributes:
        id: Its number.
        data: Its data.
        annotations: The annotations.
        predictions: The predictions; numbers where the export leaves them out.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: int
    data: dict[str, Any]
    annotations: Annotated[list[Work], BeforeValidator(_null_as_empty)] = Field(default_factory=list[Work])
    predictions: Annotated[list[Work | int], BeforeValidator(_null_as_empty)] = Field(
        default_factory=list[Work | int]
    )

    def chosen_annotations(self, *, every: bool) -> list[Work]:
        """Return the annotations that count: skipped ones never do.

        Args:
            every: All of them; otherwise the one marked as ground truth, or else the one that was changed last.
        """
        made = [one for one in self.annotations if not one.was_cancelled]
        if every or not made:
            return made
        return [max(made, key=lambda one: (one.ground_truth, one.updated_at or one.created_at, one.id))]

    def prediction_of(self, annotation: Work, model_version: str | None = None) -> Work | None:
        """Return the prediction that an annotation was made from: the latest, where Label Studio does not say which.

        Args:
            annotation: One of this task.
            model_version: Of this version only, if one is named.

        Returns:
            None if there is none, or the export names it by its id only.
        """
        if annotation.parent_prediction is None:
            return self._latest_prediction(model_version)
        made = self._predictions_by(model_version)
        return next((one for one in made if one.id == annotation.parent_prediction), None)

    def latest_prediction(self, model_version: str | None) -> Work | None:
        """Return the latest prediction, of one model version if one is named.

        Raises:
            TasksError: The export names predictions by their ids only.
        """
        if not all(isinstance(one, Work) for one in self.predictions):
            raise TasksError(
                f"Task {self.id}: this export names predictions by their ids only, as Label Studio's Export > JSON "
                "does. Read the project through the API instead (--project)."
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
        TasksError: One of them is none.
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
                "JSON-MIN and CSV lack what is needed: use Export > JSON."
            ) from error
    return tasks


def read_export(path: Path) -> list[AnnotatedTask]:
    """Read the file of *Export > JSON*.

    Raises:
        TasksError: It cannot be read, is too large, or is something else.
    """
    try:
        size = path.stat().st_size
        if size > MAX_EXPORT_BYTES:
            raise TasksError(
                f"{path} has {size} bytes, more than {MAX_EXPORT_BYTES}: export the project in parts."
            )
        items = json.loads(path.read_bytes())
    except OSError as error:
        raise TasksError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise TasksError(f"{path} is not JSON: {error}.") from error
    if not isinstance(items, list):
        raise TasksError(
            f"{path} is not a list of tasks, as Label Studio's Export > JSON gives it, but of type "
            f"{type(items).__name__}."
        )
    return tasks_of(items)  # pyright: ignore[reportUnknownArgumentType] - validated item by item
