"""Errors of the networks and their files. Each says in one sentence what is wrong and what to do."""


class ModelUnavailableError(Exception):
    """A network's file is not in the store and could not be put there."""


class ModelDownloadError(ModelUnavailableError):
    """The source could not be fetched: no network, not on the index, too slow, no member of that name."""


class ModelDigestError(ModelUnavailableError):
    """What was fetched or converted is not, byte for byte, what the manifest names."""


class ModelStoreError(ModelUnavailableError):
    """The store's folder cannot be used: not writable, full, or locked by another process for too long."""


class OwnNetworkError(ModelUnavailableError):
    """What DETECTOR_MODEL or POSE_MODEL names cannot be used."""


class ConversionError(Exception):
    """A TFLite network holds something that the conversion to ONNX does not know."""


class ProviderUnavailableError(Exception):
    """The device that was asked for cannot be used."""
