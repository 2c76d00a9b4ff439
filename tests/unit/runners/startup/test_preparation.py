"""What is done once before any worker starts: in a process of its own, and only if it is not done yet."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runners.config import RunnerConfig
from runners.engines import is_installed
from runners.errors import ProviderUnavailableError
from runners.graphs.prepared import find_network_files
from runners.models.store import ModelStore
from runners.plan import resolve
from runners.startup.preparation import prepare_networks

pytestmark = pytest.mark.models


@pytest.fixture
def config(tmp_path: Path, model_store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> RunnerConfig:
    """Of a model store with the embedded networks, in which nothing is prepared."""
    # Prepared files are looked for among this user's temporary files as well.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for file in model_store.root.glob("*.onnx"):
        (tmp_path / file.name).symlink_to(file)
    return RunnerConfig("embedded", "cpu", 1, tmp_path, engine="auto", precision="auto")


def test_networks_are_prepared_once_and_the_log_names_their_engines(
    config: RunnerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    plan = resolve(config)
    body = plan.networks["body"]
    assert find_network_files(body) is None
    with caplog.at_level(logging.INFO):
        prepare_networks(plan)
    assert caplog.text.count("Engines: person in ") == 1
    made = find_network_files(body)
    assert made is not None
    written = made.files[0].stat().st_mtime_ns
    prepare_networks(plan)
    assert made.files[0].stat().st_mtime_ns == written


@pytest.mark.skipif(not is_installed("openvino"), reason="OpenVINO is not installed")
def test_the_service_s_process_holds_no_engine_afterwards(config: RunnerConfig) -> None:
    code = (
        "import sys; from pathlib import Path; from runners.config import RunnerConfig\n"
        "from runners.plan import resolve\n"
        "from runners.startup.preparation import prepare_networks\n"
        "if __name__ == '__main__':\n"
        f"    config = RunnerConfig('embedded', 'cpu', 1, Path({str(config.cache_dir)!r}), engine='openvino')\n"
        "    prepare_networks(resolve(config))\n"
        "    print(sorted({'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)))\n"
    )
    assert config.cache_dir is not None
    script = config.cache_dir / "prepare.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_device_that_is_not_there_stops_the_start_with_a_sentence(config: RunnerConfig) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime has CUDA")
    with pytest.raises(
        ProviderUnavailableError, match="DEVICE=cuda needs ONNX Runtime's CUDAExecutionProvider"
    ):
        prepare_networks(resolve(replace(config, device="cuda")))
