"""A store as sequential shards for many machines: clips of flow at the store's own coding."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.shards.coded_clip import CodedClip
    from storage.shards.shard_export import ClipShards
    from storage.shards.shard_index import SHARDS_INDEX, ShardIndex

__getattr__, __all__ = exports(__name__, __file__)
