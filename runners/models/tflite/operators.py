"""The ONNX form of each TFLite operator that the MediaPipe networks use.

A four-dimensional activation is NHWC in TFLite and NCHW here; all others keep their axes. Names are numbered, so
equal files give equal graphs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from runners.errors import ConversionError
from runners.models.tflite.reader import Network, Operator

OPSET = 17
IR_VERSION = (
    8  # the one that belongs to opset 17: older runtimes can load it, newer onnx packages write the same
)
TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)
CHANNELS_FIRST_AXIS = {0: 0, 1: 2, 2: 3, 3: 1}
NO_ACTIVATION, RELU, RELU6 = 0, 1, 3
SAME_PADDING = 0


class OnnxGraph:
    """An ONNX graph that grows operator by operator from a TFLite network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, NDArray[Any]] = {}
        self._constants = {i: t.constant for i, t in enumerate(network.tensors) if t.constant is not None}
        self._values: dict[int, str] = {}  # tensor -> name of its value in the ONNX graph
        self._inputs: list[onnx.ValueInfoProto] = []
        for tensor in network.inputs:
            if len(self._shape(tensor)) != 4:
                raise ConversionError(f"The input has the shape {self._shape(tensor)}, not one picture's.")
            self._inputs.append(self._value_info(tensor))
            self._values[tensor] = self._node("Transpose", [self._name(tensor)], perm=TO_NCHW)

    def add_operators(self) -> None:
        """Translate all operators of the network, in their order."""
        for operator in self._network.operators:
            if operator.kind == "DEQUANTIZE":
                # float16 weights stay float16 until they are used.
                self._constants[operator.output] = self._constant(operator.inputs[0])
            elif operator.kind in TRANSLATIONS:
                value = TRANSLATIONS[operator.kind](self, operator)
                self._values[operator.output] = self._activated(value, operator)
            else:
                raise ConversionError(f"The TFLite operator {operator.kind} is not supported.")

    def to_bytes(self, outputs: tuple[str, ...]) -> bytes:
        """Return the model with these outputs only, without unused nodes."""
        by_name = {self._name(tensor): tensor for tensor in self._network.outputs}
        if missing := [name for name in outputs if name not in by_name]:
            raise ConversionError(f"The network has no output {missing}; it has {sorted(by_name)}.")
        for name in outputs:
            value = self._values[by_name[name]]
            if len(self._shape(by_name[name])) == 4:
                self._nodes.append(helper.make_node("Transpose", [value], [name], perm=TO_NHWC))
            else:
                self._nodes.append(helper.make_node("Identity", [value], [name]))
        needed = set(outputs)
        nodes: list[onnx.NodeProto] = []
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                nodes.insert(0, node)
                needed.update(node.input)
        graph = helper.make_graph(
            nodes,
            "mediapipe",
            self._inputs,
            [self._value_info(by_name[name]) for name in outputs],
            [numpy_helper.from_array(a, n) for n, a in self._initializers.items() if n in needed],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)

    # ---- operators: each returns the name of the value it made

    def add(self, operator: Operator) -> str:
        """Sum of two values, or of a value and a constant that is broadcast against it."""
        return self._node("Add", self._operands(operator))

    def concatenation(self, operator: Operator) -> str:
        """Values joined along one axis."""
        rank = len(self._shape(operator.output))
        axis = operator.options["Axis"] % rank
        axis = CHANNELS_FIRST_AXIS[axis] if rank == 4 else axis
        return self._node("Concat", self._operands(operator), axis=axis)

    def convolution(self, operator: Operator) -> str:
        """CONV_2D has its weights as [out, h, w, in], DEPTHWISE_CONV_2D as [1, h, w, out]."""
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        picture, weights, *bias = operator.inputs
        kernel = self._constant(weights)
        size = (kernel.shape[1], kernel.shape[2])
        stride = (operator.options["StrideH"], operator.options["StrideW"])
        dilation = (operator.options["DilationHFactor"], operator.options["DilationWFactor"])
        inputs = [
            self._value(picture),
            self._initializer(kernel.transpose((3, 0, 1, 2) if depthwise else TO_NCHW)),
        ]
        inputs += [self._initializer(self._constant(tensor)) for tensor in bias]
        return self._node(
            "Conv",
            inputs,
            kernel_shape=size,
            strides=stride,
            dilations=dilation,
            pads=self._pads(operator, size, stride, dilation),
            group=self._shape(picture)[3] if depthwise else 1,
        )

    def fully_connected(self, operator: Operator) -> str:
        """Weights are [out, in]; a four-dimensional input is flattened per picture, channels last."""
        value, weights, *bias = operator.inputs
        matrix = self._constant(weights)
        name = self._channels_last(value)
        if len(self._shape(value)) != 2:
            name = self._node("Reshape", [name, self._shape_constant((-1, matrix.shape[1]))])
        inputs = [name, self._initializer(matrix), *(self._initializer(self._constant(t)) for t in bias)]
        return self._node("Gemm", inputs, transB=1)

    def logistic(self, operator: Operator) -> str:
        """The sigmoid."""
        return self._node("Sigmoid", [self._value(operator.inputs[0])])

    def max_pool(self, operator: Operator) -> str:
        """The largest value of each window."""
        size = (operator.options["FilterHeight"], operator.options["FilterWidth"])
        stride = (operator.options["StrideH"], operator.options["StrideW"])
        return self._node(
            "MaxPool",
            [self._value(operator.inputs[0])],
            kernel_shape=size,
            strides=stride,
            pads=self._pads(operator, size, stride, (1, 1)),
        )

    def mean(self, operator: Operator) -> str:
        """Mean over whole axes of a picture (here always its height and width)."""
        value, axes = operator.inputs
        rank = len(self._shape(value))
        over = sorted(int(axis) % rank for axis in self._constant(axes).ravel())
        keep = operator.options["KeepDims"]
        if rank != 4 or (not keep and over != [1, 2]):
            # Without its height and width a picture has the same axes in both layouts.
            raise ConversionError(f"MEAN over the axes {over} of {rank} is not supported.")
        return self._node(
            "ReduceMean",
            [self._value(value)],
            axes=sorted(CHANNELS_FIRST_AXIS[axis] for axis in over),
            keepdims=keep,
        )

    def pad(self, operator: Operator) -> str:
        """Zeros round a picture, given as [before, after] per axis of the NHWC shape."""
        value, amounts = operator.inputs
        if len(self._shape(value)) != 4:
            raise ConversionError("PAD is supported for pictures only.")
        pads = self._constant(amounts)[list(TO_NCHW)].T.ravel()
        return self._node("Pad", [self._value(value), self._initializer(pads.astype(np.int64))])

    def prelu(self, operator: Operator) -> str:
        """ReLU with a learned slope per channel."""
        return self._node("PRelu", self._operands(operator))

    def relu(self, operator: Operator) -> str:
        """Negative values become 0."""
        return self._node("Relu", [self._value(operator.inputs[0])])

    def reshape(self, operator: Operator) -> str:
        """A new shape per picture; the batch stays the first axis."""
        value, shape = operator.inputs[0], self._shape(operator.output)
        if self._shape(value)[0] != 1 or shape[0] != 1:
            raise ConversionError(f"RESHAPE to {shape} mixes the batch with other axes.")
        # 0 stands for "as the input has it": the batch.
        name = self._node("Reshape", [self._channels_last(value), self._shape_constant((0, *shape[1:]))])
        return self._node("Transpose", [name], perm=TO_NCHW) if len(shape) == 4 else name

    def resize_bilinear(self, operator: Operator) -> str:
        """A picture at another size, pixel centres at half pixels."""
        value, _ = operator.inputs
        if not operator.options["HalfPixelCenters"] or operator.options["AlignCorners"]:
            raise ConversionError("RESIZE_BILINEAR is supported with half-pixel centres only.")
        (_, height, width, _), (_, to_height, to_width, _) = self._shape(value), self._shape(operator.output)
        # Scales, not sizes, so the batch stays free.
        scales = np.array([1, 1, to_height / height, to_width / width], np.float32)
        inputs = [self._value(value), "", self._initializer(scales)]
        return self._node("Resize", inputs, mode="linear", coordinate_transformation_mode="half_pixel")

    # ---- values

    def _name(self, tensor: int) -> str:
        return self._network.tensors[tensor].name

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return self._network.tensors[tensor].shape

    def _value_info(self, tensor: int) -> onnx.ValueInfoProto:
        shape = ["batch", *self._shape(tensor)[1:]]
        return helper.make_tensor_value_info(self._name(tensor), TensorProto.FLOAT, shape)

    def _constant(self, tensor: int) -> NDArray[Any]:
        if tensor not in self._constants:
            raise ConversionError(f"{self._name(tensor)!r} must be a constant, but is computed.")
        return self._constants[tensor]

    def _value(self, tensor: int) -> str:
        if tensor not in self._values:
            raise ConversionError(f"{self._name(tensor)!r} is used before it is computed.")
        return self._values[tensor]

    def _operands(self, operator: Operator) -> list[str]:
        """Values of all inputs; constants among them are laid out like the activations."""
        picture = len(self._shape(operator.output)) == 4
        names: list[str] = []
        for tensor in operator.inputs:
            if tensor not in self._constants:
                names.append(self._value(tensor))
                continue
            constant = self._constants[tensor]
            if picture:
                # Fewer axes, such as PReLU's [1, 1, channels], are broadcast from the last one, in NHWC.
                constant = constant.reshape((1,) * (4 - constant.ndim) + constant.shape).transpose(TO_NCHW)
            names.append(self._initializer(constant))
        return names

    def _channels_last(self, tensor: int) -> str:
        value = self._value(tensor)
        return self._node("Transpose", [value], perm=TO_NHWC) if len(self._shape(tensor)) == 4 else value

    def _activated(self, value: str, operator: Operator) -> str:
        activation = operator.options.get("FusedActivationFunction", NO_ACTIVATION)
        if activation == NO_ACTIVATION:
            return value
        if activation == RELU:
            return self._node("Relu", [value])
        if activation == RELU6:
            bounds = [self._initializer(np.float32(bound)) for bound in (0, 6)]
            return self._node("Clip", [value, *bounds])
        raise ConversionError(f"Activation {activation} of {operator.kind} is not supported.")

    def _pads(
        self, operator: Operator, size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
    ) -> list[int]:
        """TFLite's SAME padding: top, left, bottom, right; the odd pixel goes to the bottom and right."""
        if operator.options["Padding"] != SAME_PADDING:
            return [0, 0, 0, 0]
        before: list[int] = []
        after: list[int] = []
        for axis in (0, 1):
            source = self._shape(operator.inputs[0])[1 + axis]
            target = self._shape(operator.output)[1 + axis]
            reach = (target - 1) * stride[axis] + (size[axis] - 1) * dilation[axis] + 1
            total = max(reach - source, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return before + after

    def _shape_constant(self, shape: tuple[int, ...]) -> str:
        return self._initializer(np.array(shape, np.int64))

    def _initializer(self, array: NDArray[Any] | np.generic) -> str:
        name = f"constant_{len(self._initializers)}"
        self._initializers[name] = np.ascontiguousarray(array).reshape(array.shape)
        if array.dtype == np.float16:
            return self._node("Cast", [name], to=TensorProto.FLOAT)
        return name

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


TRANSLATIONS: dict[str, Callable[[OnnxGraph, Operator], str]] = {
    "ADD": OnnxGraph.add,
    "CONCATENATION": OnnxGraph.concatenation,
    "CONV_2D": OnnxGraph.convolution,
    "DEPTHWISE_CONV_2D": OnnxGraph.convolution,
    "FULLY_CONNECTED": OnnxGraph.fully_connected,
    "LOGISTIC": OnnxGraph.logistic,
    "MAX_POOL_2D": OnnxGraph.max_pool,
    "MEAN": OnnxGraph.mean,
    "PAD": OnnxGraph.pad,
    "PRELU": OnnxGraph.prelu,
    "RELU": OnnxGraph.relu,
    "RESHAPE": OnnxGraph.reshape,
    "RESIZE_BILINEAR": OnnxGraph.resize_bilinear,
}
