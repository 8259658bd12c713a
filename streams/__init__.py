"""The spatial and the temporal stream: inputs, networks, training and scoring."""

from storage.lazy import exports

__getattr__, __all__ = exports(__name__, {})
