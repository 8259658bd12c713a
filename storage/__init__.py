"""What lies on disk, and the few types that every room shares."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from storage.catalog import Catalog, Clip, load_catalog
    from storage.config import StoreConfig, VideoMeta
    from storage.errors import StoreError, UserError, WorkFailed
    from storage.quantize import Quantizer
    from storage.score_files import read_scores, write_scores
    from storage.scores import ScoreTable
    from storage.store import Store, open_store

__getattr__, __all__ = exports(
    __name__,
    {
        "Catalog": "catalog",
        "Clip": "catalog",
        "Quantizer": "quantize",
        "ScoreTable": "scores",
        "Store": "store",
        "StoreConfig": "config",
        "StoreError": "errors",
        "UserError": "errors",
        "VideoMeta": "config",
        "WorkFailed": "errors",
        "load_catalog": "catalog",
        "open_store": "store",
        "read_scores": "score_files",
        "write_scores": "score_files",
    },
)
