"""What is used of BentoML, circus, Uvicorn and h11: each test names what an upgrade has changed.

`runners/bento/__init__.py` says what each part is for.
"""

import importlib
import inspect
from pathlib import Path
from typing import Any

import bentoml
import pytest
from circus.watcher import Watcher

from adapters.http.errors import detail_of
from adapters.http.gateway import BENTOML_ROUTES
from runners.bento.dispatch import PromptDispatcher, dispatch_at_once
from tests.support.asgi_client import ask

PARTS = """
_bentoml_impl.server.app CorkDispatcher
_bentoml_impl.server.serving IS_WSL
_bentoml_impl.server.serving create_dependency_watcher
_bentoml_sdk.io_models IOMixin.from_http_request.__code__
bentoml server_context.service_type
bentoml server_context.worker_index
bentoml._internal.configuration.containers BentoMLContainer.tracer_provider.set
bentoml._internal.configuration.containers BentoMLContainer.tracing_excluded_urls.set
bentoml._internal.marshal.dispatcher CorkDispatcher._get_inputs
bentoml._internal.marshal.dispatcher CorkDispatcher._wake_event
bentoml._internal.marshal.dispatcher CorkDispatcher.outbound_call
bentoml._internal.marshal.dispatcher NonBlockSema.acquire
bentoml._internal.marshal.dispatcher NonBlockSema.release
bentoml._internal.server.http_app logger.addFilter
bentoml._internal.utils.circus Arbiter.get_watcher
bentoml._internal.utils.circus Arbiter.initialize
bentoml._internal.utils.circus Arbiter.manage_watchers
circus.exc ConflictError
circus.process DEAD_OR_ZOMBIE
circus.process Process.age
circus.watcher Watcher._stop
circus.watcher Watcher.get_active_pids
h11._receivebuffer ReceiveBuffer._extract
h11._receivebuffer ReceiveBuffer.maybe_extract_lines
uvicorn Config
uvicorn.protocols.http.h11_impl H11Protocol._should_upgrade
uvicorn.protocols.http.h11_impl H11Protocol.on_response_complete
uvicorn.protocols.http.h11_impl H11Protocol.send_400_response
"""


@pytest.mark.parametrize("part", PARTS.split("\n")[1:-1])
def test_the_part_is_there(part: str) -> None:
    module, path = part.split()
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)


SAID = {
    "_bentoml_impl.server.serving serve_http": [
        'API_SERVER_NAME = "_bento_api_server"',
        'name="service"',
        "watcher.env.update(inject_env)",
        "create_standalone_arbiter(**arbiter_kwargs)",
    ],
    "_bentoml_impl.server.serving create_dependency_watcher": ['name=f"service_{svc.name}"'],
    "_bentoml_impl.worker.service main": ["uvicorn.Config(", "server_context.worker_index = worker_id"],
    "bentoml._internal.utils.circus create_standalone_arbiter": ["else Arbiter", "return arbiter_cls("],
    "bentoml._internal.server.http_app log_exception": ["logger.error("],
    "circus.arbiter Arbiter": ["self._stopping", "self.sockets"],
}


@pytest.mark.parametrize(
    ("where", "text"), [(where, text) for where, texts in SAID.items() for text in texts]
)
def test_the_source_still_says(where: str, text: str) -> None:
    """What cannot be seen without a server; tests/service/ shows what it is for."""
    name, part = where.split()
    module = importlib.import_module(name)
    assert hasattr(module, part)
    assert text in inspect.getsource(module)


def test_a_worker_gets_the_environment_of_its_watcher() -> None:
    watcher: Any = Watcher("service", "env", copy_env=True, env={})
    assert isinstance(watcher.env, dict)
    assert "env=self.env" in inspect.getsource(Watcher.spawn_process)


@bentoml.service(metrics={"enabled": False})
class Adder:
    @bentoml.api
    def add(self, number: int) -> int:
        if number < 0:
            raise bentoml.exceptions.InvalidArgument("too small")
        return number + 1

    @bentoml.api(batchable=True)
    def add_all(self, numbers: list[int]) -> list[int]:
        return [number + 1 for number in numbers]


def test_the_application_takes_the_dispatcher_from_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("_bentoml_impl.server.app")
    monkeypatch.setattr(module, "CorkDispatcher", module.CorkDispatcher)
    dispatch_at_once(1)
    monkeypatch.setattr(PromptDispatcher, "in_use", False)
    service: Any = Adder
    service.to_asgi()
    assert PromptDispatcher.in_use


@pytest.mark.parametrize("path", sorted(BENTOML_ROUTES - {"/livez", "/readyz", "/schema.json"}))
def test_the_files_of_the_swagger_ui_are_there(path: str) -> None:
    folder = importlib.import_module("bentoml._internal.server").__path__[0]
    assert (Path(folder) / path.removeprefix("/")).is_file()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"number": "a"}', 400, "number: input should be a valid integer"),
        (b'{"number": -1}', 400, "too small"),
    ],
)
@pytest.mark.filterwarnings("ignore:Accessing the 'model_fields':DeprecationWarning")  # BentoML's
async def test_errors_have_a_shape_that_is_understood(body: bytes, status: int, detail: str) -> None:
    service: Any = Adder
    app = service.to_asgi(is_main=True)
    async with app.router.lifespan_context(app):
        answer = await ask(app, "/add", body=body)
    assert answer.status == status
    assert detail in detail_of(answer.status, answer.body)


async def test_probes_ask_the_service() -> None:
    service: Any = Adder
    app = service.to_asgi(is_main=True)
    async with app.router.lifespan_context(app):
        assert [(await ask(app, path, method="GET", body=b"")).status for path in ("/livez", "/readyz")] == [
            200,
            200,
        ]
