"""The installed environment holds one ONNX Runtime and one OpenCV, although rtmlib asks for more."""

from importlib import metadata


def installed(prefix: str) -> set[str]:
    names = (dist.metadata["Name"].lower().replace("_", "-") for dist in metadata.distributions())
    return {name for name in names if name == prefix or name.startswith(f"{prefix}-")}


def test_exactly_one_onnx_runtime_is_installed() -> None:
    assert len(installed("onnxruntime")) == 1


def test_the_only_opencv_is_the_headless_one() -> None:
    assert installed("opencv") == {"opencv-python-headless"}


def test_each_import_name_is_provided_by_one_distribution() -> None:
    providers = metadata.packages_distributions()
    assert len(set(providers["cv2"])) == 1
    assert len(set(providers["onnxruntime"])) == 1
