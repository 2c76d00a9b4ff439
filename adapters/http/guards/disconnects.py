"""Ends the work for callers that have gone."""

import asyncio
import contextlib
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


async def run_while_connected(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> bool:
    """Run an application on one request, and cancel it when the caller hangs up.

    Nobody listens to the connection once the body is read; without this, the work of a caller that has given up
    would take the place of those that still wait.

    Returns:
        False if the caller hung up before the answer was complete.
    """
    body_read = asyncio.Event()
    gone = asyncio.Event()
    answered = False

    async def until_body_is_read() -> Message:
        if body_read.is_set():  # whoever asks on waits for the end of the connection
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
        # By the ASGI specification nothing but the end of the connection can come now.
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
        # Servers report the end of the connection also after a complete answer; what is left to do then, such as
        # closing a file, is done.
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
