"""A JSON export is read task by task, as the whole file would be."""

import json
from pathlib import Path

import pytest

from adapters.label_studio.annotations import tasks
from adapters.label_studio.annotations.tasks import TasksError, exported_tasks, read_export


def export(folder: Path, text: str) -> Path:
    path = folder / "export.json"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 10_000])
def test_tasks_are_read_whatever_the_size_of_a_chunk(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "CHUNK", chunk)
    items = [
        {"id": n, "data": {"image": 'é"]},{[' + str(n), "empty": [], "more": [{}, [n]]}} for n in range(5)
    ]

    for text in (json.dumps(items), json.dumps(items, indent=2, ensure_ascii=False) + "\n"):
        assert [(task.id, task.data) for task in exported_tasks(export(tmp_path, text))] == [
            (item["id"], item["data"]) for item in items
        ]


@pytest.mark.parametrize("text", ["[]", " [ ] \n"])
def test_an_export_without_tasks(tmp_path: Path, text: str) -> None:
    assert read_export(export(tmp_path, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        '[{"id": 1, "data": {}}',
        '[{"id": 1, "data": {}},',
        '[{"id": 1, "data": {}} {"id": 2, "data": {}}]',
        '[{"id": 1, "data": {}},]',
        '[,{"id": 1, "data": {}}]',
        '[{"id": 1, "data": {}}] x',
    ],
)
def test_a_broken_export_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(TasksError, match="is not JSON"):
        read_export(export(tmp_path, text))


def test_an_item_that_is_no_task_is_named(tmp_path: Path) -> None:
    with pytest.raises(TasksError, match="Item 1 is no task"):
        read_export(export(tmp_path, '[{"id": 1, "data": {}}, 12]'))
