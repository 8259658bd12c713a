"""What lies on disk, and the few types that every room shares."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from storage.errors import StoreError, UserError, WorkFailed
    from storage.quantize import Quantizer
    from storage.scores import ScoreTable

__getattr__, __all__ = exports(
    __name__,
    {
        "Quantizer": "quantize",
        "ScoreTable": "scores",
        "StoreError": "errors",
        "UserError": "errors",
        "WorkFailed": "errors",
    },
)
