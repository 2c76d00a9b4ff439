"""Converts MediaPipe's float TFLite networks into ONNX: the batch axis is free, the bytes always the same.

Nothing else imports this package at module level: it needs `onnx` and `tflite`, a running service does not.
The input stays as TFLite has it, float32 `[batch, height, width, 3]`; inside, the graph is channels-first as
ONNX wants it, and four-dimensional outputs are turned back. Weights stay float16 where the file stores them
so: that is half the size, and ONNX Runtime makes them float32 once, when it loads the graph.
"""

from runners.models.tflite.operators import OnnxGraph
from runners.models.tflite.reader import read_network

__all__ = ["tflite_to_onnx"]


def tflite_to_onnx(content: bytes, outputs: tuple[str, ...]) -> bytes:
    """Convert the bytes of a .tflite file to the bytes of an .onnx file.

    Args:
        content: A TFLite file with one graph, one picture as input and a batch of 1.
        outputs: Names of the outputs to keep, in this order; what only the others need is left out.

    Returns:
        A checked ONNX model, opset 17, the same bytes for the same arguments.

    Raises:
        ConversionError: Not a TFLite file, an operator or option that is not supported, or no such output.
    """
    graph = OnnxGraph(read_network(content))
    graph.add_operators()
    return graph.to_bytes(outputs)
