"""When calls that wait for a network become a batch: as soon as the network is free.

BentoML's dispatcher holds calls back while it expects others to come, for as long as calls waited lately. After a busy
minute a caller who comes alone then waits for many seconds, picture after picture, for others who do not come. Batches
grow with the load without that: while one is in the network, the calls that come form the next.

There is no setting for it, so the part of the dispatcher that reckons how long to wait is replaced. BentoML is pinned
to the version this was written for.
"""

from typing import Any, ClassVar

from bentoml._internal.marshal import dispatcher


class NeverWaits:
    """What the dispatcher asks how long a batch takes and how long to wait for it to fill: no time at all.

    Args:
        max_latency: As the dispatcher gives it, seconds; of no use here.
    """

    N_SKIPPED_SAMPLE: ClassVar[int] = 0
    """Batches of the beginning from which the dispatcher would learn nothing yet."""

    o_a = o_b = wait = 0.0

    def __init__(self, max_latency: float) -> None:
        pass

    def log_outbound(self, n: int, wait: float, duration: float) -> None:
        """Learn nothing from a batch."""

    def trigger_refresh(self) -> None:
        """Change nothing."""


def dispatch_at_once() -> None:
    """Let the dispatchers that are made in this process from now on send what waits as soon as the network is free."""
    replaced: Any = dispatcher
    replaced.Optimizer = NeverWaits
