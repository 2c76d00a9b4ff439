"""One server process for most tests; a test that harms its server starts its own."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL.PngImagePlugin import PngInfo

from adapters.http.example import draw_figure
from runners.models.store import ModelStore
from tests.service.picture_server import PictureServer, serving
from tests.service.server import Server
from tests.support.pictures import encoded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.service)
            item.add_marker(pytest.mark.models)


StartServer = Callable[..., Server]


@contextmanager
def stopped_at_the_end(store: ModelStore, folders: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Gives what starts a server with settings; those that still run at the end are stopped."""
    started: list[Server] = []

    def start(service: str = "service:Backend", **settings: str) -> Server:
        folder = folders.mktemp("server")
        server = Server(folder, {"MODEL_CACHE_DIR": str(store.root), **settings}, service=service)
        started.append(server)
        server.start()
        return server

    yield start
    left = [process for server in started for process in server.stop()]
    assert left == [], "SIGTERM ends every process"


@pytest.fixture(scope="module")
def start_server(model_store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start a server with the settings given, for the tests of one file."""
    with stopped_at_the_end(model_store, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def server(model_store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests share."""
    with stopped_at_the_end(model_store, tmp_path_factory) as start:
        yield start(ALLOWED_IMAGE_HOSTS="127.0.0.1")


@pytest.fixture(scope="session")
def pictures() -> Iterator[PictureServer]:
    """A web server with the figure of the examples at /figure.png."""
    with serving() as server:
        server.add("/figure.png", encoded(draw_figure(), "PNG"))
        yield server


@pytest.fixture(scope="session")
def new_figure(pictures: PictureServer) -> Callable[[], str]:
    """Gives the address of the same picture in a file that was never asked for before, so that nobody remembers it."""
    numbers = itertools.count()

    def add() -> str:
        number = next(numbers)
        note = PngInfo()
        note.add_text("Comment", f"file {number}")
        return pictures.add(f"/figure-{number}.png", encoded(draw_figure(), "PNG", pnginfo=note))

    return add


@pytest.fixture(scope="session")
def figure(pictures: PictureServer) -> str:
    """The address of a picture with one person in it."""
    return pictures.url + "/figure.png"
