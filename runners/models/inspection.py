"""Inspects a custom network file: returns its description, or the reason why it is unsupported.

The file is parsed, its graph inspected, and run once on an empty picture. This needs the package `onnx`, which the
service does not: `runners.models.own_networks` inspects in a child process.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from runners.config import DetectorKind
from runners.models.own_networks import OwnTask
from runners.networks.detector import STRIDES
from runners.networks.simcc import BINS_PER_PIXEL

ort: Any = onnxruntime  # ships without type information
Node = Any

KNOWN_KEYPOINTS = {17: "COCO", 26: "Halpe", 133: "COCO-WholeBody"}
_OTHER_KEYPOINTS = {21: "of a hand", 68: "of a face", 98: "of a face", 106: "of a face"}
PEOPLE_FIRST = (1, 80, 365)
"""Class counts whose first class is a person: people alone, COCO, Objects365."""
USUAL_SIZE = (640, 640)
"""Default width and height of a detector's input, for files whose graph and name give no size."""
SMALLEST_INPUT, LARGEST_INPUT = 32, 2048

_FOCUS, _COLOURS = 12, 3  # input channels of the first convolution: YOLOX packs 2×2 pixels into one
_ERRORS_ONLY = 3
_SIZE_IN_NAME = re.compile(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)")
_SIDE_IN_NAME = re.compile(r"(?<![\da-z])(\d{3,4})(?![\da-z])")


class UnfitNetworkError(Exception):
    """The file is not a supported network; the message is the reason."""


@dataclass(frozen=True)
class Description:
    """The result of an inspection.

    Attributes:
        input_size: Width and height of the input, pixels.
        keypoints: Number of keypoints; 0 for a detector.
        detector: Kind of detector; unused for a pose network.
        one_by_one: Whether the batch is fixed at one crop.
    """

    input_size: tuple[int, int]
    keypoints: int = 0
    detector: DetectorKind = "yolox"
    one_by_one: bool = False


def inspect_network(file: Path, task: OwnTask) -> Description:
    """Return the description of a network file.

    Args:
        file: The .onnx file. Its name may give the input size that the graph leaves open.
        task: The task that the network must fit.

    Raises:
        UnfitNetworkError: The network does not fit the task.
    """
    graph = _read(file)
    published = _Published(graph, file)
    return _detector(published) if task == "person" else _pose(published)


def _read(file: Path) -> Any:
    try:
        graph = onnx.load(file, load_external_data=False).graph
    except DecodeError as error:
        raise UnfitNetworkError("it is not an intact ONNX file") from error
    if not graph.node:
        raise UnfitNetworkError("it is not an intact ONNX file: it has no network")
    constants: list[Any] = [a.t for node in graph.node for a in node.attribute if a.HasField("t")]
    weights: list[Any] = [*graph.initializer, *constants]
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in weights):
        raise UnfitNetworkError(
            "its weights are in a separate file: save it as one file (`onnx.save` does so by default)"
        )
    return graph


class _Published:
    """A published graph: queries on its nodes, and runs on empty pictures."""

    def __init__(self, graph: Any, file: Path) -> None:
        self.nodes: Sequence[Node] = graph.node
        self.file = file
        self._makers = {output: node for node in graph.node for output in node.output}
        self._weights = {weight.name: weight for weight in graph.initializer}
        self._input = self._only_input(graph)
        self.outputs = [output.name for output in graph.output]
        self.output_sizes = [
            [one.dim_value for one in output.type.tensor_type.shape.dim] for output in graph.output
        ]
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = 1
        try:
            # The fallback would print a banner and retry the same.
            self._session = ort.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # whatever the runtime raises
            raise UnfitNetworkError(f"ONNX Runtime cannot load it ({_first_line(error)})") from error

    def _only_input(self, graph: Any) -> Any:
        inputs = [one for one in graph.input if one.name not in self._weights]
        if len(inputs) != 1:
            raise UnfitNetworkError(f"it has {len(inputs)} inputs instead of one picture")
        kind = inputs[0].type.tensor_type
        sizes = [one.dim_value for one in kind.shape.dim]
        if len(sizes) == 4 and sizes[3] == 3 and sizes[1] != 3:
            raise UnfitNetworkError(
                "its input has the colours last (n×height×width×3): export it with the colours first"
            )
        if kind.elem_type != onnx.TensorProto.FLOAT:
            found = onnx.TensorProto.DataType.Name(kind.elem_type)
            raise UnfitNetworkError(f"its input is {found} instead of FLOAT (32-bit)")
        if len(sizes) != 4 or sizes[1] not in (0, 3):
            shape = "×".join(str(size or "?") for size in sizes) or "of no shape"
            raise UnfitNetworkError(f"its input is {shape} instead of n×3×height×width")
        return inputs[0]

    @property
    def takes_any_number(self) -> bool:
        """Whether the batch axis is declared as free."""
        return self._input.type.tensor_type.shape.dim[0].dim_value == 0

    @property
    def fixed_size(self) -> tuple[int, int]:
        """Width and height of the input; 0 where the graph leaves it open."""
        sizes = self._input.type.tensor_type.shape.dim
        return sizes[3].dim_value, sizes[2].dim_value

    def run(self, pictures: int, size: tuple[int, int]) -> list[Any]:
        """Return the outputs for empty pictures."""
        batch = np.zeros((pictures, 3, size[1], size[0]), np.float32)
        return self._session.run(None, {self._input.name: batch})

    def channels_seen_first(self) -> int | None:
        """Return the input channels of the first convolution, or None if unknown."""
        first = next((node for node in self.nodes if node.op_type == "Conv"), None)
        shape = self._weight_shape(first.input[1]) if first is not None else None
        return shape[1] if shape else None

    def channels_of(self, convolution: Node) -> int | None:
        """Return the output channels of a convolution, or None if unknown."""
        shape = self._weight_shape(convolution.input[1])
        return shape[0] if shape else None

    def _weight_shape(self, tensor: str) -> list[int] | None:
        while (maker := self._makers.get(tensor)) is not None and maker.op_type == "Identity":
            tensor = maker.input[0]
        if tensor in self._weights:
            return list(self._weights[tensor].dims)
        if maker is not None and maker.op_type in ("ConstantOfShape", "Constant"):
            source = self._weights.get(maker.input[0]) if maker.input else maker.attribute[0].t
            if source is not None:
                value = onnx.numpy_helper.to_array(source)
                return [int(one) for one in (value if maker.input else value.shape)]
        return None

    def reached_from(self, tensor: str) -> tuple[list[Node], list[Node]]:
        """Return the last convolutions before a tensor of scores, and the activations after them."""
        convolutions: list[Node] = []
        activations: list[Node] = []
        seen: set[str] = set()
        waiting = [tensor]
        while waiting:
            name = waiting.pop()
            node = self._makers.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if node.op_type in ("Conv", "Gemm", "MatMul"):
                convolutions.append(node)
                continue
            if node.op_type in ("Sigmoid", "Softmax"):
                activations.append(node)
            # The other inputs of a Reshape or a Gather are shapes and indices.
            all_of_them = node.op_type in ("Mul", "Where", "Concat")
            waiting += node.input if all_of_them else node.input[:1]
        return convolutions, activations


def _detector(network: _Published) -> Description:
    channels = network.channels_seen_first()
    sizes = network.output_sizes
    if "masks" in network.outputs:
        raise UnfitNetworkError("it detects masks, not only boxes")
    if any(name.startswith("simcc") for name in network.outputs):
        raise UnfitNetworkError("it is a pose network: name it in POSE_MODEL")
    if "keypoints" in network.outputs:
        raise UnfitNetworkError(
            "it is a one-stage network (RTMO), which is not supported: use a detector and a pose network"
        )
    size = _detector_size(network)
    answers = _answers(network, 1, size)
    if len(answers) == 1 and len(sizes) == 1:
        return _detector_without_suppression(network, answers[0], size, channels)
    if len(answers) != 2 or not _are_boxes_and_labels(*answers):
        raise UnfitNetworkError(
            f"its outputs are {_shapes(network, answers)} instead of `dets` (1×n×5) and `labels` (1×n), as MMDeploy "
            "exports YOLOX and RTMDet"
        )
    suppressions = [node for node in network.nodes if node.op_type == "NonMaxSuppression"]
    if len(suppressions) > 1:
        raise UnfitNetworkError(f"it has {len(suppressions)} NonMaxSuppression nodes instead of one")
    sigmoids = 2 if channels == _FOCUS else 1
    if suppressions:
        convolutions, activations = network.reached_from(suppressions[0].input[1])
        _require_people_first([network.channels_of(one) for one in convolutions])
        kinds = [node.op_type for node in activations]
        sigmoids = len(kinds) if "Softmax" not in kinds else 0
    # YOLOX multiplies objectness by the class score; RTMDet has only the class score.
    match channels, sigmoids, bool(suppressions):
        case (12, 2, _):
            return Description(size, detector="yolox")
        case (3, 1, True):
            return Description(size, detector="rtmdet")
        case _:
            raise UnfitNetworkError("its layers are neither a YOLOX's nor an RTMDet's")


def _detector_without_suppression(
    network: _Published, answer: NDArray[Any], size: tuple[int, int], channels: int | None
) -> Description:
    """Describe YOLOX as its authors export it: n×(boxes of all cells)×(4 + 1 + classes)."""
    cells = sum(math.prod(side // stride for side in size) for stride in STRIDES)
    if answer.ndim == 4:
        raise UnfitNetworkError("its outputs are maps instead of boxes")
    if channels != _FOCUS or answer.ndim != 3 or answer.shape[1] != cells or answer.shape[2] < 6:
        raise UnfitNetworkError(
            f"its output is {_shapes(network, [answer])}, not what YOLOX (1×{cells}×85 at this input size) or "
            "MMDeploy (`dets` and `labels`) would give"
        )
    _require_people_first([answer.shape[2] - 5])
    # Only box decoding uses the exponential function.
    decoded = any(node.op_type == "Exp" for node in network.nodes)
    return Description(size, detector="yolox_decoded" if decoded else "yolox_raw")


def _require_people_first(classes: Sequence[int | None]) -> None:
    """Check the class count: the largest channel count of the last layers."""
    most = max((one or 0 for one in classes), default=0)
    if most and most not in PEOPLE_FIRST:
        known = ", ".join(str(one) for one in PEOPLE_FIRST)
        raise UnfitNetworkError(
            f"it detects {most} classes, whose person class is unknown (supported are {known} classes)"
        )


def _detector_size(network: _Published) -> tuple[int, int]:
    if all(network.fixed_size):
        return _checked(network.fixed_size)
    stem = network.file.stem
    if both := _SIZE_IN_NAME.findall(stem):
        height, width = both[-1]  # OpenMMLab's order
        return _checked((int(width), int(height)))
    sides = [int(side) for side in _SIDE_IN_NAME.findall(stem)]
    side = next((side for side in sides if side % 32 == 0 and 160 <= side <= LARGEST_INPUT), None)
    return (side, side) if side else USUAL_SIZE


def _pose(network: _Published) -> Description:
    sizes = network.output_sizes
    if {"dets", "keypoints"} <= set(network.outputs):
        raise UnfitNetworkError(
            "it is a one-stage network (RTMO), which is not supported: use a detector and a pose network"
        )
    if "dets" in network.outputs:
        raise UnfitNetworkError("it is a detector: name it in DETECTOR_MODEL")
    size = network.fixed_size
    if not all(size) and len(sizes) == 2 and all(len(one) == 3 and one[2] for one in sizes):
        size = int(sizes[0][2] / BINS_PER_PIXEL), int(sizes[1][2] / BINS_PER_PIXEL)
    if not all(size):
        raise UnfitNetworkError("its input size is not fixed: export it with a fixed size")
    size = _checked(size)
    answers = _answers(network, 1, size)
    if any(one.ndim == 4 for one in answers):
        raise UnfitNetworkError(
            f"its outputs are heatmaps ({_shapes(network, answers)}); only SimCC is supported (RTMPose, DWPose, RTMW)"
        )
    if len(answers) == 3:
        raise UnfitNetworkError("it has three outputs, as networks for 3D keypoints do")
    if len(answers) != 2 or any(one.ndim != 3 for one in answers):
        raise UnfitNetworkError(
            f"its outputs are {_shapes(network, answers)} instead of `simcc_x` and `simcc_y`"
        )
    x, y = answers
    bins = tuple(int(side * BINS_PER_PIXEL) for side in size)
    if (x.shape[2], y.shape[2]) != bins or x.shape[:2] != y.shape[:2]:
        raise UnfitNetworkError(
            f"its outputs are {_shapes(network, answers)}: with an input of {size[0]}×{size[1]} `simcc_x` should have "
            f"{bins[0]} bins and `simcc_y` {bins[1]}"
        )
    keypoints = x.shape[1]
    if keypoints not in KNOWN_KEYPOINTS:
        known = ", ".join(f"{number} ({name})" for number, name in KNOWN_KEYPOINTS.items())
        whose = f", {_OTHER_KEYPOINTS[keypoints]}" if keypoints in _OTHER_KEYPOINTS else ""
        raise UnfitNetworkError(f"it finds {keypoints} keypoints{whose}; supported are {known}")
    return Description(size, keypoints, one_by_one=not _takes_two(network, size))


def _takes_two(network: _Published, size: tuple[int, int]) -> bool:
    """Tell whether batches of two work: some graphs declare a free batch axis but fix it to 1 inside."""
    if not network.takes_any_number:
        return False
    try:
        return all(len(answer) == 2 for answer in network.run(2, size))
    except Exception:  # whatever the runtime raises
        return False


def _answers(network: _Published, pictures: int, size: tuple[int, int]) -> list[NDArray[Any]]:
    try:
        answers = network.run(pictures, size)
    except Exception as error:  # whatever the runtime raises
        raise UnfitNetworkError(
            f"it does not run on a picture of {size[0]}×{size[1]} ({_first_line(error)})"
        ) from error
    if not all(isinstance(one, np.ndarray) for one in answers):
        raise UnfitNetworkError("its outputs are not tensors")
    return answers


def _are_boxes_and_labels(dets: NDArray[Any], labels: NDArray[Any]) -> bool:
    return dets.ndim == 3 and dets.shape[2] == 5 and labels.shape == dets.shape[:2]


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    if not all(SMALLEST_INPUT <= side <= LARGEST_INPUT for side in size):
        raise UnfitNetworkError(
            f"its input is {size[0]}×{size[1]}; supported are {SMALLEST_INPUT} to {LARGEST_INPUT} pixels a side"
        )
    return size


def _shapes(network: _Published, answers: Sequence[NDArray[Any]]) -> str:
    named = zip(network.outputs, answers, strict=True)
    return " and ".join(f"`{name}` ({'×'.join(str(size) for size in one.shape)})" for name, one in named)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
