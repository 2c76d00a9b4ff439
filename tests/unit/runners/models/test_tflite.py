"""The MediaPipe networks as ONNX: same numbers as Google's runtime, any batch, same bytes every time."""

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from runners.errors import ConversionError
from runners.models.manifest import FACE_DETECTION, FACE_LANDMARK, HAND_LANDMARK, PALM_DETECTION, ModelFile
from runners.models.store import ModelStore
from runners.models.tflite import tflite_to_onnx
from runners.models.tflite.operators import OnnxGraph
from runners.models.tflite.reader import Network, Operator, Tensor

DATA = Path(__file__).parents[3] / "data"
REFERENCE = runpy.run_path(str(DATA / "record_tflite_reference.py"))
CONVERTED = (HAND_LANDMARK, PALM_DETECTION, FACE_DETECTION, FACE_LANDMARK)

SAME, VALID = 0, 1
RELU6, TANH = 3, 4


def run(content: bytes, pictures: Any) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (picture,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {picture.name: pictures}), strict=True))


# ---- the real networks


@pytest.mark.models
@pytest.mark.parametrize("model", CONVERTED, ids=lambda model: model.name)
def test_numbers_are_those_of_googles_runtime(model: ModelFile, model_store: ModelStore) -> None:
    width, _ = model.input_size
    pictures = np.stack([REFERENCE["stimulus"](width, kind) for kind in (0, 1)])
    found = run(model_store.path(model).read_bytes(), pictures)
    with np.load(DATA / "tflite_reference.npz") as recorded:
        expected = {name: recorded[f"{model.name}/{name}"] for name in found}
    assert model.source.tflite_outputs == tuple(expected)
    for name, values in found.items():
        thinned = np.stack([REFERENCE["thinned"](f"{model.name}/{name}", picture) for picture in values])
        # Logits of hopeless anchors reach tens of thousands: their rounding is relative.
        np.testing.assert_allclose(thinned, expected[name], atol=2e-3, rtol=2e-6)


@pytest.mark.models
@pytest.mark.parametrize("model", CONVERTED, ids=lambda model: model.name)
def test_a_batch_gives_what_single_pictures_give(model: ModelFile, model_store: ModelStore) -> None:
    width, height = model.input_size
    pictures = np.random.default_rng(7).random((3, height, width, 3), np.float32)
    content = model_store.path(model).read_bytes()
    together = run(content, pictures)
    for i, picture in enumerate(pictures):
        for name, values in run(content, picture[None]).items():
            np.testing.assert_allclose(together[name][i], values[0], rtol=1e-5, atol=1e-4)


@pytest.mark.models
def test_a_fresh_conversion_gives_the_same_bytes(model_store: ModelStore, tmp_path: Path) -> None:
    for path in ModelStore(tmp_path).ensure_all(CONVERTED):
        assert path.read_bytes() == (model_store.root / path.name).read_bytes()


@pytest.mark.models
def test_a_complete_store_is_used_without_the_conversions_packages(model_store: ModelStore) -> None:
    code = (
        "import sys; from pathlib import Path; from runners.models.manifest import EMBEDDED;"
        "from runners.models.store import ModelStore;"
        f"ModelStore(Path({str(model_store.root)!r})).ensure_all(tuple(EMBEDDED.values()));"
        "sys.exit(str({'onnx', 'tflite'} & sys.modules.keys()) if {'onnx', 'tflite'} & sys.modules.keys() else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- operators, each against its definition

PICTURE = np.random.default_rng(1).normal(size=(2, 5, 6, 3)).astype(np.float32)  # a batch of two
WINDOW = {
    "StrideH": 2,
    "StrideW": 2,
    "DilationHFactor": 1,
    "DilationWFactor": 1,
    "FusedActivationFunction": 0,
}


def converted(
    kind: str,
    shape: tuple[int, ...],
    *constants: Any,
    options: dict[str, int] | None = None,
    inputs: Any = None,
) -> Any:
    """What one operator makes of PICTURE; `shape` is that of the output for a batch of one."""
    tensors = (
        Tensor("picture", (1, *PICTURE.shape[1:]), None),
        Tensor("result", shape, None),
        *(Tensor(f"c{i}", value.shape, value) for i, value in enumerate(constants)),
    )
    operator = Operator(kind, inputs or (0, *range(2, len(tensors))), 1, options or {})
    graph = OnnxGraph(Network(tensors, (operator,), inputs=(0,), outputs=(1,)))
    graph.add_operators()
    return run(graph.to_bytes(("result",)), PICTURE)["result"]


def windows(padded: Any, size: int, stride: int, rows: int, columns: int) -> Any:
    """All windows of a picture, [batch, rows, columns, size, size, channels]."""
    cut = [
        [padded[:, y * stride : y * stride + size, x * stride : x * stride + size] for x in range(columns)]
        for y in range(rows)
    ]
    return np.stack([np.stack(row, 1) for row in cut], 1)


@pytest.mark.parametrize(
    ("padding", "pad", "shape"),
    [
        # TFLite puts the odd pixel at the bottom and right: 5 rows need 1 above and 1 below, 6 columns 1 right.
        (SAME, ((0, 0), (1, 1), (0, 1), (0, 0)), (1, 3, 3, 4)),
        (VALID, ((0, 0), (0, 0), (0, 0), (0, 0)), (1, 2, 2, 4)),
    ],
    ids=["same", "valid"],
)
def test_convolution(padding: int, pad: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    found = converted("CONV_2D", shape, kernel, bias, options=WINDOW | {"Padding": padding})
    cut = windows(np.pad(PICTURE, pad), 3, 2, *shape[1:3])
    np.testing.assert_allclose(found, np.einsum("bijhwc,ohwc->bijo", cut, kernel) + bias, atol=1e-5)


def test_depthwise_convolution_with_relu6() -> None:
    kernel = np.random.default_rng(3).normal(size=(1, 3, 3, 3)).astype(np.float32) * 5
    options = WINDOW | {"Padding": VALID, "FusedActivationFunction": RELU6}
    found = converted("DEPTHWISE_CONV_2D", (1, 2, 2, 3), kernel, options=options)
    expected = np.einsum("bijhwc,hwc->bijc", windows(PICTURE, 3, 2, 2, 2), kernel[0])
    assert expected.min() < 0
    assert expected.max() > 6
    np.testing.assert_allclose(found, expected.clip(0, 6), atol=1e-5)


def test_max_pool() -> None:
    options = {"FilterHeight": 2, "FilterWidth": 2, "StrideH": 2, "StrideW": 2, "Padding": VALID}
    found = converted("MAX_POOL_2D", (1, 2, 3, 3), options=options)
    np.testing.assert_array_equal(found, windows(PICTURE, 2, 2, 2, 3).max((3, 4)))


def test_pad_may_widen_the_channels() -> None:
    amounts = np.array([[0, 0], [1, 0], [0, 2], [0, 5]], np.int32)
    np.testing.assert_array_equal(converted("PAD", (1, 6, 8, 8), amounts), np.pad(PICTURE, amounts))


def test_prelu_has_one_slope_per_channel() -> None:
    slope = np.array([[[0.1, 0.2, 0.3]]], np.float32)
    expected = np.where(PICTURE < 0, PICTURE * slope, PICTURE)
    np.testing.assert_allclose(converted("PRELU", (1, 5, 6, 3), slope), expected, rtol=1e-6)


def test_add_broadcasts_a_constant_over_the_channels() -> None:
    constant = np.array([1, 10, 100], np.float32)
    np.testing.assert_allclose(converted("ADD", (1, 5, 6, 3), constant), PICTURE + constant, rtol=1e-6)


def test_half_precision_constants_are_used_as_they_are() -> None:
    constant = np.array([0.1, 0.2, 0.3], np.float16)
    expected = PICTURE + constant.astype(np.float32)
    np.testing.assert_allclose(converted("ADD", (1, 5, 6, 3), constant), expected, rtol=1e-6)


@pytest.mark.parametrize(("keep", "shape"), [(1, (1, 1, 1, 3)), (0, (1, 3))], ids=["kept", "dropped"])
def test_mean_over_height_and_width(keep: int, shape: tuple[int, ...]) -> None:
    found = converted("MEAN", shape, np.array([1, 2], np.int32), options={"KeepDims": keep})
    np.testing.assert_allclose(found, PICTURE.mean((1, 2), keepdims=bool(keep)), atol=1e-6)


def test_fully_connected_sees_a_picture_channels_last() -> None:
    matrix = np.random.default_rng(4).normal(size=(2, 90)).astype(np.float32)
    bias = np.array([1, 2], np.float32)
    expected = PICTURE.reshape(2, 90) @ matrix.T + bias
    np.testing.assert_allclose(converted("FULLY_CONNECTED", (1, 2), matrix, bias), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 45, 2), (1, 3, 10, 3)], ids=["flat", "picture"])
def test_reshape_keeps_the_order_of_channels_last(shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(converted("RESHAPE", shape), PICTURE.reshape(2, *shape[1:]))


def test_bilinear_resize_takes_pixels_at_their_centres() -> None:
    options = {"AlignCorners": 0, "HalfPixelCenters": 1}
    found = converted("RESIZE_BILINEAR", (1, 10, 12, 3), np.array([10, 12], np.int32), options=options)
    for picture, resized in zip(PICTURE, found, strict=True):
        expected = cv2.resize(picture, (12, 10), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(resized, expected, atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concatenation(axis: int) -> None:
    shape = [1, 5, 6, 3]
    shape[axis] *= 2
    found = converted("CONCATENATION", tuple(shape), options={"Axis": axis}, inputs=(0, 0))
    np.testing.assert_array_equal(found, np.concatenate([PICTURE, PICTURE], axis))


@pytest.mark.parametrize(
    ("kind", "function"),
    [("RELU", lambda x: x.clip(0)), ("LOGISTIC", lambda x: 1 / (1 + np.exp(-x)))],
)
def test_activations(kind: str, function: Callable[[Any], Any]) -> None:
    np.testing.assert_allclose(converted(kind, (1, 5, 6, 3)), function(PICTURE), rtol=1e-5)


# ---- what is refused


@pytest.mark.parametrize(
    ("kind", "shape", "constants", "options", "sentence"),
    [
        ("SPACE_TO_DEPTH", (1, 5, 6, 3), [], None, "SPACE_TO_DEPTH is not supported"),
        ("ADD", (1, 5, 6, 3), [np.float32([1])], {"FusedActivationFunction": TANH}, "Activation 4 of ADD"),
        ("RESHAPE", (2, 45), [], None, "mixes the batch"),
        (
            "RESIZE_BILINEAR",
            (1, 10, 12, 3),
            [np.array([10, 12], np.int32)],
            {"AlignCorners": 0, "HalfPixelCenters": 0},
            "half-pixel centres only",
        ),
        ("MEAN", (1, 6, 3), [np.array([1], np.int32)], {"KeepDims": 0}, "MEAN over the axes"),
    ],
    ids=[
        "unknown operator",
        "unknown activation",
        "reshape of the batch",
        "other resize",
        "mean that depends on the layout",
    ],
)
def test_what_cannot_be_converted_is_named(
    kind: str, shape: Any, constants: list[Any], options: Any, sentence: str
) -> None:
    with pytest.raises(ConversionError, match=sentence):
        converted(kind, shape, *constants, options=options)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_bytes_that_are_no_tflite_file_are_refused(content: bytes) -> None:
    with pytest.raises(ConversionError, match="TFLite file"):
        tflite_to_onnx(content, ("Identity",))
