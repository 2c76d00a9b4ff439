"""What is installed is used, or a worker does not start; callers' mistakes leave no traceback of BentoML's."""

import json
import logging
from typing import Any

import bentoml
import pytest
from _bentoml_impl.serde import JSONSerde
from pydantic import ValidationError
from starlette.requests import Request

from adapters.http.malformed import malformed_response
from runners.bento import dispatch, install, protocol


@bentoml.service
class Adder:
    @bentoml.api
    def add(self, number: int) -> int:
        return number + 1


async def read(body: bytes) -> None:
    """As BentoML reads a body."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    service: Any = Adder
    await service.apis["add"].input_spec.from_http_request(request, JSONSerde())


def record_of(error: Exception) -> logging.LogRecord:
    return logging.makeLogRecord({"exc_info": (type(error), error, error.__traceback__)})


@pytest.mark.parametrize("body", [b"{", b'{"number": "a"}'])
async def test_a_body_that_cannot_be_read_leaves_no_traceback(body: bytes) -> None:
    with pytest.raises(
        (ValidationError, json.JSONDecodeError, bentoml.exceptions.BentoMLException)
    ) as caught:
        await read(body)
    assert not install.is_a_fault_here(record_of(caught.value))


def test_an_error_after_the_body_was_read_leaves_one() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert install.is_a_fault_here(record_of(caught.value))


@pytest.mark.parametrize(
    ("kind", "unused", "message"),
    [
        ("service", dispatch.PromptDispatcher, "dispatcher"),
        ("entry_service", protocol.StrictConfig, "uvicorn.Config"),
    ],
)
def test_a_worker_that_does_not_use_what_was_installed_does_not_start(
    kind: Any, unused: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bentoml.server_context, "worker_index", 1)
    monkeypatch.setattr(bentoml.server_context, "service_type", kind)
    monkeypatch.setattr(unused, "in_use", True)
    install.check_in_use()
    monkeypatch.setattr(unused, "in_use", False)
    with pytest.raises(RuntimeError, match=message):
        install.check_in_use()


def test_a_process_that_is_no_worker_is_left_as_it_is() -> None:
    logger = install.http_app.logger
    before = logger.filters[:]
    install.install(batches_at_once=1, refuse=malformed_response)
    assert logger.filters == before
    install.check_in_use()
