"""Prepared networks: the published graph, changed so that little crosses into it and little comes out.

What a network computes in between stays untouched. Everything here needs the package `onnx`, which a running service
has no use for once its networks are prepared: import it where it is used.
"""
