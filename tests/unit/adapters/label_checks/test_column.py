"""The column of the data manager: scores in task data, and nothing else changed."""

import pytest

from adapters.label_checks.column import ColumnTakenError, Verdict, verdicts, write_column
from adapters.label_checks.report import Report, Suspicion
from adapters.label_studio.client.api import LabelStudioApi
from adapters.label_studio.client.credentials import Credentials
from tests.support.label_studio_stub import TOKEN, LabelStudioStub, serving_label_studio
from wholebody.label_checks.finding import Kind


def suspicion(
    score: float, task: int | None = 1, reason: str = "hands are swapped", **more: object
) -> Suspicion:
    fields = {"annotation": 5, "image": "image", "frame": None, "people": ("p0",), "keypoints": (), **more}
    return Suspicion(score, Kind.SWAPPED, reason, task, **fields)  # type: ignore[arg-type]


async def written(stub: LabelStudioStub, found: dict[int, Verdict]) -> list[bool]:
    async with LabelStudioApi(stub.url, Credentials(stub.url, TOKEN)) as api:
        return [changed async for changed in write_column(api, 1, found)]


def test_a_task_has_its_highest_score_and_all_reasons() -> None:
    report = Report(2, 3, (suspicion(0.9), suspicion(0.6, reason="jumps", frame=2)), (1, 2))

    assert verdicts(report) == {
        1: Verdict(0.9, "p0: hands are swapped; frame 2, p0: jumps"),
        2: Verdict(0.0, ""),
    }


def test_long_reasons_are_cut() -> None:
    report = Report(1, 1, tuple(suspicion(0.9, reason="x" * 90) for _ in range(20)), (1,))

    assert len(verdicts(report)[1].reason) == 500
    assert verdicts(report)[1].reason.endswith("…")


async def test_the_fields_are_added_to_the_data_of_tasks() -> None:
    async with serving_label_studio(2) as stub:
        assert await written(stub, {1: Verdict(0.9, "p0: hands"), 2: Verdict(0.0, "")}) == [True, True]

        assert stub.tasks[1] == {
            "image": "/data/upload/1/1.jpg",
            "label_check": 0.9,
            "label_check_reason": "p0: hands",
        }
        assert stub.tasks[2]["label_check"] == 0


async def test_a_second_run_writes_only_what_changed() -> None:
    async with serving_label_studio(2) as stub:
        await written(stub, {1: Verdict(0.9, "a"), 2: Verdict(0.0, "")})
        before = stub.count("PATCH", "/api/tasks")

        assert await written(stub, {1: Verdict(0.9, "a"), 2: Verdict(0.7, "b")}) == [False, True]

        assert stub.count("PATCH", "/api/tasks") == before + 1


@pytest.mark.parametrize("taken", [{"label_check": "yes"}, {"label_check": True}, {"label_check_reason": 3}])
async def test_fields_of_somebody_else_are_not_overwritten(taken: dict[str, object]) -> None:
    async with serving_label_studio(1) as stub:
        stub.tasks[1] |= taken

        with pytest.raises(ColumnTakenError, match="Task 1 has a field 'label_check"):
            await written(stub, {1: Verdict(0.9, "a")})

        assert stub.count("PATCH", "/api/tasks") == 0


def test_scores_are_in_order_as_text_and_as_numbers() -> None:
    scores = [0.0, 0.5, 0.505, 0.62, 0.7, 0.999, 1.0]

    assert sorted(scores, key=str) == scores
