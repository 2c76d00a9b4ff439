"""Prepares a YOLOX detector: cut before non-maximum suppression, any batch size, the person class only."""

import numpy as np
import onnx
from onnx import helper

from runners.graphs.editing import Graph, Model, Node, UnexpectedGraphError

PERSON_CLASS = 0
IOU, LEAST_SCORE = 0.65, 0.01
"""mmdeploy's thresholds in the graph, which the suppression outside of it must repeat."""


def prepare_yolox(model: Model) -> Model:
    """Change a detector so that it takes any number of pictures and returns candidate boxes.

    Args:
        model: mmdeploy's export: `[1, 3, h, w]` float32 to `dets` and `labels`, with one `NonMaxSuppression` that only
            selection follows; is modified.

    Returns:
        The model, from `[n, h, w, 3]` uint8, BGR, to `boxes [n, candidates, 4]` (x1, y1, x2, y2) and person scores
        `scores [n, candidates]`.

    Raises:
        UnexpectedGraphError: The network is of another kind.
    """
    graph = Graph(model)
    graph.input_size()
    suppressions = [node for node in graph.graph.node if node.op_type == "NonMaxSuppression"]
    if len(suppressions) != 1:
        raise UnexpectedGraphError(f"it has {len(suppressions)} NonMaxSuppression nodes instead of one")
    boxes, scores = _candidates(graph, suppressions[0])
    _keep_people(graph, scores)
    graph.graph.node.extend(
        [
            helper.make_node("Identity", [boxes], ["boxes"]),
            # One class remains.
            helper.make_node(
                "Reshape", [scores, graph.weight("flat", np.array([0, -1], np.int64))], ["scores"]
            ),
        ]
    )
    graph.take_pictures()
    graph.answer_with(
        [
            ("boxes", onnx.TensorProto.FLOAT, ["batch", None, 4]),
            ("scores", onnx.TensorProto.FLOAT, ["batch", None]),
        ]
    )
    _free_the_batch(graph)
    return model


def head_features(model: Model) -> tuple[str, ...]:
    """Return the input tensors of the last convolutions of a prepared network."""
    convolutions = {node.output[0]: node for node in model.graph.node if node.op_type == "Conv"}
    makers = {output: node for node in model.graph.node for output in node.output}
    weights = {weight.name for weight in model.graph.initializer}
    found: list[str] = []
    seen: set[str] = set()
    tensors = [output.name for output in model.graph.output]
    while tensors:
        tensor = tensors.pop()
        if tensor in seen or tensor in weights or tensor not in makers:
            continue
        seen.add(tensor)
        if tensor in convolutions:
            found.append(convolutions[tensor].input[0])
        else:
            tensors += makers[tensor].input
    return tuple(sorted(set(found)))


def _candidates(graph: Graph, suppression: Node) -> tuple[str, str]:
    """Return the boxes [1, n, 4] and scores [1, n, classes] before the sorting for the suppression."""
    thresholds = [graph.constant(tensor) for tensor in suppression.input[3:5]]
    found = [None if one is None else float(one.reshape(-1)[0]) for one in thresholds]
    if len(found) != 2 or not np.allclose([one or 0 for one in found], [IOU, LEAST_SCORE]):
        raise UnexpectedGraphError(
            f"its suppression has the thresholds {found} instead of {[IOU, LEAST_SCORE]}"
        )
    sorted_boxes = graph.maker(suppression.input[0], "Gather")
    sorted_scores = graph.maker(graph.maker(suppression.input[1], "Transpose").input[0], "Gather")
    if sorted_boxes.input[1] != sorted_scores.input[1]:
        raise UnexpectedGraphError("boxes and scores are not sorted alike before the suppression")
    return sorted_boxes.input[0], sorted_scores.input[0]


def _keep_people(graph: Graph, scores: str) -> None:
    """Remove the other classes from the last convolutions: sigmoid(classes) × objectness over all levels."""
    product = graph.maker(scores, "Mul")
    levels = graph.maker(graph.maker(product.input[0], "Sigmoid").input[0], "Concat")
    for tensor in levels.input:
        shaped = graph.maker(tensor, "Reshape")
        convolution = graph.maker(graph.maker(shaped.input[0], "Transpose").input[0], "Conv")
        shape = graph.constant(shaped.input[1])
        weights = [graph.constant(weight) for weight in convolution.input[1:]]
        if shape is None or len(shape) != 3 or any(w is None or len(w) != shape[2] for w in weights):
            raise UnexpectedGraphError("its class scores do not come from convolutions with fixed weights")
        for i, weight in enumerate(weights, start=1):
            assert weight is not None
            person = np.ascontiguousarray(weight[PERSON_CLASS : PERSON_CLASS + 1])
            convolution.input[i] = graph.weight(f"person/{convolution.output[0]}/{i}", person)
        shaped.input[1] = graph.weight(f"person/{shaped.output[0]}", np.array([0, -1, 1], np.int64))


def _free_the_batch(graph: Graph) -> None:
    """Replace a batch of 1 in reshapes by the input's batch."""
    for node in graph.graph.node:
        if node.op_type != "Reshape":
            continue
        shape = graph.constant(node.input[1])
        if shape is None:
            raise UnexpectedGraphError(f"the shape of {node.output[0]} is computed")
        if shape[0] == 1:
            free = np.array([0, *shape[1:]], np.int64)
            node.input[1] = graph.weight(f"batch/{node.output[0]}", free)
