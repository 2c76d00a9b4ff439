"""Errors of networks and their files. Each message says what is wrong, then what to do."""


class ModelUnavailableError(Exception):
    """A network's file is not in the store and could not be fetched."""


class ModelDownloadError(ModelUnavailableError):
    """The download failed: no connection, not on the index, timed out, or the archive lacks the file."""


class ModelDigestError(ModelUnavailableError):
    """A fetched or converted file differs from the digest in the manifest."""


class ModelStoreError(ModelUnavailableError):
    """The store's folder is unusable: not writable, full, or locked by another process for too long."""


class OwnNetworkError(ModelUnavailableError):
    """The network in DETECTOR_MODEL or POSE_MODEL cannot be used."""


class ConversionError(Exception):
    """A TFLite network has a feature that the conversion to ONNX does not support."""


class ProviderUnavailableError(Exception):
    """The requested device cannot be used."""
