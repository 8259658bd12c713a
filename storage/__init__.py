"""What lies on disk, and the few types that every room shares."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.catalog import Catalog, Clip, load_catalog
    from storage.codecs import Quantizer
    from storage.errors import StoreError, UserError, WorkFailed
    from storage.remote import open_remote
    from storage.scores import ScoreTable, read_scores, write_scores
    from storage.store import Store, StoreConfig, VideoMeta, open_store

__getattr__, __all__ = exports(__name__, __file__)
