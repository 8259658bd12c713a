"""Fusion of the streams' scores and features, and the report that judges it."""

from storage.lazy import exports

__getattr__, __all__ = exports(__name__, {})
