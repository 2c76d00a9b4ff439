"""Reads a TFLite file into plain typed values.

The generated `tflite` reader has no types: its values are narrowed here only.
Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from runners.errors import ConversionError

DTYPES = {
    tflite.TensorType.FLOAT32: np.dtype(np.float32),
    tflite.TensorType.FLOAT16: np.dtype(np.float16),
    tflite.TensorType.INT32: np.dtype(np.int32),
}

WINDOW = ("StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "Padding", "FusedActivationFunction")

# operator -> (class of its options, the fields in use)
OPTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "ADD": (tflite.AddOptions, ("FusedActivationFunction",)),
    "CONCATENATION": (tflite.ConcatenationOptions, ("Axis", "FusedActivationFunction")),
    "CONV_2D": (tflite.Conv2DOptions, WINDOW),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, WINDOW),
    "FULLY_CONNECTED": (tflite.FullyConnectedOptions, ("FusedActivationFunction",)),
    "MAX_POOL_2D": (
        tflite.Pool2DOptions,
        ("FilterHeight", "FilterWidth", "StrideH", "StrideW", "Padding", "FusedActivationFunction"),
    ),
    "MEAN": (tflite.ReducerOptions, ("KeepDims",)),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, ("AlignCorners", "HalfPixelCenters")),
}

OPERATOR_NAMES: dict[int, str] = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value in the graph; `constant` is None for computed values, else the weights."""

    name: str
    shape: tuple[int, ...]
    constant: NDArray[Any] | None


@dataclass(frozen=True, slots=True)
class Operator:
    """One step of the graph. Inputs and output are indices of tensors; absent inputs are left out."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Network:
    """A TFLite graph in execution order."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_network(content: bytes) -> Network:
    """Read the bytes of a .tflite file with one graph.

    Raises:
        ConversionError: The bytes are not a TFLite file, or hold more than one graph or an unknown data type.
    """
    try:
        if not tflite.Model.ModelBufferHasIdentifier(content, 0):
            raise ConversionError("This is not a TFLite file: its identifier TFL3 is missing.")
        model: Any = tflite.Model.GetRootAs(content, 0)
        if model.SubgraphsLength() != 1:
            raise ConversionError(f"The TFLite file holds {model.SubgraphsLength()} graphs instead of one.")
        graph = model.Subgraphs(0)
        return Network(
            tensors=tuple(_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength())),
            operators=tuple(_operator(model, graph.Operators(i)) for i in range(graph.OperatorsLength())),
            inputs=_indices(graph.InputsAsNumpy()),
            outputs=_indices(graph.OutputsAsNumpy()),
        )
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise ConversionError(f"The TFLite file is damaged: {error}.") from error


def _indices(array: Any) -> tuple[int, ...]:
    return tuple(int(index) for index in array if index >= 0)


def _tensor(model: Any, tensor: Any) -> Tensor:
    name = str(tensor.Name().decode())
    shape = tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    buffer = model.Buffers(tensor.Buffer())
    if not buffer.DataLength():
        return Tensor(name, shape, None)
    if tensor.Sparsity() is not None:
        raise ConversionError(f"The weights {name!r} are stored sparsely, which is not supported.")
    if tensor.Type() not in DTYPES:
        raise ConversionError(f"The weights {name!r} have the unsupported data type {tensor.Type()}.")
    dtype = DTYPES[tensor.Type()].newbyteorder("<")
    return Tensor(name, shape, np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype).reshape(shape))


def _operator(model: Any, operator: Any) -> Operator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Codes below 127 are written to the old 8-bit field, later ones to the new field: the larger one counts.
    number = max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))
    kind = OPERATOR_NAMES.get(number, f"number {number}")
    options: dict[str, int] = {}
    if kind in OPTIONS and (table := operator.BuiltinOptions()) is not None:
        cls, fields = OPTIONS[kind]
        parsed = cls()
        parsed.Init(table.Bytes, table.Pos)
        options = {field: int(getattr(parsed, field)()) for field in fields}
    return Operator(kind, _indices(operator.InputsAsNumpy()), _indices(operator.OutputsAsNumpy())[0], options)
