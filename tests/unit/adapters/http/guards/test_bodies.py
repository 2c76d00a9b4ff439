"""What the body of a request may cost beyond its bytes: JSON values, time, and memory held at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from adapters.http.guards.bodies import (
    BODIES_AT_ONCE,
    MAX_BRACKETS,
    SMALL_MAX_BRACKETS,
    SMALL_MAX_BYTES,
    BodyLimits,
    BodyRefusedError,
    HeldBytes,
    LimitedBody,
)
from tests.support.asgi_client import App, as_chunks, ask, assert_error, gateway

MEBIBYTE = 2**20


class TestValues:
    @pytest.mark.parametrize("unit", [b"{},", b"[],", b'{"a":1},', b"[[[["])
    async def test_a_body_of_too_many_objects_and_lists_is_refused(self, unit: bytes) -> None:
        app = App()
        body = b'{"tasks": [' + unit * (MAX_BRACKETS // unit.count(unit[:1]))

        detail = assert_error(await ask(gateway(app), body=body), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

        assert f"{MAX_BRACKETS} objects and lists" in detail
        assert app.received == 0

    async def test_a_body_of_too_many_values_is_refused(self) -> None:
        body = b'{"tasks": [' + b"1," * 4_000_001
        assert_error(await ask(gateway(App()), body=body), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    async def test_they_are_counted_over_all_pieces(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b"{}" * (MAX_BRACKETS // 10)

        assert_error(await ask(gateway(App()), body=pieces()), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    async def test_64_mebibytes_of_regions_are_not_too_many(self) -> None:
        region = {
            "id": "1a2b3c4d5e-left_hand_root",
            "parentID": "1a2b3c4d5e-box",
            "from_name": "keypoints",
            "to_name": "image",
            "type": "keypointlabels",
            "origin": "prediction",
            "score": 0.4375,
            "original_width": 960,
            "original_height": 639,
            "image_rotation": 0,
            "value": {"x": 30.25, "y": 15.5, "width": 0.35, "keypointlabels": ["left_wrist_0"]},
        }
        one = json.dumps(region).encode() + b", "
        app = App()
        body = one * (64 * MEBIBYTE // len(one))

        assert (await ask(gateway(app), body=body)).status == 200
        assert app.received == len(body)


class TestOpenRoute:
    """Anybody may send webhooks, since Label Studio sends them without a password."""

    async def test_its_bodies_are_smaller(self) -> None:
        app = App()
        headers = {"content-length": str(SMALL_MAX_BYTES + 1)}
        assert_error(
            await ask(gateway(app), "/webhook", headers=headers), HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
        chunks = as_chunks(b"x" * SMALL_MAX_BYTES, b"x")
        assert_error(await ask(gateway(app), "/webhook", body=chunks), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        assert (await ask(gateway(app), "/webhook", body=b"x" * SMALL_MAX_BYTES)).status == 200
        assert (await ask(gateway(app), "/predict", body=b"x" * (SMALL_MAX_BYTES + 1))).status == 200

    async def test_and_simpler(self) -> None:
        body = b"{}" * (SMALL_MAX_BRACKETS + 1)
        answer = await ask(gateway(App()), "/webhook", body=body)
        assert_error(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    async def test_a_smaller_limit_of_the_operator_holds_there_too(self) -> None:
        answer = await ask(gateway(App(), max_request_bytes=2000), "/webhook", body=b"x" * 2001)
        assert_error(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class TestMemoryOfAllTogether:
    @pytest.mark.promise("bodies-in-memory")
    async def test_so_many_large_bodies_are_held_and_the_next_is_asked_to_come_again(self) -> None:
        limit, finish = 1000, asyncio.Event()

        async def full_and_waiting() -> AsyncIterator[bytes]:
            yield b"x" * limit
            await finish.wait()

        app = App()
        door = gateway(app, max_request_bytes=limit)
        uploads = [asyncio.create_task(ask(door, body=full_and_waiting())) for _ in range(BODIES_AT_ONCE)]
        await asyncio.sleep(0.05)

        answer = await ask(door, body=b"one more")
        assert "Retry after 5 s" in assert_error(answer, HTTPStatus.SERVICE_UNAVAILABLE)
        assert answer.headers["retry-after"] == "5"
        assert (await ask(door, "/webhook", body=b"of others")).status == 200

        finish.set()
        assert [one.status for one in await asyncio.gather(*uploads)] == [200] * BODIES_AT_ONCE
        for _ in range(3 * BODIES_AT_ONCE):
            assert (await ask(door, body=b"x" * limit)).status == 200, "what was held is given back"

    async def test_refused_and_broken_bodies_are_given_back(self) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            raise RuntimeError

        door = gateway(broken, max_request_bytes=1000)
        for _ in range(3 * BODIES_AT_ONCE):
            assert (await ask(door, body=b"x" * 900)).status == 500
            refused = await ask(door, body=as_chunks(b"x" * 1001))
            assert refused.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TestTime:
    async def test_a_body_that_stops_coming_is_given_up(self) -> None:
        told: list[int] = []

        async def refuse(response: Any) -> None:
            told.append(response.status_code)
            assert response.headers["connection"] == "close"

        async def nothing() -> Message:
            await asyncio.sleep(60)
            raise AssertionError

        body = LimitedBody(nothing, BodyLimits(1000, silence_s=0.05), HeldBytes(1000), refuse)
        with pytest.raises(BodyRefusedError):
            await body.receive()
        assert told == [HTTPStatus.REQUEST_TIMEOUT]

    async def test_after_the_body_the_end_of_the_connection_may_take_its_time(self) -> None:
        async def slow() -> Message:
            await asyncio.sleep(0.1)
            return {"type": "http.disconnect"}

        messages = iter([{"type": "http.request", "body": b"{}", "more_body": False}])

        async def receive() -> Message:
            return next(messages, None) or await slow()

        async def refuse(_: Any) -> None:
            raise AssertionError

        body = LimitedBody(receive, BodyLimits(1000, silence_s=0.02), HeldBytes(1000), refuse)
        assert (await body.receive())["body"] == b"{}"
        assert await body.receive() == {"type": "http.disconnect"}

    async def test_a_request_that_takes_too_long_is_a_504_in_our_shape(self) -> None:
        async def for_ever(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(60)

        answer = await ask(gateway(for_ever, answer_limit_s=0.05))

        assert "Send fewer tasks" in assert_error(answer, HTTPStatus.GATEWAY_TIMEOUT)
