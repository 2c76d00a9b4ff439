"""Queries and small changes of an ONNX graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Model = Any  # onnx.ModelProto: generated code without type information
Node = Any

PREFIX = "prepared/"
"""Prefix of all added names, to avoid the file's own."""


class UnexpectedGraphError(Exception):
    """The graph is not of a kind that can be prepared; the message is the reason."""


class Graph:
    """An ONNX graph with queries and changes."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.graph: Any = model.graph
        self.opset: int = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self._makers = {output: node for node in self.graph.node for output in node.output}
        self._weights = {tensor.name: tensor for tensor in self.graph.initializer}

    def maker(self, tensor: str, *kinds: str) -> Node:
        """Return the node that computes a tensor; it must be of one of these kinds."""
        node = self._makers.get(tensor)
        if node is None or (kinds and node.op_type not in kinds):
            found = "an input or a weight" if node is None else node.op_type
            raise UnexpectedGraphError(f"{tensor} comes from {found} instead of {' or '.join(kinds)}")
        return node

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """Return the value of a weight or a constant, or None for a computed tensor."""
        if tensor in self._weights:
            return numpy_helper.to_array(self._weights[tensor])
        node = self._makers.get(tensor)
        if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
        return None

    def input_size(self) -> tuple[int, int]:
        """Return height and width of the one input, float32 and channels first."""
        inputs = [i for i in self.graph.input if i.name not in self._weights]
        if len(inputs) != 1:
            raise UnexpectedGraphError(f"it has {len(inputs)} inputs instead of one")
        kind = inputs[0].type.tensor_type
        sizes = [d.dim_value for d in kind.shape.dim]
        if kind.elem_type != onnx.TensorProto.FLOAT or len(sizes) != 4 or sizes[1] != 3 or not all(sizes[2:]):
            raise UnexpectedGraphError(f"its input {inputs[0].name} is not float32 of shape n×3×height×width")
        return sizes[2], sizes[3]

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        tensor = numpy_helper.from_array(value, PREFIX + name)
        self.graph.initializer.append(tensor)
        self._weights[tensor.name] = tensor
        return tensor.name

    def take_pictures(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> None:
        """Change the input to uint8, n×height×width×3, any n; subtract mean and divide by std per channel."""
        height, width = self.input_size()
        old = next(i for i in self.graph.input if i.name not in self._weights)
        inside = old.name
        first = [
            # Transposed as uint8, a quarter of the bytes of float32.
            helper.make_node("Transpose", [f"{PREFIX}pictures"], [f"{PREFIX}turned"], perm=[0, 3, 1, 2]),
            helper.make_node(
                "Cast",
                [f"{PREFIX}turned"],
                [f"{PREFIX}levels" if mean else inside],
                to=onnx.TensorProto.FLOAT,
            ),
        ]
        if mean and std:
            shift = self.weight("mean", np.array(mean, np.float32).reshape(3, 1, 1))
            scale = self.weight("std", np.array(std, np.float32).reshape(3, 1, 1))
            first += [
                helper.make_node("Sub", [f"{PREFIX}levels", shift], [f"{PREFIX}shifted"]),
                helper.make_node("Div", [f"{PREFIX}shifted", scale], [inside]),
            ]
        self.graph.input.remove(old)
        self.graph.input.insert(
            0,
            helper.make_tensor_value_info(
                f"{PREFIX}pictures", onnx.TensorProto.UINT8, ["batch", height, width, 3]
            ),
        )
        rest = list(self.graph.node)
        del self.graph.node[:]
        self.graph.node.extend([*first, *rest])

    def answer_with(self, outputs: Sequence[tuple[str, int, Sequence[int | str | None]]]) -> None:
        """Replace the outputs (name, type, shape), and remove unused nodes and weights."""
        needed = {name for name, _, _ in outputs}
        kept: list[Node] = []
        for node in reversed(self.graph.node):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        kept.reverse()
        weights = [tensor for tensor in self.graph.initializer if tensor.name in needed]
        replaced: list[tuple[Any, list[Any]]] = [
            (self.graph.node, kept),
            (self.graph.initializer, weights),
            (self.graph.output, [helper.make_tensor_value_info(*output) for output in outputs]),
            (self.graph.value_info, []),  # intermediate shapes, which contain a batch of 1
        ]
        for field, values in replaced:
            copies: list[Any] = [type(value).FromString(value.SerializeToString()) for value in values]
            del field[:]
            field.extend(copies)
