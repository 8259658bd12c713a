"""The store: LMDB shards of coded flow and frames, and their manifest."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.store.compaction import compact
    from storage.store.config import StoreConfig, VideoMeta, flatten
    from storage.store.keys import NEXT, NUMBER, Entry, entry_value, video_key
    from storage.store.manifest import Form
    from storage.store.merging import Merged, merge
    from storage.store.report import Report
    from storage.store.shard import Shard, on_disk
    from storage.store.sharded import ShardedStore
    from storage.store.store import Store, open_store
    from storage.store.summary import Summary, summarise
    from storage.store.verification import verify
    from storage.store.window import Window
    from storage.store.writer import RecordWriter, VideoWriter

__getattr__, __all__ = exports(__name__, __file__)
