"""Installs the replacements of BentoML's private parts in a worker; `runners/bento/__init__.py` lists them."""

import logging
from types import TracebackType
from typing import Any

import bentoml
from _bentoml_sdk.io_models import IOMixin
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server import http_app
from opentelemetry.trace import NoOpTracerProvider

from runners.bento import dispatch, protocol
from runners.bento.protocol import Refuse
from runners.bento.worker import end_with_supervisor

_READS_THE_BODY = IOMixin.from_http_request.__code__


def install(*, batches_at_once: int, refuse: Refuse) -> None:
    """Install all replacements if this process is a worker. Call it before BentoML creates its application.

    Args:
        batches_at_once: Number of concurrent batches of each network of a runner.
        refuse: Returns the response to invalid HTTP.
    """
    if not _is_worker():
        return
    end_with_supervisor()
    _silence_spans()
    http_app.logger.addFilter(is_a_fault_here)
    dispatch.dispatch_at_once(batches_at_once)
    protocol.use_strict_protocol(refuse)


def check_in_use() -> None:
    """Check that BentoML uses the replacements. Call it when a worker starts, after its application was created.

    Raises:
        RuntimeError: It does not. The only other symptoms are slow answers and connections without timeouts.
    """
    if not _is_worker():
        return
    entry = bentoml.server_context.service_type == "entry_service"
    if not entry and not dispatch.PromptDispatcher.in_use:
        raise RuntimeError(
            "BentoML no longer takes its dispatcher from _bentoml_impl.server.app: see runners/bento."
        )
    if entry and not protocol.StrictConfig.in_use:
        raise RuntimeError(
            "BentoML no longer takes its server's options from uvicorn.Config: see runners/bento."
        )


def _is_worker() -> bool:
    return bentoml.server_context.worker_index is not None


def _silence_spans() -> None:
    # BentoML records spans without an exporter, ignores our sampling, and takes the previous request on a connection as
    # the parent of one with a large body. The service records its own spans.
    container: Any = BentoMLContainer
    container.tracer_provider.set(NoOpTracerProvider())
    container.tracing_excluded_urls.set(".*")


def is_a_fault_here(record: logging.LogRecord) -> bool:
    """Tell whether an exception that BentoML logs was raised after the body was read.

    Before that it is the client's error (invalid JSON, a wrong type, an interrupted connection). The client gets an
    error response and the gateway logs a line; BentoML would add a useless traceback of forty lines.
    """
    step: TracebackType | None = record.exc_info[2] if record.exc_info else None
    while step is not None:
        if step.tb_frame.f_code is _READS_THE_BODY:
            return False
        step = step.tb_next
    return True
