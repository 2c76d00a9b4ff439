"""Prepares a SimCC pose network: adds normalisation before it, and the choice of the likeliest bins after it."""

import numpy as np
import onnx
from onnx import helper

from runners.graphs.editing import PREFIX, Graph, Model, UnexpectedGraphError
from runners.networks.simcc import MEAN, STD

OUTPUTS = ("simcc_x", "simcc_y")


def prepare_simcc(model: Model) -> Model:
    """Change a network so that it takes raw crops and returns the likeliest bins.

    Args:
        model: `[n, 3, h, w]` float32 to `simcc_x [n, keypoints, 2w]` and `simcc_y [n, keypoints, 2h]`; is modified.

    Returns:
        The model, from `[n, h, w, 3]` uint8, BGR, to `bins [n, keypoints, 2]` int64, the likeliest of x and y, and
        their `likelihoods [n, keypoints, 2]` float32. It returns bins and not positions, which an engine would round
        in bf16.

    Raises:
        UnexpectedGraphError: The network is of another kind.
    """
    graph = Graph(model)
    names = tuple(output.name for output in graph.graph.output)
    if names != OUTPUTS:
        raise UnexpectedGraphError(f"its outputs are {', '.join(names)} instead of {' and '.join(OUTPUTS)}")
    graph.input_size()
    for axis in OUTPUTS:
        graph.graph.node.extend(
            [
                helper.make_node("ArgMax", [axis], [f"{PREFIX}{axis}/bin"], axis=2, keepdims=1),
                # Not ReduceMax, whose axes moved from an attribute to an input between ONNX versions.
                helper.make_node(
                    "TopK",
                    [axis, f"{PREFIX}one"],
                    [f"{PREFIX}{axis}/likelihood", f"{PREFIX}{axis}/unused"],
                    axis=2,
                ),
            ]
        )
    graph.weight("one", np.array([1], np.int64))
    for kind, output in (("bin", "bins"), ("likelihood", "likelihoods")):
        parts = [f"{PREFIX}{axis}/{kind}" for axis in OUTPUTS]
        graph.graph.node.append(helper.make_node("Concat", parts, [output], axis=2))
    graph.take_pictures(MEAN, STD)
    graph.answer_with(
        [
            ("bins", onnx.TensorProto.INT64, ["batch", None, 2]),
            ("likelihoods", onnx.TensorProto.FLOAT, ["batch", None, 2]),
        ]
    )
    return model
