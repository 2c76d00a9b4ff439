"""Bodies with so many values that reading them would hold the event loop are cut short, to what is read of them."""

import asyncio
import json
import subprocess
import sys
from http import HTTPStatus
from typing import Any

import pytest

from adapters.label_studio.compact_request import (
    MAX_VALUES,
    TooManyValuesError,
    UnreadableError,
    compact_request,
    values_in,
)
from adapters.label_studio.interactive.context import compact_context
from adapters.label_studio.schemas import PredictRequest
from runners.startup.apart import CrashedError, run_apart
from tests.support.asgi_client import App, as_chunks, ask, assert_error, gateway

CONFIG = """<View>
<Image name="a" value="$picture"/><Image name="b" value="$a.b[0]"/><Image name="c" value="$x&amp;y"/>
<Image name="d" value = ' $two words '/><Image name="e" value="https://host/$folder/$file"/>
</View>"""


def region(number: int, **fields: Any) -> dict[str, Any]:
    value = {"x": 1.5, "y": 2.5, "width": 0.4, "keypointlabels": ["nose"], "is_positive": True}
    names = {"from_name": "k", "to_name": "a", "type": "keypointlabels", "origin": "manual"}
    return {"id": f"r{number}", **names, "value": value, **fields}


def written(content: Any) -> bytes:
    return json.dumps(content).encode()


def apart(content: Any, limit_s: float = 60) -> Any:
    """What is left of a request. In a process of its own, since it changes the one that it runs in."""
    short = run_apart(compact_request, written(content), limit_s=limit_s)
    assert values_in(short) <= MAX_VALUES
    return json.loads(short)


class TestInShort:
    @pytest.mark.promise("large-requests-bounded")
    def test_annotations_and_regions_that_do_not_matter_are_left_out(self) -> None:
        many = [region(number, score=0.5) for number in range(20_000)]
        task = {
            "id": 7,
            "data": {"picture": 'ä \\ "'},
            "annotations": many,
            "predictions": many,
            "drafts": many,
        }
        context = {"result": [*many, region(1), region(2)], "other": many}
        given = {
            "tasks": [task, {"id": "x", "data": None}],
            "project": "4.1",
            "label_config": CONFIG,
            "params": {"login": "a", "password": "secret", "context": context},
            "more": many,
        }
        short = apart(given)

        assert short == {
            "tasks": [{"id": 7, "data": {"picture": 'ä \\ "'}}, {"id": "x", "data": {}}],
            "project": "4.1",
            "label_config": CONFIG,
            "params": {"context": {"result": [region(1), region(2)]}},
        }
        read, as_it_was = PredictRequest.model_validate(short), PredictRequest.model_validate(given)
        assert [(one.id, one.data) for one in read.tasks] == [(one.id, one.data) for one in as_it_was.tasks]
        assert read.project == as_it_was.project
        assert compact_context(read.params.context) == compact_context(as_it_was.params.context)

    def test_a_smart_tool_is_told_who_is_on_the_page_where_they_are_few_enough(self) -> None:
        shown = {"id": 1, "model_version": "v", "result": [region(number) for number in range(50)]}
        task = {"id": 7, "data": {"picture": "p"}, "predictions": [shown], "meta": [0] * 200_000}
        context = {"result": [region(1)]}
        given = {"tasks": [task], "label_config": CONFIG, "params": {"context": context}}

        (asked,) = apart(given)["tasks"]
        (not_asked,) = apart({**given, "params": {}})["tasks"]

        assert asked["predictions"] == [shown]
        assert "predictions" not in not_asked

    def test_columns_that_the_label_config_does_not_name_go_only_if_there_are_too_many(self) -> None:
        data = {"picture": "p", "a": {"b": ["q"]}, "x&y": "r", "$undefined$": "u", "two words": "v"}
        data |= {"folder": "w", "file": "x"}
        more = {f"column {number}": "value" for number in range(20)}
        few = {"tasks": [{"id": 1, "data": {**data, **more}}], "label_config": CONFIG}
        many = {"tasks": [{"id": 1, "data": {**data, **more}}] * 5_000, "label_config": CONFIG}

        assert apart(few)["tasks"][0]["data"] == {**data, **more}
        assert apart(many)["tasks"] == [{"id": 1, "data": data}] * 5_000

    def test_without_a_label_config_the_picture_stays(self) -> None:
        many = {"tasks": [{"data": {"image": "p", **dict.fromkeys(map(str, range(20)), 1)}}] * 5_000}

        assert apart(many)["tasks"][4_999]["data"] == {"image": "p"}

    def test_what_is_too_much_even_so_is_an_error(self) -> None:
        with pytest.raises(TooManyValuesError):
            apart({"tasks": [{"id": 1, "data": {"picture": [{}] * MAX_VALUES}}], "label_config": CONFIG})

    def test_what_is_no_request_is_told_as_bentoml_does(self) -> None:
        with pytest.raises(UnreadableError) as error:
            apart({"tasks": [{"id": {}}] * 10})

        (first, *_) = json.loads(str(error.value))["detail"]
        assert first["loc"][:3] == ["tasks", 0, "id"]

    @pytest.mark.promise("large-requests-bounded")
    def test_it_may_take_so_much_memory_and_then_ends(self) -> None:
        """At once: where memory has ended, Rust's report of it could wait for ever."""
        regions = [region(number, more=[number, [], {}]) for number in range(250_000)]
        with pytest.raises((CrashedError, MemoryError)):
            apart({"tasks": [], "params": {"context": {"result": regions}}}, limit_s=60)


class TestSurface:
    async def test_a_body_of_few_values_reaches_the_application_as_it_came(self) -> None:
        app = App()

        async def unexpected(_: bytes) -> bytes:
            raise AssertionError

        body = b'{"tasks": [' + b"1," * (MAX_VALUES - 10) + b"1]}"
        answer = await ask(gateway(app, compact=unexpected), body=as_chunks(body[:1000], body[1000:]))

        assert (answer.status, app.received) == (200, len(body))

    @pytest.mark.parametrize("value", [b"1,", b"{}", b"[]", b"\\\\"])
    async def test_one_of_many_reaches_it_in_short(self, value: bytes) -> None:
        app = App()
        given: list[bytes] = []

        async def compact(body: bytes) -> bytes:
            given.append(body)
            return b"{}"

        body = value * (MAX_VALUES + 1)
        answer = await ask(gateway(app, compact=compact), body=as_chunks(body[:1000], body[1000:]))

        assert (answer.status, app.received, given) == (200, 2, [body])

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (
                UnreadableError('{"detail": [{"loc": ["tasks"], "msg": "Field required"}]}'),
                HTTPStatus.BAD_REQUEST,
            ),
            (TooManyValuesError(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
            (CrashedError("it ended"), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
            (TimeoutError(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
            (MemoryError(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        ],
    )
    async def test_one_that_cannot_be_cut_short_is_refused(
        self, error: Exception, status: HTTPStatus
    ) -> None:
        async def compact(_: bytes) -> bytes:
            raise error

        detail = assert_error(
            await ask(gateway(App(), compact=compact), body=b"[]" * (MAX_VALUES + 1)), status
        )
        assert detail.startswith("tasks: field required" if status == 400 else "The JSON has more than")

    async def test_one_at_a_time(self) -> None:
        running = most = 0

        async def compact(_: bytes) -> bytes:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            return b"{}"

        door = gateway(App(), compact=compact)
        answers = await asyncio.gather(*(ask(door, body=b"[]" * (MAX_VALUES + 1)) for _ in range(4)))

        assert ([answer.status for answer in answers], most) == ([200] * 4, 1)


def test_the_process_that_reads_needs_little_to_be_imported() -> None:
    """It is started for each body."""
    code = "import sys, adapters.label_studio.compact_request; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout

    assert set(loaded.split()) & {"numpy", "starlette", "bentoml", "aiohttp", "prometheus_client"} == set()
