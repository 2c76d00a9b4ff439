"""The answer to /predict: written piece by piece, so that nobody waits for it."""

import asyncio
import json
from typing import Any

import pytest

from adapters.http.results import results_response


def slot(regions: int) -> dict[str, Any]:
    result = [{"id": f"r{number}", "value": {"x": 1.5, "text": '"result":null'}} for number in range(regions)]
    return {"model_version": "v", "score": 0.5, "result": result}


@pytest.mark.parametrize("counts", [[], [0], [1, 2], [499, 500, 501], [1_000, 0, 1_234]])
async def test_it_is_what_would_be_written_at_once(counts: list[int]) -> None:
    slots = [*map(slot, counts), []]

    for some in (slots, slots[:-1], [[], *slots]):
        response = await results_response(some)
        assert bytes(response.body) == json.dumps({"results": some}, separators=(",", ":")).encode()


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
        await results_response([{"score": float("nan"), "result": []}])
