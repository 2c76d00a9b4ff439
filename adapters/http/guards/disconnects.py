"""Cancels the work of callers that disconnected."""

import asyncio
import contextlib
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


async def run_while_connected(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> bool:
    """Run an application on one request, and cancel it when the caller disconnects.

    BentoML does not watch the connection once the body is read. Without this, abandoned work would delay the requests
    of other callers.

    Returns:
        False if the caller disconnected before the response was complete.
    """
    body_read = asyncio.Event()
    gone = asyncio.Event()
    answered = False

    async def until_body_is_read() -> Message:
        if body_read.is_set():  # a further call waits for the disconnect
            await gone.wait()
            return {"type": "http.disconnect"}
        message = await receive()
        if message["type"] == "http.disconnect":
            gone.set()
        if gone.is_set() or not message.get("more_body", False):
            body_read.set()
        return message

    async def watch() -> None:
        await body_read.wait()
        # By the ASGI specification, only a disconnect can follow.
        if not gone.is_set() and (await receive())["type"] == "http.disconnect":
            gone.set()

    async def noting_the_end(message: Message) -> None:
        nonlocal answered
        answered |= message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)

    work = asyncio.ensure_future(app(scope, until_body_is_read, noting_the_end))
    watching = asyncio.create_task(watch())
    try:
        await asyncio.wait({work, watching}, return_when=asyncio.FIRST_COMPLETED)
        # Servers report a disconnect after a complete response too; the remaining work, such as closing a file, is
        # then finished.
        if gone.is_set() and not answered and not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            return False
        await work
        return True
    finally:
        watching.cancel()
        work.cancel()
