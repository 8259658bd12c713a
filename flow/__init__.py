"""TV-L1 optical flow: its definition, its engines, and the way from videos into a store."""

from storage.lazy import exports

__getattr__, __all__ = exports(__name__, {})
