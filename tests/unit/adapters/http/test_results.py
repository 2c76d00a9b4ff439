"""The answer to /predict: written piece by piece, so that nobody waits for it."""

import asyncio
import json
from typing import Any

import pytest

from adapters.http.results import results_response
from adapters.label_studio.schemas import PredictResponse
from adapters.observability.status import DETAIL_KEPT
from adapters.prediction.outcome import Failure

FAILURE = Failure(7, "not_found", "There is no picture.")


def slot(regions: int) -> Any:
    result = [{"id": f"r{number}", "value": {"x": 1.5, "text": '"result":null'}} for number in range(regions)]
    return {"model_version": "v", "score": 0.5, "result": result}


@pytest.mark.parametrize("counts", [[], [0], [1, 2], [499, 500, 501], [1_000, 0, 1_234]])
async def test_it_is_what_would_be_written_at_once(counts: list[int]) -> None:
    slots = [*map(slot, counts), FAILURE]

    for some in (slots, slots[:-1], [FAILURE, *slots]):
        response = await results_response(some)
        results = [[] if one is FAILURE else one for one in some]
        failures = [FAILURE.as_dict() for one in some if one is FAILURE]
        at_once = json.dumps({"results": results, "failures": failures}, separators=(",", ":"))
        assert bytes(response.body) == at_once.encode()


async def test_every_empty_slot_has_its_failure_in_the_same_order() -> None:
    """Ids are the callers': they may be missing, or come twice."""
    given = [
        Failure(None, "no_picture", "a"),
        Failure(7, "time_budget", "b", 12),
        Failure(7, "internal", "c" * 10**6),
    ]
    answer = json.loads((await results_response([given[0], slot(0), *given[1:]])).body)

    PredictResponse.model_validate(answer)
    assert [one == [] for one in answer["results"]] == [True, False, True, True]
    assert answer["failures"][:2] == [
        {"task": None, "reason": "no_picture", "detail": "a"},
        {"task": 7, "reason": "time_budget", "detail": "b", "frames_done": 12},
    ]
    assert answer["failures"][2]["reason"] == "internal"
    assert len(answer["failures"][2]["detail"]) == DETAIL_KEPT


@pytest.mark.promise("many-regions-in-a-thread")
async def test_others_have_their_turn_while_many_regions_are_written() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await results_response([slot(50_000)])
    running.cancel()

    assert turns >= 100


async def test_what_is_no_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        await results_response([slot(0) | {"score": float("nan")}])
