"""Tasks with annotations and predictions, as in Label Studio's API and JSON export.

Observed with Label Studio 1.23.2: the export of *Export > JSON* has the annotations in full, but names predictions
by their ids only; `GET /api/tasks?fields=all` has both in full.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.sentences import first_problem

MAX_EXPORT_BYTES = 2 * 1024**3
"""Largest export file: about 100,000 people with all their points; `read_export` takes several times as much memory."""

CHUNK = 2**20
"""Characters of an export that are read at once."""
_SPACES = re.compile(r"\s*")


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
    return [task_of(item, position) for position, item in enumerate(items)]


def task_of(item: object, position: int) -> AnnotatedTask:
    """Read the task at a position of an export.

    Raises:
        TasksError: The item is no task.
    """
    try:
        return AnnotatedTask.model_validate(item)
    except ValidationError as error:
        raise TasksError(
            f"Item {position} is no task of Label Studio's full JSON export: {first_problem(error)}. "
            "Use Export > JSON; JSON-MIN and CSV lack fields."
        ) from error


def read_export(path: Path) -> list[AnnotatedTask]:
    """Read the file of *Export > JSON*.

    Raises:
        TasksError: The file cannot be read, is too large, or is no such export.
    """
    return list(exported_tasks(path))


def exported_tasks(path: Path) -> Iterator[AnnotatedTask]:
    """Yield the tasks of the file of *Export > JSON* one by one; only one of them is in memory.

    Raises:
        TasksError: The file cannot be read, is too large, or is no such export.
    """
    try:
        size = path.stat().st_size
        if size > MAX_EXPORT_BYTES:
            raise TasksError(
                f"{path} has {size} bytes, more than {MAX_EXPORT_BYTES}. Export the project in parts."
            )
        with path.open(encoding="utf-8-sig") as file:
            for position, item in enumerate(_items(file, path)):
                yield task_of(item, position)
    except OSError as error:
        raise TasksError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise TasksError(f"{path} is not JSON: {error}.") from error


def _items(file: TextIO, path: Path) -> Iterator[object]:
    """Yield the items of a JSON list.

    Raises:
        TasksError: The file is no list.
        ValueError: It is no JSON.
    """
    text = file.read(CHUNK)
    at = _after_spaces(text, 0)
    if text[at : at + 1] != "[":
        kind = type(json.loads(text + file.read())).__name__
        raise TasksError(f"{path} is no list of tasks, but of type {kind}. Use Label Studio's Export > JSON.")
    decoder, separator = json.JSONDecoder(), "["
    while separator != "]":
        try:
            start = _after_spaces(text, at + 1)
            if separator == "[" and text[start] == "]":
                at, separator = start, "]"
                break
            item, end = decoder.raw_decode(text, start)
            end = _after_spaces(text, end)
            following = text[end]
        except (IndexError, json.JSONDecodeError):
            # The item goes on in the next chunk: as many characters again, so that a long one is not read often.
            more = file.read(max(CHUNK, len(text) - at))
            if not more:
                raise ValueError("the list is incomplete or has an error") from None
            text, at = text[at:] + more, 0
            continue
        if following not in ",]":
            raise ValueError("a comma is missing between two tasks")
        yield item
        at, separator = end, following
    if (text[at + 1 :] + file.read()).strip():
        raise ValueError("something follows the list")


def _after_spaces(text: str, at: int) -> int:
    found = _SPACES.match(text, at)
    assert found is not None  # it matches nothing as well
    return found.end()
