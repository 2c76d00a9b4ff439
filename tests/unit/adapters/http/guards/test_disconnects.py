"""Work for a caller that has gone is cancelled."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from adapters.http.guards.disconnects import run_while_connected

LAST_PART: Message = {"type": "http.request", "body": b"x", "more_body": False}
GONE: Message = {"type": "http.disconnect"}


class Caller:
    """Sends the messages one by one; the connection then stays open until `hang_up`."""

    def __init__(self, *messages: Message) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self._messages.put_nowait(message)
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        return await self._messages.get()

    async def send(self, message: Message) -> None:
        self.answer.append(message)

    def hang_up(self) -> None:
        self._messages.put_nowait(GONE)


async def test_an_answer_reaches_a_caller_that_waits() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"x"
        await send({"type": "http.response.start"})

    caller = Caller(LAST_PART)
    assert await run_while_connected(app, {}, caller.receive, caller.send)
    assert caller.answer == [{"type": "http.response.start"}]


@pytest.mark.promise("hang-up-cancels-work")
async def test_work_is_cancelled_when_the_caller_hangs_up() -> None:
    caller, cancelled = Caller(LAST_PART), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        caller.hang_up()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with asyncio.timeout(5):
        assert not await run_while_connected(app, {}, caller.receive, caller.send)
    assert cancelled.is_set()


async def test_what_an_application_does_after_its_answer_is_not_cancelled() -> None:
    caller, tidied_up = Caller(LAST_PART), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.body", "body": b"all of it"})
        caller.hang_up()  # as servers report it when the answer is complete
        await asyncio.sleep(0.01)
        tidied_up.set()

    async with asyncio.timeout(5):
        assert await run_while_connected(app, {}, caller.receive, caller.send)
    assert tidied_up.is_set()


async def test_a_caller_that_hangs_up_in_the_middle_of_the_body_is_noticed_by_the_application() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            assert message["more_body"]

    caller = Caller({"type": "http.request", "body": b"x", "more_body": True}, GONE)
    async with asyncio.timeout(5):
        await run_while_connected(app, {}, caller.receive, caller.send)


async def test_an_error_of_the_application_is_not_swallowed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("broken")

    caller = Caller(LAST_PART)
    with pytest.raises(ValueError, match="broken"):
        await run_while_connected(app, {}, caller.receive, caller.send)


async def test_an_application_that_listens_for_the_end_of_the_connection_hears_of_it() -> None:
    caller, heard = Caller(LAST_PART), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        caller.hang_up()
        if (await receive())["type"] == "http.disconnect":
            heard.set()

    async with asyncio.timeout(5):
        await run_while_connected(app, {}, caller.receive, caller.send)
