"""The time limits of a request, from the shortest to the longest, each with what it bounds.

Limits of a single step (a connection, silence on a socket, a probe of a worker) are next to that step.
"""

from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TimeLimits(BaseModel):
    """Seconds. Each limit is longer than the one before it, so that the inner one ends first and is answered."""

    model_config = ConfigDict(frozen=True)

    readiness_s: float = Field(
        default=2.0, description="A runner's answer to `/readyz`; the kubelet waits 5 s."
    )
    queue_wait_s: float = Field(
        default=30.0, description="Estimated queue wait; a request that would wait longer gets 503."
    )
    compact_s: float = Field(default=40.0, description="Reading a large request in a process of its own.")
    batch_s: float = Field(
        default=60.0, description="A batch in a network; its process is replaced afterwards."
    )
    call_s: float = Field(default=80.0, description="A call to a runner, one repetition included.")
    budget_s: float = Field(
        default=90.0, description="Predictions of a request; `TIME_BUDGET_SECONDS` may set less."
    )
    label_studio_s: float = Field(default=100.0, description="Label Studio's own timeout.")
    answer_s: float = Field(default=105.0, description="An answer of the service; afterwards it is 504.")
    request_s: float = Field(
        default=110.0, description="A request in BentoML, whose own 504 has another form: never reached."
    )
    drain_s: float = Field(
        default=115.0,
        description="Traefik's wait for an answer, and the last answers of a pod that ends (`preStop`).",
    )
    client_s: float = Field(
        default=130.0, description="A call of the command line to Label Studio or to a running backend."
    )
    grace_s: float = Field(
        default=140.0,
        description="A pod's end (`terminationGracePeriodSeconds`): `preStop`, 15 s if that fails, 10 s to stop.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "TimeLimits":
        for (inner, shorter), (outer, longer) in pairwise(self):
            if shorter >= longer:
                raise ValueError(f"{inner} ({shorter:g} s) must be less than {outer} ({longer:g} s)")
        return self


TIME_LIMITS = TimeLimits()
