"""Prepares a SimCC pose network: normalisation in front, the likeliest bins and their scores behind."""

import numpy as np
import onnx
from onnx import helper

from runners.graphs.editing import PREFIX, Graph, Model, UnexpectedGraphError
from runners.networks.simcc import MEAN, STD

OUTPUTS = ("simcc_x", "simcc_y")


def prepare_simcc(model: Model) -> Model:
    """Change a network from normalised crops and distributions to crops and keypoints.

    Args:
        model: `[n, 3, h, w]` float32 to `simcc_x [n, keypoints, 2w]` and `simcc_y [n, keypoints, 2h]`. It is changed.

    Returns:
        The same from `[n, h, w, 3]` uint8, BGR, to `bins [n, keypoints, 2]` int64, the likeliest of x and of y, and
        `likelihoods [n, keypoints, 2]` float32, theirs. Positions are not computed from the bins here: an engine that
        works in bf16 would round them.

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
                # Not ReduceMax, whose axes are written in another way from one version of ONNX to the next.
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
