"""A server with networks of the user's own."""

from pathlib import Path
from typing import Any

import pytest

from runners.models.manifest import RTMPOSE_S_HALPE26
from runners.models.store import ModelStore
from tests.service.conftest import StartServer
from tests.service.server import Server
from tests.service.test_pictures import WHOLE, assert_the_figure

RTMDET = Path(__file__).parents[2].parent / "shared" / "models" / "rtmdet_nano_320_end2end.onnx"


@pytest.fixture(scope="module")
def own_server(start_server: StartServer) -> Server:
    if not RTMDET.exists():
        pytest.skip("needs the RTMDet-nano file in ../shared/models")
    return start_server(DETECTOR_MODEL=str(RTMDET), ALLOWED_IMAGE_HOSTS="127.0.0.1")


def test_an_rtmdet_finds_the_drawn_person(own_server: Server, figure: str) -> None:
    (slot,) = own_server.predict(figure, label_config=WHOLE)
    assert_the_figure(slot)
    assert slot["model_version"].startswith("rtmlib-own-")


def test_status_names_it(own_server: Server) -> None:
    networks: Any = {one["name"]: one["weights"] for one in own_server.ask("GET", "/status").json["networks"]}
    assert networks["person"].startswith("rtmdet_nano_320_end2end.")
    assert networks["body"] == RTMPOSE_S_HALPE26.name


def test_a_file_that_does_not_fit_stops_the_start_and_the_log_says_why(
    tmp_path: Path, model_store: ModelStore
) -> None:
    pose = model_store.path(RTMPOSE_S_HALPE26)
    server = Server(tmp_path, {"MODEL_CACHE_DIR": str(model_store.root), "DETECTOR_MODEL": str(pose)})
    server.launch()
    try:
        assert server.exit_code(60) == 1
    finally:
        server.stop()
    last = server.log().strip().splitlines()[-1]
    assert last == f"DETECTOR_MODEL={pose} cannot be used: it is a pose network: name it in POSE_MODEL."
