"""When calls that wait for a network become a batch: as soon as one of its lanes is free.

BentoML's dispatcher holds calls back while it expects others to come, for as long as calls waited lately: after a busy
minute a caller who comes alone waits for many seconds, picture after picture, for others who do not come. And while a
batch is in the network, it looks a thousand times a second whether it has come out, which takes the CPU from the
network. Neither is needed: while as many batches are in the network as it has lanes, the calls that come form the next,
which begins when one of them comes out.

There is no setting for it, so the dispatcher is replaced by one that is derived from it. BentoML is pinned to the
version this was written for.
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
    """How many batches may be in the network, which says when one has come out.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._freed = asyncio.Event()

    async def take(self) -> None:
        """Wait for a place and take it."""
        while not self.acquire():
            self._freed.clear()
            await self._freed.wait()

    def release(self) -> None:
        """Give it back."""
        super().release()
        self._freed.set()


class PromptDispatcher(_Dispatcher):
    """BentoML's dispatcher, which begins a batch when there is a call and the network is free, and at no other time.

    Args:
        args: As BentoML gives them.
        batches_at_once: How many batches the network computes at once.
        kwargs: As BentoML gives them.
    """

    in_use = False

    def __init__(self, *args: Any, batches_at_once: int, **kwargs: Any) -> None:
        PromptDispatcher.in_use = True
        self._places = _Places(batches_at_once)
        super().__init__(*args, shared_sema=self._places, **kwargs)
        if self.max_batch_size == FEWEST_CALLS:
            self.max_batch_size = (
                1  # or one call would wait in a lane for another that the other lane could take
            )

    async def controller(self) -> None:
        """Begin batches, for as long as the worker lives."""
        while True:
            async with self._wake_event:
                await self._wake_event.wait_for(self._queue.__len__)
            await self._places.take()
            try:
                calls = tuple(self._get_inputs())
            except Exception:  # of one call that cannot be counted; the others must not wait for ever
                logger.exception("A batch could not be put together")
                self._places.release()
                continue
            self._loop.create_task(self.outbound_call(calls))


def dispatch_at_once(batches_at_once: int) -> None:
    """Let the dispatchers of the services of this process begin batches as soon as the network is free.

    Args:
        batches_at_once: How many batches each network computes at once.
    """
    replaced: Any = bentoml_app
    replaced.CorkDispatcher = partial(PromptDispatcher, batches_at_once=batches_at_once)
