"""Small ONNX networks."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Shape = Sequence[int | str | None]


def onnx_network(
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    nodes: Sequence[NodeProto],
    weights: Mapping[str, NDArray[Any]],
    *,
    kinds: Mapping[str, int] | None = None,
    opset: int = 13,
    ir_version: int = 8,
) -> ModelProto:
    """A network; tensors are float32 where `kinds` does not say otherwise."""

    def described(tensors: Mapping[str, Shape]) -> list[ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), shape)
            for name, shape in tensors.items()
        ]

    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "network", described(inputs), described(outputs), constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
