"""Prepares networks: changes the inputs and outputs of a published graph, so that less data crosses them.

The layers in between stay unchanged. This package needs `onnx`, which the service does not need once its networks are
prepared: import it where it is used.
"""
