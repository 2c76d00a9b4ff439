"""Cuts a network in two, so that its parts can be computed in different precisions."""

import onnx

from runners.graphs.editing import Graph, Model, UnexpectedGraphError


def cut(model: Model, tensor: str) -> tuple[Model, Model]:
    """Cut a network at a tensor on which everything behind it depends, and on nothing else before it.

    Returns:
        From the input to the tensor, and from the tensor to the outputs.

    Raises:
        UnexpectedGraphError: There is no such tensor, or something leads past it.
    """
    described = onnx.shape_inference.infer_shapes(model)
    found = [value for value in described.graph.value_info if value.name == tensor]
    if len(found) != 1:
        raise UnexpectedGraphError(f"it has no tensor {tensor} to cut it at")
    shape = [dim.dim_value or dim.dim_param or None for dim in found[0].type.tensor_type.shape.dim]
    shape[0] = "batch"
    front, back = onnx.ModelProto(), onnx.ModelProto()
    for part in (front, back):
        part.CopyFrom(model)
    Graph(front).answer_with([(tensor, onnx.TensorProto.FLOAT, shape)])
    done = {output for node in front.graph.node for output in node.output}
    outputs = list(model.graph.output)
    behind = [node for node in model.graph.node if not done & set(node.output)]
    needed = {name for node in behind for name in node.input}
    weights = {weight.name for weight in model.graph.initializer}
    if past := (needed & done | needed & {i.name for i in model.graph.input}) - {tensor} - weights:
        raise UnexpectedGraphError(f"{', '.join(sorted(past))} leads past {tensor}, where it was to be cut")
    del back.graph.input[:], back.graph.node[:], back.graph.initializer[:]
    back.graph.input.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape))
    back.graph.node.extend(behind)
    back.graph.initializer.extend(weight for weight in model.graph.initializer if weight.name in needed)
    del back.graph.output[:], back.graph.value_info[:]
    back.graph.output.extend(outputs)
    return front, back
