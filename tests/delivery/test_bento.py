"""The Bentos' descriptions: locked, complete, and the same but for the device."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from _bentoml_impl.docker import generate_dockerfile
from bentoml._internal.bento.bento import ImageInfo


def bentofile(root: Path, variant: str) -> dict[str, Any]:
    return yaml.safe_load(
        (root / {"cpu": "bentofile.yaml", "gpu": "bentofile.gpu.yaml"}[variant]).read_text()
    )


def packages(root: Path, variant: str) -> list[str]:
    lines = (root / bentofile(root, variant)["python"]["requirements_txt"]).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def installed(root: Path, variant: str) -> set[str]:
    """Names of the packages whose marker does not rule them out."""
    return {
        line.partition("==")[0].partition(" ")[0] for line in packages(root, variant) if "'never'" not in line
    }


def test_requirements_are_those_of_uv_lock(root: Path, tmp_path: Path) -> None:
    subprocess.run(
        [str(root / ".ci/image/lock"), str(tmp_path)], check=True, timeout=120, capture_output=True
    )
    for variant in ("cpu", "gpu"):
        name = f"requirements-{variant}.txt"
        assert (root / "k8s/image" / name).read_text() == (tmp_path / name).read_text(), "run .ci/image/lock"


@pytest.mark.parametrize(("variant", "runtime"), [("cpu", "onnxruntime"), ("gpu", "onnxruntime-gpu")])
def test_one_opencv_and_one_onnx_runtime(root: Path, variant: str, runtime: str) -> None:
    chosen = {name for name in installed(root, variant) if name.startswith(("opencv", "onnxruntime"))}
    assert chosen == {runtime, "opencv-python-headless"}


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_every_version_is_fixed(root: Path, variant: str) -> None:
    assert [line for line in packages(root, variant) if "==" not in line and "'never'" not in line] == []


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_the_image_build_reads_the_same_list_as_overrides(root: Path, variant: str) -> None:
    environment = {entry["name"]: entry["value"] for entry in bentofile(root, variant)["envs"]}
    assert environment["UV_OVERRIDE"] == "/home/bentoml/bento/env/python/requirements.txt"


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_everything_that_the_service_imports_is_included(root: Path, variant: str) -> None:
    include = bentofile(root, variant)["include"]
    assert {"service.py", "adapters/**", "runners/**", "wholebody/**"} <= set(include)
    for pattern in include:
        assert (root / pattern.removesuffix("/**")).exists(), pattern


def test_the_variants_differ_in_the_device_only(root: Path) -> None:
    cpu, gpu = bentofile(root, "cpu"), bentofile(root, "gpu")
    assert {key for key in cpu if cpu[key] != gpu[key]} == {"labels", "python", "envs"}
    assert {entry["name"] for entry in gpu["envs"]} - {entry["name"] for entry in cpu["envs"]} == {
        "DEVICE",
        "LD_LIBRARY_PATH",
    }


def run_dockerfile_script(root: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / ".ci/image/dockerfile.py"), str(file)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_the_dockerfile_installs_in_one_layer_and_names_the_served_port(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    image = ImageInfo(base_image="python:3.11-slim", python_version="3.11")
    written = generate_dockerfile(image, tmp_path, enable_buildkit=False, envs=[], secret_envs=[])
    file.write_text(written)
    result = run_dockerfile_script(root, file)
    assert result.returncode == 0, result.stderr
    lines = file.read_text().splitlines()
    assert [line for line in lines if line.startswith("EXPOSE")] == ["EXPOSE 9090"]
    (install,) = re.findall(r"^RUN base=.*?[^\\]\n", file.read_text(), re.MULTILINE | re.DOTALL)
    for command in ("pip install", "uv venv", "uv --directory", "pip uninstall", "rm -f openvino"):
        assert command in install
    assert "uv" not in file.read_text().replace(install, "").replace("UV_", "")
    # Everything else is BentoML's.
    assert {"USER bentoml", "COPY --chown=bentoml:bentoml . ./"} <= set(lines)


def test_another_dockerfile_of_bentoml_stops_the_build(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM python:3.11-slim\nRUN pip install -r requirements.txt\n")
    result = run_dockerfile_script(root, file)
    assert result.returncode == 1
    assert "BentoML's Dockerfile has changed" in result.stderr


def test_containerize_writes_the_same_dockerfile(root: Path, tmp_path: Path) -> None:
    """`bentoml containerize` writes the Dockerfile again; `.ci/image/build` runs it with our changes."""
    code = (
        "import containerize, pathlib, _bentoml_impl.docker as docker\n"
        "from bentoml._internal.bento.bento import ImageInfo\n"
        "image = ImageInfo(base_image='python:3.11-slim', python_version='3.11')\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "print(docker.generate_dockerfile(image, folder, enable_buildkit=False, envs=[], secret_envs=[]))\n"
    )
    written = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(root / ".ci/image"), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "EXPOSE 9090" in written.stdout, written.stderr
    assert "EXPOSE 3000" not in written.stdout
    assert ".ci/image/containerize.py containerize" in (root / ".ci/image/build").read_text()
