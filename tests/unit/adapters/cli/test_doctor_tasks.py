"""`rtmlib-backend doctor --project` finds the other addresses of Label Studio in the tasks."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.doctor_command import TOKEN, Doctor, answering

TASKS = [
    {"image": "http://localhost:8080/data/upload/1/a.jpg"},
    {
        "frames": [
            "https://ls.example.org/ls/data/local-files/?d=b.jpg",
            "http://localhost:8080/tasks/1/presign/?x",
        ]
    },
    {"image": "https://images.example.org/data/upload/c.jpg", "number": 7, "note": "http://["},
    {"image": "/data/upload/1/d.jpg"},
    {"image": "s3://bucket/data/upload/1/e.jpg"},
]


@pytest.fixture
def label_studio() -> Iterator[str]:
    def answer(path: str, known: bool) -> tuple[int, Any]:
        if not known:
            return 401, {}
        if path.startswith("/api/tasks?"):
            tasks = [{"id": number, "data": data} for number, data in enumerate(TASKS, 1)]
            return 200, {"tasks": tasks, "total": len(tasks)}
        return 404, {}

    with answering(answer) as url:
        yield url


def said(doctor: Doctor, **settings: str) -> str:
    output = doctor("--project", "1", **settings).output
    return output[output.index("Tasks of project 1") :].strip()


def test_other_addresses_are_named_with_the_setting(doctor: Doctor, label_studio: str) -> None:
    assert said(doctor, LABEL_STUDIO_URL=label_studio, LABEL_STUDIO_API_TOKEN=TOKEN) == (
        "Tasks of project 1: pictures have other addresses of a Label Studio: http://localhost:8080 (2 of 5 tasks), "
        "https://ls.example.org/ls (1 of 5 tasks). If it is this one, set "
        "LABEL_STUDIO_ALIASES=http://localhost:8080,https://ls.example.org/ls."
    )


def test_those_in_the_setting_are_fine(doctor: Doctor, label_studio: str) -> None:
    aliases = "http://localhost:8080/,https://ls.example.org/ls"
    line = said(
        doctor, LABEL_STUDIO_URL=label_studio, LABEL_STUDIO_API_TOKEN=TOKEN, LABEL_STUDIO_ALIASES=aliases
    )
    assert line == "Tasks of project 1: no other address of Label Studio in 5 tasks"


def test_without_a_token_the_settings_are_named(doctor: Doctor) -> None:
    assert "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_TOKEN" in said(doctor)
