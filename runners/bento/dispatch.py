"""Batches waiting calls as soon as a lane of their network is free.

BentoML's dispatcher delays calls in the hope of more, by its estimate of recent waits: after a busy minute a lone
caller waits many seconds for each picture. It also polls running batches a thousand times a second, which takes CPU
from inference. Neither is needed: calls that arrive while all lanes are busy form the next batch, which starts when a
lane is free.

There is no setting for it, so a subclass replaces the dispatcher of the pinned BentoML version.
"""

import asyncio
import logging
from functools import partial
from typing import Any

import _bentoml_impl.server.app as bentoml_app
from bentoml._internal.marshal.dispatcher import CorkDispatcher, NonBlockSema

from runners.serving.batch_sizes import FEWEST_CALLS

logger = logging.getLogger(__name__)

_Dispatcher: Any = CorkDispatcher


class _Places(NonBlockSema):
    """A semaphore of concurrent batches that can be awaited.

    Args:
        count: Number of concurrent batches.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._freed = asyncio.Event()

    async def take(self) -> None:
        """Wait for the semaphore and acquire it."""
        while not self.acquire():
            self._freed.clear()
            await self._freed.wait()

    def release(self) -> None:
        """Release the semaphore and wake the waiting batch."""
        super().release()
        self._freed.set()


class PromptDispatcher(_Dispatcher):
    """BentoML's dispatcher, which starts a batch as soon as a call is waiting and a lane is free.

    Args:
        args: BentoML's arguments.
        batches_at_once: Number of concurrent batches of the network.
        kwargs: BentoML's arguments.
    """

    in_use = False

    def __init__(self, *args: Any, batches_at_once: int, **kwargs: Any) -> None:
        PromptDispatcher.in_use = True
        self._places = _Places(batches_at_once)
        super().__init__(*args, shared_sema=self._places, **kwargs)
        if self.max_batch_size == FEWEST_CALLS:
            self.max_batch_size = 1  # else a call would wait in one lane while the other is free

    async def controller(self) -> None:
        """Start batches until the worker ends."""
        while True:
            async with self._wake_event:
                await self._wake_event.wait_for(self._queue.__len__)
            await self._places.take()
            try:
                calls = tuple(self._get_inputs())
            except Exception:  # an invalid call must not block the others
                logger.exception("Batching failed")
                self._places.release()
                continue
            self._loop.create_task(self.outbound_call(calls))


def dispatch_at_once(batches_at_once: int) -> None:
    """Replace BentoML's dispatcher in this process by `PromptDispatcher`.

    Args:
        batches_at_once: Number of concurrent batches of each network.
    """
    replaced: Any = bentoml_app
    replaced.CorkDispatcher = partial(PromptDispatcher, batches_at_once=batches_at_once)
