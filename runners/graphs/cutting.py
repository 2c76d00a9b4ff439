"""Cuts a network in two parts that can run in different precisions."""

from collections.abc import Sequence
from typing import Any

import onnx

from runners.graphs.editing import Graph, Model, UnexpectedGraphError


def cut(model: Model, tensors: Sequence[str]) -> tuple[Model, Model]:
    """Cut a network at tensors. Nodes after the cut may depend on these tensors and weights only.

    Returns:
        The part from the input to the tensors, and the part from the tensors to the outputs.

    Raises:
        UnexpectedGraphError: A tensor is missing, or another path leads past the cut.
    """
    described = onnx.shape_inference.infer_shapes(model)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in described.graph.value_info}
    between: list[tuple[str, int, list[Any]]] = []
    for tensor in tensors:
        if not shapes.get(tensor):
            raise UnexpectedGraphError(f"it has no tensor {tensor} of a known shape to cut it at")
        sizes = [size.dim_value or size.dim_param or None for size in shapes[tensor]]
        between.append((tensor, onnx.TensorProto.FLOAT, ["batch", *sizes[1:]]))
    front, back = onnx.ModelProto(), onnx.ModelProto()
    for part in (front, back):
        part.CopyFrom(model)
    Graph(front).answer_with(between)
    done = {output for node in front.graph.node for output in node.output}
    behind = [node for node in model.graph.node if not done & set(node.output)]
    needed = {name for node in behind for name in node.input}
    if past := needed & (done | {i.name for i in model.graph.input}) - set(tensors):
        raise UnexpectedGraphError(f"{', '.join(sorted(past))} bypasses the cut at {', '.join(tensors)}")
    weights = [weight for weight in model.graph.initializer if weight.name in needed]
    del back.graph.input[:], back.graph.node[:], back.graph.initializer[:], back.graph.value_info[:]
    back.graph.input.extend(onnx.helper.make_tensor_value_info(*one) for one in between)
    back.graph.node.extend(behind)
    back.graph.initializer.extend(weights)
    return front, back
