"""Converts MediaPipe's float TFLite networks to ONNX, reproducibly and with a free batch axis.

Nothing else imports this package at module level: it needs `onnx` and `tflite`, the service does not. The input stays
TFLite's, float32 `[batch, height, width, 3]`. Inside, the graph is channels-first as ONNX requires, and
four-dimensional outputs are transposed back. float16 weights stay float16: half the size, and ONNX Runtime converts
them to float32 once, on loading.
"""

from runners.models.tflite.operators import OnnxGraph
from runners.models.tflite.reader import read_network

__all__ = ["tflite_to_onnx"]


def tflite_to_onnx(content: bytes, outputs: tuple[str, ...]) -> bytes:
    """Convert the bytes of a .tflite file to the bytes of an .onnx file.

    Args:
        content: A TFLite file with one graph, one picture as input and a batch of 1.
        outputs: Names of the outputs to keep, in order; nodes that only other outputs need are removed.

    Returns:
        A checked ONNX model, opset 17; equal arguments give equal bytes.

    Raises:
        ConversionError: The file is not TFLite, lacks an output, or has an unsupported operator or option.
    """
    graph = OnnxGraph(read_network(content))
    graph.add_operators()
    return graph.to_bytes(outputs)
