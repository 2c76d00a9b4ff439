"""Gives a stand-in detector the outputs of a published one, so that it can be prepared, cut and batched.

A published detector computes candidates for every cell and selects among them at the end. A stand-in returns the same
people whatever its layers compute. The candidates are added beside that end, so the file as it is does not compute
them.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from runners.graphs.yolox import IOU, LEAST_SCORE

_SURE = 0.9


def add_candidates(model: Any) -> Any:
    """Add candidates and a suppression to a stand-in detector, as mmdeploy exports them.

    Args:
        model: The stand-in; is modified.

    Returns:
        The model. Its candidates are its fixed people, and cells without a person.
    """
    graph = model.graph
    (dets,) = (
        array
        for array in map(numpy_helper.to_array, graph.initializer)
        if array.ndim == 3 and array.shape[2] == 5
    )
    classes, rest = _last_convolutions(graph)
    shapes = {one.name: one for one in onnx.shape_inference.infer_shapes(model).graph.value_info}
    cells = sum(int(np.prod(_size(shapes[node.output[0]]))) for node in classes)
    people = dets.shape[1]
    boxes = np.zeros((1, cells, 4), np.float32)
    boxes[0, :people] = dets[0, :, :4]
    sure = np.zeros((1, cells, 1), np.float32)
    sure[0, :people] = _SURE

    def weight(name: str, array: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), f"candidates/{name}"))
        return f"candidates/{name}"

    def node(kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(kind, inputs, [f"candidates/{name}"], **attributes))
        return f"candidates/{name}"

    levels: list[str] = []
    for number, convolution in enumerate(classes):
        last = node("Transpose", [convolution.output[0]], f"level {number} last", perm=[0, 2, 3, 1])
        shape = weight(f"shape {number}", np.array([1, -1, 1], np.int64))
        levels.append(node("Reshape", [last, shape], f"level {number}"))
    likely = node("Sigmoid", [node("Concat", levels, "levels", axis=1)], "likely")
    scores = node("Mul", [likely, weight("sure", sure)], "scores")
    # The layers before the boxes must run, although they do not change the boxes.
    alive = weight("boxes", boxes)
    for number, convolution in enumerate(rest):
        axes = weight(f"axes {number}", np.array([1, 2, 3], np.int64))
        mean = node("ReduceMean", [convolution.output[0], axes], f"mean {number}", keepdims=0)
        nothing = node("Mul", [mean, weight(f"nothing {number}", np.float32(1e-12))], f"no move {number}")
        shaped = node(
            "Reshape", [nothing, weight(f"one {number}", np.array([-1, 1, 1], np.int64))], f"of {number}"
        )
        alive = node("Add", [alive, shaped], f"boxes {number}")
    order = weight("order", np.arange(cells, dtype=np.int64))
    sorted_boxes = node("Gather", [alive, order], "sorted boxes", axis=1)
    sorted_scores = node("Gather", [scores, order], "sorted scores", axis=1)
    by_class = node("Transpose", [sorted_scores], "by class", perm=[0, 2, 1])
    most = weight("most", np.array([cells], np.int64))
    thresholds = [
        weight("iou", np.array([IOU], np.float32)),
        weight("least", np.array([LEAST_SCORE], np.float32)),
    ]
    node("NonMaxSuppression", [sorted_boxes, by_class, most, *thresholds], "chosen")
    return model


def _size(value: Any) -> list[int]:
    """Return height and width of an inferred tensor."""
    return [axis.dim_value for axis in value.type.tensor_type.shape.dim[2:]]


def _last_convolutions(graph: Any) -> tuple[list[Any], list[Any]]:
    """Return the last convolutions: those for the one class, and the others. Their weights become fixed."""
    taken = {tensor for node in graph.node if node.op_type != "ReduceMean" for tensor in node.input}
    last = [node for node in graph.node if node.op_type == "Conv" and node.output[0] not in taken]
    makers = {output: node for node in graph.node for output in node.output}
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    classes: list[Any] = []
    for node in last:
        for i in (1, 2):
            filled = makers[node.input[i]]
            (value,) = numpy_helper.to_array(filled.attribute[0].t).tolist()
            array = np.full(weights[filled.input[0]], value, np.float32)
            node.input[i] = f"{node.name}/{i}"
            graph.initializer.append(numpy_helper.from_array(array, node.input[i]))
        if len(array) == 1:
            classes.append(node)
    return classes, [node for node in last if node not in classes]
